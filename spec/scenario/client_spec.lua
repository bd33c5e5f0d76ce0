-- Clients and load of the scenario language, in the simulated world: whom they ask, how often, what they write down.
local kv = require "kvserver.scenario"

-- A cluster that runs, and the story's task in it.
local function in_cluster(f, options)
  local c <close> = kv.cluster(options or {})
  local ok, why = c.world:run(function()
    c:start()
    f(c, c:wait_leader())
  end)
  if not ok then error(type(why) == "table" and why.failed or why, 0) end
end

local function way(answer)
  local steps = {}
  for i, attempt in ipairs(answer.attempts) do steps[i] = attempt.node .. " " .. attempt.answer end
  return table.concat(steps, ", ")
end

describe("a client", function()
  it("follows the hint to the leader, and asks it from then on", function()
    in_cluster(function(c, leader)
      local client = c:client { via = nil }
      client:put("k", "a")
      assert.equal(leader.id .. " ok", way(client:put("k", "b")))
    end)
  end)

  it("asks the node that it is to go via, each time anew", function()
    in_cluster(function(c, leader)
      local follower = c:followers()[1]
      local client = c:client { via = follower }
      for _ = 1, 2 do
        assert.equal(("%s not_leader, %s ok"):format(follower, leader), way(client:put("k", "v")))
      end
      assert.equal(follower.id .. " ok", way(client:get "k"))
    end)
  end)

  it("gives the answer's fields, the outcome and the node", function()
    in_cluster(function(c, leader)
      local client = c:client()
      assert.equal("ok", client:cas("k", "", "a").outcome)
      local refused = client:cas("k", "other", "b")
      assert.same({ "ok", false, "cas_failed", leader.id },
        { refused.outcome, refused.ok, refused.err_code, refused.node })
      assert.equal("a", client:get("k").value)
      assert.equal(1, client:delete("k").deleted)
      client:mput { { key = "x", value = "1" }, { key = "y", value = "2" } }
      assert.same({ x = "1", y = "2" }, client:mget({ "x", "y", "z" }).values)
      assert.equal(2, client:mdelete({ "x", "y" }).deleted)
    end)
  end)

  it("writes each operation into the history, the keys of a batch one by one", function()
    in_cluster(function(c)
      local client = c:client { id = "me" }
      client:put("k", "a")
      client:mget { "k", "l" }
      client:get("k", { read = "stale" })
      local put, first, second, stale = table.unpack(c.history)
      assert.same({ "me", "put", "k", "a", "ok", 1 },
        { put.client, put.kind, put.key, put.value, put.outcome, put.seq })
      assert.is_true(put.called <= put.returned)
      assert.same({ "k", "a", "l" }, { first.key, first.saw, second.key })
      assert.is_nil(second.saw)
      assert.equal(first.batch, second.batch)
      assert.is_true(stale.stale)
    end)
  end)

  it("asks again with the same seq while it does not know, and writes down that it did", function()
    in_cluster(function(c, leader)
      local client = c:client { timeout = "20s" }
      client:put("k", "before")
      for _, other in ipairs(c:others(leader)) do c.net:oneway(other, leader) end
      local put = client:put("k", "v")
      assert.equal("ok", put.outcome)
      assert.not_equal(leader.id, put.node)
      local op = c.history[2]
      assert.is_true(#op.attempts > 1)
      assert.same({ leader.id, "timeout" }, { op.attempts[1].node, op.attempts[1].answer })
      assert.equal(2, op.seq)
    end)
  end)

  it("that asks once does not know, when no answer comes; then the operation has no end", function()
    in_cluster(function(c, leader)
      c.net:isolate(leader)
      local put = c:client({ via = leader, retry = "none", timeout = "200ms" }):put("k", "v")
      assert.equal("unknown", put.outcome)
      assert.equal("unknown", c.history[1].outcome)
      assert.is_nil(c.history[1].returned)
      local get = c:client({ via = leader, retry = "none", timeout = "200ms" }):get "k"
      assert.equal("fail", get.outcome)
    end)
  end)

  it("knows that a node that is down did nothing", function()
    in_cluster(function(c, leader)
      leader:kill()
      local put = c:client({ via = leader, retry = "none" }):put("k", "v")
      assert.same({ "fail", "connect" }, { put.outcome, put.err_code })
    end)
  end)

  it("asks once more on demand: what was done is not done again, and is no operation of its own", function()
    in_cluster(function(c)
      local client = c:client()
      client:put("k", "mine")
      c:client():put("k", "of another")
      local count = #c.history
      assert.equal("same", client:again().replay)
      client:put("l", "x")
      assert.equal("older", client:again(1).replay)
      assert.equal(count + 1, #c.history)
      assert.equal("of another", client:get("k").value)
      assert.has_error(function() client:again(9) end)
    end)
  end)

  it("knows what became of a write in doubt once it has asked again", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader, retry = "none", timeout = "100ms" }
      for _, other in ipairs(c:others(leader)) do c.net:hold { from = other, to = leader } end
      assert.equal("unknown", client:put("k", "v").outcome)
      c.net:release()
      c:wait_converged()
      assert.equal("ok", client:again().outcome)
      assert.equal("ok", c.history[1].outcome)
      assert.is_number(c.history[1].returned)
    end)
  end)

  it("learns nothing about a write in doubt from the answer to a later one", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader, retry = "none", timeout = "100ms" }
      for _, other in ipairs(c:others(leader)) do c.net:hold { from = other, to = leader } end
      assert.equal("unknown", client:put("k", "v").outcome)
      c.net:release()
      c:wait_converged()
      assert.equal("ok", client:put("k", "w").outcome)
      assert.equal("older", client:again(1).replay)
      assert.equal("unknown", c.history[1].outcome)
    end)
  end)

  it("does not know of an asynchronous write before it asks, then its operation ends", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader }
      local written = client:put("k", "v", { mode = "async" })
      local op = c.history[1]
      assert.same({ "unknown", leader.id, written.op_id }, { written.outcome, written.node, op.op_id })
      assert.same({ "unknown", nil }, { op.outcome, op.returned })
      local told = client:outcome(written)
      assert.same({ "ok", true, "ok" }, { told.outcome, told.ok, op.outcome })
      assert.is_number(told.index)
      assert.is_true(op.returned > op.called)
      assert.equal(1, #c.history)
    end)
  end)

  it("hears of every kind of asynchronous write what it would have been answered", function()
    in_cluster(function(c)
      local client, async = c:client(), { mode = "async" }
      local function told(written) return client:outcome(written) end
      told(client:put("k", "a", async))
      local refused = told(client:cas("k", "other", "b", async))
      assert.same({ "ok", false, "cas_failed" }, { refused.outcome, refused.ok, refused.err_code })
      assert.is_false(c.history[2].saw)
      told(client:mput({ { key = "x", value = "1" }, { key = "y", value = "2" } }, async))
      assert.equal(1, told(client:delete("k", async)).deleted)
      assert.equal(2, told(client:mdelete({ "x", "y" }, async)).deleted)
      assert.is_true(c.history[#c.history].saw)
    end)
  end)

  it("does not hear of an asynchronous write in time, and asks again", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader, retry = "none" }
      for _, other in ipairs(c:others(leader)) do c.net:hold { from = other, to = leader } end
      local written = client:put("k", "v", { mode = "async" })
      local early = client:outcome(written, { within = "50ms" })
      assert.same({ "unknown", "pending" }, { early.outcome, early.err_code })
      c.net:release()
      assert.equal("ok", client:outcome(written).outcome)
      assert.equal("ok", c.history[1].outcome)
    end)
  end)

  it("knows nothing of an asynchronous write when the node that took it starts again", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader }
      local written = client:put("k", "v", { mode = "async" })
      leader:kill()
      local down = client:outcome(written, { within = "50ms" })
      assert.same({ "unknown", "connect" }, { down.outcome, down.err_code })
      leader:start()
      local up = client:outcome(written)
      assert.same({ "unknown", "not_found" }, { up.outcome, up.err_code })
      assert.same({ "unknown", nil }, { c.history[1].outcome, c.history[1].returned })
      assert.equal("ok", client:again().outcome) -- with its seq, and waits
      assert.equal("ok", c.history[1].outcome)
    end)
  end)

  it("knows that an asynchronous write that its leader lost was not done", function()
    in_cluster(function(c, leader)
      local client = c:client { via = leader, retry = "none" }
      c.net:isolate(leader)
      local written = client:put("k", "v", { mode = "async" })
      local heir = c:wait_leader { among = c:others(leader) }
      assert.equal("ok", c:client({ via = heir }):put("k", "w").outcome)
      c.net:heal()
      c:wait_converged()
      local told = client:outcome(written)
      assert.same({ "fail", "not_leader", "fail" }, { told.outcome, told.err_code, c.history[1].outcome })
    end)
  end)

  it("refuses a mode that there is not, and to ask for what was not asynchronous", function()
    in_cluster(function(c)
      local client = c:client()
      local function lazy() client:put("k", "v", { mode = "lazy" }) end
      assert.error_matches(lazy, 'expected "sync" or "async", got lazy')
      local written = client:put("k", "v")
      assert.error_matches(function() client:outcome(written) end, "what an asynchronous write returned")
    end)
  end)

  it("refuses a policy of retries that there is not", function()
    in_cluster(function(c)
      assert.error_matches(function() c:client { retry = "often" } end, 'expected "same_seq" or "none", got often')
    end)
  end)
end)

describe("load", function()
  it("does what its mix says, writes no value twice, and stops when it is told", function()
    in_cluster(function(c)
      local load = c:load { clients = 3, keys = 4, mix = { put = 2, get = 1, mput = 1 } }
      kv.sleep "500ms"
      load:stop()
      local stats, seen = load:stats(), {}
      assert.is_true(stats.operations > 50)
      assert.equal(0, stats.unknown + stats.fail)
      assert.is_true(stats.put > stats.get)
      assert.is_nil(stats.cas)
      for _, op in ipairs(load.history) do
        if op.value then
          assert.is_nil(seen[op.value])
          seen[op.value] = true
        end
        assert.matches("^k[1-4]$", op.key)
      end
      local count = #load.history
      c.world:sleep(200)
      assert.equal(count, #load.history)
    end)
  end)

  it("asks for the outcomes of its asynchronous writes", function()
    in_cluster(function(c)
      local load = c:load { clients = 3, keys = 4, mix = { put = 2, cas = 1, delete = 1, mput = 1 }, async = 0.5 }
      kv.sleep "500ms"
      load:stop()
      local count = 0
      for _, op in ipairs(load.history) do
        assert.equal("ok", op.outcome)
        if op.op_id then count = count + 1 end
      end
      assert.is_true(count > 10 and count < #load.history)
    end)
  end)

  it("is the same for the same seed, and another one for another", function()
    local function told(seed)
      local list = {}
      in_cluster(function(c)
        local load = c:load { clients = 2, keys = 4 }
        c.world:sleep(200)
        load:stop()
        for i, op in ipairs(load.history) do
          list[i] = ("%s %s %s %.3f"):format(op.client, op.kind, op.key, op.returned)
        end
      end, { seed = seed })
      return table.concat(list, "\n")
    end
    assert.equal(told(3), told(3))
    assert.not_equal(told(3), told(4))
  end)

  it("refuses a mix of what there is not", function()
    in_cluster(function(c)
      assert.error_matches(function() c:load { mix = { push = 1 } } end, "mix: expected put, .*, got push")
      assert.error_matches(function() c:load { mix = { put = 0 } } end, "nothing to do")
    end)
  end)
end)
