--- Durable nodes under load, killed again and again: whatever was acknowledged is there afterwards.
--
--     local rounds = require "spec.torture.rounds"
--     print(rounds.run { size = 3, rounds = 50, lossy = true, seed = 1 })
--
-- A round starts all nodes on the directories of the round before (now and then on new ones), lets clients write, kills
-- all nodes at a random moment (SIGKILL), starts them again under the same clients, waits until each client has its
-- answers, and then checks: the history is linearizable, with what every node reads in the end; all that was
-- acknowledged is there; all nodes are in the same state. Small segments and frequent snapshots in most rounds, a node
-- that was away in some. With `lossy` the power goes, too: spec/torture/lossy.lua.
local clients = require "spec.torture.clients"
local cluster = require "kvserver.cluster"
local linear = require "kvserver.linear"
local lossy = require "spec.torture.lossy"
local task = require "kvserver.task"

local M = {}

local START_MS <const> = 30000
local SAME_STATE_MS <const> = 30000
local KILLED_MS <const> = 10000
local CLIENTS <const> = 8
local LOAD_MS <const> = { 20, 600 } -- before the kill
local AFTER_MS <const> = { 20, 200 } -- and behind the next start
local SYNC_US_MAX <const> = 3000
local KILL_CALLS_MAX <const> = 400
local SEGMENT_BYTES <const> = { 4096, 16384, 65536, 1 << 20 }
local SNAPSHOT_THRESHOLDS <const> = { 20, 100, 1000, 100000 }
local MGET_KEYS <const> = 200

local Run = {}
Run.__index = Run

local function one_of(list)
  return list[math.random(#list)]
end

local function pause(range)
  task.sleep(math.random(range[1], range[2]))
end

-- ---- nodes ----

local function options_of(self, id)
  return {
    "--data", ("%s/%d-%s"):format(self.data, self.generation, id), "--heartbeat-ms", "30",
    "--election-ms", "200-400", "--log-level", "warn",
    "--segment-bytes", tostring(one_of(SEGMENT_BYTES)),
    "--snapshot-threshold", tostring(one_of(SNAPSHOT_THRESHOLDS)),
  }
end

local function env_of(self, id)
  if not self.disk then return nil end
  local kill = self.suicides and math.random(2) == 1 and math.random(KILL_CALLS_MAX) or 0
  return self.disk:env(id, { sync_us = math.random(0, 1) * SYNC_US_MAX, kill = kill })
end

-- Fails when a node has ended otherwise than by a kill.
local function check_end(id, child)
  local status <const> = child.exit_status
  if status and status.signal ~= 9 then
    task.wait_until(function() return child.ended:is_set() end, KILLED_MS)
    error(("%s ended by itself, with exit code %d: %s%s"):format(id, status.code, child.stdout, child.stderr), 0)
  end
end

-- Whether a node serves; false when it was killed before it came to it.
local function serves(self, id)
  local child <const> = self.cluster.processes[id]
  local ok, why = pcall(child.wait_line, child, "ready on http://", START_MS)
  if ok then return true end
  check_end(id, child)
  if not child.exit_status then error(("%s does not start: %s"):format(id, why), 0) end
  return false
end

local function kill(self, id)
  local child <const> = self.cluster.processes[id]
  if not child then return end
  check_end(id, child)
  self.cluster:kill(id)
  self.figures.kills = self.figures.kills + 1
end

-- The power of a killed node is gone, too, more often than not.
local function lose(self, id)
  if not self.disk or math.random(4) == 1 then return end
  local seed = math.random(2) == 1 and math.random(1 << 30) or nil
  self.figures.lost = self.figures.lost + self.disk:lose(id, seed)
end

-- All at once, and all of them are dead before any disk is looked at.
local function kill_all(self)
  for _, id in ipairs(self.cluster.ids) do
    if self.cluster.processes[id] then self.cluster.processes[id]:kill() end
  end
  for _, id in ipairs(self.cluster.ids) do kill(self, id) end
  for _, id in ipairs(self.cluster.ids) do lose(self, id) end
end

-- Until all serve: those that are killed while they start are started again.
local function start_all(self)
  repeat
    local all = true
    for _, id in ipairs(self.cluster.ids) do
      if not self.cluster.processes[id] then self.cluster:spawn(id) end
    end
    for _, id in ipairs(self.cluster.ids) do
      if not serves(self, id) then
        kill(self, id)
        lose(self, id)
        all = false
      end
    end
    self.suicides = self.suicides and all
  until all
end

-- ---- the check ----

local function check_history(history)
  local verdict, why = linear.check(history)
  if verdict ~= "pass" then error("not linearizable: " .. (why or verdict), 0) end
end

local function same_state(self)
  local first
  local function same()
    first = nil
    for _, id in ipairs(self.cluster.ids) do
      local status = self.cluster:status(id)
      local state = status and ("%d %s"):format(status.last_applied, status.state_digest)
      if not state or first and state ~= first then return false end
      first = state
    end
    return true
  end
  local ok = task.wait_until(same, SAME_STATE_MS)
  if not ok then error("the nodes do not come to the same state", 0) end
end

local function check_ledger(self, id, ledger)
  local client <close> = self.cluster:client(id)
  local keys = {}
  for key in pairs(ledger) do keys[#keys + 1] = key end
  for first = 1, #keys, MGET_KEYS do
    local part = table.move(keys, first, math.min(first + MGET_KEYS - 1, #keys), 1, {})
    local result = assert(client:mget(part))
    for _, key in ipairs(part) do
      if result.values[key] ~= ledger[key] then
        error(("%s: acknowledged, and lost: %s is %s"):format(id, key, result.values[key] or "missing"), 0)
      end
    end
  end
end

-- The values that a history ends with are what the next one starts from.
local function as_history(values)
  local history = {}
  for key, value in pairs(values) do
    history[#history + 1] = {
      client = "before", kind = "put", key = key, value = value, outcome = "ok", called = 0, returned = 1,
    }
  end
  return history
end

local function check(self, load)
  local values
  for _, id in ipairs(self.cluster.ids) do values = load:read_all(id, load.history) end
  check_history(load.history)
  same_state(self)
  for key, value in pairs(load.ledger) do
    self.ledger[key] = value
    self.figures.acknowledged = self.figures.acknowledged + 1
  end
  for _, id in ipairs(self.cluster.ids) do check_ledger(self, id, load.ledger) end
  self.history = as_history(values)
end

-- ---- a round ----

-- A node that was away while the others went on, perhaps further than their logs reach back.
local function send_away(self)
  if #self.cluster.ids == 1 or math.random(2) == 1 then return end
  local id <const> = one_of(self.cluster.ids)
  kill(self, id)
  lose(self, id)
  pause(LOAD_MS)
  self.cluster:spawn(id)
end

-- On empty directories.
local function begin_anew(self)
  kill_all(self)
  self.generation = self.generation + 1
  self.ledger, self.history = {}, {}
end

local function round(self, number)
  if number > 1 and math.random(3) == 1 then begin_anew(self) end
  self.suicides = self.disk and math.random(2) == 1
  start_all(self)
  local load <close> = clients.start {
    cluster = self.cluster, count = CLIENTS, name = ("r%d"):format(number), history = self.history,
  }
  pause(LOAD_MS)
  send_away(self)
  kill_all(self)
  if math.random(3) == 1 then -- and again, while they start
    for _, id in ipairs(self.cluster.ids) do self.cluster:spawn(id) end
    pause { 0, 60 }
    kill_all(self)
  end
  self.suicides = false
  start_all(self)
  pause(AFTER_MS)
  load:finish()
  check(self, load)
  self.figures.operations = self.figures.operations + load.operations
  if math.random(2) == 1 then kill_all(self) end
end

--- Plays rounds.
-- @tparam table spec size (1 or 3), rounds, lossy (true: on disks that lose what was not synced), seed, folder (for the
-- data; /tmp)
-- @treturn table figures: operations, acknowledged (writes of keys of their own), kills, lost (changes that no sync
-- covered)
function M.run(spec)
  math.randomseed(spec.seed)
  local folder <close> = lossy.folder(spec.folder)
  local disk <const> = lossy.disk(folder.path)
  local self = setmetatable({
    data = disk.below, disk = spec.lossy and disk or nil, ledger = {}, history = {}, generation = 1,
    figures = { operations = 0, acknowledged = 0, kills = 0, lost = 0 },
  }, Run)
  local c <close> = cluster.start {
    size = spec.size, idle = true, options = function(id) return options_of(self, id) end,
    env = function(id) return env_of(self, id) end,
  }
  self.cluster = c
  for number = 1, spec.rounds do
    local ok, why = pcall(round, self, number)
    if not ok then error(("round %d of seed %d: %s"):format(number, spec.seed, why), 0) end
  end
  start_all(self)
  check_ledger(self, c:wait_leader(), self.ledger)
  return self.figures
end

return M
