--- A console that is attached: what it sends, what runs for it, and what it is told.
--
-- One statement runs at a time, as a task of its own with limits; a second task waits for its end and answers. So
-- whatever the statement does, the session can hear "cancel", and when the connection goes, the statement goes at once.
-- What is printed waits until the console takes it: who does not read holds up only himself.
local complete = require "kvserver.console.node.complete"
local encode = require "kvserver.console.node.encode"
local environment = require "kvserver.console.node.environment"
local json = require "kvserver.json"
local loop = require "kvserver.loop"
local statement = require "kvserver.console.node.statement"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local PRINT_BYTES_MAX <const> = 1 << 20 -- of one print; longer: cut
local NAME_BYTES_MAX <const> = 200 -- of a chunk
local CHUNK <const> = "=console"

local Session = {}
Session.__index = Session

local function milliseconds_since(start_ns)
  return (uv.hrtime() - start_ns) / 1e6
end

-- Sends one message; nothing once the session is over.
function Session:send(message)
  if not self.closed then self.outlet:push(json.encode(message)) end
end

function Session:refuse(id, why)
  self:send { id = id, ok = false, kind = "refused", message = why, ms = 0 }
end

--- Prints, as a statement does: waits while the console has not taken what was printed before.
-- @tparam string text
function Session:print(text)
  if #text > PRINT_BYTES_MAX then
    text = ("%s... (%d bytes)"):format(text:sub(1, PRINT_BYTES_MAX), #text)
  end
  self.outlet:wait_room()
  self:send { event = "print", id = self.running and self.running.id, text = encode.text(text) }
end

--- Has something done that ends the process: when the answer to what runs now was taken, or the session is over.
-- @tparam function f
function Session:afterwards(f)
  self.last_act = f
end

-- ---- statements ----

-- The text of the answer, made where the limits hold: values may be large.
local function answer_text(id, start_ns, reply)
  local values <const> = reply.values and encode.values(reply.values)
  return json.encode {
    id = id, ok = reply.ok, values = values, kind = reply.kind, message = reply.message and encode.text(reply.message),
    traceback = reply.traceback and encode.text(reply.traceback), hint = reply.hint, ms = milliseconds_since(start_ns),
  }
end

-- What a task that was ended from outside leaves: why, and where it was.
local function ended_reply(running, why)
  if running.cancelled then return { ok = false, kind = "cancelled", message = "cancelled" } end
  local text <const> = tostring(why)
  local kind <const> = (text:find("not enough memory", 1, true) or text:find("held the loop", 1, true)) and "limit"
    or "runtime"
  return { ok = false, kind = kind, message = text:match("^(.-)\nstack traceback:") or text }
end

local function end_process(self)
  local f <const> = self.last_act
  self.last_act = nil
  if f then f() end
end

-- A task: runs `f`, which returns the text of the answer, and sends that. Answers may be large: the next statement
-- waits until those before it were taken.
local function perform(self, running, f)
  self.outlet:wait_room()
  if self.limited then
    running.work = loop.spawn_limited(self.context.console:memory_cap(), f)
  else
    running.work = task.spawn(f)
  end
  if running.cancelled then running.work:cancel() end
  local ok <const>, text = pcall(running.work.join, running.work)
  self.running = nil
  if self.closed then return self.context.console:collect() end
  self.outlet:push(ok and text or answer_text(running.id, running.start_ns, ended_reply(running, text)),
    function() end_process(self) end)
end

local function start(self, id, what, f)
  local running <const> = { id = id, start_ns = uv.hrtime(), what = what }
  self.running, self.context.refused = running, nil
  task.spawn(perform, self, running, function()
    return answer_text(id, running.start_ns, f())
  end)
end

local function evaluate(self, request)
  local env <const> = self.environment
  local chunk <const>, problem = statement.compile {
    code = request.code, chunk = request.chunk, line = request.line, environment = env,
  }
  if not chunk then return { ok = false, kind = "syntax", message = problem } end
  local reply <const> = statement.run(chunk, self.context)
  if not reply.ok then return statement.with_hint(reply, request.code, env) end
  if reply.values[1] ~= nil then rawset(env, "_", reply.values[1]) end
  return reply
end

local function call(self, command, args)
  local ok <const>, arguments = pcall(encode.decode, args)
  if not ok then return { ok = false, kind = "refused", message = arguments } end
  return statement.run(function() return command(table.unpack(arguments, 1, arguments.n)) end, self.context)
end

-- ---- what a console asks for ----

local verbs <const> = {}

local function set_writing(self, request)
  if type(request.rw) == "boolean" then self.context.rw = request.rw end
end

function verbs.eval(self, request)
  if type(request.code) ~= "string" then return self:refuse(request.id, "code: expected a text") end
  local name <const>, line = request.chunk or CHUNK, request.line or 1
  if type(name) ~= "string" or #name > NAME_BYTES_MAX then return self:refuse(request.id, "chunk: expected a name") end
  if math.type(line) ~= "integer" or line < 1 then return self:refuse(request.id, "line: expected a number from 1") end
  if self.running then return self:refuse(request.id, "busy: another statement of this console runs") end
  set_writing(self, request)
  start(self, request.id, request.code, function() return evaluate(self, request) end)
end

function verbs.call(self, request)
  local name <const> = request.name
  if type(name) ~= "string" or #name > NAME_BYTES_MAX then return self:refuse(request.id, "name: expected a name") end
  local command <const> = environment.command(self.environment_commands, name)
  if not command then return self:refuse(request.id, ("name: no command is called %q"):format(name)) end
  if self.running then return self:refuse(request.id, "busy: another statement of this console runs") end
  set_writing(self, request)
  start(self, request.id, name, function() return call(self, command, request.args) end)
end

function verbs.cancel(self, request)
  local running <const> = self.running
  if not running or running.id ~= request.id then return end
  running.cancelled = true
  if running.work then running.work:cancel() end
end

function verbs.rw(self, request)
  if type(request.on) ~= "boolean" then return self:refuse(request.id, "on: expected true or false") end
  self.context.rw = request.on
  self:send { id = request.id, ok = true, values = json.array { request.on }, ms = 0 }
end

function verbs.complete(self, request)
  if type(request.text) ~= "string" then return self:refuse(request.id, "text: expected a text") end
  local start_ns <const> = uv.hrtime()
  local found <const> = table.pack(complete.candidates(request.text, self.environment, self.environment_commands,
    self.context.config))
  self.outlet:push(answer_text(request.id, start_ns, { ok = true, values = found }))
end

--- Does what one line asks for; in a callback.
-- @tparam string line
function Session:take(line)
  local request <const>, why = json.decode(line)
  if type(request) ~= "table" then
    return self:refuse(json.null, "request: " .. (why or "expected an object"))
  end
  for name, value in pairs(request) do
    if value == json.null then request[name] = nil end
  end
  local id <const> = request.id
  local verb <const> = verbs[request["do"]]
  if math.type(id) ~= "integer" then return self:refuse(json.null, "id: expected a number") end
  if not verb then return self:refuse(id, "do: expected eval, call, cancel, rw or complete") end
  verb(self, request)
end

--- Tells it who the node is now, if it does not know yet; later, when it does not read.
-- @tparam table identity `id`, `role`, `term`, `leader_id`
function Session:tell(identity)
  local known <const> = self.told
  local news <const> = identity.role ~= known.role or identity.term ~= known.term
    or identity.leader_id ~= known.leader_id
  if not news or not self.outlet:has_room() then return end
  self.told = identity
  identity.event = "status"
  self:send(identity)
end

--- Ends it, and what runs for it. Any number of times.
function Session:close()
  if self.closed then return end
  self.closed = true
  local running <const> = self.running
  if running then
    running.cancelled = true
    if running.work then running.work:cancel() end
  end
  for _, close in ipairs(self.context.closing) do close() end
  end_process(self)
end

--- What others see of it.
-- @treturn table `session`, `user`, `pid`, `since_ms` (milliseconds that it is attached), `rw`, `statement` ("" when
-- none runs)
function Session:describe()
  return {
    session = self.id, user = self.user, pid = self.pid, since_ms = math.floor(milliseconds_since(self.start_ns)),
    rw = self.context.rw, statement = self.running and self.running.what or "",
  }
end

--- A session.
-- @tparam table about `id`, `user`, `pid`, `rw`, `limited`, `identity` (what it knows of the node), `outlet`
-- (`push(text [, taken])`, `wait_room()`, `has_room()`), `node`, `config`, `console` (kvserver.console.node.sessions)
-- @return the session
function M.new(about)
  local self <const> = setmetatable({
    id = about.id, user = about.user, pid = about.pid, limited = about.limited,
    outlet = about.outlet, start_ns = uv.hrtime(), told = about.identity,
  }, Session)
  self.context = {
    session = self, node = about.node, config = about.config, console = about.console, rw = about.rw, closing = {},
  }
  self.environment, self.environment_commands = environment.new(self.context)
  return self
end

return M
