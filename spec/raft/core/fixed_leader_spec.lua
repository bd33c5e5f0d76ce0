-- A fixed leader: no elections, entries from one node only.

local cluster = require "spec.support.raft_cluster"

describe("with a fixed leader", function()
  local c

  before_each(function()
    c = cluster.new { fixed_leader = 1, proven = false }
  end)

  it("that node leads from its first timeout on, in a new term", function()
    c:timeout(1)
    c:deliver()
    assert.equal("leader", c:state(1).role)
    assert.equal(1, c:state(1).term)
    c:propose(1, 2)
    c:deliver()
    assert.equal(3, c:state(1).commit_index)
    assert.same(c:log(1), c:log(3))
  end)

  it("the new term is on disk before anybody hears of it", function()
    c:slow_disk(1)
    c:timeout(1)
    assert.equal(0, #c.network)
    c:sync(1)
    assert.equal(2, #c.network)
  end)

  it("a restart begins a new term", function()
    c:timeout(1)
    c:deliver()
    c:crash(1)
    c:take()
    c:restart(1)
    c:timeout(1)
    c:deliver()
    assert.equal(2, c:state(1).term)
    assert.same({ 1, 2 }, c:log(2))
  end)

  it("the others never campaign, however long they hear nothing", function()
    c:timeout(1)
    c:deliver()
    c:crash(1)
    c:timeout(2, 100000)
    assert.equal("follower", c:state(2).role)
    assert.equal(0, #c.network)
    assert.equal(1, c:state(2).leader)
  end)

  it("the others are never woken for an election", function()
    assert.equal(-1, c.nodes[2].deadline) -- the largest time there is
  end)

  it("the others take entries from nobody else, and vote for nobody", function()
    c:timeout(1)
    c:deliver()
    c:give { type = "append", from = 3, to = 2, term = 9, prev_index = 1, prev_term = 1, terms = { 9 } }
    c:give { type = "vote", from = 3, to = 2, term = 9, last_index = 9, last_term = 9 }
    c:give { type = "vote", from = 3, to = 2, term = 9, last_index = 9, last_term = 9, pre = true }
    assert.same({ 1 }, c:log(2))
    assert.equal(1, c:state(2).term)
    assert.equal(0, #c.network)
  end)

  it("it does not step down when its quorum is gone, and commits nothing alone", function()
    c:timeout(1)
    c:deliver()
    c:isolate(1)
    c:propose(1)
    for _ = 1, 20 do c:timeout(1) end
    assert.equal("leader", c:state(1).role)
    assert.equal(1, c:state(1).commit_index)
  end)

  it("it goes on in a higher term when a follower knows of one", function()
    c:give { type = "append", from = 1, to = 2, term = 7 }
    c:take()
    c:timeout(1)
    c:deliver()
    assert.equal("follower", c:state(1).role)
    c:timeout(1)
    c:deliver()
    assert.equal("leader", c:state(1).role)
    assert.equal(8, c:state(1).term)
    assert.same(c:log(1), c:log(2))
  end)

  it("it hands leadership to nobody", function()
    c:timeout(1)
    c:deliver()
    assert.is_false(c:transfer(1, 2).accepted)
  end)
end)
