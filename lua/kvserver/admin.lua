--- The admin socket of a node that serves: a Unix socket for its owner alone.
--
--     local admin = require "kvserver.admin"
--     local socket <close> = assert(admin.listen { path = "n1.data/admin.sock", node = node, config = config })
--
-- One line of JSON is a request, `{"do":"status"}` or `{"do":"raft_log","args":[1,10]}`, one line its answer:
-- `{"ok":true,"result":...}` or `{"ok":false,"err_msg":"..."}`. Requests may be pipelined; answers come in their order.
-- kvserver.admin_commands says what can be asked for; kvserver.admin_client asks.
--
-- One request is answered per turn of the loop, whichever connection it came by, and the next one of a connection when
-- the answer before it was taken: so clients that ask for a lot, however many they are, do not hold up the node. Who
-- does not read what he asked for loses his connection, and what all of them have not read yet has a limit.
local commands = require "kvserver.admin_commands"
local json = require "kvserver.json"
local log = require "kvserver.log"
local unixsocket = require "kvserver.unixsocket"
local uv = require "luv"

local M = {}

local LINE_BYTES_MAX <const> = 65536 -- of a request; beyond: refused, and the connection closes
local CONNECTIONS_MAX <const> = 64 -- beyond: refused
local BACKLOG <const> = 64
local UNREAD_BYTES_MAX <const> = 16 << 20 -- of answers; beyond: requests wait
local READ_MS <const> = 10000 -- in which an answer must be taken; else the connection closes

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
  self.socket:forget_request(self)
  self:taken()
  self.timer:close()
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

-- Nothing is on its way to it.
function Connection:taken()
  self.socket.unread_bytes = self.socket.unread_bytes - self.unread_bytes
  self.unread_bytes = 0
  self.timer:stop()
  self.socket:wake()
end

function Connection:send(text, next)
  self.unread_bytes = #text
  self.socket.unread_bytes = self.socket.unread_bytes + #text
  self.timer:start(self.socket.read_ms, 0, function() self:close() end)
  self.pipe:write(text .. "\n", function(failed)
    if self.closed then return end
    if failed then return self:close() end
    self:taken()
    next()
  end)
end

function Connection:refuse(why)
  self:send(refusal(why), function() self:close() end)
end

function Connection:answer(line)
  self:send(answer(self.socket.context, line), function() self:go_on() end)
end

-- Has one line answered; what comes meanwhile stays in the kernel.
function Connection:go_on()
  local line <const> = self:take_line()
  if line then
    self.socket:enqueue(self, line)
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

-- Answers the request that came first: called once per turn of the loop.
local function answer_next(socket)
  local first <const> = table.remove(socket.requests, 1)
  if first then first.connection:answer(first.line) end
  socket:wake()
end

-- Has the loop turn as long as there are requests that may be answered.
function Socket:wake()
  if self.closed then return end
  if #self.requests == 0 or self.unread_bytes > UNREAD_BYTES_MAX then return self.turns:stop() end
  self.turns:start(function() answer_next(self) end)
end

-- There is one per connection at most.
function Socket:enqueue(connection, line)
  self.requests[#self.requests + 1] = { connection = connection, line = line }
  self:wake()
end

function Socket:forget_request(connection)
  for i, request in ipairs(self.requests) do
    if request.connection == connection then return table.remove(self.requests, i) end
  end
end

local function accept(socket)
  local pipe <const> = uv.new_pipe(false)
  if not socket.listener:accept(pipe) then return pipe:close() end
  local connection <const> = setmetatable({
    socket = socket, pipe = pipe, timer = uv.new_timer(), input = "", unread_bytes = 0,
  }, Connection)
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
-- @tparam table options `path`, `node` (a kvserver.server), `config` (complete, of kvserver.config), `read_ms`
-- (10000; in which an answer must be taken)
-- @return the socket, a `<close>` value; or nil and why not
function M.listen(options)
  local fd <const>, why = unixsocket.bind(options.path)
  if not fd then return nil, why end
  local socket <const> = setmetatable({
    path = options.path, identity = identity(options.path), listener = uv.new_pipe(false), connections = {}, count = 0,
    requests = {}, unread_bytes = 0, read_ms = options.read_ms or READ_MS, turns = uv.new_idle(),
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
  self.turns:close()
  for connection in pairs(self.connections) do connection:close() end
  if self.identity and identity(self.path) == self.identity then uv.fs_unlink(self.path) end
end

Socket.__close = Socket.close

return M
