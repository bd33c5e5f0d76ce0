-- A leader dies in the middle of its work, and its power with it: another one takes over within three seconds, and
-- every write that was acknowledged is there, once. It would fail if a leader acknowledged what a majority does not
-- have on disk, or if a request that is asked again at the next leader were done twice.
--
--     kvserver --script scenarios/failover.lua [--world sim|inproc|child]
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

kv.scenario("failover keeps every acknowledged write", { nodes = 3, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local old = c:wait_leader { within = "3s" }
  local load = c:load { clients = 8, keys = 16, mix = { put = 5, get = 3, cas = 2 }, retry = "same_seq" }

  kv.sleep "1s"
  old:kill { lose_unsynced = true }
  local new = c:wait_leader { among = c:others(old), within = "3s" }
  assert.is_true(new:status().term > old.last_status.term)

  old:start()
  c:wait_converged { within = "10s" }
  load:stop()

  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
