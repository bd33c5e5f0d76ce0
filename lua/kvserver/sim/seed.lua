--- One seed of the campaign: a world, its load, its faults, and what must hold in the end.
--
--     local result = require("kvserver.sim.seed").run(17)
--     if not result.ok then print(result.why) end
--
-- Phases, in virtual time: a leader comes up; faults, with one leader killed on purpose; everything is healed and there
-- must be progress within a bound; a minority goes, and the others must make progress without it; all is well, but for
-- a follower that goes and comes back, and the term must not change; the leader is cut off and must step down in time;
-- the load ends, every request has its answer, and all is calm again; all nodes and the clients' histories must agree.
local linear = require "kvserver.linear"
local nemesis = require "kvserver.sim.nemesis"
local sim = require "kvserver.sim"
local task = require "kvserver.task"

local M = {}

local END_MS <const> = 60000
local HEAL_MS <const> = 38000     -- the faults end
local PROGRESS_MS <const> = 10000 -- within which there must be progress
local SETTLE_MS <const> = 3000    -- before the calm: what storms held up still arrives
local AWAY_MS <const> = 1500      -- the follower, in the calm
local CALM_MS <const> = 2500      -- from its return on
local QUIET_MS <const> = 54000    -- the clients stop
local STEP_DOWN_MS <const> = 800  -- election_min_ms and a heartbeat by the slowest clock, and what is under way
local FIRST_LEADER_MS <const> = 10000
local DRAIN_MS <const> = 2000     -- for the last answers
local LOG_SLACK <const> = 500          -- entries beside what the thresholds say
local SEGMENTS_MAX <const> = 8         -- of a log, spares included
local DISK_BYTES_SLACK <const> = 200000

-- In one seed of five there are no snapshots; in the others, they are taken and sent all the time.
local function draw_storage(random, config)
  config.segment_bytes = 1 << random(13, 18)
  config.cache_bytes = 1 << random(9, 16)
  config.snapshot_threshold = random(5) == 1 and 0 or random(4) == 1 and random(100, 500) or random(10, 60)
  config.snapshot_tail = random(3) == 1 and 0 or random(60)
  config.install_bytes = 1 << random(7, 13)
  return config
end

local function draw_config(random, seed)
  local draw = random(20)
  local nodes = draw <= 9 and 3 or draw <= 18 and 5 or 4
  local net = {
    delay_us = random(50, 3000), jitter_us = random(100, 10000), loss = random(2) == 1 and 0.02 * random() or 0,
    duplicate = random(2) == 1 and 0.05 * random() or 0, reorder = random(2) == 1 and random() or 0,
    tail = random(3) == 1 and 0.01 * random() or 0, tail_us = 1000000,
  }
  return draw_storage(random, {
    nodes = nodes, seed = seed, inflight_max = random(2) == 1 and random(4) or 16,
    message_bytes_max = 1 << random(7, 16), defer = 0.5 * random(), sync_us = random(100, 8000), net = net,
  })
end

local function draw_load(random)
  return {
    clients = random(8, 16), nameless = random(0, 2), keys = random(4, 16), think_ms = random(20, 200),
    timeout_ms = random(500, 4000), value_bytes_max = random(4) == 1 and 4096 or 256,
    mix = {
      put = random(10, 40), get = random(10, 40), cas = random(5, 30), delete = random(0, 15), mget = random(0, 15),
    },
    async = random(3) == 1 and random() or 0, -- of the writes
  }
end

local Seed = {}
Seed.__index = Seed

-- Ends the seed: caught by run.
local function fail(why, ...)
  error({ why = why:format(...) }, 0)
end

local function must(ok, violation)
  if not ok then fail("%s", violation) end
end

function Seed:go(ms)
  must(self.world:run(ms))
end

-- Goes on until the condition holds. It is asked from inside the world's run, where a script's time is bounded: so that
-- what was run before does not count, this steps aside first.
function Seed:await(ms, what, condition)
  task.yield()
  local held, violation = self.world:run(ms, condition)
  if held == nil then fail("%s", violation) end
  if not held then fail("liveness: %s within %d ms, by %.0f ms", what, ms, self.world:now()) end
end

local function highest_term(self)
  local term = 0
  for node = 1, self.nodes do term = math.max(term, self.world:status(node).term or 0) end
  return term
end

local function all_proven(self)
  for node = 1, self.nodes do
    if not self.world:status(node).proven then return false end
  end
  return true
end

-- All nodes have applied up to `index`.
local function applied_everywhere(self, index)
  for node = 1, self.nodes do
    if (self.world:status(node).last_applied or 0) < index then return false end
  end
  return true
end

-- ---- the phases ----

local function first_leader(self)
  self:await(FIRST_LEADER_MS, "no first leader", function() return self.world:leader() ~= nil end)
end

local function kill_a_leader(self, bad)
  while self.world:now() < HEAL_MS do
    local leader = self.world:leader()
    if leader and self.world:crash(leader) then
      must(bad:run(self.random(300, 3000)))
      self.world:restart(leader)
      self.killed = true
      return
    end
    must(bad:run(50))
  end
end

local function faults(self)
  local bad = nemesis.new(self.world, self.nodes, self.net)
  self.tried = bad.counts
  must(bad:run(self.random(8000, 25000)))
  kill_a_leader(self, bad)
  must(bad:run(math.max(0, HEAL_MS - self.world:now())))
  bad:stop()
end

local function some_progress(self)
  local before = self.world:stats()
  self:await(PROGRESS_MS, "no leader, or no acknowledged write or no answered read", function()
    local now = self.world:stats()
    return self.world:leader() ~= nil and now.acked_writes > before.acked_writes
      and now.answered_reads > before.answered_reads
  end)
end

local function progress(self)
  some_progress(self)
  local commits = self.world:stats().commits
  self:await(PROGRESS_MS, "not every node is a full member and applied what was committed", function()
    return applied_everywhere(self, commits) and all_proven(self)
  end)
end

-- Ways for a node to be away; each returns how it comes back.
local ways_to_go <const> = {
  function(world, node) -- down
    if world:crash(node) then return function() world:restart(node) end end
  end,
  function(world, node) -- paused
    if world:pause(node) then return function() world:resume(node) end end
  end,
  function(world, node) -- cut off
    for other = 1, world:stats().nodes do
      world:cut(node, other)
      world:cut(other, node)
    end
    return function() world:heal() end
  end,
  function(world, node) -- deaf
    for other = 1, world:stats().nodes do world:cut(other, node) end
    return function() world:heal() end
  end,
  function(world, node) -- mute
    for other = 1, world:stats().nodes do world:cut(node, other) end
    return function() world:heal() end
  end,
}

local function send_away(self, node)
  return ways_to_go[self.random(#ways_to_go)](self.world, node)
end

-- A minority goes, for one time in two with the leader. Whoever leads then may be told to hand over to one of them, and
-- must not wait for it for long.
local function without_a_minority(self)
  local first = self.random(2) == 1 and self.world:leader() or self.random(self.nodes)
  local returns = {}
  for i = 0, (self.nodes - 1) // 2 - 1 do
    returns[#returns + 1] = send_away(self, (first + i - 1) % self.nodes + 1)
  end
  some_progress(self)
  if self.random(4) == 1 then
    self.world:transfer(self.world:leader(), first)
    some_progress(self)
  end
  self:go(self.random(2000))
  some_progress(self)
  for _, come_back in ipairs(returns) do come_back() end
end

-- Without writes, the follower that was away is as good a candidate as any when it comes back.
local function calm(self)
  local leader, term = self.world:leader(), highest_term(self)
  if not leader then fail("calm: no leader") end
  local come_back = send_away(self, (leader - 1 + self.random(self.nodes - 1)) % self.nodes + 1)
  self:go(AWAY_MS)
  come_back()
  self:go(CALM_MS)
  if highest_term(self) ~= term or self.world:leader() ~= leader then
    fail("calm: the term went from %d to %d though no leader was disturbed", term, highest_term(self))
  end
end

local function busy_calm(self)
  self:go(SETTLE_MS)
  local acked = self.world:stats().acked_writes
  calm(self)
  if self.world:stats().acked_writes == acked then fail("calm: no write was acknowledged") end
end

-- A leader that does not hear a quorum any more must not lead for long: clients go elsewhere.
local function step_down(self)
  local leader = self.world:leader()
  for node = 1, self.nodes do self.world:cut(node, leader) end
  self:await(STEP_DOWN_MS, "a leader that hears nobody did not step down", function()
    return self.world:status(leader).role ~= "leader"
  end)
  self:go(self.random(500))
  self.world:heal()
  progress(self)
end

local function quiet(self)
  self:go(math.max(0, QUIET_MS - self.world:now()))
  self.world:stop_load()
  self:go(DRAIN_MS)
  local unanswered = self.world:stats().unanswered
  if unanswered > 0 then fail("liveness: %d requests are never answered", unanswered) end
  calm(self)
end

local function agreement(self)
  self:go(math.max(0, END_MS - self.world:now()))
  local first = self.world:status(1)
  for node = 2, self.nodes do
    local status = self.world:status(node)
    if status.last_applied ~= first.last_applied or status.state_digest ~= first.state_digest then
      fail("n%d and n1 differ in the end: index %d and %d", node, status.last_applied, first.last_applied)
    end
  end
end

-- What is behind a snapshot goes, but for its tail; and a log that is as small as the snapshot may wait.
local function bounded(self)
  local config <const> = self.config
  if config.snapshot_threshold == 0 then return end
  for node = 1, self.nodes do
    local status <const> = self.world:status(node)
    local entries <const> = status.last_index - status.first_index + 1
    if entries > config.snapshot_threshold + config.snapshot_tail + LOG_SLACK then
      fail("bounds: n%d keeps %d entries of its log", node, entries)
    end
    if status.disk_bytes > DISK_BYTES_SLACK + SEGMENTS_MAX * config.segment_bytes then
      fail("bounds: n%d keeps %d bytes on its disk", node, status.disk_bytes)
    end
  end
end

local function history(self)
  local verdict, why = linear.check_world(self.world)
  if verdict == "fail" then fail("not linearizable: %s", why) end
  return verdict
end

--- A seed in which nothing happened proves nothing.
-- @tparam table stats of the world
-- @tparam boolean killed whether a leader was killed on purpose
-- @treturn ?string what did not happen
function M.emptiness(stats, killed)
  if stats.acked_writes == 0 then return "no write was acknowledged" end
  if stats.answered_reads == 0 then return "no read was answered" end
  if stats.leader_changes == 0 then return "the leader never changed" end
  if stats.messages == 0 then return "no message arrived" end
  if not killed then return "no leader was killed" end
  return nil
end

local function worth(self)
  local missing <const> = M.emptiness(self.world:stats(), self.killed)
  if missing then fail("empty: %s", missing) end
end

local function play(self)
  first_leader(self)
  self.world:load(draw_load(self.random))
  faults(self)
  progress(self)
  without_a_minority(self)
  progress(self)
  busy_calm(self)
  step_down(self)
  quiet(self)
  agreement(self)
  bounded(self)
  worth(self)
  return history(self)
end

--- Runs a seed.
-- @tparam integer number the seed
-- @tparam[opt] integer trace records of the trace to return with a failure
-- @treturn table `ok`, `why` (of a failure), `trace`, `verdict` of the history, `stats`, `tried` (what the nemesis
-- did), `digest`, `virtual_ms`, `cpu_s`
function M.run(number, trace)
  local started <const> = os.clock()
  local random = sim.prng(number)
  local config = draw_config(random, number)
  local world <close> = sim.world(config)
  local self = setmetatable({
    world = world, config = config, nodes = config.nodes, net = config.net, random = random,
  }, Seed)
  local ok, outcome = pcall(play, self)
  if not ok and type(outcome) ~= "table" then error(outcome, 0) end
  return {
    ok = ok, why = not ok and outcome.why or nil, verdict = ok and outcome or nil, stats = world:stats(),
    tried = self.tried or {}, digest = world:digest(), virtual_ms = world:now(), cpu_s = os.clock() - started,
    trace = not ok and trace and world:trace(trace) or nil,
  }
end

return M
