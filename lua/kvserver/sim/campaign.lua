--- Many seeds, on all cores, up to the first violation.
--
--     kvserver --script scenarios/campaign.lua --seeds 1..1000 [--jobs N] [--trace RECORDS]
--
-- Children of this program run the seeds in pieces and print a line for each; this one adds them up.
local log = require "kvserver.log"
local process = require "kvserver.process"
local seed_module = require "kvserver.sim.seed"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local PIECE_SEEDS <const> = 20 -- of one child
local PIECE_TIMEOUT_MS <const> = 600000
local TRACE_RECORDS <const> = 60
local WORKER <const> = [[require("kvserver.sim.campaign").worker(...)]]

-- What a line of a worker counts, besides the faults.
local COUNTS <const> = {
  "events", "acked_writes", "async_writes", "answered_reads", "elections", "leader_changes", "commits",
}
local UNDECIDED_ONE_IN <const> = 1000 -- at most
-- What a campaign of many seeds shows per seed, or it shows too little.
local SEEDS_MANY <const> = 20
local OPERATIONS_MIN <const> = 500
local LEADER_CHANGES_MIN <const> = 3
-- And what must have happened somewhere.
local SOMEWHERE <const> = {
  "async_writes", "snapshot_taken", "snapshot_installed", "snapshot_resumed", "snapshot_cut", "fault_untold",
  "fault_cut_short", "fault_start_cut", "fault_no_room", "fault_rot_found",
}

-- ---- one seed, as a line ----

local function add_counts(fields, prefix, counts)
  local first <const> = #fields + 1
  for name, times in pairs(counts) do fields[#fields + 1] = ("%s_%s=%d"):format(prefix, name, times) end
  local added <const> = table.move(fields, first, #fields, 1, {})
  table.sort(added)
  table.move(added, 1, #added, first, fields)
end

local function result_line(number, result)
  local fields = { ("seed=%d ok=%s"):format(number, result.ok) }
  for _, name in ipairs(COUNTS) do fields[#fields + 1] = ("%s=%d"):format(name, result.stats[name]) end
  fields[#fields + 1] = ("virtual_ms=%d cpu_us=%d undecided=%d"):format(
    result.virtual_ms // 1, result.cpu_s * 1000000 // 1, result.verdict == "undecided" and 1 or 0)
  fields[#fields + 1] = "digest=" .. result.digest
  add_counts(fields, "fault", result.stats.faults)
  add_counts(fields, "tried", result.tried)
  add_counts(fields, "snapshot", result.stats.snapshots)
  return table.concat(fields, " ")
end

--- What a child does: a line per seed, up to the first that fails.
-- @tparam string first
-- @tparam string last
-- @tparam string trace records of the trace to print with a failure
function M.worker(first, last, trace)
  io.stdout:setvbuf("line")
  log.configure("none", "logfmt") -- simulated disks fail all the time
  for number = math.tointeger(first), math.tointeger(last) do
    local result = seed_module.run(number, math.tointeger(trace))
    print(result_line(number, result))
    if not result.ok then
      print("why: " .. result.why)
      print(result.trace)
      return os.exit(1, true)
    end
  end
end

-- ---- the sum ----

local function new_totals()
  return { seeds = 0, sums = {} }
end

local function add_line(totals, line)
  totals.seeds = totals.seeds + 1
  for name, value in line:gmatch("([%w_]+)=(%d+)%f[%s\0]") do
    totals.sums[name] = (totals.sums[name] or 0) + math.tointeger(value)
  end
end

local function print_counts(totals, prefix, title)
  local names = {}
  for name in pairs(totals.sums) do names[#names + 1] = name:match("^" .. prefix .. "_(.*)") end
  table.sort(names)
  print(("%-14s %12s %10s"):format(title, "times", "per seed"))
  for _, name in ipairs(names) do
    local times = totals.sums[prefix .. "_" .. name]
    print(("%-14s %12d %10.1f"):format(name, times, times / totals.seeds))
  end
end

local function print_totals(totals, wall_s)
  local sums, seeds = totals.sums, totals.seeds
  local cpu_s <const> = sums.cpu_us / 1000000
  print_counts(totals, "tried", "nemesis")
  print_counts(totals, "fault", "fault")
  print_counts(totals, "snapshot", "snapshots")
  local operations <const> = sums.acked_writes + sums.answered_reads
  print(("%d acknowledged operations (%d writes, %d of them asynchronous), %d elections, %d leader changes, "
    .. "%d entries committed"):format(operations, sums.acked_writes, sums.async_writes, sums.elections,
    sums.leader_changes, sums.commits))
  print(("%d seeds in %.1f s; per seed %.0f acknowledged operations (%.0f writes), %.1f leader changes"):format(
    seeds, wall_s, operations / seeds, sums.acked_writes / seeds, sums.leader_changes / seeds))
  print(("%.0f events/s and %.0f virtual seconds per second, per core; undecided %d (%.2f %%)"):format(
    sums.events / cpu_s, sums.virtual_ms / 1000 / cpu_s, sums.undecided, 100 * sums.undecided / seeds))
end

-- ---- the campaign ----

local Campaign = {}
Campaign.__index = Campaign

function Campaign:progress()
  local now_ms = task.now_ms()
  if now_ms < self.progress_ms then return end
  self.progress_ms = now_ms + 1000
  io.stderr:write(("%d of %d seeds\n"):format(self.totals.seeds, self.last - self.first + 1))
end

-- The output of a child whose seeds did not all pass.
function Campaign:failed(first, output)
  local number = first
  for seed, ok in output.stdout:gmatch("seed=(%d+) ok=(%a+)") do
    number = math.tointeger(seed) + (ok == "true" and 1 or 0)
  end
  local why = output.stdout:match("why: (.*)") or output.stderr
  if not self.failure or number < self.failure.seed then self.failure = { seed = number, why = why } end
end

-- Runs one piece; the lines that come are added up.
function Campaign:piece(first, last)
  local child <close> = process.spawn {
    args = { process.self(), "-", tostring(first), tostring(last), tostring(self.trace) }, stdin = WORKER,
  }
  local output, why = child:wait(PIECE_TIMEOUT_MS)
  if not output then output = { code = 1, stdout = child.stdout, stderr = why } end
  for line in output.stdout:gmatch("seed=%d+ ok=true[^\n]*") do add_line(self.totals, line) end
  if output.code ~= 0 or output.signal ~= 0 then self:failed(first, output) end
  self:progress()
end

function Campaign:work()
  while self.next_seed <= self.last and not self.failure do
    local first <const> = self.next_seed
    self.next_seed = first + PIECE_SEEDS
    self:piece(first, math.min(first + PIECE_SEEDS - 1, self.last))
  end
end

local function usage(why)
  io.stderr:write(why, "\nusage: campaign.lua --seeds A..B [--jobs N] [--trace RECORDS]\n")
  os.exit(2, true)
end

local function read_arguments(arguments)
  local options = { jobs = uv.available_parallelism(), trace = TRACE_RECORDS }
  for i = 1, #arguments, 2 do
    local name, value = arguments[i], arguments[i + 1] or ""
    if name == "--seeds" then
      local first, last = value:match("^(%d+)%.%.(%d+)$")
      first, last = math.tointeger(first), math.tointeger(last)
      if not first or first > last then usage("--seeds: expected A..B, got \"" .. value .. "\"") end
      options.first, options.last = first, last
    elseif name == "--jobs" or name == "--trace" then
      options[name:sub(3)] = math.tointeger(value) or usage(name .. ": expected a number")
    else
      usage(name .. ": unknown option")
    end
  end
  if not options.first then usage("--seeds is missing") end
  return options
end

--- Runs a range of seeds.
-- @tparam table options `first`, `last`, `jobs`, `trace`
-- @treturn table `totals`; `failure` with `seed` and `why`
function M.run(options)
  local self = setmetatable({
    first = options.first, last = options.last, trace = options.trace, next_seed = options.first,
    totals = new_totals(), progress_ms = task.now_ms() + 1000,
  }, Campaign)
  local workers = {}
  for i = 1, options.jobs do workers[i] = task.spawn(self.work, self) end
  for _, worker in ipairs(workers) do worker:join() end
  return self
end

-- What is wrong with the sum of seeds that all passed.
local function objection(totals)
  local sums <const>, seeds <const> = totals.sums, totals.seeds
  if sums.undecided > math.ceil(seeds / UNDECIDED_ONE_IN) then return "too many histories are undecided" end
  if seeds < SEEDS_MANY then return nil end
  if sums.acked_writes + sums.answered_reads < OPERATIONS_MIN * seeds then return "too few operations" end
  if sums.leader_changes < LEADER_CHANGES_MIN * seeds then return "too few leader changes" end
  for _, name in ipairs(SOMEWHERE) do
    if (sums[name] or 0) == 0 then return "no " .. name:gsub("_", " ") .. " in all seeds" end
  end
  return nil
end

--- The command line: prints the sum, or the first failure and the line that replays it; ends the program.
-- @param ... the arguments
function M.main(...)
  local options <const> = read_arguments { ... }
  local started <const> = task.now_ms()
  local done = M.run(options)
  if done.totals.seeds > 0 then print_totals(done.totals, (task.now_ms() - started) / 1000) end
  if not done.failure then
    local why <const> = objection(done.totals)
    if why then print(why) end
    return os.exit(why and 1 or 0, true)
  end
  print(("seed %d failed: %s"):format(done.failure.seed, done.failure.why))
  print(("replay: kvserver --script %s --seeds %d..%d --trace 4096"):format(
    arg[0], done.failure.seed, done.failure.seed))
  os.exit(1, true)
end

return M
