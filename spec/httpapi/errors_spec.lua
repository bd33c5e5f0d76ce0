-- The error mapping, with a node that the spec plays: what it answers, when, and what the client sees.
local http = require "spec.support.http"
local task = require "kvserver.task"

local fake_node = http.native "fake_node"

local DEDUPED <const> = '{"client_id":"c","seq":1,"value":"1"}'
local PLAIN <const> = '{"value":"1"}'
local NO_HINT <const> = ',"leader_hint":{"leader_id":"","leader_addr":""}'
local HINT <const> = ',"leader_hint":{"leader_id":"n2","leader_addr":"127.0.0.1:7002"}'
local NOT_LEADER <const> = http.error_body("not_leader", "this node does not lead; send the request to the leader",
  HINT)
local NO_LEADER <const> = http.error_body("no_leader", "no leader is known; nothing was done, try again", NO_HINT)

-- Every write of the contract, as a client would send it.
local WRITES <const> = {
  { "PUT /kv/a", DEDUPED }, { "DELETE /kv/a" },
  { "POST /kv/cas", '{"key":"a","expected":"","value":"1"}' },
  { "POST /kv/mput", '{"entries":[{"key":"a","value":"1"}]}' },
  { "POST /kv/mdelete", '{"keys":["a"]}' },
}
local READS <const> = {
  { "GET /kv/a" }, { "GET /kv/a?read=stale" }, { "HEAD /kv/a" }, { "GET /kv" }, { "POST /kv/mget", '{"keys":["a"]}' },
}

local function until_held(fake, count)
  assert(task.wait_until(function() return #fake:held() == count end, 10000))
end

local function until_reads_held(fake, count)
  assert(task.wait_until(function() return #fake:held_reads() == count end, 10000))
end

-- Sends a request that the fake holds, ends it so, and returns the reply.
local function completed(request, status, result)
  local fake = fake_node.create()
  fake:set_hint("n2", "127.0.0.1:7002")
  local node <close> = http.node(nil, fake)
  local connection <close> = node:connect()
  connection:send(http.request(table.unpack(request)))
  until_held(fake, 1)
  fake:complete(1, status, result)
  return connection:receive()
end

describe("a write at a node that does not lead", function()
  it("is sent to the leader with path and query, on every route", function()
    local fake = fake_node.create()
    fake:refuse("not_leader")
    fake:set_hint("n2", "127.0.0.1:7002")
    local node <close> = http.node(nil, fake)
    for _, write in ipairs(WRITES) do
      local reply = node:ask(write[1] .. "?x=%2F&mode=sync", write[2])
      assert.equal(307, reply.status)
      assert.equal(NOT_LEADER, reply.body)
      assert.equal("http://127.0.0.1:7002" .. write[1]:match(" (.*)") .. "?x=%2F&mode=sync", reply.headers.location)
      assert.is_nil(reply.headers["retry-after"])
    end
  end)

  it("keeps the escapes of the path in Location", function()
    local fake = fake_node.create()
    fake:refuse("not_leader")
    fake:set_hint("n2", "127.0.0.1:7002")
    local node <close> = http.node(nil, fake)
    assert.equal("http://127.0.0.1:7002/kv/a%2Fb/../%25", node:ask("PUT /kv/a%2Fb/../%25", PLAIN).headers.location)
  end)

  it("is never redirected when the leader is unknown", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    for _, status in ipairs { "no_leader", "not_leader" } do
      fake:refuse(status)
      local reply = node:ask("PUT /kv/a", PLAIN)
      assert.equal(503, reply.status)
      assert.equal(NO_LEADER, reply.body)
      assert.equal("1", reply.headers["retry-after"])
      assert.is_nil(reply.headers.location)
    end
  end)

  it("shows an empty hint when the leader was lost, whatever is left of it", function()
    local fake = fake_node.create()
    fake:set_hint("n2")
    fake:refuse("not_leader")
    local node <close> = http.node(nil, fake)
    assert.equal(NO_LEADER, node:ask("PUT /kv/a", PLAIN).body)
    fake:set_hint("n2", "127.0.0.1:7002")
    fake:refuse("no_leader")
    assert.equal(NO_LEADER, node:ask("PUT /kv/a", PLAIN).body)
  end)

  it("is refused for its own faults first", function()
    local fake = fake_node.create()
    fake:refuse("no_leader")
    local node <close> = http.node(nil, fake)
    assert.equal(400, node:ask("PUT /kv/a", "{}").status)
    assert.equal(400, node:ask("PUT /kv/%ff", PLAIN).status)
    assert.equal(405, node:ask("POST /kv/a", PLAIN).status)
  end)
end)

describe("a write refused at admission", function()
  local rows = {
    { "overloaded", 503, http.error_body("overloaded", "the queue of requests is full; nothing was done, try again"),
      "1" },
    { "disk_full", 507,
      http.error_body("disk_full", "no reserved log space is left; nothing was done, reads go on") },
    { "too_large", 413, http.error_body("too_large", "the command is larger than the log can take; nothing was done") },
    { "io", 500, http.error_body("internal", "io") },
  }
  for _, row in ipairs(rows) do
    it(("as %s is a %d"):format(row[1], row[2]), function()
      local fake = fake_node.create()
      fake:refuse(row[1])
      local node <close> = http.node(nil, fake)
      for _, write in ipairs(WRITES) do
        local reply = node:ask(table.unpack(write))
        assert.equal(row[2], reply.status)
        assert.equal(row[3], reply.body)
        assert.equal(row[4], reply.headers["retry-after"])
        assert.is_nil(reply.headers["x-raft-index"])
      end
      assert.equal(404, node:ask("GET /kv/a").status)
      fake:refuse()
      local connection <close> = node:connect()
      connection:send(http.request("PUT /kv/a", PLAIN))
      until_held(fake, 1)
    end)
  end
end)

describe("a write that waited", function()
  it("is answered with what applying it gave", function()
    local reply = completed({ "PUT /kv/a", PLAIN }, "ok", { index = 7, ok = true })
    assert.equal(200, reply.status)
    assert.equal('{"ok":true}', reply.body)
    assert.equal("7", reply.headers["x-raft-index"])
    reply = completed({ "DELETE /kv/a" }, "ok", { index = 8, ok = true, deleted = 3, replay = 2 })
    assert.equal('{"ok":true,"deleted":3}', reply.body)
    assert.equal("older", reply.headers["x-replay"])
    reply = completed({ "PUT /kv/a", PLAIN }, "ok",
      { index = 9, ok = false, err_code = "cas_failed", err_msg = "made up by a spec", replay = 1 })
    assert.equal(409, reply.status)
    assert.equal(http.error_body("cas_failed", "made up by a spec"), reply.body)
    assert.equal("same", reply.headers["x-replay"])
  end)

  it("has an unknown outcome after its deadline; with client_id and seq a retry is safe", function()
    local safe = http.error_body("timeout", "the outcome is unknown; a retry with the same client_id and seq is safe")
    local unsafe = http.error_body("timeout", "the outcome is unknown; a retry may apply it twice")
    local rows = {
      { { "PUT /kv/a", DEDUPED }, safe },
      { { "DELETE /kv/a", nil, { "X-Client-Id: c", "X-Seq: 1" } }, safe },
      { { "PUT /kv/a", "1", { "Content-Type: application/octet-stream", "X-Client-Id: c", "X-Seq: 1" } }, safe },
      { { "PUT /kv/a", PLAIN }, unsafe },
      { { "PUT /kv/a", '{"client_id":"c","seq":0,"value":"1"}' }, unsafe },
      { { "PUT /kv/a", '{"seq":1,"value":"1"}' }, unsafe },
      { { "DELETE /kv/a" }, unsafe },
      { { "POST /kv/mput", '{"client_id":"c","seq":1,"entries":[{"key":"a","value":"1"}]}' }, safe },
    }
    for _, row in ipairs(rows) do
      local reply = completed(row[1], "timeout")
      assert.equal(504, reply.status)
      assert.equal(row[2], reply.body)
    end
  end)

  it("is redirected at the end when it is known never to be applied", function()
    local reply = completed({ "PUT /kv/a?x=1", DEDUPED }, "not_leader")
    assert.equal(307, reply.status)
    assert.equal(NOT_LEADER, reply.body)
    assert.equal("http://127.0.0.1:7002/kv/a?x=1", reply.headers.location)
  end)

  it("has the request timeout as its deadline", function()
    local fake = fake_node.create()
    local node <close> = http.node({ request_timeout_ms = 777 }, fake)
    local connection <close> = node:connect()
    local before = fake:now_ms()
    connection:send(http.request("PUT /kv/a", PLAIN))
    until_held(fake, 1)
    local deadline = fake:held()[1].deadline_ms
    assert.is_true(deadline >= before + 777 and deadline <= fake:now_ms() + 777)
  end)

  it("is answered in the order of the connection, exactly once, whatever the order of completion", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    local connection <close> = node:connect()
    for i = 1, 3 do connection:send(http.request("PUT /kv/k" .. i, PLAIN)) end
    until_held(fake, 3)
    fake:complete(3, "ok", { index = 3, ok = true })
    fake:complete(2, "timeout")
    fake:complete(1, "ok", { index = 1, ok = true })
    assert.equal("1", connection:receive().headers["x-raft-index"])
    assert.equal(504, connection:receive().status)
    assert.equal("3", connection:receive().headers["x-raft-index"])
    assert.same({ "", "timeout" }, { connection:rest(30) })
  end)

  it("holds back the reads behind it", function()
    for _, read in ipairs(READS) do
      local fake = fake_node.create()
      fake:hold_reads(true)
      local node <close> = http.node(nil, fake)
      local connection <close> = node:connect()
      connection:send(http.request("PUT /kv/a", PLAIN) .. http.request(table.unpack(read)))
      until_held(fake, 1)
      assert.equal(0, #fake:held_reads())
      fake:complete(1, "ok", { index = 1, ok = true })
      assert.equal(200, connection:receive().status)
      until_reads_held(fake, 1)
    end
  end)

  it("is held back by the reads before it", function()
    for _, read in ipairs(READS) do
      local fake = fake_node.create()
      fake:hold_reads(true)
      local node <close> = http.node(nil, fake)
      local connection <close> = node:connect()
      connection:send(http.request(table.unpack(read)) .. http.request("PUT /kv/a", PLAIN))
      until_reads_held(fake, 1)
      assert.equal(0, #fake:held())
      fake:complete_read(1, "ok")
      connection:receive(read[1]:match("^HEAD") ~= nil)
      until_held(fake, 1)
    end
  end)

  it("is cancelled, not left behind, when the node is closed", function()
    local fake = fake_node.create()
    local node = http.node(nil, fake)
    local connection <close> = node:connect()
    connection:send(http.request("PUT /kv/a", PLAIN))
    until_held(fake, 1)
    node.server:close()
    assert.equal(0, #fake:held())
    assert.equal(1, fake:cancelled())
    assert.equal("", (connection:rest()))
  end)

  it("may end after its client left", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    do
      local connection <close> = node:connect()
      connection:send(http.request("PUT /kv/a", PLAIN))
      until_held(fake, 1)
    end
    node:ask("GET /healthz")
    fake:complete(1, "ok", { index = 1, ok = true })
    assert.equal(200, node:ask("GET /healthz").status)
  end)
end)

describe("a read", function()
  it("is never redirected", function()
    local fake = fake_node.create()
    fake:set_hint("n2", "127.0.0.1:7002")
    local node <close> = http.node(nil, fake)
    for _, status in ipairs { "not_leader", "no_leader" } do
      fake:refuse_reads(status)
      for _, read in ipairs(READS) do
        local reply = node:ask(table.unpack(read))
        assert.equal(503, reply.status)
        assert.equal(read[1]:match("^HEAD") and "" or NO_LEADER, reply.body)
        assert.is_nil(reply.headers.location)
      end
    end
  end)

  local rows = {
    { "timeout", "/kv/a", 504, http.error_body("timeout", "the read was not confirmed in time; nothing was done") },
    { "timeout", "/kv/a?min_index=3", 504,
      http.error_body("timeout", "the index to wait for was not reached in time; nothing was done") },
    { "no_leader", "/kv/a", 503, NO_LEADER },
    { "not_leader", "/kv/a", 503, NO_LEADER },
    { "closed", "/kv/a", 503, http.error_body("not_ready", "the node is stopping; nothing was done") },
  }
  for _, row in ipairs(rows) do
    it(("of %s that ends with %s is a %d"):format(row[2], row[1], row[3]), function()
      local fake = fake_node.create()
      fake:hold_reads(true)
      fake:set_hint("n2", "127.0.0.1:7002")
      local node <close> = http.node(nil, fake)
      local connection <close> = node:connect()
      connection:send(http.request("GET " .. row[2]))
      until_reads_held(fake, 1)
      fake:complete_read(1, row[1])
      local reply = connection:receive()
      assert.equal(row[3], reply.status)
      assert.equal(row[4], reply.body)
    end)
  end

  it("overloaded at admission is a 503 with Retry-After", function()
    local fake = fake_node.create()
    fake:refuse_reads("overloaded")
    local node <close> = http.node(nil, fake)
    local reply = node:ask("GET /kv/a")
    assert.equal(503, reply.status)
    assert.equal("1", reply.headers["retry-after"])
  end)
end)

describe("what a node says of itself", function()
  it("follows its role", function()
    local fake = fake_node.create()
    fake:set_role("follower", 7)
    fake:set_hint("n2", "127.0.0.1:7002")
    local node <close> = http.node(nil, fake)
    local expected = '{"ok":true,"id":"n1","role":"follower","term":7,"leader_id":"n2"}'
    for _, path in ipairs { "/healthz", "/livez", "/readyz" } do
      local reply = node:ask("GET " .. path)
      assert.equal(200, reply.status)
      assert.equal(expected, reply.body)
    end
  end)

  it("is alive but not ready without a leader", function()
    local fake = fake_node.create()
    fake:set_role("candidate", 7)
    local node <close> = http.node(nil, fake)
    assert.equal('{"ok":true,"id":"n1","role":"candidate","term":7,"leader_id":""}', node:ask("GET /healthz").body)
    local reply = node:ask("GET /readyz")
    assert.equal(503, reply.status)
    assert.equal(http.error_body("not_ready", "no leader is known; try again", ',"reason":"no_leader"'), reply.body)
  end)

  it("is not ready with a reason", function()
    local fake = fake_node.create()
    fake:set_hint("n2", "127.0.0.1:7002")
    fake:set_not_ready("it dreams")
    local node <close> = http.node(nil, fake)
    assert.equal(http.error_body("not_ready", "it dreams; wait", ',"reason":"of_the_spec"'),
      node:ask("GET /readyz").body)
    assert.equal(200, node:ask("GET /livez").status)
    fake:set_not_ready("it dreams", 17)
    assert.equal(http.error_body("not_ready", "it dreams, 17 entries behind; wait",
      ',"reason":"of_the_spec","behind":17'), node:ask("GET /readyz").body)
  end)

  it("shows its peers", function()
    local fake = fake_node.create()
    fake:add_peer("n2", 1, 2, 3, 4)
    fake:add_peer("n3", 5, 6, 7, 8)
    local node <close> = http.node(nil, fake)
    assert.matches('"peers":{"n2":{"match_index":1,"next_index":2,"inflight":3,"last_contact_ms":4},' ..
      '"n3":{"match_index":5,"next_index":6,"inflight":7,"last_contact_ms":8}}', node:ask("GET /status").body)
  end)
end)
