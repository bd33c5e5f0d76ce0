-- Elections (thesis 3.4, 3.6.1, 3.8, 3.9), PreVote (9.6), CheckQuorum (6.2) and stickiness (4.2.3).

local raft = require "kvserver.raft"
local cluster = require "spec.support.raft_cluster"
local sim = require "kvserver.sim"

-- Timeouts of every node drawn from its own seed.
local function randomised(options, seed)
  local c = cluster.new(options)
  local draw = sim.prng(seed)
  c.random = function() return draw(1 << 40) end
  return c
end

local function leader_of(c)
  for number = 1, #c.nodes do
    if c.nodes[number].up and c:state(number).role == "leader" then return number end
  end
  return nil
end

local function vote(c, fields)
  local message = { type = "vote", from = 3, to = 1, term = 5 }
  for field, value in pairs(fields) do message[field] = value end
  c:give(message)
  local replies = c:take { type = "vote_reply" }
  return replies[#replies]
end

describe("an election", function()
  it("happens after the leader stops [TestRaft_M2_Election_HappensAfterLeaderStops]", function()
    local c = randomised({}, 1)
    c:run(2000)
    local old = leader_of(c)
    c:crash(old)
    c:take()
    c:run(2000)
    local new = leader_of(c)
    assert.is_truthy(new)
    assert.not_equal(old, new)
    assert.is_true(c:state(new).term > 1)
  end)

  it("needs more than half of an even cluster", function()
    for nodes, needed in pairs { [2] = 2, [4] = 3 } do
      local c = cluster.new { nodes = nodes }
      for number = needed, nodes do c:isolate(number) end
      c:take_office(1)
      assert.not_equal("leader", c:state(1).role)
    end
  end)

  it("is over at once in a cluster of one", function()
    local c = cluster.new { nodes = 1 }
    c:timeout(1)
    assert.equal("leader", c:state(1).role)
    assert.equal(1, c:state(1).commit_index)
  end)

  it("is won by exactly a quorum, whoever is in it", function()
    for first = 2, 5 do
      for second = 2, 5 do
        if first ~= second then
          local c = cluster.new { nodes = 5 }
          c:advance(1000)
          c:timeout(1, 0)
          c:deliver { pre = true }
          c:deliver { type = "vote" }
          c:deliver { type = "vote_reply", from = first }
          assert.equal("candidate", c:state(1).role)
          c:deliver { type = "vote_reply", from = second }
          assert.equal("leader", c:state(1).role)
        end
      end
    end
  end)

  it("does not count one node's vote twice", function()
    local c = cluster.new { nodes = 5 }
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    c:deliver { type = "vote", to = 2 }
    local reply = c:take({ type = "vote_reply" })[1]
    c:give(reply)
    c:give(reply)
    assert.equal("candidate", c:state(1).role)
  end)

  it("counts no vote of an older term, and no pre-vote as a vote", function()
    local c = cluster.new { nodes = 3 }
    c:advance(1000)
    c:timeout(1, 0)
    local pre_votes = c:take { type = "vote" }
    for _, message in ipairs(pre_votes) do c:give(message) end
    local pre_replies = c:take { type = "vote_reply" }
    c:give(pre_replies[1])
    assert.equal("candidate", c:state(1).role)
    c:give(pre_replies[2])
    assert.equal("candidate", c:state(1).role)
    c:give { type = "vote_reply", from = 2, to = 1, term = 0, granted = true, proven = true, vote_term = 0 }
    c:give { type = "vote_reply", from = 2, to = 1, term = 1, granted = true, proven = true, vote_term = 0 }
    assert.equal("candidate", c:state(1).role)
  end)

  it("that is split ends with different timeouts", function()
    local c = cluster.new { nodes = 2 }
    c:advance(1000)
    c:timeout(1, 0)
    c:timeout(2, 0)
    c:deliver()
    assert.is_nil(leader_of(c))
    c.random = function(number) return number * 100 end
    c:run(3000)
    assert.is_truthy(leader_of(c))
  end)

  it("comes to an end within ten timeouts however the nodes are seeded", function()
    for seed = 1, 30 do
      local c = randomised({ nodes = 5 }, seed)
      c:run(3000)
      if not leader_of(c) then error("no leader with seed " .. seed) end
    end
  end)

  it("ends though the node with the highest term has the shortest log", function()
    local c = cluster.new { logs = { { 1, 1, 1 }, { 1, 1, 1 }, { 1 } },
      hard_states = { { term = 1, proven = true }, { term = 1, proven = true }, { term = 9, proven = true } } }
    c.random = function(number) return number * 100 end
    c:crash(2)
    c:run(5000)
    assert.equal(1, leader_of(c))
    assert.same(c:log(1), c:log(3))
  end)

  it("waits at least the shortest and less than the longest timeout", function()
    local core = raft.core { nodes = 3, self = 1, now = 0, random = 0, election_min_ms = 300, election_max_ms = 600 }
    assert.equal(300, core:step({ type = "flush" }).deadline)
    core = raft.core { nodes = 3, self = 1, now = 0, random = 299, election_min_ms = 300, election_max_ms = 600 }
    assert.equal(599, core:step({ type = "flush" }).deadline)
    core = raft.core { nodes = 3, self = 1, now = 0, random = -1, election_min_ms = 300, election_max_ms = 600 }
    local deadline = core:step({ type = "flush" }).deadline
    assert.is_true(deadline >= 300 and deadline < 600)
  end)

  it("does not start before the timeout, however often time is asked for", function()
    local c = cluster.new()
    c:advance(c.nodes[1].deadline - 1)
    c:timeout(1, 0)
    assert.equal("follower", c:state(1).role)
    c:timeout(1, 1)
    assert.equal("pre-candidate", c:state(1).role)
  end)
end)

describe("a vote", function()
  for _, case in ipairs {
    -- own log, candidate's last index and term, granted (thesis 3.6.1)
    { {}, 0, 0, true }, { { 1 }, 0, 0, false }, { { 1 }, 1, 1, true }, { { 1, 1 }, 1, 1, false }, { { 1 }, 2, 1, true },
    { { 1, 2 }, 9, 1, false }, { { 1, 1, 1 }, 1, 2, true }, { { 1, 2 }, 2, 2, true }, { { 1, 2 }, 1, 2, false },
  } do
    it(("of a node with the log (%s) is %s a candidate at %d/%d"):format(table.concat(case[1], " "),
      case[4] and "for" or "not for", case[2], case[3]), function()
      local c = cluster.new { logs = { case[1] } }
      local ask = { last_index = case[2], last_term = case[3] }
      assert.equal(case[4], vote(c, { pre = true, last_index = ask.last_index, last_term = ask.last_term }).granted)
      assert.equal(case[4], vote(c, ask).granted)
    end)
  end

  it("is given once per term, whoever got it", function()
    for first = 1, 16 do
      local voter = first == 16 and 15 or 16
      local c = cluster.new { nodes = 16 }
      assert.is_true(vote(c, { from = first, to = voter }).granted)
      for other = 1, 14 do
        if other ~= first then assert.is_false(vote(c, { from = other, to = voter }).granted) end
      end
      assert.is_true(vote(c, { from = first, to = voter }).granted)
    end
  end)

  it("is refused to a candidate of an older term, with the newer one", function()
    local c = cluster.new { hard_states = { { term = 7, proven = true } } }
    local reply = vote(c, { term = 6 })
    assert.is_false(reply.granted)
    assert.equal(7, reply.term)
  end)

  it("is not given by the leader of that term, nor by another candidate", function()
    local c = cluster.new()
    c:elect(1)
    assert.is_false(vote(c, { term = 1, last_index = 9, last_term = 1 }).granted)
    c = cluster.new()
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    assert.is_false(vote(c, { term = 1, last_index = 9, last_term = 1 }).granted)
  end)

  it("puts off the voter's own election", function()
    local c = cluster.new { hard_states = { { term = 5, proven = true } } } -- not a new term
    c:advance(250)
    assert.is_true(vote(c, { term = 5 }).granted)
    assert.equal(550, c.nodes[1].deadline)
  end)

  it("that is refused does not put it off, even in a new term", function()
    local c = cluster.new { logs = { { 4 } } }
    local due = c.nodes[1].deadline
    c:advance(250)
    assert.is_false(vote(c, { term = 9, last_index = 9, last_term = 3 }).granted)
    assert.equal(9, c:state(1).term)
    assert.equal(due, c.nodes[1].deadline)
  end)
end)

describe("a pre-vote", function()
  it("changes nothing at the node that is asked", function()
    local c = cluster.new()
    local before = c:state(1)
    local output = c:give { type = "vote", from = 3, to = 1, term = 9, pre = true }
    assert.equal(0, output.sync)
    assert.same(before, c:state(1))
  end)

  it("is refused for a term that is not new", function()
    local c = cluster.new { hard_states = { { term = 5, proven = true } } }
    assert.is_false(vote(c, { pre = true, term = 4 }).granted)
    assert.is_false(vote(c, { pre = true, term = 5 }).granted)
    assert.is_true(vote(c, { pre = true, term = 6 }).granted)
  end)

  it("is refused as long as a leader is alive", function()
    local c = cluster.new()
    c:elect(1)
    local ask = { to = 2, term = 2, pre = true, last_index = 1, last_term = 1 }
    assert.is_false(vote(c, ask).granted)
    ask.to = 1
    assert.is_false(vote(c, ask).granted)
    c:advance(300)
    ask.to = 2
    assert.is_true(vote(c, ask).granted)
  end)

  it("keeps a cut-off node's term down, so that its return unseats nobody", function()
    local c = randomised({}, 4)
    c:elect(1)
    c:isolate(3)
    c:run(10000)
    local term = c:state(1).term
    assert.equal(term, c:state(3).term)
    assert.equal("pre-candidate", c:state(3).role)
    c:heal()
    c:run(1000)
    assert.equal("leader", c:state(1).role)
    assert.equal(term, c:state(1).term)
    assert.equal("follower", c:state(3).role)
  end)

  it("keeps a paused node from unseating the leader when it wakes up", function()
    local c = cluster.new()
    c:elect(1)
    for _ = 1, 40 do
      c:timeout(1)
      c:deliver { to = 2 }
      c:deliver { from = 2 }
    end
    c:timeout(3, 0)
    assert.equal("pre-candidate", c:state(3).role)
    c:deliver()
    c:heartbeat(1)
    assert.equal("leader", c:state(1).role)
    assert.equal("follower", c:state(3).role)
    assert.equal(1, c:state(3).term)
  end)

  it("is given by other pre-candidates", function()
    local c = cluster.new()
    c:advance(1000)
    for number = 1, 3 do c:timeout(number, 0) end
    c:deliver { pre = true }
    assert.equal("candidate", c:state(1).role)
  end)
end)

describe("a pre-vote of a node that is ahead in terms", function()
  it("is given and counted, so that an election needs no detour", function()
    local c = cluster.new { hard_states = { { term = 9, proven = true } } }
    assert.equal("leader", c:take_office(1).role)
    assert.equal(10, c:state(1).term)
  end)
end)

describe("a term that is absurdly high", function()
  it("is not adopted from anybody, so that terms never wrap around", function()
    local near = math.maxinteger - 1
    local c = cluster.new { hard_states = { { term = near, proven = true } } }
    for _, term in ipairs { -1, math.mininteger } do
      c:give { type = "append", from = 3, to = 1, term = term }
      assert.is_nil(vote(c, { term = term }))
      assert.is_nil(vote(c, { term = term, pre = true }))
    end
    assert.equal(near, c:state(1).term)
    c:give { type = "append", from = 3, to = 1, term = math.maxinteger }
    assert.equal(math.maxinteger, c:state(1).term)
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver { pre = true }
    assert.equal("pre-candidate", c:state(1).role)
  end)
end)

describe("a live leader", function()
  it("is not unseated by a vote request of a higher term", function()
    local c = cluster.new()
    c:elect(1)
    for number = 1, 2 do
      assert.is_nil(vote(c, { to = number, term = 9, last_index = 9, last_term = 9 }))
      assert.equal(1, c:state(number).term)
    end
    assert.equal("leader", c:state(1).role)
  end)

  it("is no longer protected when it was silent for the shortest election timeout", function()
    local c = cluster.new()
    c:elect(1)
    c:advance(300)
    assert.is_true(vote(c, { to = 2, term = 9, last_index = 9, last_term = 9 }).granted)
  end)

  it("says all that there is to say in two messages per follower", function()
    local c = cluster.new { nodes = 5 }
    c.trace = {}
    c:take_office(1)
    c:deliver()
    local sent = 0
    for _, line in ipairs(c.trace) do
      if line:find("^  n1 %-> n%d append ") then sent = sent + 1 end
    end
    assert.is_true(sent >= 4 and sent <= 2 * 4, c:text())
    for number = 1, 5 do assert.equal(1, c:state(number).commit_index) end
  end)

  it("steps down within an election timeout of losing its quorum", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(1)
    local lost_at = c.now
    for _ = 1, 20 do
      if c:state(1).role == "leader" then c:timeout(1) end
    end
    assert.equal("follower", c:state(1).role)
    assert.is_true(c.now - lost_at <= 300 + 50, c.now - lost_at)
    assert.is_false(c:step(1, { type = "propose" }).accepted)
    assert.equal(1, c:state(1).term)
  end)

  it("steps down at its first timeout after a long pause, before it sends anything", function()
    local c = cluster.new()
    c:elect(1)
    local output = c:timeout(1, 5000)
    assert.equal("follower", c:state(1).role)
    assert.equal(0, #output.messages)
  end)

  it("stays with exactly a quorum", function()
    local c = randomised({ nodes = 5 }, 9)
    c:elect(1)
    c:isolate(4)
    c:isolate(5)
    c:run(5000)
    assert.equal("leader", c:state(1).role)
  end)

  it("waits for a whole timeout before it campaigns again when it has stepped down", function()
    local c = cluster.new()
    c:elect(1)
    c:advance(250)
    c:give { type = "append_reply", from = 2, to = 1, term = 9 }
    assert.equal("follower", c:state(1).role)
    assert.equal(c.now + 300, c.nodes[1].deadline)
  end)

  it("keeps its term in a calm phase", function()
    local c = randomised({}, 2)
    c:run(1000)
    local leader = leader_of(c)
    local term = c:state(leader).term
    c:run(60000)
    assert.equal("leader", c:state(leader).role)
    assert.equal(term, c:state(leader).term)
  end)
end)
