local nodes = require "spec.raft.node.nodes"

local PUT <const> = { op = "put", key = "k", value = "v" }

local function of_type(messages, kind)
  local found = {}
  for _, message in ipairs(messages) do
    if message.type == kind then found[#found + 1] = message end
  end
  return found
end

describe("a node", function()
  local n

  before_each(function()
    n = nodes.new(3)
    n:elect(1)
  end)
  after_each(function() n:__close() end)

  it("blocks whoever waits for an index until it is applied [TestRaft_M4_WaitAppliedBlocksUntilApplied]", function()
    local wait = n[2]:wait_applied(2)
    n:settle()
    assert.is_nil(n[2]:outcome(wait))
    n[1]:propose(PUT)
    n:settle()
    assert.is_nil(n[2]:outcome(wait)) -- it holds the entry, but does not know that it is committed
    n:heartbeat(1)
    assert.equal("ok", (n[2]:outcome(wait)))
    assert.equal("v", n[2]:get("k"))
    local past = n[2]:wait_applied(1)
    n:settle()
    assert.equal("ok", (n[2]:outcome(past)))
  end)

  it("ends a wait for an index at its deadline", function()
    local wait = n[1]:wait_applied(99, n.clock[1] + 40)
    n:heartbeat(1)
    n:heartbeat(1)
    assert.equal("timeout", (n[1]:outcome(wait)))
  end)

  describe("that leads", function()
    it("answers a read when a quorum has confirmed it, with the index that was committed", function()
      n[1]:propose(PUT)
      n:settle()
      local wait = n[1]:read()
      n[1]:turn(n.clock[1])
      assert.is_nil(n[1]:outcome(wait))
      n:settle()
      assert.same({ "ok", 2 }, { n[1]:outcome(wait) })
    end)

    it("asks once for all reads of a turn", function()
      local waits = {}
      for count = 1, 20 do waits[count] = n[1]:read() end
      local messages = n:turn(1)
      assert.equal(2, #messages)
      n:deliver(messages)
      n:settle()
      for _, wait in ipairs(waits) do assert.equal("ok", (n[1]:outcome(wait))) end
    end)

    it("answers no read when it is cut off", function()
      n.down[1] = true
      local wait = n[1]:read(n.clock[1] + 5000)
      n:settle()
      n:turn(1)
      n:advance(1, 400)
      n:turn(1)
      assert.is_nil(n[1]:outcome(wait))
      n:elect(2)
      n[2]:propose(PUT)
      n:settle()
      assert.is_nil(n[1]:outcome(wait))
      n.down = {}
      n:heartbeat(2)
      n:heartbeat(2)
      assert.equal("ok", (n[1]:outcome(wait))) -- as a follower, with the new leader's index
      assert.equal("v", n[1]:get("k"))
    end)

    it("does not take answers from before the read for its confirmation", function()
      n:advance(1, 50)
      local heartbeats = of_type(n:turn(1), "append")
      assert.equal(2, #heartbeats)
      n:deliver(heartbeats)
      local early = n:turn(2)
      local wait = n[1]:read()
      n[1]:turn(n.clock[1])
      n[1]:sent()
      n:deliver(early)
      n[1]:turn(n.clock[1])
      assert.is_nil(n[1]:outcome(wait))
    end)
  end)

  describe("that follows", function()
    it("asks the leader once for all reads of a turn, and answers them when it has applied the index", function()
      n[1]:propose(PUT)
      n:settle()
      local waits = {}
      for count = 1, 20 do waits[count] = n[2]:read() end
      local asked = 0
      n:settle(function(message)
        if message.type == "read" then asked = asked + 1 end
      end)
      assert.equal(1, asked)
      for _, wait in ipairs(waits) do assert.same({ "ok", 2 }, { n[2]:outcome(wait) }) end
      assert.equal("v", n[2]:get("k"))
    end)

    -- The follower asks; the answer is kept back.
    local function ask()
      local question = of_type(n:turn(2), "read")[1]
      n:deliver { question }
      n:deliver(n:turn(1))
      n:deliver(of_type(n:turn(3), "append_reply"))
      local answer = of_type(n:turn(1), "read_reply")[1]
      assert.is_true(answer.ok)
      assert.equal(question.id, answer.id)
      return answer
    end

    it("asks again under another number when the answer is lost", function()
      local wait = n[2]:read()
      local lost = ask()
      n:advance(2, 200)
      local again = ask()
      assert.not_equal(lost.id, again.id)
      n[2]:receive(again)
      n:turn(2)
      assert.equal("ok", (n[2]:outcome(wait)))
    end)

    it("takes a late answer for what was asked for by then, and for nothing else", function()
      local wait = n[2]:read()
      local late = ask()
      n:advance(2, 200)
      local after = n[2]:read()
      ask()
      n[2]:receive(late)
      n:turn(2)
      assert.equal("ok", (n[2]:outcome(wait)))
      assert.is_nil(n[2]:outcome(after))
    end)

    it("is answered although each answer takes longer than it waits before it asks again", function()
      local wait = n[2]:read(n.clock[2] + 5000)
      local slow = {} -- { when it is due, answer }
      for _ = 1, 20 do
        for number = 1, 3 do n:advance(number, 50) end
        n:settle(function(message)
          if message.type ~= "read_reply" then return false end
          slow[#slow + 1] = { n.clock[2] + 200, message }
          return true
        end)
        if slow[1] and slow[1][1] <= n.clock[2] then n[2]:receive(table.remove(slow, 1)[2]) end
      end
      n:turn(2)
      assert.equal("follower", n[2]:status().role)
      assert.equal("ok", (n[2]:outcome(wait)))
    end)

    it("takes no answer that was for an earlier life", function()
      local wait = n[2]:read()
      local question = of_type(n:turn(2), "read")[1]
      n[2]:receive { type = "read_reply", from = 1, to = 2, term = question.term, life = 3, id = question.id,
        to_life = question.life + 2, ok = true, index = 1 }
      n:turn(2)
      assert.is_nil(n[2]:outcome(wait))
    end)

    it("refuses others' questions at once", function()
      n[2]:receive({ type = "read", from = 3, to = 2, term = 1, life = 5, id = 8 }, 4)
      local answer = n[2]:sent()[1]
      assert.equal(4, answer.token)
      assert.is_false(answer.ok)
      assert.equal(8, answer.id)
    end)

    it("asks the new leader when leadership moves", function()
      local wait = n[2]:read()
      n:turn(2) -- the question is lost
      n.down[1] = true
      n:elect(3)
      n:settle()
      assert.equal("ok", (n[2]:outcome(wait)))
    end)

    it("ends a read at its deadline when there is no leader to ask", function()
      n.down[1], n.down[3] = true, true
      local wait = n[2]:read(n.clock[2] + 500)
      n:advance(2, 700)
      n:settle()
      assert.equal("timeout", (n[2]:outcome(wait)))
      assert.same({ nil, "no_leader" }, { n[2]:read() })
    end)
  end)

  it("that just took office answers reads only when its term's first entry is committed", function()
    n.down[3] = true
    n:elect(2)
    n.down[3] = nil
    local m <close> = nodes.new(3)
    m:advance(1, 1000)
    -- elected, but the first entry goes nowhere yet
    for _ = 1, 4 do
      for number = 1, 3 do
        local messages = m:turn(number)
        local pass = {}
        for _, message in ipairs(messages) do
          if message.type ~= "append" then pass[#pass + 1] = message end
        end
        m:deliver(pass)
      end
    end
    assert.equal("leader", m[1]:status().role)
    local wait = m[1]:read()
    m:turn(1)
    m:turn(1)
    assert.is_nil(m[1]:outcome(wait))
    m:heartbeat(1)
    m:heartbeat(1)
    assert.same({ "ok", 1 }, { m[1]:outcome(wait) })
  end)
end)
