--- Tasks: coroutines that the loop runs while others wait.
--
--     local task = require "kvserver.task"
--     local worker = task.spawn(function(n) task.sleep(100) return n + 1 end, 41)
--     print(worker:join())  --> 42
--
-- The main script is a task, too; when it returns, the program ends and the other tasks are cancelled. Blocking verbs
-- (sleep, join, HTTP requests, ...) yield in a task; in a coroutine of your own inside a task they turn the loop
-- themselves; inside a callback of libuv they are an error. Long computations of a task are preempted.
local loop = require "kvserver.loop"

local M = {}

--- Starts a task.
-- @tparam function f what it runs
-- @param ... the arguments of f
-- @return a handle: `:join()` waits and returns the results of f, or raises its error; `:cancel()` closes the task
-- where it waits (its `<close>` variables run), and joining it is then an error; `:status()` is "ready", "running",
-- "waiting", "done", "failed" or "cancelled". The error of a task that nobody joins is printed, and the exit code is
-- then 1.
-- @function spawn
M.spawn = loop.spawn

--- Waits. Never less than asked for.
-- @tparam number ms milliseconds from 0
-- @function sleep
M.sleep = loop.sleep

--- Lets the loop and the other tasks go on.
-- @function yield
M.yield = loop.yield

--- The loop's monotonic clock.
-- @treturn integer milliseconds
-- @function now_ms
M.now_ms = loop.now_ms

local Event = {}
Event.__index = Event

--- Something that happens once, with values: how a callback of libuv hands over to a task.
-- @return an event: `:set(...)` from anywhere, `:wait([timeout_ms])` in a task
function M.event()
  return setmetatable({ waiters = setmetatable({}, { __mode = "k" }) }, Event)
end

--- Sets the event and wakes who waits; later calls change nothing.
-- @param ... what wait returns
function Event:set(...)
  if self.values then return end
  self.values = table.pack(...)
  for waker in pairs(self.waiters) do waker:wake() end
end

--- True once set was called.
-- @treturn boolean
function Event:is_set()
  return self.values ~= nil
end

--- Waits until the event is set.
-- @tparam[opt] number timeout_ms how long at most
-- @return true and the values of set, or false when the time was over
function Event:wait(timeout_ms)
  if not self.values then
    local waker <close> = loop.waker(timeout_ms)
    self.waiters[waker] = true
    waker:await()
    self.waiters[waker] = nil
  end
  if not self.values then return false end
  return true, table.unpack(self.values, 1, self.values.n)
end

--- Waits until a condition holds, looking every few milliseconds.
-- @tparam function condition called without arguments, until it returns a true value
-- @tparam number timeout_ms how long at most
-- @return what the condition returned, or nil and "timeout" when the time was over
function M.wait_until(condition, timeout_ms)
  local deadline_ms <const> = loop.now_ms() + timeout_ms
  while true do
    local value = condition()
    if value then return value end
    if loop.now_ms() >= deadline_ms then return nil, "timeout" end
    loop.sleep(2)
  end
end

return M
