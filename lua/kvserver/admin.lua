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
-- does not read what he asked for loses his connection, and what all of them have not read yet has a limit: beyond it,
-- requests wait, but for those of consoles that have read theirs.
--
-- `{"do":"attach","args":[{"rw":false}]}` makes a console of the connection: what comes from then on is for its session
-- (kvserver.console.node.session), which may send lines at any time. A line may then be longer.
local commands = require "kvserver.admin_commands"
local json = require "kvserver.json"
local log = require "kvserver.log"
local sessions = require "kvserver.console.node.sessions"
local task = require "kvserver.task"
local unixsocket = require "kvserver.unixsocket"
local uv = require "luv"

local M = {}

local LINE_BYTES_MAX <const> = 65536 -- of a request; beyond: refused, and the connection closes
local SESSION_LINE_BYTES_MAX <const> = 1 << 20 -- of one of a console
local ROOM_BYTES <const> = 65536 -- of lines that a console has not taken; beyond: it waits
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

local function answer(context, request, why)
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
  self:taken(self.unread_bytes)
  if self.session then self.socket.console:detach(self.session) end
  self.timer:close()
  self.pipe:close()
end

function Connection:line_bytes_max()
  return self.session and SESSION_LINE_BYTES_MAX or LINE_BYTES_MAX
end

-- Takes the next line from what came; at the end of the input, what is left is one. False: it is too long.
function Connection:take_line()
  local finish = self.input:find("\n", 1, true)
  if (finish or #self.input + 1) > self:line_bytes_max() + 1 then return false end
  if not finish and self.input_ended and self.input ~= "" then finish = #self.input + 1 end
  if not finish then return nil end
  local line <const> = self.input:sub(1, finish - 1)
  self.input = self.input:sub(finish + 1)
  return line
end

-- So much less is on its way to it.
function Connection:taken(bytes)
  self.socket.unread_bytes = self.socket.unread_bytes - bytes
  self.unread_bytes = self.unread_bytes - bytes
  self.timer:stop()
  if self.unread_bytes > 0 then self:await() end
  if self:has_room() and self.room then self.room:set() end
  self.socket:wake()
end

-- What is on its way must be taken in time.
function Connection:await()
  self.timer:start(self.socket.read_ms, 0, function() self:close() end)
end

--- Sends a line; `sent`, if given, is called when it was taken.
function Connection:push(text, sent)
  local bytes <const> = #text + 1
  self.unread_bytes = self.unread_bytes + bytes
  self.socket.unread_bytes = self.socket.unread_bytes + bytes
  if self.unread_bytes == bytes then self:await() end
  self.pipe:write(text .. "\n", function(failed)
    if self.closed then return end
    if failed then return self:close() end
    self:taken(bytes)
    if sent then sent() end
  end)
end

--- Whether what was sent is taken, but for a little.
function Connection:has_room()
  return self.closed or self.unread_bytes <= ROOM_BYTES
end

--- Waits, in a task, until there is room. The event comes before the look: a task may be interrupted between the two.
function Connection:wait_room()
  while true do
    local room <const> = task.event()
    self.room = room
    if self:has_room() then return end
    room:wait()
  end
end

function Connection:refuse(why)
  self:push(refusal(why), function() self:close() end)
end

-- Makes a console of it.
function Connection:attach(about)
  local ok <const>, session, greeting = pcall(self.socket.console.attach, self.socket.console, self, about)
  if not ok then return refusal(reason(session)) end
  self.session = session
  return json.encode { ok = true, result = greeting }
end

-- Nothing that a line holds may end the node.
function Connection:take_for_session(line)
  local ok <const>, why = pcall(self.session.take, self.session, line)
  if ok then return end
  log.write("error", "admin", "request_failed", { why = tostring(why) })
  self:push(refusal("request: it makes no sense"), function() self:close() end)
end

function Connection:answer(line)
  if self.session then
    self:take_for_session(line)
    return self:go_on()
  end
  local request <const>, why = json.decode(line)
  local text
  if type(request) == "table" and request["do"] == "attach" then
    text = self:attach(type(request.args) == "table" and request.args[1] or nil)
  else
    text = answer(self.socket.context, request, why)
  end
  self:push(text, function() self:go_on() end)
end

-- Has one line answered; what comes meanwhile stays in the kernel.
function Connection:go_on()
  if self.closed then return end
  local line <const> = self:take_line()
  if line then
    self.socket:enqueue(self, line)
  elseif line == false then
    self:refuse(("request: a line has up to %d bytes"):format(self:line_bytes_max()))
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

-- One of a console, or that makes one: whatever others have not read, somebody must be able to see to it.
local function is_for_console(request)
  return request.connection.session ~= nil or request.line:find('"attach"', 1, true) ~= nil
end

-- The number of the request that came first, of those that may be answered.
function Socket:next_request()
  local full <const> = self.unread_bytes > UNREAD_BYTES_MAX
  for i, request in ipairs(self.requests) do
    if not full or request.connection.unread_bytes == 0 and is_for_console(request) then return i end
  end
end

-- Answers it: called once per turn of the loop.
local function answer_next(socket)
  local at <const> = socket:next_request()
  local first <const> = at and table.remove(socket.requests, at)
  if first then first.connection:answer(first.line) end
  socket:wake()
end

-- Has the loop turn as long as there are requests that may be answered.
function Socket:wake()
  if self.closed then return end
  if not self:next_request() then return self.turns:stop() end
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
-- (10000; in which an answer must be taken), `restart` and `stop` (functions that have the process do that, which a
-- console may ask for), `program` (the path of what a restart runs)
-- @return the socket, a `<close>` value; or nil and why not
function M.listen(options)
  local fd <const>, why = unixsocket.bind(options.path)
  if not fd then return nil, why end
  local socket <const> = setmetatable({
    path = options.path, identity = identity(options.path), listener = uv.new_pipe(false), connections = {}, count = 0,
    requests = {}, unread_bytes = 0, read_ms = options.read_ms or READ_MS, turns = uv.new_idle(),
    context = { node = options.node, config = options.config }, console = sessions.new(options),
  }, Socket)
  local ok, problem = listen(socket, fd)
  if ok then return socket end
  socket:close()
  return nil, ("%s: %s"):format(options.path, problem)
end

--- Closes it and every connection, and removes its file, unless that is another's by now. Any number of times.
-- @tparam[opt] string why what consoles are told: "the node stops"
function Socket:close(why)
  if self.closed then return end
  self.closed = true
  self.listener:close()
  self.turns:close()
  local farewell <const> = sessions.end_line(type(why) == "string" and why or "the node stops")
  for connection in pairs(self.connections) do
    if connection.session then connection.pipe:try_write(farewell) end
    connection:close()
  end
  self.console:close()
  if self.identity and identity(self.path) == self.identity then uv.fs_unlink(self.path) end
end

function Socket:__close()
  self:close()
end

return M
