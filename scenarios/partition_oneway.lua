-- Cables that work in one direction only. A follower that hears nobody, but is heard, asks for votes for ever: nobody
-- may give it one while there is a leader that works. A leader that is heard, but hears nobody, cannot commit: it must
-- step down, or the others, which hear from it all the time, would never elect another.
-- The first fails without pre-votes, the second when a leader does not ask itself whether it still has a quorum.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local function deafen(c, node)
  for _, other in ipairs(c:others(node)) do c.net:oneway(other, node) end
end

local function check_all(c, load)
  check.linearizable(load.history)
  check.exactly_once(load.history)
  check.no_acked_write_lost(load.history)
  check.same_state(c)
end

kv.scenario("a deaf follower unseats nobody", { nodes = 3, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local leader <const> = c:wait_leader()
  local term <const> = leader:status().term
  local deaf <const> = c:followers()[1]
  local load = c:load { clients = 4, keys = 8, think = "20ms" }

  deafen(c, deaf)
  deaf:wait_role "candidate"
  kv.sleep "3s"
  assert.equal(term, leader:status().term, "a node that hears nobody had another leader elected")
  assert.equal("leader", leader:status().role)

  c.net:heal()
  c:wait_converged { within = "10s" }
  load:stop()
  assert.equal(term, leader:status().term, "a node that heard nobody had another leader elected when it came back")
  check.availability(load.history, { max_gap = "1s" })
  check_all(c, load)
end)

kv.scenario("a deaf leader gives way", { nodes = 3, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local deaf <const> = c:wait_leader()
  local load = c:load { clients = 4, keys = 8 }
  kv.sleep "500ms"

  deafen(c, deaf)
  local new <const> = c:wait_leader { among = c:others(deaf), within = "5s" }
  local answer <const> = c:client { via = new }:put("k", "heard")
  assert.equal("ok", answer.outcome)
  kv.sleep "1s"

  c.net:heal()
  c:wait_converged { within = "10s" }
  load:stop()
  check_all(c, load)
end)
