--- One seed of the campaign: a world, its load, its faults, and what must hold in the end.
--
--     local result = require("kvserver.sim.seed").run(17)
--     if not result.ok then print(result.why) end
--
-- Phases, in virtual time: a leader comes up; faults, with one leader killed on purpose; everything is healed and there
-- must be progress within a bound; nothing happens, and the term must not change; the load ends, and all nodes and the
-- clients' histories must agree.
local linear = require "kvserver.linear"
local nemesis = require "kvserver.sim.nemesis"
local sim = require "kvserver.sim"

local M = {}

local END_MS <const> = 60000
local HEAL_MS <const> = 42000     -- the faults end
local PROGRESS_MS <const> = 10000 -- from then on
local SETTLE_MS <const> = 3000    -- before the calm: what storms held up still arrives
local CALM_MS <const> = 4000
local FIRST_LEADER_MS <const> = 10000
local DRAIN_MS <const> = 3000     -- for the last answers

local function draw_config(random, seed)
  local draw = random(20)
  local nodes = draw <= 9 and 3 or draw <= 18 and 5 or 4
  local net = {
    delay_us = random(50, 3000), jitter_us = random(100, 10000), loss = random(2) == 1 and 0.02 * random() or 0,
    duplicate = random(2) == 1 and 0.05 * random() or 0, reorder = random(2) == 1 and random() or 0,
    tail = random(3) == 1 and 0.01 * random() or 0, tail_us = 1000000,
  }
  return {
    nodes = nodes, seed = seed, inflight_max = random(2) == 1 and random(4) or 16,
    message_bytes_max = 1 << random(7, 16), defer = 0.5 * random(), sync_us = random(100, 8000), net = net,
  }
end

local function draw_load(random)
  return {
    clients = random(8, 16), nameless = random(0, 2), keys = random(4, 16), think_ms = random(20, 200),
    timeout_ms = random(500, 4000), value_bytes_max = random(4) == 1 and 4096 or 256,
    mix = {
      put = random(10, 40), get = random(10, 40), cas = random(5, 30), delete = random(0, 15), mget = random(0, 15),
    },
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

-- Goes on until the condition holds.
function Seed:await(ms, what, condition)
  local held, violation = self.world:run(ms, condition)
  if held == nil then fail("%s", violation) end
  if not held then fail("liveness: %s within %d ms, by %.0f ms", what, ms, self.world:now()) end
end

local function highest_term(self)
  local term = 0
  for node = 1, self.nodes do term = math.max(term, self.world:status(node).term or 0) end
  return term
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
  must(bad:run(self.random(8000, 25000)))
  kill_a_leader(self, bad)
  must(bad:run(math.max(0, HEAL_MS - self.world:now())))
  bad:stop()
end

local function progress(self)
  local before = self.world:stats()
  self:await(PROGRESS_MS, "no leader and no acknowledged write", function()
    return self.world:leader() ~= nil and self.world:stats().acked_writes > before.acked_writes
  end)
  local commits = self.world:stats().commits
  self:await(PROGRESS_MS, "not every node applied what was committed", function()
    return applied_everywhere(self, commits)
  end)
end

local function calm(self)
  self:go(SETTLE_MS)
  local term, acked = highest_term(self), self.world:stats().acked_writes
  self:go(CALM_MS)
  if highest_term(self) ~= term then
    fail("calm: the term went from %d to %d though nothing happened", term, highest_term(self))
  end
  if self.world:stats().acked_writes == acked then fail("calm: no write was acknowledged") end
end

local function agreement(self)
  self:go(math.max(0, END_MS - DRAIN_MS - self.world:now()))
  self.world:stop_load()
  self:go(math.max(0, END_MS - self.world:now()))
  local first = self.world:status(1)
  for node = 2, self.nodes do
    local status = self.world:status(node)
    if status.last_applied ~= first.last_applied or status.state_digest ~= first.state_digest then
      fail("n%d and n1 differ in the end: index %d and %d", node, status.last_applied, first.last_applied)
    end
  end
end

local function history(self)
  local verdict, why = linear.check_world(self.world)
  if verdict == "fail" then fail("not linearizable: %s", why) end
  return verdict
end

-- A seed in which nothing happened proves nothing.
local function worth(self)
  local stats = self.world:stats()
  local count = 0
  for _, times in pairs(stats.faults) do count = count + times end
  if stats.acked_writes == 0 then fail("empty: no write was acknowledged") end
  if stats.leader_changes == 0 then fail("empty: the leader never changed") end
  if count == 0 or not self.killed then fail("empty: nothing went wrong") end
end

local function play(self)
  first_leader(self)
  self.world:load(draw_load(self.random))
  faults(self)
  progress(self)
  calm(self)
  agreement(self)
  worth(self)
  return history(self)
end

--- Runs a seed.
-- @tparam integer number the seed
-- @tparam[opt] integer trace records of the trace to return with a failure
-- @treturn table `ok`, `why` (of a failure), `trace`, `verdict` of the history, `stats`, `digest`, `virtual_ms`,
-- `cpu_s`
function M.run(number, trace)
  local started <const> = os.clock()
  local random = sim.prng(number)
  local config = draw_config(random, number)
  local world <close> = sim.world(config)
  local self = setmetatable({ world = world, nodes = config.nodes, net = config.net, random = random }, Seed)
  local ok, outcome = pcall(play, self)
  if not ok and type(outcome) ~= "table" then error(outcome, 0) end
  return {
    ok = ok, why = not ok and outcome.why or nil, verdict = ok and outcome or nil, stats = world:stats(),
    digest = world:digest(), virtual_ms = world:now(), cpu_s = os.clock() - started,
    trace = not ok and trace and world:trace(trace) or nil,
  }
end

return M
