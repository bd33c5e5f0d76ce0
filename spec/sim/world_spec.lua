local linear = require "kvserver.linear"
local log = require "kvserver.log"
local process = require "kvserver.process"
local sim = require "kvserver.sim"
local task = require "kvserver.task"

local function await_leader(world, among)
  assert(world:run(5000, function()
    local leader = world:leader()
    return leader ~= nil and (not among or among[leader] ~= nil)
  end), "no leader")
  return world:leader()
end

-- The first leader, once every node is a full member of the new cluster.
local function await_start(world)
  assert(world:run(5000, function()
    for node = 1, world:stats().nodes do
      if not world:status(node).proven then return false end
    end
    return world:leader() ~= nil
  end), "no start")
  return world:leader()
end

-- The outcome of an operation at a node.
local function result(world, node, request, within_ms)
  local number = world:submit(node, request)
  assert(world:run(within_ms or 10000, function() return world:outcome(number) ~= nil end))
  return world:outcome(number)
end

local function other_than(world, node)
  return node % world:stats().nodes + 1
end

-- Of simulated disks that fail nobody needs to hear.
local function silence()
  setup(function() log.configure("none", "logfmt") end)
  teardown(function() log.configure("error", "logfmt") end)
end

-- Conditions are asked inside a world's run, where a script's time is bounded: that of one test, not of all so far.
before_each(function() task.yield() end)

describe("a simulated world", function()
  silence()

  it("elects a leader and commits, in virtual time", function()
    local world <close> = sim.world { nodes = 3, seed = 1 }
    local leader = await_leader(world)
    local outcome = result(world, leader, { op = "put", key = "a", value = "1", client_id = "c", seq = 1 })
    assert.same({ "ok", true }, { outcome.status, outcome.ok })
    assert.same({ op = "put", key = "a", value = "1", client_id = "c", seq = 1, index = outcome.index, term = 1 },
      world:raft_log(leader, outcome.index)[1])
    assert.equal("1", result(world, other_than(world, leader), { op = "get", key = "a" }).value)
    assert.is_true(world:now() < 3000)
  end)

  it("runs clusters of one to seven nodes", function()
    for nodes = 1, 7 do
      local world <close> = sim.world { nodes = nodes, seed = nodes }
      local leader = await_leader(world)
      assert.equal("ok", result(world, leader, { op = "put", key = "a", value = "1" }).status)
    end
  end)

  it("stands still between runs, and moves by exactly what it was told", function()
    local world <close> = sim.world { nodes = 3, seed = 1 }
    assert.equal(0, world:now())
    world:run(12.5)
    assert.equal(12.5, world:now())
  end)

  it("loses in a crash what was not on disk, and nothing else", function()
    local world <close> = sim.world { nodes = 3, seed = 3 }
    local leader = await_start(world)
    assert.equal("ok", result(world, leader, { op = "put", key = "a", value = "kept" }).status)
    world:slow_disk(leader, 5000)
    for node = 1, 3 do
      world:cut(leader, node)
    end
    local number = world:submit(leader, { op = "put", key = "a", value = "lost" })
    world:run(1)
    local last = world:status(leader).last_index
    world:crash(leader)
    assert.equal("closed", world:outcome(number).status)
    world:restart(leader)
    world:slow_disk(leader, 0)
    assert.equal(last - 1, world:status(leader).last_index)
    world:heal()
    world:run(3000)
    assert.equal("kept", result(world, leader, { op = "get", key = "a" }).value)
  end)

  it("may keep in a crash what was done on disk without a word to the node", function()
    local world <close> = sim.world { nodes = 1, seed = 3, sync_us = 1000000 }
    await_start(world)
    world:submit(1, { op = "put", key = "a", value = "1" })
    world:run(1)
    local last = world:status(1).last_index
    assert.equal(last - 1, world:status(1).commit_index)
    world:crash(1, "done")
    world:restart(1)
    assert.equal(last, world:status(1).last_index)
    assert.is_true(world:stats().faults.untold >= 1)
    await_leader(world)
    assert.equal("1", result(world, 1, { op = "get", key = "a" }).value)
  end)

  it("never answers an old value by readindex at a leader that was cut off", function()
    local world <close> = sim.world { nodes = 3, seed = 5 }
    local old = await_start(world)
    assert.equal("ok", result(world, old, { op = "put", key = "a", value = "old" }).status)
    for node = 1, 3 do
      world:cut(old, node)
      world:cut(node, old)
    end
    local others = { [1] = true, [2] = true, [3] = true }
    others[old] = nil
    local early = world:submit(old, { op = "get", key = "a" })
    world:pause(old)
    local new = await_leader(world, others)
    assert.equal("ok", result(world, new, { op = "put", key = "a", value = "new" }).status)
    world:resume(old)
    world:run(1)
    local late = world:submit(old, { op = "get", key = "a" })
    assert.equal("old", result(world, old, { op = "get", key = "a", policy = "stale" }).value)
    world:run(1000)
    world:heal()
    world:run(10000)
    for _, number in ipairs { early, late } do
      local outcome = world:outcome(number)
      assert.is_not_equal("old", outcome.value)
    end
  end)

  it("keeps what reaches a paused node for later", function()
    local world <close> = sim.world { nodes = 3, seed = 2 }
    local leader = await_leader(world)
    local follower = other_than(world, leader)
    world:pause(follower)
    assert.equal("ok", result(world, leader, { op = "put", key = "a", value = "1" }).status)
    world:run(100)
    assert.equal(0, #world:raft_log(follower, world:status(leader).last_index))
    world:resume(follower)
    world:run(200)
    assert.equal(world:status(leader).last_index, world:status(follower).last_index)
  end)

  it("refuses to wipe a disk while that could lose what is committed", function()
    local world <close> = sim.world { nodes = 3, seed = 4 }
    local leader = await_start(world)
    local victim = other_than(world, leader)
    assert.is_false(world:wipe(victim), "it is up")
    world:crash(victim)
    assert.is_false(world:wipe(victim), "the leader that founded the cluster still leads")
    world:restart(victim)
    world:run(500)
    world:transfer(leader, victim)
    leader = await_leader(world, { [victim] = true })
    assert.equal("ok", result(world, leader, { op = "put", key = "a", value = "1" }).status)
    world:run(1000)
    victim = other_than(world, leader)
    local third = other_than(world, victim)
    world:crash(victim)
    assert.is_true(world:wipe(victim))
    world:restart(victim)
    world:crash(third)
    assert.is_false(world:wipe(third), "another node is not proven yet")
    assert.is_false(world:status(victim).proven)
    world:restart(third)
    assert.is_true(world:run(5000, function() return world:status(victim).proven end))
    assert.equal("1", result(world, victim, { op = "get", key = "a" }).value)
  end)

  it("lets a leader that was cut off commit nothing with a node that lost its memory", function()
    local world <close> = sim.world { nodes = 3, seed = 13 }
    local founder = await_start(world)
    local old = other_than(world, founder)
    local forgetful = other_than(world, old)
    world:transfer(founder, old)
    assert(world:run(1000, function() return world:leader() == old end))
    assert.equal("ok", result(world, old, { op = "put", key = "a", value = "1" }).status)
    world:run(500)
    -- The old leader's clock is slow, so it still leads when the others have a new one.
    world:clock_rate(old, 0.5)
    world:clock_rate(founder, 2)
    world:clock_rate(forgetful, 2)
    for node = 1, 3 do
      world:cut(old, node)
      world:cut(node, old)
    end
    local new = await_leader(world, { [founder] = true, [forgetful] = true })
    assert.equal("ok", result(world, new, { op = "put", key = "a", value = "2" }).status)
    if new == forgetful then forgetful = founder end
    world:crash(forgetful)
    assert.is_true(world:wipe(forgetful))
    world:cut(new, forgetful)
    world:cut(forgetful, new)
    world:mend(old, forgetful)
    world:mend(forgetful, old)
    world:restart(forgetful)
    assert.equal("leader", world:status(old).role)
    local number = world:submit(old, { op = "put", key = "a", value = "3" })
    assert(world:run(5000))
    assert.equal("timeout", result(world, old, { op = "get", key = "b" }, 11000).status) -- by a slow clock
    assert.is_not_equal("ok", (world:outcome(number) or {}).status)
    world:heal()
    assert(world:run(5000))
    assert.equal("2", result(world, old, { op = "get", key = "a" }).value)
  end)

  for what, fault in pairs { ["each call"] = {}, ["each sync"] = { call = "sync" }, ["a sync"] = { call = "sync",
    once = true } } do
    it("stops a node for good when " .. what .. " of its disk fails, until it starts again", function()
      local world <close> = sim.world { nodes = 3, seed = 6 }
      local leader = await_start(world)
      world:fail_disk(leader, fault)
      assert.equal("timeout", result(world, leader, { op = "put", key = "a", value = "1" }).status)
      local others = { [1] = true, [2] = true, [3] = true }
      others[leader] = nil
      local new = await_leader(world, others)
      assert.equal("ok", result(world, new, { op = "put", key = "a", value = "2" }).status)
      world:crash(leader)
      world:restart(leader)
      world:run(2000)
      assert.equal("2", result(world, leader, { op = "get", key = "a" }).value)
    end)
  end

  it("has leaders that step down within an election timeout once they are cut off", function()
    local world <close> = sim.world { nodes = 5, seed = 10 }
    local leader = await_start(world)
    for node = 1, 5 do
      world:cut(node, leader)
    end
    assert.is_true(world:run(450, function() return world:status(leader).role ~= "leader" end))
  end)

  it("hands leadership over", function()
    local world <close> = sim.world { nodes = 3, seed = 7 }
    local leader = await_leader(world)
    assert.equal("ok", result(world, leader, { op = "put", key = "a", value = "1" }).status)
    world:run(200)
    local target = other_than(world, leader)
    assert.is_true(world:transfer(leader, target))
    assert.is_true(world:run(200, function() return world:leader() == target end))
  end)

  it("loses nothing with a fixed leader, whoever crashes, and goes on", function()
    for seed = 1, 5 do
      local world <close> = sim.world { nodes = 3, seed = seed, fixed_leader = 2, net = { loss = 0.02, reorder = 0.5 } }
      assert.equal(2, await_start(world))
      world:load { clients = 8, think_ms = 20, timeout_ms = 500 }
      for i = 1, 20 do
        local victim = i % 2 == 0 and 2 or world:random(3)
        assert(world:run(100 + world:random(300)))
        world:crash(victim, ({ "not_begun", "done", "cut_short" })[world:random(3)])
        assert(world:run(world:random(200)))
        world:restart(victim)
      end
      local acked = world:stats().acked_writes
      assert(world:run(3000))
      assert.is_true(world:stats().acked_writes > acked + 50)
      assert.equal("pass", (linear.check_world(world)))
    end
  end)

  it("has no leader when the fixed one lost its memory, and the others keep what they have", function()
    local world <close> = sim.world { nodes = 3, seed = 4, fixed_leader = 1 }
    await_start(world)
    assert.equal("ok", result(world, 1, { op = "put", key = "a", value = "1" }).status)
    world:run(500)
    world:crash(1)
    assert.is_true(world:wipe(1))
    world:restart(1)
    assert.is_false(world:run(10000, function() return world:leader() ~= nil end))
    assert.equal("1", result(world, 3, { op = "get", key = "a", policy = "stale" }).value)
    assert.is_nil(world:violation())
  end)

  it("has clocks that run at rates of their own", function()
    local world <close> = sim.world { nodes = 3, seed = 8 }
    world:clock_rate(2, 2)
    world:clock_rate(1, 0.5)
    world:clock_rate(3, 0.5)
    assert.equal(2, await_leader(world))
    assert.is_true(world:now() < 350)
  end)

  it("counts faults, messages and commits", function()
    local world <close> = sim.world { nodes = 3, seed = 9, net = { loss = 0.1, duplicate = 0.1, reorder = 1 } }
    world:load {}
    world:run(10000)
    local stats = world:stats()
    assert.is_true(stats.faults.lost > 100 and stats.faults.duplicated > 100 and stats.faults.overtaken > 100)
    assert.is_true(stats.messages > 1000 and stats.commits > 100 and stats.elections >= 1)
    assert.equal(0, stats.faults.crash)
  end)
end)

describe("the load of a simulated world", function()
  it("is acknowledged and leaves a linearizable history", function()
    local world <close> = sim.world { nodes = 3, seed = 1 }
    world:load { clients = 12, nameless = 2, keys = 4, think_ms = 20 }
    world:run(5000)
    world:stop_load()
    world:run(5000)
    local stats = world:stats()
    assert.is_true(stats.acked_writes > 500 and stats.answered_reads > 300)
    local history = world:history()
    assert.is_true(#history >= stats.acked_writes + stats.answered_reads)
    assert.equal("pass", (linear.check_world(world)))
    local kinds = {}
    for _, op in ipairs(history) do kinds[op.kind] = true end
    assert.same({ get = true, put = true, cas = true, delete = true }, kinds)
  end)

  it("asks for the outcomes of its asynchronous writes, through the deaths of those that know them", function()
    local world <close> = sim.world { nodes = 3, seed = 5 }
    world:load { clients = 12, nameless = 6, keys = 4, think_ms = 20, async = 0.5 }
    for _ = 1, 10 do
      assert(world:run(1500))
      local leader = world:leader()
      if leader then
        world:crash(leader)
        world:run(300)
        world:restart(leader)
      end
    end
    world:stop_load()
    assert(world:run(5000))
    local stats = world:stats()
    assert.is_true(stats.async_writes > 100 and stats.acked_writes > stats.async_writes + 100)
    assert.equal("pass", (linear.check_world(world)))
  end)

  it("has an answer for each request once all is well", function()
    local world <close> = sim.world { nodes = 3, seed = 4 }
    world:load { clients = 16, think_ms = 5 }
    world:run(500)
    local leader = await_leader(world)
    world:pause(leader)
    world:run(1000)
    assert.is_true(world:stats().unanswered > 0)
    world:stop_load()
    world:resume(leader)
    world:run(10000)
    assert.equal(0, world:stats().unanswered)
  end)

  it("leaves a history in which a wrong value is found", function()
    local world <close> = sim.world { nodes = 3, seed = 1 }
    world:load { keys = 2, mix = { put = 1, get = 1 } }
    world:run(5000)
    local history = world:history()
    local reads = {}
    for _, op in ipairs(history) do
      if op.kind == "get" and op.saw ~= 0 then reads[#reads + 1] = op end
    end
    reads[#reads].saw = reads[1].saw
    local verdict = sim.linear(history)
    assert.equal("fail", verdict)
  end)

  it("retries the same seq over a leader's death, and nothing is applied twice", function()
    local world <close> = sim.world { nodes = 3, seed = 12 }
    world:load { clients = 16, nameless = 0, keys = 4, think_ms = 10, mix = { put = 1, cas = 1 } }
    for _ = 1, 5 do
      local leader = await_leader(world)
      assert(world:run(1500))
      world:crash(leader)
      assert(world:run(1000))
      world:restart(leader)
    end
    local replays, seen = 0, {}
    for _, entry in ipairs(world:raft_log(await_leader(world))) do
      local name = entry.client_id and entry.client_id .. "/" .. entry.seq
      if name and seen[name] then replays = replays + 1 end
      if name then seen[name] = true end
    end
    assert.is_true(replays > 0, "some request must have been proposed twice")
    assert.is_nil(world:violation())
    assert.equal("pass", (linear.check_world(world)))
  end)
end)

-- A world with faults, as a program: prints its digest and its trace.
local program <const> = [[
local seed = math.tointeger((...))
local sim = require "kvserver.sim"
local world <close> = sim.world { nodes = 5, seed = seed, net = { loss = 0.05, reorder = 0.5 } }
world:load { clients = 8 }
local bad = require("kvserver.sim.nemesis").new(world, 5)
assert(bad:run(20000))
print(world:digest())
print(world:trace(4096))
]]

local function run_program(seed)
  local done = process.run { args = { process.self(), "-", tostring(seed) }, stdin = program, timeout_ms = 60000 }
  assert.equal(0, done.code, done.stderr)
  return done.stdout
end

describe("the determinism of simulated worlds", function()
  it("gives the same digest and trace for the same seed, in two processes", function()
    for _, seed in ipairs { 1, 2, 77 } do
      local first, second = run_program(seed), run_program(seed)
      assert.is_true(#first > 10000)
      assert.is_true(first == second, "seed " .. seed)
    end
  end)

  it("gives another digest for another seed", function()
    assert.is_not_equal(run_program(1):match("^%x+"), run_program(2):match("^%x+"))
  end)
end)
