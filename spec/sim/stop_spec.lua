-- A simulated world that stands still where one wants to look at it.
local sim = require "kvserver.sim"

local function busy_world()
  local world = sim.world { nodes = 3, seed = 5 }
  world:load { clients = 4 }
  return world
end

local function events(world)
  return world:stats().events
end

describe("a stop in front of an event", function()
  it("is right behind the one before, and runs do nothing there", function()
    local world <close> = busy_world()
    world:stop_at(500)
    assert.same({ false, "stopped" }, { world:run(60000) })
    assert.equal(499, events(world))
    local now <const> = world:now()
    assert.same({ false, "stopped" }, { world:run(1000) })
    assert.same({ now, 499 }, { world:now(), events(world) })
  end)

  it("comes before a condition that does not hold, and behind one that does", function()
    local world <close> = busy_world()
    world:stop_at(500)
    assert.same({ false, "stopped" }, { world:run(60000, function() return events(world) > 499 end) })
    world:stop_at(600)
    assert.same({ true }, { world:run(60000, function() return events(world) >= 599 end) })
  end)

  it("changes nothing of what happens", function()
    local straight <close> = busy_world()
    local stopped <close> = busy_world()
    straight:run(3000)
    stopped:stop_at(1000)
    assert.is_false((stopped:run(3000)))
    stopped:stop_at(nil)
    assert.is_true(stopped:run(3000 - stopped:now()))
    assert.equal(straight:digest(), stopped:digest())
    assert.equal(straight:now(), stopped:now())
  end)

  it("is no obstacle to single steps, each of which is one event", function()
    local world <close> = busy_world()
    world:stop_at(300)
    world:run(60000)
    assert.equal(1, world:step())
    assert.equal(300, events(world))
    assert.equal(50, world:step(50))
    assert.equal(350, events(world))
    assert.equal(0, world:step(0))
  end)

  for _, fault in ipairs { "crash", "pause" } do
    it("does not step for ever where nothing happens any more: " .. fault, function()
      local world <close> = busy_world()
      world:run(1000)
      world:stop_load()
      for node = 1, 3 do world[fault](world, node) end
      local now <const> = world:now()
      assert.is_true(world:step(1000) < 1000)
      assert.is_true(world:now() >= now + 60000)
    end)
  end
end)
