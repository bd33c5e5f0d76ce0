--- Plants known bugs one at a time in a copy of the tree, and has the campaign find them.
--
--     kvserver --script spec/mutants/run.lua --build DIR [--seeds N] [--only NAME,...] [--no-clean-run]
--
-- DIR holds a finished build of this tree; the copy goes to DIR/mutants. Each mutant must be caught within N seeds, by
-- a detector that the list expects, or by its own spec, or by processes that are killed (syncs.lua), or by a check of a
-- scenario that explains it (stories.lua); the tree without bugs must pass the same.
-- Prints a table; ends with 1 when something was not as it must be.
local detectors = require "spec.mutants.detectors"
local edits = require "spec.mutants.edits"
local mutants = require "spec.mutants.list"
local process = require "kvserver.process"
local stories = require "spec.mutants.stories"
local syncs = require "spec.mutants.syncs"
local task = require "kvserver.task"

local BUILD_TIMEOUT_MS <const> = 300000
local RUN_TIMEOUT_MS <const> = 600000
local STORY_SEEDS <const> = 200
local STORY_TELLINGS <const> = 10
local FORMAT <const> = "%-29s %-24s %-21s %6s  %s %s"

local function usage(why)
  io.stderr:write(why, "\nusage: run.lua --build DIR [--seeds N] [--only NAME,...] [--no-clean-run]\n")
  os.exit(2, true)
end

local function read_arguments(arguments)
  local options, i = { seeds = 2000, clean_run = true }, 1
  while i <= #arguments do
    local name, value = arguments[i], arguments[i + 1]
    if name == "--no-clean-run" then
      options.clean_run = false
      i = i - 1
    elseif name == "--seeds" then
      options.seeds = math.tointeger(value) or usage("--seeds: expected a number")
    elseif name == "--build" or name == "--only" then
      options[name:sub(3)] = value or usage(name .. ": expected a value")
    else
      usage(name .. ": unknown option")
    end
    i = i + 2
  end
  if not options.build then usage("--build is missing") end
  return options
end

-- ---- the copy ----

local function shell(line)
  local done = process.run { args = { "/bin/sh", "-ec", line }, timeout_ms = BUILD_TIMEOUT_MS }
  if done.code ~= 0 then error(line .. ": " .. done.stderr, 0) end
end

-- With times as they are, so that nothing in the copy is made again but what a mutant touches.
local function make_copy(build, copy)
  shell(("rm -rf %s && mkdir -p %s/build && cp -a Makefile src lua %s"):format(copy, copy, copy))
  shell(("cd %s && cp -a src llhttp *.stamp lua_modules.* mutants/build"):format(build))
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- The source and the object that an edit is about to change.
local function places(copy, edit)
  return copy .. "/" .. edit[1], copy .. "/build/" .. (edit[1]:gsub("%.c$", ".o"))
end

local function plant(copy, mutant)
  for _, edit in ipairs(mutant.edits) do
    local path <const>, object <const> = places(copy, edit)
    for _, place in ipairs { path, object } do
      shell(("test -e %s.before || cp -a %s %s.before"):format(place, place, place))
    end
    write_file(path, edits.apply(edit, read_file(path)))
  end
end

-- Source and object are as they were, and older than whatever comes next.
local function take_back(copy, mutant)
  for _, edit in ipairs(mutant.edits) do
    for _, place in ipairs { places(copy, edit) } do
      shell(("if test -e %s.before; then mv %s.before %s; fi"):format(place, place, place))
    end
  end
end

local function make(copy)
  local done = process.run {
    args = { "make", "-s", "-j2", "-C", copy, "build/kvserver" }, timeout_ms = BUILD_TIMEOUT_MS,
    env = { MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false, MAKEOVERRIDES = false },
  }
  if done.code ~= 0 then error("it does not compile: " .. done.stderr, 0) end
end

-- ---- the campaign ----

local function campaign(kvserver, seeds)
  return process.run {
    args = { kvserver, "--script", "scenarios/campaign.lua", "--seeds", "1.." .. seeds, "--trace", "0" },
    timeout_ms = RUN_TIMEOUT_MS,
  }
end

-- The detector that speaks first, what it says, and the seed; nil when nothing is found.
local function by_campaign(kvserver, seeds)
  local done = campaign(kvserver, seeds)
  if done.code == 0 then return nil end
  local seed, why = done.stdout:match("seed (%d+) failed: (.*)")
  if not seed then error("the campaign broke: " .. done.stdout .. done.stderr, 0) end
  why = why:match("[^\n]*check failed[^\n]*") or why:match("^[^\n]*")
  return detectors.of(why), why, math.tointeger(seed)
end

local function run_spec(kvserver, file)
  local line <const> = 'exec "$0" "$(command -v busted)" --ignore-lua --output=plainTerminal "$1"'
  return process.run { args = { "/bin/sh", "-c", line, kvserver, file }, timeout_ms = RUN_TIMEOUT_MS }
end

local function by_spec(kvserver, mutant)
  local done = run_spec(kvserver, mutant.spec)
  if done.code == 0 then return nil end
  if done.stdout:find(mutant.expect[1], 1, true) then return "its spec", mutant.expect[1] end
  return "another spec", done.stdout:match("Failure[^\n]*\n[^\n]*") or done.stdout .. done.stderr
end

-- One node that is killed at each of its calls in turn, and then at random.
local function torture(kvserver)
  return process.run {
    args = {
      kvserver, "--script", "scenarios/torture.lua", "--disk", "lossy", "--size", "1", "--rounds", "10", "--seed", "1",
    },
    timeout_ms = RUN_TIMEOUT_MS,
  }
end

local function by_torture(kvserver)
  local done = torture(kvserver)
  if done.code == 0 then return nil end
  local why = done.stdout:match("FAILED: ([^\n]*)")
  if not why then error("the torture broke: " .. done.stdout .. done.stderr, 0) end
  return "torture", why
end

-- A story with a check that must find the bug: in sim, with a seed that then shows the same again, twice; in a world of
-- real nodes, in one of a few tellings.
local function tell(kvserver, story, ...)
  return process.run {
    args = {
      kvserver, "--script", story.file, "--world", story.world, "--only", story.only or ".", "--quiet", ...,
    },
    timeout_ms = RUN_TIMEOUT_MS,
  }
end

local function without_times(text)
  return (text:gsub("[%d.]+ m?s of ours", ""))
end

local function by_seeds(kvserver, story)
  local done = tell(kvserver, story, "--seeds", "1.." .. STORY_SEEDS)
  if done.code == 0 then return nil end
  local seed = done.stdout:match "again: [^\n]* %-%-seed (%d+)"
  if not seed then error("the story broke: " .. done.stdout .. done.stderr, 0) end
  local once, again = tell(kvserver, story, "--seed", seed), tell(kvserver, story, "--seed", seed)
  if without_times(once.stdout) ~= without_times(again.stdout) then return nil, "a seed that shows this and that" end
  return once.stdout, seed
end

local function by_tellings(kvserver, story)
  for seed = 1, STORY_TELLINGS do
    local done = tell(kvserver, story, "--seed", tostring(seed))
    if done.code ~= 0 then return done.stdout, seed end
  end
  return nil
end

local function by_story(kvserver, mutant)
  local story <const> = mutant.story
  local how <const> = story.world == "sim" and by_seeds or by_tellings
  local told, seed = how(kvserver, story)
  if not told then return nil, seed end
  local is_it <const> = told:find(mutant.expect[1], 1, true)
  local why <const> = told:match("FAIL[^\n]*\n(.-)\n  again:") or told
  return is_it and "its story" or "something else", is_it and mutant.expect[1] or why, math.tointeger(tonumber(seed))
end

-- How a mutant is found, when not by the campaign; the detector that this is.
local function way_of(mutant)
  if mutant.spec then return by_spec, "its spec" end
  if mutant.torture then return by_torture, "torture" end
  if mutant.story then return by_story, "its story" end
end

local function expected(mutant, detector)
  local _, its = way_of(mutant)
  if its then return detector == its end
  for _, name in ipairs(mutant.expect) do
    if name == detector then return true end
  end
  return false
end

-- ---- the table ----

local function print_row(...)
  print((FORMAT:format(...):gsub("%s+$", "")))
end

-- Whether the mutant was caught as it must be; and the seed.
local function try(options, copy, mutant)
  local kvserver <const> = copy .. "/build/kvserver"
  plant(copy, mutant)
  make(copy)
  local detector, why, seed
  local find <const> = way_of(mutant)
  if find then
    detector, why, seed = find(kvserver, mutant)
  else
    detector, why, seed = by_campaign(kvserver, options.seeds)
  end
  take_back(copy, mutant)
  local right = detector ~= nil and expected(mutant, detector)
  local want <const> = mutant.spec or mutant.torture and "torture: " .. (why or "") or table.concat(mutant.expect, ", ")
  print_row(mutant.name, mutant.seen, detector or "-", seed or "-", want,
    right and "" or detector and "<- NOT EXPECTED: " .. why or "<- NOT CAUGHT")
  return right, seed
end

local function chosen(only)
  local list = {}
  for _, source in ipairs { mutants, syncs, stories } do
    for _, mutant in ipairs(source) do
      local wanted = not only
      for name in (only or ""):gmatch("[^,]+") do wanted = wanted or mutant.name:find(name, 1, true) ~= nil end
      if wanted then list[#list + 1] = mutant end
    end
  end
  if #list == 0 then usage("--only: no such mutant") end
  return list
end

-- A story without a bug: all seeds that a bug has, or one telling in a world of real nodes.
local function tell_without(story)
  if story.world == "sim" then return tell(process.self(), story, "--seeds", "1.." .. STORY_SEEDS) end
  return tell(process.self(), story, "--seed", "1")
end

local function without_bugs(options, list)
  local started <const> = task.now_ms()
  local seeds, tortured, told, done = 0, false, {}, { code = 0 }
  for _, mutant in ipairs(list) do
    if mutant.spec and done.code == 0 then done = run_spec(process.self(), mutant.spec) end
    local story <const> = mutant.story
    local once <const> = story and not told[story.file .. story.world]
    if once then told[story.file .. story.world] = true end
    if once and done.code == 0 then done = tell_without(story) end
    if not way_of(mutant) then seeds = options.seeds end
    tortured = tortured or mutant.torture
  end
  if seeds > 0 and done.code == 0 then done = campaign(process.self(), seeds) end
  if tortured and done.code == 0 then done = torture(process.self()) end
  local passed <const> = done.code == 0
  print(("without bugs: %s %d seeds%s, the stories and the specs, in %.0f s"):format(
    passed and "passes" or "FAILS within", seeds, tortured and ", the torture" or "", (task.now_ms() - started) / 1000))
  if not passed then print(done.stdout) end
  return passed
end

local function main(...)
  io.stdout:setvbuf("line")
  local options <const> = read_arguments { ... }
  local copy <const> = options.build .. "/mutants"
  local list <const> = chosen(options.only)
  local started <const> = task.now_ms()
  local wrong, seeds, campaigns = 0, 0, 0
  make_copy(options.build, copy)
  print_row("mutant", "seen in", "found by", "seeds", "expected", "")
  for _, mutant in ipairs(list) do
    local ok, right, seed = pcall(try, options, copy, mutant)
    if not ok then error(mutant.name .. ": " .. tostring(right), 0) end
    wrong = wrong + (right and 0 or 1)
    if not way_of(mutant) then
      campaigns = campaigns + 1
      seeds = seeds + (seed or options.seeds)
    end
  end
  print(("%d of %d caught as expected, after %.0f seeds on average, in %.0f s"):format(#list - wrong, #list,
    seeds / math.max(1, campaigns), (task.now_ms() - started) / 1000))
  local passed = not options.clean_run or without_bugs(options, list)
  if wrong > 0 or not passed then os.exit(1, true) end
end

main(...)
