--- A node in a scenario.
local disk = require "kvserver.scenario.disk"

local M = {}

local Node = {}
Node.__index = Node

local ROLE_WITHIN <const> = "10s"
local SNAPSHOT_WITHIN <const> = "30s"

function Node:__tostring()
  return self.id
end

function M.new(cluster, id)
  local self = setmetatable({ cluster = cluster, world = cluster.world, id = id }, Node)
  self.disk = disk.new(self)
  self.clock = setmetatable({ node = self }, M.Clock)
  return self
end

-- ---- life ----

--- "up", "paused", "down", or "dead" (it ended by itself), and why.
-- @verb n:state()
function Node:state()
  return self.world:state(self.id)
end

--- Starts it and waits until it serves. An error when it refuses to.
-- @verb n:start()
function Node:start()
  local ok, why = self:try_start()
  if not ok then error({ failed = ("%s does not start: %s"):format(self.id, why) }, 0) end
end

--- Starts it, if it wants to.
-- @verb n:try_start()
-- @treturn boolean whether it serves
-- @treturn ?string why not
function Node:try_start()
  self.may_die = nil
  local ok, why = self.world:start(self.id)
  self.cluster.say(ok and "%s starts" or "%s refuses to start: %s", self.id, why)
  return ok, why
end

--- Stops it cleanly: it hands over leadership first.
-- @verb n:stop()
function Node:stop()
  self.last_status = self:status()
  self.cluster.say("%s stops", self.id)
  self.world:stop(self.id)
end

--- Stops and starts it.
-- @verb n:restart()
function Node:restart()
  self:stop()
  self:start()
end

--- Ends it at once. `last_status` is what it said last.
-- @verb n:kill{lose_unsynced=false}
-- @tparam[opt] table options lose_unsynced (true: its power is cut, what no sync covered is lost)
function Node:kill(options)
  options = options or {}
  if options.lose_unsynced then self.cluster:need "lose_unsynced" end
  self.last_status = self:status() or self.last_status
  self.cluster.say(options.lose_unsynced and "%s loses power" or "%s is killed", self.id)
  self.world:kill(self.id, options)
end

--- Stops its time, as SIGSTOP does, until resume.
-- @verb n:pause()
function Node:pause()
  self.cluster:need "pause"
  self.last_status = self:status() or self.last_status
  self.cluster.say("%s is paused", self.id)
  self.world:pause(self.id)
end

--- Lets it go on.
-- @verb n:resume()
function Node:resume()
  self.cluster.say("%s goes on", self.id)
  self.world:resume(self.id)
end

--- Empties the disk of a node that is down. Refused when it would leave only a minority with their disks.
-- @verb n:wipe()
function Node:wipe()
  self.cluster:need "wipe"
  if self:state() ~= "down" then error(self.id .. ":wipe(): it runs", 2) end
  local wiped = 1
  for _, other in ipairs(self.cluster:others(self)) do wiped = wiped + (other.wiped and 1 or 0) end
  if wiped > (#self.cluster.list - 1) // 2 then
    error(self.id .. ":wipe(): the others that kept their disks are no majority", 2)
  end
  if self.world:wipe(self.id) == false then error(self.id .. ":wipe(): the others could not make up for it", 2) end
  self.wiped = (self.wiped or 0) + 1 -- how many times
  self.cluster.say("%s loses its disk", self.id)
end

--- Says that its end by itself, from now to its next start, is meant.
-- @verb n:expect_death()
function Node:expect_death()
  self.may_die = true
end

-- ---- views ----

--- What it says of itself; nil when it does not answer.
-- @verb n:status()
-- @treturn ?table as of `GET /status`
function Node:status()
  return self.world:status(self.id)
end

--- One HTTP request, answered as it is (not in sim).
-- @verb n:http(method, path, options)
-- @tparam string method
-- @tparam string path with its query
-- @tparam[opt] table options headers, body, timeout_ms
-- @treturn ?table status, headers, body; or nil, kind and text
function Node:http(method, path, options)
  self.cluster:need "http"
  return self.world:http(self.id, method, path, options)
end

--- The lines of its log that match a Lua pattern (not in sim).
-- @verb n:log(pattern)
-- @treturn {string,...}
function Node:log(pattern)
  self.cluster:need "log"
  local lines = {}
  for line in self.world:log(self.id):gmatch("[^\n]+") do
    if line:find(pattern) then lines[#lines + 1] = line end
  end
  return lines
end

--- Entries of its Raft log.
-- @verb n:raft_log(from, to)
-- @tparam[opt] integer from the first index (the first that there is)
-- @tparam[opt] integer to the last index (the last that there is)
-- @treturn table {{index=, term=, op=, key=, ...}, ...}
function Node:raft_log(from, to)
  self.cluster:need "raft_log"
  return self.world:raft_log(self.id, from, to)
end

-- ---- waiting ----

--- Waits until it has a role: "leader", "follower" or "candidate".
-- @verb n:wait_role(role, {within="10s"})
function Node:wait_role(role, options)
  local within <const> = options and options.within or ROLE_WITHIN
  self.cluster:await(within, function() return ("%s is no %s"):format(self.id, role) end, function()
    local status <const> = self:status()
    return status and status.role == role
  end)
end

--- Waits until it has a snapshot, a newer one than it had before.
-- @verb n:wait_snapshot{after=0, within="30s"}
-- @tparam[opt] table options after (its index must be higher), within
-- @treturn integer the index of the snapshot
function Node:wait_snapshot(options)
  options = options or {}
  local after <const> = options.after or 0
  local index
  self.cluster:await(options.within or SNAPSHOT_WITHIN,
    function() return ("%s has no snapshot behind index %d"):format(self.id, after) end, function()
      local status <const> = self:status()
      index = status and status.snapshot_index
      return index and index > after
    end)
  self.cluster.say("%s has a snapshot of index %d", self.id, index)
  return index
end

--- Waits until it has ended by itself.
-- @verb n:wait_death{within="10s"}
-- @treturn string why it ended
function Node:wait_death(options)
  self.may_die = true
  local within <const> = options and options.within or ROLE_WITHIN
  local why
  self.cluster:await(within, function() return self.id .. " has not ended" end, function()
    local state
    state, why = self:state()
    return state == "dead"
  end)
  self.cluster.say("%s has ended: %s", self.id, why)
  return why
end

--- Has it hand over leadership, if it leads.
-- @verb n:transfer(to)
function Node:transfer(to)
  self.cluster:need "transfer"
  self.cluster.say("%s is to hand over to %s", self.id, to.id)
  return self.world:transfer(self.id, to.id)
end

-- ---- its clock ----

local Clock = {}
Clock.__index = Clock
M.Clock = Clock

--- Its clock runs at another rate than time does, until rate(1).
-- @verb n.clock:rate(0.5)
-- @tparam number rate 0.5 to 2
function Clock:rate(rate)
  self.node.cluster:need "clock"
  self.node.cluster.say("the clock of %s runs at %g", self.node.id, rate)
  self.node.world:clock(self.node.id, rate)
end

--- Its clock drifts by so many parts of a million.
-- @verb n.clock:drift(ppm)
function Clock:drift(ppm)
  self:rate(1 + ppm / 1e6)
end


return M
