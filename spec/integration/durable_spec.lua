-- Nodes on data directories, as processes and inside this one: what was acknowledged is there after any end.
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local nodes = require "spec.support.nodes"
local process = require "kvserver.process"
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

describe("three durable nodes", function()
  it("that are killed at once come back with everything", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { data = home.path .. "/data", options = { "--segment-bytes", "65536" } }
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
