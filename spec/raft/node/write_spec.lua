local http = require "spec.support.http"
local raft = require "kvserver.raft"
local nodes = require "spec.raft.node.nodes"

local function put(key, value, fields)
  local command = { op = "put", key = key, value = value }
  for field, content in pairs(fields or {}) do command[field] = content end
  return command
end

describe("a leader's proposal", function()
  local n

  before_each(function()
    n = nodes.new(3)
    n:elect(1)
  end)
  after_each(function() n:__close() end)

  it("is appended, replicated, committed and answered with its result [TestRaft_M1_LeaderPropose_AppendsAndCommits]",
    function()
      local wait = n[1]:propose(put("k", "v"))
      n[1]:turn(n.clock[1])
      assert.equal(2, n[1]:status().last_index)
      assert.equal(1, n[1]:status().commit_index)
      n:settle()
      assert.equal(2, n[1]:status().commit_index)
      local status, index, result = n[1]:outcome(wait)
      assert.equal("ok", status)
      assert.equal(2, index)
      assert.same({ ok = true }, result)
      assert.equal("v", n[1]:get("k"))
    end)

  it("reaches every follower's state machine", function()
    n[1]:propose(put("k", "v"))
    n:settle()
    n:heartbeat(1)
    for number = 1, 3 do assert.equal("v", n[number]:get("k")) end
  end)

  it("is not answered before a quorum has it on disk", function()
    n.down[2], n.down[3] = true, true
    local wait = n[1]:propose(put("k", "v"))
    n:settle()
    assert.is_nil(n[1]:outcome(wait))
    assert.is_nil(n[1]:get("k"))
  end)

  it("waits neither for its own disk when the others have it, nor is its answer lost", function()
    local wait = n[1]:propose(put("k", "v"))
    n[1]:turn(n.clock[1])
    for _ = 1, 3 do
      n:deliver(n[1]:sent())
      n:deliver(n:turn(2))
      n:deliver(n:turn(3))
      n[1]:turn(n.clock[1])
    end
    assert.equal("ok", (n[1]:outcome(wait)))
  end)

  it("travels with all others of its turn in one message and one disk write", function()
    for count = 1, 10 do n[1]:propose(put("k" .. count, "v")) end
    n[1]:turn(n.clock[1])
    local messages = n[1]:sent()
    assert.equal(2, #messages)
    for _, message in ipairs(messages) do assert.equal(10, message.entries_count) end
    assert.is_true(n[1]:synced())
    assert.is_false(n[1]:synced())
  end)

  it("is sent while the own disk still writes", function()
    n[1]:propose(put("k", "v"))
    n[1]:turn(n.clock[1])
    assert.equal(2, #n[1]:sent())
    assert.is_true(n[1]:synced())
  end)

  it("gives the state machine's answer, whatever it is", function()
    local wait = n[1]:propose { op = "cas", key = "k", expected = "x", value = "y" }
    local second = n[1]:propose { op = "delete", key = "k" }
    n:settle()
    local status, _, result = n[1]:outcome(wait)
    assert.equal("ok", status)
    assert.same({ ok = false, err_code = "cas_failed" }, result)
    assert.same({ ok = true, deleted = 0 }, select(3, n[1]:outcome(second)))
  end)

  it("is refused by a follower, which knows the leader", function()
    assert.same({ nil, "not_leader" }, { n[2]:propose(put("k", "v")) })
    assert.equal("n1", n[2]:status().leader_id)
    assert.equal("127.0.0.1:7001", n[2]:status().leader_addr)
  end)

  it("is refused where no leader is known", function()
    local fresh <close> = raft.node { self = 1 }
    assert.same({ nil, "no_leader" }, { fresh:propose(put("k", "v")) })
  end)

  it("ends with timeout at its deadline: it may still be applied, and is", function()
    n.down[2], n.down[3] = true, true
    local wait = n[1]:propose(put("k", "v"), n.clock[1] + 100)
    n:settle()
    n:advance(1, 90)
    n:settle()
    assert.is_nil(n[1]:outcome(wait))
    n:advance(1, 30)
    n:settle()
    assert.equal("timeout", (n[1]:outcome(wait)))
    n.down = {}
    n:heartbeat(1)
    n:heartbeat(1)
    assert.equal("v", n[1]:get("k"))
  end)

  it("that nobody waits for any more goes its way", function()
    local queued, sent = n[1]:propose(put("a", "1")), n[1]:propose(put("b", "2"))
    n[1]:cancel(queued)
    n[1]:turn(n.clock[1])
    n[1]:cancel(sent)
    n:settle()
    assert.equal("1", n[1]:get("a"))
    assert.equal("2", n[1]:get("b"))
    assert.equal("closed", (n[1]:outcome(sent)))
  end)

  it("is not searched for among all of its turn when nobody waits any more", function()
    local waits, command <const> = {}, put("k", "v")
    for i = 1, 60000 do waits[i] = assert(n[1]:propose(command)) end
    local start = os.clock()
    for i = #waits, 1, -1 do n[1]:cancel(waits[i]) end
    assert.is_true(os.clock() - start < 0.5)
    local last = n[1]:propose(put("k", "last"))
    n:settle()
    local status, index = n[1]:outcome(last)
    assert.same({ "ok", #waits + 2 }, { status, index })
  end)

  it("is refused when more than 128 MB are not committed, whatever has become of their clients", function()
    local large = put("k", ("v"):rep(1 << 20))
    local function fill()
      local count = 0
      while true do
        local wait, why = n[1]:propose(large, n.clock[1] + 30)
        if not wait then return count, why end
        count = count + 1
      end
    end
    local function turn()
      n:turn(1)
      n:advance(1, 40)
      n:turn(1) -- those that waited have their timeout
    end
    n.down[2], n.down[3] = true, true
    local count, why = fill() -- what one turn takes
    turn()
    count = count + fill()
    turn()
    count = count + fill()
    assert.equal("overloaded", why)
    assert.is_true(count > 120 and count < 128, count)
    turn()
    assert.equal(0, fill())
    assert.equal("leader", n[1]:status().role)
    n.down[2] = nil
    n:heartbeat(1)
    assert.equal(n[1]:status().last_index, n[1]:status().commit_index)
    assert.is_truthy(n[1]:propose(large))
  end)

  it("is refused while leadership is handed over, and after", function()
    assert.is_true(n[1]:transfer(2))
    assert.is_nil(n[1]:propose(put("k", "v")))
    n:settle()
    assert.equal("leader", n[2]:status().role)
    assert.same({ nil, "not_leader" }, { n[1]:propose(put("k", "v")) })
  end)

  describe("whose leader is cut off", function()
    local wait

    before_each(function()
      n.down[1] = true
      wait = n[1]:propose(put("k", "old"))
      n:turn(1)
    end)

    it("is not_leader when another entry is applied in its place", function()
      n:elect(2)
      n[2]:propose(put("k", "new"))
      n:settle()
      n.down = {}
      n:heartbeat(2)
      n:heartbeat(2)
      assert.equal("not_leader", (n[1]:outcome(wait)))
      assert.equal("new", n[1]:get("k"))
    end)

    it("is told so among many that were cut at different times, each when its own place is taken", function()
      local waits = { wait }
      local function propose(count)
        for _ = 1, count do waits[#waits + 1] = n[1]:propose(put("k", "old")) end
        n:turn(1)
      end
      local function waiting()
        local count = 0
        for _, each in ipairs(waits) do
          local outcome = n[1]:outcome(each)
          assert.is_true(outcome == nil or outcome == "not_leader")
          if outcome == nil then count = count + 1 end
        end
        return count
      end
      local function replace() -- 2 leads, its first entry takes the place of the first that is not committed
        n:elect(2)
        n.down = {}
        n:heartbeat(2)
        n:heartbeat(2)
      end
      propose(3) -- at 2 to 5
      replace()
      assert.equal(3, waiting())
      n:elect(1) -- with its entry at 3
      assert.equal(2, waiting())
      n.down[1] = true
      propose(3) -- at 4 to 6
      replace()
      assert.equal(3, waiting()) -- of those at 5, 5 and 6
      n[2]:propose(put("k", "new"))
      n:settle()
      n:heartbeat(2)
      assert.equal(1, waiting())
      n[2]:propose(put("k", "new"))
      n:settle()
      n:heartbeat(2)
      assert.equal(0, waiting())
    end)

    it("goes on waiting when the leader has stepped down, and is timeout in the end", function()
      n:advance(1, 400)
      n:turn(1)
      assert.not_equal("leader", n[1]:status().role)
      assert.is_nil(n[1]:outcome(wait))
    end)

    it("is ok when the old leader is elected again and commits it", function()
      n:advance(1, 400)
      n:turn(1)
      n.down = {}
      n:elect(1)
      assert.equal("ok", (n[1]:outcome(wait)))
      assert.equal("old", n[2]:get("k"))
    end)
  end)
end)

describe("a follower", function()
  local follower

  before_each(function() follower = raft.node { self = 2, nodes = 3 } end)
  after_each(function() follower:close() end)

  local function append(fields)
    local message = { type = "append", from = 1, to = 2, term = 1, life = 7 }
    for field, value in pairs(fields) do message[field] = value end
    return message
  end

  it("appends the leader's entries, and applies what is committed"
    .. " [TestRaft_M1_FollowerHandleAppendEntries_AppendsAndApplies]", function()
      local entries = raft.encode_entries { { term = 1 }, { term = 1, command = put("a", "1") },
        { term = 1, command = put("b", "2") } }
      follower:receive(append { entries = entries, commit_index = 2 }, 5)
      follower:turn(1)
      assert.equal(3, follower:status().last_index)
      assert.equal(2, follower:status().last_applied)
      assert.same({ { index = 1, term = 1 }, { index = 2, term = 1 } }, follower:applied())
      assert.equal("1", follower:get("a"))
      assert.is_nil(follower:get("b"))
      assert.same({}, follower:sent())
      follower:synced()
      local reply = follower:sent()[1]
      assert.equal(5, reply.token)
      assert.is_true(reply.success)
      assert.equal(3, reply.match_index)
      follower:receive(append { prev_index = 3, prev_term = 1, commit_index = 3 })
      follower:turn(2)
      assert.equal("2", follower:get("b"))
    end)

  it("ignores entries that are cut short, too few, too many or no commands, and answers with nothing", function()
    local whole = raft.encode_entries { { term = 1 }, { term = 1, command = put("a", "1") } }
    local noise = ("\1"):rep(8) .. "\4\0\0\0" .. "\255\255\255\255"
    for _, case in ipairs { { whole:sub(1, -2), 2 }, { whole, 1 }, { whole, 3 }, { noise, 1 }, { "x", 1 } } do
      follower:receive(append { entries = case[1], entries_count = case[2] }, 9)
      assert.same({ { type = "nothing", token = 9 } }, follower:sent())
    end
    follower:turn(1)
    assert.equal(0, follower:status().last_index)
    assert.equal(0, follower:status().term)
  end)

  it("keeps only so many answers for its disk, in their order, and answers the rest with nothing", function()
    local held <const> = 4096
    for number = 1, held do follower:receive(append { round = number }, 1) end
    assert.same({}, follower:sent())
    follower:receive(append { round = held + 1 }, 2)
    assert.same({ { type = "nothing", token = 2 } }, follower:sent())
    follower:turn(1)
    follower:synced()
    local answers = follower:sent()
    assert.equal(held, #answers)
    for number, answer in ipairs(answers) do assert.equal(number, answer.round) end
  end)

  it("answers each request exactly once", function()
    local answers = {}
    local function collect()
      for _, message in ipairs(follower:sent()) do
        if message.token then answers[message.token] = (answers[message.token] or 0) + 1 end
      end
    end
    local entries = raft.encode_entries { { term = 1 } }
    follower:receive(append { entries = entries }, 1)
    follower:receive(append { entries = entries }, 2)
    follower:receive(append { prev_index = 8, prev_term = 1 }, 3)
    follower:receive({ type = "vote", from = 3, to = 2, term = 9, life = 3 }, 4)
    follower:receive({ type = "vote", from = 3, to = 2, term = 9, life = 3, pre = true }, 5)
    follower:receive({ type = "timeout_now", from = 3, to = 2, term = 9, life = 3 }, 6)
    follower:receive({ type = "read", from = 3, to = 2, term = 1, life = 3, id = 1 }, 7)
    collect()
    for turn = 1, 3 do
      follower:turn(turn)
      follower:synced()
      collect()
    end
    assert.same({ 1, 1, 1, 1, 1, 1, 1 }, answers)
  end)
end)

describe("a node whose storage fails", function()
  it("acknowledges nothing any more, and says so", function()
    local n <close> = nodes.new(3)
    n:elect(1)
    local wait = n[1]:propose(put("k", "v"), n.clock[1] + 100)
    n.storage[1]:fail()
    n:settle()
    assert.is_true(n[1]:failed())
    assert.is_nil(n[1]:propose(put("k", "v")))
    assert.equal("its storage failed", n[1]:status().not_ready)
    n:advance(1, 200)
    n:settle()
    assert.not_equal("ok", (n[1]:outcome(wait)))
  end)

  it("at a sync acknowledges nothing either, and answers what waits for it with nothing", function()
    local storage <close> = raft.storage()
    local node <close> = raft.node { self = 1, storage = storage }
    storage:fail_sync()
    node:receive({ type = "vote", from = 2, to = 1, term = 1, life = 3 }, 1)
    node:receive({ type = "append", from = 2, to = 1, term = 1, life = 3, entries_count = 1,
      entries = raft.encode_entries { { term = 1 } } }, 2)
    assert.same({}, node:sent())
    node:turn(1)
    assert.is_true(node:failed())
    assert.same({ { type = "nothing", token = 1 }, { type = "nothing", token = 2 } }, node:sent())
  end)

  it("does not vote", function()
    local storage <close> = raft.storage()
    local node <close> = raft.node { self = 1, storage = storage }
    storage:fail()
    node:receive({ type = "vote", from = 2, to = 1, term = 1, life = 3 }, 1)
    node:turn(1)
    for _, message in ipairs(node:sent()) do assert.equal("nothing", message.type) end
    storage:crash()
    assert.equal(0, storage:current_term())
  end)
end)

describe("a node that is closed", function()
  it("ends what waits for it, and takes on nothing new from those who hear of that", function()
    local ended, accepted = http.native("closing_node").run()
    assert.equal(3, ended)
    assert.equal(0, accepted)
  end)
end)

describe("committed entries", function()
  it("survive the leader's end and are there at the next one [TestRaft_M3_CommittedEntriesNotLostAfterLeaderChange]",
    function()
      local n <close> = nodes.new(3)
      n:elect(1)
      for count = 1, 5 do n[1]:propose(put("k" .. count, "v" .. count)) end
      n:settle()
      n.down[1] = true
      n:elect(2)
      local wait = n[2]:propose(put("k6", "v6"))
      n:settle()
      assert.equal("ok", (n[2]:outcome(wait)))
      n:restart(1)
      n:heartbeat(2)
      n:heartbeat(2)
      for number = 1, 3 do
        for count = 1, 6 do assert.equal("v" .. count, n[number]:get("k" .. count)) end
      end
    end)

  it("survive a power cut of everybody, and are applied once", function()
    local n <close> = nodes.new(3)
    n:elect(1)
    n[1]:propose(put("k", "v", { client_id = "c", seq = 1 }))
    n:settle()
    n:heartbeat(1)
    for number = 1, 3 do n:restart(number) end
    assert.is_nil(n[1]:get("k"))
    n:elect(3)
    n:heartbeat(3)
    for number = 1, 3 do
      assert.equal("v", n[number]:get("k"))
      local applied = n[number]:applied()
      for place, entry in ipairs(applied) do assert.equal(place, entry.index) end
    end
  end)
end)
