-- One disk is slow, wherever it is: nobody waits for it, not even when it is the leader's, since two others are a
-- majority. Two are slow: writes wait, reads do not, and nobody is taken for dead because of that.
-- It would fail if a leader waited for its own disk, or for all, if reads waited for disks, or if heartbeats did.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local SLOW <const> = "600ms"
local QUICK_MS <const> = 250

-- How long so many operations take, one after the other, the one in the middle of them.
local function median(count, f)
  local times = {}
  for i = 1, count do
    local began <const> = kv.now()
    assert.equal("ok", f(i).outcome)
    times[i] = kv.now() - began
  end
  table.sort(times)
  return times[(count + 1) // 2]
end

kv.scenario("a slow disk slows nobody down, two do not unseat the leader", {
  nodes = 3, timeout = "90s", needs = { "disk.slow" },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local leader <const> = c:wait_leader()
  local term <const> = leader:status().term
  local follower <const> = c:followers()[1]
  local client = c:client { timeout = "20s" }
  local function put(i) return client:put("k", ("%s %d"):format(kv.now(), i)) end
  local function get() return client:get "k" end

  for _, node in ipairs { follower, leader } do
    node.disk:slow(SLOW)
    local ms <const> = median(21, put)
    kv.mark(("one disk is slow: a put takes %.0f ms"):format(ms))
    assert.is_true(ms < QUICK_MS, "a put waits for the one slow disk")
    node.disk:restore()
    c:wait_converged()
  end

  follower.disk:slow(SLOW)
  leader.disk:slow(SLOW)
  local puts <const>, gets <const> = median(7, put), median(21, get)
  kv.mark(("two disks are slow: a put takes %.0f ms, a get %.0f ms"):format(puts, gets))
  assert.is_true(gets < QUICK_MS, "a get waits for disks")
  assert.is_true(puts > gets)
  assert.equal(term, leader:status().term, "slow disks had a leader unseated")

  follower.disk:restore()
  leader.disk:restore()
  c:wait_converged()
  check.linearizable(c.history)
  check.no_acked_write_lost(c.history)
  check.same_state(c)
end)
