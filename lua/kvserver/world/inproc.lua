--- The world of nodes inside this process: real sockets on an address of their own, real files, and a debugger or a
-- specification can look at each from inside.
--
-- What every world has is described in kvserver.world.
local cluster = require "kvserver.cluster"
local log = require "kvserver.log"
local real = require "kvserver.world.real"
local server = require "kvserver.server"
local task = require "kvserver.task"

local M = {}

local World = setmetatable({}, { __index = real.World })
World.__index = World

local FIRST_PORT <const> = 7001
local POLL_MS <const> = 5
local GRACE_MS <const> = 2000 -- for answers to requests in flight
local STOP_MS <const> = 10000
local LOG_LEVEL <const> = "error" -- all nodes write to one stderr, between the lines of the account

local MISSING <const> = {
  pause = "the nodes share a process", log = "the nodes share one log", clock = "the nodes share a clock",
}

local is_node_option = {}
for _, key in ipairs(server.keys) do is_node_option[key] = true end

--- Makes a world whose nodes do not run yet.
-- @tparam table spec nodes (how many), seed, config, directory (for their files)
-- @return the world
function M.open(spec)
  local self = real.open(World, spec, {
    name = "inproc", host = cluster.own_host(), first_port = FIRST_PORT, poll_ms = POLL_MS, missing = MISSING,
  })
  self.servers = {} -- id -> kvserver.server
  self.deaths = {}  -- id -> why it ended by itself
  self.watches = {} -- id -> the task that waits for that
  log.configure(self.config.log_level or LOG_LEVEL, self.config.log_format or "logfmt")
  return self
end

-- ---- nodes ----

local function options_of(self, id)
  local given = {
    id = id, listen = self.addresses[id], peers = self.addresses, enable_faults = true,
    data = not self.config.memory and self:data_of(id) or nil,
  }
  for key, value in pairs(self.config) do
    if is_node_option[key] then given[key] = value end
  end
  return given
end

-- As a process does: a node whose storage failed is gone.
local function watch(self, id, node)
  self.deaths[id] = node:wait_failed()
  self.servers[id] = nil
  node:close()
end

function World:launch(id)
  local node, why = server.start(options_of(self, id))
  if not node then return false, why end
  self.servers[id] = node
  self.watches[id] = task.spawn(watch, self, id, node)
  return true
end

--- "up", "down", or "dead" (it ended by itself) and why.
function World:state(id)
  if self.deaths[id] then return "dead", self.deaths[id] end
  return self.servers[id] and "up" or "down"
end

local function close_node(self, id)
  local node <const> = self.servers[id]
  if not node then return end
  self.watches[id]:cancel()
  self.servers[id] = nil
  node:close()
end

function World:halt(id)
  local node <const>, stopped = self.servers[id], task.event()
  local stopping <const> = task.spawn(function() stopped:set(node:stop(GRACE_MS)) end)
  self:wait_until(function() return stopped:is_set() or self.deaths[id] end, STOP_MS)
  stopping:cancel()
  close_node(self, id)
  if not stopped:is_set() and not self.deaths[id] then
    error({ failed = ("%s does not stop within %d ms"):format(id, STOP_MS) }, 0)
  end
end

function World:destroy(id, how)
  self.deaths[id] = nil
  local ok, _, why = true, nil, nil
  if how.lose_unsynced and self.servers[id] then ok, _, why = self.servers[id]:fault_lose() end
  close_node(self, id)
  if not ok then error({ failed = ("%s cannot lose its power: %s"):format(id, why) }, 0) end
end

function World:raft_log(id, from, to)
  if not self.servers[id] then return nil end
  return self.servers[id]:raft_log(from, to)
end

function World:transfer(id, to)
  if not self.servers[id] then return nil end
  return self.servers[id]:transfer(to)
end

-- ---- faults ----

function World:tell(id, what, ...)
  local node <const> = self.servers[id]
  node["fault_" .. what](node, ...)
end

-- ---- the end ----

function World:close()
  self:close_shared()
  for _, id in ipairs(self.ids) do close_node(self, id) end
  self:remove_temporary()
end

World.__close = World.close

return M
