-- Asynchronous writes, with a node that the spec plays: what is answered at once, and what is told of them later.
local http = require "spec.support.http"
local json = require "kvserver.json"
local task = require "kvserver.task"

local fake_node = http.native "fake_node"

local PUT <const> = { "PUT /kv/a?mode=async", '{"value":"1"}' }
local DEDUPED <const> = { "PUT /kv/a?mode=async", '{"client_id":"c","seq":1,"value":"1"}' }
local ASYNC_WAIT_MS <const> = 30000
local HINT <const> = ',"leader_hint":{"leader_id":"n2","leader_addr":"127.0.0.1:7002"}'

-- A node of the fake's, and the fake.
local function open(config)
  local fake = fake_node.create()
  fake:set_hint("n2", "127.0.0.1:7002")
  return http.node(config, fake), fake
end

-- Sends a write that is taken, and returns its id.
local function take(node, request)
  local reply = node:ask(table.unpack(request or PUT))
  assert.equal(202, reply.status, reply.body)
  return assert(json.decode(reply.body).op_id)
end

local function told(id, result)
  return ('{"op_id":"%s","ready":true,"result":%s}'):format(id, result)
end

-- What is told of a write that the fake ends so.
local function ended(request, status, result)
  local node <close>, fake = open()
  local id = take(node, request)
  fake:complete(1, status, result)
  local reply = node:ask("GET /ops/" .. id)
  assert.equal(200, reply.status)
  local prefix = told(id, ""):sub(1, -2)
  assert.equal(prefix, reply.body:sub(1, #prefix))
  return reply.body:sub(#prefix + 1, -2), reply.headers
end

describe("an asynchronous write", function()
  it("is answered when the node has taken it, with an id and where to ask", function()
    local node <close>, fake = open { id = "n-1" }
    local reply = node:ask(table.unpack(PUT))
    assert.equal(202, reply.status)
    local id = assert(reply.body:match('^{"ok":true,"op_id":"(n%-1%-%x+%-1)"}$'))
    assert.equal(16, #id:match("%-(%x+)%-1$"))
    assert.equal("/ops/" .. id, reply.headers.location)
    assert.is_nil(reply.headers["x-raft-index"])
    assert.equal(1, #fake:held())
    assert.equal('{"op_id":"' .. id .. '","ready":false}', node:ask("GET /ops/" .. id).body)
  end)

  it("waits for its outcome for longer than a connection would", function()
    local node <close>, fake = open { request_timeout_ms = 100 }
    take(node)
    local left <const> = fake:held()[1].deadline_ms - fake:now_ms()
    assert.is_true(left <= ASYNC_WAIT_MS and left > ASYNC_WAIT_MS - 10000, left)
  end)

  it("waits at least as long as a connection would", function()
    local node <close>, fake = open { request_timeout_ms = 100000 }
    take(node)
    assert.is_true(fake:held()[1].deadline_ms - fake:now_ms() > ASYNC_WAIT_MS)
  end)

  it("tells what a synchronous one would have been answered", function()
    local rows <const> = {
      { PUT, { index = 7, ok = true }, '{"ok":true}' },
      { { "DELETE /kv/a?mode=async" }, { index = 7, ok = true, deleted = 1 }, '{"ok":true,"deleted":1}' },
      { { "POST /kv/cas?mode=async", '{"key":"a","expected":"x","value":"y"}' },
        { index = 7, ok = false, err_code = "cas_failed", err_msg = "expected another value" },
        http.error_body("cas_failed", "expected another value") },
      { { "POST /kv/mput?mode=async", '{"entries":[{"key":"a","value":"1"}]}' }, { index = 7, ok = true },
        '{"ok":true}' },
      { { "POST /kv/mdelete?mode=async", '{"keys":["a","b"]}' }, { index = 7, ok = true, deleted = 2 },
        '{"ok":true,"deleted":2}' },
    }
    for _, row in ipairs(rows) do
      local result, headers = ended(row[1], "ok", row[2])
      assert.equal(row[3], result)
      assert.equal("7", headers["x-raft-index"])
      assert.is_nil(headers["x-replay"])
    end
  end)

  it("tells that it is a replay as a synchronous one does", function()
    for replay, name in ipairs { "same", "older" } do
      local result, headers = ended(DEDUPED, "ok", { index = 9, ok = true, replay = replay })
      assert.equal('{"ok":true}', result)
      assert.equal(name, headers["x-replay"])
    end
  end)

  it("tells that it was never applied, and where the leader is now", function()
    local result, headers = ended(PUT, "not_leader")
    local expected = http.error_body("not_leader", "this node does not lead; send the request to the leader", HINT)
    assert.equal(expected, result)
    assert.is_nil(headers["x-raft-index"])
    assert.is_nil(headers.location)
  end)

  it("tells that nobody knows what became of it", function()
    for _, status in ipairs { "timeout", "closed" } do
      assert.equal(http.error_body("timeout", "the outcome is unknown; a retry may apply it twice"),
        (ended(PUT, status)))
      assert.equal(http.error_body("timeout",
        "the outcome is unknown; a retry with the same client_id and seq is safe"), (ended(DEDUPED, status)))
    end
  end)

  it("tells that it was refused after all", function()
    assert.equal(http.error_body("disk_full", "no reserved log space is left; nothing was done, reads go on"),
      (ended(PUT, "disk_full")))
  end)

  it("answers HEAD with the length of what GET tells", function()
    local node <close> = open()
    local id = take(node)
    local get, head = node:ask("GET /ops/" .. id), node:ask("HEAD /ops/" .. id)
    assert.equal(200, head.status)
    assert.equal(tostring(#get.body), head.headers["content-length"])
  end)

  it("is refused like a synchronous one where it is refused at once, and takes no place", function()
    local node <close>, fake = open { async_ops_max = 1 }
    local rows <const> = {
      not_leader = { 307, "not_leader" }, no_leader = { 503, "no_leader" }, disk_full = { 507, "disk_full" },
      overloaded = { 503, "overloaded" }, too_large = { 413, "too_large" },
    }
    for status, expected in pairs(rows) do
      fake:refuse(status)
      local reply = node:ask(table.unpack(PUT))
      assert.same(expected, { reply.status, json.decode(reply.body).err_code })
    end
    fake:refuse "not_leader"
    assert.equal("http://127.0.0.1:7002/kv/a?mode=async", node:ask(table.unpack(PUT)).headers.location)
    fake:refuse()
    take(node)
  end)

  it("is refused when there is no place for it, and nothing is done then", function()
    local node <close>, fake = open { async_ops_max = 2 }
    take(node)
    take(node)
    local reply = node:ask(table.unpack(PUT))
    assert.equal(503, reply.status)
    assert.equal("1", reply.headers["retry-after"])
    assert.equal(http.error_body("overloaded",
      "too many asynchronous writes are pending, or their results kept; nothing was done, try again"), reply.body)
    assert.equal(2, #fake:held())
  end)

  it("is sent to the leader, place or no place, by a node that does not lead any more", function()
    local node <close>, fake = open { async_ops_max = 1 }
    take(node)
    fake:set_role "follower"
    fake:refuse "not_leader"
    local reply = node:ask(table.unpack(PUT))
    assert.same({ 307, "http://127.0.0.1:7002/kv/a?mode=async" }, { reply.status, reply.headers.location })
    fake:set_hint()
    fake:refuse "no_leader"
    assert.equal("no_leader", json.decode(node:ask(table.unpack(PUT)).body).err_code)
  end)

  it("takes a place until its result has expired", function()
    local node <close>, fake = open { async_ops_max = 1, async_result_ttl = 1 }
    local id = take(node)
    fake:complete(1, "ok", { index = 7, ok = true })
    assert.equal(200, node:ask("GET /ops/" .. id).status)
    assert.equal(503, node:ask(table.unpack(PUT)).status)
    assert(task.wait_until(function() return node:ask(table.unpack(PUT)).status == 202 end, 10000))
    local reply = node:ask("GET /ops/" .. id)
    assert.equal(404, reply.status)
    assert.equal(http.error_body("not_found",
      "op_id: its result is not kept any longer (--async-result-ttl); the outcome is unknown"), reply.body)
  end)

  it("is refused when it is not valid, at once", function()
    local node <close>, fake = open()
    assert.equal(400, node:ask("PUT /kv/%00?mode=async", '{"value":"1"}').status)
    assert.equal(400, node:ask("PUT /kv/a?mode=async", "{}").status)
    assert.equal(0, #fake:held())
    assert.matches("%-1$", take(node)) -- no number was used up
  end)

  it("is what a write is by default where the configuration says so; ?mode=sync overrides it", function()
    local node <close>, fake = open { write_mode = "async" }
    take(node, { "PUT /kv/a", '{"value":"1"}' })
    local connection <close> = node:connect()
    connection:send(http.request("PUT /kv/a?mode=sync", '{"value":"2"}'))
    assert(task.wait_until(function() return #fake:held() == 2 end, 10000))
    fake:complete(2, "ok", { index = 8, ok = true })
    assert.equal(200, connection:receive().status)
  end)

  it("keeps its place among the writes of its connection", function()
    local node <close>, fake = open()
    local connection <close> = node:connect()
    local lines <const> = { "PUT /kv/a?mode=async", "PUT /kv/b", "PUT /kv/c?mode=async" }
    for i, line in ipairs(lines) do lines[i] = http.request(line, '{"value":"1"}') end
    connection:send(table.concat(lines))
    assert(task.wait_until(function() return #fake:held() == 3 end, 10000))
    local keys = {}
    for i, held in ipairs(fake:held()) do keys[i] = held.key end
    assert.same({ "a", "b", "c" }, keys)
    assert.equal(202, connection:receive().status)
    fake:complete(2, "ok", { index = 8, ok = true })
    assert.same({ 200, 202 }, { connection:receive().status, connection:receive().status })
  end)

  it("goes on when its client is gone", function()
    local node <close>, fake = open()
    local id
    do
      local connection <close> = node:connect()
      connection:send(http.request(table.unpack(PUT)))
      id = json.decode(connection:receive().body).op_id
    end
    fake:complete(1, "ok", { index = 7, ok = true })
    assert.equal(told(id, '{"ok":true}'), node:ask("GET /ops/" .. id).body)
  end)

  it("is forgotten by a node that ends, which has its waits cancelled", function()
    local node, fake = open()
    take(node)
    take(node)
    node.server:close()
    assert.same({ 2, 0 }, { fake:cancelled(), #fake:held() })
  end)
end)

describe("an id of an asynchronous write", function()
  local PEERS <const> = { n1 = "127.0.0.1:7001", n2 = "127.0.0.1:7002", ["n-3"] = "[::1]:7003" }
  local START <const> = "0123456789abcdef"

  local function member()
    local fake = fake_node.create()
    return http.node({ peers = PEERS }, fake), fake
  end

  it("of another member leads to it, once", function()
    local node <close> = member()
    for id, address in pairs { n2 = "127.0.0.1:7002", ["n-3"] = "[::1]:7003" } do
      local op = ("%s-%s-%d"):format(id, START, 12)
      local reply = node:ask("GET /ops/" .. op)
      assert.equal(307, reply.status)
      assert.equal(http.error_body("not_owner", "op_id: of another node, which may know what became of it"), reply.body)
      assert.equal(("http://%s/ops/%s?redirected=1"):format(address, op), reply.headers.location)
    end
    local reply = node:ask("GET /ops/n2-" .. START .. "-12?redirected=1")
    assert.equal(404, reply.status)
    assert.is_nil(reply.headers.location)
    assert.equal(http.error_body("not_found",
      "op_id: of another node, whose address led here; the outcome is unknown"), reply.body)
  end)

  it("of this node leads nowhere, whatever was redirected", function()
    local node <close> = member()
    local id = take(node)
    assert.equal(200, node:ask("GET /ops/" .. id .. "?redirected=1").status)
    assert.equal(404, node:ask("GET /ops/n1-" .. START .. "-1?redirected=1").status)
  end)

  it("that was not given yet is told from one that is not kept any more", function()
    local node <close> = open()
    local id = take(node)
    local reply = node:ask("GET /ops/" .. id:gsub("%d+$", "2"))
    assert.equal(404, reply.status)
    assert.equal(http.error_body("not_found", "op_id: this node has not given it to anyone"), reply.body)
  end)

  it("has another start in it after each start, whatever the seed is", function()
    local ids = {}
    for i = 1, 2 do
      local node <close> = open { seed = 1 }
      ids[i] = take(node)
    end
    assert.not_equal(ids[1], ids[2])
    local node <close> = open { seed = 1 }
    assert.equal(404, node:ask("GET /ops/" .. ids[1]).status)
  end)
end)
