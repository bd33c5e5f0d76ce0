-- More than ten thousand hostile byte streams against a node in a process of its own, hundreds of them at a time: what
-- is valid is answered 2xx, 404 or 409, what is invalid 4xx, what is incomplete 408, what is mutated at random never
-- with a fault of the node; and the node goes on serving and does not grow. Replay a failure with KVSERVER_SEED.
local client = require "kvserver.client"
local httpclient = require "kvserver.httpclient"
local process = require "kvserver.process"
local task = require "kvserver.task"
local http = require "spec.support.http"

local SEED <const> = math.tointeger(tonumber(os.getenv("KVSERVER_SEED") or os.time()))
local STREAMS <const> = 10400
local AT_A_TIME <const> = 800
local REQUEST_TIMEOUT_MS <const> = 400
local GROWTH_KIB_MAX <const> = 16384
-- Sanitizers hold freed memory back.
local MEASURES_MEMORY <const> = not (os.getenv("KVSERVER_SPEC_CPATH") or ""):match("build/%l+/spec")

local function pick(list)
  return list[math.random(#list)]
end

local function random_bytes(count)
  local bytes = {}
  for i = 1, count do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

-- ---- valid requests ----

local function key()
  return pick { "a", "b%2Fc", "d/e", "%C3%A4", "long" .. ("k"):rep(math.random(200)), "q%25", "x" .. math.random(50) }
end

local valid <const> = {
  function() return http.request("GET /kv/" .. key()) end,
  function() return http.request("GET /kv/" .. key(), nil, { "Accept: application/octet-stream" }) end,
  function() return http.request("GET /kv?prefix=" .. key() .. "&limit=" .. math.random(10000)) end,
  function() return http.request("GET /status") end,
  function() return http.request("GET /readyz") end,
  function()
    local body = ('{"client_id":"c%d","seq":%d,"value":"%s"}'):format(math.random(9), math.random(0, math.maxinteger),
      ("v"):rep(math.random(0, 3000)))
    return http.request("PUT /kv/" .. key(), body)
  end,
  function()
    local body = random_bytes(math.random(0, 2000))
    return http.request("PUT /kv/" .. key(), body, { "Content-Type: application/octet-stream" })
  end,
  function()
    local parts = {}
    for i = 1, math.random(5) do
      local data = ("%d"):format(i):rep(math.random(40))
      parts[i] = ("%x\r\n%s\r\n"):format(#data, data)
    end
    return http.request("PUT /kv/" .. key(), nil, { "Content-Type: application/octet-stream",
      "Transfer-Encoding: chunked" }) .. table.concat(parts) .. "0\r\n\r\n"
  end,
  function() return http.request("DELETE /kv/" .. key()) end,
  function() return http.request("PUT /kv/" .. key() .. "?mode=async", '{"value":"1"}') end,
  function()
    return http.request(("GET /ops/n1-%016x-%d"):format(math.random(0), math.random(1, math.maxinteger)))
  end,
  function() return http.request("POST /kv/cas", '{"key":"a","expected":"","value":"1"}') end,
  function() return http.request("POST /kv/mget", '{"keys":["a","b/c"],"more":[[[{"x":1e9}]]]}') end,
  function() return http.request("POST /kv/mput", '{"entries":[{"key":"m","value":"\\u0000\\ud83d\\ude00"}]}') end,
  function() return http.request("POST /kv/mdelete", '{"keys":["m","n"]}') end,
}

-- ---- invalid requests ----

local function put_json(body)
  return function() return http.request("PUT /kv/a", body) end
end

local function with_head(line, ...)
  local headers = { ... }
  return function() return http.request(line, nil, headers) end
end

local invalid <const> = {
  with_head("GET /kv/%ff"), with_head("GET /kv/%00"), with_head("GET /kv/%zz"), with_head("GET /kv/"),
  with_head("GET /kv/a%"), with_head("GET /kv/\xff\xfe"), with_head("GET /nowhere"), with_head("PATCH /kv/a"),
  with_head("GET /kv?limit=0"), with_head("GET /kv?limit=99999999999999999999"), with_head("GET /kv/a?read=maybe"),
  with_head("GET /ops/"), with_head("GET /ops/n1-0123456789abcdef-0"), with_head("GET /ops/%ff-0123456789abcdef-1"),
  with_head("GET /ops/n1-0123456789abcdef-18446744073709551616"), with_head("GET /ops/" .. ("-"):rep(5000)),
  with_head("PUT /ops/n1-0123456789abcdef-1"), with_head("GET /ops/n1%2-0123456789abcdef-1"),
  with_head("PUT /kv/a?mode=maybe"),
  with_head("GET /kv/a", "Content-Length: 5", "Content-Length: 6"), with_head("GET /kv/a", "Content-Length: +5"),
  with_head("GET /kv/a", "Content-Length: 0x5"), with_head("GET /kv/a", "Content-Length: 18446744073709551616"),
  with_head("GET /kv/a", "Content-Length: 5", "Transfer-Encoding: chunked"), with_head("GET /kv/a", "Host: other"),
  with_head("GET /kv/a", "X : y"), with_head("GET /kv/a", "X: a\0b"), with_head("GET /kv/a", "X: a\r\n folded"),
  with_head("GET /kv/a", "X: a\nY: b"), with_head("GET /kv/a", "X: a\rY: b"), with_head("GET /kv/a", "no colon here"),
  with_head("GET /kv/a", ": empty name"), with_head("GET /kv/a", "X: " .. ("h"):rep(40000)),
  with_head("PUT /kv/a", "Transfer-Encoding: chunked, identity"), with_head("GET /kv/" .. ("k"):rep(5000)),
  function() return http.request("PUT /kv/a", nil, { "Transfer-Encoding: chunked" }) .. "zz\r\n" end,
  function() return http.request("PUT /kv/a", nil, { "Transfer-Encoding: chunked" }) .. "1\nx\r\n0\r\n\r\n" end,
  function() return http.request("PUT /kv/a", nil, { "Transfer-Encoding: chunked" }) .. "3\r\nabcd\r\n0\r\n\r\n" end,
  function() return http.request("PUT /kv/a", nil, { "Content-Length: 99999999999" }) end,
  put_json "", put_json "{", put_json "null", put_json "[]", put_json '{"value":1}', put_json '{"value":null}',
  put_json '{"value":"a","value":"b"}', put_json '{"value":"a"}x', put_json '{"value":"\\ud800"}',
  put_json '{"value":"\xc0\xaf"}', put_json '{"value":"a\nb"}', put_json '{"value":"\\x"}', put_json "{'value':'a'}",
  put_json('{"value":' .. ("["):rep(5000)), put_json('{"x":' .. ("[["):rep(50) .. ("]]"):rep(50) .. ',"value":"a"}'),
  put_json '{"value":"a","seq":9223372036854775808}', put_json '{"value":"a","seq":1e3}',
  put_json '{"value":"a","seq":-1}', put_json('{"value":"a","seq":' .. ("9"):rep(5000) .. "}"),
  put_json '{"value":"a","seq":01}', put_json '{"value_base64":"a"}',
  put_json "\xef\xbb\xbf{}", put_json '{"value":"a","client_id":"\\ud800"}', put_json "\0",
  function() return random_bytes(math.random(4)) .. "\r\n\r\n" end,
  function() return "GET\r\n\r\n" end, function() return "GET /kv/a HTTP/9.9\r\n\r\n" end,
}

-- ---- mutations ----

local mutate <const> = {
  function(bytes, at)
    local flipped = string.char(bytes:byte(at) ~ (1 << math.random(0, 7)))
    return bytes:sub(1, at - 1) .. flipped .. bytes:sub(at + 1)
  end,
  function(bytes, at) return bytes:sub(1, at - 1) .. bytes:sub(at + math.random(8)) end,
  function(bytes, at) return bytes:sub(1, at) .. random_bytes(math.random(8)) .. bytes:sub(at + 1) end,
  function(bytes, at) return bytes:sub(1, at) .. bytes:sub(at // 2 + 1) end,
  function(bytes, at)
    return bytes:sub(1, at) .. pick { "\0", "\r", "\n", "\r\n", "%", '"', "\\", "\xff" } .. bytes:sub(at + 1)
  end,
}

local function mutated()
  local bytes = pick(valid)()
  for _ = 1, math.random(3) do
    if #bytes > 1 then bytes = pick(mutate)(bytes, math.random(#bytes)) end
  end
  return bytes
end

local function incomplete()
  local bytes = pick(valid)()
  return bytes:sub(1, math.random(#bytes - 1))
end

-- ---- one stream ----

local SUCCESS <const> = { [200] = true, [202] = true, [404] = true, [409] = true }

local kinds <const> = {
  { "valid", function() return pick(valid)() end, function(status) return SUCCESS[status] end },
  { "invalid", function() return pick(invalid)() end,
    -- "GET /kv/a HTTP/9.9" is the one that asks for more than a client error: the version is not supported.
    function(status) return status and (status // 100 == 4 or status == 505) end },
  { "incomplete", incomplete, function(status) return status == 408 end },
  { "mutated", mutated, function(status) return status == nil or status < 500 or status == 501 or status == 505 end },
}

-- Sends in pieces, then waits for the first answer. Only what is mutated is ended by us: nobody knows whether it is
-- complete.
local function send(port, kind, bytes)
  local socket <close> = httpclient.raw { port = port }
  local at = 1
  while at <= #bytes do
    local size = pick { 1, 3, 100, 100000 }
    socket:send(bytes:sub(at, at + size - 1))
    at = at + size
  end
  if kind == "mutated" then socket:shutdown() end
  local head = socket:receive { until_ = "\r\n\r\n", timeout_ms = 20000 }
  return math.tointeger(tonumber(head:match("^HTTP/1%.1 (%d%d%d) ")))
end

local function resident_kib(pid)
  local file <close> = assert(io.open(("/proc/%d/status"):format(pid)))
  return tonumber(file:read("a"):match("VmRSS:%s*(%d+) kB"))
end

-- One stream of a kind; what it comes to, unless that is as it should be.
local function try(port, kind)
  local bytes <const> = kind[2]()
  local status <const> = send(port, kind[1], bytes)
  if not kind[3](status) then return ("%s: %q -> %s"):format(kind[1], bytes:sub(1, 300), status) end
end

-- Many at a time, and the next as soon as one is done: the incomplete ones wait for their 408 beside the others.
local function run_all(port, count)
  local failures <const>, tasks <const>, done = {}, {}, 0
  local function work()
    while done < count do
      done = done + 1
      failures[#failures + 1] = try(port, kinds[done % #kinds + 1])
    end
  end
  for i = 1, AT_A_TIME do tasks[i] = task.spawn(work) end
  for _, each in ipairs(tasks) do each:join() end
  return failures
end

describe("a node under hostile streams", function()
  it("answers each as it deserves, goes on serving and does not grow", function()
    math.randomseed(SEED)
    local node <close> = process.spawn {
      args = { process.self(), "--memory", "--listen", "127.0.0.1:0",
        "--request-timeout-ms", tostring(REQUEST_TIMEOUT_MS) },
    }
    local port = math.tointeger(tonumber(node:wait_line("ready on http://[^:]+:(%d+)", 10000)))
    assert.are.same({}, run_all(port, STREAMS // 4), "seed " .. SEED)
    local settled_kib <const> = resident_kib(node.pid)
    assert.are.same({}, run_all(port, STREAMS - STREAMS // 4), "seed " .. SEED)
    local probe <close> = client.connect("127.0.0.1:" .. port)
    assert.is_true(probe:put("after", "all").ok)
    if MEASURES_MEMORY then
      local grown_kib = resident_kib(node.pid) - settled_kib
      assert.is_true(grown_kib < GROWTH_KIB_MAX, ("grew by %d KiB, seed %d"):format(grown_kib, SEED))
    end
  end)
end)
