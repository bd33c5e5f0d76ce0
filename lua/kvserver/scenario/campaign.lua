--- One scenario with many seeds, on all processors, up to the first failure.
--
-- Children of this program tell it for a piece of the seeds each, and print a line of JSON per seed; this one adds them
-- up. What kv.sometimes hopes for must have happened in one seed at least, if there were enough of them to tell.
local figures = require "kvserver.scenario.figures"
local json = require "kvserver.json"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local PIECE_SEEDS <const> = 10 -- of one child
local PIECE_TIMEOUT_MS <const> = 600000
local SEEDS_TO_TELL <const> = 50 -- so many make it no bad luck that something never happened
local PROGRESS_MS <const> = 1000
local LINE_MARK <const> = "\1seed " -- before a line of JSON; whatever else a scenario prints is its own

-- ---- the children ----

--- What a child does: a line per telling.
-- @tparam table list scenarios
-- @tparam table options seeds
-- @tparam function tell (scenario, options, seed) -> result
-- @treturn integer the exit code
function M.work(list, options, tell)
  options.quiet = true
  for seed = options.seeds.first, options.seeds.last do
    local result = tell(list[1], options, seed)
    print(LINE_MARK .. json.encode {
      seed = seed, verdict = result.verdict, why = result.why and tostring(result.why), ms = result.ms,
      operations = #result.history, happened = result.happened, kept = result.kept,
      figures = result.figures, gap_ms = result.gap_ms,
    })
    if result.verdict == "fail" then return 1 end
  end
  return 0
end

local function arguments(self, first, last)
  local list = {
    process.self(), "--script", self.options.file, "--worker", "--seeds", ("%d..%d"):format(first, last),
    "--only", "^" .. self.scenario.name:gsub("%p", "%%%0") .. "$",
  }
  for _, name in ipairs { "report", "for" } do
    local value <const> = self.options[name]
    if value then table.move({ "--" .. name, value }, 1, 2, #list + 1, list) end
  end
  return list
end

-- ---- the sum ----

local Campaign = {}
Campaign.__index = Campaign

function Campaign:add(line)
  local one = json.decode(line)
  self.done = self.done + 1
  self.ms = self.ms + one.ms
  self.operations = self.operations + one.operations
  self.verdicts[one.verdict] = (self.verdicts[one.verdict] or 0) + 1
  for name, count in pairs(one.figures) do self.figures[name] = (self.figures[name] or 0) + count end
  if one.gap_ms then self.gap_ms = math.max(self.gap_ms or 0, one.gap_ms) end
  for name, happened in pairs(one.happened) do
    self.happened[name] = (self.happened[name] or 0) + (happened and 1 or 0)
  end
  if one.verdict == "skipped" then self.skipped = one.why end
  if one.verdict == "fail" then self:fail(one) end
  return one.verdict
end

-- The smallest seed counts, whichever child was the first to come to an end.
function Campaign:fail(one)
  if not self.failure or one.seed < self.failure.seed then self.failure = one end
end

-- Of a child that did not say itself what was wrong.
local function why_it_ended(ended, stdout)
  if not ended then return "it takes too long" end
  local said <const> = stdout:gsub(LINE_MARK .. "[^\n]*\n", "")
  return ("the program ended with exit code %d, signal %d\n%s"):format(ended.code, ended.signal, said)
end

local function run_piece(self, first, last)
  local child <close> = process.spawn { args = arguments(self, first, last), stderr = "inherit" }
  local ended = child:wait(PIECE_TIMEOUT_MS)
  local seen, verdict = 0, nil
  for line in child.stdout:gmatch(LINE_MARK .. "([^\n]+)\n") do
    verdict = self:add(line)
    seen = seen + 1
  end
  local is_well <const> = ended and ended.code == 0 and ended.signal == 0
  if not is_well and verdict ~= "fail" then
    self:fail { seed = first + seen, why = why_it_ended(ended, child.stdout) }
  end
end

function Campaign:work()
  while self.next_seed <= self.last and not self.failure and not self.skipped do
    local first <const> = self.next_seed
    self.next_seed = first + PIECE_SEEDS
    run_piece(self, first, math.min(self.last, first + PIECE_SEEDS - 1))
  end
end

local function print_progress(self, started)
  local seconds <const> = (uv.hrtime() - started) / 1e9
  local rate <const> = self.done / seconds
  io.stderr:write(("\r%d of %d seeds, %.1f/s, %.0f s to go, %d violations "):format(self.done, self.count, rate,
    rate > 0 and (self.count - self.done) / rate or 0, self.failure and 1 or 0))
end

-- On a terminal it overwrites itself; elsewhere it would fill a file.
local function show_progress(self, started)
  if uv.guess_handle(2) ~= "tty" then return nil end
  return task.spawn(function()
    while true do
      task.sleep(PROGRESS_MS)
      print_progress(self, started)
    end
  end)
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- What should have happened and never did.
local function never_happened(self)
  for _, name in ipairs(names_of(self.happened)) do
    if self.happened[name] == 0 then return name end
  end
end

local function print_sum(self, wall_s)
  print(("%d seeds in %.1f s, %.1f/s; %.0f s of virtual time"):format(self.done, wall_s, self.done / wall_s,
    self.ms / 1000))
  print("  " .. figures.text(self.figures, self.operations, self.gap_ms))
  for _, name in ipairs(names_of(self.happened)) do
    print(("  sometimes %s: in %d seeds"):format(name, self.happened[name]))
  end
end

local function verdict_of(self)
  if self.failure then return "fail", ("seed %d: %s"):format(self.failure.seed, self.failure.why) end
  if self.skipped then return "skipped", self.skipped end
  local missing <const> = self.done >= SEEDS_TO_TELL and never_happened(self)
  if missing then return "fail", ("in no seed: %s"):format(missing) end
  return self.verdicts.undecided and "undecided" or "pass",
    self.verdicts.undecided and ("%d seeds are undecided"):format(self.verdicts.undecided) or nil
end

--- Tells a scenario with many seeds; prints the sum.
-- @tparam table scenario
-- @tparam table options seeds, jobs, file, report
-- @tparam function replay (seed) -> the command line that tells one again
-- @treturn table name, verdict, why, seed (of a failure), wall_ms
function M.run(scenario, options, replay)
  local self = setmetatable({
    scenario = scenario, options = options, next_seed = options.seeds.first, last = options.seeds.last,
    count = options.seeds.last - options.seeds.first + 1, done = 0, ms = 0, operations = 0, verdicts = {},
    happened = {}, figures = {},
  }, Campaign)
  print(("%s (sim, seeds %d to %d)"):format(scenario.name, options.seeds.first, options.seeds.last))
  local started <const> = uv.hrtime()
  local progress <const> = show_progress(self, started)
  local workers = {}
  for i = 1, options.jobs or uv.available_parallelism() do workers[i] = task.spawn(self.work, self) end
  for _, worker in ipairs(workers) do worker:join() end
  if progress then
    progress:cancel()
    io.stderr:write "\n"
  end
  local verdict, why = verdict_of(self)
  local wall_ms <const> = (uv.hrtime() - started) / 1e6
  print_sum(self, wall_ms / 1000)
  print(("%s: %s"):format(verdict:upper(), scenario.name))
  if why then print((why:gsub("[^\n]+", "  %0"))) end
  if self.failure then print("  again: " .. replay(self.failure.seed)) end
  return { name = scenario.name, world = "sim", verdict = verdict, why = why, wall_ms = wall_ms }
end

return M
