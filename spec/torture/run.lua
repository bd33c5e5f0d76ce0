--- Durable nodes under load, killed again and again (rounds.lua): a node alone and three, on disks that keep what was
-- written, and on disks that lose what nobody synced.
--
--     kvserver --script spec/torture/run.lua [--rounds 50] [--seed 1]
--
-- Prints a line for each; ends with 1 at the first thing that is lost, invented or out of order, with the round and the
-- seed.
local rounds = require "spec.torture.rounds"
local task = require "kvserver.task"

local KINDS <const> = {
  { size = 1, name = "one node" },
  { size = 3, name = "three nodes" },
  { size = 1, lossy = true, name = "one node, power cuts" },
  { size = 3, lossy = true, name = "three nodes, power cuts" },
}

local function usage(why)
  io.stderr:write(why, "\nusage: run.lua [--rounds N] [--seed N]\n")
  os.exit(2, true)
end

local function read_arguments(arguments)
  local options = { rounds = 50, seed = 1 }
  for i = 1, #arguments, 2 do
    local name <const> = arguments[i]:match("^%-%-(%a+)$")
    if not options[name] then usage(arguments[i] .. ": unknown option") end
    options[name] = math.tointeger(arguments[i + 1]) or usage(arguments[i] .. ": expected a number")
  end
  return options
end

local options <const> = read_arguments { ... }
io.stdout:setvbuf("line")
for _, kind in ipairs(KINDS) do
  local started <const> = task.now_ms()
  local ok, figures = pcall(rounds.run, {
    size = kind.size, lossy = kind.lossy, rounds = options.rounds, seed = options.seed,
  })
  if not ok then
    print(("%-24s FAILED: %s"):format(kind.name, figures))
    os.exit(1, true)
  end
  print(("%-24s %d rounds in %.0f s: %d operations, %d acknowledged writes of keys of their own, %d kills, %d unsynced "
    .. "changes lost"):format(kind.name, options.rounds, (task.now_ms() - started) / 1000, figures.operations,
    figures.acknowledged, figures.kills, figures.lost))
end
os.exit(0, true)
