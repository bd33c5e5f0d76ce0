--- Worlds of real nodes for specs: each behaviour is asked of both.
--
--     for name, open in worlds.both() do
--       it("..., in " .. name, function()
--         local world <close> = open { nodes = 3 }
--         local leader, others = worlds.start(world)
--       end)
--     end
local worlds = require "kvserver.world"

local M = {}

M.WITHIN_MS = 10000

local QUICK <const> = { heartbeat_ms = 30, election_ms = "200-400", segment_bytes = 65536 }

local function open(name, spec)
  local config = {}
  for _, options in ipairs { QUICK, spec.config or {} } do
    for key, value in pairs(options) do config[key] = value end
  end
  return worlds.open(name, { nodes = spec.nodes or 1, seed = spec.seed, directory = spec.directory, config = config })
end

--- How a world is opened.
-- @tparam string name
-- @treturn function it takes a table of nodes (1), seed, directory and config; its nodes are quick to elect
function M.opener(name)
  return function(spec) return open(name, spec or {}) end
end

--- Walks through the worlds of real nodes.
-- @treturn function an iterator: the name of a world, and its opener
function M.both()
  return pairs { inproc = M.opener "inproc", child = M.opener "child" }
end

--- Waits until a condition holds; an error when it does not in time.
-- @return what it returned
function M.wait(world, condition, what)
  return assert(world:wait_until(condition, M.WITHIN_MS), what or "in time")
end

--- The node that leads in the highest term, of those that are named, or of all.
-- @treturn ?string its id
-- @treturn ?integer its term
function M.leader(world, ids)
  local leader, term = nil, -1
  for _, id in ipairs(ids or world.ids) do
    local status <const> = world:status(id)
    if status and status.role == "leader" and status.term > term then leader, term = id, status.term end
  end
  return leader, leader and term
end

--- Waits until one of them leads.
-- @treturn string its id
function M.wait_leader(world, ids)
  return M.wait(world, function() return (M.leader(world, ids)) end, "no leader in time")
end

--- Waits until a node has applied an index.
function M.wait_applied(world, id, index)
  M.wait(world, function()
    local status <const> = world:status(id)
    return status and status.last_applied >= index
  end, ("%s has not applied %d"):format(id, index))
end

--- Starts all nodes, and waits until each is a full member that knows a leader: who is none may not campaign.
-- @treturn string its id
-- @treturn {string,...} the others
function M.start(world)
  for _, id in ipairs(world.ids) do assert(world:start(id)) end
  for _, id in ipairs(world.ids) do
    M.wait(world, function() return world:ready(id) end, id .. " is not ready in time")
  end
  local leader <const> = M.wait_leader(world)
  return leader, M.others(world, leader)
end

--- All nodes but one.
-- @treturn {string,...} ids
function M.others(world, but)
  local others = {}
  for _, id in ipairs(world.ids) do
    if id ~= but then others[#others + 1] = id end
  end
  return others
end

--- Writes a key at a node.
-- @return the answer, or nil and why there is none
function M.put(world, id, key, value, timeout_ms)
  return world:operate(id, { op = "put", key = key, value = value }, timeout_ms or M.WITHIN_MS)
end

--- What the cluster has under a key, asked at a node.
function M.read(world, id, key)
  local answer <const> = assert(world:operate(id, { op = "get", key = key }, M.WITHIN_MS))
  return answer.value
end

--- What a node has under a key, asked of it alone.
function M.look(world, id, key)
  local answer <const> = assert(world:operate(id, { op = "get", key = key, read = "stale" }, M.WITHIN_MS))
  return answer.value
end

return M
