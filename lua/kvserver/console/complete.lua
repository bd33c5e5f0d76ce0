--- What Tab comes to, and the hint behind a name: the node says what there is, the console's own commands and the files
-- are known here.
local backslash = require "kvserver.console.backslash"
local commands = require "kvserver.console.node.commands"
local complete_files = require "kvserver.console.complete_files"
local editline = require "kvserver.editline"
local escape = require "kvserver.console.escape"
local leaf = require "kvserver.console.render.leaf"
local options = require "kvserver.console.options"

local M = {}

local ANSWER_MS <const> = 1000 -- who types waits for it
local GAP <const> = 2 -- columns between candidates

-- The longest beginning that all of them share.
local function common_prefix(texts)
  local prefix = texts[1]
  for _, text in ipairs(texts) do
    while text:sub(1, #prefix) ~= prefix do prefix = prefix:sub(1, (utf8.offset(prefix, -1) or 1) - 1) end
  end
  return prefix
end

-- In columns, as ls shows names.
local function list_text(texts, columns)
  local widest = 0
  for _, text in ipairs(texts) do widest = math.max(widest, editline.width(text)) end
  local per_line <const> = math.max(1, columns // (widest + GAP))
  local parts <const> = {}
  for i, text in ipairs(texts) do
    local last <const> = i % per_line == 0 or i == #texts
    parts[#parts + 1] = text .. (last and "\n" or (" "):rep(widest + GAP - editline.width(text)))
  end
  return table.concat(parts)
end

-- The candidates of the console's own commands for what is typed, and where the word begins that they complete.
local function local_candidates(before)
  local found <const> = {}
  local from <const>, word = before:match "^\\o%s+()(%a*)$"
  if from then
    for _, name in ipairs(options.formats) do
      if name:sub(1, #word) == word then found[#found + 1] = name end
    end
    return found, from
  end
  for _, row in ipairs(backslash.list) do
    if row.name:sub(1, #before) == before then found[#found + 1] = row.name end
  end
  return found, 1
end

local function field(record, key)
  local value <const> = leaf.field(record, key)
  return type(value) == "string" and value or nil
end

local function node_candidates(node, before)
  local reply <const> = node:request({ ["do"] = "complete", text = before }, ANSWER_MS)
  local list <const>, from = table.unpack(reply and reply.ok and reply.values or {})
  if type(list) ~= "table" or math.type(from) ~= "integer" then return {}, 1 end
  local texts <const> = {}
  for _, item in ipairs(list) do
    local text <const> = type(item) == "table" and item.kind == "record" and field(item, "text")
    if text then texts[#texts + 1] = escape.text(text) end
  end
  return texts, from
end

--- Completes. Waits.
-- @param node of kvserver.console.connection
-- @tparam string before what is typed, up to the cursor
-- @tparam integer columns of the terminal
-- @treturn integer how many characters before the cursor go
-- @treturn string what takes their place
-- @treturn ?string lines with the candidates, when there is nothing else to add
function M.complete(node, before, columns)
  local texts, from = complete_files.candidates(before)
  if not texts and before:find "^\\" and not before:find "^\\help%s" and not before:find "^\\watch%s" then
    texts, from = local_candidates(before)
  elseif not texts then
    texts, from = node_candidates(node, before)
  end
  if #texts == 0 or from < 1 or from > #before + 1 then return 0, "" end
  local word <const>, prefix <const> = before:sub(from), common_prefix(texts)
  if #texts > 1 and #prefix <= #word then return 0, "", list_text(texts, columns) end
  return utf8.len(word) or 0, prefix
end

-- Those of a command of the console itself.
local function own_hint(text)
  for _, row in ipairs(backslash.list) do
    if row.argument and (text == row.name or text == row.name .. " ") then
      return (" "):rep(#row.name + 1 - #text) .. row.argument
    end
  end
end

--- The arguments of the command at the end of a text.
-- @tparam string text
-- @treturn ?string
function M.hint(text)
  if text:find "^%s*[\\?]" then return own_hint(text) end
  if text:find "[\"'][%w_.]*$" then return nil end -- a name in a string
  local name <const>, open = text:match "([%a_][%w_.]*)(%(?)$"
  local row <const> = name and commands.by_name[name]
  if not row or not row.arguments then return nil end
  return open == "(" and row.arguments .. ")" or "(" .. row.arguments .. ")"
end

return M
