--- The console's end of an admin socket: one session in a node. Blocking verbs, on the loop.
--
--     local node <close> = assert(connection.open("n1.data/admin.sock", { rw = false }))
--     print(node.about.id, node.about.role)
--     local reply <const>, why = node:request { ["do"] = "eval", code = "kv.get('a')", chunk = "=console", line = 1 }
--     if not reply then print("no reply:", why) elseif not reply.ok then print(reply.message) end
--
-- What it says of itself, and why it goes or refuses, is shown at many places: a terminal may get these texts as they
-- are here.
--
-- What the node says without being asked goes to handlers, which run in a task: `on_print(value)`, `on_status(event)`,
-- `on_close(why)` (once, also when the node told that it stops).
local decode = require "kvserver.console.decode"
local escape = require "kvserver.console.escape"
local json = require "kvserver.json"
local task = require "kvserver.task"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local OPEN_MS <const> = 5000
local CANCEL_MS <const> = 1000 -- what is cancelled has ended by then, or the node hangs
local LINE_BYTES_MAX <const> = 64 << 20 -- of what a node sends: some times what a reply has at most
local SENT_BYTES_MAX <const> = 1 << 20 -- of what a node takes
local TOO_LONG <const> = ("too long: a node takes up to %d bytes at once"):format(SENT_BYTES_MAX)
local LINES_MAX <const> = 1000 -- that wait; beyond, more stay on the way
local CLOSED <const> = "the connection is closed"
local NONSENSE <const> = "the node sent what makes no sense to this console"

local Connection = {}
Connection.__index = Connection

local function ignore() end

local function give_up(self, why)
  if self.why_closed then return end
  self.why_closed = why
  self.pipe:close()
  for _, waiting in pairs(self.waiting) do waiting:set(nil, why) end
  self.waiting = {}
  self.attached:set(nil, why)
  self.on_close(why)
end

-- What it says of itself.
local function learn(self, news)
  for key, value in pairs(news) do
    if type(value) == "string" then value = escape.text(value) end
    local is_plain <const> = type(value) ~= "table" and value ~= json.null
    self.about[key] = is_plain and value or nil
  end
end

-- Why it does something.
local function reason(text, otherwise)
  return type(text) == "string" and escape.text(text) or otherwise
end

-- The values of a reply, decoded; nil when one makes no sense.
local function decode_values(list)
  local values <const> = {}
  if list == nil then return values end
  if type(list) ~= "table" then return nil end
  for i, value in ipairs(list) do
    values[i] = decode.value(value)
    if values[i] == nil then return nil end
  end
  return values
end

local function take_reply(self, message)
  local waiting <const> = self.waiting[message.id]
  if not waiting then return end -- it was given up
  local values <const> = decode_values(message.values)
  if not values then return give_up(self, NONSENSE) end
  self.waiting[message.id] = nil
  message.values = values
  message.ok = message.ok == true
  for _, key in ipairs { "message", "traceback", "hint" } do
    local text <const> = decode.value(message[key]) -- they need not be UTF-8
    message[key] = type(text) == "string" and text or nil
  end
  waiting:set(message)
end

local function take_event(self, message)
  if message.event == "print" then
    self.on_print(decode.value(message.text) or "")
  elseif message.event == "status" then
    learn(self, message)
    self.on_status(message)
  elseif message.event == "end" then
    self.why_ending = reason(message.why, "the node stops")
  end
end

-- The answer to attach has no number; what comes before it is a refusal of the whole connection.
local function take_line(self, line)
  local message <const> = json.decode(line)
  if type(message) ~= "table" then return give_up(self, NONSENSE) end
  if message.event then
    take_event(self, message)
  elseif message.id then
    take_reply(self, message)
  elseif self.attached:is_set() then
    give_up(self, reason(message.err_msg, NONSENSE))
  elseif message.ok and type(message.result) == "table" then
    self.attached:set(message.result)
  else
    self.attached:set(nil, reason(message.err_msg, NONSENSE))
  end
end

-- Lines may be long: pieces are put together once their end is there. False: one is too long.
local function take(self, data)
  local from = 1
  for finish in data:gmatch "()\n" do
    self.pieces[#self.pieces + 1] = data:sub(from, finish - 1)
    local line <const> = table.concat(self.pieces)
    self.pieces, self.pieces_bytes = {}, 0
    from = finish + 1
    self.last_line = self.last_line + 1
    self.lines[self.last_line] = line
  end
  self.pieces[#self.pieces + 1] = data:sub(from)
  self.pieces_bytes = self.pieces_bytes + #data - from + 1
  return self.pieces_bytes <= LINE_BYTES_MAX
end

local function waiting_count(self)
  return self.last_line - self.first_line + 1
end

local read

-- A task takes the lines, so that handlers may wait; what comes meanwhile queues up behind them, and then on the way.
local function take_lines(self)
  while waiting_count(self) > 0 and not self.why_closed do
    local line <const> = self.lines[self.first_line]
    self.lines[self.first_line] = nil
    self.first_line = self.first_line + 1
    if not pcall(take_line, self, line) then give_up(self, NONSENSE) end
    if self.held_up and waiting_count(self) == 0 then read(self) end
  end
  if self.input_ended and not self.why_closed then give_up(self, self.why_ending or CLOSED) end
  self.taking = false
end

local function wake(self)
  if self.taking then return end
  self.taking = true
  task.spawn(take_lines, self)
end

function read(self)
  self.held_up = false
  if self.why_closed then return end
  self.pipe:read_start(function(_, data)
    if data and not take(self, data) then return give_up(self, NONSENSE) end
    self.input_ended = data == nil
    self.held_up = waiting_count(self) > LINES_MAX
    if self.input_ended or self.held_up then self.pipe:read_stop() end
    wake(self)
  end)
end

local function connect(self, timeout_ms)
  local connected <const> = task.event()
  local ok, why = self.pipe:connect(self.path, function(failed) connected:set(failed) end)
  if not ok then connected:set(why) end
  local in_time, failed = connected:wait(timeout_ms)
  if in_time then return not failed, failed end
  return false, "timeout"
end

-- What the system says of a connection that cannot be, as a sentence.
local function explain(path, why)
  local code <const> = tostring(why):match "E[A-Z]+"
  local sentences <const> = {
    ECONNREFUSED = "no node runs there; the socket was left by one that ended",
    ENOENT = "there is no such socket", EACCES = "this user may not use that socket",
    ENOTSOCK = "not a socket",
  }
  return ("%s: %s"):format(path, sentences[code] or why)
end

local function attach(self, options, timeout_ms)
  self:send { ["do"] = "attach", args = json.array { {
    version = version, rw = options.rw or false, user = os.getenv "USER" or "", pid = uv.os_getpid(),
    terminal = options.terminal or false, limit = not options.no_limit,
  } } }
  local in_time, about, why = self.attached:wait(timeout_ms)
  if not in_time then
    return nil, ("%s: no answer within %g s: does the node hang?"):format(self.path, timeout_ms / 1000)
  end
  if not about then return nil, ("%s: %s"):format(self.path, why) end
  learn(self, about)
  return self
end

--- Connects and attaches. Waits.
-- @tparam string path of the socket
-- @tparam[opt] table options `rw`, `no_limit`, `terminal` (booleans), `timeout_ms` (5000), `on_print`,
-- `on_status`, `on_close` (see above; they may also be set later)
-- @return the connection, a `<close>` value: `about` (what the node says of itself, kept up to date), `path`,
-- `why_closed` (nil: open); or nil and why not
function M.open(path, options)
  options = options or {}
  local timeout_ms <const> = options.timeout_ms or OPEN_MS
  local self <const> = setmetatable({
    path = path, pipe = uv.new_pipe(false), pieces = {}, pieces_bytes = 0, lines = {}, first_line = 1, last_line = 0,
    waiting = {}, count = 0, about = {},
    attached = task.event(), on_print = options.on_print or ignore, on_status = options.on_status or ignore,
    on_close = ignore,
  }, Connection)
  local ok, why = connect(self, timeout_ms)
  if not ok then
    self.pipe:close()
    return nil, explain(path, why)
  end
  read(self)
  local attached <const>, problem = attach(self, options, timeout_ms)
  if not attached then
    give_up(self, problem)
    return nil, problem
  end
  self.on_close = options.on_close or ignore
  return self
end

--- Sends one message; what the connection cannot take any more is lost.
-- @tparam table message
-- @treturn boolean false: it is longer than a node takes, and was not sent
function Connection:send(message)
  local line <const> = json.encode(message)
  if #line > SENT_BYTES_MAX then return false end
  if not self.why_closed then self.pipe:write(line .. "\n") end
  return true
end

local function is_statement(message)
  return message["do"] == "eval" or message["do"] == "call"
end

--- Asks, and waits for the reply.
-- @tparam table message `do` and what belongs to it, without an id
-- @tparam[opt] number timeout_ms when this is over, the node is told to end the statement
-- @treturn ?table the reply: `ok`, `values` (decoded) or `kind`, `message`, `traceback`, `hint`; `ms` in the node,
-- `round_ms` in all; or nil and why there is none: "timeout", or how the connection ended
function Connection:request(message, timeout_ms)
  if self.why_closed then return nil, self.why_closed end
  self.count = self.count + 1
  message.id = self.count
  local replied <const> = task.event()
  self.waiting[message.id], self.current = replied, message.id
  local start <const> = uv.hrtime()
  if not self:send(message) then
    self.waiting[message.id], self.current = nil, nil
    return { ok = false, kind = "refused", message = TOO_LONG, ms = 0, round_ms = 0 }
  end
  local in_time, reply, why = replied:wait(timeout_ms)
  if not in_time and is_statement(message) then
    self:cancel()
    replied:wait(CANCEL_MS)
  end
  self.current = nil
  if not in_time then return nil, "timeout" end
  if reply then reply.round_ms = (uv.hrtime() - start) / 1e6 end
  return reply, why
end

--- Asks the node to end what runs in this session; its reply still comes. Nothing when nothing runs.
function Connection:cancel()
  if self.current then self:send { ["do"] = "cancel", id = self.current } end
end

--- Ends the session. Any number of times.
function Connection:close()
  give_up(self, CLOSED)
end

Connection.__close = Connection.close

return M
