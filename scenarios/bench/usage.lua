--- What processes use up: processor time; and what is written to the disk beneath a directory meanwhile, by anyone.
--
--   local before = usage.of(pids, directory)
--   ...
--   local used = usage.since(before)  --> cpu_s, disk_bytes; of all together
--
-- The disk is asked, not /proc/PID/io: the kernel counts there, for each small write over a large folio of its cache,
-- the whole folio, which is up to 2 MiB.
local uv = require "luv"

local M = {}

local SECTOR_BYTES <const> = 512

local TICKS_PER_SECOND <const> = 100 -- of /proc, on every Linux

local function read(path)
  local file <close> = io.open(path)
  return file and file:read("a")
end

-- User and system time are the 14th and 15th field; the name in the 2nd may hold blanks.
local function cpu_seconds(pid)
  local user, system = read(("/proc/%d/stat"):format(pid)):match("^.*%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  return (user + system) / TICKS_PER_SECOND
end

-- So far, of the device of a directory; 0 when it is none that counts (a tmpfs).
local function disk_bytes(directory)
  local device <const> = assert(uv.fs_stat(directory)).dev
  local major <const>, minor <const> = device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00
  local counts <const> = read(("/sys/dev/block/%d:%d/stat"):format(major, minor))
  local sectors <const> = counts and counts:match("^" .. ("%s*%d+"):rep(6) .. "%s+(%d+)")
  return sectors and math.tointeger(tonumber(sectors)) * SECTOR_BYTES or 0
end

--- What processes have used up so far.
-- @param pids array of numbers
-- @param directory whose disk counts
-- @return table pids, directory, cpu_s, disk_bytes
function M.of(pids, directory)
  local sum = { pids = pids, directory = directory, cpu_s = 0, disk_bytes = disk_bytes(directory) }
  for _, pid in ipairs(pids) do sum.cpu_s = sum.cpu_s + cpu_seconds(pid) end
  return sum
end

--- What has been used up since then.
-- @param before as of `of`
-- @return table cpu_s, disk_bytes
function M.since(before)
  local now = M.of(before.pids, before.directory)
  return { cpu_s = now.cpu_s - before.cpu_s, disk_bytes = now.disk_bytes - before.disk_bytes }
end

return M
