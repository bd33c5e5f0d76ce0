-- Asynchronous writes by hand in a simulated world: what is told of them, for how long, and through which faults.
local sim = require "kvserver.sim"
local task = require "kvserver.task"

local TTL_S <const> = 3
local DEADLINE_MS <const> = 5000

-- A world of three nodes, and the one that leads with everybody behind it.
local function make_world()
  local world = sim.world { nodes = 3, seed = 1, async_result_ttl = TTL_S }
  assert(world:run(5000, function()
    for node = 1, 3 do
      if not world:status(node).proven then return false end
    end
    return world:leader() ~= nil
  end), "no start")
  return world, world:leader()
end

local function other_than(node)
  return node % 3 + 1
end

local function submit(world, node, request, deadline_ms)
  local number <const> = world:submit(node, request, deadline_ms)
  while not world:outcome(number) do assert.is_true(world:run(2 * DEADLINE_MS, "answer")) end
  return world:outcome(number, true)
end

local function put(value, seq)
  return { op = "put", key = "k", value = value, client_id = seq and "c", seq = seq, mode = "async" }
end

-- Has a write taken, and returns its id.
local function take(world, node, request, deadline_ms)
  local answer <const> = submit(world, node, request, deadline_ms)
  assert.is_true(answer.ok)
  assert.equal(0, answer.index)
  return assert(answer.op_id)
end

local function ask(world, node, op_id)
  return submit(world, node, { op = "operation", op_id = op_id })
end

-- What is told once the outcome is known.
local function outcome(world, node, op_id)
  local told
  assert(world:run(2 * DEADLINE_MS, function()
    local number <const> = world:submit(node, { op = "operation", op_id = op_id })
    told = world:outcome(number, true)
    return told == nil or told.ready ~= false
  end), "no outcome")
  return told
end

local function isolate(world, node)
  for other = 1, 3 do
    if other ~= node then
      world:cut(node, other)
      world:cut(other, node)
    end
  end
end

local function await_other_leader(world, old)
  assert(world:run(5000, function()
    local leader = world:leader()
    return leader ~= nil and leader ~= old
  end), "no other leader")
  return world:leader()
end

before_each(function() task.yield() end)

describe("an asynchronous write", function()
  it("is pending until it is applied, then its result is told with its index", function()
    local world <close>, leader = make_world()
    local id = take(world, leader, put "1")
    assert.is_false(ask(world, leader, id).ready)
    local told = outcome(world, leader, id)
    assert.is_true(told.result.ok)
    assert.is_true(told.index > 0)
    local read = submit(world, other_than(leader), { op = "get", key = "k", min_index = told.index })
    assert.equal("1", read.value)
  end)

  it("has its result kept for the time that the configuration says, from when it came", function()
    local world <close>, leader = make_world()
    local id = take(world, leader, put "1")
    outcome(world, leader, id)
    assert(world:run(TTL_S * 1000 - 20))
    assert.is_true(ask(world, leader, id).ready)
    assert(world:run(40))
    assert.equal("not_found", ask(world, leader, id).err_code)
  end)

  it("is told at the node that took it only", function()
    local world <close>, leader = make_world()
    local id = take(world, leader, put "1")
    outcome(world, leader, id)
    assert.equal("not_owner", ask(world, other_than(leader), id).err_code)
  end)

  it("tells that it is a replay", function()
    local world <close>, leader = make_world()
    outcome(world, leader, take(world, leader, put("1", 1)))
    local told = outcome(world, leader, take(world, leader, put("2", 1)))
    assert.same({ true, "same" }, { told.result.ok, told.replay })
    assert.equal("1", submit(world, leader, { op = "get", key = "k" }).value)
  end)

  it("is refused at a node that does not lead, and leaves nothing behind", function()
    local world <close>, leader = make_world()
    local answer = submit(world, other_than(leader), put "1")
    assert.equal("not_leader", answer.err_code)
    assert.equal("n" .. leader, answer.leader_hint.leader_id)
    assert.is_nil(answer.op_id)
  end)

  it("is told to be never applied when another entry is at its place", function()
    local world <close>, leader = make_world()
    isolate(world, leader)
    local id = take(world, leader, put "lost", 30000)
    local heir = await_other_leader(world, leader)
    assert.is_true(submit(world, heir, { op = "put", key = "k", value = "kept" }).ok)
    assert.is_false(ask(world, leader, id).ready)
    world:heal()
    local told = outcome(world, leader, id)
    assert.same({ false, "not_leader" }, { told.result.ok, told.result.err_code })
    assert.equal("kept", submit(world, heir, { op = "get", key = "k" }).value)
  end)

  it("is told to be applied when the next leader has it", function()
    local world <close>, leader = make_world()
    for other = 1, 3 do -- everybody gets it, and nobody can say so
      if other ~= leader then world:cut(other, leader) end
    end
    local id = take(world, leader, put "1", 30000)
    local heir = await_other_leader(world, leader)
    world:heal()
    local told = outcome(world, leader, id)
    assert.is_true(told.result.ok)
    assert.equal("1", submit(world, heir, { op = "get", key = "k" }).value)
  end)

  it("is told to be unknown when nobody knows until its deadline", function()
    local world <close>, leader = make_world()
    isolate(world, leader)
    local id = take(world, leader, put "1", 1000)
    local told = outcome(world, leader, id)
    assert.equal("timeout", told.result.err_code)
  end)

  it("is forgotten by a node that starts again, which does not take the ids of its lives for each other's", function()
    local world <close> = sim.world { nodes = 1, seed = 1 }
    local function await_leader()
      assert(world:run(5000, function() return world:leader() == 1 end), "it does not lead")
    end
    await_leader()
    local id = take(world, 1, put "1")
    outcome(world, 1, id)
    world:crash(1)
    world:restart(1)
    await_leader()
    assert.equal("not_found", ask(world, 1, id).err_code)
    local other = take(world, 1, { op = "delete", key = "none", mode = "async" })
    assert.equal(0, outcome(world, 1, other).result.deleted)
    assert.not_equal(id, other)
    assert.equal("not_found", ask(world, 1, id).err_code)
  end)
end)
