-- Every node is stopped and started again, one after the other, the leader last, under load: nothing that was
-- acknowledged is lost, and nobody waits for an election, since a leader that stops hands over first. It would fail if
-- the hand-over did not work: then some client would wait for an election timeout, which is a second here at least.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local options <const> = { nodes = 3, timeout = "60s", config = { election_ms = "1000-2000" } }

kv.scenario("a rolling restart keeps the service up", options, function(c)
  kv.always("raft safety", check.raft(c))
  local first <const> = c:wait_leader()
  local followers <const> = c:others(first)
  local term <const> = first:status().term
  local load = c:load { clients = 8, keys = 16 }
  kv.sleep "500ms"

  for _, node in ipairs { followers[1], followers[2], first } do
    node:restart()
    c:wait_converged { within = "10s" }
  end
  kv.sleep "500ms"
  load:stop()

  check.availability(load.history, { max_gap = "900ms" })
  local new <const> = c:wait_leader()
  assert.not_equal(first.id, new.id)
  assert.equal(term + 1, new:status().term, "there was more than the one election of the hand-over")
  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
