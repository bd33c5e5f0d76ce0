-- A node put together: start, stop, abrupt end; waits.
local client = require "kvserver.client"
local http = require "spec.support.http"
local nodes = require "spec.support.nodes"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

describe("a server", function()
  it("serves on the port that the system picked, and on the one that is asked for [TestServer_Run_StartStop]",
    function()
    local node <close> = http.node()
    local port = node.server:port()
    assert.is_true(port > 0)
    assert.equal(200, node:ask("GET /healthz").status)
    assert.is_true(node.server:stop(1000))
    node.server:close()
    local again <close> = http.node { listen = "127.0.0.1:" .. port }
    assert.equal(port, again.server:port())
    assert.equal(200, again:ask("GET /healthz").status)
  end)

  it("says why it cannot bind", function()
    local node <close> = http.node()
    local other, why = server.start { listen = "127.0.0.1:" .. node.server:port() }
    assert.is_nil(other)
    assert.matches("127%.0%.0%.1:" .. node.server:port(), why)
    assert.matches("in use", why)
  end)

  it("is not started when it is no member of its own cluster", function()
    local node, why = server.start { listen = "127.0.0.1:0", peers = { n2 = "127.0.0.1:1" } }
    assert.is_nil(node)
    assert.equal('"n1" is not among the members', why)
  end)

  it("raises for a configuration of a wrong type or range", function()
    local rows = {
      { { id = 1 }, "id: expected a string, got number" },
      { { id = "" }, "id: expected 1 to 63 of" },
      { { id = ("x"):rep(64) }, "id: expected 1 to 63 of" },
      { { id = "a/b" }, "id: expected 1 to 63 of" },
      { { id = "n1\0x" }, "id: expected a string without NUL" },
      { { listen = "127.0.0.1:0\0" }, "listen: expected a string without NUL" },
      { { bogus = 1 }, "bogus: unknown option$" },
      { { max_key_byte = 1 }, "max_key_byte: unknown option %(did you mean max_key_bytes%?%)" },
      { { ["max-key-bytes"] = 1 }, "did you mean max_key_bytes%?" },
      { { "n1" }, "1: unknown option$" },
      { { [true] = 1 }, "true: unknown option$" },
      { { listen = "7000" }, 'listen: expected HOST:PORT, got "7000"' },
      { { listen = "127.0.0.1:" }, "listen: expected HOST:PORT" },
      { { listen = "127.0.0.1:65536" }, "listen: expected HOST:PORT" },
      { { listen = "127.0.0.1:1x" }, "listen: expected HOST:PORT" },
      { { listen = ":1" }, "listen: expected HOST:PORT" },
      { { peers = "n1=127.0.0.1:1" }, "peers: expected a table, got string" },
      { { peers = { n1 = 1 } }, 'peers: expected a table of id = "HOST:PORT"' },
      { { peers = { ["n 1"] = "127.0.0.1:1" } }, "peers: expected ids of 1 to 63 of" },
      { { peers = { n1 = "127.0.0.1" } }, 'peers.n1: expected HOST:PORT, got "127.0.0.1"' },
      { { heartbeat_ms = 0 }, "heartbeat_ms: expected 1 to 60000, got 0" },
      { { election_ms = "300" }, 'election_ms: expected MIN%-MAX, above heartbeat_ms and up to 60000, got "300"' },
      { { election_ms = "300-300" }, "election_ms: expected MIN%-MAX" },
      { { election_ms = "50-300" }, "election_ms: expected MIN%-MAX" },
      { { fixed_leader = "n2" }, 'fixed_leader: expected one of the peers, got "n2"' },
      { { data = 1 }, "data: expected a string, got number" },
      { { data = ("x"):rep(4096) }, "data: expected at most 4095 bytes" },
      { { segment_bytes = 4095 }, "segment_bytes: expected 4096 to 1073741824, got 4095" },
      { { snapshot_threshold = -1 }, "snapshot_threshold: expected 0 to" },
      { { seed = -1 }, "seed: expected 0 to" },
      { { read_policy = "fresh" }, 'read_policy: expected "readindex" or "stale", got "fresh"' },
      { { write_mode = "lazy" }, 'write_mode: expected "sync" or "async", got "lazy"' },
      { { async_result_ttl = 0 }, "async_result_ttl: expected 1 to 86400, got 0" },
      { { async_ops_max = 1000001 }, "async_ops_max: expected 1 to 1000000, got 1000001" },
      { { max_key_bytes = "8" }, "max_key_bytes: expected an integer, got 8" },
      { { max_key_bytes = 1.5 }, "max_key_bytes: expected an integer, got 1.5" },
      { { max_key_bytes = 0 }, "max_key_bytes: expected 1 to 65535, got 0" },
      { { max_key_bytes = 65536 }, "max_key_bytes: expected 1 to 65535, got 65536" },
      { { max_value_bytes = -1 }, "max_value_bytes: expected 1 to 16777215, got %-1" },
      { { max_connections = true }, "max_connections: expected an integer, got true" },
    }
    for _, row in ipairs(rows) do assert.error_matches(function() server.start(row[1]) end, row[2]) end
    assert.error_matches(function() server.start(nil) end, "table expected")
    assert.error_matches(function() server.start({}, 1) end, "userdata expected")
  end)

  it("is of no use once closed, and can be closed again", function()
    local node = http.node()
    node.server:close()
    node.server:close()
    for _, method in ipairs { "port", "stop", "stats", "status", "snapshot", "wait_failed" } do
      assert.error_matches(function() node.server[method](node.server, "x") end, "the server is closed")
    end
  end)

  it("answers what is in flight when it stops, then closes the connection", function()
    local node <close> = http.node { request_timeout_ms = 300 }
    local waiting <close> = node:connect()
    waiting:start(http.request("GET /kv/a?min_index=2"))
    local writer <close> = node:connect()
    writer:send(http.request("PUT /kv/a", '{"value":"1"}'))
    assert.equal(200, writer:receive().status)
    local late <close> = node:connect()
    late:start(http.request("GET /kv/a?min_index=9"))
    assert.equal(200, waiting:receive().status)
    local stopping = task.spawn(function() return node.server:stop(5000) end)
    local reply = late:receive()
    assert.equal(504, reply.status)
    assert.equal("close", reply.headers.connection)
    assert.is_true(stopping:join())
    assert.same({ "", "end" }, { late:rest() })
    assert.same({ "", "end" }, { writer:rest() })
  end)

  it("goes on serving when it is told to stop where nobody can wait", function()
    local node <close> = http.node()
    local called = task.event()
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      called:set(pcall(node.server.stop, node.server))
    end)
    local _, ok, why = called:wait(5000)
    assert.is_false(ok)
    assert.matches("cannot wait inside a libuv callback", why, 1, true)
    assert.equal(200, node:ask("GET /healthz").status)
    assert.is_true(node.server:stop(1000))
  end)

  it("cuts what is not answered within the grace", function()
    local node <close> = http.node()
    local waiting <close> = node:connect()
    waiting:start(http.request("GET /kv/a?min_index=2"))
    local idle <close> = node:connect()
    idle:send(http.request("GET /healthz"))
    idle:receive()
    local started_ms = task.now_ms()
    assert.is_true(node.server:stop(50))
    assert.is_true(task.now_ms() - started_ms < 2000)
    assert.equal("", (waiting:rest()))
    assert.equal("", (idle:rest()))
  end)

  it("lets go of whoever waits in stop when it is closed under them", function()
    local node <close> = http.node()
    local waiting <close> = node:connect()
    waiting:start(http.request("GET /kv/a?min_index=2"))
    local stopping = task.spawn(function() return node.server:stop(60000) end)
    task.yield()
    node.server:close()
    assert.is_true(stopping:join())
  end)
end)

describe("waits", function()
  it("end by their own deadlines, not in their order", function()
    local slow <close> = http.node { request_timeout_ms = 60000 }
    local quick <close> = http.node { request_timeout_ms = 20 }
    local waiting <close> = slow:connect()
    waiting:start(http.request("GET /kv/a?min_index=2"))
    for _ = 1, 3 do assert.equal(504, quick:ask("GET /kv/a?min_index=2").status) end
    slow:ask("PUT /kv/a", '{"value":"1"}')
    assert.equal(200, waiting:receive().status)
  end)

  it("for many different indices end as they come", function()
    local node <close> = http.node()
    local connections = {}
    for i = 1, 20 do
      connections[i] = node:connect()
      connections[i]:send(http.request("GET /kv/a?min_index=" .. 22 - i))
    end
    for i = 20, 1, -1 do
      node:ask("PUT /kv/a", ('{"value":"%d"}'):format(21 - i))
      assert.equal(tostring(22 - i), connections[i]:receive().headers["x-raft-index"])
      connections[i].socket:close()
    end
  end)
end)

describe("the log of a server", function()
  local function fields(entries, ...)
    local found = {}
    for i, entry in ipairs(entries) do
      local values = {}
      for j, name in ipairs { ... } do values[j] = entry[name] or false end
      found[i] = values
    end
    return found
  end

  it("shows its entries: the no-op of a term, and commands", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0" })
    local c <close> = client.connect { port = node:port() }
    assert.is_true(c:put("a", "1").ok)
    assert.is_true(c:cas("a", "1", "2").ok)
    assert.same({ { 1, "noop", false }, { 2, "put", "a" }, { 3, "cas", "a" } },
      fields(node:raft_log(), "index", "op", "key"))
    assert.same({ { 2, 1, "1" } }, fields(node:raft_log(2, 2), "index", "term", "value"))
    assert.same({}, node:raft_log(4))
    assert.same({}, node:raft_log(3, 2))
  end)

  it("shows at most a thousand, and 4 MiB, at once", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0" })
    local c <close> = client.connect { port = node:port() }
    for _ = 1, 1001 do c:delete("k") end
    assert.equal(1000, #node:raft_log())
    assert.same({ { 1002 } }, fields(node:raft_log(1002), "index"))
    for _ = 1, 5 do c:put("k", ("v"):rep(1 << 20)) end
    assert.equal(3, #node:raft_log(1003))
  end)

  it("begins behind what a snapshot took away", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0", snapshot_threshold = 20 })
    local c <close> = client.connect { port = node:port() }
    for i = 1, 60 do c:put("k", tostring(i)) end
    assert(task.wait_until(function() return node:status().first_index > 1 end, 5000))
    local status = node:status()
    assert.equal(status.first_index, node:raft_log(1)[1].index)
  end)
end)

describe("transfer", function()
  it("makes another member lead", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    assert(task.wait_until(function() return c.servers[leader]:transfer(followers[1]) end, 5000))
    assert(task.wait_until(function() return c:leader() == followers[1] end, 5000))
  end)

  it("is refused by who does not lead, and for a stranger", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    assert.same({ nil, "not_leader" }, { c.servers[followers[1]]:transfer(leader) })
    assert.same({ nil, "not_found" }, { c.servers[leader]:transfer("n9") })
    assert.same({ nil, "invalid" }, { c.servers[leader]:transfer(leader) })
  end)
end)

describe("a node that stops", function()
  -- A leader that hands over to a member that is gone just now takes an election timeout for it.
  it("is not ready, and says so for as long as it answers", function()
    local c <close> = nodes.cluster()
    local leader, others = c:wait_leader()
    local connection = c:connect(leader)
    connection:send(http.request "GET /readyz")
    assert.equal(200, connection:receive().status)
    for _, other in ipairs(others) do c:crash(other) end
    local stopping = task.spawn(function() return c.servers[leader]:stop(1000) end)
    task.yield()
    connection:send(http.request "GET /readyz" .. http.request "GET /livez")
    local reply = connection:receive()
    assert.same({ 503, http.error_body("not_ready", "it is stopping; ask another member", ',"reason":"stopping"') },
      { reply.status, reply.body })
    assert.equal(200, connection:receive().status)
    assert.is_true(stopping:join())
  end)
end)
