-- Words that come late: of a life of the peer that is over, or of a term in which the same node led before.

local cluster = require "spec.support.raft_cluster"

describe("a late answer of an earlier life, of which the leader has not heard before", function()
  -- All proven, entry 1 on all. 1 leads term 2 and has committed its first entry, 2, with 3. Entry 3 is on the disk of
  -- 2 only, whose answer is late: 2 loses its state and starts anew, and the leader hears of that life first.
  local function entry_of_the_dead()
    local c = cluster.new { message_bytes_max = 2, logs = { { 1 }, { 1 }, { 1 } } }
    c:take_office(1)
    c:take { to = 2 }
    c:deliver { to = 3 }
    c:deliver { from = 3 }
    assert.equal(2, c:state(1).commit_index)
    c:take()
    c:propose(1)
    c:timeout(1)
    c:take { to = 3 }
    c:deliver_one { to = 2, type = "append" }
    assert.same({ 1, 2, 2 }, c:log(2))
    local late = c:take { from = 2 }
    c:crash(2)
    c:restart(2, true)
    return c, late
  end

  it("commits nothing", function()
    local c, late = entry_of_the_dead()
    c:timeout(1)
    c:deliver_one { to = 2, type = "append" }
    c:deliver_one { from = 2 } -- the new life is heard of: a refusal
    c:take { to = 2 }
    c:deliver { to = 3 }
    c:deliver { from = 3 } -- a round that was begun since is confirmed by 1 and 3, ...
    c:take { to = 3 }
    c:deliver_one { to = 2 } -- ... so the new life is proven with entries 1 and 2
    c:take()
    assert.same({ 1, 2 }, c:log(2))
    assert.same({ 1, 2 }, c:log(3))
    assert.is_true(c:state(2).proven)
    for _, message in ipairs(late) do c:give(message) end
    assert.equal(2, c:state(1).commit_index)
    c:take()
    c:crash(1)
    c:elect(3)
    c:propose(3)
    c:deliver()
    assert.equal(4, c:state(3).commit_index)
  end)

  it("does not make the leader deaf to the living one", function()
    local c = cluster.new { fixed_leader = 1 }
    c:timeout(1, 0)
    c:crash(3)
    c:deliver { type = "append", to = 2 }
    local late = c:take { from = 2 }
    c:crash(2)
    c:restart(2)
    c:take()
    c:heartbeat(1)
    for _, message in ipairs(late) do c:give(message) end
    c:propose(1)
    c:deliver()
    c:heartbeat(1)
    assert.equal(c:state(1).last_index, c:state(1).commit_index)
    assert.equal(c.nodes[2].life, c:state(1).peers[2].life)
  end)
end)

describe("a leader", function()
  it("follows a peer from life to life, whatever comes late or twice in between", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(3)
    local words = {} -- of all lives so far
    for round = 1, 6 do
      c:crash(2)
      c:restart(2)
      c:timeout(1)
      for _ = 1, 3 do
        c:deliver { to = 2 }
        local answers = c:take { from = 2 }
        table.move(answers, 1, #answers, #words + 1, words)
        for _, message in ipairs(answers) do c:give(message) end
      end
      for step = 1, #words do c:give(words[(step * 5) % #words + 1]) end
      assert.equal(c.nodes[2].life, c:state(1).peers[2].life, round)
      c:take()
    end
    c:propose(1)
    c:deliver()
    assert.equal(2, c:state(1).commit_index)
  end)

  it("does not take the round of an earlier term of its own for one of this term", function()
    local c = cluster.new()
    c:elect(1)
    for _ = 1, 3 do c:read(1) end
    local asked = c:take { to = 2, round = 3 }
    c:take()
    c:timeout(1, 1000)
    assert.equal("follower", c:state(1).role)
    c:elect(1)
    assert.equal(2, c:state(1).commit_index)
    for _, message in ipairs(asked) do c:give(message) end -- 2 refuses what is of term 1, from term 2
    local late = c:take { from = 2 }
    assert.equal(1, #late)
    c:isolate(1)
    c:elect(2)
    c:propose(2)
    c:deliver()
    for _ = 1, 3 do c:read(1) end -- it has not noticed yet, and must not answer
    for _, message in ipairs(late) do c:give(message) end
    assert.equal("leader", c:state(1).role)
    assert.equal(0, c:state(1).confirmed_round)
  end)
end)
