--- Tasks in virtual time: coroutines that wait for a moment or a key, and a clock that is moved on when all of them
-- wait.
--
--     local tasks = virtual.new { now = now_ms, advance = advance }
--     tasks:run(function() ... tasks:wait { at = now_ms() + 1000 } ... end)
--
-- Everything happens in one order, which depends on nothing outside: tasks run until they wait, in the order in which
-- they became ready. Whoever waits outside of any task, or in a coroutine of its own inside one, moves the clock on
-- himself.
local heap = require "kvserver.scenario.heap"

local M = {}

local Virtual = {}
Virtual.__index = Virtual

local Task = {}
Task.__index = Task

local US_PER_MS <const> = 1000 -- the clock counts whole ones
local STEP_MS <const> = 1000 -- so that whoever only waits for an answer has the clock moved on as well

--- @tparam table spec now(): milliseconds; advance(ms): moves the clock on by so much, or until something was answered
-- -> true; or nil and why the world has ended; answered(): the keys that were answered since
-- @return the tasks. `failure`: set it, and whoever waits in the main task gets it as an error. `on_stop`: called when
-- advance returned false and "stopped"
function M.new(spec)
  return setmetatable({
    now = spec.now, advance_clock = spec.advance, answered = spec.answered, tasks = {}, ready = {},
    timers = heap.new(function(a, b) return a.at < b.at or a.at == b.at and a.number < b.number end),
    by_key = {}, waits_count = 0, tasks_count = 0,
  }, Virtual)
end

-- ---- what is waited for ----

-- What was waited for is there; once.
local function settle(self, wait, value)
  if wait.is_over then return end
  wait.is_over, wait.value = true, value
  if wait.key then self.by_key[wait.key] = nil end
  if wait.task then self.ready[#self.ready + 1] = wait.task end
end

-- From now on it is waited for, if it is not there already.
local function begin(self, wait)
  self.waits_count = self.waits_count + 1
  wait.number = self.waits_count
  if wait.ended then
    if wait.ended.is_over then return settle(self, wait) end
    table.insert(wait.ended.joiners, wait)
  end
  if wait.at then self.timers:push(wait) end
  if wait.key then self.by_key[wait.key] = wait end
end

local function take_answers(self)
  for _, key in ipairs(self.answered()) do
    local wait <const> = self.by_key[key]
    if wait then settle(self, wait, true) end
  end
end

-- The moment that comes first of those that are still waited for.
local function next_moment(self)
  while true do
    local first <const> = self.timers:first()
    if not first then return math.huge end
    if not first.is_over then return first.at end
    self.timers:pop()
  end
end

local function take_moments(self)
  local now <const> = self.now()
  while next_moment(self) <= now do settle(self, self.timers:pop()) end
end

-- ---- tasks ----

--- Starts a task; it runs once the others wait.
-- @tparam function f
-- @param ... its arguments
-- @return a handle: `:join()`, `:cancel()`
function Virtual:spawn(f, ...)
  self.tasks_count = self.tasks_count + 1
  local task = setmetatable({
    owner = self, number = self.tasks_count, co = coroutine.create(f), given = table.pack(...), joiners = {},
  }, Task)
  self.tasks[task.co] = task
  self.ready[#self.ready + 1] = task
  return task
end

local function end_task(self, task)
  task.is_over = true
  self.tasks[task.co] = nil
  for _, wait in ipairs(task.joiners) do settle(self, wait) end
end

-- Runs a task until it waits or ends.
local function step(self, task)
  if task.is_over then return end
  local given <const> = task.given
  task.given = nil
  local results
  if given then
    results = table.pack(coroutine.resume(task.co, table.unpack(given, 1, given.n)))
  else
    results = table.pack(coroutine.resume(task.co))
  end
  if coroutine.status(task.co) ~= "dead" then return end
  if results[1] then
    task.results = table.pack(table.unpack(results, 2, results.n))
  else
    task.error = results[2]
    if type(task.error) == "string" then task.trace = debug.traceback(task.co) end
    if task ~= self.main and not self.failure then self.failure = task.error end
  end
  end_task(self, task)
end

--- Closes the task where it waits.
function Task:cancel()
  if self.is_over or coroutine.status(self.co) ~= "suspended" then return end
  if self.wait then self.wait.is_over, self.wait.task = true, nil end
  end_task(self.owner, self)
  coroutine.close(self.co)
end

--- Waits for the end of the task.
-- @return what it returned; its error is raised
function Task:join()
  if not self.is_over then self.owner:wait { ended = self } end
  if self.error then error(self.error, 0) end
  if self.results then return table.unpack(self.results, 1, self.results.n) end
end

-- ---- the run ----

local function run_ready(self)
  while #self.ready > 0 do
    local list = self.ready
    self.ready = {}
    for _, task in ipairs(list) do step(self, task) end
    local main <const> = self.main
    if self.failure and main and main.wait then settle(self, main.wait) end
  end
end

local function advance(self)
  local ms = math.min(math.ceil((next_moment(self) - self.now()) * US_PER_MS) / US_PER_MS, STEP_MS)
  if ms > 0 then
    local ok, why = self.advance_clock(ms)
    if ok == nil and not self.failure then self.failure = why end
    if why == "stopped" then self.on_stop() end
  end
  take_answers(self)
  take_moments(self)
  local main <const> = self.main
  if self.failure and main and main.wait then settle(self, main.wait) end
end

-- Runs everybody until what is waited for is there.
local function drive(self, wait)
  while true do
    run_ready(self)
    if wait.is_over then return end
    if self.failure and wait.ended ~= self.main then error(self.failure, 0) end
    advance(self)
  end
end

--- Waits.
-- @tparam table wait any of: at (a moment, in milliseconds), key (until it is answered), ended (a task)
-- @treturn ?boolean true for an answer; nil when the moment came first
function Virtual:wait(wait)
  begin(self, wait)
  local task <const> = self.tasks[coroutine.running()]
  if not task then
    drive(self, wait)
  elseif not wait.is_over then
    wait.task, task.wait = task, wait
    coroutine.yield()
    task.wait = nil
    if task == self.main and self.failure then error(self.failure, 0) end
  end
  return wait.value
end

--- Ends a wait, from outside of all tasks.
-- @tparam table wait as given to wait
function Virtual:settle(wait)
  settle(self, wait)
end

--- Runs the main task to its end; the others are closed then.
-- @tparam function f
-- @return as of pcall
function Virtual:run(f)
  self.main = self:spawn(f)
  local main <const> = self.main
  local wait <const> = { ended = main }
  begin(self, wait)
  drive(self, wait)
  self.main = nil
  self:close()
  if main.error then return false, main.error, main.trace end
  return true, table.unpack(main.results, 1, main.results.n)
end

--- Closes all tasks.
function Virtual:close()
  local rest = {}
  for _, task in pairs(self.tasks) do rest[#rest + 1] = task end
  table.sort(rest, function(a, b) return a.number < b.number end)
  for _, task in ipairs(rest) do task:cancel() end
end

return M
