-- When an entry is committed (thesis 3.5, 3.6.2).

local raft = require "kvserver.raft"
local cluster = require "spec.support.raft_cluster"

-- A leader of term 2 in a cluster of `nodes`, alone with a script: its log is 1 1 2 2, the no-op at 3, nothing of its
-- own term on its own disk.
local function lonely_leader(nodes)
  local core = raft.core { nodes = nodes, self = 1, log = { 1, 1 }, hard_state = { term = 1, proven = true }, now = 0 }
  core:step { type = "timeout", now = 1000 }
  for _, pre in ipairs { true, false } do
    for peer = 2, nodes do
      local term = pre and 1 or 2
      core:step { type = "message", message = { type = "vote_reply", from = peer, to = 1, term = term, life = peer,
        pre = pre, granted = true, proven = true, vote_term = 2 } }
    end
  end
  core:step { type = "propose", count = 1 }
  assert(core:state().role == "leader" and core:state().last_index == 4)
  return core
end

local function ack(core, peer, match_index, fields)
  local message = { type = "append_reply", from = peer, to = 1, term = 2, life = peer, success = true,
    proven = true, match_index = match_index }
  for field, value in pairs(fields or {}) do message[field] = value end
  return core:step { type = "message", message = message }
end

-- The own disk has everything up to `index`, from 2 to 4. A lone node's election and no-op are one work.
local function own_disk(core, nodes, index)
  local works = nodes == 1 and { [2] = 0, [3] = 1, [4] = 2 } or { [2] = 1, [3] = 2, [4] = 3 }
  return core:step { type = "synced", sync = works[index], index = index }
end

-- The rule as the thesis has it: the largest index of the own term (3 and above) that a majority holds.
local function by_definition(vector)
  for index = 4, 3, -1 do
    local holders = 0
    for _, match in ipairs(vector) do
      if match >= index then holders = holders + 1 end
    end
    if holders * 2 > #vector then return index end
  end
  return 0
end

local function each_vector(nodes, visit)
  local vector = {}
  local function fill(place)
    if place > nodes then return visit(vector) end
    for match = place == 1 and 2 or 0, 4 do
      vector[place] = match
      fill(place + 1)
    end
  end
  fill(1)
end

describe("commitment", function()
  it("takes a majority, for one node to nine", function()
    local quorums = {}
    for nodes = 1, 9 do quorums[nodes] = raft.quorum(nodes) end
    assert.same({ 1, 2, 2, 3, 3, 4, 4, 5, 5 }, quorums)
  end)

  for nodes = 1, 5 do
    it(("agrees with its definition for all match vectors of %d nodes"):format(nodes), function()
      each_vector(nodes, function(vector)
        local core = lonely_leader(nodes)
        local output = own_disk(core, nodes, vector[1])
        for peer = 2, nodes do output = ack(core, peer, vector[peer]) end
        local expected = by_definition(vector)
        if output.commit_index ~= expected then
          error(("%s: expected %d, got %d"):format(table.concat(vector, " "), expected, output.commit_index))
        end
      end)
    end)
  end

  it("does not count one node's acknowledgement twice", function()
    local core = lonely_leader(5)
    own_disk(core, 5, 4)
    ack(core, 2, 4)
    assert.equal(0, ack(core, 2, 4).commit_index)
    assert.equal(4, ack(core, 3, 4).commit_index)
  end)

  it("counts no acknowledgement of an older term", function()
    local core = lonely_leader(3)
    own_disk(core, 3, 4)
    assert.equal(0, ack(core, 2, 4, { term = 1 }).commit_index)
  end)

  it("keeps a match index against stale acknowledgements", function()
    local core = lonely_leader(3)
    own_disk(core, 3, 4)
    ack(core, 2, 4)
    assert.equal(4, ack(core, 2, 1).commit_index)
    assert.equal(4, core:state().peers[2].match_index)
  end)

  it("ignores an acknowledgement of more than there is", function()
    local core = lonely_leader(3)
    own_disk(core, 3, 4)
    assert.equal(0, ack(core, 2, 5).commit_index)
    assert.equal(0, core:state().peers[2].match_index)
  end)

  it("starts each term with a no-op of its own", function()
    local c = cluster.new()
    c:elect(1)
    c:elect(2)
    assert.same({ 1, 2 }, c:log(1))
    assert.equal(2, c:state(3).commit_index)
  end)

  -- Figure 3.7 of the thesis, figure 8 of the paper.
  describe("of an entry of an older term", function()
    local c

    before_each(function()
      -- (b): S1 led term 2 and reached S2, S5 led term 3 and reached nobody.
      c = cluster.new { nodes = 5, message_bytes_max = 1,
        logs = { { 1, 2 }, { 1, 2 }, { 1 }, { 1 }, { 1, 3 } },
        hard_states = { { term = 3, proven = true }, { term = 3, proven = true }, { term = 3, proven = true },
          { term = 3, proven = true }, { term = 3, proven = true } } }
      -- (c): S1 leads again, in term 4; its entry of term 2 reaches S3.
      c:isolate(5)
      assert.equal("leader", c:take_office(1).role)
      c:deliver { to = 2 }
      c:deliver { from = 2 }
      while c:state(1).peers[3].match_index < 2 do
        c:deliver_one { to = 3 }
        c:deliver_one { from = 3 }
      end
    end)

    it("waits for one of the leader's own term, though a majority holds it", function()
      for number = 1, 3 do assert.equal(2, c:log(number)[2]) end
      assert.equal(0, c:state(1).commit_index)
    end)

    it("was no commitment: another leader may replace it", function() -- (d)
      c:crash(1)
      c:take()
      c:heal()
      c:elect(5)
      assert.same({ 1, 3, 5 }, c:log(3))
      assert.same({ 1, 3, 5 }, c:log(2))
      assert.equal(3, c:state(5).commit_index)
    end)

    it("comes along with one of the leader's own term, and then stays", function() -- (e)
      c:cut(1, 4)
      c:deliver()
      assert.equal(3, c:state(1).commit_index)
      c:crash(1)
      c:take()
      c:heal()
      assert.has_error(function() c:elect(5) end)
      c:elect(3)
      assert.same({ 1, 2, 4 }, { table.unpack(c:log(5), 1, 3) })
    end)
  end)

  it("keeps committed entries over a change of leader, and over the old one's return", function()
    local c = cluster.new()
    c:elect(1)
    c:propose(1, 2)
    c:deliver()
    c:isolate(1)
    c:propose(1, 3)
    c:elect(2)
    c:propose(2)
    c:deliver()
    c:heal()
    c:heartbeat(2)
    c:heartbeat(2)
    assert.same({ 1, 1, 1, 2, 2 }, c:log(1))
    assert.same(c:log(1), c:log(2))
    assert.same(c:log(1), c:log(3))
    for number = 1, 3 do assert.equal(5, c:state(number).commit_index) end
  end)
end)
