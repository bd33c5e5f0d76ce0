--- The simulated world behind the scenario language: nodes of the real code in virtual time (kvserver.sim).
--
-- What every world has is described in kvserver.world.
local log = require "kvserver.log"
local sim = require "kvserver.sim"
local virtual = require "kvserver.scenario.virtual"

local M = {}

local World = {}
World.__index = World

-- Options of a node that mean something here, as kvserver.sim has them.
local CONFIG <const> = {
  heartbeat_ms = "heartbeat_ms", segment_bytes = "segment_bytes", snapshot_threshold = "snapshot_threshold",
  async_result_ttl = "async_result_ttl",
}
local NET <const> = { delay = "delay_us", jitter = "jitter_us", drop = "loss", dup = "duplicate", reorder = "reorder" }
local US_PER_MS <const> = 1000
local POLL_MS <const> = 1
local TRACE_RECORDS <const> = 4096
local HAND_OVER_MS <const> = 600 -- a real node takes an election timeout for it, at most
local TAIL_SHARE <const> = 10 -- of what leads to a snapshot, which stays in the log behind it: as in real nodes
local REPORT_RECORDS <const> = 1 << 20 -- kept for a report; some minutes of a busy world
local BATCH_RECORDS <const> = 1000

local SUPPORTED <const> = {
  lose_unsynced = true, pause = true, wipe = true, clock = true, ["net.cut"] = true, ["net.link"] = true,
  ["net.drop_next"] = true, ["net.hold"] = true, ["disk.full"] = true, ["disk.slow"] = true,
  ["disk.fail_fsync"] = true, ["disk.torn_next"] = true, ["disk.flip"] = true, raft_log = true, transfer = true,
}
local MISSING <const> = {
  http = "simulated nodes speak no HTTP", log = "simulated nodes write no log",
}

local function world_config(spec)
  local config = { nodes = spec.nodes, seed = spec.seed }
  for key, value in pairs(spec.config or {}) do
    if CONFIG[key] then config[CONFIG[key]] = value end
    if key == "election_ms" then
      local min, max = value:match("^(%d+)%-(%d+)$")
      config.election_min_ms, config.election_max_ms = math.tointeger(min), math.tointeger(max)
    end
  end
  config.snapshot_tail = config.snapshot_threshold and config.snapshot_threshold // TAIL_SHARE
  return config
end

--- Makes a world whose nodes do not run yet.
-- @tparam table spec nodes (how many), seed, config
-- @return the world
function M.open(spec)
  log.configure("none", "logfmt") -- its lines would have the time of another world
  local self = setmetatable({
    name = "sim", virtual = true, seed = spec.seed, ids = {}, numbers = {}, torn = {}, starts = {},
    inner = sim.world(world_config(spec)),
  }, World)
  for i = 1, spec.nodes do
    self.ids[i] = "n" .. i
    self.numbers["n" .. i] = i
    self.starts["n" .. i] = 1 -- simulated nodes run from the beginning on
  end
  if spec.directory then self.inner:keep_trace(REPORT_RECORDS) end
  self.tasks = virtual.new {
    now = function() return self.inner:now() end,
    advance = function(ms) return self.inner:run(ms, "answer") end,
    answered = function() return self.inner:answered() end,
  }
  return self
end

--- @treturn boolean whether this world has a fault or a view
-- @treturn ?string why not
function World.can(_, feature)
  return SUPPORTED[feature] == true, MISSING[feature] or "no simulated node has it"
end

-- ---- time ----

function World:now()
  return self.inner:now()
end

function World:spawn(f, ...)
  return self.tasks:spawn(f, ...)
end

function World:sleep(ms)
  self.tasks:wait { at = self:now() + ms }
end

-- The condition is asked every millisecond; it may wait, too.
function World:wait_until(condition, ms)
  local deadline <const> = self:now() + ms
  while true do
    local value <const> = condition()
    if value then return value end
    if self:now() >= deadline then return nil end
    self.tasks:wait { at = math.min(deadline, self:now() + POLL_MS) }
  end
end

function World:run(f)
  return self.tasks:run(f)
end

--- Ends the main task with an error, once.
function World:fail(why)
  self.tasks.failure = self.tasks.failure or why
end

--- How many events there were.
function World:events()
  return self.inner:stats().events
end

--- Stands still in front of an event, once.
-- @tparam integer event its number
-- @tparam function f called then
function World:stop_at(event, f)
  self.inner:stop_at(event)
  self.tasks.on_stop = function()
    self.inner:stop_at(nil)
    f()
  end
end

--- While it stands still: lets so many events happen, and whoever acts upon them act.
-- @tparam integer count
-- @treturn integer how many did
-- @treturn ?string the check that failed then
function World:step(count)
  local before <const>, outer <const>, spec = self:events(), self.tasks.on_stop, {}
  self.inner:stop_at(before + count + 1)
  self.tasks.on_stop = function() self.tasks:settle(spec) end
  pcall(self.tasks.wait, self.tasks, spec) -- a failure is kept, and ends the story
  self.tasks.on_stop = outer
  self.inner:stop_at(nil)
  return self:events() - before, self:violation()
end

-- ---- nodes ----

function World:start(id)
  local state <const> = self:state(id)
  if state == "up" or state == "paused" then return true end
  self.starts[id] = self.starts[id] + 1
  local ok, why = self.inner:restart(self.numbers[id])
  return ok, why and why:match "^refused: (.*)"
end

-- Who comes first in the log of those that could lead instead.
local function successor(self, id)
  local best
  for _, other in ipairs(self.ids) do
    local status <const> = other ~= id and self:status(other)
    if status and (not best or status.last_index > best.last_index) then best = status end
  end
  return best and best.id
end

-- A clean stop: nothing that was asked for is lost, and a leader hands over first, if somebody is there.
function World:stop(id)
  local function leads()
    local status <const> = self:status(id)
    return status and status.role == "leader"
  end
  local heir <const> = leads() and successor(self, id)
  if heir and self:transfer(id, heir) then self:wait_until(function() return not leads() end, HAND_OVER_MS) end
  self.inner:kill(self.numbers[id], "done")
end

function World:kill(id, how)
  if not how.lose_unsynced then
    self.inner:kill(self.numbers[id])
  else
    self.inner:crash(self.numbers[id], self.torn[id] and "cut_short" or "not_begun")
    self.torn[id] = nil
  end
end

function World:pause(id)
  self.inner:pause(self.numbers[id])
end

function World:resume(id)
  self.inner:resume(self.numbers[id])
end

function World:wipe(id)
  return self.inner:wipe(self.numbers[id])
end

--- "up", "paused", "down", or "dead" (it ended by itself) and why.
function World:state(id)
  local state <const> = self.inner:state(self.numbers[id])
  if state == "failed" then return "dead", "its storage failed" end
  return state
end

--- The node that leads in the highest term, and that term; nil when there is none.
function World:leader()
  local number <const> = self.inner:leader()
  if not number then return nil end
  return self.ids[number], self.inner:status(number).term
end

function World:status(id)
  if self.inner:state(self.numbers[id]) ~= "up" then return nil end
  local status = self.inner:status(self.numbers[id])
  status.id, status.starts = id, self.starts[id]
  return status
end

--- Whether it is fit for work, as `GET /readyz` says: a full member that knows a leader.
function World:ready(id)
  local status <const> = self:status(id)
  return status ~= nil and not status.not_ready and status.leader_hint.leader_id ~= ""
end

function World:raft_log(id, from, to)
  return self.inner:raft_log(self.numbers[id], from, to)
end

function World:transfer(id, to)
  return self.inner:transfer(self.numbers[id], self.numbers[to])
end

-- ---- requests ----

local function by_key(keys, list)
  local values = {}
  for i, key in ipairs(keys) do values[key] = list[i] or nil end
  return values
end

--- One request at one node, without retries.
-- @tparam string id
-- @tparam table op op, key, ... as of a command; mode, read, min_index; or op = "operation" and op_id
-- @tparam number timeout_ms
-- @treturn ?table the answer as of kvserver.client; or nil and "connect", "timeout" or "closed"
function World:operate(id, op, timeout_ms)
  local request = {}
  for name, value in pairs(op) do request[name] = value end
  request.policy, request.read = op.read, nil
  local number <const> = self.inner:submit(self.numbers[id], request, timeout_ms // 1 | 0)
  self.tasks:wait { key = number }
  local answer = self.inner:outcome(number, true)
  if answer.failure then return nil, answer.failure end
  if op.op == "mget" and answer.ok then answer.values = by_key(op.keys, answer.values) end
  return answer
end

-- ---- faults ----

local function between(self, from, to)
  return self.numbers[from], self.numbers[to]
end

function World:cut(from, to)
  self.inner:cut(between(self, from, to))
end

function World:mend(from, to)
  self.inner:mend(between(self, from, to))
end

function World:link(from, to, options)
  local net = {}
  for name, value in pairs(options or {}) do
    local time <const> = name == "delay" or name == "jitter"
    net[NET[name]] = time and value * US_PER_MS // 1 | 0 or value
  end
  self.inner:net(net, between(self, from, to))
end

function World:drop_next(from, to, kind)
  local a, b = between(self, from, to)
  self.inner:drop_next(a, b, kind)
end

function World:hold(from, to, kind)
  local a, b = between(self, from, to)
  self.inner:hold(a, b, kind)
end

function World:release(from, to)
  self.inner:release(between(self, from, to))
end

--- How a disk behaves from now on: full, slow_ms, fail_sync, torn_next; what is absent is as usual.
function World:disk(id, state)
  local n <const> = self.numbers[id]
  self.inner:leave_room(n, state.full and 0 or nil)
  self.inner:slow_disk(n, state.slow_ms or 0)
  self.torn[id] = state.torn_next
  if state.fail_sync then self.inner:fail_disk(n, { call = "sync" }) end
end

--- One bit of one file of a node that is down; its name, nil when there is none.
function World:flip(id, pattern)
  return self.inner:flip(self.numbers[id], pattern)
end

function World:clock(id, rate)
  self.inner:clock_rate(self.numbers[id], rate)
end

-- ---- the end ----

--- What happened, as text, the newest last.
function World:trace()
  return self.inner:trace(TRACE_RECORDS)
end

local function to_report(self, record)
  return {
    event = record.event, at_ms = record.at_us / US_PER_MS, kind = record.kind, node = self.ids[record.node],
    peer = self.ids[record.peer], text = record.text,
  }
end

--- What happened, for a report: all of it in a world with a directory, else the newest 4096.
-- @treturn function an iterator of tables: event (its number), at_ms, kind ("append", "turn", "crash", ...), node, peer
-- (ids, if any), text; where earlier ones are gone, the first says so: kind "lost"
function World:records()
  local number, place, batch, lost = 0, 0, {}, false
  return function()
    place = place + 1
    if place > #batch then
      batch, lost = self.inner:trace_after(number, BATCH_RECORDS)
      place = 1
    end
    local record <const> = batch[place]
    if not record then return nil end
    if lost then
      lost, place = false, 0
      return { event = record.event, at_ms = record.at_us / US_PER_MS, kind = "lost", text = "what was before is gone" }
    end
    number = record.number
    return to_report(self, record)
  end
end

function World:digest()
  return self.inner:digest()
end

--- The check that failed, of those after every event.
function World:violation()
  return self.inner:violation()
end

function World:close()
  self.tasks:close()
  self.inner:close()
end

World.__close = World.close

return M
