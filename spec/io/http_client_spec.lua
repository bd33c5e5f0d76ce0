local fake_server = require "spec.io.fake_server"
local httpclient = require "kvserver.httpclient"
local server = require "kvserver.server"
local task = require "kvserver.task"

local ANSWER <const> = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

-- Answers each request of a connection once.
local function answer_each(text)
  local answered = {}
  return function(connection, input, number)
    local _, requests = input:gsub("\r\n\r\n", "")
    for _ = (answered[number] or 0) + 1, requests do connection:write(text) end
    answered[number] = requests
  end
end

local function fails(...)
  local response, kind, text = ...
  assert.is_nil(response)
  return kind, text
end

describe("HTTP client", function()
  it("returns status, headers by lower-case name, and body", function()
    local fake <close> = fake_server.start(answer_each(
      "HTTP/1.1 404 Not Found\r\nX-Two: a\r\nx-two: b\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone"))
    local c <close> = httpclient.open { port = fake.port }
    assert.same({ status = 404, headers = { ["x-two"] = "a, b", ["content-type"] = "text/plain",
      ["content-length"] = "4" }, body = "gone" }, c:request { target = "/x" })
  end)

  it("sends method, target, headers and body as they are", function()
    local seen
    local fake <close> = fake_server.start(function(connection, input)
      seen = input
      if input:find("payload", 1, true) then connection:write(ANSWER) end
    end)
    local c <close> = httpclient.open { port = fake.port }
    assert(c:request { method = "PUT", target = "/kv/a%2Fb?x=1", headers = { ["X-Seq"] = "7" }, body = "payload" })
    assert.matches("^PUT /kv/a%%2Fb%?x=1 HTTP/1%.1\r\n", seen)
    assert.matches(("\r\nHost: 127.0.0.1:%d\r\n"):format(fake.port), seen)
    assert.matches("\r\nX%-Seq: 7\r\n", seen)
    assert.matches("\r\nContent%-Length: 7\r\n.*\r\n\r\npayload$", seen)
  end)

  it("uses one connection for many requests", function()
    local fake <close> = fake_server.start(answer_each(ANSWER))
    local c <close> = httpclient.open { port = fake.port }
    for _ = 1, 10 do assert.equal("ok", c:request({ target = "/" }).body) end
    assert.equal(1, #fake.connections)
  end)

  it("keeps several requests in flight and gives each its own answer", function()
    local fake <close> = fake_server.start(function(connection, input)
      local _, requests = input:gsub("\r\n\r\n", "")
      if requests < 3 then return end -- all three are on their way before the first is answered
      for name in input:gmatch("GET /(%a)") do
        connection:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" .. name)
      end
    end)
    local c <close> = httpclient.open { port = fake.port }
    local calls = { c:start { target = "/a" }, c:start { target = "/b" }, c:start { target = "/c" } }
    assert.equal("c", calls[3]:wait().body)
    assert.equal("a", calls[1]:wait().body)
    assert.equal("b", calls[2]:wait().body)
  end)

  it("refuses more than 64 requests in flight, and goes on", function()
    local fake <close> = fake_server.start(answer_each(ANSWER))
    local c <close> = httpclient.open { port = fake.port }
    local calls = {}
    for i = 1, 64 do calls[i] = c:start { target = "/" } end
    assert.equal("overloaded", fails(c:request { target = "/" }))
    for i = 1, 64 do assert.equal(200, calls[i]:wait().status) end
    assert.equal(200, c:request({ target = "/" }).status)
  end)

  it("reads answers in any cut", function()
    local text <const> = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    local fake <close> = fake_server.start(function(connection)
      task.spawn(function()
        for i = 1, #text do
          connection:write(text:sub(i, i))
          task.yield()
        end
      end)
    end)
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("abcdefg", c:request({ target = "/" }).body)
  end)

  it("skips 1xx answers", function()
    local fake <close> = fake_server.start(answer_each(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. ANSWER))
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("ok", c:request({ target = "/" }).body)
    assert.equal("ok", c:request({ target = "/" }).body)
  end)

  it("expects no body behind the answer to HEAD, also between others", function()
    local fake <close> = fake_server.start(function(connection, input)
      if not input:find("/3", 1, true) then return end
      connection:write(ANSWER .. "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" .. ANSWER)
    end)
    local c <close> = httpclient.open { port = fake.port }
    local first, head = c:start { target = "/1" }, c:start { method = "HEAD", target = "/2" }
    local last = c:start { target = "/3" }
    assert.equal("ok", first:wait().body)
    local answer = head:wait()
    assert.equal("", answer.body)
    assert.equal("500", answer.headers["content-length"])
    assert.equal("ok", last:wait().body)
  end)

  it("takes the end of the connection as the end of a body without length", function()
    local fake <close> = fake_server.start(function(connection)
      connection:write("HTTP/1.1 200 OK\r\n\r\nall of it")
      connection:shutdown()
    end)
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("all of it", c:request({ target = "/" }).body)
  end)

  it("connects anew after the server closed between requests", function()
    local fake <close> = fake_server.start(function(connection)
      connection:write(ANSWER)
      connection:shutdown()
    end)
    local c <close> = httpclient.open { port = fake.port }
    for _ = 1, 3 do assert.equal("ok", c:request({ target = "/" }).body) end
    assert.equal(3, #fake.connections)
  end)

  it("connects anew after Connection: close, and sends what had not left", function()
    local fake <close> = fake_server.start(answer_each("HTTP/1.1 200 OK\r\nConnection: close\r\n" ..
      "Content-Length: 2\r\n\r\nok"))
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("ok", c:request({ target = "/" }).body)
    assert.equal("ok", c:request({ target = "/" }).body)
    assert.equal(2, #fake.connections)
  end)

  it("ends what was sent with closed when the server closes before it answered", function()
    local fake <close> = fake_server.start(function(connection) connection:close() end)
    local c <close> = httpclient.open { port = fake.port }
    local first, second = c:start { target = "/1" }, c:start { target = "/2" }
    assert.equal("closed", fails(first:wait()))
    assert.equal("closed", fails(second:wait()))
  end)

  it("ends an answer that breaks off with closed", function()
    local fake <close> = fake_server.start(function(connection)
      connection:write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
      connection:shutdown()
    end)
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("closed", fails(c:request { target = "/" }))
  end)

  it("ends with closed and the reason when the answer is not HTTP", function()
    local fake <close> = fake_server.start(answer_each("SSH-2.0-OpenSSH_9.2\r\n"))
    local c <close> = httpclient.open { port = fake.port }
    local kind, text = fails(c:request { target = "/" })
    assert.equal("closed", kind)
    assert.matches("^bad response: ", text)
  end)

  it("ends with closed when the body is larger than max_body", function()
    local fake <close> = fake_server.start(answer_each("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901"))
    local c <close> = httpclient.open { port = fake.port, max_body = 10 }
    assert.equal("closed", fails(c:request { target = "/" }))
    local roomy <close> = httpclient.open { port = fake.port, max_body = 11 }
    assert.equal("12345678901", roomy:request({ target = "/" }).body)
  end)

  it("ends the overdue request with timeout and those behind it with closed, then works again", function()
    local silent = true
    local each = answer_each(ANSWER)
    local fake <close> = fake_server.start(function(...)
      if not silent then each(...) end
    end)
    local c <close> = httpclient.open { port = fake.port }
    local start_ms = task.now_ms()
    local first, second = c:start { target = "/1", timeout_ms = 60 }, c:start { target = "/2", timeout_ms = 5000 }
    assert.equal("closed", fails(second:wait()))
    assert.equal("timeout", fails(first:wait()))
    local took_ms = task.now_ms() - start_ms
    assert.is_true(took_ms >= 60 and took_ms < 2000, "took " .. took_ms)
    silent = false
    assert.equal("ok", c:request({ target = "/3" }).body)
  end)

  it("says connect when nobody listens, and for a name that does not exist", function()
    local fake = fake_server.start(function() end)
    fake:__close()
    local c <close> = httpclient.open { port = fake.port }
    local kind, text = fails(c:request { target = "/" })
    assert.same({ "connect", "connection refused" }, { kind, text })
    local nowhere <close> = httpclient.open { host = "no-such-host.invalid", port = 1 }
    assert.equal("connect", fails(nowhere:request { target = "/" }))
  end)

  it("tries every address of a name", function()
    local fake <close> = fake_server.start(answer_each(ANSWER)) -- localhost is ::1 as well, where nobody listens
    local c <close> = httpclient.open { host = "localhost", port = fake.port }
    assert.equal("ok", c:request({ target = "/" }).body)
  end)

  it("ends what is in flight when it is closed, and refuses to go on", function()
    local fake <close> = fake_server.start(function() end)
    local c = httpclient.open { port = fake.port }
    local call = c:start { target = "/" }
    c:close()
    assert.equal("closed", fails(call:wait()))
    assert.error_matches(function() c:request { target = "/" } end, "the client is closed")
  end)

  it("drops a connection on which an answer comes that nobody asked for", function()
    local fake <close> = fake_server.start(function(connection, _, number)
      connection:write(number == 1 and ANSWER .. ANSWER or ANSWER:gsub("ok$", "no"))
    end)
    local c <close> = httpclient.open { port = fake.port }
    assert.equal("ok", c:request({ target = "/1" }).body)
    assert.equal("no", c:request({ target = "/2" }).body)
    assert.equal(2, #fake.connections)
  end)

  it("refuses headers that would split the request", function()
    local c <close> = httpclient.open { port = 1 }
    assert.error_matches(function() c:request { target = "/", headers = { a = "b\r\nEvil: 1" } } end, "CR, LF")
    assert.error_matches(function() c:request { target = "/", headers = { ["a\nb"] = "c" } } end, "CR, LF")
  end)

  it("gets the answer to an upload that the server refuses midway", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0", max_body_bytes = 1000 })
    local c <close> = httpclient.open { port = node:port() }
    for _ = 1, 5 do
      assert.equal(413, c:request({ method = "PUT", target = "/kv/big", body = ("x"):rep(6000000) }).status)
    end
    assert.equal(200, c:request({ target = "/healthz" }).status)
  end)

  it("moves large bodies both ways", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0", max_value_bytes = 4194304 })
    local c <close> = httpclient.open { port = node:port() }
    local value = ("0123456789abcdef"):rep(262144)
    local octets <const> = "application/octet-stream"
    assert.equal(200, c:request({ method = "PUT", target = "/kv/big", body = value,
      headers = { ["Content-Type"] = octets } }).status)
    assert.is_true(c:request({ target = "/kv/big", headers = { Accept = octets } }).body == value)
  end)
end)
