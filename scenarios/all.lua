--- Tells all scenarios: each with many seeds in the simulator, then the short ones once with processes.
--
--     kvserver --script scenarios/all.lua [--seeds A..B] [--only WORD] [--world W]
--
-- --seeds: of each in sim (1..100; chaos, which takes longest, has half of them). --only: files whose name has that
-- word in it. --world: sim or child, only there.
-- A line per scenario, all of its output when it fails; then the sum. Ends with 1 when one failed, was undecided, or
-- when none was told.
local process = require "kvserver.process"
local task = require "kvserver.task"

local TIMEOUT_MS <const> = 900000
local PROCESSES_AT_A_TIME <const> = 3 -- they wait for most of the time
local SEEDS <const> = { first = 1, last = 100 }

-- `long`: of its time; told with half of the seeds, and not with processes.
local STORIES <const> = {
  { "failover" }, { "async_failover" }, { "redirect" }, { "rolling_restart" }, { "partition_minority" },
  { "partition_oneway" },
  { "stale_leader_read" }, { "lagging_follower_snapshot" }, { "power_cut_all" }, { "disk_full" }, { "torn_tail" },
  { "duplicate_requests" }, { "slow_disk" }, { "chaos", long = true },
}

local DIRECTORY <const> = arg[0]:match "^(.*)/[^/]*$" or "."

-- ---- arguments ----

local function usage(why)
  io.stderr:write("all.lua: ", why, "\nusage: all.lua [--seeds A..B] [--only WORD] [--world sim|child]\n")
  os.exit(2, true)
end

local read = {}

function read.seeds(text)
  local first, last = text:match "^(%d+)%.%.(%d+)$"
  first, last = math.tointeger(first), math.tointeger(last)
  return first and last and first <= last and { first = first, last = last } or usage "--seeds: expected A..B"
end

function read.only(text)
  return text
end

function read.world(text)
  return (text == "sim" or text == "child") and text or usage "--world: expected sim or child"
end

local function read_arguments(arguments)
  local options = { seeds = SEEDS }
  for i = 1, #arguments, 2 do
    local name <const> = arguments[i]:match "^%-%-(%l+)$"
    if not read[name] then usage(arguments[i] .. ": unknown option") end
    options[name] = read[name](arguments[i + 1] or usage(arguments[i] .. ": a value is missing"))
  end
  return options
end

-- ---- telling ----

local total = { passed = 0, failed = 0 }

-- The runner's own sum; a program that did not come to one has failed.
local function add(name, done)
  local passed, failed, undecided = done.stdout:match "(%d+) passed, (%d+) failed, (%d+) undecided, %d+ skipped\n$"
  passed, failed, undecided = tonumber(passed), tonumber(failed), tonumber(undecided)
  local well <const> = done.code == 0 and failed == 0 and undecided == 0
  total.passed = total.passed + (passed or 0)
  total.failed = total.failed + (well and 0 or math.max(1, (failed or 0) + (undecided or 0)))
  if not well then return print(("%s\n%s%s"):format(name, done.stdout, done.stderr)) end
  for verdict in done.stdout:gmatch "\n(%u+: [^\n]*)" do print(("%-36s %s"):format(name, verdict)) end
end

local function tell(story, world, ...)
  local done <const> = process.run {
    args = { process.self(), "--script", ("%s/%s.lua"):format(DIRECTORY, story[1]), "--world", world, "--quiet", ... },
    timeout_ms = TIMEOUT_MS,
  }
  add(("%s (%s)"):format(story[1], world), done)
end

local function tell_in_sim(list, seeds)
  for _, story in ipairs(list) do
    local last <const> = story.long and seeds.first + (seeds.last - seeds.first) // 2 or seeds.last
    tell(story, "sim", "--seeds", ("%d..%d"):format(seeds.first, last))
  end
end

local function tell_with_processes(list, seed)
  local next_story, workers = 0, {}
  local function work()
    while next_story < #list do
      next_story = next_story + 1
      local story <const> = list[next_story]
      if not story.long then tell(story, "child", "--seed", tostring(seed)) end
    end
  end
  for i = 1, PROCESSES_AT_A_TIME do workers[i] = task.spawn(work) end
  for _, worker in ipairs(workers) do worker:join() end
end

local function main(...)
  io.stdout:setvbuf "line"
  local options <const>, list = read_arguments { ... }, {}
  for _, story in ipairs(STORIES) do
    if not options.only or story[1]:find(options.only, 1, true) then list[#list + 1] = story end
  end
  if options.world ~= "child" then tell_in_sim(list, options.seeds) end
  if options.world ~= "sim" then tell_with_processes(list, options.seeds.first) end
  print(("%d passed, %d failed"):format(total.passed, total.failed))
  if total.failed > 0 or total.passed == 0 then os.exit(1, true) end
end

main(...)
