-- DistributedKV between the HTTP API and a node that the spec plays: what it proposes, waits for and reads.
local http = require "spec.support.http"
local task = require "kvserver.task"

local fake_node = http.native "fake_node"

local function held(fake, list, count)
  local found = assert(task.wait_until(function()
    local waits = fake[list](fake)
    return #waits >= count and waits
  end, 10000))
  assert.equal(count, #found)
  return found
end

-- A node of the fake's whose state machine holds a = "1" at index 2.
local function node_with_state(config, fake)
  local node = http.node(config, fake)
  fake:apply(node.server, 2, { op = "put", key = "a", value = "1" })
  return node
end

describe("DistributedKV", function()
  it("proposes every write as one command [TestDKV_M1_WritesCallPropose]", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    local rows = {
      { "PUT /kv/a", '{"client_id":"c","seq":5,"value":"1"}',
        { op = "put", client_id = "c", seq = 5, key = "a", value = "1" } },
      { "PUT /kv/a", '{"value_base64":"/w=="}', { op = "put", client_id = "", seq = 0, key = "a", value = "\xff" } },
      { "DELETE /kv/a%2Fb", '{"client_id":"c","seq":6}', { op = "delete", client_id = "c", seq = 6, key = "a/b" } },
      { "POST /kv/cas", '{"client_id":"c","seq":7,"key":"a","expected":"1","value":"2"}',
        { op = "cas", client_id = "c", seq = 7, key = "a", expected = "1", value = "2" } },
      { "POST /kv/mput", '{"client_id":"c","seq":8,"entries":[{"key":"a","value":"1"},{"value":"","key":"b"}]}',
        { op = "mput", client_id = "c", seq = 8, entries = { { key = "a", value = "1" }, { key = "b",
          value = "" } } } },
      { "POST /kv/mdelete", '{"client_id":"c","seq":9,"keys":["b","a"]}',
        { op = "mdelete", client_id = "c", seq = 9, keys = { "b", "a" } } },
    }
    for _, row in ipairs(rows) do
      local connection <close> = node:connect()
      connection:send(http.request(row[1], row[2]))
      local proposal = held(fake, "held", 1)[1]
      proposal.kind, proposal.index, proposal.deadline_ms = nil, nil, nil
      assert.same(row[3], proposal)
      fake:complete(1, "ok", { index = 1, ok = true })
      assert.equal(200, connection:receive().status)
    end
  end)

  it("proposes nothing for a command that is not valid", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    assert.equal(400, node:ask("PUT /kv/%00", '{"value":"1"}').status)
    assert.equal(400, node:ask("POST /kv/mput", '{"entries":[]}').status)
    assert.equal(400, node:ask("PUT /kv/a", ('{"client_id":"%s","value":"1"}'):format(("c"):rep(257))).status)
    assert.equal(0, #fake:held())
  end)

  it("reads from the state machine what is there, whatever is proposed [TestDKV_M1_ReadsAreStaleFromSM]", function()
    local fake = fake_node.create()
    local node <close> = node_with_state({ read_policy = "stale" }, fake)
    local writer <close> = node:connect()
    writer:send(http.request("PUT /kv/a", '{"value":"2"}'))
    held(fake, "held", 1)
    assert.equal('{"ok":true,"value":"1"}', node:ask("GET /kv/a").body)
    assert.equal('{"ok":true,"values":{"a":"1"}}', node:ask("POST /kv/mget", '{"keys":["a"]}').body)
    assert.equal('{"ok":true,"entries":[{"key":"a","value":"1"}],"next":""}', node:ask("GET /kv").body)
    assert.equal("2", node:ask("GET /kv/a").headers["x-raft-index"])
  end)

  it("asks the node for no more than what a stale read waits for", function()
    local fake = fake_node.create()
    fake:hold_reads(true)
    local node <close> = node_with_state(nil, fake)
    local connection <close> = node:connect()
    connection:send(http.request("GET /kv/a?read=stale&min_index=7"))
    local wait = held(fake, "held_reads", 1)[1]
    assert.equal("wait_applied", wait.kind)
    assert.equal(7, wait.index)
    fake:complete_read(1, "ok")
    assert.equal('{"ok":true,"value":"1"}', connection:receive().body)
  end)

  it("asks for a read index by the policy of the node or of the request", function()
    local rows = { { "readindex", "", "read_index" }, { "stale", "?read=readindex", "read_index" },
      { "stale", "", "wait_applied" }, { "readindex", "?read=stale", "wait_applied" } }
    for _, row in ipairs(rows) do
      local fake = fake_node.create()
      fake:hold_reads(true)
      local node <close> = http.node({ read_policy = row[1] }, fake)
      local connection <close> = node:connect()
      connection:send(http.request("GET /kv/a" .. row[2]))
      assert.equal(row[3], held(fake, "held_reads", 1)[1].kind)
      fake:complete_read(1, "ok")
      assert.equal(404, connection:receive().status)
    end
  end)

  it("waits on for a min_index above the read index, and only then", function()
    local fake = fake_node.create()
    fake:hold_reads(true)
    local node <close> = http.node(nil, fake)
    local connection <close> = node:connect()
    connection:send(http.request("GET /kv/a?min_index=9"))
    assert.equal("read_index", held(fake, "held_reads", 1)[1].kind)
    fake:complete_read(1, "ok", 8)
    local wait = held(fake, "held_reads", 1)[1]
    assert.equal("wait_applied", wait.kind)
    assert.equal(9, wait.index)
    fake:complete_read(1, "ok")
    assert.equal(404, connection:receive().status)

    connection:send(http.request("GET /kv/a?min_index=9"))
    held(fake, "held_reads", 1)
    fake:complete_read(1, "ok", 9)
    assert.equal(404, connection:receive().status)
    assert.equal(0, #fake:held_reads())
  end)

  it("waits on for the asynchronous writes that a leader took before a read, while they are pending", function()
    local fake = fake_node.create()
    fake:hold_reads(true)
    fake:set_last_index(12)
    local node <close> = http.node(nil, fake)
    assert.equal(202, node:ask("PUT /kv/a?mode=async", '{"value":"1"}').status)
    local connection <close> = node:connect()
    connection:send(http.request("GET /kv/a"))
    held(fake, "held_reads", 1)
    fake:complete_read(1, "ok", 8)
    local wait = held(fake, "held_reads", 1)[1]
    assert.same({ "wait_applied", 12 }, { wait.kind, wait.index })
    fake:complete_read(1, "ok")
    assert.equal(404, connection:receive().status)

    connection:send(http.request("GET /kv/a"))
    held(fake, "held_reads", 1)
    fake:set_role("follower") -- whoever leads no more cannot tell what becomes of them
    fake:complete_read(1, "ok", 8)
    assert.equal(404, connection:receive().status)

    fake:set_role("leader")
    fake:complete(1, "ok", { index = 12, ok = true })
    connection:send(http.request("GET /kv/a"))
    held(fake, "held_reads", 1)
    fake:complete_read(1, "ok", 8)
    assert.equal(404, connection:receive().status)
    assert.equal(0, #fake:held_reads())
  end)

  it("ends a read whose second wait is refused", function()
    local fake = fake_node.create()
    fake:hold_reads(true)
    local node <close> = http.node(nil, fake)
    local connection <close> = node:connect()
    connection:send(http.request("GET /kv/a?min_index=9"))
    held(fake, "held_reads", 1)
    fake:refuse_reads("overloaded")
    fake:complete_read(1, "ok", 8)
    assert.equal(503, connection:receive().status)
  end)
end)
