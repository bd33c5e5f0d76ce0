--- The server side of one connection, in virtual time: what it calls, what it answers and when it closes.
local http = require "kvserver.http"
local task = require "kvserver.task"

local PIPELINE_MAX <const> = 64
local OUTPUT_BYTES_MAX <const> = 4194304
local REQUEST_TIMEOUT_MS <const> = 5000
local IDLE_TIMEOUT_MS <const> = 60000

local function request(method, path, lines, body)
  local length = body and ("Content-Length: %d\r\n"):format(#body) or ""
  return ("%s %s HTTP/1.1\r\nHost: h\r\n%s%s\r\n%s"):format(method, path, lines or "", length, body or "")
end

local function get(path, lines)
  return request("GET", path, lines)
end

local function put(path, body, lines)
  return request("PUT", path, lines, body or "")
end

--- A connection whose handler only notes what it got: world.handled[path] is the exchange.
local function open(options)
  local world = { handled = {}, order = {}, requests = {} }
  options = options or {}
  options.handle = options.handle or function(message, exchange)
    world.handled[message.path] = exchange
    world.requests[message.path] = message
    world.order[#world.order + 1] = message.path
  end
  options.error_body = options.error_body or function(status, text)
    return ("<%d %s>"):format(status, text)
  end
  options.max_body = options.max_body or 1000
  options.request_timeout_ms = REQUEST_TIMEOUT_MS
  options.idle_timeout_ms = IDLE_TIMEOUT_MS
  world.connection = http.connection(options)
  function world.reply(path, body, status)
    world.handled[path]:reply(status or 200, "text/plain", "", body or path)
  end
  return world.connection, world
end

--- A connection that answers each request at once with its path.
local function open_echo(options)
  options = options or {}
  options.handle = function(message, exchange)
    exchange:reply(200, "text/plain", "", message.path)
  end
  return (open(options))
end

--- The answers in `output`, as "status body", and the parser's events.
local function answers(output, heads)
  local parser = http.parser { kind = "response" }
  local told, events = {}, {}
  if heads then parser:expect_head() end
  for _, event in ipairs(parser:feed(output)) do
    events[#events + 1] = event
    told[#told + 1] = event.type == "message" and (event.status .. " " .. event.body) or event.text
  end
  assert.is_false(parser:in_message(), "half an answer")
  return told, events
end

local function header(event, name)
  for _, field in ipairs(event.headers) do
    if field.name == name then return field.value end
  end
end

describe("a connection", function()
  it("answers a request, and stays", function()
    local connection = open_echo()
    connection:feed(get "/a", 0)
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n/a", connection:output())
    assert.are.equal("", connection:output())
    assert.is_false(connection:finished())
    connection:feed(get "/b", 0)
    assert.are.same({ "200 /b" }, (answers(connection:output())))
  end)

  it("gives a request to the handler only when it is complete", function()
    local connection, world = open()
    local bytes = put("/a", "hello")
    for i = 1, #bytes - 1 do
      connection:feed(bytes:sub(i, i), 0)
    end
    assert.are.same({}, world.order)
    connection:feed(bytes:sub(-1), 0)
    assert.are.equal("hello", world.requests["/a"].body)
  end)

  it("puts the answers of one feed into one piece of output", function()
    local connection = open_echo()
    connection:feed(get "/a" .. get "/b" .. get "/c", 0)
    assert.are.same({ "200 /a", "200 /b", "200 /c" }, (answers(connection:output())))
  end)

  it("answers in the order of the requests, whatever the order of completion", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. put "/3" .. put "/4", 0)
    world.reply "/3"
    world.reply "/2"
    assert.are.equal("", connection:output())
    world.reply "/1"
    assert.are.same({ "200 /1", "200 /2", "200 /3" }, (answers(connection:output())))
    world.reply "/4"
    assert.are.same({ "200 /4" }, (answers(connection:output())))
  end)

  it("tells its owner once when answers from outside make output", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. put "/3", 0)
    assert.are.equal(0, connection:readies())
    world.reply "/2" -- held back: nothing to send yet
    assert.are.equal(0, connection:readies())
    world.reply "/1"
    assert.are.equal(1, connection:readies())
    world.reply "/3"
    assert.are.equal(1, connection:readies())
    connection:output()
    connection:feed(put "/4", 0)
    world.reply "/4"
    assert.are.equal(2, connection:readies())
  end)

  it("does not tell its owner about answers that are made inside his own call", function()
    local connection = open_echo()
    connection:feed(get "/a", 0)
    assert.are.equal(0, connection:readies())
  end)

  it("hands output out in pieces of any size", function()
    local connection = open_echo()
    connection:feed(get "/a" .. get "/b", 0)
    local pieces = {}
    repeat
      pieces[#pieces + 1] = connection:output(1)
      if #pieces == 3 then connection:feed(get "/c", 0) end
    until pieces[#pieces] == ""
    assert.are.same({ "200 /a", "200 /b", "200 /c" }, (answers(table.concat(pieces))))
  end)

  it("answers HEAD with the length and without the body", function()
    local connection = open_echo()
    connection:feed(request("HEAD", "/abc") .. get "/d", 0)
    local told, events = answers(connection:output(), true)
    assert.are.same({ "200 ", "200 /d" }, told)
    assert.are.equal("4", header(events[1], "Content-Length"))
  end)

  it("sends header lines of the handler", function()
    local connection = open {
      handle = function(_, exchange)
        exchange:reply(307, nil, "Location: /b\r\nX-A: b\r\n", "")
      end,
    }
    connection:feed(get "/a", 0)
    assert.are.equal("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: /b\r\nX-A: b\r\n\r\n",
      connection:output())
  end)
end)

describe("the order of effects", function()
  it("lets writes go on without waiting", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. put "/3", 0)
    assert.are.same({ "/1", "/2", "/3" }, world.order)
    assert.are.equal(3, connection:inflight())
  end)

  it("lets reads go on without waiting", function()
    local connection, world = open()
    connection:feed(get "/1" .. get "/2", 0)
    assert.are.same({ "/1", "/2" }, world.order)
  end)

  it("makes a read wait for the writes before it", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. get "/3" .. get "/4", 0)
    assert.are.same({ "/1", "/2" }, world.order)
    assert.is_false(connection:wants_input())
    world.reply "/2"
    connection:resume(0)
    assert.are.same({ "/1", "/2" }, world.order)
    world.reply "/1"
    connection:resume(0)
    assert.are.same({ "/1", "/2", "/3", "/4" }, world.order)
    assert.is_true(connection:wants_input())
  end)

  it("makes a write wait for the reads before it", function()
    local connection, world = open()
    connection:feed(get "/1" .. put "/2" .. put "/3", 0)
    assert.are.same({ "/1" }, world.order)
    world.reply "/1"
    connection:resume(0)
    assert.are.same({ "/1", "/2", "/3" }, world.order)
  end)

  it("keeps what arrives while a request waits", function()
    local connection, world = open()
    connection:feed(put "/1" .. get "/2" .. put("/3", "abc"):sub(1, -3), 0)
    connection:feed("bc" .. get "/4", 0)
    world.reply "/1"
    connection:resume(0)
    world.reply "/2"
    connection:resume(0)
    assert.are.equal("abc", world.requests["/3"].body)
    world.reply "/3"
    connection:resume(0)
    world.reply "/4"
    assert.are.same({ "200 /1", "200 /2", "200 /3", "200 /4" }, (answers(connection:output())))
  end)

  it("asks the handler what reads and what writes", function()
    local connection, world = open {
      classify = function(message)
        return message.path == "/kv/mget" and "read" or "write"
      end,
    }
    connection:feed(request("POST", "/kv/mget") .. request("POST", "/kv/mget") .. get "/w", 0)
    assert.are.same({ "/kv/mget", "/kv/mget" }, world.order)
  end)
end)

describe("backpressure", function()
  it("stops reading at 64 requests in flight, and goes on as they are answered", function()
    local connection, world = open()
    local all = {}
    for i = 1, PIPELINE_MAX + 3 do
      all[i] = put("/" .. i)
    end
    connection:feed(table.concat(all, "", 1, PIPELINE_MAX - 1), 0)
    assert.is_true(connection:wants_input())
    connection:feed(table.concat(all, "", PIPELINE_MAX), 0)
    assert.are.equal(PIPELINE_MAX, #world.order)
    assert.is_false(connection:wants_input())
    world.reply "/1"
    world.reply "/2"
    connection:resume(0)
    assert.are.equal(PIPELINE_MAX + 2, #world.order)
    assert.is_false(connection:wants_input())
    world.reply "/3"
    connection:resume(0)
    assert.are.equal(PIPELINE_MAX + 3, #world.order)
    assert.are.equal(PIPELINE_MAX, connection:inflight())
    world.reply "/4"
    assert.is_true(connection:wants_input())
  end)

  it("counts answers that are held back as in flight", function()
    local connection, world = open()
    for i = 1, PIPELINE_MAX do
      connection:feed(put("/" .. i), 0)
    end
    for i = 2, PIPELINE_MAX do
      world.reply("/" .. i)
    end
    assert.are.equal(1, connection:inflight())
    assert.is_false(connection:wants_input())
  end)

  it("stops reading when 4 MiB of answers are unsent, and goes on when they are", function()
    local body = ("x"):rep(1 << 20)
    local calls = 0
    local connection = open {
      handle = function(_, exchange)
        calls = calls + 1
        exchange:reply(200, "text/plain", "", body)
      end,
    }
    connection:feed(get("/a"):rep(6), 0)
    assert.are.equal(OUTPUT_BYTES_MAX // #body, calls)
    assert.is_false(connection:wants_input())
    assert.is_nil(connection:deadline())
    connection:output(#body // 2)
    connection:resume(0)
    assert.are.equal(5, calls)
    local rest = 0
    repeat
      local piece = connection:output()
      rest = rest + #piece
      connection:resume(0)
    until piece == ""
    assert.are.equal(6, calls)
    assert.is_true(connection:wants_input())
  end)

  it("counts answers that are held back as unsent", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. put "/3", 0)
    world.reply("/2", ("x"):rep(OUTPUT_BYTES_MAX))
    connection:feed(put "/4", 0)
    assert.are.same({ "/1", "/2", "/3" }, world.order)
    world.reply "/1"
    connection:output()
    connection:resume(0)
    assert.are.same({ "/1", "/2", "/3", "/4" }, world.order)
  end)
end)

describe("an answer that waits for room", function()
  local MIB <const> = ("x"):rep(1 << 20)

  --- Each request is ready when world.ready(path) says so, and answered with `body`; world.made is the order of that.
  local function open_waiting(body)
    local connection, world = open()
    world.made = {}
    function world.ready(path)
      local exchange = world.handled[path]
      local function answer()
        world.made[#world.made + 1] = path
        exchange:reply(200, "text/plain", "", body)
      end
      local waits = exchange:wait_for_room(answer)
      if not waits then answer() end
      return waits
    end
    return connection, world
  end

  local function feed(connection, count)
    for i = 1, count do connection:feed(get("/" .. i), 0) end
  end

  it("is made once the client has taken what is before it", function()
    local connection, world = open_waiting(MIB)
    feed(connection, 8)
    local waits = {}
    for i = 1, 8 do waits[i] = world.ready("/" .. i) end
    assert.are.same({ false, false, false, false, true, true, true, true }, waits)
    assert.are.equal(4, connection:inflight())
    connection:resume(0)
    assert.are.equal(4, #world.made)
    assert.is_false(connection:wants_resume())
    connection:output(#MIB)
    assert.is_true(connection:wants_resume())
    assert.are.equal(4, #world.made)
    connection:resume(0)
    assert.are.same({ "/1", "/2", "/3", "/4", "/5" }, world.made)
    assert.is_false(connection:wants_resume())
    local all = ""
    repeat
      local piece = connection:output()
      all = all .. piece
      connection:resume(0)
    until piece == ""
    assert.are.same({ "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8" }, world.made)
    assert.are.equal(0, connection:inflight())
  end)

  it("is bounded by one in line and one held back, however many are ready", function()
    local large <const>, MANY <const> = MIB:rep(OUTPUT_BYTES_MAX // #MIB), 16
    local connection, world = open_waiting(large)
    feed(connection, MANY)
    for i = MANY, 2, -1 do world.ready("/" .. i) end
    assert.are.same({ "/" .. MANY }, world.made)
    assert.is_false(world.ready("/1")) -- all the others are held back by it
    connection:resume(0)
    assert.are.same({ "/" .. MANY, "/1" }, world.made)
    local count = 0
    repeat
      local piece = connection:output()
      count = count + select(2, piece:gsub("HTTP/1.1 200 OK", ""))
      assert.is_true(#piece < 2 * #large + 1000)
      connection:resume(0)
      task.yield() -- 64 MB in all, almost all of it in C
    until piece == ""
    assert.are.equal(MANY, count)
  end)

  it("is not overtaken by a small one that becomes ready later", function()
    local connection, world = open_waiting(MIB)
    feed(connection, 6)
    for i = 1, 5 do world.ready("/" .. i) end
    connection:output()
    assert.is_true(world.ready("/6"))
    connection:resume(0)
    assert.are.same({ "/1", "/2", "/3", "/4", "/5", "/6" }, world.made)
  end)

  it("holds up the writes behind it, and the end of the connection", function()
    local connection, world = open_waiting(MIB)
    feed(connection, 5)
    connection:feed(put "/w", 0)
    for i = 1, 5 do world.ready("/" .. i) end
    connection:finish(0)
    assert.are.equal(5, #world.order)
    connection:output()
    assert.is_false(connection:finished())
    assert.is_true(connection:wants_resume())
    connection:resume(0)
    assert.are.equal("/w", world.order[6])
    world.reply "/w"
    connection:output()
    assert.is_true(connection:finished())
  end)

  it("is still made when the connection drains", function()
    local connection, world = open_waiting(MIB)
    feed(connection, 5)
    for i = 1, 5 do world.ready("/" .. i) end
    connection:drain()
    connection:output()
    assert.is_false(connection:finished())
    connection:resume(0)
    assert.matches("\r\nConnection: close\r\n", connection:output(), 1, true)
    assert.is_true(connection:finished())
  end)

  it("is given up when the client goes, which its maker is told", function()
    local connection, world = open_waiting(MIB)
    feed(connection, 7)
    for i = 1, 6 do world.ready("/" .. i) end
    connection:close()
    assert.are.same({ "/1", "/2", "/3", "/4", "/5", "/6" }, world.made)
    assert.is_false(world.handled["/7"]:alive())
    assert.is_false(world.ready("/7")) -- nothing to wait for
  end)
end)

describe("Expect: 100-continue", function()
  local function expecting(path)
    return put(path, "hello", "Expect: 100-continue\r\n"):sub(1, -6)
  end

  it("is answered before the body", function()
    local connection, world = open()
    connection:feed(expecting "/a", 0)
    assert.are.equal("HTTP/1.1 100 Continue\r\n\r\n", connection:output())
    connection:feed("hello", 0)
    assert.are.equal("", connection:output())
    world.reply "/a"
    assert.are.same({ "200 /a" }, (answers(connection:output())))
  end)

  it("is not answered when the body comes at once", function()
    local connection, world = open()
    connection:feed(expecting "/a" .. "hello", 0)
    assert.are.equal("", connection:output())
    world.reply "/a"
    assert.are.same({ "200 /a" }, (answers(connection:output())))
  end)

  it("is not answered when the body begins at once", function()
    local connection = open()
    connection:feed(expecting "/a" .. "h", 0)
    assert.are.equal("", connection:output())
  end)

  it("waits for the answers before it", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. expecting "/3", 0)
    assert.are.equal("", connection:output())
    world.reply "/1"
    world.reply "/2"
    connection:feed("hello", 0)
    world.reply "/3"
    assert.are.same({ "200 /1", "200 /2", "100 ", "200 /3" }, (answers(connection:output())))
  end)

  it("is dropped when the body comes while it waits", function()
    local connection, world = open()
    connection:feed(put "/1" .. expecting "/2", 0)
    connection:feed("hello", 0)
    world.reply "/1"
    world.reply "/2"
    assert.are.same({ "200 /1", "200 /2" }, (answers(connection:output())))
  end)

  it("is refused at once when the body is too large", function()
    local connection = open { max_body = 4 }
    connection:feed(expecting "/a", 0)
    assert.are.same({ "413 <413 body of 5 bytes is over --max-body-bytes 4>" }, (answers(connection:output())))
    assert.is_true(connection:finished())
  end)
end)

describe("refused bytes", function()
  it("are answered, then the connection closes", function()
    local connection = open_echo()
    connection:feed("\n", 0)
    local told, events = answers(connection:output())
    assert.are.same({ "400 <400 request line: not a method and one blank>" }, told)
    assert.are.equal("close", header(events[1], "Connection"))
    assert.are.equal("application/json", header(events[1], "Content-Type"))
    assert.is_true(connection:finished())
    assert.is_false(connection:wants_input())
  end)

  it("are answered in their turn", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2" .. "?", 0)
    assert.are.equal("", connection:output())
    world.reply "/2"
    world.reply "/1"
    assert.are.same({ "200 /1", "200 /2", "400 <400 request line: not a method and one blank>" },
      (answers(connection:output())))
    assert.is_true(connection:finished())
  end)

  it("are the end: what follows is not parsed", function()
    local connection, world = open()
    connection:feed(get "/1" .. "\n" .. get "/2", 0)
    connection:feed(get "/3", 0)
    world.reply "/1"
    connection:resume(0)
    assert.are.same({ "/1" }, world.order)
  end)
end)

describe("the end of a connection", function()
  it("comes behind the answer to Connection: close, and nothing is parsed behind that request", function()
    local connection, world = open()
    connection:feed(get("/1", "Connection: close\r\n") .. get "/2", 0)
    connection:feed(get "/3", 0)
    assert.is_false(connection:wants_input())
    assert.is_false(connection:finished())
    world.reply "/1"
    connection:resume(0)
    local told, events = answers(connection:output())
    assert.are.same({ "200 /1" }, told)
    assert.are.equal("close", header(events[1], "Connection"))
    assert.are.same({ "/1" }, world.order)
    assert.is_true(connection:finished())
  end)

  it("comes behind the answer to HTTP/1.0", function()
    local connection = open_echo()
    connection:feed("GET /a HTTP/1.0\r\n\r\n", 0)
    local _, events = answers(connection:output())
    assert.are.equal("close", header(events[1], "Connection"))
    assert.is_true(connection:finished())
  end)

  it("does not come for HTTP/1.0 with keep-alive, and the answer says so", function()
    local connection = open_echo()
    connection:feed("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0)
    local _, events = answers(connection:output())
    assert.are.equal("keep-alive", header(events[1], "Connection"))
    assert.is_false(connection:finished())
    connection:feed(get "/b", 0)
    local _, second = answers(connection:output())
    assert.is_nil(header(second[1], "Connection"))
  end)

  it("comes only when all output was sent", function()
    local connection = open_echo()
    connection:feed(get("/1", "Connection: close\r\n"), 0)
    connection:output(10)
    assert.is_false(connection:finished())
    connection:output()
    assert.is_true(connection:finished())
  end)

  it("comes at once when the client ends an idle connection", function()
    local connection = open_echo()
    connection:finish(0)
    assert.is_true(connection:finished())
  end)

  it("comes behind the answers when the client ends only its side", function()
    local connection, world = open()
    connection:feed(put "/1" .. get "/2", 0)
    connection:finish(0)
    assert.is_false(connection:finished())
    assert.is_true(world.handled["/1"]:alive())
    world.reply "/1"
    connection:resume(0)
    world.reply "/2"
    connection:resume(0)
    assert.are.same({ "200 /1", "200 /2" }, (answers(connection:output())))
    assert.is_true(connection:finished())
  end)

  it("comes behind all requests that were complete, however many wait", function()
    local connection, world = open()
    local all = {}
    for i = 1, 3 * PIPELINE_MAX do
      all[i] = put("/" .. i)
    end
    connection:feed(table.concat(all), 0)
    connection:finish(0)
    local told = {}
    for i = 1, 3 * PIPELINE_MAX do
      world.reply("/" .. i)
      connection:resume(0)
      table.insert(told, (answers(connection:output()))[1])
    end
    assert.are.equal(3 * PIPELINE_MAX, #told)
    assert.are.equal("200 /192", told[192])
    assert.is_true(connection:finished())
  end)

  it("wants to be resumed for requests that wait behind a full output when the client has ended", function()
    local body = ("x"):rep(OUTPUT_BYTES_MAX)
    local connection = open {
      handle = function(_, exchange)
        exchange:reply(200, "text/plain", "", body)
      end,
    }
    connection:feed(get "/1" .. get "/2", 0)
    connection:finish(0)
    assert.is_false(connection:wants_input())
    connection:output()
    assert.is_true(connection:wants_input())
    connection:resume(0)
    assert.is_false(connection:wants_input())
    connection:output()
    assert.is_true(connection:finished())
  end)

  it("answers half a request with 400 when the client ends", function()
    local connection = open_echo()
    connection:feed(put("/a", "hello"):sub(1, -2), 0)
    connection:finish(0)
    assert.are.same({ "400 <400 the connection ended inside a message>" }, (answers(connection:output())))
    assert.is_true(connection:finished())
  end)

  it("leaves exchanges behind whose answers are dropped", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2", 0)
    world.reply "/2"
    assert.is_true(world.handled["/1"]:alive())
    connection:close()
    assert.is_false(world.handled["/1"]:alive())
    world.reply "/1"
    assert.has_error(function() world.reply "/1" end, "this request was answered already")
  end)
end)

describe("deadlines", function()
  it("close a connection without a word when no request has begun", function()
    local connection = open_echo()
    assert.are.equal(IDLE_TIMEOUT_MS, connection:deadline())
    connection:tick(IDLE_TIMEOUT_MS - 1)
    assert.is_false(connection:finished())
    connection:tick(IDLE_TIMEOUT_MS)
    assert.are.equal("", connection:output())
    assert.is_true(connection:finished())
  end)

  it("answer 408 when a request has begun", function()
    local connection = open_echo()
    connection:feed("G", 100)
    assert.are.equal(100 + REQUEST_TIMEOUT_MS, connection:deadline())
    connection:tick(99 + REQUEST_TIMEOUT_MS)
    assert.are.equal("", connection:output())
    connection:tick(100 + REQUEST_TIMEOUT_MS)
    local told, events = answers(connection:output())
    assert.are.same({ "408 <408 the request did not arrive within --request-timeout-ms 5000>" }, told)
    assert.are.equal("close", header(events[1], "Connection"))
    assert.is_true(connection:finished())
    assert.is_nil(connection:deadline())
  end)

  it("run from the first byte of a request to its last: more bytes do not help", function()
    local connection = open_echo()
    local bytes = get("/", ("X: y\r\n"):rep(20))
    for i = 1, #bytes - 1 do
      connection:feed(bytes:sub(i, i), i * 50)
      connection:tick(i * 50)
      if connection:finished() then break end
    end
    assert.are.equal(50 + REQUEST_TIMEOUT_MS, 50 * 101)
    assert.are.equal("408", (answers(connection:output()))[1]:sub(1, 3))
  end)

  it("include the body", function()
    local connection = open_echo()
    connection:feed(put("/", ("x"):rep(100)):sub(1, -2), 0)
    connection:tick(REQUEST_TIMEOUT_MS)
    assert.are.equal("408", (answers(connection:output()))[1]:sub(1, 3))
  end)

  it("are those of each request, not of the first one only", function()
    local connection = open_echo()
    connection:feed(get "/1", 0)
    connection:output()
    connection:feed("GET /2", 30000)
    assert.are.equal(30000 + REQUEST_TIMEOUT_MS, connection:deadline())
    connection:feed(" HTTP/1.1\r\nHost: h\r\n\r\nG", 34000)
    assert.are.equal(34000 + REQUEST_TIMEOUT_MS, connection:deadline())
    assert.are.same({ "200 /2" }, (answers(connection:output())))
    connection:tick(34000 + REQUEST_TIMEOUT_MS)
    assert.are.equal("408", (answers(connection:output()))[1]:sub(1, 3))
  end)

  it("answer 408 in its turn", function()
    local connection, world = open()
    connection:feed(put "/1" .. "P", 0)
    connection:tick(REQUEST_TIMEOUT_MS)
    assert.are.equal("", connection:output())
    world.reply "/1"
    local told = answers(connection:output())
    assert.are.equal("200 /1", told[1])
    assert.are.equal("408", told[2]:sub(1, 3))
  end)

  it("are longer for the paths of members, once the path is known", function()
    local connection = open_echo { member = { request_timeout_ms = 30000 } }
    connection:feed("POST /raft/append_entries HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n", 100)
    assert.are.equal(100 + REQUEST_TIMEOUT_MS, connection:deadline())
    connection:feed("\r\nbo", 200)
    assert.are.equal(100 + 30000, connection:deadline())
    connection:feed("dy!", 29000)
    assert.are.same({ "200 /raft/append_entries" }, (answers(connection:output())))
    connection:feed("PUT /kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", 29100)
    assert.are.equal(29100 + REQUEST_TIMEOUT_MS, connection:deadline())
  end)

  it("begin anew when a connection becomes idle again", function()
    local connection = open_echo()
    connection:feed(get "/1", 1000)
    connection:output()
    assert.are.equal(1000 + IDLE_TIMEOUT_MS, connection:deadline())
  end)

  it("are not moved by blank lines", function()
    local connection = open_echo()
    connection:feed("\r\n", 5000)
    assert.are.equal(IDLE_TIMEOUT_MS, connection:deadline())
    connection:tick(IDLE_TIMEOUT_MS)
    assert.are.equal("", connection:output())
    assert.is_true(connection:finished())
  end)

  it("do not run while the handler has the request", function()
    local connection, world = open()
    connection:feed(put "/1", 0)
    assert.is_nil(connection:deadline())
    world.reply "/1"
    connection:resume(7000)
    connection:output()
    assert.are.equal(7000 + IDLE_TIMEOUT_MS, connection:deadline())
  end)

  it("do not run for a request that waits for the effects before it", function()
    local connection, world = open()
    connection:feed(put "/1" .. get "/2" .. "G", 0)
    assert.is_nil(connection:deadline())
    world.reply "/1"
    connection:resume(9000)
    assert.are.equal(9000 + REQUEST_TIMEOUT_MS, connection:deadline())
  end)

  it("do not run while the client waits for a 100 Continue that we owe", function()
    local connection, world = open()
    connection:feed(put "/1" .. put("/2", "x", "Expect: 100-continue\r\n"):sub(1, -2), 0)
    assert.is_nil(connection:deadline())
    world.reply "/1"
    connection:resume(4000)
    assert.are.same({ "200 /1", "100 " }, (answers(connection:output())))
    assert.are.equal(4000 + REQUEST_TIMEOUT_MS, connection:deadline())
  end)

  it("leave an idle connection alone while the client still takes its answer", function()
    local connection = open_echo()
    connection:feed(get "/1", 0)
    connection:output(5)
    connection:tick(IDLE_TIMEOUT_MS)
    assert.is_true(connection:wants_input())
    connection:output()
    connection:tick(2 * IDLE_TIMEOUT_MS)
    assert.is_true(connection:finished())
  end)
end)

describe("draining", function()
  it("closes an idle connection", function()
    local connection = open_echo()
    connection:drain()
    assert.is_true(connection:finished())
    assert.is_nil(connection:deadline())
  end)

  it("closes behind the answers to what is in flight, and the last one says so", function()
    local connection, world = open()
    connection:feed(put "/1" .. put "/2", 0)
    connection:drain()
    assert.is_false(connection:wants_input())
    world.reply "/1"
    world.reply "/2"
    local told, events = answers(connection:output())
    assert.are.same({ "200 /1", "200 /2" }, told)
    assert.is_nil(header(events[1], "Connection"))
    assert.are.equal("close", header(events[2], "Connection"))
    assert.is_true(connection:finished())
  end)

  it("still handles a request that was complete and had to wait", function()
    local connection, world = open()
    connection:feed(put "/1" .. get "/2" .. get "/3", 0)
    connection:drain()
    world.reply "/1"
    assert.are.same({ "200 /1" }, (answers(connection:output())))
    assert.is_false(connection:finished())
    connection:resume(0)
    assert.are.same({ "/1", "/2" }, world.order)
    world.reply "/2"
    local told, events = answers(connection:output())
    assert.are.same({ "200 /2" }, told)
    assert.are.equal("close", header(events[1], "Connection"))
    assert.is_true(connection:finished())
  end)

  it("takes no new request", function()
    local connection, world = open()
    connection:feed(put "/1" .. "GET", 0)
    connection:drain()
    connection:feed(" /2 HTTP/1.1\r\nHost: h\r\n\r\n", 0)
    world.reply "/1"
    connection:resume(0)
    assert.are.same({ "/1" }, world.order)
    connection:output()
    assert.is_true(connection:finished())
  end)

  it("may begin inside a handler", function()
    local connection
    connection = open {
      handle = function(message, exchange)
        connection:drain()
        exchange:reply(200, "text/plain", "", message.path)
      end,
    }
    connection:feed(get "/1" .. get "/2", 0)
    local told, events = answers(connection:output())
    assert.are.same({ "200 /1" }, told)
    assert.are.equal("close", header(events[1], "Connection"))
    assert.is_true(connection:finished())
  end)
end)

describe("http.connection", function()
  it("raises what a handler raised, when the connection has come to rest", function()
    local connection = open {
      handle = function(message, exchange)
        if message.path == "/bad" then error("oops", 0) end
        exchange:reply(200, "text/plain", "", message.path)
      end,
    }
    assert.has_error(function() connection:feed(get "/1" .. get "/bad" .. get "/2", 0) end, "oops")
    assert.are.same({ "200 /1", "500 no answer", "200 /2" }, (answers(connection:output())))
    connection:feed(get "/3", 0)
    assert.are.same({ "200 /3" }, (answers(connection:output())))
  end)

  it("answers 500 for an exchange that Lua forgot", function()
    local connection = open { handle = function() end }
    connection:feed(get "/1", 0)
    collectgarbage()
    collectgarbage()
    assert.are.same({ "500 no answer" }, (answers(connection:output())))
  end)

  it("refuses to be called from inside its own handler", function()
    local connection
    connection = open {
      handle = function(_, exchange)
        exchange:reply(200)
        connection:feed("x", 0)
      end,
    }
    assert.has_error(function() connection:feed(get "/1", 0) end)
  end)

  it("names an option that makes no sense", function()
    assert.has_error(function() http.connection {} end, "handle: expected a function")
    assert.has_error(function() http.connection { handle = print, max_body = -1 } end,
      "max_body: expected 0 to 67108864")
  end)
end)

describe("a connection for members only", function()
  local function open_members_only()
    return open_echo { members_only = true, max_body = 10, member = { max_body = 100, idle_timeout_ms = 7000 } }
  end

  it("serves members, with the limits of their paths", function()
    local connection = open_members_only()
    connection:feed(request("POST", "/raft/append_entries", "", ("x"):rep(100)), 0)
    assert.are.same({ "200 /raft/append_entries" }, (answers(connection:output())))
    assert.are.equal(7000, connection:deadline())
    assert.is_false(connection:finished())
  end)

  for what, bytes in pairs {
    ["a request"] = get "/kv/a",
    ["a request whose body has not come"] = put("/kv/a", "12345"):sub(1, -5),
    ["a request whose body is too large"] = put("/kv/a", ("x"):rep(11)),
    ["a request that asks first"] = put("/kv/a", "12345", "Expect: 100-continue\r\n"):sub(1, -6),
  } do
    it("answers " .. what .. " of a client 503 and closes", function()
      local connection = open_members_only()
      connection:feed(bytes, 0)
      local told, events = answers(connection:output())
      assert.are.same({ "503 <503 too many connections>" }, told)
      assert.are.equal("1", header(events[1], "Retry-After"))
      assert.are.equal("close", header(events[1], "Connection"))
      assert.is_true(connection:finished())
    end)
  end

  it("does so after a member's request, too", function()
    local connection = open_members_only()
    connection:feed(request("POST", "/raft/vote", "", "v") .. get "/kv/a", 0)
    assert.are.same({ "200 /raft/vote", "503 <503 too many connections>" }, (answers(connection:output())))
    assert.is_true(connection:finished())
  end)

  it("waits for its first request no longer than for the rest of one", function()
    local connection = open_members_only()
    assert.are.equal(REQUEST_TIMEOUT_MS, connection:deadline())
    connection:tick(REQUEST_TIMEOUT_MS)
    assert.is_true(connection:finished())
  end)
end)
