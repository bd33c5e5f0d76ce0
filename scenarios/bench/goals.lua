--- Figures beside their goals.
--
--   local goals = require "goals"
--   goals.at_least("GET, of nginx", 0.81, 0.7, "%.2fx")
--   os.exit(goals.all_met())

local M = {}

local missed = 0

local function show(name, text, goal, met)
  if not met then missed = missed + 1 end
  print(("%-52s %16s   goal %-14s %s"):format(name, text, goal, met and "pass" or "FAIL"))
  io.stdout:flush()
end

--- A figure that must reach its goal.
-- @param name what it is
-- @param figure number
-- @param goal number
-- @param format of both
function M.at_least(name, figure, goal, format)
  show(name, format:format(figure), ">= " .. format:format(goal), figure >= goal)
end

--- A figure that must not exceed its goal.
-- @param name what it is
-- @param figure number
-- @param goal number
-- @param format of both
function M.at_most(name, figure, goal, format)
  show(name, format:format(figure), "<= " .. format:format(goal), figure <= goal)
end

--- A figure without a goal.
-- @param name what it is
-- @param text as shown
function M.note(name, text)
  print(("%-52s %16s"):format(name, text))
  io.stdout:flush()
end

--- Whether no figure missed its goal so far.
-- @return boolean
function M.all_met()
  return missed == 0
end

--- The middle one of some numbers.
-- @param numbers array
-- @return number
function M.median(numbers)
  local sorted = table.move(numbers, 1, #numbers, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

return M
