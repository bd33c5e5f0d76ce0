--- Worlds: where the nodes of a scenario live. Scenarios do not see this; they use kvserver.scenario.
--
-- All have the same functions: `now` (milliseconds since the world began), `spawn`, `sleep`, `wait_until` and `run`
-- (tasks and time); `start`, `stop`, `kill`, `pause`, `resume`, `wipe`, `state`, `status`, `ready`, `raft_log` and
-- `transfer` (nodes); `operate` (a request); `cut`, `mend`, `link`, `drop_next`, `hold`, `release`, `disk`, `flip` and
-- `clock` (faults); `can` (whether there is such a fault or view, or why not); `fail` (ends the main task); `close`.
-- Their docs are in kvserver.world.sim. Where `can` says so there are `http` (a request as it is) and `log` (what a
-- node wrote). In sim there are also `trace`, `records`, `digest` and `violation` (what happened), and `stop_at` and
-- `step`.
local M = {}

--- The names, the default first.
M.names = { "sim", "inproc", "child" }

local function is_known(name)
  for _, known in ipairs(M.names) do
    if name == known then return true end
  end
  return false
end

--- Makes a world whose nodes do not run yet.
-- @tparam string name of M.names
-- @tparam table spec nodes (how many), seed, config (options of all nodes), directory (for files; not in sim)
-- @return the world, a `<close>` value
function M.open(name, spec)
  if not is_known(name) then
    error(("world: expected one of %s, got %s"):format(table.concat(M.names, ", "), tostring(name)), 0)
  end
  return require("kvserver.world." .. name).open(spec)
end

return M
