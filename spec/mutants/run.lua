--- Plants known bugs one at a time in a copy of the tree, and has the campaign find them.
--
--     kvserver --script spec/mutants/run.lua --build DIR [--seeds N] [--only NAME,...] [--no-clean-run]
--
-- DIR holds a finished build of this tree; the copy goes to DIR/mutants. Each mutant must be caught within N seeds, by
-- a detector that the list expects, or by its own spec, or by processes that are killed (syncs.lua); the tree without
-- bugs must pass the same.
-- Prints a table; ends with 1 when something was not as it must be.
local detectors = require "spec.mutants.detectors"
local edits = require "spec.mutants.edits"
local mutants = require "spec.mutants.list"
local process = require "kvserver.process"
local syncs = require "spec.mutants.syncs"
local task = require "kvserver.task"

local BUILD_TIMEOUT_MS <const> = 300000
local RUN_TIMEOUT_MS <const> = 600000
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

local function expected(mutant, detector)
  if mutant.torture then return detector == "torture" end
  if mutant.spec then return detector == "its spec" end
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
  if mutant.spec then
    detector, why = by_spec(kvserver, mutant)
  elseif mutant.torture then
    detector, why = by_torture(kvserver)
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
  for _, source in ipairs { mutants, syncs } do
    for _, mutant in ipairs(source) do
      local wanted = not only
      for name in (only or ""):gmatch("[^,]+") do wanted = wanted or mutant.name:find(name, 1, true) ~= nil end
      if wanted then list[#list + 1] = mutant end
    end
  end
  if #list == 0 then usage("--only: no such mutant") end
  return list
end

local function without_bugs(options, list)
  local started <const> = task.now_ms()
  local seeds, tortured, done = 0, false, nil
  for _, mutant in ipairs(list) do
    if mutant.spec and (not done or done.code == 0) then done = run_spec(process.self(), mutant.spec) end
    if not mutant.spec and not mutant.torture then seeds = options.seeds end
    tortured = tortured or mutant.torture
  end
  if seeds > 0 and (not done or done.code == 0) then done = campaign(process.self(), seeds) end
  if tortured and (not done or done.code == 0) then done = torture(process.self()) end
  local passed <const> = done.code == 0
  print(("without bugs: %s %d seeds%s and the specs, in %.0f s"):format(passed and "passes" or "FAILS within", seeds,
    tortured and ", the torture" or "", (task.now_ms() - started) / 1000))
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
    if not mutant.spec and not mutant.torture then
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
