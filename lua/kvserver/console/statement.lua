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

--- The text without the `;;` that ends a statement by force; nil when there is none.
-- @tparam string text
-- @treturn ?string
function M.forced(text)
  return text:match "^(.*);;%s*$"
end

return M
