--- Clusters of nodes inside this process, on real ports: quick to start, and a spec can look at each from inside.
--
--     local nodes = require "spec.support.nodes"
--     local c <close> = nodes.cluster { read_policy = "stale" }
--     local leader = c:wait_leader()
--     c:crash(leader)
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local http = require "spec.support.http"
local server = require "kvserver.server"
local task = require "kvserver.task"

local M = {}

local TIMEOUT_MS <const> = 10000

--- Longer than nodes with the timing of `cluster` are silent before they campaign: who has not by then never will.
M.ELECTION_OVER_MS = 600

local Cluster = {}
Cluster.__index = Cluster

--- Starts a node (again).
-- @tparam string id
function Cluster:start(id)
  local options = { id = id, listen = self.peers[id], peers = self.peers }
  for name, value in pairs(self.options) do options[name] = value end
  for name, value in pairs(self.own_options[id] or {}) do options[name] = value end
  self.servers[id] = assert(server.start(options))
end

--- Ends a node at once: connections are cut, its memory is gone.
-- @tparam string id
function Cluster:crash(id)
  self.servers[id]:close()
  self.servers[id] = nil
end

--- The node that leads, known to all that run, all of them ready.
-- @treturn ?string id
function Cluster:leader()
  local leader
  for _, node in pairs(self.servers) do
    local status = node:status()
    if status.not_ready or leader and leader ~= status.leader_id then return nil end
    leader = status.leader_id
  end
  return self.servers[leader] and self.servers[leader]:status().role == "leader" and leader or nil
end

--- Waits until all nodes that run are ready and know the same leader.
-- @treturn string its id
-- @treturn {string,...} the ids of the others that run
function Cluster:wait_leader()
  local leader = assert(task.wait_until(function() return self:leader() end, TIMEOUT_MS), "no leader in time")
  local others = {}
  for id in pairs(self.servers) do
    if id ~= leader then others[#others + 1] = id end
  end
  table.sort(others)
  return leader, others
end

--- Waits until a node has applied an index.
-- @tparam string id
-- @tparam integer index
function Cluster:wait_applied(id, index)
  assert(task.wait_until(function() return self.servers[id]:status().last_applied >= index end, TIMEOUT_MS))
end

--- A client of one node, closed with the cluster.
-- @tparam string id
-- @tparam[opt] table options as of kvserver.client
function Cluster:client(id, options)
  local c = client.connect("http://" .. self.peers[id], options)
  self.clients[#self.clients + 1] = c
  return c
end

--- A connection to one node, for requests as bytes, closed with the cluster.
-- @tparam string id
-- @return as of spec.support.http
function Cluster:connect(id)
  local connection = http.connect(self.servers[id]:port(), self.host)
  self.clients[#self.clients + 1] = connection.socket
  return connection
end

function Cluster:__close()
  for _, c in ipairs(self.clients) do c:close() end
  for id in pairs(self.servers) do self:crash(id) end
end

--- Three nodes n1, n2 and n3, started. They are quicker to elect than by default, since specs wait for it.
-- @tparam[opt] table options of all
-- @tparam[opt] table own_options id -> options of that one
-- @return the cluster, a `<close>` value: `peers` (id -> HOST:PORT), `servers` (id -> kvserver.server)
function M.cluster(options, own_options)
  local host <const> = cluster.own_host()
  local self = setmetatable({
    options = { heartbeat_ms = 30, election_ms = "200-400" }, own_options = own_options or {}, host = host,
    servers = {}, clients = {},
    peers = { n1 = host .. ":7001", n2 = host .. ":7002", n3 = host .. ":7003" },
  }, Cluster)
  for name, value in pairs(options or {}) do self.options[name] = value end
  for _, id in ipairs { "n1", "n2", "n3" } do self:start(id) end
  return self
end

return M
