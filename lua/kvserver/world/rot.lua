--- Bits that flip in the files of a node that is down.
local files = require "kvserver.files"

local M = {}

local BLOCK_BYTES <const> = 65536
local BITS <const> = 8

-- How much of a file is in use: behind that are zeros, which were filled in ahead of time.
local function used_bytes(file)
  local size = file:seek "end"
  while size > 0 do
    local from <const> = math.max(0, size - BLOCK_BYTES)
    file:seek("set", from)
    local behind <const> = file:read(size - from):match "^.*[^\0]()"
    if behind then return from + behind - 1 end
    size = from
  end
  return 0
end

local function flip_bit(path, random)
  local file <close> = assert(io.open(path, "r+b"))
  local used <const> = used_bytes(file)
  if used == 0 then return false end
  local offset <const>, bit <const> = random(used) - 1, random(BITS) - 1
  file:seek("set", offset)
  local byte <const> = file:read(1):byte()
  file:seek("set", offset)
  assert(file:write(string.char(byte ~ (1 << bit))))
  return true
end

--- Flips a bit of a file, both drawn, where the file is in use.
-- @tparam string directory of the node's data
-- @tparam ?string pattern a Lua pattern that the path of the file below the directory matches; nil: any
-- @tparam function random of kvserver.sim.prng
-- @treturn ?string that path; nil when there is no such file
function M.flip(directory, pattern, random)
  local candidates = {}
  for _, path in ipairs(files.list(directory)) do
    if path ~= "LOCK" and (not pattern or path:find(pattern)) then candidates[#candidates + 1] = path end
  end
  while #candidates > 0 do
    local path <const> = table.remove(candidates, random(#candidates))
    if flip_bit(directory .. "/" .. path, random) then return path end
  end
  return nil
end

return M
