--- What goes wrong in a simulated world, and when: faults drawn at random, each undone after a while.
--
--     local nemesis = require "kvserver.sim.nemesis"
--     local bad = nemesis.new(world, 5)
--     while world:now() < 30000 do bad:run(1000) end
--     bad:stop()
--
-- All randomness comes from the world, so equal seeds give equal faults. A majority stays up most of the time; now and
-- then the power goes for everybody.
local sim = require "kvserver.sim"

local M = {}

local Nemesis = {}
Nemesis.__index = Nemesis

local PAUSE_MS_MAX <const> = 1200 -- between two faults

--- A nemesis of one world.
-- @param world of kvserver.sim
-- @tparam integer nodes how many nodes it has
-- @tparam[opt] table net what the network is like between storms, as world:net takes it
-- @treturn table use its run and stop; `counts`: how often it tried what
function M.new(world, nodes, net)
  local random = sim.prng(world:random(1 << 53))
  return setmetatable({
    world = world, nodes = nodes, net = net or {}, random = random, next_ms = world:now() + random(PAUSE_MS_MAX),
    undos = {}, -- { at_ms, f }, in the order of at_ms
    counts = {},
  }, Nemesis)
end

local function later(self, ms, f)
  local undo = { at_ms = self.world:now() + ms, f = f }
  local place = #self.undos + 1
  while place > 1 and self.undos[place - 1].at_ms > undo.at_ms do place = place - 1 end
  table.insert(self.undos, place, undo)
end

-- The leader, for one fault in three; else anybody.
local function victim(self)
  local leader = self.world:leader()
  if leader and self.random(3) == 1 then return leader end
  return self.random(self.nodes)
end

local function another(self, node)
  return (node - 1 + self.random(self.nodes - 1)) % self.nodes + 1
end

local function up_count(self)
  local count = 0
  for node = 1, self.nodes do
    local status = self.world:status(node)
    if status.up and not status.paused and not status.faulty and not status.failed then count = count + 1 end
  end
  return count
end

local function can_spare_one(self)
  return up_count(self) - 1 >= self.nodes // 2 + 1 or self.random(8) == 1
end

local last_works <const> = { "not_begun", "done", "cut_short" }

-- With or without a power cut; and the disk may be in the middle of something.
local function crash(self, node)
  local go_down <const> = self.random(3) == 1 and self.world.kill or self.world.crash
  return go_down(self.world, node, last_works[self.random(#last_works)])
end

-- The power may go again while it starts.
local function restart(self, node)
  while self.random(6) == 1 and self.world:cut_start(node, self.random(0, 60)) do end
  return self.world:restart(node)
end

local function restart_later(self, node, ms)
  later(self, ms, function() restart(self, node) end)
end

-- A fault of a disk is over when its node goes down, or does not start for it.
local function mend_disk(self, node)
  if not self.world:status(node).up then self.world:restart(node) end
  crash(self, node)
  restart(self, node)
end

-- ---- the faults ----

local faults = {}

function faults.crash(self)
  local node = victim(self)
  if can_spare_one(self) and crash(self, node) then restart_later(self, node, self.random(20, 4000)) end
end

function faults.crash_and_back(self)
  local node = victim(self)
  if crash(self, node) then restart(self, node) end
end

function faults.power_cut(self)
  for node = 1, self.nodes do
    if crash(self, node) then restart_later(self, node, self.random(10, 1500)) end
  end
end

function faults.wipe(self)
  local node = victim(self)
  if not can_spare_one(self) or not crash(self, node) then return end
  self.world:wipe(node)
  restart_later(self, node, self.random(1, 1500))
end

function faults.pause(self)
  local node = victim(self)
  if not can_spare_one(self) or not self.world:pause(node) then return end
  later(self, self.random(20, 3000), function() self.world:resume(node) end)
end

function faults.isolate(self)
  local node = victim(self)
  for other = 1, self.nodes do
    if other ~= node then
      self.world:cut(node, other)
      self.world:cut(other, node)
    end
  end
  later(self, self.random(100, 4000), function() self.world:heal() end)
end

function faults.one_way(self)
  local from = victim(self)
  local to = another(self, from)
  if self.random(2) == 1 then from, to = to, from end
  self.world:cut(from, to)
  later(self, self.random(100, 5000), function() self.world:mend(from, to) end)
end

function faults.deaf(self)
  local node = victim(self)
  for other = 1, self.nodes do
    if other ~= node then self.world:cut(other, node) end
  end
  later(self, self.random(100, 3000), function() self.world:heal() end)
end

function faults.partition(self)
  local side = {}
  for node = 1, self.nodes do side[node] = self.random(2) end
  for a = 1, self.nodes do
    for b = 1, self.nodes do
      if side[a] ~= side[b] then self.world:cut(a, b) end
    end
  end
  later(self, self.random(100, 4000), function() self.world:heal() end)
end

function faults.slow_disk(self)
  local node = victim(self)
  self.world:slow_disk(node, self.random(5, 400))
  later(self, self.random(200, 5000), function() self.world:slow_disk(node, 0) end)
end

-- Damage is found, or does no harm.
function faults.rot(self)
  local node = victim(self)
  if not can_spare_one(self) or not crash(self, node) then return end
  if not self.world:rot(node) then restart_later(self, node, self.random(1, 1500)) end
end

local failing_calls <const> = { "sync", "write", "sync_directory", "rename", "read" }

-- From some call on every one fails, or every one of a kind; or just one does.
function faults.fail_disk(self)
  local node = victim(self)
  local fault <const> = { after = self.random(0, 20), call = failing_calls[self.random(#failing_calls + 3)],
    once = self.random(3) == 1 }
  if not can_spare_one(self) or not self.world:fail_disk(node, fault) then return end
  later(self, self.random(50, 3000), function() mend_disk(self, node) end)
end

-- One disk is full, or all of them are.
function faults.full_disk(self)
  local first <const>, count <const> = victim(self), self.random(5) == 1 and self.nodes or 1
  for i = 0, count - 1 do
    local node <const> = (first + i - 1) % self.nodes + 1
    self.world:leave_room(node, self.random(0, 3) * self.random(50000))
    later(self, self.random(300, 5000), function()
      self.world:leave_room(node)
      restart(self, node) -- if it could not, for want of room
    end)
  end
end

function faults.clock_rate(self)
  self.world:clock_rate(self.random(self.nodes), 0.5 + 1.5 * self.random())
end

function faults.transfer(self)
  local leader = self.world:leader()
  if leader then self.world:transfer(leader, another(self, leader)) end
end

function faults.link_down(self)
  local node = victim(self)
  self.world:link_down(node, another(self, node))
end

function faults.storm(self)
  self.world:net {
    delay_us = self.random(100, 20000), jitter_us = self.random(100, 60000), loss = 0.3 * self.random(),
    duplicate = 0.3 * self.random(), reorder = self.random(), tail = 0.1 * self.random(),
    tail_us = self.random(10000, 2000000),
  }
  later(self, self.random(200, 4000), function() self.world:net(self.net) end)
end

-- What this direction carries comes seconds late, over elections, and some of it twice.
local function hold_up(self, from, to)
  self.world:net({ duplicate = 0.3, reorder = 1, tail = 0.2 + 0.8 * self.random(), tail_us = 3000000 }, from, to)
end

function faults.late_link(self)
  local from = victim(self)
  hold_up(self, from, another(self, from))
  later(self, self.random(500, 4000), function() self.world:net(self.net) end)
end

-- The leader's clock is slow, the others' are fast, and some of their disks are slow. They hear nothing from it any
-- more, those with slow disks last; but it hears them, and still leads when they have another leader: what they
-- acknowledge late still reaches it.
function faults.slow_leader(self)
  local leader = self.world:leader()
  if not leader then return end
  self.world:clock_rate(leader, 0.5)
  for i = 1, self.nodes - 1 do
    local node <const> = (leader - 1 + i) % self.nodes + 1
    local slow <const> = self.random(2) == 1
    self.world:clock_rate(node, 1.5 + 0.5 * self.random())
    if slow then self.world:slow_disk(node, self.random(100, 900)) end
    later(self, slow and self.random(5, 40) or self.random(0, 5), function() self.world:cut(leader, node) end)
  end
  later(self, self.random(300, 2000), function()
    self.world:heal()
    for node = 1, self.nodes do
      self.world:slow_disk(node, 0)
      self.world:clock_rate(node, 0.5 + 1.5 * self.random())
    end
  end)
end

local function cut_groups(self, groups)
  self.world:heal()
  for a = 1, self.nodes do
    for b = 1, self.nodes do
      if groups[a] ~= groups[b] then self.world:cut(a, b) end
    end
  end
end

-- A leader is left with one follower, whose answers come late; the others elect another, it joins them and leads again,
-- and only then hears what the follower said of its first term.
function faults.relapse(self)
  local old = self.world:leader()
  if not old then return end
  local friend = another(self, old)
  hold_up(self, friend, old)
  local end_ms <const> = self.world:now() + self.random(2000, 4000)
  cut_groups(self, { [old] = "old", [friend] = "old" })
  local joined = false
  local function look()
    local leader = self.world:leader()
    if leader and leader ~= old and leader ~= friend then
      if joined then self.world:transfer(leader, old) end
      if not joined then cut_groups(self, { [friend] = "alone" }) end
      joined = true
    end
    if self.world:now() < end_ms then
      later(self, self.random(20, 150), look)
    else
      self.world:heal()
      self.world:net(self.net)
    end
  end
  look()
end

-- For a while every new leader dies young.
function faults.hunt(self)
  local end_ms <const> = self.world:now() + self.random(500, 4000)
  local last_term = 0
  local function look()
    local leader = self.world:leader()
    local term = leader and self.world:status(leader).term
    if leader and term > last_term then
      last_term = term
      later(self, self.random(0, 30), function()
        if crash(self, leader) then restart_later(self, leader, self.random(50, 600)) end
      end)
    end
    if self.world:now() < end_ms then later(self, self.random(5, 20), look) end
  end
  look()
end

-- Each name as often as its weight says.
local weights <const> = {
  { "crash", 8 }, { "crash_and_back", 3 }, { "power_cut", 1 }, { "wipe", 2 }, { "pause", 5 }, { "isolate", 4 },
  { "one_way", 4 }, { "deaf", 2 }, { "partition", 4 }, { "slow_disk", 4 }, { "fail_disk", 3 }, { "full_disk", 3 },
  { "rot", 2 }, { "clock_rate", 3 },
  { "hunt", 2 }, { "transfer", 3 }, { "link_down", 3 }, { "storm", 5 }, { "late_link", 2 }, { "slow_leader", 4 },
  { "relapse", 2 },
}
local urn <const> = {}
for _, row in ipairs(weights) do
  for _ = 1, row[2] do urn[#urn + 1] = row[1] end
end

local function do_one(self)
  local name <const> = urn[self.random(#urn)]
  self.counts[name] = (self.counts[name] or 0) + 1
  faults[name](self)
  self.next_ms = self.world:now() + self.random(PAUSE_MS_MAX)
end

local function undo_due(self)
  while self.undos[1] and self.undos[1].at_ms <= self.world:now() do table.remove(self.undos, 1).f() end
end

--- Lets the world go on, with faults.
-- @tparam number ms how long
-- @return true, or nil and the violation
function Nemesis:run(ms)
  local end_ms <const> = self.world:now() + ms
  while true do
    local next_ms = math.min(end_ms, self.next_ms, self.undos[1] and self.undos[1].at_ms or end_ms)
    local ok, violation = self.world:run(math.max(0, next_ms - self.world:now()))
    if not ok then return nil, violation end
    undo_due(self)
    if self.world:now() >= end_ms then return true end
    if self.world:now() >= self.next_ms then do_one(self) end
  end
end

--- Ends all faults: every node runs, every link works, disks have room and are as fast as usual. Clocks stay as they
-- are.
function Nemesis:stop()
  self.undos = {}
  self.world:heal()
  self.world:net {}
  for node = 1, self.nodes do
    self.world:leave_room(node)
    self.world:resume(node)
    self.world:restart(node)
    local status <const> = self.world:status(node)
    if not status.up or status.faulty or status.failed then mend_disk(self, node) end
    self.world:slow_disk(node, 0)
  end
end

return M
