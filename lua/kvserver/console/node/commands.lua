--- The commands of the console: one table, from which the console, its help, its completion and the manual are made.
--
-- A row: `name` ("raft.transfer"), `arguments` ("id"), `summary` (one line), `help` (text), `example` (a statement),
-- `returns`, `columns` (of a list of records), `writes` (true: only with --rw), `faults` (true: only with
-- --enable-faults), `completes` (kinds of the arguments: "command", "node", "setting", "level"), `run(context, ...)`,
-- which raises what is wrong, without a place. It needs no node until it runs.
local M = {}

local GROUPS <const> = { "help", "status", "kv", "raft", "clients", "config", "log", "fault", "node" }

M.list, M.by_name, M.groups = {}, {}, {}

for _, group in ipairs(GROUPS) do
  local rows <const> = require("kvserver.console.node.commands." .. group)
  M.groups[#M.groups + 1] = { name = group, rows = rows }
  for _, row in ipairs(rows) do
    M.list[#M.list + 1] = row
    M.by_name[row.name] = row
  end
end

return M
