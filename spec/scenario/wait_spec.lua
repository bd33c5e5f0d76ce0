-- The verbs that wait for nodes, in the simulated world: what they wait for, and the words in which they give up.
local kv = require "kvserver.scenario"
local story = require "kvserver.scenario.story"

local function tell(f, options)
  local result = story.tell("a story", options or {}, f, { world = "sim", seed = 1 })
  if result.cluster then result.cluster:destroy() end
  return result
end

local function passes(f, options)
  local result = tell(f, options)
  assert.equal("pass", result.verdict, result.why)
end

local function fails(pattern, f, options)
  local result = tell(f, options)
  assert.equal("fail", result.verdict)
  assert.matches(pattern, result.why)
end

describe("c:wait_leader", function()
  it("gives the node that leads, among those that it may be", function()
    passes(function(c)
      local old = c:wait_leader()
      assert.equal("leader", old:status().role)
      old:kill()
      local new = c:wait_leader { among = c:others(old) }
      assert.not_equal(old, new)
      assert.is_true(new:status().term > old.last_status.term)
    end)
  end)

  it("does not take one for a leader that nobody follows", function()
    fails("^no leader %(", function(c)
      local leader = c:wait_leader()
      c.net:isolate(leader)
      for _, other in ipairs(c:others(leader)) do other:kill() end
      c:wait_leader { within = "2s" }
    end)
  end)
end)

describe("c:wait_no_leader", function()
  it("waits until the last one has given up", function()
    passes(function(c)
      for _, follower in ipairs(c:followers()) do follower:kill() end
      c:wait_no_leader()
      assert.is_nil(c:leader())
    end)
  end)

  it("says who still leads", function()
    fails("^still a leader %(.*n%d leader, term 1.*%) within 1s$", function(c) c:wait_no_leader { within = "1s" } end)
  end)
end)

describe("c:wait_applied", function()
  it("waits for those that it is told, and for all that run", function()
    passes(function(c)
      local away = c:followers()[1]
      c.net:isolate(away)
      c:client():put("k", "v")
      local index <const> = c:leader():status().last_applied
      c:wait_applied { on = c:others(away) }
      assert.is_true(away:status().last_applied < index)
      c.net:heal()
      c:wait_applied { index = index }
      assert.equal(index, away:status().last_applied)
    end)
  end)

  it("says who is not there", function()
    fails("^index 99 is not applied %(n1 .*; n2 .*; n3 .*%) within 1s$",
      function(c) c:wait_applied { index = 99, within = "1s" } end)
  end)
end)

describe("c:wait_converged", function()
  it("waits for all that run, and not for those that do not", function()
    passes(function(c)
      local away, down = table.unpack(c:followers())
      c.net:isolate(away)
      c:client():put("k", "v")
      c.net:heal()
      down:kill()
      c:wait_converged()
      assert.equal(c:leader():status().last_applied, away:status().last_applied)
    end)
  end)

  it("goes on when the leader does not answer just then", function()
    passes(function(c)
      local leader, asked = c:wait_leader(), 0
      function leader.status()
        asked = asked + 1
        return asked > 1 and getmetatable(leader).status(leader) or nil
      end
      c:wait_converged()
      assert.is_true(asked > 1)
    end)
  end)

  it("says who is not there", function()
    fails("^the nodes do not come to the same index %(.*%) within 1s$", function(c)
      c.net:isolate(c:followers()[1])
      c:client():put("k", "v")
      c:wait_converged { within = "1s" }
    end)
  end)
end)

describe("n:wait_role", function()
  it("waits until it has it, and says when it never does", function()
    passes(function(c)
      local leader, other = c:wait_leader(), c:followers()[1]
      leader:transfer(other)
      other:wait_role "leader"
      leader:wait_role "follower"
    end)
    fails("^n%d is no candidate within 1s$", function(c) c:followers()[1]:wait_role("candidate", { within = "1s" }) end)
  end)
end)

describe("n:wait_snapshot", function()
  local OFTEN <const> = { config = { snapshot_threshold = 5 } }

  it("gives the index of the snapshot, which is behind the one that it is told", function()
    passes(function(c)
      local load, node = c:load { clients = 2 }, c:node(1)
      local first = node:wait_snapshot()
      assert.is_true(node:wait_snapshot { after = first } > first)
      load:stop()
    end, OFTEN)
  end)

  it("says which it waited for", function()
    fails("^n2 has no snapshot behind index 3 within 1s$",
      function(c) c:node(2):wait_snapshot { after = 3, within = "1s" } end)
  end)
end)

describe("a wait", function()
  it("does not outlast a node that ended by itself, unless that is meant", function()
    local function wait_in_vain(c)
      c:node(1).disk:fail_fsync()
      c:node(1).may_die = nil
      kv.spawn(function() c:client():put("k", "v") end)
      c:wait_applied { index = 99, within = "60s" }
    end
    local result = tell(wait_in_vain)
    assert.matches("^n1 ended by itself: ", result.why)
    assert.is_true(result.ms < 20000)
    fails("^index 99 is not applied", function(c)
      c:node(1).disk:fail_fsync()
      c:node(1):expect_death()
      kv.spawn(function() c:client():put("k", "v") end)
      c:wait_applied { index = 99, within = "10s" }
    end)
  end)
end)

describe("n:try_start", function()
  it("says why a node does not start, where n:start fails of it", function()
    local function rot(c)
      local node, load = c:node(1), c:load { clients = 2 }
      kv.sleep "1s"
      load:stop()
      node:kill()
      for _ = 1, 50 do node.disk:flip { file = "^wal/%d" } end -- one alone may hit what no entry needs
      return node
    end
    passes(function(c)
      local started, why = rot(c):try_start()
      assert.is_false(started)
      assert.is_string(why)
    end)
    fails("^n1 does not start: ", function(c) rot(c):start() end)
  end)
end)

describe("n.clock", function()
  -- How long three nodes with such clocks take to notice that their leader is gone.
  local function gap(rate)
    local ms
    passes(function(c)
      local leader = c:wait_leader()
      for _, node in ipairs(c:nodes()) do node.clock:rate(rate) end
      local from <const> = kv.now()
      leader:kill()
      c:wait_leader { among = c:others(leader) }
      ms = kv.now() - from
    end)
    return ms
  end

  it("runs at the rate that it is told", function()
    assert.is_true(gap(0.5) > 1.5 * gap(2))
  end)

  it("drifts by millionths", function()
    local rates = {}
    passes(function(c)
      local world <const> = c.world
      function world.clock(_, id, rate) rates[#rates + 1] = { id, rate } end
      c:node(2).clock:drift(100)
    end)
    assert.same({ { "n2", 1.0001 } }, rates)
  end)
end)
