-- Terms that no cluster reaches by itself: a message of one must not end it.

local cluster = require "spec.support.raft_cluster"

local JUMP_MAX <const> = 1 << 32

local function leader_after(c, ms)
  c.random = function(number) return number * 40 end
  c:run(ms)
  for number = 1, 3 do
    if c:state(number).role == "leader" then return number end
  end
end

describe("a message of a term far above the own one", function()
  it("is no message, of whatever type, and the cluster goes on", function()
    local c = cluster.new()
    local term = c:elect(1)
    for _, far in ipairs { math.maxinteger, math.maxinteger - 1, term + JUMP_MAX + 1, -1 } do
      for _, kind in ipairs { "vote", "vote_reply", "append", "append_reply", "timeout_now" } do
        local output = c:give { type = kind, from = 3, to = 2, term = far, transfer = true }
        assert.equal(0, #output.messages)
      end
      local output = c:give { type = "vote", from = 3, to = 2, term = far, pre = true }
      assert.equal(0, #output.messages)
    end
    assert.equal(term, c:state(2).term)
    assert.equal(1, leader_after(c, 2000))
    assert.equal(term, c:state(1).term)
  end)

  it("is taken up to the bound, and the cluster goes on from there", function()
    local c = cluster.new()
    local term = c:elect(1)
    c:give { type = "vote", from = 3, to = 2, term = term + JUMP_MAX, transfer = true }
    assert.equal(term + JUMP_MAX, c:state(2).term)
    c:deliver()
    assert.is_not_nil(leader_after(c, 5000))
  end)
end)

describe("a node without a state", function()
  it("joins a cluster that has had many elections", function()
    local c = cluster.new { hard_states = { { term = JUMP_MAX - 9, proven = true },
      { term = JUMP_MAX - 9, proven = true }, { term = 0, proven = false } } }
    c:elect(1)
    c:heartbeat(1)
    assert.equal(c:state(1).term, c:state(3).term)
    assert.is_true(c:state(3).proven)
  end)
end)
