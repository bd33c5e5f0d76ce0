-- What must be on disk before what may be said (thesis 3.8; 10.2.1 for what need not wait).

local cluster = require "spec.support.raft_cluster"

local function count(c, filter)
  local found = 0
  for _, message in ipairs(c.network) do
    local fits = true
    for field, value in pairs(filter) do fits = fits and message[field] == value end
    if fits then found = found + 1 end
  end
  return found
end

-- The last acknowledgement under way from a node.
local function reply_of(c, number, kind)
  local replies = c:take { from = number, type = kind }
  return replies[#replies]
end

describe("durable first", function()
  it("lets a vote request leave only when term and own vote are on disk", function()
    local c = cluster.new()
    c:slow_disk(1)
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    assert.equal("candidate", c:state(1).role)
    assert.equal(0, count(c, { type = "vote" }))
    c:sync(1)
    assert.equal(2, count(c, { type = "vote" }))
  end)

  it("asks and answers pre-votes while the disks still write", function()
    local c = cluster.new()
    for number = 1, 3 do c:slow_disk(number) end
    c:give { type = "vote", from = 3, to = 1, term = 4 }
    c:give { type = "vote", from = 3, to = 2, term = 4 }
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    assert.equal("candidate", c:state(1).role)
  end)

  it("lets a granted vote leave only when it is on the voter's disk", function()
    local c = cluster.new()
    c:isolate(3)
    c:slow_disk(2)
    c:take_office(1)
    c:deliver()
    assert.equal("candidate", c:state(1).role)
    c:sync(2)
    c:deliver()
    assert.equal("leader", c:state(1).role)
  end)

  it("lets a vote leave only when every entry appended before it is on disk", function()
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(2)
    c:propose(1)
    c:deliver { to = 2 }
    c:give { type = "vote", from = 3, to = 2, term = 2, last_index = 2, last_term = 1, transfer = true }
    c:sync(2)
    assert.equal(0, count(c, { type = "vote_reply" }))
    c:sync(2)
    assert.is_true(reply_of(c, 2, "vote_reply").granted)
  end)

  it("compares a candidate's log with entries that are not on disk yet", function() -- they may still be acknowledged
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(2)
    c:propose(1)
    c:deliver { to = 2 }
    c:give { type = "vote", from = 3, to = 2, term = 2, last_index = 1, last_term = 1, transfer = true }
    c:fast_disk(2)
    assert.is_false(reply_of(c, 2, "vote_reply").granted)
  end)

  it("asks for votes with a log that is wholly on disk", function()
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(2)
    c:propose(1)
    c:deliver { to = 2 }
    c:crash(1)
    c:take()
    c:advance(1000)
    c:timeout(2, 0)
    c:deliver { pre = true }
    c:sync(2)
    assert.equal(0, count(c, { type = "vote" }))
    c:sync(2)
    assert.equal(2, count(c, { type = "vote", last_index = 2 }))
  end)

  it("forgets a vote that a crash kept from the disk, and nobody has heard of it", function()
    local c = cluster.new()
    c:slow_disk(2)
    c:give { type = "vote", from = 3, to = 2, term = 2 }
    c:crash(2)
    assert.equal(0, count(c, { type = "vote_reply" }))
    c:restart(2)
    c:fast_disk(2)
    c:give { type = "vote", from = 1, to = 2, term = 2 }
    assert.is_true(reply_of(c, 2, "vote_reply").granted)
  end)

  it("remembers a vote over a restart, and repeats it for the same candidate only", function()
    local c = cluster.new()
    c:give { type = "vote", from = 3, to = 2, term = 2 }
    c:take()
    c:crash(2)
    c:restart(2)
    c:give { type = "vote", from = 1, to = 2, term = 2 }
    assert.is_false(reply_of(c, 2, "vote_reply").granted)
    c:give { type = "vote", from = 3, to = 2, term = 2 }
    assert.is_true(reply_of(c, 2, "vote_reply").granted)
  end)

  it("writes term and vote as one record, in which a higher term clears the vote", function()
    local c = cluster.new()
    local output = c:give { type = "vote", from = 3, to = 2, term = 2 }
    assert.same({ term = 2, voted_for = 3, proven = true }, output.hard_state)
    output = c:give { type = "append", from = 1, to = 2, term = 3 }
    assert.same({ term = 3, proven = true }, output.hard_state)
  end)

  it("acknowledges entries only when they are on disk", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(3)
    c:slow_disk(2)
    c:propose(1)
    c:deliver()
    assert.equal(1, c:state(1).commit_index)
    c:sync(2)
    c:deliver()
    assert.equal(2, c:state(1).commit_index)
  end)

  it("claims in a heartbeat's acknowledgement only what is on disk, and does not wait to send it", function()
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(2)
    c:propose(1)
    c:deliver { to = 2 }
    c:give { type = "append", from = 1, to = 2, term = 1, prev_index = 2, prev_term = 1 }
    local reply = reply_of(c, 2, "append_reply")
    assert.is_true(reply.success)
    assert.equal(1, reply.match_index)
  end)

  it("does not acknowledge a duplicate of entries that are not on disk yet", function()
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(2)
    c:propose(1)
    local message = c:take({ to = 2 })[1]
    c:give(message)
    c:give(message)
    assert.equal(1, reply_of(c, 2, "append_reply").match_index)
  end)

  it("sends entries while the leader's own disk still writes them", function() -- thesis 10.2.1
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(1)
    c:propose(1)
    assert.equal(2, count(c, { type = "append" }))
  end)

  it("counts the leader's own match only when its disk has said so", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(3)
    c:slow_disk(1)
    c:propose(1)
    c:deliver()
    assert.equal(1, c:state(1).commit_index)
    c:sync(1)
    assert.equal(2, c:state(1).commit_index)
  end)

  it("commits without the leader's own disk when a quorum of the others has the entry", function()
    local c = cluster.new()
    c:elect(1)
    c:slow_disk(1)
    c:propose(1)
    c:deliver()
    assert.equal(2, c:state(1).commit_index)
    assert.equal(1, c:state(1).durable_index)
  end)

  it("tells an old leader of a new term only when that term is on disk", function()
    local c = cluster.new()
    c:elect(1)
    c:advance(1000)
    c:slow_disk(2)
    c:give { type = "vote", from = 3, to = 2, term = 7, last_index = 1, last_term = 1 }
    c:give { type = "append", from = 1, to = 2, term = 1, prev_index = 1, prev_term = 1 }
    assert.equal(0, count(c, { type = "append_reply" }))
    c:sync(2)
    assert.equal(7, reply_of(c, 2, "append_reply").term)
  end)

  describe("when entries are cut while the disk still writes them", function()
    local c

    before_each(function()
      c = cluster.new { nodes = 3, logs = { {}, { 1 }, {} } }
      c:slow_disk(2)
      c:give { type = "append", from = 1, to = 2, term = 1, prev_index = 1, prev_term = 1, terms = { 1, 1 } }
      c:give { type = "append", from = 3, to = 2, term = 2, prev_index = 1, prev_term = 1, terms = { 2, 2 } }
    end)

    it("does not take the old write's completion for the new entries", function()
      c:sync(2)
      assert.equal(1, c:state(2).durable_index)
      c:sync(2)
      assert.equal(3, c:state(2).durable_index)
    end)

    it("acknowledges only what was there before the cut until the new write is done", function()
      c:sync(2)
      c:take()
      c:give { type = "append", from = 3, to = 2, term = 2, prev_index = 3, prev_term = 2 }
      assert.equal(0, count(c, { from = 2 })) -- the term is not on disk either
      c:sync(2)
      local replies = c:take { from = 2, to = 3 }
      assert.equal(2, #replies)
      for _, reply in ipairs(replies) do assert.is_true(reply.match_index <= 3) end
    end)

    it("comes back with the old entries when it crashes in between", function()
      c:sync(2)
      c:crash(2)
      c:restart(2)
      assert.same({ 1, 1, 1 }, c:log(2))
      assert.equal(0, c:state(2).commit_index)
    end)

    it("forgets that the old entries were on disk", function()
      c:fast_disk(2)
      c:slow_disk(2)
      assert.equal(3, c:state(2).durable_index)
      c:give { type = "append", from = 1, to = 2, term = 3, prev_index = 1, prev_term = 1, terms = { 3, 3 } }
      assert.equal(1, c:state(2).durable_index)
      c:sync(2)
      assert.equal(3, c:state(2).durable_index)
    end)

    it("keeps the lower cut in mind when a second one follows", function()
      c:give { type = "append", from = 1, to = 2, term = 3, prev_index = 2, prev_term = 2, terms = { 3 } }
      c:sync(2)
      assert.equal(1, c:state(2).durable_index)
      c:sync(2)
      assert.equal(1, c:state(2).durable_index)
      c:sync(2)
      assert.equal(3, c:state(2).durable_index)
    end)
  end)
end)
