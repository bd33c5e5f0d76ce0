-- Whoever does not know whether a write was done asks it once more, with its seq, and it is done once: at another
-- leader, behind a restart of all nodes, and when the first request was in the log all along. The deaf leader sees to
-- the last: the others have what it got, it cannot know that, and its clients ask the next leader for the same.
-- It would fail if the table of the clients' last requests were not part of the state of each node.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

-- Each of its kinds of writes once more, behind a write of somebody else: nothing changes.
local function check_again(c, client)
  local answer <const> = client:cas("k", "", "mine")
  assert.is_true(answer.ok)
  assert.equal("ok", c:client():put("k", "of somebody else").outcome)
  return function()
    local again <const> = client:again()
    assert.is_true(again.ok)
    assert.equal("same", again.replay, "the request was done again")
    assert.equal("of somebody else", c:client():get("k").value)
  end
end

kv.scenario("a request that comes twice is done once", { nodes = 3, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local first <const> = c:wait_leader()
  local client = c:client()
  client:put("other", "x")
  assert.equal(1, client:delete("other").deleted)
  assert.equal(1, client:again().deleted, "the delete was done again")
  local ask_again <const> = check_again(c, client)
  ask_again()
  assert.equal("older", client:again(1).replay)
  assert.is_nil(c:client():get("other").value)

  kv.mark "at another leader"
  first:kill()
  c:wait_leader { among = c:others(first) }
  ask_again()
  first:start()
  c:wait_converged()

  kv.mark "behind a restart of all nodes"
  for _, node in ipairs(c:nodes()) do node:kill() end
  c:start()
  ask_again()
end)

kv.scenario("a request that is asked again at the next leader is done once", { nodes = 3, timeout = "60s" },
  function(c)
    kv.always("raft safety", check.raft(c))
    local load = c:load { clients = 12, keys = 2, mix = { put = 4, cas = 2, get = 6 }, think = "30ms", timeout = "20s" }
    for _ = 1, 3 do
      kv.sleep "200ms"
      local leader <const> = c:wait_leader()
      for _, other in ipairs(c:others(leader)) do c.net:oneway(other, leader) end
      c:wait_leader { among = c:others(leader), within = "5s" }
      kv.sleep "1s"
      c.net:heal()
      c:wait_converged()
    end
    load:stop()

    local asked_again = 0
    for _, op in ipairs(load.history) do
      for i, attempt in ipairs(op.attempts) do
        local in_doubt <const> = attempt.answer == "timeout" and op.kind ~= "get" and i < #op.attempts
        if in_doubt and op.outcome == "ok" then asked_again = asked_again + 1 end
      end
    end
    kv.mark(("%d writes were asked again, whose outcome was unknown"):format(asked_again))
    assert.is_true(asked_again > 0)
    check.exactly_once(load.history)
    check.linearizable(load.history)
    check.no_acked_write_lost(load.history)
    check.same_state(c)
  end)
