-- Worlds of real nodes: single messages between them, and links that are not as they should be.
local worlds = require "spec.support.worlds"

for name, open in worlds.both() do
describe("in " .. name, function()
  it("a cut is of one direction: who is not heard hears all the same", function()
    local world <close> = open { nodes = 3 }
    local leader <const>, others = worlds.start(world)
    world:cut(others[1], leader)
    local index <const> = worlds.put(world, leader, "k", "v").index
    worlds.wait_applied(world, others[1], index)
    assert.is_true(world:status(leader).peers[others[1]].match_index < index)
    world:mend(others[1], leader)
    worlds.wait(world, function() return world:status(leader).peers[others[1]].match_index >= index end)
  end)

  it("what a node sends is delayed, held, lost", function()
    local world <close> = open { nodes = 3 }
    local leader <const>, others = worlds.start(world)
    world:hold(leader, others[1])
    local index <const> = worlds.put(world, leader, "k", "v").index
    worlds.wait_applied(world, others[2], index)
    assert.is_true(world:status(others[1]).last_applied < index)
    world:release(leader, others[1])
    worlds.wait_applied(world, others[1], index)

    world:drop_next(leader, others[1], "append")
    world:drop_next(leader, others[2])
    world:link(leader, others[1], { delay = 1.5, jitter = 0.5, drop = 0.01, dup = 0.1, reorder = 0.1 })
    worlds.wait_applied(world, others[1], worlds.put(world, leader, "k", "w").index)
    world:link(leader, others[1], nil)
    local ok, why = pcall(world.hold, world, leader, others[1], "append")
    assert.is_false(ok)
    assert.matches("nodes hold all or none", why.skipped)
  end)
end)
end
