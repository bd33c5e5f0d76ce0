-- What becomes of a node's disk, and what the cluster makes of it: the real log and the real snapshot files, on
-- simulated disks.
local log = require "kvserver.log"
local sim = require "kvserver.sim"

local WRITES <const> = 40

local function await_leader(world)
  assert(world:run(8000, function() return world:leader() ~= nil end), "no leader")
  return world:leader()
end

-- The outcome of an operation at a node; nil when the node fails before it has one.
local function result(world, node, request)
  local number = world:submit(node, request)
  assert.is_not_nil(world:run(10000, function()
    return world:outcome(number) ~= nil or world:status(node).failed
  end))
  return world:outcome(number)
end

local function put(world, node, key, value)
  return result(world, node, { op = "put", key = key, value = value })
end

local function get(world, node, key)
  return result(world, node, { op = "get", key = key })
end

-- A single node with segments and thresholds so small that a few writes need all that its disk can do.
local function small_world(seed)
  return sim.world { nodes = 1, seed = seed, segment_bytes = 4096, cache_bytes = 512, snapshot_threshold = 8,
    snapshot_tail = 2, election_min_ms = 60, election_max_ms = 100, heartbeat_ms = 20 }
end

-- Writes one value after the other, over a restart, until the node fails.
-- Returns what was acknowledged of each key, and what was asked for last.
local function workload(world, node)
  local acked, asked = {}, {}
  for i = 1, WRITES do
    local key = "k" .. i % 5
    asked[key] = tostring(i):rep(i % 7 * 40 + 1)
    local outcome = put(world, node, key, asked[key])
    if outcome and outcome.status == "ok" then acked[key] = asked[key] end
    if world:status(node).failed and i > 3 then break end
  end
  return acked, asked
end

local function assert_kept(world, node, acked, asked, what)
  for key, value in pairs(asked) do
    local found = get(world, node, key)
    assert.equal("ok", found.status, what)
    assert.is_true(found.value == acked[key] or found.value == value, what)
  end
end

describe("a simulated disk under a node", function()
  setup(function() log.configure("none", "logfmt") end) -- of disks that fail nobody needs to hear
  teardown(function() log.configure("error", "logfmt") end)

  it("keeps, after a kill, what was written", function()
    local world <close> = sim.world { nodes = 1, seed = 3, sync_us = 1000000 }
    await_leader(world)
    assert(world:run(5000, function() return world:status(1).commit_index == 1 end))
    world:submit(1, { op = "put", key = "a", value = "1" })
    world:run(1)
    local last = world:status(1).last_index
    world:kill(1, "done")
    world:restart(1)
    assert.equal(last, world:status(1).last_index)
  end)

  it("may be cut short in the middle of its work, and nothing that was acknowledged is lost", function()
    for seed = 1, 40 do
      local world <close> = small_world(seed)
      await_leader(world)
      local acked, asked = {}, {}
      for i = 1, 12 do
        asked.a = tostring(i)
        world:slow_disk(1, 20)
        local number = world:submit(1, { op = "put", key = "a", value = asked.a })
        assert(world:run(world:random(30)))
        if (world:outcome(number) or {}).status == "ok" then acked.a = asked.a end
        local go_down = world:random(2) == 1 and world.kill or world.crash
        go_down(world, 1, "cut_short")
        assert.is_true(world:restart(1), world:violation())
        await_leader(world)
        local found = get(world, 1, "a").value
        assert.is_true(found == acked.a or found == asked.a)
        acked.a = found
      end
    end
  end)

  it("may lose power at each call of a start, and the next one finds the same", function()
    local world <close> = small_world(1)
    await_leader(world)
    local acked, asked = workload(world, 1)
    for calls = 0, 60 do
      world:crash(1, "cut_short")
      assert.is_true(world:cut_start(1, calls))
      assert.is_nil(world:violation())
      assert.is_true(world:restart(1))
    end
    await_leader(world)
    assert_kept(world, 1, acked, asked)
  end)

  it("may fail at each call of a start, which then fails, and may be tried again", function()
    local world <close> = small_world(2)
    await_leader(world)
    local acked, asked = workload(world, 1)
    local refused = 0
    for after = 0, 60 do
      world:kill(1)
      assert.is_true(world:fail_disk(1, { after = after, once = after % 2 == 0 }))
      if not world:restart(1) then refused = refused + 1 end
      assert.is_nil(world:violation())
      world:kill(1)
      assert.is_true(world:restart(1))
    end
    assert.is_true(refused > 20)
    await_leader(world)
    assert_kept(world, 1, acked, asked)
  end)

  for what, fault in pairs {
    ["every call from some one on"] = {}, ["one call"] = { once = true }, ["every sync from some one on"] =
      { call = "sync" }, ["one sync of a directory"] = { call = "sync_directory", once = true },
    ["one read"] = { call = "read", once = true },
  } do
    it("may fail " .. what .. ", whichever it is: nothing that was acknowledged is lost", function()
      local after, struck, stopped = 0, true, 0
      while struck do
        local world <close> = small_world(after + 1)
        fault.after = after
        await_leader(world)
        world:fail_disk(1, fault)
        local calls = world:disk_calls(1)
        local acked, asked = workload(world, 1)
        struck = world:disk_calls(1) - calls > after
        local before = world:stats().faults.restart
        if world:status(1).failed then stopped = stopped + 1 end
        local go_down = after % 2 == 0 and world.kill or world.crash
        assert.is_true(go_down(world, 1, "cut_short"))
        assert.is_true(world:restart(1), world:violation())
        assert.equal(before + 1, world:stats().faults.restart)
        await_leader(world)
        assert_kept(world, 1, acked, asked, ("call %d"):format(after))
        after = after + 1
      end
      assert.is_true(stopped > 0)
    end)
  end

  it("may be full at any write: nothing is lost, and the node goes on by itself", function()
    local struck, after, refused = true, 0, 0
    while struck do
      local world <close> = small_world(after + 1)
      await_leader(world)
      world:fail_disk(1, { call = "write", after = after, status = "disk_full", once = true })
      local calls = world:disk_calls(1)
      for i = 1, WRITES do
        local outcome = put(world, 1, "k" .. i % 5, tostring(i):rep(i % 7 * 40 + 1)) or {}
        if outcome.status == "disk_full" then refused = refused + 1 end
        if outcome.status ~= "ok" and not world:status(1).failed then
          world:run(500) -- it looks for room now and then
          assert.equal("ok", put(world, 1, "k" .. i % 5, "again").status)
        end
      end
      assert.is_nil(world:violation())
      struck = world:disk_calls(1) - calls > after
      after = after + 1
    end
    assert.is_true(refused > 0)
  end)

  it("that is full refuses writes, and leaves none waiting, though the log is faster than its spares", function()
    for seed = 1, 50 do
      local world <close> = sim.world { nodes = 1, seed = seed, segment_bytes = 4096 }
      await_leader(world)
      world:leave_room(1, 0)
      local status, i = "ok", 0
      while status == "ok" do
        i = i + 1
        status = put(world, 1, "k" .. i, ("x"):rep(2500)).status
      end
      assert.equal("disk_full", status, seed)
    end
  end)
end)

describe("a cluster on simulated disks", function()
  setup(function() log.configure("none", "logfmt") end)
  teardown(function() log.configure("error", "logfmt") end)

  local function small_cluster(seed)
    return sim.world { nodes = 3, seed = seed, segment_bytes = 8192, cache_bytes = 1024, snapshot_threshold = 20,
      snapshot_tail = 4, install_bytes = 256 }
  end

  local function other_than(world, node)
    return node % world:stats().nodes + 1
  end

  -- Every node is a full member.
  local function await_start(world)
    assert(world:run(5000, function()
      for node = 1, world:stats().nodes do
        if not world:status(node).proven then return false end
      end
      return world:leader() ~= nil
    end), "no start")
    return world:leader()
  end

  local function write(world, first, last, filling)
    for i = first, last do
      assert.equal("ok", put(world, await_leader(world), "k" .. i % 7, i .. (filling or "")).status)
    end
  end

  -- A node may not know of its leader yet.
  local function read(world, node, key)
    local outcome
    repeat
      outcome = get(world, node, key)
      world:run(50)
    until outcome.status == "ok"
    return outcome.value
  end

  it("keeps its logs short, and brings a member that was away up to date by a snapshot", function()
    local world <close> = small_cluster(1)
    local follower = other_than(world, await_start(world))
    world:crash(follower)
    write(world, 1, 150)
    assert.is_true(world:status(world:leader()).first_index > 100)
    world:restart(follower)
    assert(world:run(5000, function()
      return world:status(follower).last_applied == world:status(world:leader()).last_applied
    end))
    assert.is_true(world:stats().snapshots.installed >= 1)
    assert.equal(world:status(world:leader()).state_digest, world:status(follower).state_digest)
    assert.equal("150", read(world, follower, "k3"))
    world:kill(follower)
    world:restart(follower)
    world:run(500)
    assert.equal("150", read(world, follower, "k3"))
  end)

  it("goes on with a transfer that was interrupted, under another leader", function()
    for seed = 1, 20 do
      local world <close> = small_cluster(seed)
      local leader = await_start(world)
      local follower = other_than(world, leader)
      world:crash(follower)
      write(world, 1, 30, (" "):rep(2000))
      world:run(500)
      world:restart(follower)
      world:run(50 + world:random(400))
      world:transfer(leader, other_than(world, follower))
      assert(world:run(10000, function()
        local applied = world:leader() and world:status(world:leader()).last_applied
        return applied ~= nil and world:status(follower).last_applied == applied
      end))
      assert.is_nil(world:violation())
      if world:stats().snapshots.resumed > 0 then return end
    end
    error("no transfer was resumed")
  end)

  it("loses nothing when power goes while snapshots are written, sent and installed", function()
    for seed = 1, 15 do
      local world <close> = small_cluster(seed)
      await_start(world)
      for round = 1, 12 do
        local node = world:random(3)
        local go_down = world:random(3) == 1 and world.kill or world.crash
        go_down(world, node, "cut_short")
        write(world, 12 * round, 12 * round + 11)
        for _ = 1, world:random(3) - 1 do world:cut_start(node, world:random(40)) end
        assert.is_true(world:restart(node), world:violation())
        assert(world:run(world:random(200)))
      end
      assert(world:run(5000))
      assert.is_true(world:stats().snapshots.taken > 5)
      assert.equal("155", read(world, world:random(3), "k1"))
    end
  end)

  it("goes on when one disk is full, and when none is any more", function()
    local world <close> = small_cluster(2)
    local leader = await_start(world)
    local follower = other_than(world, leader)
    world:leave_room(follower, 0)
    write(world, 1, 200)
    assert.is_true(world:status(follower).disk_full)
    for node = 1, 3 do world:leave_room(node, 0) end
    local refused = false
    for i = 1, 300 do
      local outcome = put(world, await_leader(world), "k" .. i % 7, ("x"):rep(200)) or {}
      refused = refused or outcome.status == "disk_full"
      if refused then break end
    end
    assert.is_true(refused)
    assert.equal("ok", get(world, await_leader(world), "k1").status)
    world:run(2000)
    for node = 1, 3 do world:leave_room(node) end
    world:run(2000)
    write(world, 1, 20)
    assert(world:run(5000, function()
      return world:status(follower).last_applied == world:status(world:leader()).last_applied
    end))
  end)

  it("is never shown what nobody wrote by a disk with flipped bits", function()
    local found, harmless = 0, 0
    for seed = 1, 40 do
      local world <close> = small_cluster(seed)
      local leader = await_start(world)
      write(world, 1, 40)
      world:transfer(leader, other_than(world, leader)) -- whoever founded the cluster may not lead
      world:run(1000)
      local victim = other_than(world, await_leader(world))
      world:kill(victim)
      assert.is_true(world:rot(victim))
      if world:stats().faults.rot_found > 0 then found = found + 1 else harmless = harmless + 1 end
      assert(world:run(5000, function() return world:status(victim).proven end))
      assert.equal("40", read(world, victim, "k5"))
      assert.is_nil(world:violation())
    end
    assert.is_true(found > 5 and harmless > 5)
  end)
end)
