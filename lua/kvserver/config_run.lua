--- Runs the text of a configuration file: Lua that can compute, but reaches nothing outside itself but the environment
-- variables, and comes to an end.
--
--     local result = assert(require("kvserver.config_run").run('return { id = os.getenv "NODE_ID" or "n1" }'))
--
-- The file has what its environment below holds, and the methods of strings; it may define names of its own. What loops
-- for ever is stopped after so many steps, what grows for ever at so many bytes; a single call of a string function
-- (a pattern that backtracks for long) is not interrupted.
local config = require "kvserver.config"
local loop = require "kvserver.loop"

local M = {}

local STEPS_MAX <const> = 10000000 -- some tenths of a second
local MEMORY_BYTES_MAX <const> = 64 * 1024 * 1024
local CHUNK <const> = "config" -- what Lua calls the file in its messages; it would cut a long path

-- What is missing of the libraries: what differs from run to run, copies for as long as it is told, and code as bytes.
local LEFT_OUT <const> = {
  math = { random = true, randomseed = true }, string = { dump = true }, table = { move = true },
}

-- A name that is not there is an error: nil would quietly leave an option out.
local function strict(names, prefix)
  return setmetatable(names, {
    __index = function(_, name)
      error(("%s%s: a configuration file has nothing of this name"):format(prefix, tostring(name)), 2)
    end,
  })
end

local function library(name)
  local names <const> = {}
  for key, value in pairs(_G[name]) do
    if not (LEFT_OUT[name] and LEFT_OUT[name][key]) then names[key] = value end
  end
  return strict(names, name .. ".")
end

-- As assert, with the line in the message.
local function check(value, message, ...)
  if not value then error(message == nil and "assertion failed!" or message, 2) end
  return value, message, ...
end

local function environment()
  return strict({
    assert = check, error = error, ipairs = ipairs, next = next, pairs = pairs, select = select, tonumber = tonumber,
    tostring = tostring, type = type,
    math = library "math", string = library "string", table = library "table", utf8 = library "utf8",
    os = strict({ getenv = os.getenv }, "os."),
  }, "")
end

local function stop()
  error(("takes too long: more than %d steps"):format(STEPS_MAX), 2)
end

-- The message, and the line if it tells one.
local function without_place(message)
  if type(message) ~= "string" then return ("failed with %s"):format(config.quote(message)) end
  local line, rest = message:match("^" .. CHUNK .. ":(%d+): (.*)$")
  return rest or message, math.tointeger(line)
end

--- Runs it.
-- @tparam string text
-- @return what it returns; or nil and a message
-- @treturn ?integer then also the line, where it is known
function M.run(text)
  local chunk <const>, why = load(text, "=" .. CHUNK, "t", environment())
  if not chunk then return nil, without_place(why) end
  local thread <const> = coroutine.create(chunk)
  debug.sethook(thread, stop, "", STEPS_MAX)
  local memory_max <const> = loop.set_memory_max(loop.memory_bytes() + MEMORY_BYTES_MAX)
  local ok, result = coroutine.resume(thread)
  loop.set_memory_max(memory_max)
  if not ok then return nil, without_place(result) end
  if type(result) ~= "table" then return nil, ("expected to return a table, got %s"):format(config.quote(result)) end
  return result
end

return M
