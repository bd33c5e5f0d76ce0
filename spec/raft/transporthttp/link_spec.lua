local fake_server = require "spec.io.fake_server"
local raft = require "kvserver.raft"
local raftrpc = require "kvserver.raftrpc"
local rpc = require "spec.raft.transporthttp.rpc"
local task = require "kvserver.task"

local PIPELINE_MAX <const> = 64

local function requests_in(input)
  return select(2, input:gsub("POST /raft/", ""))
end

describe("Raft link", function()
  it("sends everything over one connection, and gives answers in order", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() })
    for term = 1, 30 do
      a:send { type = "vote", to = 2, term = term, last_index = 0, last_term = 0 }
    end
    for term = 1, 30 do
      local came = rpc.take(b)
      assert.equal(term, came.message.term)
      b:reply(came.token, { type = "vote_reply", from = 2, to = 1, term = term })
    end
    for term = 1, 30 do assert.equal(term, rpc.take(a).message.term) end
  end)

  it("drops what exceeds the pipeline, and goes on when there is room", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() })
    for term = 1, PIPELINE_MAX + 20 do a:send { type = "vote", to = 2, term = term } end
    local tokens = {}
    for i = 1, PIPELINE_MAX do tokens[i] = rpc.take(b).token end
    for i = 1, PIPELINE_MAX do b:reply(tokens[i], { type = "vote_reply", from = 2, to = 1, term = i }) end
    for term = 1, PIPELINE_MAX do assert.equal(term, rpc.take(a).message.term) end
    a:send { type = "vote", to = 2, term = 1000 }
    assert.equal(1000, rpc.take(b).message.term) -- the 20 never came
  end)

  it("drops entries while too many bytes are in flight", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() }, { timeout_ms = 60000 })
    local command = { op = "put", key = "k", value = ("v"):rep(1 << 20) }
    local entries = raft.encode_entries { { term = 1, command = command } }
    for index = 1, 40 do a:send({ type = "append", to = 2, term = 1, prev_index = index }, entries) end
    a:send { type = "vote", to = 2, term = 2 } -- it is small, so it still fits
    local count = 0
    while rpc.take(b).message.type == "append" do count = count + 1 end
    assert.equal(31, count) -- of a little more than 1 MiB each; 32 MiB may be in flight
  end)

  it("tells once that the peer cannot be reached, and sends nothing until the backoff is over", function()
    local dead = rpc.serve "n2"
    local port = dead:port()
    dead:close()
    local a <close> = rpc.serve("n1", { n2 = port })
    for _ = 1, 5 do a:send(rpc.messages.vote) end
    assert.equal(2, rpc.take(a).down)
    assert.is_nil(a:take())
    a:send(rpc.messages.vote)
    task.yield()
    assert.is_nil(a:take())
  end)

  it("waits longer from failure to failure, up to a bound", function()
    local connections = 0
    local fake <close> = fake_server.start(function(connection)
      connections = connections + 1
      connection:close()
    end)
    local a <close> = rpc.serve("n1", { n2 = fake.port })
    local deadline = task.now_ms() + 600
    local downs = {}
    while task.now_ms() < deadline do
      a:send(rpc.messages.vote)
      local event = a:take()
      if event then downs[#downs + 1] = task.now_ms() end
      task.sleep(1)
    end
    -- 5 to 10, 10 to 20, ... 160 to 320 ms: without them there would be hundreds.
    assert.is_true(#downs >= 3 and #downs <= 10, tostring(#downs))
    assert.is_true(connections >= #downs)
    local first, last = downs[2] - downs[1], downs[#downs] - downs[#downs - 1]
    assert.is_true(last > first, ("%d, then %d"):format(first, last))
  end)

  it("reaches the peer again when it is back", function()
    local b = rpc.serve "n2"
    local port = b:port()
    local a <close> = rpc.serve("n1", { n2 = port })
    a:send(rpc.messages.vote)
    rpc.take(b)
    b:close()
    assert.equal(2, rpc.take(a).down)
    local again <close> = rpc.serve("n2", nil, { port = port })
    local came = task.wait_until(function()
      a:send(rpc.messages.vote)
      return again:take()
    end, rpc.TIMEOUT_MS)
    assert.equal("vote", came.message.type)
  end)

  it("gives up a connection whose answers are late", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() }, { timeout_ms = 50 })
    a:send(rpc.messages.vote)
    rpc.take(b)
    assert.equal(2, rpc.take(a).down)
  end)

  local answers <const> = {
    { "a refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
    { "what is no HTTP", "nonsense\r\n\r\n" },
    { "a body that is no message", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" },
    { "a huge body", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" },
  }
  for _, case in ipairs(answers) do
    it(("takes %s for a failure"):format(case[1]), function()
      local fake <close> = fake_server.start(function(connection, input)
        if requests_in(input) == 1 then connection:write(case[2]) end
      end)
      local a <close> = rpc.serve("n1", { n2 = fake.port })
      a:send(rpc.messages.vote)
      assert.equal(2, rpc.take(a).down)
      assert.is_nil(a:take())
    end)
  end

  it("refuses the answer of another node at the peer's address", function()
    local c <close> = rpc.serve "n3"
    local a <close> = rpc.serve("n1", { n2 = c:port() })
    a:send(rpc.messages.vote)
    assert.equal(2, rpc.take(a).down)
    assert.is_nil(c:take()) -- it was not even asked: the request says whom it is meant for
  end)

  it("refuses an answer that is signed by another node or for another node", function()
    for _, signed in ipairs { { from = 3, to = 1 }, { from = 2, to = 3 } } do
      local reply = { type = "vote_reply", from = signed.from, to = signed.to, term = 1, granted = true }
      local body = raftrpc.encode("binary", rpc.cluster "n3", reply)
      local fake <close> = fake_server.start(function(connection, input)
        if requests_in(input) ~= 1 then return end
        connection:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
      end)
      local a <close> = rpc.serve("n1", { n2 = fake.port })
      a:send(rpc.messages.vote)
      assert.equal(2, rpc.take(a).down)
      assert.is_nil(a:take())
    end
  end)

  it("keeps the connection when the peer has nothing to say", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() })
    a:send(rpc.messages.vote)
    b:reply(rpc.take(b).token)
    a:send(rpc.messages.read)
    assert.equal("read", rpc.take(b).message.type)
    assert.is_nil(a:take())
  end)
end)
