-- One telling: how it ends, what must hold on the way, and what is left behind.
local check = require "kvserver.check"
local kv = require "kvserver.scenario"
local story = require "kvserver.scenario.story"

local function tell(f, options, how)
  local told = { world = "sim", seed = 1 }
  for name, value in pairs(how or {}) do told[name] = value end
  local result = story.tell("a story", options or {}, f, told)
  if result.cluster then result.cluster:destroy() end
  return result
end

describe("a story", function()
  it("that comes to its end passes", function()
    local result = tell(function(c) c:wait_leader() end)
    assert.same({ "pass", nil }, { result.verdict, result.why })
    assert.is_true(result.ms > 0)
    assert.is_true(result.events > 0)
  end)

  it("fails of an assertion, with the place where that was", function()
    local result = tell(function() assert.equal(1, 2) end)
    assert.equal("fail", result.verdict)
    assert.matches("story_spec.lua:%d+: Expected objects to be equal", result.why)
  end)

  it("fails of a wait that takes too long, and says what the nodes were doing", function()
    local result = tell(function(c)
      c:node(1):kill()
      c:wait_leader { among = { c:node(1) }, within = "50ms" }
    end)
    assert.matches("^no leader %(n1 down; n2 %l+, term %d+, applied %d+; .*%) within 50ms$", result.why)
  end)

  it("fails of a condition that does not come true, in its words", function()
    local result = tell(function() kv.eventually("pigs fly", "50ms", function() return false end) end)
    assert.equal("pigs fly: not within 50ms", result.why)
  end)

  it("gives what a condition came to, which may wait itself", function()
    local result = tell(function(c)
      local client = c:client()
      local answer = kv.eventually("a put is answered", "5s", function()
        local put = client:put("k", "v")
        return put.outcome == "ok" and put
      end)
      assert.equal("ok", answer.outcome)
    end)
    assert.equal("pass", result.verdict, result.why)
  end)

  it("fails when the whole takes too long", function()
    local result = tell(function() kv.sleep "1m" end, { timeout = "2s" })
    assert.equal("fail", result.verdict)
    assert.matches("^it is not over after 2%.", result.why)
  end)

  it("has more time when it is asked to go on for longer", function()
    local how <const> = { for_time = "10s" }
    local function long() kv.sleep(kv.duration "1s") end
    local result = tell(long, { timeout = "2s" }, how)
    assert.equal("pass", result.verdict, result.why)
    assert.is_true(result.ms >= 10000)
    assert.is_true(tell(long, { timeout = "2s" }).ms < 2000)
  end)

  it("is skipped when its world lacks what it needs, before anything happens or where it uses it", function()
    local begun = false
    local result = tell(function() begun = true end, { needs = { "net.cut", "http" } })
    assert.same({ "skipped", "http in sim: simulated nodes speak no HTTP" }, { result.verdict, result.why })
    assert.is_false(begun)
    assert.equal("skipped", tell(function(c) c:node(1):log "x" end).verdict)
  end)

  it("knows what its world can do", function()
    tell(function(c)
      assert.is_true(c:can "net.cut")
      assert.same({ false, "simulated nodes speak no HTTP" }, { c:can "http" })
    end)
  end)

  it("fails of an error in what it spawned, wherever it is itself", function()
    local result = tell(function()
      kv.spawn(function() error { failed = "beside the story" } end)
      kv.sleep "10s"
    end)
    assert.same({ "fail", "beside the story" }, { result.verdict, result.why })
  end)

  it("joins what it spawned, and gets what that returned", function()
    local result = tell(function()
      local both = kv.spawn(function(a) return a, kv.now() end, "a")
      local a, at = both:join()
      assert.equal("a", a)
      assert.is_number(at)
    end)
    assert.equal("pass", result.verdict, result.why)
  end)

  it("fails when a node ends by itself, unless it says that this is meant", function()
    local function break_disk(c)
      c:node(1).disk:fail_fsync()
      c:node(1).may_die = nil
      c:client({ timeout = "10s" }):put("k", "v")
      c:wait_applied { index = 100, within = "2s" }
    end
    assert.matches("^n1 ended by itself: ", tell(break_disk).why)
    local meant = tell(function(c)
      c:node(1).disk:fail_fsync()
      c:client():put("k", "v")
      assert.is_string(c:node(1):wait_death())
    end)
    assert.equal("pass", meant.verdict, meant.why)
  end)

  it("undoes its faults in the end", function()
    local node, world
    story.tell("a story", {}, function(c)
      node, world = c:node(1), c.world
      c:node(2):pause()
      c.net:isolate(node)
      node.disk:slow "50ms"
    end, { world = "sim", seed = 1 })
    assert.equal("up", (world:state "n2"))
    assert.is_nil(next(node.disk.state))
    assert.is_nil(node.cluster.net.is_cut)
    world:close()
  end)

  it("tells what happens, with the time of its world", function()
    local heard = {}
    local result = tell(function(c)
      kv.sleep "100ms"
      kv.mark "a mark"
      c:node(1):kill()
    end, {}, { listener = function(line) heard[#heard + 1] = line.text end })
    assert.same({ "a mark", "n1 is killed" }, { heard[#heard - 1], heard[#heard] })
    assert.is_true(result.lines[#result.lines].at >= 100)
  end)

  it("is the only one at a time", function()
    tell(function()
      assert.error_matches(function() tell(function() end) end, "a scenario inside a scenario")
    end)
    assert.error_matches(function() kv.mark "outside" end, "only inside of a scenario")
  end)
end)

describe("kv.always", function()
  it("fails when it does not hold at some moment, though it does in the end", function()
    local result = tell(function()
      local from <const> = kv.now()
      kv.always("calm", function()
        local passed <const> = kv.now() - from
        return passed < 100 or passed > 150, "a storm"
      end)
      kv.sleep "1s"
    end)
    assert.same({ "fail", "calm: a storm" }, { result.verdict, result.why })
    assert.is_true(result.ms < 1000)
  end)

  it("passes when it always holds, and fails of an error in it", function()
    assert.equal("pass", tell(function()
      kv.always("calm", function() return true end)
      kv.sleep "1s"
    end).verdict)
    assert.matches("calm: .*no such thing", tell(function()
      kv.always("calm", function() error "no such thing" end)
      kv.sleep "1s"
    end).why)
  end)

  it("is asked once more in the end", function()
    assert.equal("fail", tell(function() kv.always("calm", function() return false end) end).verdict)
  end)
end)

describe("kv.never", function()
  it("fails when it happens", function()
    local result = tell(function()
      local from <const> = kv.now()
      kv.never("a storm", function() return kv.now() - from > 100 end)
      kv.sleep "1s"
    end)
    assert.same({ "fail", "a storm happened" }, { result.verdict, result.why })
    assert.equal("pass", tell(function() kv.never("a storm", function() return false end) end).verdict)
  end)
end)

describe("kv.sometimes", function()
  it("says whether it happened, and lets the telling pass either way", function()
    local result = tell(function()
      local from <const> = kv.now()
      kv.sometimes("for a moment", function() return kv.now() - from > 100 and kv.now() - from < 150 end)
      kv.sometimes("at no time", function() return false end)
      kv.sleep "1s"
      kv.sometimes("in the end", function() return true end)
    end)
    assert.equal("pass", result.verdict)
    assert.same({ ["for a moment"] = true, ["at no time"] = false, ["in the end"] = true }, result.happened)
  end)
end)

describe("check.same_state", function()
  it("passes when all that run come to the same", function()
    local result = tell(function(c)
      c:client():put("k", "v")
      c:node(3):kill()
      check.same_state(c)
    end)
    assert.equal("pass", result.verdict, result.why)
    assert.matches("^check: 2 nodes are in the same state, at index %d+$", result.lines[#result.lines].text)
  end)

  it("fails when a node does not come there", function()
    local result = tell(function(c)
      c.net:isolate(c:followers()[1])
      c:client({ timeout = "10s" }):put("k", "v")
      check.same_state(c, { within = "1s" })
    end)
    assert.equal("the nodes do not come to the same index within 1s", result.why)
  end)
end)

describe("a cluster by hand", function()
  it("has the same verbs outside of any scenario, and its time", function()
    local c <close> = kv.cluster { seed = 3 }
    c:start()
    local leader = c:wait_leader()
    assert.equal("ok", c:client():put("k", "v").outcome)
    local before <const> = kv.now()
    kv.sleep "10s"
    assert.equal(before + 10000, kv.now())
    assert.equal(leader, c:wait_leader())
  end)
end)
