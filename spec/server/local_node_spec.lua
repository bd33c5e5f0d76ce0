-- The node of one, alone and behind a server: order, waits, deadlines, limits of its queue.
local http = require "spec.support.http"
local task = require "kvserver.task"

local local_node_flood = http.native "local_node_flood"

local function until_ended(flood, count)
  local ended = assert(task.wait_until(function()
    local calls = flood:ended()
    return #calls >= count and calls
  end, 10000))
  assert.equal(count, #ended)
  return ended
end

describe("the queue of the local node", function()
  it("ends writes and reads in the order of the calls, never inside a call", function()
    local flood = local_node_flood.create()
    task.yield() -- a fresh time slice: no turn comes in between
    flood:propose(2, 1)
    flood:read(1)
    flood:propose(1, 1)
    flood:read(1)
    assert.same({}, flood:ended())
    assert.same({ 1, 2, 3, 4, 5 }, until_ended(flood, 5))
    assert.equal(1, flood:index(1))
    assert.equal(2, flood:index(2))
    assert.equal(3, flood:index(4))
  end)

  it("refuses more calls than it holds, and takes them again in the next turn", function()
    local function propose(flood) return flood:propose(70000, 1) end
    local function read(flood) return flood:read(70000) end
    for _, fill in ipairs { propose, read } do
      local flood = local_node_flood.create()
      assert.same({ 65536, "overloaded" }, { fill(flood) })
      until_ended(flood, 65536)
      assert.same({ 1, "ok" }, { flood:propose(1, 1) })
      until_ended(flood, 65537)
    end
  end)

  it("refuses more bytes than it holds, but not reads", function()
    local flood = local_node_flood.create()
    assert.same({ 63, "overloaded" }, { flood:propose(100, 1048576) })
    assert.same({ 1, "ok" }, { flood:read(1) })
    until_ended(flood, 64)
    assert.same({ 1, "ok" }, { flood:propose(1, 1048576) })
    until_ended(flood, 65)
  end)

  it("forgets what is cancelled, and does not apply it", function()
    local flood = local_node_flood.create()
    task.yield()
    flood:propose(3, 1)
    flood:read(2)
    flood:cancel(2)
    flood:cancel(4)
    assert.same({ 1, 3, 5 }, until_ended(flood, 3))
    assert.equal(2, flood:index(3))
  end)
end)

describe("the queue of the local node, when all of it is cancelled,", function()
  it("is not searched for each", function()
    local flood = local_node_flood.create()
    task.yield()
    local count = flood:propose(65000, 1)
    local start = os.clock()
    flood:cancel_all()
    assert.is_true(os.clock() - start < 0.5)
    flood:read(1)
    assert.same({ count + 1 }, until_ended(flood, 1))
  end)
end)

describe("the local node", function()
  it("ends waits by their own deadlines, not in their order", function()
    local slow <close> = http.node { request_timeout_ms = 60000 }
    local quick <close> = http.node { request_timeout_ms = 20 }
    local waiting <close> = slow:connect()
    waiting:start(http.request("GET /kv/a?min_index=1"))
    for _ = 1, 3 do assert.equal(504, quick:ask("GET /kv/a?min_index=1").status) end
    slow:ask("PUT /kv/a", '{"value":"1"}')
    assert.equal(200, waiting:receive().status)
  end)

  it("ends many waits for different indices as they come", function()
    local node <close> = http.node()
    local connections = {}
    for i = 1, 20 do
      connections[i] = node:connect()
      connections[i]:send(http.request("GET /kv/a?min_index=" .. 21 - i))
    end
    for i = 20, 1, -1 do
      node:ask("PUT /kv/a", ('{"value":"%d"}'):format(21 - i))
      assert.equal(tostring(21 - i), connections[i]:receive().headers["x-raft-index"])
      connections[i].socket:close()
    end
  end)
end)
