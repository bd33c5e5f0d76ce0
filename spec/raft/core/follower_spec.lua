-- The follower's side of AppendEntries (thesis 3.5).

local cluster = require "spec.support.raft_cluster"

-- Node 2 of three with this log; what node 1 says as the leader of `term` is written by hand.
local function follower(log, term)
  local c = cluster.new { logs = { {}, log } }
  local function append(fields)
    local message = { type = "append", from = 1, to = 2, term = term }
    for field, value in pairs(fields) do message[field] = value end
    c:give(message)
    local replies = c:take { from = 2 }
    return replies[#replies]
  end
  return c, append
end

describe("a follower", function()
  it("refuses what follows an entry that it has not, and says where its log ends"
    .. " [TestRaft_M3_FollowerRejectsOnPrevMismatch]", function()
      local c, append = follower({ 1, 1 }, 2)
      local reply = append { prev_index = 5, prev_term = 2, terms = { 2 } }
      assert.is_false(reply.success)
      assert.equal(3, reply.conflict_index)
      assert.equal(0, reply.conflict_term)
      assert.same({ 1, 1 }, c:log(2))
    end)

  it("refuses what follows an entry of another term, and names the term and where it begins", function()
    local c, append = follower({ 1, 2, 2, 2 }, 4)
    local reply = append { prev_index = 4, prev_term = 3, terms = { 4 } }
    assert.is_false(reply.success)
    assert.equal(2, reply.conflict_term)
    assert.equal(2, reply.conflict_index)
    assert.equal(4, reply.prev_index)
    assert.same({ 1, 2, 2, 2 }, c:log(2))
  end)

  it("refuses a gap into an empty log", function()
    local c, append = follower({}, 1)
    assert.is_false(append { prev_index = 1, prev_term = 1, terms = { 1 }, commit_index = 2 }.success)
    assert.same({}, c:log(2))
    assert.equal(0, c:state(2).commit_index)
  end)

  it("takes entries from the beginning of the log", function()
    local c, append = follower({}, 1)
    assert.equal(2, append({ terms = { 1, 1 } }).match_index)
    assert.same({ 1, 1 }, c:log(2))
  end)

  it("replaces entries of another term, and everything behind them", function()
    local c, append = follower({ 1, 2, 2, 2 }, 3)
    assert.equal(2, append({ prev_index = 1, prev_term = 1, terms = { 3 } }).match_index)
    assert.same({ 1, 3 }, c:log(2))
  end)

  it("keeps what is equal and appends only the rest", function()
    local c, append = follower({ 1, 2, 2 }, 3)
    c:give { type = "append", from = 1, to = 2, term = 3, prev_index = 1, prev_term = 1, terms = { 2, 2, 3, 3 } }
    assert.same({ 1, 2, 2, 3, 3 }, c:log(2))
    assert.is_true(append({ prev_index = 5, prev_term = 3 }).success)
  end)

  it("cuts nothing for a late message that holds less than it has", function()
    local c, append = follower({ 1 }, 1)
    append { prev_index = 1, prev_term = 1, terms = { 1 } }
    append { prev_index = 2, prev_term = 1, terms = { 1, 1 } }
    local reply = append { prev_index = 1, prev_term = 1, terms = { 1 } }
    assert.is_true(reply.success)
    assert.same({ 1, 1, 1, 1 }, c:log(2))
  end)

  it("cuts nothing for a heartbeat", function()
    local c, append = follower({ 1, 2, 2 }, 3)
    append { prev_index = 1, prev_term = 1 }
    assert.same({ 1, 2, 2 }, c:log(2))
  end)

  it("ends with the same log in whatever order messages come, and however often", function()
    local parts = { { 0, 0, 1 }, { 1, 1, 1 }, { 2, 1, 2 }, { 3, 2, 2 } } -- prev index, prev term, the entry's term
    for round = 0, 4 ^ 5 - 1 do
      local c, append = follower({ 1, 1, 1 }, 2)
      local digits = round
      for _ = 1, 5 do
        local part = parts[digits % 4 + 1]
        digits = digits // 4
        append { prev_index = part[1], prev_term = part[2], terms = { part[3] } }
      end
      for _, part in ipairs(parts) do append { prev_index = part[1], prev_term = part[2], terms = { part[3] } } end
      assert.same({ 1, 1, 2, 2 }, c:log(2))
    end
  end)

  describe("whose entries are committed", function()
    local c, append

    before_each(function()
      c, append = follower({ 1, 1, 1, 1 }, 1)
      append { prev_index = 4, prev_term = 1, commit_index = 3 }
      assert.equal(3, c:state(2).commit_index)
    end)

    it("never cuts at or below the commit index, whatever a message says of them", function()
      append { prev_index = 0, terms = { 1, 1 } }
      append { term = 5, prev_index = 1, prev_term = 4, terms = { 4, 5 } }
      append { term = 5, prev_index = 2, prev_term = 5, terms = { 5 } }
      assert.same({ 1, 1, 1, 1 }, c:log(2))
      assert.equal(3, c:state(2).commit_index)
    end)

    it("still replaces the entry behind the commit index", function()
      append { term = 5, prev_index = 2, prev_term = 1, terms = { 1, 5 } }
      assert.same({ 1, 1, 1, 5 }, c:log(2))
    end)

    it("does not go back with a message of a lower commit index", function()
      append { prev_index = 4, prev_term = 1, commit_index = 1 }
      assert.equal(3, c:state(2).commit_index)
    end)

    it("does not go back with a new leader's first word", function()
      append { term = 2, prev_index = 4, prev_term = 1, commit_index = 0 }
      assert.equal(3, c:state(2).commit_index)
    end)
  end)

  describe("that hears of a commit index", function()
    it("advances to what the message verifies and no further: entries", function()
      local c, append = follower({ 1, 1, 1, 1 }, 2)
      append { prev_index = 1, prev_term = 1, terms = { 1 }, commit_index = 4 }
      assert.equal(2, c:state(2).commit_index)
    end)

    it("advances to what the message verifies and no further: heartbeats", function()
      local c, append = follower({ 1, 1, 1, 1 }, 2)
      append { prev_index = 1, prev_term = 1, commit_index = 4 }
      assert.equal(1, c:state(2).commit_index)
    end)

    it("advances to the leader's commit index and no further", function()
      local c, append = follower({ 1, 1, 1, 1 }, 2)
      append { prev_index = 4, prev_term = 1, commit_index = 2 }
      assert.equal(2, c:state(2).commit_index)
    end)

    it("advances not at all with a refusal", function()
      local c, append = follower({ 1, 1 }, 3)
      append { prev_index = 2, prev_term = 2, commit_index = 2 }
      assert.equal(0, c:state(2).commit_index)
    end)
  end)

  describe("ignores entries that no leader can have", function()
    for name, terms in pairs { ["terms that fall"] = { 3, 2 }, ["a term below the one before"] = { 1 },
      ["a term beyond the leader's"] = { 5 } } do
      it(name, function()
        local c, append = follower({ 2, 2 }, 4)
        assert.is_nil(append { prev_index = 2, prev_term = 2, terms = terms })
        assert.same({ 2, 2 }, c:log(2))
      end)
    end

    it("indices that wrap around", function()
      local c, append = follower({ 1 }, 1)
      assert.is_nil(append { prev_index = -1, prev_term = 1, terms = { 1 } })
      assert.same({ 1 }, c:log(2))
    end)
  end)

  it("listens to one leader per term", function()
    local c, append = follower({}, 1)
    append { terms = { 1 } }
    assert.is_nil(append { from = 3, terms = { 1, 1 } })
    assert.same({ 1 }, c:log(2))
    assert.equal(1, c:state(2).leader)
  end)

  it("refuses a leader of an older term with its own, and changes nothing", function()
    local c, append = follower({ 1 }, 1)
    append { from = 3, term = 4, prev_index = 1, prev_term = 1 }
    local reply = append { prev_index = 1, prev_term = 1, terms = { 1 }, commit_index = 2 }
    assert.is_false(reply.success)
    assert.equal(4, reply.term)
    assert.same({ 1 }, c:log(2))
    assert.equal(3, c:state(2).leader)
    assert.equal(0, c:state(2).commit_index)
  end)

  it("votes for nobody by hearing of a leader", function()
    local c, append = follower({}, 5)
    append { terms = { 5 } }
    assert.is_nil(c:state(2).voted_for)
    assert.equal(5, c:state(2).term)
  end)
end)

describe("a message of a higher term", function()
  it("makes a leader step down and follow [TestRaft_M2_HigherTermForcesStepDown]", function()
    local c = cluster.new()
    c:elect(1)
    local output = c:give { type = "append", from = 3, to = 1, term = 9, prev_index = 1, prev_term = 1 }
    assert.equal("follower", c:state(1).role)
    assert.equal(9, c:state(1).term)
    assert.equal(3, c:state(1).leader)
    assert.is_true(output.leader_changed)
  end)

  it("makes a leader step down when it comes as a reply", function()
    local c = cluster.new()
    c:elect(1)
    c:give { type = "append_reply", from = 3, to = 1, term = 9 }
    assert.equal("follower", c:state(1).role)
    assert.is_nil(c:state(1).leader)
    assert.is_false(c:step(1, { type = "propose" }).accepted)
  end)

  it("makes a candidate follow", function()
    local c = cluster.new()
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    assert.equal("candidate", c:state(1).role)
    c:give { type = "append", from = 3, to = 1, term = 2 }
    assert.equal("follower", c:state(1).role)
  end)

  it("is not needed for a candidate to follow the leader of its own term", function()
    local c = cluster.new()
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    c:give { type = "append", from = 3, to = 1, term = 1 }
    assert.equal("follower", c:state(1).role)
    assert.equal(3, c:state(1).leader)
  end)
end)
