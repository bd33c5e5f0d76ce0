--- A cluster in a scenario: its nodes, whom to wait for, its network.
local duration = require "kvserver.scenario.duration"
local history = require "kvserver.scenario.history"
local net = require "kvserver.scenario.net"
local node = require "kvserver.scenario.node"
local worlds = require "kvserver.world"

local M = {}

local Cluster = {}
M.Cluster = Cluster
Cluster.__index = Cluster

local LEADER_WITHIN <const> = "10s"
local CONVERGED_WITHIN <const> = "30s"

-- ---- making ----

--- Makes a cluster whose nodes do not run yet. `kv.cluster` does this.
-- @tparam table spec nodes (3), world ("sim"), seed, config (options of all nodes), directory, say (function that tells
-- what happens)
-- @return the cluster
function M.new(spec)
  local world = worlds.open(spec.world or "sim", {
    nodes = spec.nodes or 3, seed = spec.seed or 1, config = spec.config, directory = spec.directory,
  })
  local self = setmetatable({
    world = world, by_id = {}, list = {}, figures = {}, say = spec.say or function() end,
  }, Cluster)
  self.history = history.new(self)
  for i, id in ipairs(world.ids) do
    self.list[i] = node.new(self, id)
    self.by_id[id] = self.list[i]
  end
  self.net = net.new(self)
  return self
end

--- Whether this world has a fault or a view, such as "pause", "net.cut" or "http" (kv.scenario has the list).
-- @verb c:can(feature)
-- @treturn boolean
-- @treturn ?string why not
function Cluster:can(feature)
  return self.world:can(feature)
end

--- Ends the scenario as skipped when this world lacks something.
-- @verb c:need(feature)
-- @tparam string feature such as "pause", "net.cut" or "disk.full"
function Cluster:need(feature)
  local can, why = self.world:can(feature)
  if not can then error({ skipped = ("%s in %s: %s"):format(feature, self.world.name, why) }, 0) end
end

-- Errors in the words of a check, where the caller stands.
local function fail(text, ...)
  error({ failed = text:format(...) }, 0)
end

local function describe(self)
  local parts = {}
  for _, member in ipairs(self.list) do
    local status <const> = member:status()
    parts[#parts + 1] = status and ("%s %s, term %d, applied %d"):format(member.id, status.role, status.term,
      status.last_applied) or ("%s %s"):format(member.id, (member:state()))
  end
  return table.concat(parts, "; ")
end

-- ---- nodes ----

--- Starts all nodes that do not run and waits until every node is a full member and knows a leader.
-- @verb c:start{within="10s"}
function Cluster:start(options)
  for _, member in ipairs(self.list) do
    if member:state() == "down" then member:start() end
  end
  self:await(options and options.within or LEADER_WITHIN,
    function() return "not every node is ready (" .. describe(self) .. ")" end,
    function()
      for _, member in ipairs(self.list) do
        if not self.world:ready(member.id) then return false end
      end
      return true
    end)
end

--- Stops all nodes that run, cleanly.
-- @verb c:stop()
function Cluster:stop()
  for _, member in ipairs(self.list) do
    if member:state() ~= "down" then member:stop() end
  end
end

--- Ends all nodes at once and lets go of everything.
-- @verb c:destroy()
function Cluster:destroy()
  self.is_gone = true
  self.world:close()
end

Cluster.__close = Cluster.destroy

--- A node by its id ("n2") or its number (2).
-- @verb c:node(id)
function Cluster:node(id)
  return self.by_id[id] or self.list[id] or error(("no node %s"):format(tostring(id)), 2)
end

--- All nodes, a list in the order of their ids.
-- @verb c:nodes()
function Cluster:nodes()
  return table.move(self.list, 1, #self.list, 1, {})
end

--- All nodes but these.
-- @verb c:others(node, ...)
-- @treturn {node,...}
function Cluster:others(...)
  local left_out, rest = {}, {}
  for _, member in ipairs { ... } do left_out[member.id or member] = true end
  for _, member in ipairs(self.list) do
    if not left_out[member.id] then rest[#rest + 1] = member end
  end
  return rest
end

--- What each node says of itself now.
-- @verb c:status()
-- @treturn table id -> as of `GET /status`; nothing for a node that does not answer
function Cluster:status()
  local all = {}
  for _, member in ipairs(self.list) do all[member.id] = member:status() end
  return all
end

local function is_among(member, among)
  if not among then return true end
  for _, other in ipairs(among) do
    if other == member then return true end
  end
  return false
end

--- The node that leads in the highest term that any node knows; nil when there is none.
-- @verb c:leader()
function Cluster:leader()
  if self.world.leader then
    local id, term = self.world:leader()
    return self.by_id[id], term
  end
  local leader, term = nil, -1
  for _, member in ipairs(self.list) do
    local status = member:status()
    if status and status.role == "leader" and status.term > term then leader, term = member, status.term end
  end
  return leader, leader and term
end

--- Counts something for the figures of the telling.
-- @tparam string name
function Cluster:count(name)
  self.figures[name] = (self.figures[name] or 0) + 1
end

--- Says who leads, when somebody else does than was said last.
function Cluster:tell_leader()
  local leader, term = self:leader()
  local now <const> = leader and leader.id .. term
  if leader and now ~= self.told_leader then
    self:count "leader"
    self.say("%s leads in term %d", leader.id, term)
  end
  self.told_leader = now or self.told_leader
end

--- The nodes that run and do not lead.
-- @verb c:followers()
function Cluster:followers()
  local leader <const>, rest = self:leader(), {}
  for _, member in ipairs(self.list) do
    if member ~= leader and member:state() == "up" then rest[#rest + 1] = member end
  end
  return rest
end

-- ---- waiting ----

-- Waits; a node that ended by itself ends the wait.
function Cluster:await(within, what, condition)
  local ms <const> = duration.ms(within)
  local function look()
    for _, member in ipairs(self.list) do
      local state, why = member:state()
      if state == "dead" and not member.may_die then fail("%s ended by itself: %s", member.id, why) end
    end
    return condition()
  end
  return self.world:wait_until(look, ms) or fail("%s within %s", what(), within)
end

--- Waits until a node leads and a majority follows it in its term.
-- @verb c:wait_leader{among=, within="10s"}
-- @tparam[opt] table options among (a list of nodes: one of them must lead), within
-- @return the node
function Cluster:wait_leader(options)
  options = options or {}
  local found
  local function look()
    local leader, term = self:leader()
    if not leader or not is_among(leader, options.among) then return false end
    local followers = 0
    for _, member in ipairs(self.list) do
      local status <const> = member:status()
      if status and status.term == term then followers = followers + 1 end
    end
    found = leader
    return followers > #self.list // 2
  end
  self:await(options.within or LEADER_WITHIN, function() return "no leader (" .. describe(self) .. ")" end, look)
  self:tell_leader()
  return found
end

--- Waits until no node says that it leads.
-- @verb c:wait_no_leader{within="10s"}
function Cluster:wait_no_leader(options)
  local within <const> = options and options.within or LEADER_WITHIN
  self:await(within, function() return "still a leader (" .. describe(self) .. ")" end,
    function() return not self:leader() end)
end

--- Waits until nodes have applied an index.
-- @verb c:wait_applied{index=, on=, within="30s"}
-- @tparam table options index (the highest that any node has applied now), on (a list of nodes; all that run), within
function Cluster:wait_applied(options)
  options = options or {}
  local index = options.index or 0
  if not options.index then
    for _, status in pairs(self:status()) do index = math.max(index, status.last_applied) end
  end
  self:await(options.within or CONVERGED_WITHIN,
    function() return ("index %d is not applied (%s)"):format(index, describe(self)) end,
    function()
      for _, member in ipairs(options.on or self.list) do
        local status <const> = member:status()
        if member:state() == "up" and (not status or status.last_applied < index) then return false end
      end
      return true
    end)
end

-- Whether all nodes that run follow the leader and have applied an index.
local function have_applied(self, term, index)
  for _, member in ipairs(self.list) do
    local status <const> = member:status()
    local there <const> = status and status.term == term and status.last_applied >= index
    if member:state() == "up" and not there then return false end
  end
  return true
end

--- Waits until there is a leader, and all nodes that run follow it and have applied what it had when it was seen.
-- @verb c:wait_converged{within="30s"}
function Cluster:wait_converged(options)
  local within <const> = options and options.within or CONVERGED_WITHIN
  local term, index
  self:await(within, function() return "the nodes do not come to the same index (" .. describe(self) .. ")" end,
    function()
      local leader, now = self:leader()
      local status <const> = leader and now ~= term and leader:status()
      if status then term, index = now, status.last_index end
      return leader ~= nil and now == term and have_applied(self, term, index)
    end)
  self.say("all nodes that run have applied index %d", index)
end

return M
