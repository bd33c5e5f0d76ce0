-- Linearizable reads without the log (thesis 6.4): the read index of a leader.

local cluster = require "spec.support.raft_cluster"

local function confirmed(c) return c:state(1).confirmed_round end

describe("a read index", function()
  it("is not given before an entry of the leader's own term is committed", function()
    local c = cluster.new { logs = { { 1 }, { 1 }, { 1 } } }
    c:take_office(1)
    assert.is_false(c:step(1, { type = "read" }).accepted)
    c:deliver()
    local output = c:step(1, { type = "read" })
    assert.is_true(output.accepted)
    assert.equal(2, output.read_index)
  end)

  it("is not given by a node that does not lead", function()
    local c = cluster.new()
    c:elect(1)
    assert.is_false(c:step(2, { type = "read" }).accepted)
  end)

  it("is the commit index of the moment, confirmed when a quorum answers", function()
    local c = cluster.new { nodes = 5 }
    c:elect(1)
    local output = c:read(1)
    assert.equal(1, output.read_index)
    assert.is_true(output.read_round > confirmed(c))
    c:deliver { to = 2 }
    c:deliver { from = 2 }
    assert.is_true(output.read_round > confirmed(c))
    c:deliver { to = 3 }
    c:deliver { from = 3 }
    assert.equal(output.read_round, confirmed(c))
  end)

  it("is confirmed at once in a cluster of one", function()
    local c = cluster.new { nodes = 1 }
    c:timeout(1)
    local output = c:step(1, { type = "read" })
    assert.is_true(output.accepted)
    assert.equal(output.read_round, output.confirmed_round)
  end)

  it("is confirmed only by what was sent after the read came", function()
    local c = cluster.new()
    c:elect(1)
    c:timeout(1)
    local early = c:take { type = "append" } -- a heartbeat from before the read
    local round = c:read(1).read_round
    c:take()
    for _, message in ipairs(early) do c:give(message) end
    c:deliver { type = "append_reply" }
    assert.is_true(confirmed(c) < round)
    c:heartbeat(1)
    assert.equal(round, confirmed(c))
  end)

  it("is not confirmed by late or doubled answers to earlier reads", function()
    local c = cluster.new()
    c:elect(1)
    local first = c:read(1).read_round
    c:deliver { type = "append" }
    local answers = c:take { type = "append_reply" }
    for _, answer in ipairs(answers) do c:give(answer) end
    assert.equal(first, confirmed(c))
    local second = c:read(1).read_round
    c:take()
    for _, answer in ipairs(answers) do
      c:give(answer)
      c:give(answer)
    end
    assert.is_true(second > confirmed(c))
  end)

  it("is not confirmed by an answer to a round that was never asked", function()
    local c = cluster.new()
    c:elect(1)
    c:read(1)
    c:take()
    local before = confirmed(c)
    c:give { type = "append_reply", from = 2, to = 1, term = 1, success = true, match_index = 1, round = 99 }
    assert.equal(before, confirmed(c))
  end)

  it("is not confirmed by answers of another term", function()
    local c = cluster.new()
    c:elect(1)
    local round = c:read(1).read_round
    c:deliver { type = "append" }
    local answers = c:take { type = "append_reply" }
    c:elect(2)
    c:elect(1)
    c:step(1, { type = "read" })
    for _, answer in ipairs(answers) do c:give(answer) end
    assert.is_true(confirmed(c) < round)
  end)

  it("is confirmed by a follower whose log does not match yet: it follows all the same", function()
    local c = cluster.new { logs = { { 1, 1 }, {}, { 1, 1 } } }
    c:isolate(2)
    c:elect(1)
    c:heal()
    c:isolate(3)
    local round = c:read(1).read_round
    c:deliver_one { to = 2 }
    assert.is_false(c.network[1].success)
    c:deliver_one { from = 2 }
    assert.equal(round, confirmed(c))
  end)

  it("is asked for anew when its round was lost", function()
    local c = cluster.new()
    c:elect(1)
    local round = c:read(1).read_round
    c:drop()
    c:heartbeat(1)
    assert.equal(round, confirmed(c))
  end)

  it("travels with the entries of the same turn", function()
    local c = cluster.new()
    c:elect(1)
    c:step(1, { type = "propose" })
    c:step(1, { type = "read" })
    assert.equal(2, #c:flush(1).messages)
  end)

  it("stays unconfirmed at a leader that was cut off while another one took over", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(1)
    c:elect(2)
    c:propose(2)
    c:deliver()
    c:heal()
    local output = c:read(1) -- it has slept: it still believes that it leads
    assert.is_true(output.accepted)
    c:deliver()
    assert.is_true(confirmed(c) < output.read_round)
    assert.equal("follower", c:state(1).role)
  end)
end)

describe("what the leader's answer to a read tells", function()
  local c

  before_each(function()
    c = cluster.new()
    c:elect(1)
    c:propose(1)
    c:deliver() -- the followers hold entry 2 but do not know that it is committed
    assert.equal(1, c:state(2).commit_index)
  end)

  it("is a commit index that the follower may use at once", function()
    c:step(2, { type = "learn", term = 1, index = 2 })
    assert.equal(2, c:state(2).commit_index)
  end)

  it("is used only as far as the log is known to be the leader's", function()
    c:step(2, { type = "learn", term = 1, index = 7 })
    assert.equal(2, c:state(2).commit_index)
  end)

  it("is not used in another term", function()
    c:give { type = "append", from = 3, to = 2, term = 2, prev_index = 9, prev_term = 2 }
    c:step(2, { type = "learn", term = 1, index = 2 })
    c:step(2, { type = "learn", term = 2, index = 2 })
    assert.equal(1, c:state(2).commit_index)
  end)
end)
