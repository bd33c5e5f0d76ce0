-- A node put together: start, stop, abrupt end; waits; snapshot while it serves, restore.
local http = require "spec.support.http"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local fake_node = http.native "fake_node"

-- A directory of its own, and what to call at the end.
local function temporary_directory()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  local function remove()
    for name in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do uv.fs_unlink(path .. "/" .. name) end
    uv.fs_rmdir(path)
  end
  return path, setmetatable({}, { __close = remove })
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function names(path)
  local found = {}
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do found[#found + 1] = name end
  table.sort(found)
  return found
end

local function fill(node, count, value)
  local connection <close> = node:connect()
  for first = 1, count, 1000 do
    local entries = {}
    for i = first, math.min(count, first + 999) do
      entries[#entries + 1] = ('{"key":"k%07d","value":"%s"}'):format(i, value)
    end
    connection:send(http.request("POST /kv/mput", ('{"entries":[%s]}'):format(table.concat(entries, ","))))
    assert.equal(200, connection:receive().status)
  end
end

-- A node whose state can be replaced: no log says what it is.
local function restorable()
  return http.node(nil, fake_node.create())
end

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
      { { seed = -1 }, "seed: expected 0 to" },
      { { read_policy = "fresh" }, 'read_policy: expected "readindex" or "stale", got "fresh"' },
      { { write_mode = "async" }, 'write_mode: expected "sync", got "async"' },
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
    for _, method in ipairs { "port", "stop", "stats", "snapshot", "restore" } do
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

describe("a snapshot", function()
  it("is one file, which another node restores to the same state and bytes", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    fill(node, 5000, ("v"):rep(100))
    node:ask("PUT /kv/bin", '{"client_id":"c","seq":7,"value_base64":"/wA="}')
    local bytes, index = assert(node.server:snapshot(directory .. "/a.snap"))
    assert.equal(7, index)
    assert.equal(bytes, #read_file(directory .. "/a.snap"))
    local other <close> = restorable()
    assert.same({ bytes, index }, { other.server:restore(directory .. "/a.snap") })
    assert.same(node.server:stats(), other.server:stats())
    assert.equal('{"ok":true,"value_base64":"/wA="}', other:ask("GET /kv/bin?read=stale").body)
    node:ask("DELETE /kv/bin")
    assert(node.server:snapshot(directory .. "/a.snap"))
    assert(other.server:restore(directory .. "/a.snap"))
    assert.equal(404, other:ask("GET /kv/bin?read=stale").status)
    assert.same(node.server:stats(), other.server:stats())
    assert(other.server:snapshot(directory .. "/b.snap"))
    assert.equal(read_file(directory .. "/a.snap"), read_file(directory .. "/b.snap"))
    assert.same({ "a.snap", "b.snap" }, names(directory))
  end)

  it("is of the moment of the call, while writes go on", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    fill(node, 20000, ("v"):rep(200))
    local before = node.server:stats()
    local job = task.spawn(function() return node.server:snapshot(directory .. "/a.snap") end)
    task.yield()
    fill(node, 20000, ("w"):rep(200))
    local _, index = job:join()
    assert.equal(before.last_applied, index)
    local other <close> = restorable()
    assert(other.server:restore(directory .. "/a.snap"))
    assert.same(before, other.server:stats())
  end)

  it("that cannot be written leaves nothing behind and says why", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    local bytes, why = node.server:snapshot(directory .. "/none/a.snap")
    assert.is_nil(bytes)
    assert.matches("none/a%.snap.*No such file or directory", why)
    assert(uv.fs_mkdir(directory .. "/taken", 493))
    bytes, why = node.server:snapshot(directory .. "/taken")
    assert.is_nil(bytes)
    assert.matches("taken: it is there and not a regular file", why)
    assert.same({ "taken" }, names(directory))
    assert(uv.fs_rmdir(directory .. "/taken"))
  end)

  it("never takes the place of what is not a file, such as a link", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    local link = directory .. "/link"
    assert(uv.fs_symlink("nowhere", link))
    local bytes, why = node.server:snapshot(link)
    assert.is_nil(bytes)
    assert.matches("link: it is there and not a regular file", why)
    assert.equal("link", uv.fs_lstat(link).type)
    assert.same({ "link" }, names(directory))
    assert(uv.fs_unlink(link))
  end)

  it("is refused when too many run already", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    fill(node, 20000, ("v"):rep(200))
    local jobs, refused = {}, 0
    for i = 1, 6 do
      jobs[i] = task.spawn(function() return node.server:snapshot(directory .. "/s" .. i) end)
    end
    for _, job in ipairs(jobs) do
      local bytes, why = job:join()
      if not bytes then
        assert.equal("too many snapshots and restores at once", why)
        refused = refused + 1
      end
    end
    assert.equal(2, refused)
    assert(node.server:snapshot(directory .. "/s1"))
  end)

  it("ends properly when the server is closed meanwhile", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    fill(node, 20000, ("v"):rep(200))
    assert(node.server:snapshot(directory .. "/a.snap"))
    local other = restorable()
    local snapshot = task.spawn(function() return node.server:snapshot(directory .. "/b.snap") end)
    local restore = task.spawn(function() return other.server:restore(directory .. "/a.snap") end)
    task.yield()
    node.server:close()
    other.server:close()
    assert.is_true(snapshot:join() > 0)
    local bytes, why = restore:join()
    assert.is_nil(bytes)
    assert.matches("the server is closed", why)
    assert.equal(read_file(directory .. "/a.snap"), read_file(directory .. "/b.snap"))
  end)
end)

describe("a restore", function()
  it("is not for a node whose state is what its log says", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = http.node()
    assert(node.server:snapshot(directory .. "/a.snap"))
    assert.same({ nil, "the state of this node is what its log says; it cannot be replaced" },
      { node.server:restore(directory .. "/a.snap") })
  end)

  it("from a pipe to which nobody writes is refused, and holds nothing up", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local node <close> = restorable()
    assert(os.execute(("mkfifo '%s/pipe'"):format(directory)))
    assert.same({ nil, "line 1: ends before the trailer is complete" },
      { node.server:restore(directory .. "/pipe") })
  end)

  it("of a damaged file leaves the state as it was and names the line", function()
    local directory, remove = temporary_directory()
    local _ <close> = remove
    local path = directory .. "/a.snap"
    local source <close> = http.node()
    source:ask("POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"key":"b","value":"2"}]}')
    assert(source.server:snapshot(path))
    local node <close> = restorable()
    assert(node.server:restore(path))
    local before, text = node.server:stats(), read_file(path)
    for _, damage in ipairs { text:sub(1, -2), text:gsub('"2"', '"3"'), text .. "\n", "", "garbage\n" } do
      write_file(path, damage)
      local bytes, why = node.server:restore(path)
      assert.is_nil(bytes)
      assert.matches("line %d+", why)
      assert.same(before, node.server:stats())
    end
    local bytes, why = node.server:restore(directory .. "/none")
    assert.is_nil(bytes)
    assert.matches("open .*/none: No such file or directory", why)
    bytes, why = node.server:restore(directory)
    assert.is_nil(bytes)
    assert.matches("Is a directory", why)
    assert.equal('{"ok":true,"value":"2"}', node:ask("GET /kv/b?read=stale").body)
  end)
end)
