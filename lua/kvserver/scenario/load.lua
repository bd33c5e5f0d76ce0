--- Load in a scenario: clients that read and write a few keys, one operation after the other, until they are stopped.
local client = require "kvserver.scenario.client"
local duration = require "kvserver.scenario.duration"
local sim = require "kvserver.sim"

local M = {}

local Load = {}
Load.__index = Load

local MIX <const> = { put = 5, get = 3, cas = 2 }
local KINDS <const> = { "put", "get", "cas", "delete", "mput", "mget" }
local THINK <const> = "10ms"
local MULTI_KEYS <const> = 3
local ASYNC <const> = { mode = "async" }

local function draw_kind(random, mix)
  local sum = 0
  for _, kind in ipairs(KINDS) do sum = sum + (mix[kind] or 0) end
  local at = random(sum)
  for _, kind in ipairs(KINDS) do
    at = at - (mix[kind] or 0)
    if at <= 0 then return kind end
  end
end

local function check_mix(mix)
  local known, sum = {}, 0
  for _, kind in ipairs(KINDS) do known[kind] = true end
  for kind, weight in pairs(mix) do
    if not known[kind] then
      error(("mix: expected %s, got %s"):format(table.concat(KINDS, ", "), tostring(kind)), 3)
    end
    sum = sum + weight
  end
  if sum <= 0 then error("mix: nothing to do", 3) end
end

-- What a client does; `known` is what it saw last of each key, for its next cas.
local Worker = {}
Worker.__index = Worker

function Worker:key()
  return self.load.prefix .. self.random(self.load.keys)
end

function Worker:keys()
  local list, seen = {}, {}
  for _ = 1, math.min(MULTI_KEYS, self.load.keys) do
    local key <const> = self:key()
    if not seen[key] then list[#list + 1] = key end
    seen[key] = true
  end
  return list
end

-- No value is ever written twice.
function Worker:value()
  self.written = self.written + 1
  return self.client.name .. "-" .. self.written
end

-- Of the next write: asynchronous now and then.
function Worker:mode()
  local share <const> = self.load.async
  return share > 0 and self.random() < share and ASYNC or nil
end

-- What became of a write, asynchronous or not.
function Worker:settle(result)
  return result.op_id and self.client:outcome(result, { within = self.load.timeout }) or result
end

local act = {}

function act.put(self)
  local key <const>, value <const> = self:key(), self:value()
  if self:settle(self.client:put(key, value, self:mode())).outcome == "ok" then self.known[key] = value end
end

function act.get(self)
  local key <const> = self:key()
  local result <const> = self.client:get(key)
  if result.outcome == "ok" then self.known[key] = result.value end
end

function act.cas(self)
  local key <const>, value <const> = self:key(), self:value()
  local result <const> = self:settle(self.client:cas(key, self.known[key] or "", value, self:mode()))
  if result.outcome == "ok" and result.ok then self.known[key] = value end
end

function act.delete(self)
  local key <const> = self:key()
  local result <const> = self:settle(self.client:delete(key, self:mode()))
  if result.outcome == "ok" and result.ok then self.known[key] = nil end
end

function act.mput(self)
  local entries = {}
  for i, key in ipairs(self:keys()) do entries[i] = { key = key, value = self:value() } end
  self:settle(self.client:mput(entries, self:mode()))
end

function act.mget(self)
  self.client:mget(self:keys())
end

local function work(self)
  while not self.load.stopped do
    act[draw_kind(self.random, self.load.mix)](self)
    self.load.operations = self.load.operations + 1
    self.client.world:sleep(self.random() * 2 * self.load.think_ms)
  end
end

--- Starts clients that put load on the cluster, until they are stopped.
-- @verb c:load{clients=8, keys=16, mix={put=5, get=3, cas=2}, async=0, read=, retry=,
-- think="10ms"}
-- @tparam table cluster
-- @tparam[opt] table options clients, keys (how many), mix (how often put, get, cas, delete, mput, mget), async (how
-- many of the writes are asynchronous, 0 to 1: who sent one asks for its outcome), think (the pause behind an
-- operation, on average), and those of c:client
-- @return the load: `history` (of the cluster), `:stop()`, `:stats()`
function M.start(cluster, options)
  options = options or {}
  local mix <const> = options.mix or MIX
  check_mix(mix)
  cluster.loads_count = (cluster.loads_count or 0) + 1
  local self = setmetatable({
    cluster = cluster, history = cluster.history, keys = options.keys or 16, mix = mix, async = options.async or 0,
    timeout = options.timeout, operations = 0, workers = {},
    think_ms = duration.ms(options.think, THINK), prefix = options.prefix or "k", from = cluster.world:now(),
  }, Load)
  for i = 1, options.clients or 8 do
    local seed <const> = cluster.world.seed * 10000 + cluster.loads_count * 1000 + i
    local worker = setmetatable({
      load = self, random = sim.prng(seed), known = {}, written = 0,
      client = client.new(cluster, { read = options.read, retry = options.retry, timeout = options.timeout }),
    }, Worker)
    self.workers[i] = cluster.world:spawn(work, worker)
  end
  cluster.say("%d clients begin to read and write %d keys", #self.workers, self.keys)
  return self
end

--- No client begins another operation; waits for those under way.
-- @verb load:stop()
function Load:stop()
  if self.stopped then return end
  self.stopped = self.cluster.world:now()
  for _, worker in ipairs(self.workers) do worker:join() end
  local counts <const> = self.history:counts()
  self.cluster.say("the clients stop after %d operations: %d answered, %d not done, %d unknown", #self.history,
    counts.ok, counts.fail, counts.unknown)
end

--- What was done so far.
-- @verb load:stats()
-- @treturn table operations, per_s, ok, fail, unknown
function Load:stats()
  local stats = self.history:counts()
  stats.operations = self.operations
  stats.per_s = self.operations * 1000 / math.max(1, (self.stopped or self.cluster.world:now()) - self.from)
  return stats
end

return M
