-- Nodes that lost their state, and nodes that never had any (DESIGN.md, Unproven nodes), and the lives by which a
-- leader tells their words apart.

local cluster = require "spec.support.raft_cluster"

local function settle(c, leader)
  for _ = 1, 3 do c:heartbeat(leader) end
end

describe("a cluster that starts for the first time", function()
  for nodes = 1, 5 do
    it(("elects a leader among %d nodes and proves them all"):format(nodes), function()
      local c = cluster.new { nodes = nodes, proven = false }
      c:elect(1)
      settle(c, 1)
      for number = 1, nodes do
        assert.is_true(c:state(number).proven)
        assert.equal(1, c:state(number).commit_index)
        assert.is_true(c.nodes[number].durable.hard_state.proven)
      end
    end)
  end

  it("needs only a quorum of its nodes", function()
    local c = cluster.new { proven = false }
    c:crash(3)
    c:elect(1)
    settle(c, 1)
    c:propose(1)
    c:deliver()
    assert.equal(2, c:state(1).commit_index)
    c:restart(3)
    settle(c, 1)
    assert.is_true(c:state(3).proven)
    assert.same(c:log(1), c:log(3))
  end)
end)

describe("a cluster whose first leader goes away before it has proven anybody", function()
  local function leader_of(c)
    c.random = function(number) return number * 40 end
    c:run(10000)
    for number = 1, 3 do
      if c.nodes[number].up and c:state(number).role == "leader" then return number end
    end
  end

  local c

  before_each(function()
    c = cluster.new { proven = false }
    c:take_office(1)
    c:isolate(3)
    c:deliver { type = "append" } -- its first entry reaches 2 only
    c:crash(1)
    c:take()
    c:heal()
  end)

  it("waits, since those who are left cannot know that they have lost nothing", function()
    assert.is_nil(leader_of(c))
  end)

  it("goes on when it comes back", function()
    assert.is_nil(leader_of(c))
    c:restart(1)
    assert.is_not_nil(leader_of(c))
    c:run(1000)
    for number = 1, 3 do assert.is_true(c:state(number).proven) end
  end)
end)

describe("a leader that founds the cluster", function()
  -- Lets `number` take office at `at` ms by the votes of `voter`; nothing goes to or comes from the third.
  local function take_office(c, number, voter, at)
    c.now = at
    repeat -- who is behind in terms needs a second election
      c:timeout(number, 600)
      repeat until c:deliver { type = "vote", to = voter } + c:deliver { type = "vote_reply", to = number } == 0
    until c:state(number).role == "leader" or c.now > at + 3000
    assert.equal("leader", c:state(number).role)
  end

  -- 1 leads, but its first entry reaches nobody. 3 does not hear of that: it founds the cluster with 2, and commits.
  -- Then `lost`, 2 or 3, loses its state, and the other is cut off. By its own clock 1 has led for a moment only.
  local function founded_twice(lost)
    local c = cluster.new { proven = false }
    take_office(c, 1, 2, 0)
    c.asked = c:take { type = "vote", to = 3 }
    c:take()
    c:isolate(1)
    take_office(c, 3, 2, 1000)
    c:flush(3)
    c:deliver()
    assert.equal(1, c:state(3).commit_index)
    c:heal()
    c:crash(lost)
    c.now = 650
    c:restart(lost, true)
    c:isolate(5 - lost)
    return c
  end

  local function commits_nothing(c)
    for _ = 1, 2 do
      c:timeout(1)
      c:deliver()
    end
    assert.equal("leader", c:state(1).role)
    assert.equal(0, c:state(1).commit_index)
  end

  it("does not count a voter that has started anew since", function()
    local c = founded_twice(2)
    commits_nothing(c)
    assert.equal(1, c:state(1).peers[2].match_index)
  end)

  it("does not count a vote that is given after it took office", function()
    local c = founded_twice(3)
    for _, message in ipairs(c.asked) do
      if not message.pre then c:give(message) end
    end
    assert.equal(1, c:deliver { type = "vote_reply", granted = true })
    commits_nothing(c)
    assert.equal(1, c:state(1).peers[3].match_index)
  end)

  it("counts whom it heard of before, be the vote itself late", function()
    local c = cluster.new { proven = false }
    c.now = 1000
    c:timeout(1, 0)
    c:deliver { type = "vote", pre = true }
    c:deliver { type = "vote_reply", pre = true }
    c:deliver { type = "vote", to = 2 }
    c:deliver { type = "vote_reply" }
    assert.equal("leader", c:state(1).role)
    c:crash(2)
    c:flush(1)
    c:deliver()
    assert.equal(1, c:state(1).commit_index)
  end)
end)

describe("a node that lost its state", function()
  -- 1 and 2 hold a committed entry that 3 has not; then 2 is wiped and 1 is down.
  local function wiped()
    local c = cluster.new()
    c:elect(1)
    c:isolate(3)
    c:propose(1)
    c:deliver()
    c:heartbeat(1)
    assert.equal(2, c:state(2).commit_index)
    c:crash(2)
    c:restart(2, true)
    c:heal()
    return c
  end

  it("does not help a node to lead that lacks committed entries", function()
    local c = wiped()
    c:crash(1)
    c.random = function(number) return number * 40 end
    c:run(5000)
    for number = 2, 3 do assert.not_equal("leader", c:state(number).role) end
    c:restart(1)
    c:run(5000)
    assert.equal("leader", c:state(1).role)
    for number = 1, 3 do
      assert.equal(1, c:log(number)[2])
      assert.is_true(c:state(number).proven)
    end
  end)

  it("leads nobody itself", function()
    local c = wiped()
    c:crash(1)
    assert.has_error(function() c:elect(2) end)
  end)

  it("is proven again when a leader has brought it up to date", function()
    local c = wiped()
    settle(c, 1)
    assert.is_true(c:state(2).proven)
    assert.same(c:log(1), c:log(2))
    c:crash(1)
    c:take()
    c:elect(2)
    assert.equal(1, c:log(3)[2])
  end)

  it("tells the leader in the same answer that it is proven", function()
    local c = cluster.new { proven = false }
    local life = c.nodes[2].life
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life, terms = { 5 }, commit_index = 1 }
    assert.is_true(c:take { from = 2 }[1].proven)
  end)

  it("is not proven by a leader that has committed nothing in its own term", function()
    local c = cluster.new()
    c:elect(1)
    c:crash(2)
    c:restart(2, true)
    c:isolate(3)
    local life = c.nodes[2].life
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life, terms = { 1, 5 }, commit_index = 1 }
    assert.is_false(c:state(2).proven)
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life, prev_index = 2, prev_term = 5,
      commit_index = 2 }
    assert.is_true(c:state(2).proven)
  end)

  it("is not proven by what a leader says to an earlier life, nor beyond what it holds", function()
    local c = cluster.new()
    c:crash(2)
    c:restart(2, true)
    local life = c.nodes[2].life
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life - 2, terms = { 5 }, commit_index = 1 }
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = 0, terms = { 5 }, commit_index = 1 }
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life, terms = { 5 }, commit_index = 2 }
    assert.is_false(c:state(2).proven)
    c:give { type = "append", from = 1, to = 2, term = 5, to_life = life, terms = { 5 }, commit_index = 1 }
    assert.is_true(c:state(2).proven)
  end)
end)

describe("a leader whose followers are unproven", function()
  -- A leader of term 1 that does not found the cluster, its followers just wiped.
  local function leader_of(nodes, wiped)
    local c = cluster.new { nodes = nodes }
    c:elect(1)
    for _, number in ipairs(wiped) do
      c:crash(number)
      c:restart(number, true)
    end
    return c
  end

  it("commits nothing with an unproven node in place of one that is away", function()
    local c = leader_of(3, { 2 })
    c:isolate(3)
    c:propose(1)
    c:deliver()
    settle(c, 1)
    assert.equal(2, c:state(1).peers[2].match_index)
    assert.equal(1, c:state(1).commit_index)
    assert.is_false(c:state(2).proven)
    c:heal()
    settle(c, 1)
    assert.equal(2, c:state(1).commit_index)
    assert.is_true(c:state(2).proven)
  end)

  it("commits beside them with a proven quorum", function()
    local c = leader_of(5, { 2, 3 })
    c:isolate(2)
    c:isolate(3)
    c:propose(1)
    c:deliver()
    assert.equal(2, c:state(1).commit_index)
  end)
end)

describe("a leader whose peer starts anew", function()
  local c

  -- The first answer is to a round of before, and might be late; the second cannot be.
  local function hear_of_new_life()
    c:timeout(1)
    for _ = 1, 2 do
      c:deliver_one { to = 2 }
      c:deliver_one { from = 2 }
    end
    assert.equal(c.nodes[2].life, c:state(1).peers[2].life)
  end

  before_each(function()
    c = cluster.new()
    c:elect(1)
    c:isolate(3)
    c:propose(1, 2)
    c:deliver { to = 2 }
    c.late = c:take { from = 2 } -- the acknowledgement of entries 2 and 3 is late
    c:crash(2)
    c:restart(2, true)
  end)

  it("forgets what the earlier life has acknowledged", function()
    assert.equal(1, c:state(1).peers[2].match_index)
    hear_of_new_life()
    assert.equal(0, c:state(1).peers[2].match_index)
  end)

  it("does not count the earlier life's late acknowledgements", function()
    hear_of_new_life()
    for _, message in ipairs(c.late) do c:give(message) end
    assert.equal(0, c:state(1).peers[2].match_index)
    assert.equal(1, c:state(1).commit_index)
  end)

  it("brings it up to date from nothing", function()
    c:heal()
    settle(c, 1)
    assert.same(c:log(1), c:log(2))
    assert.equal(3, c:state(1).commit_index)
  end)

  it("tells many lives apart", function()
    for _ = 1, 4 do
      c:crash(2)
      c:restart(2, true)
      hear_of_new_life()
      for _, message in ipairs(c.late) do c:give(message) end
      assert.is_true(c:state(1).peers[2].match_index <= #c:log(2))
      c:take()
    end
  end)
end)
