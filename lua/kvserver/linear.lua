--- Linearizability of histories of register operations.
--
--     local linear = require "kvserver.linear"
--     local verdict, why = linear.check {
--       { client = "a", kind = "put", key = "k", value = "1", outcome = "ok", called = 0, returned = 10 },
--       { client = "b", kind = "get", key = "k", saw = nil, outcome = "ok", called = 20, returned = 30 },
--     }
--     --> "fail", "get of k by b, called at 20, returned at 30, saw nothing; it could have seen 1"
--
-- An operation is `put` (wrote `value`), `get` (saw a value or nil), `cas` (`expected` nil or a value, `value`; saw
-- true or false: whether it was done) or `delete` (saw true or false: whether there was a value). `outcome` is "ok",
-- "fail" (never took effect) or "unknown" (may take effect at any later time, or never). Keys and values are of any
-- type. One operation comes before another when it returned before the other was called.
local sim = require "kvserver.sim"

local M = {}

-- Numbers from 1 for different things, in the order of their appearance.
local function numbering()
  local numbers, things = {}, {}
  return function(thing)
    if thing == nil then return 0 end
    if not numbers[thing] then
      things[#things + 1] = thing
      numbers[thing] = #things
    end
    return numbers[thing]
  end, things
end

local function as_numbers(history)
  local key_number = numbering()
  local value_number, values = numbering()
  local ops = {}
  for i, op in ipairs(history) do
    local saw = op.saw
    if op.kind == "get" then saw = value_number(saw) else saw = saw and 1 or 0 end
    ops[i] = {
      key = key_number(op.key), kind = op.kind, outcome = op.outcome, value = value_number(op.value),
      expected = value_number(op.expected), saw = saw, called = op.called, returned = op.returned,
    }
  end
  return ops, values
end

local function shown(value)
  return value == nil and "nothing" or tostring(value)
end

local function what_it_saw(op)
  if op.kind == "get" then return "saw " .. shown(op.saw) end
  if op.kind == "delete" then return op.saw and "found a value" or "found no value" end
  if op.kind == "cas" then
    return ("%s %s"):format(op.saw and "found" or "did not find", shown(op.expected))
  end
  return "wrote " .. shown(op.value)
end

--- Says in words why no order explains a history.
-- @tparam table op the operation that could not be explained
-- @tparam table states the values that the register could have had (nil is none: use `count`)
-- @tparam integer count how many states
-- @treturn string
function M.explain(op, states, count)
  local could = {}
  for i = 1, count do could[i] = shown(states[i]) end
  return ("%s of %s by %s, called at %s, returned at %s, %s; it could have seen %s"):format(
    op.kind, shown(op.key), shown(op.client), op.called, shown(op.returned), what_it_saw(op),
    table.concat(could, " or "))
end

--- Looks for an order of the operations that explains what each of them saw.
-- @tparam table history the operations, in any order
-- @tparam[opt] integer steps how long to look
-- @treturn string "pass", "fail" or "undecided"
-- @treturn ?string with "fail": which operation cannot be explained, what it saw and what it could have seen
-- @treturn ?table with "fail": op (that operation) and states (the values that it could have seen; count of them, nil
-- is none)
function M.check(history, steps)
  local ops, values = as_numbers(history)
  local verdict, report = sim.linear(ops, steps)
  if verdict ~= "fail" then return verdict end
  local states = {}
  for i, number in ipairs(report.states) do states[i] = values[number] end
  local op <const>, count <const> = history[report.op], #report.states
  return verdict, M.explain(op, states, count), { op = op, states = states, count = count }
end

-- An operation of a world's history, whose values are numbers with 0 for none, as M.explain shows it.
local function from_world(op)
  local function value(number)
    return number ~= 0 and number or nil
  end
  local saw = op.saw
  if op.kind == "get" then saw = value(saw) else saw = saw ~= 0 end
  return {
    kind = op.kind, key = "k" .. op.key, client = "c" .. op.client, value = value(op.value),
    expected = value(op.expected), saw = saw, called = op.called, returned = op.returned,
  }
end

--- Checks what the clients of a simulated world saw.
-- @param world of kvserver.sim
-- @tparam[opt] integer steps how long to look
-- @treturn string "pass", "fail" or "undecided"
-- @treturn ?string as in check; times are microseconds
function M.check_world(world, steps)
  local verdict, report = world:check_history(steps)
  if verdict ~= "fail" then return verdict end
  local states = {}
  for i, number in ipairs(report.states) do states[i] = number ~= 0 and number or nil end
  return verdict, M.explain(from_world(world:history()[report.op]), states, #report.states)
end

return M
