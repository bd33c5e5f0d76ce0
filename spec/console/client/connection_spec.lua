-- The console's end of an admin socket, against a node that says what the spec tells it to.
local connection = require "kvserver.console.connection"
local fake_node = require "spec.console.client.fake_node"
local json = require "kvserver.json"
local task = require "kvserver.task"

local TIMEOUT_MS <const> = 5000

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

local EVAL <const> = { ["do"] = "eval", code = "1", chunk = "=x", line = 1 }

local function ask(node, timeout_ms)
  local request <const> = {}
  for key, value in pairs(EVAL) do request[key] = value end
  return node:request(request, timeout_ms)
end

describe("a connection to a node", function()
  it("says who attaches, and learns whom it attached to", function()
    local fake <close> = fake_node.listen(fake_node.answering())
    local node <close> = assert(connection.open(fake.path, { rw = true, no_limit = true }))
    assert.same({ "n2", "follower", 7 }, { node.about.id, node.about.role, node.about.term })
    local said <const> = fake.requests[1].args[1]
    assert.same({ true, false, false }, { said.rw, said.limit, said.terminal })
  end)

  it("brings values back, and how long they took", function()
    local fake <close> = fake_node.listen(fake_node.answering(1, json.null, "two", { bytes = "/wA=" }))
    local node <close> = assert(connection.open(fake.path))
    local reply <const> = assert(ask(node))
    assert.same({ 1, json.null, "two", "\xff\0" }, reply.values)
    assert.is_true(reply.ok and reply.ms == 0.1 and reply.round_ms > 0)
  end)

  it("hands out what is printed, in order, before the reply", function()
    local fake <close> = fake_node.listen(function(session, request)
      for i = 1, 3 do session:send { event = "print", id = request.id, text = "line " .. i } end
      session:send { id = request.id, ok = true, values = json.array {} }
    end)
    local printed <const> = {}
    local node <close> = assert(connection.open(fake.path, {
      on_print = function(text) printed[#printed + 1] = text end,
    }))
    assert(ask(node))
    assert.same({ "line 1", "line 2", "line 3" }, printed)
  end)

  it("takes lines that come in pieces, and several at once", function()
    local fake <close> = fake_node.listen(function(session, request)
      session:send(('{"id":%d,"ok":true,'):format(request.id))
      session:send '"values":[7]}\n{"event":"status","id":"n2","role":"leader","term":8,"leader_id":"n2"}\n'
    end)
    local node <close> = assert(connection.open(fake.path))
    assert.same({ 7 }, assert(ask(node)).values)
    wait_until(function() return node.about.role == "leader" end)
    assert.equal(8, node.about.term)
  end)

  it("forgets what is null in an event: there is no leader any more", function()
    local fake <close> = fake_node.listen(fake_node.answering())
    local node <close> = assert(connection.open(fake.path))
    fake.sessions[1]:send { event = "status", role = "candidate", term = 9, leader_id = json.null }
    wait_until(function() return node.about.role == "candidate" end)
    assert.is_nil(node.about.leader_id)
  end)

  it("ends a statement that takes too long: the node is told, and the next one is answered", function()
    local fake <close> = fake_node.listen(function(session, request)
      if request["do"] == "cancel" then
        session:send { id = request.id, ok = false, kind = "cancelled", message = "cancelled" }
      elseif request.id > 1 then
        session:send { id = request.id, ok = true, values = json.array { 2 } }
      end
    end)
    local node <close> = assert(connection.open(fake.path))
    assert.same({ nil, "timeout" }, { ask(node, 30) })
    assert.same({ "cancel", 1 }, { fake.requests[3]["do"], fake.requests[3].id })
    assert.same({ 2 }, assert(ask(node)).values)
  end)

  it("says how it ended: who waits gets no reply", function()
    local fake <close> = fake_node.listen(function(session)
      session:send { event = "end", why = "the node stops" }
      session:close()
    end)
    local why_closed
    local node <close> = assert(connection.open(fake.path, { on_close = function(why) why_closed = why end }))
    assert.same({ nil, "the node stops" }, { ask(node) })
    assert.equal("the node stops", why_closed)
    assert.same({ nil, "the node stops" }, { ask(node) })
  end)

  it("ends when the node sends what it cannot make sense of", function()
    for _, nonsense in ipairs { "hello\n", "[1]", '{"id":1,"ok":true,"values":[{"what":1}]}\n',
      '{"id":1,"ok":true,"values":7}\n', '{"id":1,"ok":true,"values":true}\n', ("x"):rep((64 << 20) + 1) } do
      local fake <close> = fake_node.listen(function(session) session:send(nonsense .. "\n") end)
      local node <close> = assert(connection.open(fake.path))
      local reply <const>, why = ask(node)
      assert.is_nil(reply)
      assert.matches("makes no sense", why)
    end
  end)

  it("shows nothing of what the node says of itself as an order to the terminal", function()
    local order <const>, shown = "\27[2J\u{9b}31m", "\\x1b[2J\\u{9b}31m"
    local about <const> = { id = order, role = "leader", term = {}, version = order, members = json.null }
    local fake <close> = fake_node.listen(function(session)
      session:send { event = "end", why = order }
      session:close()
    end, json.encode { ok = true, result = about } .. "\n")
    local node <close> = assert(connection.open(fake.path))
    assert.same({ shown, "leader", nil, shown, nil },
      { node.about.id, node.about.role, node.about.term, node.about.version, node.about.members })
    assert.same({ nil, shown }, { ask(node) })
    local refusing <close> = fake_node.listen(nil, json.encode { ok = false, err_msg = order } .. "\n")
    assert.same({ nil, ("%s: %s"):format(refusing.path, shown) }, { connection.open(refusing.path) })
    local odd <close> = fake_node.listen(nil, '{"ok":false,"err_msg":{}}\n')
    assert.matches("makes no sense", select(2, connection.open(odd.path)))
  end)

  it("does not send what a node would not take, and says why a node went that did not take something", function()
    local fake <close> = fake_node.listen(function(session) session:send '{"ok":false,"err_msg":"request: no"}\n' end)
    local node <close> = assert(connection.open(fake.path))
    local reply <const> = assert(node:request { ["do"] = "eval", code = ("x"):rep(1 << 20), chunk = "=x", line = 1 })
    assert.same({ false, "refused", "too long: a node takes up to 1048576 bytes at once" },
      { reply.ok, reply.kind, reply.message })
    assert.equal(1, #fake.requests)
    assert.same({ nil, "request: no" }, { ask(node) })
  end)

  it("takes what is wrong with a statement as text, or leaves it out", function()
    local fake <close> = fake_node.listen(function(session, request)
      session:send { id = request.id, ok = "no", kind = "runtime", message = { list = json.array {} },
        traceback = 7, hint = { bytes = "/w==" } }
    end)
    local node <close> = assert(connection.open(fake.path))
    local reply <const> = assert(ask(node))
    assert.same({ false, nil, nil, "\xff" }, { reply.ok, reply.message, reply.traceback, reply.hint })
  end)

  it("leaves on the way what whoever takes it is not ready for, and takes all of it in the end", function()
    local COUNT <const> = 50000
    local fake <close> = fake_node.listen(function(session, request)
      for _ = 1, COUNT // 1000 do session:send(('{"event":"print","text":"x"}\n'):rep(1000)) end
      session:send { id = request.id, ok = true, values = json.array {} }
    end)
    local gate <const>, printed, most = task.event(), 0, 0
    local node <close> = assert(connection.open(fake.path))
    function node.on_print()
      gate:wait()
      printed, most = printed + 1, math.max(most, node.last_line - node.first_line)
    end
    task.spawn(function()
      wait_until(function() return node.held_up end)
      gate:set()
    end)
    assert(ask(node))
    assert.equal(COUNT, printed)
    assert.is_true(most < COUNT // 5, most .. " lines waited")
  end)

  it("is not there when the node refuses it, hangs, or has gone", function()
    local refusing <close> = fake_node.listen(nil, '{"ok":false,"err_msg":"too many connections: up to 64"}\n')
    assert.same({ nil, refusing.path .. ": too many connections: up to 64" }, { connection.open(refusing.path) })
    local hanging <close> = fake_node.listen(nil, "")
    local node, why = connection.open(hanging.path, { timeout_ms = 30 })
    assert.is_nil(node)
    assert.matches("no answer within 0.03 s", why, 1, true)
    hanging:die()
    node, why = connection.open(hanging.path)
    assert.is_nil(node)
    assert.matches("no node runs there", why, 1, true)
  end)
end)
