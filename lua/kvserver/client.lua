--- A client of the HTTP API, as scenarios and specs use it: blocking, on the loop, one connection per node.
--
--     local client = require "kvserver.client"
--     local c <close> = client.connect("http://127.0.0.1:7000", { client_id = "c1" })
--     assert(c:put("greeting", "hello").ok)
--     print(c:get("greeting").value)                  --> hello
--     local result, why = c:cas("greeting", "hello", "bye")
--     if not result then print("unknown:", why) end   --> only when the connection or the time failed
--
-- Every verb returns the answer as a table: the fields of its JSON body, and `status` (HTTP), `index` (X-Raft-Index)
-- and `replay` (X-Replay: "same" or "older") where the answer has them. Values are bytes: what travels as base64
-- arrives decoded. An error of the API is such a table, too (`ok = false`, `err_code`). No answer is nil, a kind and a
-- text; the kind is "connect" (nothing was sent), "timeout" or "closed" (a write may have happened or not),
-- "overloaded" (too many requests in flight on this client) or "bad_answer".
--
-- Every verb takes as its last argument a table of options: `timeout_ms`, `read` and `min_index` (reads), `client_id`,
-- `seq` and `mode` (writes), `headers`.
--
-- With `mode = "async"` a write is answered as soon as the leader has taken it: `ok`, and `op_id`, with which
-- `operation` asks what became of it.
local http = require "kvserver.http"
local httpclient = require "kvserver.httpclient"
local json = require "kvserver.json"
local types = require "kvserver.types"

local M = {}

local TIMEOUT_MS <const> = 5000
local REDIRECTS_MAX <const> = 5
local READ_OPTIONS <const> = { "read", "min_index" }

local Client = {}
Client.__index = Client

-- HOST, PORT and the rest of "http://HOST:PORT/path"; the scheme may be absent, an IPv6 address stands in brackets.
local function split_url(url)
  local authority, rest = url:gsub("^http://", ""):match("^([^/?]*)(.*)$")
  local host, port = authority:match("^%[(.+)%]:(%d+)$")
  if not host then host, port = authority:match("^([^:]+):(%d+)$") end
  return host, math.tointeger(port), rest
end

--- Makes a client. It connects with its first request.
-- @tparam string|table target "http://HOST:PORT", "HOST:PORT" or {host=, port=}
-- @tparam[opt] table options client_id: puts it and a counted seq into every write; timeout_ms: per request, 5000;
-- max_body: largest answer in bytes; follow: false for redirects as answers ("not_leader", with `leader_hint`)
-- @return the client; close it, or declare it <close>
function M.connect(target, options)
  options = options or {}
  local host, port
  if type(target) == "table" then
    host, port = target.host or "127.0.0.1", target.port
  else
    host, port = split_url(target)
  end
  if not host or not port then error("connect: expected http://HOST:PORT, got " .. tostring(target), 2) end
  return setmetatable({
    host = host,
    port = port,
    client_id = options.client_id,
    seq = 0, -- of the last write
    timeout_ms = options.timeout_ms or TIMEOUT_MS,
    max_body = options.max_body,
    follow = options.follow,
    connections = {}, -- "HOST PORT" -> kvserver.httpclient
  }, Client)
end

local function connection_to(self, host, port)
  local name = host .. " " .. port
  local connection = self.connections[name]
  if not connection then
    connection = httpclient.open { host = host, port = port, max_body = self.max_body }
    self.connections[name] = connection
  end
  return connection
end

--- One HTTP request, answered as it is; redirects (307) are followed, five at most.
-- @tparam string method
-- @tparam string path with query, percent-encoded
-- @tparam[opt] table options headers, body, timeout_ms, and follow = false to see redirects
-- @treturn table {status=, headers={lower-case name = value}, body=}; or nil, kind and text
function Client:http(method, path, options)
  options = options or {}
  local host, port = self.host, self.port
  local request = {
    method = method,
    target = path,
    headers = options.headers,
    body = options.body,
    timeout_ms = options.timeout_ms or self.timeout_ms,
  }
  for _ = 0, REDIRECTS_MAX do
    local response, kind, text = connection_to(self, host, port):request(request)
    if not response then return nil, kind, text end
    local location = response.headers.location
    if response.status ~= 307 or options.follow == false or not location then return response end
    host, port, request.target = split_url(location)
    if not host or not port then return nil, "bad_answer", "a redirect to " .. location end
  end
  return nil, "bad_answer", "too many redirects"
end

-- The bytes of `name`, which travels as it is or, when it is not UTF-8, as name_base64.
local function take_bytes(object, name)
  local encoded = object[name .. "_base64"]
  if not encoded then return end
  object[name .. "_base64"] = nil
  object[name] = types.base64_decode(encoded)
end

local function put_bytes(object, name, value)
  if types.utf8_valid(value) then
    object[name] = value
  else
    object[name .. "_base64"] = types.base64_encode(value)
  end
  return object
end

local function decode_answer(response)
  local result, why = json.decode(response.body)
  if type(result) ~= "table" then return nil, "bad_answer", why or "not a JSON object" end
  result.status = response.status
  result.index = math.tointeger(tonumber(response.headers["x-raft-index"]))
  result.replay = response.headers["x-replay"]
  return result
end

-- Sends `body` (a table, or nil for none) as JSON.
local function call(self, method, path, body, options)
  local response, kind, text = self:http(method, path, {
    headers = options and options.headers,
    timeout_ms = options and options.timeout_ms,
    follow = self.follow,
    body = body and json.encode(body),
  })
  if not response then return nil, kind, text end
  return decode_answer(response)
end

local function query(options, names)
  local parts = {}
  for _, name in ipairs(names) do
    local value = options and options[name]
    if value ~= nil then parts[#parts + 1] = name .. "=" .. http.percent_encode(tostring(value)) end
  end
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

local function path_of(key)
  return "/kv/" .. http.percent_encode(key)
end

-- A write: `body` gets client_id and seq. Without a client_id there is no dedupe, and no field.
local function write(self, method, path, body, options)
  options = options or {}
  body.client_id = options.client_id or self.client_id
  if options.seq then
    body.seq = options.seq
  elseif body.client_id then
    self.seq = self.seq + 1
    body.seq = self.seq
  end
  return call(self, method, path .. query(options, { "mode" }), body, options)
end

--- What became of an asynchronous write: `ready`, and once that is true `result`, as the write itself would have been
-- answered; then `index` and `replay` are those of the write. Else `err_code`: "not_found" where nobody knows any more.
-- A redirect to the node that knows is followed.
-- @tparam string op_id that the write was answered with
function Client:operation(op_id, options)
  return call(self, "GET", "/ops/" .. http.percent_encode(op_id), nil, options)
end

--- The value of a key: `value`.
function Client:get(key, options)
  local result, kind, text = call(self, "GET", path_of(key) .. query(options, READ_OPTIONS), nil, options)
  if not result then return nil, kind, text end
  take_bytes(result, "value")
  return result
end

--- Sets a key.
function Client:put(key, value, options)
  return write(self, "PUT", path_of(key), put_bytes({}, "value", value), options)
end

--- Removes a key: `deleted` is 0 or 1.
function Client:delete(key, options)
  return write(self, "DELETE", path_of(key), {}, options)
end

--- Sets a key if its value is `expected` ("" for a missing key); else `err_code` is "cas_failed".
function Client:cas(key, expected, value, options)
  local body = put_bytes({ key = key }, "expected", expected)
  return write(self, "POST", "/kv/cas", put_bytes(body, "value", value), options)
end

--- The values of several keys: `values`, from key to value, missing keys left out.
function Client:mget(keys, options)
  local body = { keys = json.array(table.move(keys, 1, #keys, 1, {})) }
  local result, kind, text = call(self, "POST", "/kv/mget" .. query(options, READ_OPTIONS), body, options)
  if not result then return nil, kind, text end
  for key, encoded in pairs(result.values_base64 or {}) do
    result.values = result.values or {}
    result.values[key] = types.base64_decode(encoded)
  end
  result.values_base64 = nil
  return result
end

--- Sets several keys, all or nothing.
-- @tparam table entries {{key=, value=}, ...}, in this order; or {key = value, ...}, in byte order of the keys
function Client:mput(entries, options)
  local list = {}
  for i, entry in ipairs(entries) do list[i] = put_bytes({ key = entry.key }, "value", entry.value) end
  if #list == 0 then
    for key, value in pairs(entries) do list[#list + 1] = put_bytes({ key = key }, "value", value) end
    table.sort(list, function(a, b) return a.key < b.key end)
  end
  return write(self, "POST", "/kv/mput", { entries = json.array(list) }, options)
end

--- Removes several keys: `deleted` is how many existed.
function Client:mdelete(keys, options)
  local body = { keys = json.array(table.move(keys, 1, #keys, 1, {})) }
  return write(self, "POST", "/kv/mdelete", body, options)
end

--- Keys and values in byte order: `entries` = {{key=, value=}, ...}, and `next`: what to give as `after` to go on, ""
-- at the end.
-- @tparam[opt] table options prefix, after, limit, and those of every read
function Client:scan(options)
  local path = "/kv" .. query(options, { "prefix", "after", "limit", "read", "min_index" })
  local result, kind, text = call(self, "GET", path, nil, options)
  if not result then return nil, kind, text end
  for _, entry in ipairs(result.entries or {}) do take_bytes(entry, "value") end
  return result
end

--- What the node says of itself.
function Client:status(options)
  return call(self, "GET", "/status", nil, options)
end

--- `ok` while the node serves.
function Client:healthz(options)
  return call(self, "GET", "/healthz", nil, options)
end

--- `ok` when the node is fit for work.
function Client:readyz(options)
  return call(self, "GET", "/readyz", nil, options)
end

--- Closes its connections; requests in flight end with "closed". The client may be used again and then reconnects.
function Client:close()
  for name, connection in pairs(self.connections) do
    self.connections[name] = nil
    connection:close()
  end
end

Client.__close = Client.close

return M
