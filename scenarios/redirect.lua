-- A client that asks the wrong node is told who leads, and a node that knows of no leader says so instead of sending it
-- in circles. It would fail if a follower took a write itself, sent the client to a node that does not lead, or sent it
-- anywhere while there is no leader.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local function way(answer)
  local steps = {}
  for i, attempt in ipairs(answer.attempts) do steps[i] = attempt.node .. " " .. attempt.answer end
  return table.concat(steps, ", ")
end

kv.scenario("a follower sends writers to the leader", { nodes = 3, timeout = "60s" }, function(c)
  kv.always("raft safety", check.raft(c))
  local leader <const> = c:wait_leader()
  local follower <const>, other <const> = table.unpack(c:followers())
  local client = c:client { via = follower }
  local patient = c:client { via = other }

  kv.mark "a write is sent on to the leader, a read is not"
  assert.equal(("%s not_leader, %s ok"):format(follower, leader), way(client:put("k", "first")))
  assert.equal(follower.id .. " ok", way(client:get "k"))
  if c:can "http" then
    local answer <const> = follower:http("PUT", "/kv/k?here=1", { body = '{"value":"second"}' })
    assert.equal(307, answer.status)
    assert.matches("^http://.*/kv/k%?here=1$", answer.headers.location)
  end

  kv.mark "who hears of no leader sends nobody anywhere"
  c.net:isolate(follower)
  kv.eventually(follower.id .. " knows of no leader", "5s", function()
    return follower:status().leader_hint.leader_id == ""
  end)
  local lonely = c:client { via = follower, retry = "none" }
  local answer <const> = lonely:put("k", "nowhere")
  assert.equal("no_leader", answer.err_code)
  assert.equal("fail", answer.outcome)
  c.net:heal()
  c:wait_converged()

  kv.mark "a hint may be out of date: the client finds the next leader"
  local old <const> = c:wait_leader()
  old:kill()
  local told <const> = old == other and client or patient
  local last <const> = told:put("k", "last")
  assert.equal("ok", last.outcome)
  assert.not_equal(old.id, last.node)
  old:start()
  c:wait_converged()

  check.linearizable(c.history)
  check.same_state(c)
end)
