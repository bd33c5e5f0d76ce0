--- How commands of the console do what clients do: by HTTP, over a connection of the session to its own node.
--
--     local reply = http.expect("kv.get", http.call(context, "kv.get", "get", "greeting"))
local client = require "kvserver.client"
local json = require "kvserver.json"
local percent_encode <const> = require("kvserver.http").percent_encode

local M = {}

local ANYWHERE <const> = { ["0.0.0.0"] = "127.0.0.1", ["[::]"] = "::1", ["::"] = "::1" }

local function connect(context)
  local host <const> = (context.config.listen or "127.0.0.1:0"):match("^(.+):%d+$")
  return client.connect { host = ANYWHERE[host] or host:match("^%[(.+)%]$") or host, port = context.node:port() }
end

-- That of the session, which closes it.
local function client_of(context)
  if not context.client then
    context.client = connect(context)
    context.closing[#context.closing + 1] = function() context.client:close() end
  end
  return context.client
end

-- A node that does not know the leader, or a connection that broke.
local function fail(command, kind, text)
  error(("%s: %s: %s"):format(command, kind, text), 0)
end

--- Asks the node, which may send the request on to the leader. Waits.
-- @tparam table context
-- @tparam string command in whose name
-- @tparam string verb of kvserver.client
-- @param ... its arguments
-- @treturn table the answer; raises when there is none
function M.call(context, command, verb, ...)
  local connection <const> = client_of(context)
  local reply <const>, kind, text = connection[verb](connection, ...)
  if not reply then fail(command, kind, text) end
  return reply
end

--- Asks the node what became of an asynchronous write. Waits.
-- @tparam table context
-- @tparam string command in whose name
-- @tparam string id of the operation
-- @treturn table the answer; raises when there is none
function M.operation(context, command, id)
  local reply <const>, kind, text = client_of(context):http("GET", "/ops/" .. percent_encode(id))
  if not reply then fail(command, kind, text) end
  local answer <const> = json.decode(reply.body)
  if type(answer) ~= "table" then fail(command, "bad_answer", "HTTP " .. reply.status) end
  return answer
end

--- Raises what an answer says went wrong.
-- @tparam string command
-- @tparam table reply
-- @treturn table reply
function M.expect(command, reply)
  if reply.err_code then fail(command, reply.err_code, reply.err_msg or "") end
  return reply
end

return M
