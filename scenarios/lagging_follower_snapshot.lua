-- A follower is away so long that the others have dropped from their logs what it lacks: it gets a snapshot, and goes
-- on from there. What clients were answered travels in it as well: when that follower leads, a request that was done
-- before is not done again. It would fail if the snapshot left anything out, or if the log behind it did not fit.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local options <const> = {
  nodes = 3, timeout = "60s", needs = { "transfer" }, config = { snapshot_threshold = 100, segment_bytes = 16384 },
}

kv.scenario("a follower that was away too long gets a snapshot", options, function(c)
  kv.always("raft safety", check.raft(c))
  local leader <const> = c:wait_leader()
  local away <const> = c:followers()[1]
  away:kill()
  local had <const> = away.last_status.last_index

  local client = c:client()
  assert.equal("ok", client:put("once", "first").outcome)
  assert.equal("ok", c:client():put("once", "second").outcome)
  local load = c:load { clients = 8, keys = 16, think = "2ms" }
  kv.eventually("the log begins behind what " .. away.id .. " has", "30s", function()
    return leader:status().first_index > had + 1
  end)

  away:start()
  local snapshot <const> = away:wait_snapshot { after = had }
  assert.is_true(away:status().first_index > had + 1)
  c:wait_converged()
  load:stop()

  kv.mark(("%s, which has it from the snapshot of index %d, is asked the first request again"):format(away, snapshot))
  assert.is_true(leader:transfer(away))
  away:wait_role("leader", { within = "5s" })
  local again <const> = client:again()
  assert.equal("same", again.replay, "the snapshot did not tell what its client was answered")
  assert.equal(away.id, again.node)
  assert.equal("second", client:get("once").value)

  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
