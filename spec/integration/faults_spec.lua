-- Nodes whose disk is made to fail: what clients see, and what is there afterwards.
local admin_client = require "kvserver.admin_client"
local client = require "kvserver.client"
local directory = require "spec.support.directory"
local nodes = require "spec.support.nodes"
local process = require "kvserver.process"
local server = require "kvserver.server"
local task = require "kvserver.task"

local TIMEOUT_MS <const> = 10000
local LONG_MS <const> = 60000

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

-- A node alone, on a directory of its own; `start` starts it again.
local function world()
  local dir <const> = directory.new()
  local self <const> = {}
  function self.start()
    self.node = assert(server.start { listen = "127.0.0.1:0", data = dir.path .. "/d", segment_bytes = 65536,
      enable_faults = true })
    wait_until(function()
      local status <const> = self.node:status()
      return status.role == "leader" and status.last_applied == status.last_index
    end)
    self.client = client.connect { port = self.node:port() }
  end
  function self.close()
    self.client:close()
    self.node:close()
  end
  self.start()
  return setmetatable(self, {
    __close = function()
      self.close()
      dir:remove()
    end,
  })
end

describe("a node whose disk is full", function()
  it("answers 507, reads on, and takes writes again once there is room", function()
    local w <close> = world()
    local value <const> = ("v"):rep(10000)
    w.node:fault_disk { full = true }
    local written = 0
    local refused = wait_until(function()
      local result = w.client:put("k" .. written, value)
      if not result.ok then return result end
      written = written + 1
    end)
    assert.same({ 507, "disk_full" }, { refused.status, refused.err_code })
    assert.equal(value, w.client:get("k" .. written - 1).value)
    w.node:fault_disk {}
    wait_until(function() return w.client:put("k", value).ok end)
  end)
end)

describe("a node whose disk is slow", function()
  it("acknowledges that much later", function()
    local w <close> = world()
    w.node:fault_disk { slow_ms = 100 }
    local start_ms <const> = task.now_ms()
    assert.is_true(w.client:put("k", "v").ok)
    assert.is_true(task.now_ms() - start_ms >= 100)
    assert.is_true(w.node:faults().disk.slow_syncs > 0)
  end)

  it("acknowledges as soon as that is undone, and does not hold up its end", function()
    local w <close> = world()
    w.node:fault_disk { slow_ms = LONG_MS }
    local put <const> = task.spawn(function() return w.client:put("k", "v") end)
    wait_until(function() return w.node:faults().disk.slow_syncs > 0 end)
    w.node:fault_disk {}
    assert.is_true(put:join().ok)
    w.node:fault_disk { slow_ms = LONG_MS }
    w.client:put("k", "w", { timeout_ms = 50 })
    local start_ms <const> = task.now_ms()
    w.close()
    w.start()
    assert.is_true(task.now_ms() - start_ms < TIMEOUT_MS)
  end)
end)

describe("a node whose syncs fail", function()
  it("acknowledges nothing any more, and says why", function()
    local w <close> = world()
    assert.is_true(w.client:put("k", "kept").ok)
    w.node:fault_disk { fail_sync = true }
    local put <const> = task.spawn(function() return w.client:put("k", "lost", { timeout_ms = 500 }) end)
    assert.matches("it failed, as a fault says", w.node:wait_failed(), 1, true)
    w.node:fault_disk {}
    local result = put:join()
    assert.is_true(not result or not result.ok)
    assert.is_nil((w.client:put("k", "lost", { timeout_ms = 100 }) or {}).ok or nil)
  end)
end)

describe("a node whose power goes", function()
  it("has what it acknowledged when it starts again, and nothing else", function()
    local w <close> = world()
    local index
    for i = 1, 20 do index = w.client:put("k" .. i, ("v"):rep(5000) .. i).index end
    local digest <const> = w.node:stats().digest
    w.node:fault_disk { slow_ms = LONG_MS }
    assert.is_nil((w.client:put("k", "never acknowledged", { timeout_ms = 100 })))
    assert.is_true(w.node:status().last_index > index)
    assert.is_true(w.node:fault_lose())
    assert.is_true(w.node:faults().disk.lost)
    w.close()
    w.start()
    assert.equal("not_found", w.client:get("k").err_code)
    assert.equal(digest, w.node:stats().digest)
    assert.equal("put", w.node:raft_log(index, index)[1].op)
    assert.is_true(w.client:put("k", "v").ok)
  end)

  it("acknowledges nothing that it lost, though a sync was under way", function()
    local w <close> = world()
    w.node:fault_disk { slow_ms = LONG_MS }
    local put <const> = task.spawn(function() return w.client:put("k", "v", { timeout_ms = 500 }) end)
    wait_until(function() return w.node:faults().disk.slow_syncs > 0 end)
    assert.is_true(w.node:fault_lose())
    local why
    task.spawn(function() why = w.node:wait_failed() end)
    wait_until(function() return why end)
    assert.equal("disk: the power is gone", why)
    assert.is_nil((put:join()))
  end)

  it("and tears its last write starts again all the same", function()
    local w <close> = world()
    assert.is_true(w.client:put("k", "acknowledged").ok)
    w.node:fault_disk { slow_ms = LONG_MS, torn_next = true }
    assert.is_nil((w.client:put("k", ("torn"):rep(5000), { timeout_ms = 100 })))
    assert.is_true(w.node:fault_lose())
    w.close()
    w.start()
    assert.equal("acknowledged", w.client:get("k").value)
  end)

  it("in the middle of snapshots and new segments loses nothing", function()
    local w <close> = world()
    for round = 1, 5 do
      for i = 1, 10 do assert.is_true(w.client:put("k" .. i, ("v"):rep(5000) .. round).ok) end
      w.node:snapshot()
      assert.is_true(w.node:fault_lose())
      w.close()
      w.start()
      for i = 1, 10 do assert.equal(("v"):rep(5000) .. round, w.client:get("k" .. i).value) end
    end
  end)

  it("is brought up to date by the others, who never missed it", function()
    local dir <close> = directory.new()
    local data = {}
    for _, id in ipairs { "n1", "n2", "n3" } do data[id] = { data = dir.path .. "/" .. id } end
    local c <close> = nodes.cluster({ enable_faults = true, segment_bytes = 65536 }, data)
    local leader = c:wait_leader()
    for i = 1, 10 do assert.is_true(c:client(leader):put("k" .. i, "v").ok) end
    c.servers[leader]:fault_disk { slow_ms = LONG_MS }
    assert.is_true(c.servers[leader]:fault_lose())
    c:crash(leader)
    local other = c:wait_leader()
    local index = c:client(other):put("k", "w").index
    c:start(leader)
    c:wait_applied(leader, index)
    assert.equal(c.servers[other]:stats().digest, c.servers[leader]:stats().digest)
  end)

  it("and whose process dies with it comes back with what it acknowledged", function()
    local dir <close> = directory.new()
    local function start()
      local node = process.spawn { args = { process.self(), "--listen", "127.0.0.1:0", "--data", dir.path .. "/d",
        "--enable-faults" } }
      return node, tonumber((node:wait_line("ready on http://127%.0%.0%.1:(%d+)\n", 20000)))
    end
    do
      local node <close>, port = start()
      local c <close> = client.connect { port = port }
      local asker <close> = assert(admin_client.connect(dir.path .. "/d/admin.sock"))
      assert.is_true(c:put("k", "acknowledged").ok)
      assert.is_true(asker:call("faults.disk", { slow_ms = LONG_MS }))
      assert.is_nil((c:put("k", "lost", { timeout_ms = 100 })))
      assert.equal(LONG_MS, asker:call("faults.get").disk.slow_ms)
      assert.same({ nil, "the connection is closed" }, { asker:call("faults.lose_and_die") })
      assert.equal(9, assert(node:wait(TIMEOUT_MS)).signal)
    end
    local node <close>, port = start()
    local c <close> = client.connect { port = port }
    assert.equal("acknowledged", c:get("k").value)
    node:kill()
  end)
end)

describe("a node in memory", function()
  it("has no disk that could fail", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0", enable_faults = true })
    for _, call in ipairs { function() node:fault_disk { full = true } end, function() node:fault_lose() end } do
      assert.has_error(call, "the node is in memory: it has no disk that could fail")
    end
    assert.is_nil(node:faults().disk)
  end)
end)
