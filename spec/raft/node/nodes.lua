--- Real Raft nodes with memory stores, each with a clock of its own, their network and disks moved by hand.
--
--   local nodes = require "spec.raft.node.nodes"
--   local n <close> = nodes.new(3)
--   n:elect(1)                 -- node 1 times out; everything goes around until it is quiet
--   n[1]:propose(command); n:settle()
--   n.down[3] = true           -- settle leaves node 3 alone, and what is sent to it is lost
--   n:restart(2)               -- with what was durable

local raft = require "kvserver.raft"

local M = {}

local Nodes = {}

local function create(self, number)
  self.lives = self.lives + 1
  local options = { nodes = self.count, self = number, storage = self.storage[number], seed = number,
    life = self.lives, now = self.clock[number] }
  for name, value in pairs(self.options) do options[name] = value end
  self[number] = raft.node(options)
end

--- @param count of nodes
-- @param options more of them, of raft.node, for all
-- @return nodes by number, nobody leading
function M.new(count, options)
  local self = setmetatable({
    count = count, options = options or {}, lives = 0, clock = {}, storage = {}, down = {}, sent = {},
  }, Nodes)
  for number = 1, count do
    self.clock[number] = 0
    self.storage[number] = raft.storage()
    create(self, number)
  end
  return self
end

Nodes.__index = Nodes

function Nodes:__close()
  for number = 1, self.count do
    self[number]:close()
    self.storage[number]:close()
  end
end

--- Completes a node's disk work, ends its turn, and returns what it sent.
function Nodes:turn(number)
  local node = self[number]
  repeat until not node:synced()
  node:turn(self.clock[number])
  repeat until not node:synced()
  node:turn(self.clock[number])
  return node:sent()
end

--- Delivers messages to the nodes that are up.
function Nodes:deliver(messages)
  for _, message in ipairs(messages) do
    if message.type ~= "nothing" and not self.down[message.to] and not self.down[message.from] then
      self[message.to]:receive(message)
    end
  end
end

--- Everything goes around until nobody sends anything. `seen(message)` hears of each message, and keeps those for which
-- it returns true.
function Nodes:settle(seen)
  for _ = 1, 100 do
    local quiet = true
    for number = 1, self.count do
      if not self.down[number] then
        local messages = self:turn(number)
        local pass = {}
        for _, message in ipairs(messages) do
          if not (seen and seen(message)) then pass[#pass + 1] = message end
        end
        quiet = quiet and #messages == 0
        self:deliver(pass)
      end
    end
    if quiet then return end
  end
  error("the nodes do not come to rest", 2)
end

--- Time passes for one node only.
function Nodes:advance(number, ms)
  self.clock[number] = self.clock[number] + ms
  self[number]:set_now(self.clock[number])
end

--- Makes a node leader: the shortest election timeout passes for the others, more than the longest for this one.
function Nodes:elect(number)
  for other = 1, self.count do
    if other ~= number and not self.down[other] then self:advance(other, 300) end
  end
  for _ = 1, 3 do
    self:advance(number, 1000)
    self:settle()
    if self[number]:status().role == "leader" then return self:heartbeat(number) end
  end
  error(("n%d is %s, not leader"):format(number, self[number]:status().role), 2)
end

--- The leader's next heartbeat goes around.
function Nodes:heartbeat(number)
  self:advance(number, 50)
  self:settle()
end

--- A node loses power and starts again.
function Nodes:restart(number)
  self[number]:close()
  self.storage[number]:crash()
  self.down[number] = nil
  create(self, number)
end

return M
