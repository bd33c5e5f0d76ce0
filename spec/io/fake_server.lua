--- A server for specs that answers with given bytes: what a real one never sends.
--
--     local fake <close> = fake_server.start(function(connection) connection:write("HTTP/1.1 200 OK\r\n...") end)
--     httpclient.open { port = fake.port }
--
-- The function runs in a libuv callback, with all that this connection has sent so far; it may write, shut down, close,
-- or do nothing.
local uv = require "luv"

local M = {}

local Fake = {}
Fake.__index = Fake

function Fake:__close()
  for _, connection in ipairs(self.connections) do
    if not connection:is_closing() then connection:close() end
  end
  self.listener:close()
end

--- @tparam function answer answer(connection, input, number): `number` counts connections from 1
function M.start(answer)
  local self = setmetatable({ listener = uv.new_tcp(), connections = {} }, Fake)
  assert(self.listener:bind("127.0.0.1", 0))
  self.port = self.listener:getsockname().port
  assert(self.listener:listen(16, function()
    local connection = uv.new_tcp()
    self.listener:accept(connection)
    self.connections[#self.connections + 1] = connection
    local number, input = #self.connections, ""
    connection:read_start(function(_, data)
      if not data then return end
      input = input .. data
      answer(connection, input, number)
    end)
  end))
  return self
end

return M
