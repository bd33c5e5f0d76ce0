-- Operations by hand in a simulated world: what they may ask, how they end, and who hears of it.
local sim = require "kvserver.sim"
local task = require "kvserver.task"
local uv = require "luv"

local DEADLINE_MS <const> = 5000

-- A world of three nodes with a leader that has everybody behind it.
local function make_world(config)
  local world = sim.world(config or { nodes = 3, seed = 1 })
  assert(world:run(5000, function()
    for node = 1, world:stats().nodes do
      if not world:status(node).proven then return false end
    end
    return world:leader() ~= nil
  end), "no start")
  return world, world:leader()
end

local function other_than(node)
  return node % 3 + 1
end

local function end_of(world, number)
  while not world:outcome(number) do
    assert.is_true(world:run(2 * DEADLINE_MS, "answer"))
  end
  return world:outcome(number, true)
end

local function ask(world, node, request)
  return end_of(world, world:submit(node, request))
end

local function put(key, value, seq)
  return { op = "put", key = key, value = value, client_id = seq and "c" or nil, seq = seq }
end

-- Nothing passes between this node and the others any more.
local function isolate(world, node)
  for other = 1, world:stats().nodes do
    world:cut(node, other)
    world:cut(other, node)
  end
end

-- A sanitizer keeps freed memory on purpose.
local function is_sanitized()
  for line in io.lines("/proc/self/maps") do
    if line:find("lib[at]san") then return true end
  end
  return false
end

-- Conditions are asked inside a world's run, where a script's time is bounded: that of one test, not of all so far.
before_each(function() task.yield() end)

describe("a run to an answer", function()
  it("ends where an operation ends, not later", function()
    local world <close>, leader = make_world()
    local number <const> = world:submit(leader, put("a", "1"))
    assert.is_nil(world:outcome(number))
    assert.is_true(world:run(DEADLINE_MS, "answer"))
    assert.equal("ok", world:outcome(number).status)
    local stepped <close> = make_world()
    stepped:submit(leader, put("a", "1"))
    while not stepped:outcome(number) do stepped:step() end
    assert.same({ stepped:now(), stepped:stats().events }, { world:now(), world:stats().events })
  end)

  it("goes on for as long as it was told when none ends", function()
    local world <close> = make_world()
    local began <const> = world:now()
    assert.is_false((world:run(100, "answer")))
    assert.equal(began + 100, world:now())
  end)

  it("sees one that ends in its last moment", function()
    local world <close>, leader = make_world()
    world:pause(leader)
    local number <const> = world:submit(leader, put("a", "1"), 100)
    assert.is_true(world:run(100, "answer"))
    assert.equal("timeout", world:outcome(number).failure)
  end)

  it("stands still when one ended since the last run, and goes on after that", function()
    local world <close>, leader = make_world()
    local began <const> = world:now()
    local refused <const> = world:submit(other_than(leader), put("a", "1"))
    assert.equal("not_leader", world:outcome(refused).status)
    assert.is_true(world:run(100, "answer"))
    assert.equal(began, world:now())
    assert.is_false((world:run(100, "answer")))
    assert.same({ refused }, world:answered())
    world:submit(leader, put("a", "2"))
    world:crash(leader)
    assert.is_true(world:run(100, "answer"))
    assert.equal(began + 100, world:now())
  end)

  it("is not ended by what a run before it has seen, nor by what was forgotten", function()
    local world <close>, leader = make_world()
    world:submit(leader, put("a", "1"))
    world:run(100)
    assert.is_false((world:run(100, "answer")))
    world:forget(world:submit(leader, put("a", "2")))
    assert.is_false((world:run(100, "answer")))
    assert.equal("2", ask(world, leader, { op = "get", key = "a" }).value)
  end)

  it("wants to know what it shall wait for", function()
    local world <close> = make_world()
    assert.error_matches(function() world:run(1, "answers") end, "expected a function or \"answer\"")
  end)
end)

describe("the ends of operations", function()
  it("are told once, in their order", function()
    local world <close>, leader = make_world()
    local slow <const> = world:submit(leader, put("a", "1"))
    local refused <const> = world:submit(other_than(leader), put("a", "2"))
    assert.same({ refused }, world:answered())
    assert.is_true(world:run(DEADLINE_MS, "answer"))
    assert.same({ slow }, world:answered())
    assert.same({}, world:answered())
  end)

  it("are not told of those that were forgotten", function()
    local world <close>, leader = make_world()
    local first <const> = world:submit(leader, put("a", "1"))
    local second <const> = world:submit(leader, put("a", "2"))
    world:forget(first)
    world:run(100)
    assert.same({ second }, world:answered())
    assert.is_nil(world:outcome(first))
    assert.equal("ok", world:outcome(second, true).status)
    assert.is_nil(world:outcome(second))
    world:forget(second)
  end)

  it("leave no memory behind once they were fetched", function()
    local world <close>, leader = make_world()
    world:crash(leader)
    local before <const> = uv.resident_set_memory()
    for _ = 1, 50000 do
      local number <const> = world:submit(leader, put("a", ("x"):rep(200)), 0)
      assert(world:outcome(number, true).failure == "connect")
      world:run(0)
    end
    assert.is_true(is_sanitized() or uv.resident_set_memory() - before < 5 << 20)
  end)

  it("come of nodes and numbers that there are", function()
    local world <close> = make_world()
    assert.error_matches(function() world:outcome(1) end, "no such operation")
    assert.error_matches(function() world:forget(0) end, "no such operation")
    assert.error_matches(function() world:submit(4, put("a", "1")) end, "no such node")
  end)
end)

describe("an operation that gets no answer", function()
  it("is refused by a node that is down", function()
    local world <close>, leader = make_world()
    world:kill(leader)
    local number <const> = world:submit(leader, put("a", "1"))
    assert.same({ status = "closed", failure = "connect", index = 0 }, world:outcome(number))
  end)

  it("ends with a node that goes down", function()
    local world <close>, leader = make_world()
    isolate(world, leader)
    local number <const> = world:submit(leader, put("a", "1"))
    world:run(10)
    assert.is_nil(world:outcome(number))
    world:crash(leader)
    assert.equal("closed", world:outcome(number).failure)
  end)

  it("ends at its deadline when the node is paused, before or meanwhile", function()
    local world <close>, leader = make_world()
    isolate(world, leader)
    local before <const> = world:submit(leader, put("a", "1"), 100)
    world:pause(leader)
    local behind <const> = world:submit(leader, put("b", "1"), 200)
    local began <const> = world:now()
    for at, number in ipairs { before, behind } do
      assert.is_true(world:run(DEADLINE_MS, "answer"))
      assert.same({ number }, world:answered())
      assert.same({ status = "timeout", failure = "timeout", index = 0 }, world:outcome(number))
      assert.equal(began + 100 * at, world:now())
    end
  end)

  it("may be done by a paused node that goes on, when nobody waits any longer", function()
    local world <close>, leader = make_world { nodes = 1, seed = 1 }
    for _, forget in ipairs { false, true } do
      local key <const> = forget and "forgotten" or "kept"
      world:pause(leader)
      local number <const> = world:submit(leader, put(key, "1"), 100)
      world:run(200)
      assert.equal("timeout", world:outcome(number, forget).failure)
      world:resume(leader)
      world:run(1000)
      assert.equal("1", ask(world, leader, { op = "get", key = key }).value)
      assert.equal(not forget and "timeout" or nil, (world:outcome(number) or {}).failure)
    end
  end)

  it("is lost with a paused node that goes down, and with its life", function()
    local world <close>, leader = make_world()
    world:pause(leader)
    local parked <const> = world:submit(leader, put("a", "1"))
    world:run(10)
    world:crash(leader)
    assert.equal("closed", world:outcome(parked).failure)
    world:restart(leader)
    world:run(2000)
    world:pause(leader)
    local on_its_way <const> = world:submit(leader, { op = "get", key = "a", policy = "stale" })
    world:crash(leader)
    world:restart(leader)
    assert.is_true(world:run(DEADLINE_MS, "answer"))
    assert.equal("closed", world:outcome(on_its_way).failure)
  end)
end)

describe("an operation's answer", function()
  it("is what each command gives", function()
    local world <close>, leader = make_world()
    local function write(request)
      local outcome = ask(world, leader, request)
      assert.is_true(outcome.index > 0)
      outcome.index = nil
      return outcome
    end
    local done <const> = { status = "ok", ok = true }
    assert.same(done, write(put("a", "1", 1)))
    assert.same({ status = "ok", ok = true, replay = "same" }, write(put("a", "2", 1)))
    assert.same(done, write { op = "cas", key = "a", expected = "1", value = "2", client_id = "c", seq = 2 })
    assert.same({ status = "ok", ok = true, replay = "older" }, write(put("a", "2", 1)))
    local failed <const> = write { op = "cas", key = "a", expected = "1", value = "3" }
    assert.is_string(failed.err_msg)
    assert.same({ status = "ok", ok = false, err_code = "cas_failed", err_msg = failed.err_msg }, failed)
    assert.same(done, write { op = "mput", entries = { { key = "b", value = "" }, { key = "c", value = "\0\xff" } } })
    assert.same({ status = "ok", ok = true, deleted = 1 }, write { op = "delete", key = "a" })
    assert.same({ status = "ok", ok = true, deleted = 2 }, write { op = "mdelete", keys = { "a", "b", "c" } })
  end)

  it("is what there is to read, at any node", function()
    local world <close>, leader = make_world()
    local entries <const> = { { key = "a", value = "1" }, { key = "ab", value = "" }, { key = "b", value = "\0" } }
    local index <const> = ask(world, leader, { op = "mput", entries = entries }).index
    for node = 1, 3 do
      local function read(request)
        local outcome = ask(world, node, request)
        assert.is_true(outcome.index >= index)
        outcome.index = nil
        return outcome
      end
      assert.same({ status = "ok", ok = true, value = "" }, read { op = "get", key = "ab" })
      assert.same({ status = "ok", ok = false, err_code = "not_found" }, read { op = "get", key = "c" })
      assert.same({ status = "ok", ok = true, values = { "\0", false, "1", "\0" } },
        read { op = "mget", keys = { "b", "c", "a", "b" } })
      assert.same({ status = "ok", ok = true, entries = entries, next = "" }, read { op = "scan" })
      assert.same({ status = "ok", ok = true, entries = { entries[1] }, next = "a" }, read { op = "scan", limit = 1 })
      assert.same({ status = "ok", ok = true, entries = { entries[2] }, next = "" },
        read { op = "scan", prefix = "a", after = "a" })
    end
  end)

  it("comes from a state as new as asked for", function()
    local world <close>, leader = make_world()
    local behind <const> = other_than(leader)
    world:cut(leader, behind)
    local index <const> = ask(world, leader, put("a", "1")).index
    local function stale(min_index)
      return { op = "get", key = "a", policy = "stale", min_index = min_index }
    end
    assert.same({ status = "ok", ok = false, err_code = "not_found", index = index - 1 },
      ask(world, behind, stale()))
    local number <const> = world:submit(behind, stale(index))
    assert.is_false((world:run(200, "answer")))
    world:mend(leader, behind)
    assert.same({ status = "ok", ok = true, value = "1", index = index }, end_of(world, number))
    assert.equal("timeout", ask(world, behind, stale(index + 1000)).status)
  end)

  it("names the leader when it is to be asked", function()
    local world <close>, leader = make_world()
    local follower <const> = other_than(leader)
    local outcome <const> = ask(world, follower, put("a", "1"))
    local hint <const> = { leader_id = "n" .. leader, leader_addr = "sim:" .. leader }
    assert.same({ status = "not_leader", ok = false, err_code = "not_leader", index = 0, leader_hint = hint }, outcome)
    assert.same(hint, world:status(follower).leader_hint)
  end)

  it("names nobody when there is no leader", function()
    local world <close>, leader = make_world()
    isolate(world, leader)
    world:run(2000)
    for _, request in ipairs { put("a", "1"), { op = "get", key = "a" } } do
      assert.same({ status = "no_leader", ok = false, err_code = "no_leader", index = 0,
        leader_hint = { leader_id = "", leader_addr = "" } }, ask(world, leader, request))
    end
  end)

  it("says what is wrong with a request", function()
    local world <close>, leader = make_world()
    local wrong <const> = {
      ["key: must not be empty"] = put("", "1"), ["prefix, after: expected UTF-8 without NUL"] = {
        op = "scan", prefix = "\xff" },
    }
    for err_msg, request in pairs(wrong) do
      assert.same({ status = "invalid", ok = false, err_code = "bad_request", err_msg = err_msg, index = 0 },
        ask(world, leader, request))
    end
    assert.equal("bad_request", ask(world, leader, { op = "get", key = "\0" }).err_code)
    assert.equal("bad_request", ask(world, leader, { op = "mget", keys = { "a", "" } }).err_code)
  end)

  it("is refused to what is no request", function()
    local world <close>, leader = make_world()
    for why, request in pairs {
      ["key: expected a string, got nil"] = { op = "get" }, ["keys: expected a table"] = { op = "mget" },
      ["keys: expected 1 to 100000"] = { op = "mget", keys = {} }, ["op: expected put"] = { op = "take", key = "a" },
      ["limit: expected an integer from 1 to 10000"] = { op = "scan", limit = 0 },
      ["min_index: expected an integer from 0"] = { op = "get", key = "a", min_index = -1 },
      ["policy: expected readindex or stale"] = { op = "get", key = "a", policy = "fresh" },
    } do
      assert.error_matches(function() world:submit(leader, request) end, why)
    end
    assert.error_matches(function() world:submit(leader, put("a", "1"), -1) end, "out of range")
  end)
end)

describe("the status of a node", function()
  it("has what /status of a node has", function()
    local world <close>, leader = make_world { nodes = 3, seed = 1, snapshot_threshold = 10, snapshot_tail = 2 }
    for seq = 1, 20 do ask(world, leader, put("k" .. seq, "1", seq)) end
    world:run(500)
    local status <const> = world:status(leader)
    assert.same({ 20, 1 }, { status.keys, status.clients })
    assert.is_true(status.snapshot_index >= 10 and status.snapshot_term == 1)
    assert.same({ leader_id = "n" .. leader, leader_addr = "sim:" .. leader }, status.leader_hint)
    local follower <const> = other_than(leader)
    local peer <const> = status.peers["n" .. follower]
    assert.same({ status.last_index, status.last_index + 1, 0 }, { peer.match_index, peer.next_index, peer.inflight })
    assert.is_true(peer.last_contact_ms < 100)
    assert.is_nil(status.peers["n" .. leader])
    assert.same({}, world:status(follower).peers)
  end)
end)
