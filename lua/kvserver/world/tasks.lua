--- Tasks in real time behind the worlds inproc and child: those of kvserver.task, one of which is the story.
--
-- An error in any of them, or fail(), ends the story wherever it waits, as in virtual time (kvserver.scenario.virtual).
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local NS_PER_MS <const> = 1e6
local UNWIND_MS <const> = 1000 -- for a story that waits in a coroutine of its own

local Tasks = {}
Tasks.__index = Tasks

local Handle = {}
Handle.__index = Handle

--- @tparam number poll_ms how often wait_until looks
-- @return the tasks; time begins
function M.new(poll_ms)
  return setmetatable({
    poll_ms = poll_ms, began = uv.hrtime(), failed = task.event(), handles = {},
    background = setmetatable({}, { __mode = "k" }), -- coroutines of spawn
  }, Tasks)
end

--- @treturn number milliseconds since new
function Tasks:now()
  return (uv.hrtime() - self.began) / NS_PER_MS
end

-- ---- waiting ----

-- What runs in the background has no use for the failure of the story: it is cancelled soon.
local function pause(self, ms)
  if self.background[coroutine.running()] then return task.sleep(ms) end
  if self.failed:wait(ms) then error(self.failure, 0) end
end

--- Waits. In the story, a failure is raised.
-- @tparam number ms
function Tasks:sleep(ms)
  pause(self, math.max(0, ms))
end

--- Waits until a condition holds, looking every few milliseconds. The condition may wait, too.
-- @tparam function condition
-- @tparam number ms how long at most
-- @return what it returned; nil when the time was over
function Tasks:wait_until(condition, ms)
  local deadline <const> = self:now() + ms
  while true do
    local value <const> = condition()
    if value then return value end
    local left <const> = deadline - self:now()
    if left <= 0 then return nil end
    pause(self, math.min(left, self.poll_ms))
  end
end

-- ---- tasks ----

local function with_trace(why)
  return { why = why, trace = type(why) == "string" and debug.traceback("", 2):sub(2) or nil }
end

--- Starts a task. Its error is the story's end.
-- @tparam function f
-- @param ... its arguments
-- @return a handle: `:join()`, `:cancel()`
function Tasks:spawn(f, ...)
  local handle = setmetatable({}, Handle)
  local arguments <const> = table.pack(...)
  handle.task = task.spawn(function()
    self.background[coroutine.running()] = true
    local results = table.pack(xpcall(f, with_trace, table.unpack(arguments, 1, arguments.n)))
    self.handles[handle] = nil
    if results[1] then return table.unpack(results, 2, results.n) end
    handle.failure = results[2]
    self:fail(handle.failure.why, handle.failure.trace)
  end)
  self.handles[handle] = true
  return handle
end

--- Waits for the end of the task.
-- @return what it returned, nothing if it was cancelled; its error is raised
function Handle:join()
  local results = table.pack(pcall(self.task.join, self.task))
  if self.failure then error(self.failure.why, 0) end
  if not results[1] and self.task:status() ~= "cancelled" then error(results[2], 0) end
  if results[1] then return table.unpack(results, 2, results.n) end
end

--- Closes the task where it waits.
function Handle:cancel()
  self.task:cancel()
end

--- Ends the story with an error, once.
-- @param why any value that is not false
-- @tparam[opt] string trace where it happened
function Tasks:fail(why, trace)
  if self.failure then return end
  self.failure = why
  self.failed:set()
  if self.over then self.over:set(false, why, trace) end
end

local function tell(over, f)
  local results = table.pack(xpcall(f, with_trace))
  if results[1] then return over:set(true) end
  over:set(false, results[2].why, results[2].trace)
end

--- Runs the story to its end, or to a failure; it and the other tasks are closed then.
-- @tparam function f
-- @treturn boolean whether it came to its end
-- @return its error, or the failure
-- @treturn ?string where that happened
function Tasks:run(f)
  self.over = task.event()
  local story <const> = task.spawn(tell, self.over, f)
  local _, ok, why, trace = self.over:wait()
  story:cancel()
  task.wait_until(function() return story:status() ~= "running" end, UNWIND_MS)
  self.over = nil
  self:close()
  return ok, why, trace
end

--- Closes all tasks.
function Tasks:close()
  for handle in pairs(self.handles) do handle:cancel() end
  self.handles = {}
end

return M
