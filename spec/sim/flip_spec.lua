-- The files of simulated nodes, and single bits of them that flip.
local log = require "kvserver.log"
local sim = require "kvserver.sim"

-- Three nodes with a load, and one that is down.
local function world_with_one_down(seed)
  local world = sim.world { nodes = 3, seed = seed, snapshot_threshold = 1000 }
  world:load { clients = 4 }
  world:run(4000)
  assert.is_true(world:kill(2))
  return world, 2
end

-- A flip that its start finds, with the reason; flips nothing of the kind in a seed that has none.
local function refused_world()
  for seed = 1, 100 do
    local world, node = world_with_one_down(seed)
    local name = world:flip(node, "^wal/%d")
    local ok, why = world:restart(node)
    if not ok then return world, node, name, why end
    world:close()
  end
  error "no flip mattered"
end

describe("the files of a simulated node", function()
  it("are there with their sizes, up or down, and looking is no call of its disk", function()
    local world <close>, node = world_with_one_down(1)
    for _, which in ipairs { 1, node } do
      local calls <const> = world:disk_calls(which)
      local files, bytes = world:files(which), 0
      local segments = 0
      for name, size in pairs(files) do
        bytes = bytes + size
        if name:find("^wal/%d+%.wal$") then segments = segments + 1 end
      end
      assert.is_true(segments >= 1)
      assert.equal(world:status(which).disk_bytes, bytes)
      assert.equal(calls, world:disk_calls(which))
    end
  end)
end)

describe("a bit that flips", function()
  setup(function() log.configure("none", "logfmt") end)
  teardown(function() log.configure("error", "logfmt") end)

  it("is one of a node that is down, in a file that the pattern names", function()
    local world <close>, node = world_with_one_down(1)
    assert.is_nil(world:flip(1))
    assert.is_nil(world:flip(node, "^nothing/"))
    assert.equal(0, world:stats().faults.flip)
    assert.is_false((pcall(world.flip, world, node, "%")))
    local name, offset = world:flip(node, "^wal/0")
    assert.matches("^wal/0+%d+%.wal$", name)
    assert.is_true(offset < world:files(node)[name])
    assert.equal(1, world:stats().faults.flip)
    assert.is_false(world:status(node).up)
  end)

  it("is drawn among all files and bytes by the seed", function()
    local function flips(seed)
      local world <close>, node = world_with_one_down(seed)
      local list = {}
      for i = 1, 40 do list[i] = ("%s %d"):format(world:flip(node)) end
      return list
    end
    local first <const> = flips(1)
    assert.same(first, flips(1))
    local names, offsets = {}, {}
    for _, text in ipairs(first) do
      names[text:match("^%S+")] = true
      offsets[text] = true
    end
    local world <close>, node = world_with_one_down(1)
    for name in pairs(world:files(node)) do assert.is_true(names[name], name) end
    assert.is_true(#first > 30 and next(offsets, next(offsets)) ~= nil)
  end)

  it("makes the start refuse the disk, with the reason, as often as it is tried", function()
    local world <close>, node, name, why = refused_world()
    assert.matches("^refused: ", why)
    assert.is_truthy(why:find(name, 1, true), why)
    assert.is_nil(world:violation())
    assert.same({ false, why }, { world:restart(node) })
    assert.is_true(world:stats().faults.rot_found >= 2)
    assert.is_true(world:run(1000), "the others go on")
  end)

  it("is over once the disk is wiped", function()
    local world <close>, node = refused_world()
    assert.is_true(world:run(5000, function() return world:leader() ~= nil end))
    world:transfer(world:leader(), 4 - world:leader()) -- while the founder leads nobody may lose his disk
    world:run(1000)
    assert.is_true(world:wipe(node))
    assert.is_true(world:restart(node))
    world:stop_load()
    assert.is_true(world:run(10000, function()
      local leader <const> = world:leader()
      return leader and world:status(node).last_applied == world:status(leader).last_applied
    end))
  end)

  it("never leads to a violation, whatever it hits", function()
    for seed = 1, 30 do
      local world <close>, node = world_with_one_down(seed)
      for _ = 1, 3 do world:flip(node) end
      world:restart(node)
      assert(world:run(3000))
    end
  end)
end)

it("A restart of a node that is up says so", function()
  local world <close> = sim.world { nodes = 3, seed = 1 }
  assert.same({ false, "refused: it is up" }, { world:restart(1) })
end)
