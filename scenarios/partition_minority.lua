-- The network splits, and the leader is on the smaller side: the larger side elects another and goes on; the smaller
-- side acknowledges nothing, and its leader steps down. Whole again, the minority follows without another election.
-- It would fail if a minority committed, if the old leader went on for good, or if who comes back unseated the new one.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

kv.scenario("a minority stops, the majority goes on", { nodes = 5, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local old <const> = c:wait_leader()
  local minority <const> = { old, c:followers()[1] }
  local majority <const> = c:others(table.unpack(minority))
  local load = c:load { clients = 4, keys = 8, think = "20ms" }
  kv.sleep "500ms"

  c.net:partition { minority, majority }
  local cut <const> = kv.now()
  local lost = c:client { via = old, retry = "none", timeout = "2s" }:put("island", "lost")
  assert.not_equal("ok", lost.outcome)
  kv.eventually(old.id .. " leads no more", "3s", function() return old:status().role ~= "leader" end)
  local new <const> = c:wait_leader { among = majority, within = "3s" }
  local found <const> = c:client { via = new }:put("mainland", "found")
  assert.equal("ok", found.outcome)
  assert.is_true(kv.now() - cut < 5000)
  kv.sleep "2s"

  local term <const> = new:status().term
  c.net:heal()
  c:wait_converged { within = "10s" }
  kv.sleep "1s"
  load:stop()
  assert.equal(new.id, c:wait_leader().id, "who came back became leader")
  assert.equal(term, new:status().term, "who came back had another one elected")

  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
