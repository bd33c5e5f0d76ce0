--- The faults of a node's disk in a scenario. Each lasts until restore(), or the end of the scenario.
local duration = require "kvserver.scenario.duration"

local M = {}

local Disk = {}
Disk.__index = Disk

function M.new(node)
  return setmetatable({ node = node, state = {} }, Disk)
end

local function change(self, feature, name, value, text, ...)
  self.node.cluster:need(feature)
  self.state[name] = value
  self.node.cluster.say(text, self.node.id, ...)
  self.node.world:disk(self.node.id, self.state)
end

--- There is no space left on it.
-- @verb n.disk:full()
function Disk:full()
  change(self, "disk.full", "full", true, "the disk of %s is full")
end

--- Every sync takes up to so much longer.
-- @verb n.disk:slow("80ms")
function Disk:slow(by)
  change(self, "disk.slow", "slow_ms", duration.ms(by), "the disk of %s is slower by %s", by)
end

--- Every sync fails: the node must end at the next one.
-- @verb n.disk:fail_fsync()
function Disk:fail_fsync()
  self.node.may_die = true
  change(self, "disk.fail_fsync", "fail_sync", true, "the syncs of %s fail")
end

--- At its next power cut a part of what was being written is there.
-- @verb n.disk:torn_next()
function Disk:torn_next()
  change(self, "disk.torn_next", "torn_next", true, "what %s writes last will be torn")
end

--- Flips a bit in a file of a node that is down.
-- @verb n.disk:flip{file=}
-- @tparam[opt] table options file (a Lua pattern of its name; any file)
-- @treturn string its name
function Disk:flip(options)
  self.node.cluster:need "disk.flip"
  local pattern <const> = options and options.file
  local name = self.node.world:flip(self.node.id, pattern)
  if not name then
    error({ failed = ("%s has no file %s, or runs"):format(self.node.id, pattern or "on its disk") }, 0)
  end
  self.node.cluster.say("a bit of %s flips on the disk of %s", name, self.node.id)
  return name
end

--- It works again as it should. A bit that flipped stays flipped.
-- @verb n.disk:restore()
function Disk:restore()
  if not next(self.state) then return end
  self.state = {}
  self.node.cluster.say("the disk of %s is well again", self.node.id)
  self.node.world:disk(self.node.id, self.state)
end

return M
