-- Everything at once, for a while: nodes are killed and lose power, are paused, are cut off from each other in all
-- ways, have full and slow disks. Whatever comes of it, nothing acknowledged is lost, done twice or read too late; and
-- when the faults are over, all nodes agree soon and the cluster works. Told with many seeds, or for a long time:
--
--     kvserver --script scenarios/chaos.lua --seeds 1..5000
--     kvserver --script scenarios/chaos.lua --world child --for 10m
--
-- It would fail if any promise were broken in any of that, or if there were no progress once it is over. Over many
-- seeds it must also see what it is there for: fifty of them in which no snapshot was installed are a failure, too.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"
local sight = require "kvserver.sight"

local options <const> = {
  nodes = 5, timeout = "3m", config = { snapshot_threshold = 60, segment_bytes = 16384 },
}

kv.scenario("whatever goes wrong, nothing is lost", options, function(c)
  local seen <const> = sight.watch(c)
  kv.always("raft safety", check.raft(c))
  kv.sometimes("a snapshot is installed", seen.snapshot_installed)
  kv.sometimes("a leader comes while a node needs a snapshot", seen.election_while_one_is_behind)
  kv.sometimes("a node gives up entries of its log", seen.log_truncated)
  kv.sometimes("two nodes lead, in different terms", seen.two_leaders)

  local load = c:load {
    clients = 5, keys = 8, think = "100ms", timeout = "2s", async = 0.2,
    mix = { put = 5, get = 4, cas = 2, delete = 1, mput = 1, mget = 1 },
  }
  local nemesis = c:nemesis {
    kill = { every = "3s", lasts = "2s" }, partition = { every = "2s", lasts = "2s" },
    pause = { every = "4s", lasts = "1s" }, disk = { every = "4s", lasts = "2s" },
  }
  kv.sleep(kv.duration "20s")
  nemesis:stop()

  kv.mark "the faults are over"
  c:calm { within = "20s" }
  assert.equal("ok", c:client { timeout = "5s" }:put("afterwards", "works").outcome)
  load:stop()

  local unknown <const>, retried <const> = load:stats().unknown, sight.retried(load.history)
  kv.sometimes("an outcome is unknown", function() return unknown > 0 end)
  kv.sometimes("a request is asked again", function() return retried end)
  local told <const> = sight.told(load.history)
  kv.sometimes("an asynchronous write is told to be done", function() return told.ok end)
  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
