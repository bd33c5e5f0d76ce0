-- The API as a client uses it: the flows that the seed names, and what holds across requests. The table of single
-- requests is in requests_spec.lua.
local http = require "spec.support.http"

describe("the HTTP API", function()
  it("answers /healthz [TestHTTPAPI_Healthz]", function()
    local node <close> = http.node { id = "n7" }
    local reply = node:ask("GET /healthz")
    assert.equal(200, reply.status)
    assert.equal("application/json", reply.headers["content-type"])
    assert.equal('{"ok":true,"id":"n7","role":"leader","term":1,"leader_id":"n7"}', reply.body)
  end)

  it("puts, gets and deletes a key [TestHTTPAPI_PutGetDelete]", function()
    local node <close> = http.node()
    assert.equal(404, node:ask("GET /kv/a").status)
    assert.equal('{"ok":true}', node:ask("PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}').body)
    assert.equal('{"ok":true,"value":"1"}', node:ask("GET /kv/a").body)
    assert.equal('{"ok":true}', node:ask("PUT /kv/a", '{"client_id":"c","seq":2,"value":""}').body)
    assert.equal('{"ok":true,"value":""}', node:ask("GET /kv/a").body)
    assert.equal('{"ok":true,"deleted":1}', node:ask("DELETE /kv/a", '{"client_id":"c","seq":3}').body)
    assert.equal('{"ok":true,"deleted":0}', node:ask("DELETE /kv/a").body)
    assert.equal(404, node:ask("GET /kv/a").status)
  end)

  it("puts, gets and deletes in batches [TestHTTPAPI_BatchEndpoints]", function()
    local node <close> = http.node()
    local entries = '{"client_id":"c","seq":1,"entries":[{"key":"a","value":"1"},{"key":"b","value":"2"}]}'
    assert.equal('{"ok":true}', node:ask("POST /kv/mput", entries).body)
    assert.equal('{"ok":true,"values":{"a":"1","b":"2"}}', node:ask("POST /kv/mget", '{"keys":["b","no","a"]}').body)
    assert.equal('{"ok":true,"deleted":1}',
      node:ask("POST /kv/mdelete", '{"client_id":"c","seq":2,"keys":["a","no"]}').body)
    assert.equal('{"ok":true,"values":{"b":"2"}}', node:ask("POST /kv/mget", '{"keys":["a","b"]}').body)
  end)

  it("counts the log index up and reports it with every KV reply", function()
    local node <close> = http.node()
    assert.equal("1", node:ask("GET /kv/a").headers["x-raft-index"]) -- the no-op of the first term
    assert.equal("2", node:ask("PUT /kv/a", '{"value":"1"}').headers["x-raft-index"])
    assert.equal("3", node:ask("POST /kv/cas", '{"key":"a","expected":"x","value":"y"}').headers["x-raft-index"])
    assert.equal("3", node:ask("GET /kv/a").headers["x-raft-index"])
    assert.equal("3", node:ask("GET /kv/none").headers["x-raft-index"])
    assert.equal("3", node:ask("GET /kv").headers["x-raft-index"])
    assert.equal("3", node:ask("POST /kv/mget", '{"keys":["a"]}').headers["x-raft-index"])
    assert.is_nil(node:ask("PUT /kv/a", '{}').headers["x-raft-index"])
  end)

  it("replays the last reply of a client with its status and says so", function()
    local node <close> = http.node()
    local failed = '{"client_id":"c","seq":%d,"key":"a","expected":"x","value":"y"}'
    local first = node:ask("POST /kv/cas", failed:format(2))
    assert.equal(409, first.status)
    assert.is_nil(first.headers["x-replay"])
    local same = node:ask("PUT /kv/a", '{"client_id":"c","seq":2,"value":"other"}')
    assert.equal(409, same.status)
    assert.equal(first.body, same.body)
    assert.equal("same", same.headers["x-replay"])
    local older = node:ask("DELETE /kv/a", '{"client_id":"c","seq":1}')
    assert.equal(409, older.status)
    assert.equal("older", older.headers["x-replay"])
    assert.equal(404, node:ask("GET /kv/a").status)
    local holds = '{"client_id":"c","seq":3,"key":"a","expected":"","value":"y"}'
    assert.equal(200, node:ask("POST /kv/cas", holds).status)
  end)

  it("does not use up the seq of a request that it refuses", function()
    local node <close> = http.node()
    assert.equal(400, node:ask("PUT /kv/a", '{"client_id":"c","seq":1}').status)
    assert.equal(400, node:ask("POST /kv/mput", '{"client_id":"c","seq":1,"entries":[]}').status)
    local reply = node:ask("PUT /kv/a", '{"client_id":"c","seq":1,"value":"v"}')
    assert.equal(200, reply.status)
    assert.is_nil(reply.headers["x-replay"])
  end)

  it("takes a seq up to 2^63-1 exactly", function()
    local node <close> = http.node()
    local put = '{"client_id":"c","seq":%s,"value":"v"}'
    assert.is_nil(node:ask("PUT /kv/a", put:format("9223372036854775806")).headers["x-replay"])
    assert.is_nil(node:ask("PUT /kv/a", put:format("9223372036854775807")).headers["x-replay"])
    assert.equal("same", node:ask("PUT /kv/a", put:format("9223372036854775807")).headers["x-replay"])
    assert.equal("older", node:ask("PUT /kv/a", put:format("9223372036854775806")).headers["x-replay"])
  end)

  it("does not dedupe without a client_id, or with seq 0", function()
    local node <close> = http.node()
    for _, client in ipairs { '"seq":1', '"client_id":"","seq":1', '"client_id":"c","seq":0', '"client_id":"c"' } do
      for _, value in ipairs { "1", "2" } do
        assert.is_nil(node:ask("PUT /kv/a", ('{%s,"value":"%s"}'):format(client, value)).headers["x-replay"])
        assert.equal(('{"ok":true,"value":"%s"}'):format(value), node:ask("GET /kv/a").body)
      end
    end
    assert.equal(0, node.server:stats().clients)
  end)

  it("dedupes a raw put and a delete without a body by their headers", function()
    local node <close> = http.node()
    local function headers(seq, more) return { "X-Client-Id: c", "x-seq: " .. seq, more } end
    local raw = "content-type: Application/Octet-Stream; charset=x"
    assert.equal(200, node:ask("PUT /kv/a", "1", headers(1, raw)).status)
    assert.equal("same", node:ask("PUT /kv/a", "2", headers(1, raw)).headers["x-replay"])
    assert.equal('{"ok":true,"value":"1"}', node:ask("GET /kv/a").body)
    assert.is_nil(node:ask("DELETE /kv/a", nil, headers(2)).headers["x-replay"])
    assert.equal("same", node:ask("DELETE /kv/a", nil, headers(2)).headers["x-replay"])
  end)

  it("keeps any byte of a value: raw in, raw out, base64 in JSON", function()
    local node <close> = http.node()
    local bytes = {}
    for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
    local value = table.concat(bytes)
    assert.equal(200, node:ask("PUT /kv/bin", value, { "Content-Type: application/octet-stream" }).status)
    local reply = node:ask("GET /kv/bin", nil, { "Accept: text/html, application/octet-stream;q=0.5" })
    assert.equal("application/octet-stream", reply.headers["content-type"])
    assert.equal(value, reply.body)
    local text = node:ask("GET /kv/bin").body
    local base64 = text:match('^{"ok":true,"value_base64":"([A-Za-z0-9+/=]+)"}$')
    assert.equal(200, node:ask("PUT /kv/copy", ('{"value_base64":"%s"}'):format(base64)).status)
    assert.equal(value, node:ask("GET /kv/copy", nil, { "Accept: application/octet-stream" }).body)
    assert.equal(200, node:ask("POST /kv/cas",
      ('{"key":"bin","expected_base64":"%s","value":"text"}'):format(base64)).status)
  end)

  it("splits a batch reply into values and values_base64", function()
    local node <close> = http.node()
    node:ask("POST /kv/mput", '{"entries":[{"key":"b","value_base64":"/w=="},{"key":"a","value":"t"}]}')
    assert.equal('{"ok":true,"values":{"a":"t"},"values_base64":{"b":"/w=="}}',
      node:ask("POST /kv/mget", '{"keys":["b","a","b"]}').body)
    assert.equal('{"ok":true,"values":{},"values_base64":{"b":"/w=="}}', node:ask("POST /kv/mget",
      '{"keys":["b"]}').body)
    assert.equal('{"ok":true,"entries":[{"key":"a","value":"t"},{"key":"b","value_base64":"/w=="}],"next":""}',
      node:ask("GET /kv").body)
  end)

  it("refuses an mget whose reply would be too large, naming the limit", function()
    local node <close> = http.node()
    local keys = {}
    for i = 1, 33 do
      keys[i] = ('"k%02d"'):format(i)
      node:ask(("PUT /kv/k%02d"):format(i), ("v"):rep(1048576), { "Content-Type: application/octet-stream" })
    end
    local reply = node:ask("POST /kv/mget", ('{"keys":[%s]}'):format(table.concat(keys, ",")))
    assert.equal(413, reply.status)
    assert.equal(http.error_body("too_large",
      "keys: 34603107 bytes of keys and values exceed the 33554432 of one reply; ask for fewer"), reply.body)
  end)

  it("takes batches of 100000 and no more", function()
    local node <close> = http.node()
    local function keys(count) return '{"keys":["a"' .. (',"a"'):rep(count - 1) .. "]}" end
    local function puts(count)
      return '{"entries":[{"key":"a","value":""}' .. (',{"key":"a","value":""}'):rep(count - 1) .. "]}"
    end
    assert.equal(200, node:ask("POST /kv/mput", puts(100000)).status)
    assert.equal('{"ok":true,"values":{"a":""}}', node:ask("POST /kv/mget", keys(100000)).body)
    assert.equal('{"ok":true,"deleted":1}', node:ask("POST /kv/mdelete", keys(100000)).body)
    local rows = { { "mput", puts, "entries" }, { "mget", keys, "keys" }, { "mdelete", keys, "keys" } }
    for _, row in ipairs(rows) do
      local reply = node:ask("POST /kv/" .. row[1], row[2](100001))
      assert.equal(400, reply.status)
      assert.equal(http.error_body("bad_request", row[3] .. ": more than the 100000 that one request may hold"),
        reply.body)
    end
  end)

  it("ends a scan by bytes and goes on from next", function()
    local node <close> = http.node()
    for i = 1, 6 do
      node:ask(("PUT /kv/k%d"):format(i), ("v"):rep(1000000), { "Content-Type: application/octet-stream" })
    end
    local seen, after, replies = {}, "", 0
    repeat
      local body = node:ask("GET /kv?after=" .. after).body
      for key in body:gmatch('{"key":"(k%d)"') do seen[#seen + 1] = key end
      after, replies = body:match('"next":"([^"]*)"}$'), replies + 1
    until after == ""
    assert.same({ "k1", "k2", "k3", "k4", "k5", "k6" }, seen)
    assert.equal(2, replies)
  end)

  it("describes itself in /status", function()
    local node <close> = http.node { id = "n1", read_policy = "stale" }
    node:ask("PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}')
    local body = node:ask("GET /status").body
    local stats = node.server:stats()
    local port = node.server:port()
    local version = require "kvserver.version"
    local expected = '{"id":"n1","role":"leader","term":1,"voted_for":"n1",' ..
      '"leader_hint":{"leader_id":"n1","leader_addr":"127.0.0.1:' .. port .. '"},"commit_index":2,"first_index":1,' ..
      '"last_index":2,"last_term":1,"snapshot_index":0,"snapshot_term":0,"last_applied":2,"state_digest":"' ..
      stats.digest .. '","keys":1,"clients":1,"peers":{},"read_policy":"stale","uptime_ms":0,"version":"' ..
      version .. '"}'
    assert.equal(expected, (body:gsub('"uptime_ms":%d+', '"uptime_ms":0')))
  end)

  it("lets the requests of one connection take effect in their order", function()
    local node <close> = http.node()
    local connection <close> = node:connect()
    local requests, expected = {}, {}
    for i = 1, 40 do
      requests[#requests + 1] = http.request("PUT /kv/a", ('{"value":"%d"}'):format(i))
      requests[#requests + 1] = http.request("GET /kv/a")
      requests[#requests + 1] = http.request("GET /kv/a?read=stale")
      requests[#requests + 1] = http.request("POST /kv/mget", '{"keys":["a"]}')
      local value = ('{"ok":true,"value":"%d"}'):format(i)
      expected[#expected + 1] = '{"ok":true}'
      expected[#expected + 1] = value
      expected[#expected + 1] = value
      expected[#expected + 1] = ('{"ok":true,"values":{"a":"%d"}}'):format(i)
    end
    connection:send(table.concat(requests))
    for i, body in ipairs(expected) do
      local reply = connection:receive()
      assert.equal(body, reply.body, "reply " .. i)
    end
  end)

  local large_reads <const> = {
    { http.request("GET /kv/a"), '{"ok":true,"value":"%s"}' },
    { http.request("GET /kv"), '{"ok":true,"entries":[{"key":"a","value":"%s"}],"next":""}' },
    { http.request("POST /kv/mget", '{"keys":["a"]}'), '{"ok":true,"values":{"a":"%s"}}' },
  }
  for name, picks in pairs { GETs = { 1, 1, 1 }, scans = { 2, 2, 2 }, mgets = { 3, 3, 3 }, all = { 1, 2, 3 } } do
    it("makes large replies as the client takes them, not at once, in their order: " .. name, function()
      local node <close> = http.node()
      local reader <close> = node:connect()
      local old, new = ("o"):rep(1048576), ("n"):rep(1048576)
      local requests = ""
      for _, pick in ipairs(picks) do requests = requests .. large_reads[pick][1] end
      node:ask("PUT /kv/a", old, { "Content-Type: application/octet-stream" })
      reader:send(requests:rep(21) .. http.request("DELETE /kv/a") .. http.request("GET /kv/a"))
      local seen = old
      for i = 1, 63 do
        local body = reader:receive().body
        local form = large_reads[picks[(i - 1) % 3 + 1]][2]
        if body == form:format(new) then seen = new end
        assert.is_true(body == form:format(seen), "reply " .. i)
        -- In time for the last of them, which do not fit between here and there.
        if i == 1 then node:ask("PUT /kv/a", new, { "Content-Type: application/octet-stream" }) end
      end
      assert.is_true(seen == new)
      assert.equal('{"ok":true,"deleted":1}', reader:receive().body)
      assert.equal(404, reader:receive().status)
    end)
  end

  it("gives up on large replies when the client goes or the node stops", function()
    local node <close> = http.node()
    node:ask("PUT /kv/a", ("v"):rep(1048576), { "Content-Type: application/octet-stream" })
    for _ = 1, 2 do
      local reader <close> = node:connect()
      reader:send(http.request("GET /kv/a"):rep(64))
      assert.equal(200, reader:receive().status)
    end
    assert.equal(200, node:ask("GET /healthz").status)
    local reader <close> = node:connect()
    reader:send(http.request("GET /kv/a"):rep(64))
    assert.equal(200, reader:receive().status)
    assert.is_true(node.server:stop(10))
  end)

  it("runs many writes of one connection without waiting between them", function()
    local node <close> = http.node()
    local connection <close> = node:connect()
    local requests = {}
    for i = 1, 500 do requests[i] = http.request("PUT /kv/k" .. i, '{"value":"v"}') end
    connection:send(table.concat(requests))
    for i = 1, 500 do
      assert.equal(tostring(i + 1), connection:receive().headers["x-raft-index"])
    end
  end)

  it("waits for min_index and answers when another connection brings it", function()
    local node <close> = http.node()
    local waiting <close> = node:connect()
    waiting:start(http.request("GET /kv/a?min_index=3"))
    local stale <close> = node:connect()
    stale:start(http.request("GET /kv/a?read=stale&min_index=3"))
    node:ask("PUT /kv/a", '{"value":"1"}')
    node:ask("PUT /kv/a", '{"value":"2"}')
    assert.equal('{"ok":true,"value":"2"}', waiting:receive().body)
    assert.equal('{"ok":true,"value":"2"}', stale:receive().body)
  end)

  it("gives up on a min_index that does not come, having done nothing", function()
    local node <close> = http.node { request_timeout_ms = 30 }
    for _, policy in ipairs { "stale", "readindex" } do
      local reply = node:ask("GET /kv/a?min_index=9&read=" .. policy)
      assert.equal(504, reply.status)
      assert.equal(http.error_body("timeout", "the index to wait for was not reached in time; nothing was done"),
        reply.body)
    end
  end)

  it("goes on when clients leave while they wait", function()
    local node <close> = http.node()
    for _ = 1, 20 do
      local connection <close> = node:connect()
      connection:start(http.request("GET /kv/a?min_index=2"))
    end
    assert.equal(200, node:ask("PUT /kv/a", '{"value":"1"}').status)
    assert.equal(200, node:ask("GET /kv/a?min_index=2").status)
  end)
end)
