--- Bytes as text that a terminal may get: nothing in it moves the cursor, rings, changes colours, or turns the
-- direction of what stands beside it.
--
--     escape.text("a\27[31m\255")          --> "a\\x1b[31m\\xff"
--     escape.text("two\nlines", true)      --> as it is
local types = require "kvserver.types"

local M = {}

local NAMED <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\0"] = "\\0" }
local MARKS <const> = { { 0x80, 0x9f }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff } }

local function hexadecimal(bytes)
  return NAMED[bytes] or (bytes:gsub(".", function(byte) return ("\\x%02x"):format(byte:byte()) end))
end

-- Characters of more than one byte that a terminal takes as orders, or that reorder a line.
local function mark(character)
  local point <const> = utf8.codepoint(character)
  for _, range in ipairs(MARKS) do
    if point >= range[1] and point <= range[2] then return ("\\u{%x}"):format(point) end
  end
  return nil
end

-- Text that is UTF-8.
local function safe(text, keep_lines)
  text = text:gsub(keep_lines and "[^%C\n\t]" or "%c", hexadecimal)
  if not text:find "[\xc2\xe2\xef]" then return text end
  return (text:gsub("[\xc2\xe2\xef][\x80-\xbf]+", mark))
end

--- @tparam string bytes
-- @tparam[opt=false] boolean keep_lines leaves line ends and tabs as they are
-- @treturn string UTF-8
function M.text(bytes, keep_lines)
  if types.utf8_valid(bytes) then return safe(bytes, keep_lines) end
  local parts, from = {}, 1
  while from <= #bytes do
    local _, bad <const> = utf8.len(bytes, from)
    parts[#parts + 1] = safe(bytes:sub(from, (bad or #bytes + 1) - 1), keep_lines)
    if bad then parts[#parts + 1] = hexadecimal(bytes:sub(bad, bad)) end
    from = (bad or #bytes) + 1
  end
  return table.concat(parts)
end

return M
