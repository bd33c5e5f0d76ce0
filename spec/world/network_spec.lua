-- Worlds of real nodes: what goes wrong between them, and is undone; it outlives their processes.
local worlds = require "spec.support.worlds"

local SHORT_MS <const> = 100

-- Cuts, or mends, what a node and the others hear of each other.
local function isolate(world, id, others, verb)
  for _, other in ipairs(others) do
    world[verb](world, id, other)
    world[verb](world, other, id)
  end
end

local function role_is(world, id, role)
  return function()
    local status <const> = world:status(id)
    return status and status.role == role
  end
end

for name, open in worlds.both() do
describe("in " .. name, function()
  it("a leader that is cut off is replaced, and follows when the network is whole", function()
    local world <close> = open { nodes = 3 }
    local old <const>, others = worlds.start(world)
    isolate(world, old, others, "cut")
    local new <const> = worlds.wait_leader(world, others)
    local index <const> = worlds.put(world, new, "k", "v").index
    assert.is_true(world:status(old).last_applied < index)
    isolate(world, old, others, "mend")
    worlds.wait_applied(world, old, index)
    assert.equal(world:status(new).term, world:status(old).term)
  end)

  it("a cut is there behind a start", function()
    local world <close> = open { nodes = 3 }
    local away <const>, others = worlds.start(world)
    isolate(world, away, others, "cut")
    for _, id in ipairs(world.ids) do world:kill(id, {}) end
    for _, id in ipairs(world.ids) do assert.is_true(world:start(id)) end
    local index <const> = worlds.put(world, worlds.wait_leader(world, others), "k", "v").index
    -- It campaigns for good, since it hears nobody.
    worlds.wait(world, role_is(world, away, "candidate"))
    assert.is_true(world:status(away).last_applied < index)
    isolate(world, away, others, "mend")
    worlds.wait_applied(world, away, index)
  end)
end)
end

describe("in child", function()
  local open <const> = worlds.opener "child"

  it("a paused node answers nothing, and hears of faults when it goes on", function()
    local world <close> = open { nodes = 3 }
    local old <const>, others = worlds.start(world)
    world:pause(old)
    assert.equal("paused", (world:state(old)))
    assert.is_nil(world:status(old))
    local answer <const>, why = worlds.put(world, old, "k", "v", SHORT_MS)
    assert.same({ false, "timeout" }, { answer or false, why })
    worlds.wait_leader(world, others)
    isolate(world, old, others, "cut")
    world:resume(old)
    worlds.wait(world, role_is(world, old, "candidate")) -- what was sent to it before may still have reached it
    local index <const> = worlds.put(world, worlds.wait_leader(world, others), "k", "w").index
    assert.is_true(world:status(old).last_applied < index)
    isolate(world, old, others, "mend")
    worlds.wait_applied(world, old, index)
  end)
end)
