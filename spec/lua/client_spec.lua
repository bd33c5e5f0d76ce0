local client = require "kvserver.client"
local fake_server = require "spec.io.fake_server"
local server = require "kvserver.server"
local task = require "kvserver.task"

local NOT_UTF8 <const> = "\0\255\254bytes"

local function start()
  return assert(server.start { listen = "127.0.0.1:0" })
end

local function connect(node, options)
  return client.connect("http://127.0.0.1:" .. node:port(), options)
end

local function reply(status, headers, body)
  return ("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(status, headers, #body, body)
end

describe("client", function()
  it("puts, gets and deletes", function()
    local node <close> = start()
    local c <close> = connect(node)
    assert.same({ ok = true, status = 200, index = 2 }, c:put("k", "v"))
    assert.same({ ok = true, status = 200, index = 2, value = "v" }, c:get("k"))
    assert.equal(1, c:delete("k").deleted)
    assert.equal(0, c:delete("k").deleted)
    local gone = c:get("k")
    assert.same({ false, 404, "not_found" }, { gone.ok, gone.status, gone.err_code })
  end)

  it("takes any key and any value", function()
    local node <close> = start()
    local c <close> = connect(node)
    for _, key in ipairs { "a/b", "a b?c=d&e#f", "%41", "ключ", "+", ".", "..", "a//b/" } do
      for _, value in ipairs { "", "text \"quoted\"\n", "ü", NOT_UTF8 } do
        assert.is_true(c:put(key, value).ok)
        assert.equal(value, c:get(key).value)
        assert.is_true(c:cas(key, value, NOT_UTF8 .. value).ok)
        assert.equal(NOT_UTF8 .. value, c:get(key).value)
      end
    end
  end)

  it("has writes taken, and asks what became of them", function()
    local node <close> = start()
    local c <close> = connect(node, { client_id = "me" })
    local taken = c:cas("k", "x", "v", { mode = "async" })
    assert.same({ true, 202 }, { taken.ok, taken.status })
    local told = assert(task.wait_until(function()
      local answer = c:operation(taken.op_id)
      return answer.ready and answer
    end, 10000))
    assert.same({ 200, false, "cas_failed" }, { told.status, told.result.ok, told.result.err_code })
    assert.equal(2, told.index)
    assert.equal("not_found", c:operation((taken.op_id:gsub("%d$", "9"))).err_code)
    assert.equal("not_found", c:operation("a b").err_code)
  end)

  it("compares and sets", function()
    local node <close> = start()
    local c <close> = connect(node)
    assert.is_true(c:cas("k", "", "1").ok)
    local failed = c:cas("k", "2", "3")
    assert.same({ false, 409, "cas_failed" }, { failed.ok, failed.status, failed.err_code })
    assert.equal("1", c:get("k").value)
  end)

  it("works on several keys at once", function()
    local node <close> = start()
    local c <close> = connect(node)
    assert.is_true(c:mput({ { key = "b", value = "2" }, { key = "a", value = NOT_UTF8 } }).ok)
    assert.is_true(c:mput({ c = "3", d = NOT_UTF8 }).ok)
    assert.same({ a = NOT_UTF8, b = "2", c = "3" }, c:mget({ "a", "b", "c", "none" }).values)
    assert.same({}, c:mget({ "none" }).values)
    assert.equal(2, c:mdelete({ "a", "c", "none" }).deleted)
    assert.same({ b = "2", d = NOT_UTF8 }, c:mget({ "a", "b", "c", "d" }).values)
  end)

  it("scans in byte order, page by page", function()
    local node <close> = start()
    local c <close> = connect(node)
    for i = 1, 25 do c:put(("p/%02d &"):format(i), tostring(i)) end
    c:put("other", "x")
    c:put("p/bytes", NOT_UTF8)
    local keys, after, pages = {}, nil, 0
    repeat
      local page = c:scan { prefix = "p/", after = after, limit = 10 }
      for _, entry in ipairs(page.entries) do keys[#keys + 1] = entry.key end
      after, pages = page.next, pages + 1
    until after == ""
    assert.equal(26, #keys)
    assert.same({ "p/01 &", "p/25 &", "p/bytes" }, { keys[1], keys[25], keys[26] })
    assert.is_true(pages >= 3)
    assert.equal(NOT_UTF8, c:scan({ prefix = "p/b" }).entries[1].value)
  end)

  it("counts the seq of each write of a client_id, so that a retry is answered once", function()
    local node <close> = start()
    local c <close> = connect(node, { client_id = "c1" })
    c:put("k", "1")
    c:delete("none")
    assert.is_true(c:cas("k", "1", "2").ok)
    assert.equal(3, c.seq)
    local again = c:cas("k", "1", "2", { seq = c.seq })
    assert.same({ true, "same" }, { again.ok, again.replay })
    assert.equal("older", c:put("k", "3", { seq = 1 }).replay)
    assert.equal("2", c:get("k").value)
    assert.equal(1, c:status().clients)
  end)

  it("sends neither client_id nor seq when it has none", function()
    local node <close> = start()
    local c <close> = connect(node)
    c:put("k", "1")
    assert.equal(0, c:status().clients)
    assert.is_true(c:put("k", "2", { client_id = "other", seq = 9 }).ok)
    assert.equal(1, c:status().clients)
  end)

  it("asks for status and health", function()
    local node <close> = start()
    local c <close> = connect(node)
    assert.same({ true, "leader", 200 }, { c:healthz().ok, c:healthz().role, c:healthz().status })
    assert.is_true(c:readyz().ok)
    assert.equal("leader", c:status().role)
  end)

  it("passes read options on", function()
    local node <close> = start()
    local c <close> = connect(node)
    c:put("k", "v")
    assert.equal("v", c:get("k", { read = "stale", min_index = 2 }).value)
    assert.equal(400, c:get("k", { read = "nonsense" }).status)
    assert.equal(400, c:scan({ limit = 0 }).status)
  end)

  it("is at the service of several tasks at once", function()
    local node <close> = start()
    local c <close> = connect(node)
    local tasks = {}
    for i = 1, 40 do
      tasks[i] = task.spawn(function()
        c:put("k" .. i, tostring(i))
        return c:get("k" .. i).value
      end)
    end
    for i = 1, 40 do assert.equal(tostring(i), tasks[i]:join()) end
  end)

  it("follows redirects with method, body and query", function()
    local node <close> = start()
    local fake <close> = fake_server.start(function(connection, input)
      local target = input:match("^%u+ (%S+)")
      connection:write(reply("307 Temporary Redirect",
        ("Location: http://127.0.0.1:%d%s\r\n"):format(node:port(), target), '{"ok":false}'))
    end)
    local c <close> = client.connect({ port = fake.port })
    assert.is_true(c:put("a/b", NOT_UTF8).ok)
    assert.equal(NOT_UTF8, c:get("a/b", { read = "stale" }).value)
    local seen = c:http("PUT", "/kv/x", { body = "{}", follow = false })
    assert.equal(307, seen.status)
  end)

  it("takes a redirect as an answer if it is made so", function()
    local fake <close> = fake_server.start(function(connection)
      connection:write(reply("307 Temporary Redirect", "Location: http://127.0.0.1:1/elsewhere\r\n",
        '{"ok":false,"err_code":"not_leader","leader_hint":{"leader_id":"n2","leader_addr":"n2:1"}}'))
    end)
    local c <close> = client.connect({ port = fake.port }, { follow = false })
    local answer <const> = c:put("k", "v")
    assert.same({ 307, "not_leader", "n2" }, { answer.status, answer.err_code, answer.leader_hint.leader_id })
  end)

  it("gives up on redirects that lead in a circle, or nowhere", function()
    local target
    local circle <close> = fake_server.start(function(connection)
      connection:write(reply("307 Temporary Redirect", "Location: " .. target .. "\r\n", ""))
    end)
    target = ("http://127.0.0.1:%d/kv/k"):format(circle.port)
    local c <close> = client.connect({ port = circle.port })
    local result, kind, text = c:put("k", "v")
    assert.same({ nil, "bad_answer", "too many redirects" }, { result, kind, text })
    target = "mailto:nobody"
    result, kind, text = c:put("k", "v")
    assert.same({ nil, "bad_answer", "a redirect to mailto:nobody" }, { result, kind, text })
  end)

  it("tells an unknown outcome from a request that was not sent", function()
    local silent <close> = fake_server.start(function() end)
    local c <close> = client.connect({ port = silent.port }, { timeout_ms = 30 })
    local result, kind = c:put("k", "v")
    assert.same({ nil, "timeout" }, { result, kind })
    local rude <close> = fake_server.start(function(connection) connection:close() end)
    local d <close> = client.connect({ port = rude.port })
    result, kind = d:put("k", "v")
    assert.same({ nil, "closed" }, { result, kind })
    local node = start()
    local e <close> = connect(node)
    node:close()
    result, kind = e:put("k", "v")
    assert.same({ nil, "connect" }, { result, kind })
  end)

  it("does not take something else for an answer", function()
    local fake <close> = fake_server.start(function(connection) connection:write(reply("200 OK", "", "<html>")) end)
    local c <close> = client.connect({ port = fake.port })
    local result, kind = c:get("k")
    assert.same({ nil, "bad_answer" }, { result, kind })
  end)

  it("works on after close", function()
    local node <close> = start()
    local c = connect(node)
    assert.is_true(c:put("k", "v").ok)
    c:close()
    assert.equal("v", c:get("k").value)
    c:close()
  end)

  it("takes HOST:PORT, URLs and IPv6, and says what it expects", function()
    local node <close> = start()
    for _, target in ipairs { "127.0.0.1:%d", "http://127.0.0.1:%d", "http://127.0.0.1:%d/", "localhost:%d" } do
      local c <close> = client.connect(target:format(node:port()))
      assert.is_true(c:healthz().ok)
    end
    local six = client.connect("http://[::1]:7000")
    assert.same({ "::1", 7000 }, { six.host, six.port })
    for _, target in ipairs { "", "nowhere", "http://a", "https://a:1", {} } do
      assert.error_matches(function() client.connect(target) end, "expected http://HOST:PORT")
    end
  end)
end)
