--- A Lua prompt in a simulated world that stands still, as `lua` has one.
--
--   c           the cluster of the scenario
--   step(n)     n events happen (1), and what they were is shown
--   trace(n)    the last n events (20)
--   continue    Ctrl-D, or `quit`: the scenario's end
local uv = require "luv"

local M = {}

local TRACE_LINES <const> = 20

local function lines_of(text, count)
  local list = {}
  for line in text:gmatch("[^\n]+") do list[#list + 1] = line end
  return table.concat(list, "\n", math.max(1, #list - count + 1))
end

-- What a value looks like: tables with their fields, two levels deep.
local function show(value, depth)
  if type(value) == "string" then return depth > 0 and ("%q"):format(value) or value end
  if type(value) ~= "table" or getmetatable(value) and getmetatable(value).__tostring then return tostring(value) end
  if depth > 2 then return "{...}" end
  local parts, names = {}, {}
  for i, item in ipairs(value) do parts[i] = show(item, depth + 1) end
  for name in pairs(value) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("%s = %s"):format(name, show(value[name], depth + 1)) end
  return "{" .. table.concat(parts, depth == 0 and ",\n  " or ", ") .. "}"
end

local function environment(cluster)
  local world <const> = cluster.world
  local env = { c = cluster }
  function env.trace(count)
    print(lines_of(world:trace(), count or TRACE_LINES))
  end
  function env.step(count)
    local ran, why = world:step(count or 1)
    print(lines_of(world:trace(), ran or 1))
    if why then return ran, why end
    return ran
  end
  return setmetatable(env, { __index = _G })
end

-- A chunk that is an expression shows its value.
local function compile(text, env)
  local chunk = load("return " .. text, "=prompt", "t", env)
  if chunk then return chunk end
  return load(text, "=prompt", "t", env)
end

local function is_incomplete(why)
  return why and why:find("<eof>", 1, true) ~= nil
end

-- The next statement, over several lines if need be; nil at the end.
local function read_statement(env, is_terminal)
  local text
  repeat
    if is_terminal then io.stdout:write(text and ">> " or "> ") end
    io.stdout:flush()
    local line <const> = io.stdin:read "l"
    if not line then return nil end
    text = text and text .. "\n" .. line or line
    local chunk, why = compile(text, env)
    if chunk or not is_incomplete(why) then return text, chunk, why end
  until false
end

local function evaluate(chunk)
  local results = table.pack(xpcall(chunk, function(why)
    return type(why) == "table" and (why.failed or why.skipped) or debug.traceback(why, 2)
  end))
  for i = 2, results.n do print(show(results[i], 0)) end
end

--- Reads and runs statements until the end of input, from a terminal or not.
-- @tparam table cluster
function M.run(cluster)
  print "The world stands still. c is the cluster: c:status(), c:node(1):raft_log(1); step(n); trace(n); Ctrl-D ends."
  local env <const> = environment(cluster)
  local is_terminal <const> = uv.guess_handle(0) == "tty"
  while true do
    local text, chunk, why = read_statement(env, is_terminal)
    if not text or text == "quit" then return print() end
    if chunk then evaluate(chunk) else print(why) end
  end
end

return M
