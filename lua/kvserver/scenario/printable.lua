--- Bytes as text: what a scenario says ends in JSON, XML and terminals, and keys and values may be any bytes.
--
--     printable.text("a\255")                    --> "a\\xff"
--     printable.short(("ä"):rep(20), 24, 21)     --> ten of them, and "..."
local types = require "kvserver.types"

local M = {}

--- The bytes themselves where they are UTF-8; those that are not as `\xNN`.
-- @tparam string bytes
-- @treturn string UTF-8
function M.text(bytes)
  if types.utf8_valid(bytes) then return bytes end
  local parts, from = {}, 1
  while from <= #bytes do
    local _, bad = utf8.len(bytes, from)
    parts[#parts + 1] = bytes:sub(from, (bad or #bytes + 1) - 1)
    if bad then parts[#parts + 1] = ("\\x%02x"):format(bytes:byte(bad)) end
    from = (bad or #bytes) + 1
  end
  return table.concat(parts)
end

--- Text, of which only the beginning is shown when it is long; no character is cut.
-- @tparam string bytes
-- @tparam integer bytes_max up to so many it is shown whole
-- @tparam integer kept_max else up to so many of its beginning
-- @treturn string UTF-8
function M.short(bytes, bytes_max, kept_max)
  local text <const> = M.text(bytes)
  if #text <= bytes_max then return text end
  return text:sub(1, utf8.offset(text, 0, kept_max + 1) - 1) .. "..."
end

return M
