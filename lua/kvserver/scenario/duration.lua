--- Durations as scenarios write them: "80ms", "1.5s", "2m", "1h".
local M = {}

local MS <const> = { ms = 1, s = 1000, m = 60000, h = 3600000 }

--- A duration in milliseconds.
-- @tparam string|nil text
-- @tparam[opt] string default what an absent one is
-- @treturn number milliseconds, not negative
function M.ms(text, default)
  text = text or default
  local number, unit = tostring(text):match("^(%d+%.?%d*)(%a+)$")
  local factor <const> = MS[unit]
  if type(text) ~= "string" or not factor then
    error(('expected a duration such as "80ms", "3s" or "2m", got %s'):format(tostring(text)), 3)
  end
  return tonumber(number) * factor
end

--- Milliseconds as a duration to read.
-- @tparam number ms
-- @treturn string
function M.text(ms)
  if ms < 1000 then return ("%.0f ms"):format(ms) end
  return ("%.3f s"):format(ms / 1000)
end

return M
