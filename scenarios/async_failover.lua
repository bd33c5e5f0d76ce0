-- A write that is answered as soon as the leader has taken it is promised nothing but the truth later, and that only by
-- the node that took it. A leader takes some and is cut off: it tells that they were never done, once their places in
-- the log are taken by others. A leader takes some that the others get without its knowing: it tells that they were
-- done. A leader takes some and dies: nobody can tell, and asking again with the same seq does each once. None that was
-- told to be done is lost, and none is there that was told not to be. It would fail if a result were told when the
-- write was taken, not when it was applied; if the loss of the leadership were told as a failure; or if a node that
-- starts again answered for its life before.
--
--     kvserver --script scenarios/async_failover.lua [--world sim|inproc|child]
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local WRITES <const> = 5
-- The leader that hears of nobody must take the writes before it gives up.
local CONFIG <const> = { election_ms = "1000-2000" }

-- Writes that a leader takes, each to a key of its own, with a client that asks nobody else.
local function take(c, leader)
  local client, taken = c:client { via = leader, retry = "none" }, {}
  for i = 1, WRITES do
    taken[i] = client:put("taken-" .. i, "of " .. leader.id, { mode = "async" })
    assert.is_truthy(taken[i].op_id, "the leader did not take a write")
  end
  return client, taken
end

local function values(c)
  local keys = {}
  for i = 1, WRITES do keys[i] = "taken-" .. i end
  return c:client():mget(keys).values
end

kv.scenario("what a leader took alone is told to be not done", {
  nodes = 3, timeout = "60s", config = CONFIG, needs = { "net.cut" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local old <const> = c:wait_leader()
  c.net:isolate(old)
  local client, taken = take(c, old)
  assert.equal("pending", client:outcome(taken[1], { within = "100ms" }).err_code)

  local writer = c:client { via = c:wait_leader { among = c:others(old) } }
  for i = 1, WRITES do assert.equal("ok", writer:put("kept-" .. i, "of its heir").outcome) end
  c.net:heal()
  c:wait_converged()
  for _, written in ipairs(taken) do
    local told <const> = client:outcome(written)
    assert.same({ "fail", "not_leader" }, { told.outcome, told.err_code })
  end
  assert.same({}, values(c))
  check.linearizable(c.history)
  check.no_acked_write_lost(c.history)
end)

kv.scenario("what the others have of a leader is told to be done", {
  nodes = 3, timeout = "60s", config = CONFIG, needs = { "net.cut" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local old <const> = c:wait_leader()
  for _, other in ipairs(c:others(old)) do c.net:oneway(other, old) end
  local client, taken = take(c, old)

  c:wait_leader { among = c:others(old) }
  c.net:heal()
  c:wait_converged()
  for i, written in ipairs(taken) do
    assert.equal("ok", client:outcome(written).outcome)
    assert.equal("of " .. old.id, values(c)["taken-" .. i])
  end
  check.linearizable(c.history)
  check.no_acked_write_lost(c.history)
end)

local function count_told(history)
  local count = 0
  for _, op in ipairs(history) do
    if op.op_id and op.outcome == "ok" then count = count + 1 end
  end
  return count
end

kv.scenario("a leader dies with what it took", {
  nodes = 3, timeout = "60s", config = CONFIG, needs = { "net.cut" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local old <const> = c:wait_leader()
  local load = c:load { clients = 6, keys = 16, async = 0.7, think = "5ms" }
  kv.sleep "500ms"
  c.net:isolate(old)
  local client, taken = take(c, old)
  old:kill { lose_unsynced = true }
  c.net:heal()
  c:wait_leader { among = c:others(old) }
  old:start()
  c:wait_converged()
  load:stop()

  for i, written in ipairs(taken) do
    local told <const> = client:outcome(written)
    assert.same({ "unknown", "not_found" }, { told.outcome, told.err_code })
    assert.equal("ok", client:again(i).outcome)
    assert.equal("of " .. old.id, values(c)["taken-" .. i])
  end
  local told <const> = count_told(load.history)
  kv.mark(("%d asynchronous writes were told to be done"):format(told))
  assert.is_true(told > 0)
  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
