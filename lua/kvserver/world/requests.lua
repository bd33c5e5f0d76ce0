--- Requests over HTTP at the nodes of a real world, each at the node that it names, without retries and redirects.
local client = require "kvserver.client"

local M = {}

local STATUS_MS <const> = 1000

local Requests = {}
Requests.__index = Requests

--- @tparam table addresses id -> HOST:PORT
-- @return the requests; close them
function M.new(addresses)
  return setmetatable({
    addresses = addresses,
    views = {},   -- id -> the client of views: what one connection is asked is answered in order
    clients = {}, -- id -> who asks -> client
  }, Requests)
end

local function connect(self, id, options)
  options.follow = false
  return client.connect("http://" .. self.addresses[id], options)
end

-- One connection for each who asks: what it asks takes effect in order.
local function client_of(self, id, who)
  local of_node = self.clients[id]
  if not of_node then
    of_node = setmetatable({}, { __mode = "k" }) -- a task that has ended asks no more
    self.clients[id] = of_node
  end
  of_node[who] = of_node[who] or connect(self, id, {})
  return of_node[who]
end

local function view_of(self, id)
  self.views[id] = self.views[id] or connect(self, id, { timeout_ms = STATUS_MS })
  return self.views[id]
end

local verbs = {}

function verbs.get(c, op, options)
  return c:get(op.key, options)
end

function verbs.put(c, op, options)
  return c:put(op.key, op.value, options)
end

function verbs.delete(c, op, options)
  return c:delete(op.key, options)
end

function verbs.cas(c, op, options)
  return c:cas(op.key, op.expected, op.value, options)
end

function verbs.operation(c, op, options)
  return c:operation(op.op_id, options)
end

function verbs.mget(c, op, options)
  return c:mget(op.keys, options)
end

function verbs.mput(c, op, options)
  return c:mput(op.entries, options)
end

function verbs.mdelete(c, op, options)
  return c:mdelete(op.keys, options)
end

local NO_ANSWER <const> = { connect = true, timeout = true, closed = true }

--- One operation.
-- @tparam string id
-- @tparam table op op, key, ... as of a command; client_id, seq, mode, read, min_index; or op = "operation" and op_id
-- @tparam number timeout_ms
-- @treturn ?table the answer as of kvserver.client; or nil and "connect", "timeout" or "closed"
function Requests:operate(id, op, timeout_ms)
  local c <const> = client_of(self, id, op.client_id or coroutine.running())
  local answer, kind, text = verbs[op.op](c, op, {
    timeout_ms = math.ceil(timeout_ms), client_id = op.client_id, seq = op.seq, mode = op.mode, read = op.read,
    min_index = op.min_index,
  })
  if not answer and not NO_ANSWER[kind] then
    error({ failed = ("%s does not answer a %s as it should: %s, %s"):format(id, op.op, kind, text) }, 0)
  end
  return answer, kind
end

--- What a node says of itself.
-- @tparam string id
-- @treturn ?table the body of GET /status; nil when it does not answer
function Requests:status(id)
  local status <const> = view_of(self, id):status()
  return status and status.ok ~= false and status or nil
end

--- One request as it is.
-- @tparam string id
-- @tparam string method
-- @tparam string path
-- @tparam[opt] table options headers, body, timeout_ms
-- @treturn ?table status, headers, body; or nil, kind and text
function Requests:http(id, method, path, options)
  local given = {}
  for name, value in pairs(options or {}) do given[name] = value end
  given.follow = given.follow or false
  return client_of(self, id, coroutine.running()):http(method, path, given)
end

--- Closes all connections; requests in flight end with "closed".
function Requests:close()
  for _, c in pairs(self.views) do c:close() end
  for _, of_node in pairs(self.clients) do
    for _, c in pairs(of_node) do c:close() end
  end
  self.views, self.clients = {}, {}
end

return M
