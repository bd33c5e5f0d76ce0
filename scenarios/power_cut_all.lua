-- The power goes for all nodes at the same moment, again and again, each time in the midst of writing: what no sync
-- covered is lost everywhere. What was acknowledged is there all the same, since it was on the disks of a majority.
-- It would fail if anything was acknowledged, or voted, before its sync was done.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local ROUNDS <const> = 3

kv.scenario("what was acknowledged survives when the power goes for all", {
  nodes = 3, timeout = "90s", needs = { "lose_unsynced" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  if c:can "disk.slow" then -- so that there is always something that is not synced yet
    for _, node in ipairs(c:nodes()) do node.disk:slow "20ms" end
  end
  local mix <const> = { put = 5, get = 3, cas = 2, mput = 1 }
  local load = c:load { clients = 8, keys = 16, mix = mix, think = "5ms", timeout = "300ms" }
  for round = 1, ROUNDS do
    c:wait_leader()
    kv.sleep "300ms"
    for _, node in ipairs(c:nodes()) do node:kill { lose_unsynced = true } end
    kv.mark(("power cut %d: %d operations were answered until now"):format(round, load:stats().ok))
    for _, node in ipairs(c:nodes()) do node:start() end
  end
  c:wait_converged()
  load:stop()

  local unknown <const> = load:stats().unknown
  kv.sometimes("an outcome is unknown", function() return unknown > 0 end)
  check.no_acked_write_lost(load.history)
  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.same_state(c)
end)
