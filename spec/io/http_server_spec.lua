local httpclient = require "kvserver.httpclient"
local json = require "kvserver.json"
local process = require "kvserver.process"
local server = require "kvserver.server"
local task = require "kvserver.task"

local directory = require "spec.support.directory"

local GET <const> = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"

local function start(options)
  options = options or {}
  options.listen = options.listen or "127.0.0.1:0"
  return assert(server.start(options))
end

local function connect(node)
  return httpclient.raw { port = node:port() }
end

-- One answer with a Content-Length: its head and its body.
local function answer(socket, timeout_ms)
  local head, why = socket:receive { until_ = "\r\n\r\n", timeout_ms = timeout_ms }
  if why then return nil, why, head end
  local length = math.tointeger(tonumber(head:match("Content%-Length: (%d+)")))
  return head, length > 0 and socket:receive { until_ = length, timeout_ms = timeout_ms } or ""
end

local function status(socket, timeout_ms)
  local head, why = answer(socket, timeout_ms)
  return head and head:match("^HTTP/1%.1 (%d+) ") or why
end

local function proc(file, pattern)
  local f <close> = assert(io.open("/proc/" .. file))
  return f:read("a"):match(pattern)
end

local function resident_kib()
  collectgarbage()
  return tonumber(proc("self/status", "VmRSS:%s*(%d+) kB"))
end

-- A sanitizer keeps freed memory on purpose, and is slow.
local SANITIZED <const> = proc("self/maps", "lib[at]san") ~= nil

local function assert_grown_less(limit_kib, before_kib)
  local grown_kib = resident_kib() - before_kib
  if SANITIZED then return end
  assert.is_true(grown_kib < limit_kib, grown_kib .. " KiB more")
end

-- User and system time of a process, in ticks of 10 ms.
local function cpu_ticks(pid)
  local user, system = proc(pid .. "/stat", "^.*%) %u" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  return tonumber(user) + tonumber(system)
end

describe("HTTP server", function()
  it("answers pipelined requests in their order", function()
    local node <close> = start()
    local s <close> = connect(node)
    local requests = {}
    for i = 1, 300 do
      requests[i] = ("PUT /kv/k%d HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n{\"value\":\"%03d\"}"):format(i, i)
        .. ("GET /kv/k%d HTTP/1.1\r\nHost: h\r\n\r\n"):format(i)
    end
    s:send(table.concat(requests))
    for i = 1, 300 do
      local _, put = answer(s)
      local _, get = answer(s)
      assert.equal('{"ok":true}', put)
      assert.equal(("%03d"):format(i), json.decode(get).value)
    end
  end)

  it("answers what is complete when the client closes its side, then closes", function()
    local node <close> = start()
    local s <close> = connect(node)
    s:send(GET .. GET .. "GET /heal")
    s:shutdown()
    local text, why = s:receive {}
    assert.equal("end", why)
    local _, answers = text:gsub("HTTP/1%.1 200 ", "")
    assert.equal(2, answers)
  end)

  it("goes on after a client resets in the middle of a request or before its answer", function()
    local node <close> = start()
    for _, text in ipairs { "", "GE", GET, "PUT /kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf" } do
      local s = connect(node)
      s:send(text)
      s:receive { until_ = 1, timeout_ms = 5 }
      s:reset()
    end
    local s <close> = connect(node)
    s:send(GET)
    assert.equal("200", status(s))
  end)

  it("delivers the answer to a refused body while the client still sends it", function()
    local node <close> = start { max_body_bytes = 1000 }
    local s <close> = connect(node)
    s:send("PUT /kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n")
    for _ = 1, 30 do -- more bytes follow the answer: closing over them would reset it away
      s:send(("x"):rep(30000))
      task.yield()
    end
    assert.equal("413", status(s))
    local _, why = s:receive {}
    assert.equal("end", why)
  end)

  it("delivers it, however much larger than the limit the body is", function()
    local node <close> = start { max_body_bytes = 1000 }
    local s <close> = connect(node)
    s:send("PUT /kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n")
    local piece = ("x"):rep(65536)
    for _ = 1, 128 do
      s:send(piece)
      task.yield()
    end
    s:shutdown()
    assert.equal("413", status(s))
    local _, why = s:receive {}
    assert.equal("end", why)
  end)

  it("drops a client that sends on for more than two seconds after its last answer", function()
    local node <close> = start()
    local s <close> = connect(node)
    s:send("nonsense\r\n\r\n")
    assert.equal("400", status(s))
    local start_ms = task.now_ms()
    local gone
    while not gone and task.now_ms() - start_ms < 5000 do
      gone = not s:send("x") or select(2, s:receive { until_ = 1, timeout_ms = 20 }) == "closed"
    end
    assert.is_true(gone)
    assert.is_true(task.now_ms() - start_ms >= 1900, "took " .. task.now_ms() - start_ms)
  end)

  it("answers 408 to a request that does not arrive in time, and closes", function()
    local node <close> = start { request_timeout_ms = 80 }
    local s <close> = connect(node)
    local start_ms = task.now_ms()
    s:send("GET /healthz HTTP/1.1\r\nHo")
    local head, body = answer(s)
    assert.matches("^HTTP/1%.1 408 ", head)
    assert.equal("request_timeout", json.decode(body).err_code)
    local took_ms = task.now_ms() - start_ms
    assert.is_true(took_ms >= 80 and took_ms < 1000, "took " .. took_ms)
    assert.equal("end", select(2, s:receive {}))
  end)

  it("does not prolong the deadline for a client that drips", function()
    local node <close> = start { request_timeout_ms = 150 }
    local s <close> = connect(node)
    local dripping = task.spawn(function()
      for byte in GET:gmatch(".") do
        s:send(byte)
        task.sleep(10)
      end
    end)
    assert.equal("408", status(s))
    dripping:cancel()
  end)

  it("closes an idle connection without a word", function()
    local node <close> = start { idle_timeout_ms = 80 }
    local fresh <close> = connect(node)
    local used <close> = connect(node)
    used:send(GET)
    assert.equal("200", status(used))
    for _, s in ipairs { fresh, used } do
      local text, why = s:receive { timeout_ms = 2000 }
      assert.same({ "", "end" }, { text, why })
    end
  end)

  it("stops reading from a client that does not take its answers, and cuts it after the idle timeout", function()
    local node <close> = start { idle_timeout_ms = 300, max_connections = 2 }
    local c <close> = httpclient.open { port = node:port() }
    c:request { method = "PUT", target = "/kv/big", body = json.encode { value = ("v"):rep(200000) } }
    local greedy <close> = connect(node)
    local wanted = ("GET /kv/big HTTP/1.1\r\nHost: h\r\n\r\n"):rep(20000) -- 4 GB of answers
    greedy:send(wanted)
    local before_kib = resident_kib()
    local start_ms = task.now_ms()
    local cut
    while not cut and task.now_ms() - start_ms < 5000 do
      assert.equal(200, c:request({ target = "/healthz" }).status) -- the others do not notice
      local probe <close> = connect(node)
      probe:send(GET)
      cut = status(probe) == "200" -- there is room for a second connection
    end
    assert_grown_less(20000, before_kib)
    assert.is_true(cut, "still connected")
    assert.is_true(task.now_ms() - start_ms >= 300)
  end)

  it("lets a slow reader have all of its answers", function()
    local node <close> = start()
    local c <close> = httpclient.open { port = node:port() }
    c:request { method = "PUT", target = "/kv/big", body = json.encode { value = ("v"):rep(1000000) } }
    local slow <close> = connect(node)
    slow:send(("GET /kv/big HTTP/1.1\r\nHost: h\r\n\r\n"):rep(30))
    task.sleep(30) -- the server is now full of output
    for _ = 1, 30 do
      local head, body = answer(slow)
      assert.matches("^HTTP/1%.1 200 ", head)
      assert.equal(1000022, #body)
    end
  end)

  it("answers 503 overloaded to connections beyond the limit, and accepts again when one has left", function()
    local node <close> = start { max_connections = 3 }
    local inside = { connect(node), connect(node), connect(node) }
    for _, s in ipairs(inside) do
      s:send(GET)
      assert.equal("200", status(s))
    end
    local outside <close> = connect(node)
    outside:send(GET)
    local head, body = answer(outside)
    assert.matches("^HTTP/1%.1 503 ", head)
    assert.matches("\r\nRetry%-After: 1\r\n", head)
    assert.matches("\r\nConnection: close\r\n", head)
    local problem = json.decode(body)
    assert.same({ false, "overloaded" }, { problem.ok, problem.err_code })
    assert.equal("end", select(2, outside:receive {}))
    inside[1]:close()
    local deadline_ms = task.now_ms() + 2000
    local answered
    repeat
      local again <close> = connect(node)
      again:send(GET)
      answered = status(again)
    until answered == "200" or task.now_ms() > deadline_ms
    assert.equal("200", answered)
    inside[2]:close()
    inside[3]:close()
  end)

  it("does not grow by thousands of connections opened and closed", function()
    local node <close> = start()
    local function visit(count)
      for _ = 1, count do
        local s <close> = connect(node)
        s:send(GET)
        assert.equal("200", status(s))
      end
    end
    visit(SANITIZED and 100 or 1000)
    local before_kib = resident_kib()
    visit(SANITIZED and 1000 or 4000)
    assert_grown_less(400, before_kib)
  end)

  it("holds a thousand connections at once and gives their memory back", function()
    local node <close> = start()
    local function crowd()
      local sockets = {}
      for i = 1, 1000 do
        sockets[i] = connect(node)
        sockets[i]:send(GET)
      end
      for _, s in ipairs(sockets) do assert.equal("200", status(s)) end
      for _, s in ipairs(sockets) do s:close() end
    end
    crowd()
    local before_kib = resident_kib()
    for _ = 1, SANITIZED and 0 or 3 do crowd() end
    assert_grown_less(2048, before_kib)
  end)

  it("waits quietly when descriptors run out, and accepts again when there are some", function()
    local node <close> = process.spawn { args = { "/bin/sh", "-c",
      "ulimit -n 48; exec " .. process.self() .. " --memory --listen 127.0.0.1:0" } }
    local port = math.tointeger(tonumber((node:wait_line("ready on http://[^:]+:(%d+)", 10000))))
    local crowd = {}
    for i = 1, 80 do
      crowd[i] = httpclient.raw { port = port }
      crowd[i]:send(GET)
    end
    assert.equal("200", status(crowd[1]))
    local pid = node.pid
    assert.equal("timeout", status(crowd[80], 100))
    local before = cpu_ticks(pid)
    assert.equal("timeout", status(crowd[80], 500))
    assert.is_true(cpu_ticks(pid) - before < 15, "spins")
    local _, warnings = node.stderr:gsub("accept_failed", "")
    assert.equal(1, warnings)
    for i = 1, 60 do crowd[i]:close() end
    assert.equal("200", status(crowd[80]))
    for i = 61, 80 do crowd[i]:close() end
  end)

  it("leaves descriptors for the log, however many connections there are", function()
    local home <close> = directory.new()
    local node <close> = process.spawn { args = { "/bin/sh", "-c", "ulimit -n 64; exec " .. process.self()
      .. " --segment-bytes 4096 --listen 127.0.0.1:0 --data " .. home.path .. "/n1" } }
    local port = math.tointeger(tonumber((node:wait_line("ready on http://[^:]+:(%d+)", 10000))))
    local writer <close> = httpclient.open { port = port }
    local crowd = {}
    assert.equal(200, writer:request { method = "PUT", target = "/kv/a", body = '{"value":"b"}' }.status)
    for i = 1, 80 do
      crowd[i] = httpclient.raw { port = port }
      crowd[i]:send(GET)
    end
    for _ = 1, 40 do -- each a good part of a segment
      local body <const> = '{"value":"' .. ("x"):rep(1000) .. '"}'
      assert.equal(200, writer:request { method = "PUT", target = "/kv/a", body = body }.status)
    end
    for i = 1, 80 do crowd[i]:close() end
  end)

  it("says which address it cannot listen on, and why", function()
    local node <close> = start()
    local second, why = server.start { listen = "127.0.0.1:" .. node:port() }
    assert.is_nil(second)
    assert.equal(("listen 127.0.0.1:%d: address already in use"):format(node:port()), why)
    local foreign, what = server.start { listen = "192.0.2.1:7000" }
    assert.is_nil(foreign)
    assert.equal("listen 192.0.2.1:7000: address not available", what)
    local nameless, which = server.start { listen = "no-such-host.invalid:7000" }
    assert.is_nil(nameless)
    assert.matches("^listen no%-such%-host%.invalid:7000: ", which)
  end)

  it("listens on a name, and on IPv6", function()
    local named <close> = start { listen = "localhost:0" }
    local c <close> = httpclient.open { host = "localhost", port = named:port() }
    assert.equal(200, c:request({ target = "/healthz" }).status)
    local six, why = server.start { listen = "[::1]:0" }
    if not six then return pending("no IPv6 here: " .. why) end
    local c6 <close> = httpclient.open { host = "::1", port = six:port() }
    assert.equal(200, c6:request({ target = "/healthz" }).status)
    six:close()
  end)

  it("frees its port when it is closed", function()
    local node = start()
    local port = node:port()
    local s <close> = connect(node)
    s:send(GET)
    assert.equal("200", status(s))
    node:close()
    local again <close> = start { listen = "127.0.0.1:" .. port }
    assert.equal(port, again:port())
    assert.is_not_nil(select(2, s:receive {}))
  end)

  -- Waits on the server until min_index is reached, which it never is, or the request's time is over.
  local WAITING <const> = "GET /kv/a?min_index=99 HTTP/1.1\r\nHost: h\r\n\r\n"

  it("answers what clients have sent by the time it stops, on connections that were idle, too", function()
    local node <close> = start()
    local sockets = {}
    for i = 1, 20 do
      sockets[i] = connect(node)
      sockets[i]:send(GET)
      assert.equal("200", status(sockets[i]))
    end
    for _, s in ipairs(sockets) do s:send(GET) end
    node:stop(4000) -- has not read them yet
    for _, s in ipairs(sockets) do
      assert.equal("200", status(s))
      s:close()
    end
  end)

  it("stops with the answers to what is in flight, closes idle connections, refuses new ones", function()
    local node <close> = start { request_timeout_ms = 150 }
    local busy <close> = connect(node)
    local idle <close> = connect(node)
    busy:send(GET .. WAITING)
    idle:send(GET)
    assert.equal("200", status(busy))
    assert.equal("200", status(idle))
    local start_ms = task.now_ms()
    node:stop(4000)
    assert.is_true(task.now_ms() - start_ms < 2000)
    local head = answer(busy)
    assert.matches("^HTTP/1%.1 504 ", head)
    assert.matches("\r\nConnection: close\r\n", head)
    assert.equal("end", select(2, busy:receive {}))
    assert.equal("end", select(2, idle:receive {}))
    local late <close> = connect(node)
    assert.equal("closed", select(2, late:receive {}))
  end)

  it("cuts at the end of the grace what is not answered", function()
    local node <close> = start { request_timeout_ms = 60000 }
    local busy <close> = connect(node)
    busy:send(GET .. WAITING)
    assert.equal("200", status(busy))
    local start_ms = task.now_ms()
    node:stop(200)
    local took_ms = task.now_ms() - start_ms
    assert.is_true(took_ms >= 200 and took_ms < 1500, "took " .. took_ms)
    assert.equal("", (busy:receive {}))
  end)
end)
