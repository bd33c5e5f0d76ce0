-- Single messages of a simulated network that are dropped, or held back for a while.
local sim = require "kvserver.sim"

local function await(world, condition)
  assert(world:run(5000, condition), "it does not come to that")
end

-- A world whose three nodes are well known to each other, its leader and a follower.
local function quiet_world(net)
  local world = sim.world { nodes = 3, seed = 21, net = net }
  await(world, function()
    for node = 1, 3 do
      if not world:status(node).proven then return false end
    end
    return world:leader() ~= nil
  end)
  world:run(500)
  return world, world:leader(), world:leader() % 3 + 1
end

local function put(world, node, value)
  local number = world:submit(node, { op = "put", key = "k", value = value })
  await(world, function() return world:outcome(number) ~= nil end)
  assert.equal("ok", world:outcome(number).status)
end

-- The lines of the trace, from `first` on, that match a pattern.
local function lines(world, pattern)
  local list = {}
  for line in world:trace(4096):gmatch("[^\n]+") do
    if line:find(pattern) then list[#list + 1] = line end
  end
  return list
end

local function arrived(world, from, to, kind)
  return #lines(world, ("n%d <%%- n%d %s "):format(to, from, kind))
end

describe("a message that is to be dropped", function()
  it("is the next one of its direction, and only that", function()
    local world <close>, leader, follower = quiet_world()
    local seen <const> = arrived(world, leader, follower, "append")
    world:drop_next(leader, follower)
    await(world, function() return world:stats().faults.dropped == 1 end)
    assert.equal(seen, arrived(world, leader, follower, "append"))
    await(world, function() return arrived(world, leader, follower, "append") > seen + 3 end)
    assert.equal(1, world:stats().faults.dropped)
    assert.equal(1, #lines(world, ("n%d <%%- n%d dropped append$"):format(follower, leader)))
  end)

  it("is one of the type that was named, however many others pass", function()
    local world <close>, leader, follower = quiet_world()
    world:drop_next(leader, follower, "timeout_now")
    world:run(500)
    assert.equal(0, world:stats().faults.dropped)
    world:transfer(leader, follower)
    await(world, function() return world:stats().faults.dropped == 1 end)
    assert.equal(leader, world:leader())
  end)

  it("is one per call", function()
    local world <close>, leader, follower = quiet_world()
    for _ = 1, 3 do world:drop_next(follower, leader, "append_reply") end
    world:run(2000)
    assert.equal(3, world:stats().faults.dropped)
  end)

  it("is spared by heal, and a cut does not count as one", function()
    local world <close>, leader, follower = quiet_world()
    world:drop_next(leader, follower)
    world:cut(leader, follower)
    world:run(100)
    assert.equal(0, world:stats().faults.dropped)
    world:heal()
    world:run(1000)
    assert.equal(0, world:stats().faults.dropped)
  end)

  it("must be of a type that there is", function()
    local world <close> = quiet_world()
    assert.has_error(function() world:drop_next(1, 2, "letter") end,
      "bad argument #3 to 'drop_next' (no such type of message)")
  end)
end)

describe("messages that are held", function()
  it("arrive once they are released, in their order, even where others overtake", function()
    local world <close>, leader, follower = quiet_world { delay_us = 200, jitter_us = 20000, reorder = 1 }
    world:hold(leader, follower)
    for i = 1, 5 do put(world, leader, "v" .. i) end
    local seen <const>, held <const> = arrived(world, leader, follower, "append"), world:stats().faults.held
    assert.is_true(held >= 5)
    world:pause(leader) -- and what it would send now does not come between
    world:release(leader, follower)
    world:run(100)
    local after <const> = lines(world, ("n%d <%%- n%d append "):format(follower, leader))
    assert.equal(held, #after - seen)
    local commit = 0
    for i = seen + 1, #after do
      local now <const> = math.tointeger(after[i]:match("commit=(%d+)"))
      assert.is_true(now >= commit)
      commit = now
    end
  end)

  it("let messages of other types and other directions pass", function()
    local world <close>, leader, follower = quiet_world()
    local seen <const> = arrived(world, leader, follower, "append")
    world:hold(leader, follower, "vote")
    world:hold(follower, leader, "append_reply")
    put(world, leader, "v")
    world:run(200)
    assert.is_true(arrived(world, leader, follower, "append") > seen)
    local held <const> = #lines(world, " held ")
    assert.is_true(held > 0)
    assert.equal(held, #lines(world, ("n%d <%%- n%d held append_reply$"):format(leader, follower)))
  end)

  it("arrive behind a heal, and nothing is held any more", function()
    local world <close>, leader, follower = quiet_world()
    world:hold(leader, follower)
    put(world, leader, "v")
    assert.is_true(world:status(follower).last_index < world:status(leader).last_index)
    world:heal()
    local held <const> = world:stats().faults.held
    world:run(200)
    assert.equal(world:status(leader).last_index, world:status(follower).last_index)
    assert.equal(held, world:stats().faults.held)
  end)

  it("outlive their sender, and whatever is cut meanwhile", function()
    local world <close>, leader, follower = quiet_world()
    world:hold(leader, follower, "append")
    put(world, leader, "v")
    world:crash(leader)
    world:cut(leader, follower)
    local seen <const> = arrived(world, leader, follower, "append")
    world:release()
    world:run(20)
    assert.is_true(arrived(world, leader, follower, "append") > seen)
  end)

  it("are the same in every telling", function()
    local digests = {}
    for i = 1, 2 do
      local world <close>, leader, follower = quiet_world { loss = 0.1, reorder = 0.5, delay_us = 300 }
      world:load { clients = 4 }
      world:hold(leader, follower)
      world:drop_next(follower, leader)
      world:run(300)
      world:release()
      world:run(3000)
      assert.is_nil(world:violation())
      digests[i] = world:digest()
    end
    assert.equal(digests[1], digests[2])
  end)
end)
