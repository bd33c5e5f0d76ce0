--- Where in the text of a configuration file its keys stand, for messages: read from the table that the file returns,
-- as far as it is written out. What is computed has no line.
--
--     local lines = require("kvserver.config_source").read('return {\n  id = "n1",\n}')
--     print(lines.id) --> 2
local config = require "kvserver.config"

local M = {}

local OPENING <const> = {
  ["("] = true, ["["] = true, ["{"] = true, ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true,
}
local CLOSING <const> = { [")"] = true, ["]"] = true, ["}"] = true, ["end"] = true, ["until"] = true }

-- Behind a long bracket that opens at `at`, nil when none does.
local function behind_long_bracket(text, at)
  local level <const> = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", at, true)
  return (last or #text) + 1
end

-- Behind a comment that begins at `at`, nil when none does.
local function behind_comment(text, at)
  if text:sub(at, at + 1) ~= "--" then return nil end
  return behind_long_bracket(text, at + 2) or text:find("\n", at, true) or #text + 1
end

-- Behind a string in quotes that begins at `at`, nil when none does.
local function behind_string(text, at)
  local quote <const> = text:match("^[\"']", at)
  if not quote then return nil end
  local found = text:find("[\\" .. quote .. "]", at + 1)
  while text:sub(found, found) == "\\" do found = text:find("[\\" .. quote .. "]", found + 2) end
  return found + 1
end

-- Behind a name, number or any other sign at `at`; of the comparisons only == matters, which must not be taken for =.
local function behind_word(text, at)
  local _, last = text:find("^[%a_][%w_]*", at)
  if not last then _, last = text:find("^%.?%d[%w.]*", at) end
  if not last then _, last = text:find("^==", at) end
  return (last or at) + 1
end

-- What the text is made of, without blanks and comments: { text =, line = }, ...
local function tokens_of(text)
  local tokens, at, line = {}, 1, 1
  while at <= #text do
    local behind = text:match("^%s+()", at) or behind_comment(text, at)
    if not behind then
      behind = behind_string(text, at) or behind_long_bracket(text, at) or behind_word(text, at)
      tokens[#tokens + 1] = { text = text:sub(at, behind - 1), line = line }
    end
    local _, newlines = text:sub(at, behind - 1):gsub("\n", "")
    at, line = behind, line + newlines
  end
  return tokens
end

-- Puts into each token that opens something where it is closed.
local function match_brackets(tokens)
  local open <const> = {}
  for i, token in ipairs(tokens) do
    if OPENING[token.text] then
      open[#open + 1] = i
    elseif CLOSING[token.text] then
      tokens[table.remove(open)].closed_at = i
    end
  end
end

local function text_at(tokens, i)
  return tokens[i] and tokens[i].text
end

-- Where the table that the file returns opens: the one that nothing follows; nil when it is not written out.
local function returned_table(tokens)
  for i = #tokens - 1, 1, -1 do
    if tokens[i].text == "return" and tokens[i + 1].text == "{" then
      local behind = tokens[i + 1].closed_at + 1
      if text_at(tokens, behind) == ";" then behind = behind + 1 end
      if not tokens[behind] then return i + 1 end
    end
  end
  return nil
end

-- The key of the entry at token i and where its value begins; without a key it is the number of the entry.
local function entry_at(tokens, i, count)
  if text_at(tokens, i + 1) == "=" then return tokens[i].text, i + 2 end
  if tokens[i].text == "[" then
    local name <const> = tokens[i].closed_at == i + 2 and tokens[i + 1].text:match("^[\"']([^\\]*)[\"']$")
    return name, tokens[i].closed_at + 2
  end
  return count + 1, i
end

-- The comma or bracket behind the value at token i.
local function behind_value(tokens, i)
  while not (tokens[i].text == "," or tokens[i].text == ";" or CLOSING[tokens[i].text]) do
    i = (tokens[i].closed_at or i) + 1
  end
  return i
end

-- Notes the entries of the table that opens at token `opened`, whose place is `place`.
local function note_table(tokens, opened, place, found)
  local i, count = opened + 1, 0
  while i < tokens[opened].closed_at do
    local key <const>, value <const> = entry_at(tokens, i, count)
    local behind <const> = behind_value(tokens, value)
    if math.type(key) then count = key end
    if key then
      local below <const> = config.join(place, key)
      if found.lines[below] then
        found.twice = found.twice or { place = below, line = tokens[i].line, first_line = found.lines[below] }
      end
      found.lines[below] = tokens[i].line
      if tokens[value].text == "{" and tokens[value].closed_at + 1 == behind then
        note_table(tokens, value, below, found)
      end
    end
    i = tokens[behind].text:find("^[,;]") and behind + 1 or behind
  end
end

--- Reads it.
-- @tparam string text Lua without errors of syntax
-- @treturn {[string]=integer} the line of each place that is written out
-- @treturn ?table the first key that a table has twice: place, line, first_line
function M.read(text)
  local found <const> = { lines = {} }
  local tokens <const> = tokens_of(text)
  match_brackets(tokens)
  local opened <const> = returned_table(tokens)
  if opened then note_table(tokens, opened, "", found) end
  return found.lines, found.twice
end

return M
