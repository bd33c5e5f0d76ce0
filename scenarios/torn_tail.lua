-- The power goes in the midst of a write, and a part of it is on the disk: the start finds a batch that is torn, cuts
-- it off, and goes on from what was there before. It would fail if a node took the torn batch for a whole one, refused
-- to start because of it, or cut off more.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local TRIES_MAX <const> = 20

-- Once the third hears nothing, and a write was acknowledged since, all that is acknowledged is on the disks of these
-- two. Returns whether the node had more in its log than it finds behind a power cut in the midst of a write.
local function tear(c, leader, node)
  local third <const> = c:others(leader, node)[1]
  c.net:isolate(third)
  assert.equal("ok", c:client():put("before", node.id).outcome)
  node.disk:slow "500ms"
  node.disk:torn_next()
  local before <const> = node:status().last_index
  kv.eventually(node.id .. " has something to write", "10s", function() return node:status().last_index > before end)
  local acknowledged <const> = leader:status().commit_index
  node:kill { lose_unsynced = true }
  node.disk:restore()
  c.net:partition { { leader }, { node }, { third } } -- nobody tells it what it lost
  node:start()
  local found <const> = node:status().last_index
  assert.is_true(found >= acknowledged, ("it has entries up to %d, of %d acknowledged"):format(found, acknowledged))
  c.net:heal()
  c:wait_converged { within = "10s" }
  return found < node.last_status.last_index
end

kv.scenario("a torn write is cut off at the next start", {
  nodes = 3, timeout = "120s", needs = { "lose_unsynced", "disk.torn_next", "disk.slow", "net.cut" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local load = c:load { clients = 8, keys = 16, think = "20ms" }
  local torn, tries = 0, 0
  while torn < 3 and tries < TRIES_MAX do
    local leader <const> = c:wait_leader()
    torn = torn + (tear(c, leader, c:followers()[1]) and 1 or 0)
    tries = tries + 1
  end
  assert.equal(3, torn, "hardly any power cut hit a write")
  load:stop()

  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end)
