-- The admin socket: what it answers, whom it lets in, what becomes of its file.
local admin = require "kvserver.admin"
local admin_client = require "kvserver.admin_client"
local child = require "spec.support.child"
local client = require "kvserver.client"
local console = require "spec.support.console"
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local nodes = require "spec.support.nodes"
local process = require "kvserver.process"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local TIMEOUT_MS <const> = 10000
local CONNECTIONS_MAX <const> = 64 -- as in lua/kvserver/admin.lua

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

-- A node in this process with a socket in a directory of its own, and a client of it.
local function world(options, config, read_ms)
  local all = { listen = "127.0.0.1:0" }
  for name, value in pairs(options or {}) do all[name] = value end
  local dir <const> = directory.new()
  local path <const> = dir.path .. "/admin.sock"
  local node <const> = assert(server.start(all))
  local complete <const> = { id = "n1", log_format = "logfmt", enable_faults = all.enable_faults }
  local socket <const> = assert(admin.listen {
    path = path, node = node, config = config or complete, read_ms = read_ms,
  })
  local asker <const> = assert(admin_client.connect(path))
  return setmetatable({ dir = dir, path = path, node = node, socket = socket, client = asker }, {
    __close = function()
      asker:close()
      socket:close()
      node:close()
      dir:remove()
    end,
  })
end

-- A connection as bytes: what comes is collected in `got`; `ended` once nothing more comes.
local function connect(path)
  local self <const> = { pipe = uv.new_pipe(false), got = "", ended = false }
  local connected <const> = task.event()
  self.pipe:connect(path, function(failed) connected:set(failed) end)
  assert(select("#", connected:wait(TIMEOUT_MS)) > 0)
  function self.read()
    self.pipe:read_start(function(_, data)
      self.got = self.got .. (data or "")
      self.ended = data == nil
    end)
  end
  return setmetatable(self, { __close = function() self.pipe:close() end })
end

-- All that comes back for these bytes.
local function talk(path, text)
  local connection <close> = connect(path)
  connection.read()
  connection.pipe:write(text)
  connection.pipe:shutdown()
  wait_until(function() return connection.ended end)
  return connection.got
end

describe("the admin socket", function()
  it("answers who is there, and how the node is", function()
    local w <close> = world()
    assert.same({
      id = "n1", pid = uv.os_getpid(), version = require("kvserver.version"), cluster = "n1", members = 1,
    }, w.client:call("ping"))
    local c <close> = client.connect { port = w.node:port() }
    assert.is_true(c:put("k", "v").ok)
    local status = w.client:call("status")
    assert.same({ "n1", "leader", 2, 1 }, { status.id, status.role, status.last_applied, status.keys })
    assert.equal(w.node:stats().digest, status.state_digest)
  end)

  it("shows the log, bytes as base64", function()
    local w <close> = world()
    local c <close> = client.connect { port = w.node:port() }
    c:put("a", "\xff\0")
    c:mput { { key = "b", value = "1" }, { key = "c", value = "\xfe" } }
    local entries = w.client:call("raft_log", 2)
    assert.same({ "put", "/wA=", nil }, { entries[1].op, entries[1].value_base64, entries[1].value })
    assert.same({ { key = "b", value = "1" }, { key = "c", value_base64 = "/g==" } }, entries[2].entries)
    assert.same(1, #w.client:call("raft_log", 2, 2))
    assert.same("[]", json.encode(w.client:call("raft_log", 4)))
  end)

  it("takes snapshots, and says when there is nothing to take", function()
    local w <close> = world()
    assert.is_true(w.client:call("snapshot"))
    wait_until(function() return w.client:call("status").snapshot_index == 1 end)
    assert.same({ nil, "the newest one covers all that is applied" }, { w.client:call("snapshot") })
    assert.same({ nil, "this node leads already" }, { w.client:call("transfer", "n1") })
    assert.same({ nil, "no such member" }, { w.client:call("transfer", "n2") })
  end)

  it("answers what is pipelined in its order, and a last line without its end", function()
    local w <close> = world()
    local lines = {}
    for i = 1, 200 do lines[i] = ('{"do":"%d"}'):format(i) end
    local number = 0
    for line in talk(w.path, table.concat(lines, "\n")):gmatch("[^\n]+") do
      number = number + 1
      assert.equal(('do: no command is called "%d"'):format(number), json.decode(line).err_msg)
    end
    assert.equal(200, number)
  end)

  local refused <const> = {
    { "what is no JSON", "hello", "request: " },
    { "an empty line", "", "request: " },
    { "what is no object", "7", "request: expected an object" },
    { "no command", "{}", "do: expected the name of a command" },
    { "a command that is no name", '{"do":[]}', "do: expected the name of a command" },
    { "a command that is none", '{"do":"reboot"}', 'do: no command is called "reboot"' },
    { "what only a table has", '{"do":"__index"}', 'do: no command is called "__index"' },
    { "arguments that are no array", '{"do":"ping","args":{}}', "args: expected an array" },
    { "an argument that makes no sense", '{"do":"raft_log","args":["x"]}', "number expected, got string" },
    { "an unknown level", '{"do":"log_level","args":["loud"]}', "invalid option 'loud'" },
    { "faults without --enable-faults", '{"do":"faults.link","args":["n2"]}',
      "faults are not enabled: the node was started without --enable-faults" },
    { "to look at faults without them", '{"do":"faults.get"}', "faults are not enabled" },
  }
  describe("refuses", function()
    local w
    setup(function() w = world() end)
    teardown(function() getmetatable(w).__close() end)

    for _, case in ipairs(refused) do
      local name <const>, line <const>, message <const> = table.unpack(case)
      it(name .. ", and goes on", function()
        local first, second = talk(w.path, line .. '\n{"do":"ping"}\n'):match("^([^\n]*)\n([^\n]*)\n$")
        local answer = json.decode(first)
        assert.is_false(answer.ok)
        assert.matches(message, answer.err_msg, 1, true)
        assert.is_nil(answer.err_msg:match("%.lua"))
        assert.is_true(json.decode(second).ok)
      end)
    end

    it("a line that is too long, with or without an end, and closes", function()
      local message <const> = '{"err_msg":"request: a line has up to 65536 bytes","ok":false}\n'
      assert.equal(message, talk(w.path, (" "):rep(65537)))
      assert.equal(message, talk(w.path, (" "):rep(65537) .. '\n{"do":"ping"}\n'))
      assert.matches('^{"ok":true', talk(w.path, '{"do":"ping"}' .. (" "):rep(65536 - #'{"do":"ping"}') .. "\n"))
    end)

    it("more connections than there may be, until one ends", function()
      local connections = {}
      for i = 1, CONNECTIONS_MAX - 1 do connections[i] = connect(w.path) end -- one is the client's
      wait_until(function() return w.socket.count == CONNECTIONS_MAX end)
      assert.equal('{"err_msg":"too many connections: up to 64","ok":false}\n', talk(w.path, ""))
      for _, connection in ipairs(connections) do connection.pipe:close() end
      wait_until(function() return w.socket.count == 1 end)
      assert.matches('^{"ok":true', talk(w.path, '{"do":"ping"}\n'))
    end)
  end)

  it("is not held up by a client that does not take its answers", function()
    local w <close> = world()
    local c <close> = client.connect { port = w.node:port() }
    for _ = 1, 4 do c:put("k", ("v"):rep(1 << 20)) end
    local lazy <close> = connect(w.path)
    lazy.pipe:write(('{"do":"raft_log"}\n'):rep(1000))
    for _ = 1, 20 do assert.equal("n1", w.client:call("ping").id) end
  end)

  -- A node that counts how many snapshots are asked for in each turn of the loop.
  local function counting_node()
    local node <const>, turn = { most = 0, all = 0 }, 0
    local turns <const> = uv.new_prepare()
    turns:start(function() turn = 0 end)
    function node.snapshot()
      turn, node.all = turn + 1, node.all + 1
      node.most = math.max(node.most, turn)
      return true
    end
    return setmetatable(node, { __close = function() turns:close() end })
  end

  it("does one thing at a time, however many ask: the node has its turn in between", function()
    local dir <close> = directory.new()
    local node <close> = counting_node()
    local socket <close> = assert(admin.listen { path = dir.path .. "/a", node = node, config = { id = "n1" } })
    local connections = {}
    for i = 1, 20 do connections[i] = connect(socket.path) end
    for _, connection in ipairs(connections) do connection.pipe:write(('{"do":"snapshot"}\n'):rep(10)) end
    wait_until(function() return node.all == 200 end)
    assert.equal(1, node.most)
    for _, connection in ipairs(connections) do connection.pipe:close() end
  end)

  it("does not heap up answers that nobody takes, and forgets who is gone", function()
    local w <close> = world(nil, nil, 60000) -- nobody is to be gone for that
    local c <close> = client.connect { port = w.node:port() }
    for _ = 1, 4 do c:put("k", ("v"):rep(1 << 20)) end
    local lazy = {}
    for i = 1, 20 do
      lazy[i] = connect(w.path)
      lazy[i].pipe:write '{"do":"raft_log"}\n{"do":"raft_log"}\n'
    end
    local limit <const> = 16 << 20 -- as in lua/kvserver/admin.lua
    wait_until(function() return w.socket.unread_bytes > limit and #w.socket.requests > 10 end)
    assert.is_true(w.socket.unread_bytes < limit + (6 << 20))
    local other <const> = console.attach(w.path)
    assert.same({ 2 }, other:eval("1 + 1").values)
    other:close()
    for _, connection in ipairs(lazy) do connection.pipe:close() end
    assert.equal("n1", w.client:call("ping").id)
    wait_until(function() return w.socket.count == 1 end)
    assert.same({ 0, 0 }, { w.socket.unread_bytes, #w.socket.requests })
  end)

  it("closes a connection whose answers are not taken", function()
    local dir <close> = directory.new()
    local node <const> = { raft_log = function() return { { index = 1, value = ("v"):rep(4 << 20) } } end }
    local socket <close> = assert(admin.listen {
      path = dir.path .. "/a", node = node, config = { id = "n1" }, read_ms = 20,
    })
    local lazy <close> = connect(socket.path)
    wait_until(function() return socket.count == 1 end)
    lazy.pipe:write '{"do":"raft_log"}\n'
    wait_until(function() return socket.count == 0 end)
  end)

  it("steers the faults of its node", function()
    local w <close> = world { enable_faults = true, peers = { n1 = "127.0.0.1:0", n2 = "127.0.0.1:2" } }
    assert.is_true(w.client:call("faults.link", "n2", { cut = true, drop = 0.25 }))
    assert.is_true(w.client:call("faults.drop_next", "n2", nil, 3))
    assert.is_true(w.client:call("faults.hold", "n2"))
    local link = w.client:call("faults.get").links.n2
    assert.same({ true, 0.25, true, 3 }, { link.cut, link.drop, link.held, link.drop_next.any })
    assert.same({ nil, "delay: expected cut, delay_ms, jitter_ms, drop, dup or reorder" },
      { w.client:call("faults.link", "n2", { delay = 1 }) })
    assert.same({ nil, 'expected another member of the cluster, got "n3"' }, { w.client:call("faults.hold", "n3") })
    assert.is_true(w.client:call("faults.release", "n2"))
    assert.is_true(w.client:call("faults.link", "n2", nil))
    link = w.client:call("faults.get").links.n2
    assert.same({ false, 0, false, {} }, { link.cut, link.drop, link.held, link.drop_next })
  end)

  it("hands leadership over", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local dir <close> = directory.new()
    local socket <close> = assert(admin.listen { path = dir.path .. "/a", node = c.servers[leader],
      config = { id = leader } })
    local asker <close> = assert(admin_client.connect(socket.path))
    wait_until(function() return asker:call("transfer", followers[1]) end)
    wait_until(function() return c:leader() == followers[1] end)
    assert.same({ nil, "this node does not lead" }, { asker:call("transfer", followers[2]) })
  end)
end)

describe("the file of the admin socket", function()
  local function listen(path)
    return admin.listen { path = path, node = false, config = { id = "n1" } }
  end

  it("is for the owner alone, and goes with the socket", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/a"
    local socket <const> = assert(listen(path))
    assert.equal(tonumber("600", 8), uv.fs_lstat(path).mode & tonumber("777", 8))
    socket:close()
    assert.is_nil((uv.fs_lstat(path)))
  end)

  it("is not taken from one that lives", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/a"
    local socket <close> = assert(listen(path))
    assert.same({ nil, path .. ": another process listens there" }, { listen(path) })
    assert.same("n1", assert(admin_client.connect(socket.path)):call("ping").id)
  end)

  it("takes the place of one that a dead process left", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/a"
    local fd <const> = assert(require("kvserver.unixsocket").bind(path))
    assert(uv.fs_close(fd))
    local socket <close> = assert(listen(path))
    assert.same("n1", assert(admin_client.connect(socket.path)):call("ping").id)
  end)

  it("takes the place of nothing else", function()
    local dir <close> = directory.new()
    dir:write("a", "precious")
    assert.same({ nil, dir.path .. "/a: something that is no socket is there" }, { listen(dir.path .. "/a") })
    assert.equal("precious", dir:read("a"))
  end)

  it("stays when it is another's by now", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/a"
    local socket <const> = assert(listen(path))
    assert(uv.fs_unlink(path))
    local other <close> = assert(listen(path))
    socket:close()
    assert.same("n1", assert(admin_client.connect(other.path)):call("ping").id)
  end)

  it("has a path that a socket can have", function()
    local path <const> = "/tmp/" .. ("x"):rep(103)
    assert.same({ nil, path .. ": a socket's path has up to 107 bytes" }, { listen(path) })
  end)
end)

describe("a client of the admin socket", function()
  it("says why it cannot connect", function()
    local dir <close> = directory.new()
    local c, why = admin_client.connect(dir.path .. "/none")
    assert.is_nil(c)
    assert.equal(dir.path .. "/none: ENOENT", why:match("^.*ENOENT"))
  end)

  it("says when the node goes, to who waits and to who asks then", function()
    local w <close> = world()
    local asked <const> = task.spawn(function() return w.client:call("ping") end)
    task.yield()
    w.socket:close()
    assert.same({ nil, "the connection is closed" }, { asked:join() })
    assert.same({ nil, "the connection is closed" }, { w.client:call("ping") })
  end)

  it("does not wait longer than it was told", function()
    local dir <close> = directory.new()
    local silent <const> = uv.new_pipe(false)
    assert(silent:bind(dir.path .. "/a"))
    assert(silent:listen(1, function() end))
    local c <close> = assert(admin_client.connect(dir.path .. "/a", 50))
    assert.same({ nil, "timeout" }, { c:call("ping") })
    silent:close()
  end)
end)

describe("kvserver's admin socket", function()
  local function start(...)
    local node = process.spawn { args = { process.self(), "--listen", "127.0.0.1:0", ... } }
    node:wait_line("ready on http://127%.0%.0%.1:(%d+)\n", 20000)
    return node
  end

  it("is in the data directory, goes with a clean stop, and comes back after a kill", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/d/admin.sock"
    do
      local node <close> = start("--data", dir.path .. "/d")
      local c <close> = assert(admin_client.connect(path))
      assert.equal(node.pid, c:call("ping").pid)
      node:kill("sigterm")
      assert.equal(0, assert(node:wait(TIMEOUT_MS)).code)
      assert.is_nil((uv.fs_lstat(path)))
    end
    do
      local node <close> = start("--data", dir.path .. "/d")
      node:kill()
      node:wait(TIMEOUT_MS)
      assert.truthy(uv.fs_lstat(path))
    end
    local node <close> = start("--data", dir.path .. "/d")
    local c <close> = assert(admin_client.connect(path))
    assert.equal(node.pid, c:call("ping").pid)
  end)

  it("is not there when its path would be too long or is taken, which the node says, and serves", function()
    local dir <close> = directory.new()
    for _, name in ipairs { ("x"):rep(97), "d" } do
      local data <const> = dir.path .. "/" .. name
      assert(uv.fs_mkdir(data, 448))
      assert(uv.fs_mkdir(data .. "/admin.sock", 448))
      local node <close> = start("--data", data)
      wait_until(function() return node.stderr:find("no_socket", 1, true) end)
    end
  end)

  it("of a node in memory is where it is told to be; it sets what is logged, and faults", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/a"
    local node <close> = start("--memory", "--admin-socket", path, "--enable-faults", "--log-format", "json")
    local c <close> = assert(admin_client.connect(path))
    assert.same({}, c:call("faults.get").links)
    assert.same({ nil, 'expected another member of the cluster, got "n2"' }, { c:call("faults.hold", "n2") })
    wait_until(function()
      local line = node.stderr:match('[^\n]*"event":"fault"[^\n]*')
      return line and line:find('"args":"[\\"n2\\"]"', 1, true) and line:find('"do":"faults.hold"', 1, true)
    end)
    assert.is_true(c:call("log_level", "error"))
    c:call("faults.hold", "n3")
    assert.is_true(c:call("log_level", "info"))
    c:call("faults.hold", "n4")
    wait_until(function() return node.stderr:find("n4", 1, true) end)
    assert.is_nil(node.stderr:find("n3", 1, true))
  end)

  it("ends the start of a node that cannot have it", function()
    local file <close> = child.file("precious")
    local result = child.run { "--memory", "--listen", "127.0.0.1:0", "--admin-socket", file.path }
    assert.equal(1, result.code)
    assert.equal("", result.stdout)
    assert.matches(file.path .. ": something that is no socket is there", result.stderr, 1, true)
  end)
end)
