-- How a leader brings followers up to date: conflicts, the pipeline, lost messages (thesis 3.5, 10.2.1).

local cluster = require "spec.support.raft_cluster"

local function refusals(c)
  local count = 0
  for _, line in ipairs(c.trace) do
    if line:find("append_reply", 1, true) and line:find("refused", 1, true) and line:find("arrives", 1, true) then
      count = count + 1
    end
  end
  return count
end

local function peer(c, number) return c:state(1).peers[number] end

describe("a leader", function()
  -- Figure 3.6 of the thesis (figure 7 of the paper), with the leader of term 8 at the top.
  it("goes back and makes every follower's log its own [TestRaft_M3_LeaderBacktracksNextIndexAndRepairsFollower]",
    function()
      local c = cluster.new { nodes = 7, message_bytes_max = 2, logs = {
        { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6 },
        { 1, 1, 1, 4, 4, 5, 5, 6, 6 },
        { 1, 1, 1, 4 },
        { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6 },
        { 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7 },
        { 1, 1, 1, 4, 4, 4, 4 },
        { 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3 },
      }, hard_states = { { term = 7, proven = true } } }
      c:crash(5) -- its log is the longest: it would not vote
      assert.equal(8, c:elect(1))
      c:restart(5)
      c:heartbeat(1)
      c:heartbeat(1)
      c:run(300)
      for number = 2, 7 do
        assert.same({ 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8 }, c:log(number))
        assert.equal(11, c:state(number).commit_index)
      end
    end)

  it("needs one round trip per term in conflict, not per entry", function()
    local mine, theirs = { 1 }, { 1 }
    for _ = 1, 50 do table.insert(mine, 5) end
    for term = 2, 4 do
      for _ = 1, 40 do table.insert(theirs, term) end
    end
    local c = cluster.new { logs = { mine, theirs, mine } }
    c:elect(1)
    c:deliver()
    assert.same(c:log(1), c:log(2))
    assert.is_true(refusals(c) <= 3, c:text())
  end)

  it("skips in one round trip a term that only the follower has", function()
    local theirs = { 1 }
    for _ = 1, 100 do table.insert(theirs, 2) end
    local c = cluster.new { logs = { { 1, 3, 3 }, theirs, { 1, 3, 3 } } }
    c:elect(1)
    assert.same({ 1, 3, 3, 4 }, c:log(2))
    assert.equal(1, refusals(c))
  end)

  it("finds the end of a short log in one round trip", function()
    local mine = {}
    for _ = 1, 100 do table.insert(mine, 1) end
    local c = cluster.new { logs = { mine, {}, mine }, message_bytes_max = 1000 }
    c:elect(1)
    assert.same(c:log(1), c:log(2))
    assert.equal(1, refusals(c))
  end)

  it("believes no refusal twice, nor one from before the repair", function()
    local c = cluster.new { logs = { { 1, 1, 1 }, { 1 }, { 1, 1, 1 } } }
    c:take_office(1)
    c:deliver_one { to = 2 }
    local refusal = c:take({ from = 2 })[1]
    c:give(refusal)
    local next_index = peer(c, 2).next_index
    c:give(refusal)
    assert.equal(next_index, peer(c, 2).next_index)
    c:deliver()
    assert.equal(4, peer(c, 2).match_index)
    c:give(refusal)
    assert.equal("replicate", peer(c, 2).state)
    assert.equal(5, peer(c, 2).next_index)
  end)

  describe("with a pipeline", function()
    local c

    before_each(function()
      c = cluster.new { inflight_max = 3, message_bytes_max = 2 }
      c:elect(1)
      c:isolate(3)
    end)

    it("sends on without waiting for acknowledgements", function()
      c:propose(1)
      c:propose(1)
      assert.equal(2, #c:take { to = 2, type = "append" })
      assert.equal(2, peer(c, 2).inflight)
    end)

    it("puts as many entries into a message as its bytes allow", function()
      c:propose(1, 5)
      local sizes = {}
      for _, message in ipairs(c:take { to = 2 }) do table.insert(sizes, #message.terms) end
      assert.same({ 2, 2, 1 }, sizes)
    end)

    it("stops when the window is full, and goes on with an acknowledgement", function()
      c:propose(1, 20)
      assert.equal(3, peer(c, 2).inflight)
      c:flush(1)
      assert.equal(3, #c.network)
      c:deliver_one { to = 2 }
      c:deliver_one { from = 2 }
      assert.equal(3, peer(c, 2).inflight)
      c:deliver()
      assert.same(c:log(1), c:log(2))
    end)

    it("has nothing in flight when everything is quiet", function()
      c:propose(1, 20)
      c:deliver()
      assert.equal(0, peer(c, 2).inflight)
    end)

    it("sends heartbeats though the window is full", function()
      c:propose(1, 20)
      c:drop { to = 2 }
      c:timeout(1)
      assert.equal(1, #c:take { to = 2 })
    end)

    it("makes up for a lost message when the next one is refused", function()
      c:propose(1)
      c:drop { to = 2 }
      c:propose(1)
      c:deliver()
      assert.same(c:log(1), c:log(2))
      assert.equal(3, c:state(1).commit_index)
    end)

    it("makes up for the loss of everything in the window with the next heartbeat", function()
      c:propose(1, 20)
      c:drop { to = 2 }
      c:heartbeat(1)
      assert.same(c:log(1), c:log(2))
      assert.equal(0, peer(c, 2).inflight)
    end)

    it("makes up for a lost acknowledgement with the next one", function()
      c:propose(1)
      c:deliver { to = 2 }
      c:drop { from = 2 }
      c:propose(1)
      c:deliver()
      assert.equal(3, c:state(1).commit_index)
      assert.equal(0, peer(c, 2).inflight)
    end)

    it("makes up for a lost last acknowledgement with the next heartbeat", function()
      c:propose(1)
      c:deliver { to = 2 }
      c:drop { from = 2 }
      c:heartbeat(1)
      assert.equal(2, c:state(1).commit_index)
    end)

    it("survives messages that overtake each other", function()
      c:propose(1)
      c:propose(1)
      c:propose(1)
      local messages = c:take { to = 2 }
      for place = #messages, 1, -1 do c:give(messages[place]) end
      c:deliver()
      assert.same(c:log(1), c:log(2))
      assert.equal(4, c:state(1).commit_index)
    end)

    it("starts from what is acknowledged when the link broke", function()
      c:propose(1, 6)
      c:drop { to = 2 }
      c:step(1, { type = "peer_down", peer = 2 })
      assert.equal(0, peer(c, 2).inflight)
      assert.equal("probe", peer(c, 2).state)
      c:flush(1)
      c:deliver()
      assert.same(c:log(1), c:log(2))
    end)

    it("sends one message at a time to a peer whose link broke", function()
      c:step(1, { type = "peer_down", peer = 2 })
      c:propose(1, 20)
      c:propose(1)
      assert.equal(1, #c:take { to = 2 })
    end)
  end)

  it("lets an entry travel that is larger than a message should be", function()
    local c = cluster.new { message_bytes_max = 10, entry_bytes = 100 }
    c:elect(1)
    c:propose(1, 3)
    c:deliver()
    assert.same({ 1, 1, 1, 1 }, c:log(2))
  end)

  it("leaves no peer without a heartbeat for the backlog of others", function()
    local c = cluster.new { nodes = 16, inflight_max = 64, message_bytes_max = 1 }
    c:elect(1)
    c:propose(1, 100)
    local reached = {}
    for _, message in ipairs(c:take { type = "append" }) do reached[message.to] = true end
    for number = 2, 16 do assert.is_true(reached[number]) end
  end)
end)
