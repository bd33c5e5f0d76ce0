--- A console for specs, as lines: attached to the admin socket of a node in this process.
--
--     local w <close> = console.world()
--     local c <close> = w:attach { rw = true }
--     assert.same({ 2 }, c:eval("1 + 1").values)
local admin = require "kvserver.admin"
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local TIMEOUT_MS <const> = 10000

local Console = {}
Console.__index = Console

local function take(self, line)
  local message <const> = assert(json.decode(line))
  self.came:set()
  if message.event then
    self.events[#self.events + 1] = message
  elseif message.id then
    self.replies[message.id] = message
  else
    self.greeting = message
  end
end

--- Begins to read what comes.
function Console:read()
  local input = ""
  self.pipe:read_start(function(_, data)
    if not data then
      self.ended = true
      return self.came:set()
    end
    input = input .. data
    local from = 1
    for finish in input:gmatch "()\n" do
      take(self, input:sub(from, finish - 1))
      from = finish + 1
    end
    input = input:sub(from)
  end)
end

--- Connects, without attaching.
-- @tparam string path
function M.connect(path)
  local self <const> = setmetatable({ pipe = uv.new_pipe(false), events = {}, replies = {}, last_id = 0,
    came = task.event() }, Console)
  local connected <const> = task.event()
  self.pipe:connect(path, function(failed) connected:set(failed) end)
  local in_time <const>, failed = connected:wait(TIMEOUT_MS)
  assert(in_time and not failed, failed)
  return self
end

--- Attaches to the socket at a path.
-- @tparam string path
-- @tparam[opt] table about as in attach: rw, limit, ...
-- @return the console, a `<close>` value
function M.attach(path, about)
  local self <const> = M.connect(path)
  self:read()
  self:write { ["do"] = "attach", args = json.array { about or { rw = false } } }
  self:wait(function() return self.greeting end)
  return self
end

--- Sends a message as a line.
function Console:write(message)
  self.pipe:write(json.encode(message) .. "\n")
end

--- Waits for a condition that something from the node makes true, or for its end.
function Console:wait(condition)
  while true do
    local came <const> = task.event() -- before the look: a task may be interrupted between the two
    self.came = came
    if condition() or self.ended then return end
    assert(came:wait(TIMEOUT_MS), "nothing came in time")
  end
end

--- Sends a request.
-- @treturn integer its id
function Console:start(request)
  self.last_id = self.last_id + 1
  request.id = self.last_id
  self:write(request)
  return request.id
end

--- Waits for an answer.
-- @tparam integer id
-- @treturn table
function Console:answer(id)
  self:wait(function() return self.replies[id] end)
  local reply <const> = self.replies[id]
  self.replies[id] = nil
  return reply
end

--- Sends a request and waits for the answer.
function Console:ask(request)
  return self:answer(self:start(request))
end

--- Starts a statement.
-- @treturn integer id
function Console:begin(code)
  return self:start { ["do"] = "eval", code = code }
end

--- Runs a statement to its end.
-- @treturn table the answer
function Console:eval(code)
  return self:answer(self:begin(code))
end

--- What was printed so far, a list of texts.
function Console:printed()
  local texts <const> = {}
  for _, event in ipairs(self.events) do
    if event.event == "print" then texts[#texts + 1] = event.text end
  end
  return texts
end

--- Stops reading: what the node sends stays on the way.
function Console:stop_reading()
  self.pipe:read_stop()
end

--- Goes.
function Console:close()
  if not self.pipe:is_closing() then self.pipe:close() end
end

Console.__close = Console.close

local World = {}
World.__index = World

--- A node in this process, with an admin socket.
-- @tparam[opt] table options of kvserver.server
-- @tparam[opt] table socket_options of kvserver.admin
-- @return the world, a `<close>` value: `node`, `socket`, `path`
function M.world(options, socket_options)
  local all <const> = { listen = "127.0.0.1:0" }
  for name, value in pairs(options or {}) do all[name] = value end
  local dir <const> = directory.new()
  local node <const> = assert(server.start(all))
  local about <const> = { path = dir.path .. "/admin.sock", node = node, config = {
    id = all.id or "n1", listen = all.listen, peers = all.peers, enable_faults = all.enable_faults,
    log_format = "logfmt", log_level = "error", heartbeat_ms = 50, election_ms = "300-600",
  } }
  for name, value in pairs(socket_options or {}) do about[name] = value end
  return setmetatable({ dir = dir, node = node, path = about.path, socket = assert(admin.listen(about)) }, World)
end

--- Attaches a console.
function World:attach(about)
  return M.attach(self.path, about)
end

function World:__close()
  self.socket:close()
  self.node:close()
  self.dir:remove()
end

return M
