--- One telling of a scenario: its world, what is said as it goes, what must hold all the time, and how it ends.
--
-- One story at a time: verbs without a cluster (kv.sleep, kv.mark, ...) belong to the current one.
local cluster = require "kvserver.scenario.cluster"
local duration = require "kvserver.scenario.duration"
local history = require "kvserver.scenario.history"
local printable = require "kvserver.scenario.printable"
local sandbox = require "kvserver.sim.sandbox"

local M = {}

local WATCH_MS <const> = { sim = 10, inproc = 20, child = 50 }
local NODES <const> = 3
local TIMEOUT <const> = "120s"

local current

--- The story that is being told, or nil.
function M.current()
  return current
end

--- A line of the running account; nothing outside of a story.
function M.say(text, ...)
  if current then current:tell(text, ...) end
end

--- The story does not pass, though nothing was found to be wrong.
-- @tparam string why
function M.undecided(why)
  M.say("undecided: %s", why)
  if current then current.doubt = current.doubt or why end
end

-- ---- the account ----

local Story = {}
Story.__index = Story

function Story:tell(text, ...)
  local line = { at = self.cluster and self.cluster.world:now() or 0, text = printable.text(text:format(...)) }
  self.lines[#self.lines + 1] = line
  if self.listener then self.listener(line) end
end

-- ---- what must hold ----

-- The sentence of what does not hold; nil: all does.
local function broken(self)
  for _, property in ipairs(self.properties) do
    local ok, holds, why = pcall(property.f)
    if not ok then return ("%s: %s"):format(property.name, tostring(holds)) end
    if property.kind == "always" and not holds then return ("%s: %s"):format(property.name, why or "does not hold") end
    if property.kind == "never" and holds then return ("%s happened"):format(property.name) end
    if property.kind == "sometimes" and holds then self.happened[property.name] = true end
  end
end

local function watch(self)
  while true do
    self.cluster:tell_leader()
    local why <const> = broken(self)
    if why then return self.cluster.world:fail { failed = why } end
    self.cluster.world:sleep(WATCH_MS[self.cluster.world.name])
  end
end

local function end_in_time(self)
  local world <const> = self.cluster.world
  while world:now() < self.deadline do world:sleep(self.deadline - world:now()) end
  world:fail { failed = "it is not over after " .. duration.text(world:now()) }
end

--- What the command line says about how long something is to go on, or the default. The deadline moves with it.
-- @tparam string default
-- @treturn string
function Story:duration(default)
  if not self.for_time then return default end
  self.deadline = self.deadline + math.max(0, duration.ms(self.for_time) - duration.ms(default))
  return self.for_time
end

--- A condition to watch.
-- @tparam string kind "always", "never" or "sometimes"
function Story:watch(kind, name, f)
  if kind == "sometimes" then self.happened[name] = self.happened[name] or false end
  self.properties[#self.properties + 1] = { kind = kind, name = name, f = f }
end

-- ---- the telling ----

-- What the end says: pass, fail, undecided or skipped.
local function judge(self, ok, why, trace)
  local violation <const> = self.cluster and self.cluster.world.violation and self.cluster.world:violation()
  if violation then return "fail", violation end
  if ok then return self.doubt and "undecided" or "pass", self.doubt end
  if type(why) == "table" and why.skipped then return "skipped", why.skipped end
  if type(why) == "table" and why.failed then return "fail", why.failed end
  local text <const> = type(why) == "table" and tostring(why.message or why.why or why) or tostring(why)
  return "fail", trace and text .. "\n" .. trace or text
end

-- Every fault is undone.
local function undo(self)
  for _, node in ipairs(self.cluster:nodes()) do
    if node:state() == "paused" then node:resume() end
    node.disk:restore()
  end
  self.cluster.net:heal()
end

local function play(self, f)
  for _, need in ipairs(self.options.needs or {}) do self.cluster:need(need) end
  self.cluster:start()
  self.cluster.world:spawn(watch, self)
  self.deadline = self.cluster.world:now() + duration.ms(self.options.timeout, TIMEOUT)
  self.cluster.world:spawn(end_in_time, self)
  f(self.cluster)
  local why <const> = broken(self)
  if why then error({ failed = why }, 0) end
  undo(self)
end

-- The program ends in the midst of it: nobody will close its world.
local function abandon(self)
  if current ~= self then return end
  current = nil
  if self.cluster then self.cluster:destroy() end
end

-- In virtual time nothing in Lua may depend on the machine either.
local function enter_sandbox(world)
  if not world.virtual then return end
  sandbox.enter { seed = world.seed, now_ms = function() return world:now() end }
end

--- Tells a scenario once.
-- @tparam string name
-- @tparam table options of kv.scenario
-- @tparam function f gets the cluster
-- @tparam table how world, seed, directory, listener (gets each line of the account: at, text); stop_at (the number
-- of an event) and on_stop (gets the cluster in front of that event); for_time (what Story:duration gives)
-- @treturn table name, world, seed, verdict ("pass", "fail", "undecided", "skipped"), why, lines, history, happened,
-- ms, figures (what was counted: name -> how many), gap_ms (the longest time without an answer), events (in sim), and
-- the cluster's world, still open: close the result
function M.tell(name, options, f, how)
  assert(not current, "a scenario inside a scenario")
  local self = setmetatable({
    name = name, options = options, lines = {}, properties = {}, happened = {}, listener = how.listener,
    for_time = how.for_time,
  }, Story)
  current = self
  local _ <close> = setmetatable({}, { __close = function() abandon(self) end })
  local result = { name = name, world = how.world, seed = how.seed, lines = self.lines, happened = self.happened }
  local trace
  local ok, why = pcall(function()
    self.cluster = cluster.new {
      nodes = options.nodes or NODES, world = how.world, seed = how.seed, config = options.config,
      directory = how.directory, say = function(...) self:tell(...) end,
    }
    enter_sandbox(self.cluster.world)
    if how.stop_at then
      self.cluster.world:stop_at(how.stop_at, function()
        how.on_stop(self.cluster)
        self.cluster.world:fail { skipped = ("stopped in front of event %d"):format(how.stop_at) }
      end)
    end
    local done = table.pack(self.cluster.world:run(function() play(self, f) end))
    trace = done[3]
    if not done[1] then error(done[2], 0) end
  end)
  sandbox.leave()
  result.verdict, result.why = judge(self, ok, why, trace)
  result.why = result.why and printable.text(tostring(result.why))
  result.cluster = self.cluster
  result.history = self.cluster and self.cluster.history or {}
  result.figures = self.cluster and self.cluster.figures or {}
  result.gap_ms = self.cluster and history.longest_gap(self.cluster.history) or nil
  result.ms = self.cluster and self.cluster.world:now() or 0
  result.events = self.cluster and self.cluster.world.events and self.cluster.world:events() or nil
  current = nil
  return result
end

return M
