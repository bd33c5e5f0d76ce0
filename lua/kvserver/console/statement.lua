--- Where statements end: what is typed or read line by line is put together until it is a chunk of Lua.
--
--     statement.state("for i = 1, 3 do")  --> "incomplete"
--     statement.state("= 1 + 1")          --> "complete"
local M = {}

-- No line behind it ends a string between quotes.
local function ends_too_early(why)
  return why ~= nil and why:find "near <eof>$" ~= nil and not why:find("unfinished string near", 1, true)
end

--- What a text is, as a statement: "empty" (blanks and comments), "complete" (it may still be wrong: that is for the
-- node to say), or "incomplete" (more lines may complete it).
-- @tparam string text
-- @treturn string
function M.state(text)
  local code <const> = text:gsub("^%s*=", "return ", 1)
  local expression <const>, why_expression = load("return " .. code, "=", "t")
  local chunk <const>, why = load(code, "=", "t")
  if chunk and not code:gsub("%-%-%[(=*)%[.-%]%1%]", ""):gsub("%-%-[^\n]*", ""):find "[^%s;]" then return "empty" end
  if expression or chunk then return "complete" end
  return (ends_too_early(why) or ends_too_early(why_expression)) and "incomplete" or "complete"
end

-- The statements that the lines of a text are, one after the other.
local function split_lines(text)
  local statements <const>, open = {}, nil
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    open = open and open .. "\n" .. line or line
    local state <const> = M.is_own(open) and "complete" or M.state(open)
    if state == "complete" then statements[#statements + 1] = open end
    if state ~= "incomplete" then open = nil end
  end
  statements[#statements + 1] = open
  return statements
end

--- Whether a line is for the console itself: it begins with a backslash, or a question mark.
-- @tparam string line
-- @treturn boolean
function M.is_own(line)
  return line:find "^%s*[\\?]" ~= nil
end

--- What somebody pasted: one statement if it is one, even with blank lines in it; else those of its lines.
-- @tparam string text
-- @treturn {string,...}
function M.split(text)
  local code <const> = text:gsub("^%s*=", "return ", 1)
  local is_one <const> = not M.is_own(text) and (load(code, "=", "t") or load("return " .. code, "=", "t"))
  return is_one and { text } or split_lines(text)
end

--- The text without the `;;` that ends a statement by force; nil when there is none.
-- @tparam string text
-- @treturn ?string
function M.forced(text)
  return text:match "^(.*);;%s*$"
end

return M
