--- Tasks in virtual time: coroutines that wait for a moment or a key, and a clock that is moved on when all of them
-- wait.
--
--     local tasks = virtual.new { now = now_ms, advance = advance }
--     tasks:run(function() ... tasks:wait { at = now_ms() + 1000 } ... end)
--
-- Everything happens in one order, which depends on nothing outside: tasks run until they wait, in the order in which
-- they became ready. Whoever waits outside of any task, or in a coroutine of its own inside one, moves the clock on
-- himself.
local M = {}

local Virtual = {}
Virtual.__index = Virtual

local Task = {}
Task.__index = Task

--- @tparam table spec now(): milliseconds; advance(ms): moves the clock on by so much, or until something was answered
-- -> true; or nil and why the world has ended; answered(): the keys that were answered since
-- @return the tasks. `failure`: set it, and whoever waits in the main task gets it as an error. `on_stop`: called when
-- advance returned false and "stopped"
function M.new(spec)
  return setmetatable({
    now = spec.now, advance_clock = spec.advance, answered = spec.answered, ready = {}, waiting = {}, tasks = {},
  }, Virtual)
end

-- ---- tasks ----

--- Starts a task; it runs once the others wait.
-- @tparam function f
-- @param ... its arguments
-- @return a handle: `:join()`, `:cancel()`
function Virtual:spawn(f, ...)
  local task = setmetatable({ owner = self, co = coroutine.create(f), results = table.pack(...) }, Task)
  self.tasks[task.co] = task
  self.ready[#self.ready + 1] = task
  return task
end

-- Runs a task until it waits or ends.
local function step(self, task)
  local given <const> = task.results
  task.results = nil
  local results = table.pack(coroutine.resume(task.co, table.unpack(given, 1, given.n)))
  if coroutine.status(task.co) ~= "dead" then return end
  self.tasks[task.co] = nil
  task.ended = true
  if results[1] then
    task.results = table.pack(table.unpack(results, 2, results.n))
  else
    task.error = results[2]
    if type(task.error) == "string" then task.trace = debug.traceback(task.co) end
    if task ~= self.main and not self.failure then self.failure = task.error end
  end
end

local function remove(list, item)
  for i = #list, 1, -1 do
    if list[i] == item then table.remove(list, i) end
  end
end

--- Closes the task where it waits.
function Task:cancel()
  if self.ended or coroutine.status(self.co) ~= "suspended" then return end
  self.ended = true
  self.owner.tasks[self.co] = nil
  remove(self.owner.ready, self)
  remove(self.owner.waiting, self)
  coroutine.close(self.co)
end

--- Waits for the end of the task.
-- @return what it returned; its error is raised
function Task:join()
  if not self.ended then self.owner:wait { ended = self } end
  if self.error then error(self.error, 0) end
  if self.results then return table.unpack(self.results, 1, self.results.n) end
end

-- ---- waiting ----

-- Whether what is waited for is there, and its value.
local function satisfied(self, spec)
  if spec.ended then return spec.ended.ended, true end
  if spec.done then return true, spec.value end
  if spec.at and self.now() >= spec.at then return true, nil end
  return false
end

local function wake(self, task, ...)
  remove(self.waiting, task)
  task.spec = nil
  task.results = table.pack(...)
  self.ready[#self.ready + 1] = task
end

local function wake_satisfied(self)
  local i = 1
  while i <= #self.waiting do
    local task = self.waiting[i]
    local yes, value = satisfied(self, task.spec)
    if task == self.main and self.failure then yes, value = true, nil end
    if yes then wake(self, task, value) else i = i + 1 end
  end
end

local function run_ready(self)
  while #self.ready > 0 do
    local list = self.ready
    self.ready = {}
    for _, task in ipairs(list) do
      if not task.ended then step(self, task) end
    end
    wake_satisfied(self)
  end
end

-- Until when nobody has anything to do.
local function horizon(self, own)
  local at = own.at or math.huge
  for _, task in ipairs(self.waiting) do at = math.min(at, task.spec.at or math.huge) end
  return at
end

local function take_answers(self, own)
  for _, key in ipairs(self.answered()) do
    for _, task in ipairs(self.waiting) do
      if task.spec.key == key then task.spec.done, task.spec.value = true, true end
    end
    if own.key == key then own.done, own.value = true, true end
  end
end

local US_PER_MS <const> = 1000 -- the clock counts whole ones
local STEP_MS <const> = 1000 -- so that whoever only waits for an answer has the clock moved on as well

local function advance(self, own)
  local at <const> = horizon(self, own)
  local ms = math.min(math.ceil((at - self.now()) * US_PER_MS) / US_PER_MS, STEP_MS)
  if ms > 0 then
    local ok, why = self.advance_clock(ms)
    if ok == nil and not self.failure then self.failure = why end
    if why == "stopped" then self.on_stop() end
  end
  take_answers(self, own)
  wake_satisfied(self)
end

-- Runs everybody until `spec` is satisfied.
local function drive(self, spec)
  while true do
    run_ready(self)
    local yes, value = satisfied(self, spec)
    if yes then return value end
    if self.failure and spec.ended ~= self.main then error(self.failure, 0) end
    advance(self, spec)
  end
end

--- Waits.
-- @tparam table spec any of: at (a moment, in milliseconds), key (until it is answered)
-- @treturn ?boolean true for an answer; nil when the moment came first
function Virtual:wait(spec)
  local task = self.tasks[coroutine.running()]
  if not task then return drive(self, spec) end
  local yes, value = satisfied(self, spec)
  if not yes then
    task.spec = spec
    self.waiting[#self.waiting + 1] = task
    value = coroutine.yield()
  end
  if task == self.main and self.failure then error(self.failure, 0) end
  return value
end

--- Runs the main task to its end; the others are closed then.
-- @tparam function f
-- @return as of pcall
function Virtual:run(f)
  self.main = self:spawn(f)
  drive(self, { ended = self.main })
  local main <const> = self.main
  self.main = nil
  self:close()
  if main.error then return false, main.error, main.trace end
  return true, table.unpack(main.results, 1, main.results.n)
end

--- Closes all tasks.
function Virtual:close()
  local rest = {}
  for _, list in ipairs { self.ready, self.waiting } do table.move(list, 1, #list, #rest + 1, rest) end
  for _, task in ipairs(rest) do task:cancel() end
end

return M
