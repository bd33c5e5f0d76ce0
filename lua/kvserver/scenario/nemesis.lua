--- Faults at random in a scenario, in every way its world has, until it is stopped.
local duration = require "kvserver.scenario.duration"
local sim = require "kvserver.sim"

local M = {}

local Nemesis = {}
Nemesis.__index = Nemesis

local CALM_WITHIN <const> = "30s"
local EVERY <const> = "2s"
local LASTS <const> = "1s"
local LEADER_ONCE_IN <const> = 3

-- ---- the kinds of faults: what is done, for how long, and how it is undone ----

-- So many nodes may be disturbed at once that the others are a majority.
local function may_disturb(self)
  local count = 0
  for _ in pairs(self.disturbed) do count = count + 1 end
  return count < (#self.cluster:nodes() - 1) // 2
end

local function draw(self, list)
  return #list > 0 and list[self.random(#list)] or nil
end

-- The leader, for one fault in three: whom to prefer.
local function favourite(self)
  return self.random(LEADER_ONCE_IN) == 1 and self.cluster:leader() or nil
end

local function draw_node(self, nodes, preferred)
  for _, node in ipairs(nodes) do
    if node == preferred then return node end
  end
  return draw(self, nodes)
end

local function healthy(self)
  local list = {}
  for _, node in ipairs(self.cluster:nodes()) do
    if node:state() == "up" and not self.disturbed[node.id] then list[#list + 1] = node end
  end
  return list
end

-- A node to disturb, which is marked before anybody else may look; nil when enough are disturbed already.
local function claim(self)
  local preferred <const> = favourite(self)
  local node <const> = may_disturb(self) and draw_node(self, healthy(self), preferred)
  if node then self.disturbed[node.id] = true end
  return node or nil
end

local kinds = {}

function kinds.kill(self, options)
  local node <const> = claim(self)
  if not node then return nil end
  local keeps <const> = options.keep == true or not self.cluster.world:can "lose_unsynced"
  node:kill { lose_unsynced = not keeps }
  return node, function() node:start() end
end

function kinds.pause(self)
  local node <const> = claim(self)
  if not node then return nil end
  node:pause()
  return node, function() node:resume() end
end

local ways_to_cut = {}

function ways_to_cut.isolate(self, node)
  self.cluster.net:isolate(node)
end

function ways_to_cut.oneway(self, node)
  for _, other in ipairs(self.cluster:others(node)) do self.cluster.net:oneway(other, node) end
end

function ways_to_cut.halves(self)
  local nodes, groups = self.cluster:nodes(), { {}, {} }
  for i = #nodes, 2, -1 do
    local j <const> = self.random(i)
    nodes[i], nodes[j] = nodes[j], nodes[i]
  end
  for i, node in ipairs(nodes) do table.insert(groups[i <= #nodes // 2 and 1 or 2], node) end
  self.cluster.net:partition(groups)
end

function ways_to_cut.flaky(self, node)
  for _, other in ipairs(self.cluster:others(node)) do
    self.cluster.net:link(node, other, { delay = "5ms", jitter = "20ms", drop = 0.2 })
  end
end

local WAYS <const> = { "isolate", "oneway", "halves", "flaky" }

function kinds.partition(self, options)
  local node <const> = draw_node(self, self.cluster:nodes(), favourite(self))
  if self.cut then return nil end
  self.cut = true
  ways_to_cut[draw(self, options.kinds or WAYS)](self, node)
  return nil, function()
    self.cut = false
    self.cluster.net:heal()
  end
end

local function sick_disk(self, options)
  local can = {}
  for _, name in ipairs(options.kinds or { "slow", "full" }) do
    if self.cluster.world:can("disk." .. name) then can[#can + 1] = name end
  end
  return draw(self, can)
end

function kinds.disk(self, options)
  local what <const> = sick_disk(self, options)
  local node <const> = what and claim(self)
  if not node then return nil end
  if what == "slow" then node.disk:slow(options.by or "50ms") else node.disk:full() end
  return node, function() node.disk:restore() end
end

local NEEDS <const> = { pause = "pause", partition = "net.cut", disk = "disk.slow" }

-- ---- the task ----

local function pause_between(self, options)
  local every <const> = duration.ms(options.every, EVERY)
  self.cluster.world:sleep(every * (0.5 + self.random()))
end

local function strike(self, kind, options)
  local node, undo = kinds[kind](self, options)
  if not undo then return end
  self.counts[kind] = (self.counts[kind] or 0) + 1
  self.cluster:count(kind)
  local lasts <const> = duration.ms(options.lasts, LASTS)
  local over <const> = self.cluster.world:now() + lasts * (0.5 + self.random())
  self.cluster.world:wait_until(function() return self.stopped end, over - self.cluster.world:now())
  undo()
  if node then self.disturbed[node.id] = nil end
end

local function work(self, kind, options)
  while not self.stopped do
    pause_between(self, options)
    if not self.stopped then strike(self, kind, options) end
  end
end

--- Starts faults at random. A minority of the nodes is disturbed at a time; networks are cut in any way.
-- @verb c:nemesis{kill={every="2s", lasts="1s", keep=}, partition={kinds=}, pause={}, disk={kinds=, by=}}
-- @tparam table cluster
-- @tparam table spec per kind a table of options: every (on average), lasts (on average); keep (true: what was not
-- synced stays), kinds (of partitions: "isolate", "oneway", "halves", "flaky"; of disks: "slow", "full")
-- @return the nemesis: `counts`, `:stop()`
function M.start(cluster, spec)
  local self = setmetatable({
    cluster = cluster, disturbed = {}, counts = {}, tasks = {}, random = sim.prng(cluster.world.seed + 7),
  }, Nemesis)
  for _, kind in ipairs { "kill", "partition", "pause", "disk" } do
    local options <const> = spec[kind]
    local can <const> = not NEEDS[kind] or cluster.world:can(NEEDS[kind])
    if options and not can then cluster.say("no %s in this world", kind) end
    if options and can then self.tasks[#self.tasks + 1] = cluster.world:spawn(work, self, kind, options) end
  end
  for kind in pairs(spec) do
    if not kinds[kind] then error("c:nemesis: expected kill, partition, pause or disk, got " .. tostring(kind), 2) end
  end
  return self
end

--- No fault begins any more, and all are undone.
-- @verb nemesis:stop()
function Nemesis:stop()
  self.stopped = true
  for _, worker in ipairs(self.tasks) do worker:join() end
  local parts = {}
  for _, kind in ipairs { "kill", "partition", "pause", "disk" } do
    if self.counts[kind] then parts[#parts + 1] = ("%d x %s"):format(self.counts[kind], kind) end
  end
  self.cluster.say("the faults end: %s", table.concat(parts, ", "))
end

--- Undoes every fault, starts what is down, and waits until all nodes agree.
-- @verb c:calm{within="30s"}
function M.calm(cluster, options)
  cluster.net:heal()
  for _, node in ipairs(cluster:nodes()) do
    node.disk:restore()
    if node:state() == "paused" then node:resume() end
    if node:state() == "down" then node:start() end
  end
  cluster:wait_converged { within = options and options.within or CALM_WITHIN }
end

return M
