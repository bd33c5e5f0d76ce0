--- One node that kills itself at each of its calls to the disk in turn, and loses what was not synced.
--
--     local sweep = require "spec.torture.sweep"
--     print(sweep.run { first = 1, last = 100, names = true })
--
-- For each call, on a new directory: the node starts and takes writes, one after the other, until it kills itself
-- instead of that call. It starts again and takes some more, is killed, loses what no sync covered, and starts a last
-- time. Once with the power cut at the first kill, too ("cut"), and once without ("on"): then it starts on what only
-- the system's memory holds. And it kills itself, on that, at some calls in the middle of the start ("twice"), before
-- the power goes. Whenever it has started, every acknowledged write must be there, and none twice. Segments and
-- snapshots are small, so that there is much to interrupt.
--
-- With `recycled`, the name of a recycled segment matters. Large writes are the first of a directory, whose segment is
-- recycled behind the snapshot at the 20th, and the 21st, for which that segment is the only spare with room. Each
-- start has larger segments than the one before: so what stood in front of that segment is too small to become a spare
-- that would be taken first, and in the last start the other spares are, too.
local cluster = require "kvserver.cluster"
local lossy = require "spec.torture.lossy"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local START_MS <const> = 20000
local REQUEST_MS <const> = 10000
local END_MS <const> = 10000
local WRITES_MAX <const> = 150 -- before a call that never comes
local WRITES_MANY <const> = 30 -- more than between two snapshots
local WRITES_FEW <const> = 5
local KEYS <const> = 5
local VALUE <const> = ("v"):rep(300)
local SEGMENT_BYTES <const> = 4096
local SNAPSHOT_THRESHOLD <const> = 20
local LARGE_VALUE <const> = ("v"):rep(20000)
local IS_LARGE <const> = { [1] = true, [SNAPSHOT_THRESHOLD + 1] = true }
local LARGE_SEGMENT <const> = "/wal/0000000000000002.wal"

-- Calls on names of a start in which it takes a spare, writes a head into it and gives it a name.
local START_CALLS <const> = { 4, 5, 6, 7 }

local Case = {}
Case.__index = Case

local function data_of(self, id)
  return self.disk.below .. "/" .. self.name .. "-" .. id
end

local function options_of(self, id)
  return {
    "--data", data_of(self, id), "--segment-bytes", tostring(self.segment_bytes),
    "--snapshot-threshold", tostring(SNAPSHOT_THRESHOLD), "--log-level", "warn",
  }
end

-- Whether the node serves; else it has killed itself.
function Case:start(kill)
  self.env = self.disk:env(self.name, { kill = kill, names = self.names })
  self.cluster:spawn "n1"
  local child <const> = self.cluster.processes.n1
  local ok, why = pcall(child.wait_line, child, "ready on http://", START_MS)
  if ok then return true end
  if kill and child.exit_status and child.exit_status.signal == 9 then return false end
  error(why, 0)
end

function Case:stop()
  self.client:close()
  self.cluster:kill "n1"
end

local function acknowledged(result)
  return result and result.ok
end

local function value_of(self)
  return self.seq .. (self.recycled and IS_LARGE[self.seq] and LARGE_VALUE or VALUE)
end

-- The next write; or again the one that got no answer. Whether it was acknowledged.
function Case:write()
  if not self.pending then
    self.seq = self.seq + 1
    self.pending = { key = "key-" .. self.seq % KEYS, value = value_of(self), seq = self.seq }
  end
  local write <const> = self.pending
  if not acknowledged(self.client:put(write.key, write.value, { seq = write.seq })) then return false end
  self.expected[write.key] = write.value
  self.pending = nil
  return true
end

-- Until the large segment is one no more, or the process is dead.
function Case:wait_recycled()
  local child <const> = self.cluster.processes.n1
  local segment <const> = data_of(self, "n1") .. LARGE_SEGMENT
  local ok = task.wait_until(function() return child.exit_status or not uv.fs_stat(segment) end, END_MS)
  if not ok then error("the first segment with a large write is not recycled", 0) end
end

function Case:write_until_it_dies()
  local child <const> = self.cluster.processes.n1
  for _ = 1, WRITES_MAX do
    if not self:write() then break end
    if self.recycled and self.seq == SNAPSHOT_THRESHOLD then self:wait_recycled() end
  end
  -- It may live on when the call never came.
  if self.pending then task.wait_until(function() return child.exit_status end, END_MS) end
  local status <const> = child.exit_status
  if self.pending and not (status and status.signal == 9) then error("a write was refused: " .. child.stderr, 0) end
end

-- A value without what fills it.
local function short(value)
  return value and value:match("^%d+") or "nothing"
end

function Case:check()
  for i = 0, KEYS - 1 do
    local key <const> = "key-" .. i
    local value <const> = assert(self.client:get(key)).value
    local pending <const> = self.pending and self.pending.key == key and self.pending.value
    if value ~= self.expected[key] and value ~= pending then
      error(("%s: %s was acknowledged, %s is there"):format(key, short(self.expected[key]), short(value)), 0)
    end
  end
end

function Case:go_on(writes)
  self:start()
  self:check()
  for _ = 1, writes do
    if not self:write() then error("a write was refused: " .. self.cluster.processes.n1.stderr, 0) end
  end
end

-- Killed at a call, if it comes to it, or soon after.
local function kill_a_start(self, call)
  if self.recycled then self.segment_bytes = 4 * SEGMENT_BYTES end
  self.names = true
  if self:start(call) then self:write() end
  self:stop()
end

-- A segment with a large write, behind a small one.
local function write_large_segment(self)
  self.segment_bytes = SEGMENT_BYTES
  self:start()
  self:write()
  self:stop()
  self.segment_bytes = 2 * SEGMENT_BYTES
end

-- Whether the call came at all. `start_call`: of the second kill, in the start behind the first one.
local function play(self, spec, call, power, start_call)
  self.name, self.names = ("%d-%s%s"):format(call, power, start_call or ""), spec.names
  self.seq, self.expected, self.pending = 0, {}, nil
  if self.recycled then write_large_segment(self) end
  if self:start(call) then self:write_until_it_dies() end
  local came <const> = self.cluster.processes.n1.exit_status ~= nil
  self:stop()
  if start_call then kill_a_start(self, start_call) end
  if power ~= "on" then self.disk:lose(self.name) end
  self:go_on((power ~= "on" or call % 2 == 0) and WRITES_MANY or WRITES_FEW)
  self:stop()
  self.disk:lose(self.name)
  self:start()
  self:check()
  self:stop()
  return came
end

-- One case; 1 when the call came at all.
local function count(self, spec, call, power, start_call)
  local ok, came = pcall(play, self, spec, call, power, start_call)
  if ok then return came and 1 or 0 end
  local which <const> = spec.names and "call on names" or "call"
  error(("%s %d, power %s%s: %s"):format(which, call, power, start_call and " at " .. start_call or "", came), 0)
end

--- Plays it.
-- @tparam table spec first, last (numbers of calls), step (1), names (true: only calls that change names, or sync a
-- directory, count)
-- @treturn integer how many calls were killed
function M.run(spec)
  local folder <close> = lossy.folder(spec.folder)
  local self = setmetatable({
    disk = lossy.disk(folder.path), recycled = spec.recycled, segment_bytes = SEGMENT_BYTES,
  }, Case)
  local c <close> = cluster.start {
    size = 1, idle = true, options = function(id) return options_of(self, id) end,
    env = function() return self.env end,
  }
  self.cluster = c
  self.client = c:client("n1", { client_id = "sweep", timeout_ms = REQUEST_MS })
  local killed = 0
  for call = spec.first, spec.last, spec.step or 1 do
    killed = killed + count(self, spec, call, "cut") + count(self, spec, call, "on")
    for _, start_call in ipairs(spec.names and START_CALLS or {}) do
      killed = killed + count(self, spec, call, "twice", start_call)
    end
  end
  return killed
end

return M
