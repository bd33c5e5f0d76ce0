--- What was counted in a telling, or in many, in words.
local duration = require "kvserver.scenario.duration"

local M = {}

--- @tparam table counts name -> how many
-- @tparam integer operations of clients
-- @tparam ?number gap_ms the longest time without an answer
-- @treturn string such as "120 operations, 2 x leader, at most 380 ms without an answer"
function M.text(counts, operations, gap_ms)
  local names, parts = {}, { ("%d operations"):format(operations) }
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("%d x %s"):format(counts[name], name) end
  if gap_ms then parts[#parts + 1] = ("at most %s without an answer"):format(duration.text(gap_ms)) end
  return table.concat(parts, ", ")
end

return M
