--- What processes use up: processor time and bytes sent to disks.
--
--   local before = usage.of(pids)
--   ...
--   local used = usage.since(before)  --> cpu_s, disk_bytes; of all together

local M = {}

local TICKS_PER_SECOND <const> = 100 -- of /proc, on every Linux

local function read(pid, name)
  local file <close> = assert(io.open(("/proc/%d/%s"):format(pid, name)))
  return file:read("a")
end

-- User and system time are the 14th and 15th field; the name in the 2nd may hold blanks.
local function cpu_seconds(pid)
  local user, system = read(pid, "stat"):match("^.*%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  return (user + system) / TICKS_PER_SECOND
end

local function disk_bytes(pid)
  return math.tointeger(tonumber(read(pid, "io"):match("\nwrite_bytes: (%d+)")))
end

--- What processes have used up so far.
-- @param pids array of numbers
-- @return table pids, cpu_s, disk_bytes
function M.of(pids)
  local sum = { pids = pids, cpu_s = 0, disk_bytes = 0 }
  for _, pid in ipairs(pids) do
    sum.cpu_s = sum.cpu_s + cpu_seconds(pid)
    sum.disk_bytes = sum.disk_bytes + disk_bytes(pid)
  end
  return sum
end

--- What the same processes have used up since then.
-- @param before as of `of`
-- @return table cpu_s, disk_bytes
function M.since(before)
  local now = M.of(before.pids)
  return { cpu_s = now.cpu_s - before.cpu_s, disk_bytes = now.disk_bytes - before.disk_bytes }
end

return M
