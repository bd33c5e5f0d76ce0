--- The admin socket of a node that serves: a Unix socket for its owner alone.
--
--     local admin = require "kvserver.admin"
--     local socket <close> = assert(admin.listen { path = "n1.data/admin.sock", node = node, config = config })
--
-- One line of JSON is a request, `{"do":"status"}` or `{"do":"raft_log","args":[1,10]}`, one line its answer:
-- `{"ok":true,"result":...}` or `{"ok":false,"err_msg":"..."}`. Requests may be pipelined; answers come in their order.
-- kvserver.admin_commands says what can be asked for; kvserver.admin_client asks.
--
-- One request of a connection is answered per turn of the loop, the next one when the answer before it was taken: so
-- neither a client that asks for a lot nor one that does not read what it asked for holds up the node.
local commands = require "kvserver.admin_commands"
local json = require "kvserver.json"
local log = require "kvserver.log"
local unixsocket = require "kvserver.unixsocket"
local uv = require "luv"

local M = {}

local LINE_BYTES_MAX <const> = 65536 -- of a request; beyond: refused, and the connection closes
local CONNECTIONS_MAX <const> = 64 -- beyond: refused
local BACKLOG <const> = 64

-- ---- answers ----

-- What a function raises, without the places in a program that nobody sees.
local function reason(why)
  local text <const> = tostring(why):gsub("^[^%s:]+%.lua:%d+: ", "")
  return text:match("^bad argument #%d+ to '.-' %((.*)%)$") or text
end

local function refusal(why)
  return json.encode { ok = false, err_msg = why }
end

local function answer(context, line)
  local request, why = json.decode(line)
  if request == nil then return refusal("request: " .. why) end
  if type(request) ~= "table" then return refusal("request: expected an object") end
  local ok, result, problem = pcall(commands.run, context, request["do"], request.args)
  if not ok then return refusal(reason(result)) end
  if result == nil then return refusal(problem) end
  local encoded, text = pcall(json.encode, { ok = true, result = result })
  return encoded and text or refusal(reason(text))
end

-- ---- connections ----

local Connection = {}
Connection.__index = Connection

function Connection:close()
  if self.closed then return end
  self.closed = true
  self.socket.connections[self] = nil
  self.socket.count = self.socket.count - 1
  self.pipe:close()
end

-- Takes the next line from what came; at the end of the input, what is left is one. False: it is too long.
function Connection:take_line()
  local finish = self.input:find("\n", 1, true)
  if (finish or #self.input + 1) > LINE_BYTES_MAX + 1 then return false end
  if not finish and self.input_ended and self.input ~= "" then finish = #self.input + 1 end
  if not finish then return nil end
  local line <const> = self.input:sub(1, finish - 1)
  self.input = self.input:sub(finish + 1)
  return line
end

function Connection:send(text, next)
  self.pipe:write(text .. "\n", function(failed)
    if failed then return self:close() end
    if not self.closed then next() end
  end)
end

function Connection:refuse(why)
  self:send(refusal(why), function() self:close() end)
end

-- Answers one line; what comes meanwhile stays in the kernel.
function Connection:go_on()
  local line <const> = self:take_line()
  if line then
    self:send(answer(self.socket.context, line), function() self:go_on() end)
  elseif line == false then
    self:refuse(("request: a line has up to %d bytes"):format(LINE_BYTES_MAX))
  elseif self.input_ended then
    self:close()
  else
    self:read()
  end
end

function Connection:read()
  self.pipe:read_start(function(failed, data)
    if failed then return self:close() end
    self.pipe:read_stop()
    self.input = self.input .. (data or "")
    self.input_ended = data == nil
    self:go_on()
  end)
end

-- ---- the socket ----

local Socket = {}
Socket.__index = Socket

local function accept(socket)
  local pipe <const> = uv.new_pipe(false)
  if not socket.listener:accept(pipe) then return pipe:close() end
  local connection <const> = setmetatable({ socket = socket, pipe = pipe, input = "" }, Connection)
  socket.connections[connection] = true
  socket.count = socket.count + 1
  if socket.count <= CONNECTIONS_MAX then return connection:read() end
  connection:refuse(("too many connections: up to %d"):format(CONNECTIONS_MAX))
end

local function identity(path)
  local about <const> = uv.fs_lstat(path)
  return about and about.dev .. ":" .. about.ino
end

local function listen(socket, fd)
  local ok, why = socket.listener:open(fd)
  if not ok then
    uv.fs_close(fd)
    return nil, why
  end
  return socket.listener:listen(BACKLOG, function(failed)
    if failed then
      log.write("warn", "admin", "accept_failed", { why = failed })
    else
      accept(socket)
    end
  end)
end

--- Listens. A socket that a dead process left is replaced; anything else at the path is left alone.
-- @tparam table options `path`, `node` (a kvserver.server), `config` (complete, of kvserver.config)
-- @return the socket, a `<close>` value; or nil and why not
function M.listen(options)
  local fd <const>, why = unixsocket.bind(options.path)
  if not fd then return nil, why end
  local socket <const> = setmetatable({
    path = options.path, identity = identity(options.path), listener = uv.new_pipe(false), connections = {}, count = 0,
    context = { node = options.node, config = options.config },
  }, Socket)
  local ok, problem = listen(socket, fd)
  if ok then return socket end
  socket:close()
  return nil, ("%s: %s"):format(options.path, problem)
end

--- Closes it and every connection, and removes its file, unless that is another's by now. Any number of times.
function Socket:close()
  if self.closed then return end
  self.closed = true
  self.listener:close()
  for connection in pairs(self.connections) do connection:close() end
  if self.identity and identity(self.path) == self.identity then uv.fs_unlink(self.path) end
end

Socket.__close = Socket.close

return M
