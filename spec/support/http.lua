--- Requests as bytes, replies as tables, and a node to send them to.
--
--     local http = require "spec.support.http"
--     local node <close> = http.node { max_key_bytes = 8 }
--     local reply = node:ask("PUT /kv/a", '{"value":"1"}')
--     assert.equal(200, reply.status)
local httpclient = require "kvserver.httpclient"
local server = require "kvserver.server"

local M = {}

local TIMEOUT_MS <const> = 10000

--- The bytes of a request.
-- @tparam string line method and target: "PUT /kv/a"
-- @tparam[opt] string body without it there is no Content-Length either
-- @tparam[opt] {string,...} headers lines without their end
-- @treturn string
function M.request(line, body, headers)
  local lines = { line .. " HTTP/1.1", "Host: kv" }
  table.move(headers or {}, 1, #(headers or {}), 3, lines)
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- The body of an error reply.
-- @tparam string code
-- @tparam string message
-- @tparam[opt] string more further fields
-- @treturn string
function M.error_body(code, message, more)
  message = message:gsub('["\\]', "\\%0")
  return ('{"ok":false,"err_code":"%s","err_msg":"%s"%s}'):format(code, message, more or "")
end

local Connection = {}
Connection.__index = Connection

function Connection:__close()
  self.socket:close()
end

--- Sends bytes.
-- @tparam string bytes
function Connection:send(bytes)
  assert(self.socket:send(bytes))
end

--- Sends a request and returns once the node has parsed it: a /healthz before it in the same segment is answered.
-- @tparam string bytes
function Connection:start(bytes)
  self:send(M.request("GET /healthz") .. bytes)
  assert(self:receive().status == 200)
end

--- Receives one reply.
-- @tparam[opt] boolean head it answers a HEAD request: no body follows
-- @treturn table status, headers (lower-case name -> value) and body
function Connection:receive(head)
  local text, why = self.socket:receive { until_ = "\r\n\r\n", timeout_ms = TIMEOUT_MS }
  if why then error(("no reply but %q, then %s"):format(text, why), 2) end
  local reply = { status = tonumber(text:match("^HTTP/1%.1 (%d%d%d) ")), headers = {}, body = "" }
  for name, value in text:gmatch("\r\n([^:\r\n]+): ([^\r\n]*)") do
    assert(not reply.headers[name:lower()], "twice: " .. name)
    reply.headers[name:lower()] = value
  end
  local length = tonumber(reply.headers["content-length"])
  if not head and length > 0 then
    reply.body, why = self.socket:receive { until_ = length, timeout_ms = TIMEOUT_MS }
    assert(not why, why)
  end
  return reply
end

--- Whatever comes until the peer ends the connection, or the time is over.
-- @tparam[opt] integer timeout_ms
-- @treturn string bytes
-- @treturn string "end", "closed" or "timeout"
function Connection:rest(timeout_ms)
  return self.socket:receive { timeout_ms = timeout_ms or TIMEOUT_MS }
end

--- A connection to a port of this machine.
-- @tparam integer port
-- @tparam[opt="127.0.0.1"] string host
function M.connect(port, host)
  return setmetatable({ socket = httpclient.raw { host = host, port = port } }, Connection)
end

local Node = {}
Node.__index = Node

function Node:__close()
  self.server:close()
end

--- A new connection to the node.
function Node:connect()
  return M.connect(self.server:port())
end

--- Sends one request on a connection of its own and returns the reply.
-- @tparam string line method and target
-- @tparam[opt] string body
-- @tparam[opt] {string,...} headers
-- @treturn table as Connection:receive
function Node:ask(line, body, headers)
  local connection <close> = self:connect()
  connection:send(M.request(line, body, headers))
  return connection:receive(line:match("^HEAD ") ~= nil)
end

--- A node on a free port.
-- @tparam[opt] table config options
-- @param[opt] fake a RaftNode to use, as of fake_node
function M.node(config, fake)
  local options = { listen = "127.0.0.1:0" }
  for name, value in pairs(config or {}) do options[name] = value end
  return setmetatable({ server = assert(server.start(options, fake and fake:pointer())), fake = fake }, Node)
end

--- A module of spec/native, which the build puts beside the binary.
-- @tparam string name
function M.native(name)
  local path = package.searchpath(name, os.getenv("KVSERVER_SPEC_CPATH") or "build/spec/?.so")
  return assert(package.loadlib(assert(path, name .. ": not built; run `make`, then the specs"), "luaopen_" .. name))()
end

return M
