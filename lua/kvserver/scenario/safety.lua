--- What Raft promises, as far as a world shows it.
local M = {}

local STATES_MAX <const> = 10000

-- Of a world that checks itself after every event.
local function watch_inside(world)
  return function()
    local why <const> = world:violation()
    return why == nil, why
  end
end

-- One leader per term.
local function check_leader(seen, id, status)
  if status.role ~= "leader" then return nil end
  local known <const> = seen.leaders[status.term]
  seen.leaders[status.term] = id
  if known and known ~= id then return ("%s and %s both lead in term %d"):format(known, id, status.term) end
end

-- One state per index.
local function check_state(seen, id, status)
  local index <const> = status.last_applied
  local known <const> = seen.states[index]
  if not known then
    if seen.states_count >= STATES_MAX then seen.states, seen.states_count = {}, 0 end
    seen.states[index] = { id = id, digest = status.state_digest }
    seen.states_count = seen.states_count + 1
  elseif known.digest ~= status.state_digest then
    return ("%s and %s have applied the same %d entries and are in different states"):format(known.id, id, index)
  end
end

-- Nothing goes back: the term never, the indices not as long as the node runs.
local function check_forward(seen, node, status)
  local last <const> = seen.last[node.id]
  seen.last[node.id] = status
  if not last then return nil end
  if status.term < last.term then return ("%s went back from term %d to %d"):format(node.id, last.term, status.term) end
  if status.starts ~= last.starts then return nil end
  for _, name in ipairs { "commit_index", "last_applied", "snapshot_index" } do
    if status[name] < last[name] then
      return ("the %s of %s went back from %d to %d"):format(name, node.id, last[name], status[name])
    end
  end
end

-- Whose disk was emptied since begins anew, once.
local function forget_wiped(seen, node)
  if node.wiped == seen.wiped[node.id] then return end
  seen.wiped[node.id], seen.last[node.id] = node.wiped, nil
end

--- Watches a cluster. `check.raft` is this.
-- @tparam table cluster
-- @treturn function -> true; or false and what is wrong
function M.watch(cluster)
  local world <const> = cluster.world
  if world.violation then return watch_inside(world) end
  local seen = { leaders = {}, states = {}, states_count = 0, last = {}, wiped = {} }
  return function()
    for _, node in ipairs(cluster:nodes()) do
      forget_wiped(seen, node)
      local status <const> = node:status()
      local why = status and (check_leader(seen, node.id, status) or check_state(seen, node.id, status)
        or check_forward(seen, node, status))
      if why then return false, why end
    end
    return true
  end
end

return M
