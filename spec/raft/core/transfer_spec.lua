-- Leadership transfer (thesis 3.10).

local cluster = require "spec.support.raft_cluster"

local function wait_for_the_end(c)
  for _ = 1, 20 do
    if not c:state(1).transfer_to then return end
    c:timeout(1)
    c:deliver()
  end
  error("the transfer does not end", 2)
end

describe("a leadership transfer", function()
  local c

  before_each(function()
    c = cluster.new()
    c:elect(1)
  end)

  it("makes the target leader at once, without a pre-vote and though the old leader is alive", function()
    assert.is_true(c:transfer(1, 2).accepted)
    local from = #c.trace
    c:deliver()
    assert.equal("leader", c:state(2).role)
    assert.equal(2, c:state(2).term)
    assert.equal("follower", c:state(1).role)
    assert.is_nil(table.concat(c.trace, "\n", from):find("pre_vote", 1, true))
  end)

  it("brings the target up to date first", function()
    c:isolate(2)
    c:propose(1, 5)
    c:deliver()
    c:heal()
    c:transfer(1, 2)
    assert.equal(0, #c:take { type = "timeout_now" })
    c:heartbeat(1)
    c:deliver()
    assert.equal("leader", c:state(2).role)
    assert.same({ 1, 1, 1, 1, 1, 1, 2 }, c:log(2))
  end)

  it("stops proposals while it lasts, and not the reads", function()
    c:isolate(2)
    c:transfer(1, 2)
    assert.is_false(c:propose(1).accepted)
    assert.is_true(c:read(1).accepted)
  end)

  it("is given up after an election timeout when the target does not answer", function()
    c:isolate(2)
    c:transfer(1, 2)
    local begun = c.now
    wait_for_the_end(c)
    assert.equal(300, c.now - begun)
    assert.equal("leader", c:state(1).role)
    assert.is_true(c:propose(1).accepted)
  end)

  it("is given up when the word to campaign is lost, and may be tried again", function()
    c:transfer(1, 2)
    c:drop { type = "timeout_now" }
    wait_for_the_end(c)
    assert.is_true(c:transfer(1, 2).accepted)
    c:deliver()
    assert.equal("leader", c:state(2).role)
  end)

  it("is refused by a node that does not lead, to itself, and while another one lasts", function()
    assert.is_false(c:transfer(2, 3).accepted)
    assert.is_false(c:transfer(1, 1).accepted)
    assert.is_true(c:transfer(1, 2).accepted)
    assert.is_false(c:transfer(1, 3).accepted)
  end)

  it("is over when the leader steps down for another reason", function()
    c:transfer(1, 2)
    c:take()
    c:give { type = "append_reply", from = 3, to = 1, term = 5 }
    assert.is_nil(c:state(1).transfer_to)
    c:elect(1)
    assert.is_true(c:propose(1).accepted)
  end)

  it("sends the word to campaign once", function()
    c:transfer(1, 2)
    c:timeout(1)
    c:deliver { type = "append" }
    c:deliver { type = "append_reply" }
    assert.equal(1, #c:take { type = "timeout_now" })
  end)

  it("is not begun by anybody but the leader of the term", function()
    c:give { type = "timeout_now", from = 3, to = 2, term = 1 }
    assert.equal("follower", c:state(2).role)
    c:give { type = "timeout_now", from = 3, to = 2, term = 5 }
    assert.not_equal("candidate", c:state(2).role)
  end)

  it("that failed leaves an old word behind, which does nothing in a later term", function()
    c:transfer(1, 2)
    local word = c:take({ type = "timeout_now" })[1]
    c:elect(3)
    c:give(word)
    assert.equal("follower", c:state(2).role)
    assert.equal(2, c:state(2).term)
  end)

  it("that was given up leaves a word behind, which does nothing when it comes late", function()
    c:transfer(1, 2)
    local word = c:take({ type = "timeout_now" })[1]
    c:isolate(2)
    wait_for_the_end(c) -- whatever was sent to 2 since is behind that word
    c:give(word)
    assert.equal("follower", c:state(2).role)
    assert.equal(1, c:state(2).term)
  end)

  it("does not make a target campaign whose state was lost", function()
    c:crash(2)
    c:restart(2, true)
    c:give { type = "append", from = 1, to = 2, term = 1, terms = { 1 } }
    c:give { type = "timeout_now", from = 1, to = 2, term = 1 }
    assert.equal("follower", c:state(2).role)
  end)
end)
