--- The command line of scenarios: which are told, in which world, with which seed; and what is printed.
local campaign = require "kvserver.scenario.campaign"
local duration = require "kvserver.scenario.duration"
local figures = require "kvserver.scenario.figures"
local prompt = require "kvserver.scenario.prompt"
local report = require "kvserver.scenario.report"
local story = require "kvserver.scenario.story"
local uv = require "luv"
local worlds = require "kvserver.world"

local M = {}

--- What a usage error prints.
M.usage = [[
usage: kvserver --script FILE [--world W] [--seed N | --seeds A..B] [--only PATTERN] [--until EVENT] [--for DURATION]
         [--report DIR] [--junit FILE]
  --world W       sim (virtual time; the default), inproc (real sockets and files, in this process) or child (processes)
  --seed N        of all that is drawn (default: drawn, and printed)
  --seeds A..B    one telling per seed, up to the first failure; sim only
  --jobs N        so many seeds at a time (default: one per processor)
  --only PATTERN  only scenarios whose name matches this Lua pattern
  --until EVENT   stop in front of the event with this number, and look around; sim only
  --for DURATION  how long scenarios go on that ask for it, such as 5m
  --report DIR    write history, trace and logs there
  --junit FILE    write the verdicts there, as JUnit XML
  --quiet         no account, only verdicts
]]
local FLAGS <const> = { quiet = true, list = true, worker = true }
local VALUES <const> = {
  world = "text", seed = "integer", seeds = "range", jobs = "integer", only = "text", ["until"] = "integer",
  ["for"] = "duration", report = "text", junit = "text",
}

-- ---- arguments ----

local function usage(why)
  io.stderr:write("kvserver: ", why, "\n", M.usage)
  return nil
end

local parse = {}

function parse.text(text)
  return text
end

function parse.integer(text)
  return text:match("^%d+$") and math.tointeger(tonumber(text)), "a number"
end

function parse.range(text)
  local first, last = text:match("^(%d+)%.%.(%d+)$")
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last))
  return first and last and first <= last and { first = first, last = last } or nil, "A..B"
end

function parse.duration(text)
  return pcall(duration.ms, text) and text or nil, "a duration such as 30s or 5m"
end

-- The options, or nil after a word about what is wrong.
local function read(arguments)
  local options, i = {}, 1
  while i <= #arguments do
    local name <const> = arguments[i]:match("^%-%-(%l+)$")
    if name and FLAGS[name] then
      options[name] = true
    elseif name and VALUES[name] then
      i = i + 1
      if not arguments[i] then return usage(("--%s: a value is missing"):format(name)) end
      local value, expected = parse[VALUES[name]](arguments[i])
      if not value then return usage(('--%s: expected %s, got "%s"'):format(name, expected, arguments[i])) end
      options[name] = value
    else
      return usage("unknown argument " .. arguments[i])
    end
    i = i + 1
  end
  return options
end

local function check(options)
  options.world = options.world or worlds.names[1]
  local known = false
  for _, name in ipairs(worlds.names) do known = known or name == options.world end
  if not known then
    return usage(('--world: expected %s, got "%s"'):format(table.concat(worlds.names, ", "), options.world))
  end
  if options.world ~= "sim" and (options.seeds or options["until"]) then
    return usage "--seeds and --until: only with --world sim, where a seed is all there is"
  end
  if options.seed and options.seeds then return usage "--seed and --seeds: expected one of them" end
  if options["until"] and not options.seed then return usage "--until: expected together with --seed" end
  return options
end

-- Those whose name matches, or nil after a word about what is wrong.
local function choose(list, pattern)
  local chosen = {}
  for _, scenario in ipairs(list) do
    local ok, found = pcall(string.find, scenario.name, pattern or "")
    if not ok then return usage(('--only: expected a Lua pattern, got "%s"'):format(pattern)) end
    if found then chosen[#chosen + 1] = scenario end
  end
  if #chosen > 0 then return chosen end
  return usage(pattern and ('--only: no scenario matches "%s"'):format(pattern) or "there is no scenario")
end

-- ---- one telling ----

-- A word of a command line, as a shell reads it.
local function quoted(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- The line that tells a scenario again.
-- @tparam table options world, file, for, alone (whether the file has no other scenario)
-- @tparam table result seed, name
-- @treturn string
function M.replay_line(options, result)
  local file <const> = options.file:find "^[%w_./+-]+$" and options.file or quoted(options.file)
  local only <const> = options.alone and "" or " --only " .. quoted("^" .. result.name:gsub("%p", "%%%0") .. "$")
  local how_long <const> = options["for"] and " --for " .. options["for"] or ""
  return ("kvserver --script %s --world %s --seed %d%s%s"):format(file, options.world, result.seed, how_long, only)
end

local function print_line(line)
  print(("%10.3f  %s"):format(line.at / 1000, line.text))
end

local function is_in(list, item)
  for _, other in ipairs(list) do
    if other == item then return true end
  end
  return false
end

-- Tells it and closes its world.
local function tell(scenario, options, seed)
  local worlds_of <const> = scenario.options.worlds
  if worlds_of and not is_in(worlds_of, options.world) then
    return { name = scenario.name, world = options.world, seed = seed, verdict = "skipped", lines = {}, history = {},
      happened = {}, figures = {}, ms = 0, why = "it is only for " .. table.concat(worlds_of, ", ") }
  end
  local folder <close> = report.open(options, scenario, seed)
  local result = story.tell(scenario.name, scenario.options, scenario.f, {
    world = options.world, seed = seed, directory = folder and folder.path, stop_at = options["until"],
    on_stop = prompt.run, for_time = options["for"], listener = not options.quiet and print_line or nil,
  })
  result.replay = M.replay_line(options, result)
  report.write(folder, result)
  if result.cluster then result.cluster:destroy() end
  report.close(folder, result)
  return result
end

local function print_verdict(result, wall_ms)
  print(("%s: %s, %s of its time, %s of ours"):format(result.verdict:upper(), result.name, duration.text(result.ms),
    duration.text(wall_ms)))
  if result.why then print((tostring(result.why):gsub("[^\n]+", "  %0"))) end
  if #result.history > 0 then print("  " .. figures.text(result.figures, #result.history, result.gap_ms)) end
end

local function tell_and_print(scenario, options, seed)
  local started <const> = uv.hrtime()
  print(("%s (%s, seed %d)"):format(scenario.name, options.world, seed))
  local result = tell(scenario, options, seed)
  result.wall_ms = (uv.hrtime() - started) / 1e6
  print_verdict(result, result.wall_ms)
  if result.verdict == "fail" or result.verdict == "undecided" then
    print("  again: " .. result.replay)
    if result.events then print(("  look around in front of its end: add --until %d"):format(result.events)) end
  end
  local aim <const> = options["until"]
  if aim and result.events and result.events < aim - 1 then print(("  it ended before event %d"):format(aim)) end
  if result.kept then print("  kept: " .. result.kept) end
  return result
end

-- ---- all of them ----

local function sum_up(results)
  local counts = { pass = 0, fail = 0, undecided = 0, skipped = 0 }
  for _, result in ipairs(results) do counts[result.verdict] = counts[result.verdict] + 1 end
  print(("%d passed, %d failed, %d undecided, %d skipped"):format(counts.pass, counts.fail, counts.undecided,
    counts.skipped))
  return counts.fail > 0 and 1 or 0
end

local function draw_seed()
  return math.random(1 << 31)
end

--- Tells scenarios.
-- @tparam table list {{name=, options=, f=}, ...}
-- @tparam {string,...} arguments
-- @treturn integer the exit code: 0 nothing failed, 1 something did, 2 usage
function M.run(list, arguments)
  io.stdout:setvbuf("line")
  local options = read(arguments)
  options = options and check(options)
  if not options then return 2 end
  options.file, options.alone = arg and arg[0] or "FILE", #list == 1
  local chosen <const> = choose(list, options.only)
  if not chosen then return 2 end
  if options.worker then return campaign.work(chosen, options, tell) end
  local results = {}
  for i, scenario in ipairs(chosen) do
    if options.seeds then
      results[i] = campaign.run(scenario, options, function(seed)
        return M.replay_line(options, { name = scenario.name, seed = seed })
      end)
    else
      results[i] = tell_and_print(scenario, options, options.seed or draw_seed())
    end
  end
  if options.junit then report.junit(options.junit, options, results) end
  return sum_up(results)
end

return M
