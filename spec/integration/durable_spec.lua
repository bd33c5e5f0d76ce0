-- Nodes on data directories, as processes and inside this one: what was acknowledged is there after any end.
local child = require "spec.support.child"
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local nodes = require "spec.support.nodes"
local process = require "kvserver.process"
local server = require "kvserver.server"
local task = require "kvserver.task"

local START_MS <const> = 20000

local function start(data, ...)
  local node = process.spawn {
    args = { process.self(), "--data", data, "--listen", "127.0.0.1:0", "--segment-bytes", "65536", ... },
  }
  return node, math.tointeger(node:wait_line("ready on http://127.0.0.1:(%d+)", START_MS))
end

local function connect(port)
  return client.connect("127.0.0.1:" .. port)
end

describe("a node with a data directory", function()
  for _, signal in ipairs { "sigkill", "sigterm" } do
    it("keeps what it acknowledged over " .. signal, function()
      local home <close> = directory.new()
      local data <const> = home.path .. "/n1"
      local node <close>, port = start(data)
      do
        local c <close> = connect(port)
        for i = 1, 50 do assert.is_true(c:put("k" .. i, "v" .. i, { client_id = "me", seq = i }).ok) end
        assert.equal(1, c:delete("k7", { client_id = "me", seq = 51 }).deleted)
      end
      node:kill(signal)
      assert(node:wait(START_MS))
      local again <close>, port_now = start(data)
      local c <close> = connect(port_now)
      assert.equal("v50", c:get("k50").value)
      assert.is_nil(c:get("k7").value)
      local repeated = c:delete("k7", { client_id = "me", seq = 51 })
      assert.equal(1, repeated.deleted)
      assert.equal("same", repeated.replay)
      again:kill("sigterm")
      assert.equal(0, again:wait(START_MS).code)
    end)
  end

  it("starts from its newest snapshot, and keeps its log and its directory small", function()
    local home <close> = directory.new()
    local data <const> = home.path .. "/n1"
    local options <const> = { "--snapshot-threshold", "200", "--segment-bytes", "16384" }
    local node <close>, port = start(data, table.unpack(options))
    local digest
    do
      local c <close> = connect(port)
      for i = 1, 1500 do c:put("k" .. i % 20, ("v"):rep(100) .. i) end
      local status = assert(task.wait_until(function()
        local status = c:status()
        return status.snapshot_index > 1000 and status
      end, START_MS))
      assert.is_true(status.first_index > 1)
      digest = status.state_digest
    end
    node:kill()
    assert(node:wait(START_MS))
    local again <close>, port_now = start(data, table.unpack(options))
    local c <close> = connect(port_now)
    local status <const> = c:status()
    assert.equal(digest, status.state_digest)
    assert.is_true(status.snapshot_index > 1000)
    local size = tonumber((process.run { args = { "du", "-sb", data } }).stdout:match("%d+"))
    assert.is_true(size < 300000, size)
    again:kill()
  end)
end)

describe("a data directory", function()
  local home, data

  before_each(function()
    home = directory.new()
    data = home.path .. "/n1"
    local node <close> = start(data)
    node:kill("sigterm")
    assert(node:wait(START_MS))
  end)
  after_each(function() directory.remove(home.path) end)

  local function refused(pattern, ...)
    local result = child.run { "--data", data, "--listen", "127.0.0.1:0", ... }
    assert.equal(4, result.code, result.stderr)
    assert.equal("", result.stdout)
    assert.matches(data, result.stderr, 1, true)
    assert.matches(pattern, result.stderr)
  end

  local function write_file(name, text)
    local file <close> = assert(io.open(data .. "/" .. name, "wb"))
    file:write(text)
  end

  it("of another node id is refused", function()
    refused("FORMAT: .*n1", "--id", "n2")
  end)

  it("of another set of peers is refused, but their addresses may change", function()
    refused("FORMAT: .*peers", "--peers", "n1=127.0.0.1:1,n2=127.0.0.1:2,n3=127.0.0.1:3", "--listen", "127.0.0.1:1")
    local node <close> = start(data, "--peers", "n1=127.0.0.1:0")
    node:kill()
  end)

  it("of another kind of leadership is refused", function()
    refused("FORMAT: .*fixed.leader", "--fixed-leader", "n1")
  end)

  it("that is in use is refused, with the pid of who uses it", function()
    local node <close> = start(data)
    refused("in use by process " .. node.pid)
    node:kill()
  end)

  it("of a newer format is refused", function()
    write_file("FORMAT", '{"format":2,"id":"n1","peers":["n1"],"fixed_leader":""}\n')
    refused("FORMAT: .*2")
  end)

  it("whose FORMAT cannot be read is refused", function()
    write_file("FORMAT", "{")
    refused("FORMAT")
  end)

  it("that holds something else is refused", function()
    os.remove(data .. "/FORMAT")
    refused("FORMAT")
  end)

  it("whose log is damaged is refused, with the file, the offset and what to do", function()
    local name <const> = "wal/0000000000000001.wal"
    local file <close> = assert(io.open(data .. "/" .. name, "r+b"))
    file:seek("set", 20)
    file:write("\xff")
    file:close()
    refused("wal/0000000000000001.wal")
  end)

  it("whose parent is not there is a plain failure", function()
    local result = child.run { "--data", data .. "/a/b", "--listen", "127.0.0.1:0" }
    assert.equal(1, result.code)
    assert.matches("No such file", result.stderr)
  end)
end)

describe("three durable nodes", function()
  it("that are killed at once come back with everything", function()
    local home <close> = directory.new()
    local function options(id) return { "--data", home.path .. "/" .. id, "--segment-bytes", "65536" } end
    local c <close> = cluster.start { options = options }
    local leader <const> = c:wait_leader()
    do
      local writer <close> = c:client(leader)
      for i = 1, 30 do assert.is_true(writer:put("k" .. i, "v" .. i).ok) end
    end
    for _, id in ipairs(c.ids) do c:kill(id) end
    for _, id in ipairs(c.ids) do c:spawn(id) end
    for _, id in ipairs(c.ids) do c:wait_ready(id) end
    local now <const> = c:wait_leader()
    local reader <close> = c:client(now)
    for i = 1, 30 do assert.equal("v" .. i, reader:get("k" .. i).value) end
  end)
end)

describe("a member that was away for long", function()
  for _, kind in ipairs { "with a data directory", "in memory" } do
    it("comes back through a snapshot, " .. kind .. " [TestCluster_M5_LaggingFollowerCatchesUpViaSnapshot]", function()
      local home <close> = directory.new()
      local own = {}
      for _, id in ipairs { "n1", "n2", "n3" } do
        own[id] = { data = kind ~= "in memory" and home.path .. "/" .. id or nil }
      end
      local c <close> = nodes.cluster({ snapshot_threshold = 50, segment_bytes = 16384 }, own)
      local leader, others = c:wait_leader()
      local away <const> = others[1]
      local writer = c:client(leader)
      assert.is_true(writer:put("before", "1").ok)
      c:crash(away)
      for i = 1, 400 do assert.is_true(writer:put("k" .. i % 30, "v" .. i).ok) end
      assert(task.wait_until(function() return writer:status().first_index > 2 end, START_MS))
      c:start(away)
      local reader = c:client(away)
      local function same()
        local there, here = reader:status(), writer:status()
        return there and there.last_applied == here.last_applied and there.snapshot_index > 0
      end
      assert(task.wait_until(same, START_MS))
      assert.equal(writer:status().state_digest, reader:status().state_digest)
      assert.equal("v400", reader:get("k10").value)
      assert.equal("1", reader:get("before").value)
    end)
  end
end)

describe("a server that was started with a data directory", function()
  it("starts again on it in the same process", function()
    local home <close> = directory.new()
    local options <const> = { listen = "127.0.0.1:0", data = home.path .. "/n1", segment_bytes = 65536 }
    for round = 1, 3 do
      local node <close> = assert(server.start(options))
      local c <close> = connect(node:port())
      assert(task.wait_until(function() return node:status().role == "leader" end, START_MS))
      assert.is_true(c:put("k" .. round, "v").ok)
      for earlier = 1, round do assert.equal("v", c:get("k" .. earlier).value) end
    end
  end)

  it("says why when it cannot have the directory", function()
    local home <close> = directory.new()
    local options <const> = { listen = "127.0.0.1:0", data = home.path .. "/n1", segment_bytes = 65536 }
    local _ <close> = assert(server.start(options))
    local other, why, kind = server.start(options)
    assert.is_nil(other)
    assert.matches("in use", why)
    assert.equal("refused", kind)
  end)
end)
