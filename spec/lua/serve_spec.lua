-- `kvserver` as a server: its ready line, its signals, its refusals.

local child = require "spec.support.child"
local client = require "kvserver.client"
local directory = require "spec.support.directory"
local figures = require "spec.support.figures"
local http = require "spec.support.http"
local httpclient = require "kvserver.httpclient"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local READY <const> = "^kvserver n1 ready on http://127%.0%.0%.1:(%d+)\n$"

local function start(...)
  local node = process.spawn { args = { process.self(), "--listen", "127.0.0.1:0", ... } }
  return node, tonumber(node:wait_line(READY, 20000))
end

describe("kvserver", function()
  it("prints one line when it serves, and stops with 0 on SIGINT and SIGTERM", function()
    for _, signal in ipairs { "sigint", "sigterm" } do
      local node <close>, port = start("--memory")
      local c <close> = client.connect("127.0.0.1:" .. port)
      assert.is_true(c:put("k", "v").ok)
      assert.are.equal("leader", c:status().role)
      node:kill(signal)
      local result = assert(node:wait(20000))
      assert.are.same({ 0, 0 }, { result.code, result.signal })
      assert.matches(READY, result.stdout)
    end
  end)

  it("ends at once with 130 on a second signal", function()
    local node <close>, port = start("--memory")
    -- A read that waits for an index far ahead holds the first stop up for its whole grace.
    local waiting <close> = httpclient.open { port = port }
    waiting:start { target = "/kv/k?min_index=1000000" }
    local c <close> = client.connect("127.0.0.1:" .. port)
    assert.is_true(c:healthz().ok)
    node:kill("sigint")
    assert.are.same({ nil, "timeout" }, { node:wait(200) })
    node:kill("sigterm")
    local result = assert(node:wait(1000))
    assert.are.same({ 130, 0 }, { result.code, result.signal })
  end)

  it("names the address that is in use, and ends with 1", function()
    local node <close>, port = start("--memory")
    local result = child.run { "--memory", "--listen", "127.0.0.1:" .. port }
    assert.are.equal(1, result.code)
    assert.are.equal("", result.stdout)
    assert.matches(("127.0.0.1:%d: address already in use"):format(port), result.stderr, 1, true)
    node:kill()
  end)

  it("takes its options from a file, and flags over it", function()
    local file <close> = child.file("return { id = 'x', max_key_bytes = 3, memory = true, read_policy = 'stale' }")
    local node <close>, port = start("--config", file.path, "--id", "n1")
    local c <close> = client.connect("127.0.0.1:" .. port)
    assert.are.equal("n1", c:status().id)
    assert.are.equal("stale", c:status().read_policy)
    assert.are.equal("too_large", c:put("four", "v").err_code)
    assert.is_true(c:put("key", "v").ok)
    node:kill()
  end)
end)

-- A FIFO that this process holds open at both ends, full to the brim.
local function full_fifo()
  local dir = directory.new()
  local path = dir.path .. "/fifo"
  assert(os.execute(("mkfifo '%s'"):format(path)))
  local flags = uv.constants.O_RDWR | uv.constants.O_NONBLOCK
  local fd = assert(uv.fs_open(path, flags, 0))
  for _, size in ipairs { 4096, 1 } do
    while uv.fs_write(fd, ("x"):rep(size), -1) do end
  end
  local function drain()
    local pieces = {}
    while true do
      local piece = uv.fs_read(fd, 65536, -1)
      if not piece then return table.concat(pieces) end
      pieces[#pieces + 1] = piece
    end
  end
  return setmetatable({ path = path, drain = drain }, { __close = function() uv.fs_close(fd) dir:remove() end })
end

describe("a node whose stderr nobody reads", function()
  -- A connection too many is an event for the log.
  local function connect_one_too_many(port)
    local connection <close> = http.connect(port)
    assert.matches("^HTTP/1.1 503 ", connection:rest())
  end

  it("goes on serving, and its log goes on with a count when it is read again", function()
    local fifo <close> = full_fifo()
    local node <close> = process.spawn {
      args = { process.self(), "--listen", "127.0.0.1:0", "--memory", "--max-connections", "1" },
      stderr = { path = fifo.path },
    }
    local port = tonumber(node:wait_line(READY, 20000))
    local function storm()
      local c <close> = client.connect("127.0.0.1:" .. port)
      assert(task.wait_until(function() return c:put("k", "v").ok end, 20000)) -- the one before may still be there
      connect_one_too_many(port)
      assert.is_true(c:put("k", "w").ok)
      return figures.read(c:http("GET", "/metrics").body):value "kvserver_log_lines_dropped_total"
    end
    assert.equal(1, storm())
    assert.equal(2, storm())
    assert.matches("^x+$", fifo:drain())
    assert.equal(2, storm())
    assert.matches("^ts=%S+ level=warn module=http event=too_many_connections limit=1 dropped_lines=2\n$",
      fifo:drain())
    node:kill("sigterm")
    assert.equal(0, assert(node:wait(20000)).code)
  end)
end)

describe("scenarios/smoke.lua", function()
  local function read(path)
    local file <close> = assert(io.open(path))
    return file:read("a")
  end

  it("passes", function()
    local result = child.run { "--script", "scenarios/smoke.lua" }
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.code)
  end)

  it("with an assertion broken exits 1 and shows file, line and both values", function()
    local source = read("scenarios/smoke.lua")
    local broken, count = source:gsub('"hello"', '"broken"', 1)
    assert.are.equal(1, count)
    local file <close> = child.file(broken)
    local result = child.run { file.path }
    assert.are.equal(1, result.code)
    assert.matches(file.path .. ":%d+: Expected objects to be equal", result.stderr)
    assert.matches("broken", result.stderr, 1, true)
    assert.matches("hello", result.stderr, 1, true)
  end)
end)
