--- Durable nodes under load, killed (SIGKILL) again and again, with their power cut, too: every acknowledged write must
-- be there afterwards, and what clients saw must be linearizable. Says what was done, or what went wrong.
--
--     kvserver --script scenarios/torture.lua [--calls N] [--rounds N] [--size 1|3] [--disk kept|lossy] [--seed N]
--         [--folder DIR]
--
-- Without --size, one node and then three; without --disk, both kinds: "kept" is the system's own, where a kill loses
-- nothing that was written; "lossy" loses what was not synced (spec/torture/lossy.lua). 50 rounds of each. Before the
-- rounds, one node on a lossy disk is killed at each of its first N calls that change names, and at as many others; and
-- at those around the recycling of a segment.
local rounds = require "spec.torture.rounds"
local sweep = require "spec.torture.sweep"

local USAGE <const> = "usage: torture.lua [--calls N] [--rounds N] [--size 1|3] [--disk kept|lossy] [--seed N]"
  .. " [--folder DIR]"
local RECYCLED_CALLS <const> = 45
local OTHER_CALLS_STEP <const> = 3

local function usage(why)
  io.stderr:write(why, "\n", USAGE, "\n")
  os.exit(2, true)
end

local function read_arguments(arguments)
  local options = { calls = 100, rounds = 50, seed = os.time() }
  for i = 1, #arguments, 2 do
    local name, value = arguments[i]:match("^%-%-(%l+)$"), arguments[i + 1]
    if name == "calls" or name == "rounds" or name == "size" or name == "seed" then
      options[name] = math.tointeger(tonumber(value)) or usage(arguments[i] .. ": expected a number")
    elseif name == "disk" and (value == "kept" or value == "lossy") or name == "folder" and value then
      options[name] = value
    else
      usage(arguments[i] .. ": unknown option, or a bad value")
    end
  end
  return options
end

-- At each of its calls in turn.
local function play_calls(options)
  local last <const> = options.calls
  local ok, count = pcall(function()
    return sweep.run { first = 1, last = RECYCLED_CALLS, names = true, recycled = true, folder = options.folder }
      + sweep.run { first = 1, last = last, names = true, folder = options.folder }
      + sweep.run { first = 1, last = OTHER_CALLS_STEP * last, step = OTHER_CALLS_STEP, folder = options.folder }
  end)
  if ok then
    print(("1 node, lossy disk: killed at %d calls; all that was acknowledged is there"):format(count))
  else
    print("1 node, lossy disk: FAILED: " .. count)
    print("again: kvserver --script scenarios/torture.lua --size 1 --disk lossy --rounds 0 --calls " .. last)
  end
  return ok
end

local function play(options, size, disk)
  local ok, figures = pcall(rounds.run, {
    size = size, rounds = options.rounds, lossy = disk == "lossy", seed = options.seed, folder = options.folder,
  })
  local what <const> = ("%d node%s, %s disk%s"):format(size, size == 1 and "" or "s", disk, size == 1 and "" or "s")
  if ok then
    print(("%s: %d rounds, %d kills, %d operations, %d changes lost; all of %d acknowledged writes are there"):format(
      what, options.rounds, figures.kills, figures.operations, figures.lost, figures.acknowledged))
    return true
  end
  print(("%s: FAILED: %s"):format(what, figures))
  print(("again: kvserver --script scenarios/torture.lua --size %d --disk %s --rounds %d --seed %d"):format(size, disk,
    options.rounds, options.seed))
  return false
end

io.stdout:setvbuf("line")
local options <const> = read_arguments(arg)
local passed = true
if options.calls > 0 and options.size ~= 3 and options.disk ~= "kept" then passed = play_calls(options) end
for _, size in ipairs(options.size and { options.size } or { 1, 3 }) do
  for _, disk in ipairs(options.disk and { options.disk } or { "kept", "lossy" }) do
    if options.rounds > 0 then passed = play(options, size, disk) and passed end
  end
end
os.exit(passed, true)
