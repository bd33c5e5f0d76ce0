--- Values as bytes, for other programs: a string is what it is, anything else as JSON.
local json = require "kvserver.json"
local json_text = require "kvserver.console.render.json"

local M = {}

--- @param value of kvserver.console.decode
-- @treturn string bytes
function M.text(value)
  if value == json.null then return "nil" end
  if type(value) == "string" then return value end
  if type(value) == "table" and value.kind == "cut" then return value.text end
  return json_text.text(value)
end

return M
