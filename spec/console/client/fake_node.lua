--- A node that says to consoles what a spec tells it to.
--
--     local node <close> = fake_node.listen(function(session, request)
--       session:send { id = request.id, ok = true, values = json.array {} }
--     end)
--     connection.open(node.path)
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local unixsocket = require "kvserver.unixsocket"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local BACKLOG <const> = 8

--- What it says of itself when it is not told otherwise.
M.ABOUT = { session = 1, id = "n2", version = version, role = "follower", term = 7, leader_id = "n1", members = 3,
  pid = 99, faults = false, time_ms = 0 }

local Session = {}
Session.__index = Session

--- Sends a message, or a text as it is.
function Session:send(message)
  self.pipe:write(type(message) == "string" and message or json.encode(message) .. "\n")
end

function Session:close()
  if not self.pipe:is_closing() then self.pipe:close() end
end

local Node = {}
Node.__index = Node

local function take_line(node, session, line)
  local request <const> = assert(json.decode(line))
  if request["do"] == "ping" then return session:close() end -- somebody looks which nodes there are
  node.requests[#node.requests + 1] = request
  if request["do"] == "attach" then
    local about <const> = node.about
    return session:send(type(about) == "string" and about or { ok = true, result = about })
  end
  node.handle(session, request)
end

local function accept(node)
  local session <const> = setmetatable({ pipe = uv.new_pipe(false) }, Session)
  assert(node.listener:accept(session.pipe))
  node.sessions[#node.sessions + 1] = session
  local input = ""
  session.pipe:read_start(function(_, data)
    if not data then return session:close() end
    input = input .. data
    for line in input:gmatch "([^\n]*)\n" do take_line(node, session, line) end
    input = input:match "[^\n]*$"
  end)
end

function Node:listen()
  self.listener = uv.new_pipe(false)
  assert(self.listener:open(assert(unixsocket.bind(self.path))))
  assert(self.listener:listen(BACKLOG, function() accept(self) end))
end

--- Ends all sessions, and listens no more, as a node that dies.
function Node:die()
  self.listener:close()
  for _, session in ipairs(self.sessions) do session:close() end
  self.sessions = {}
end

function Node:__close()
  if not self.listener:is_closing() then self:die() end
  self.dir:remove()
end

--- Starts one.
-- @tparam function handle (session, request): called for what comes behind attach
-- @tparam[opt] table|string about what it answers to attach: its result, or a text as it is
-- @return a `<close>` value: `path`, `requests` (all that came, but pings), `sessions`, `die()`, `listen()`
function M.listen(handle, about)
  local dir <const> = directory.new()
  local self <const> = setmetatable({
    dir = dir, path = dir.path .. "/admin.sock", handle = handle, about = about or M.ABOUT, sessions = {},
    requests = {},
  }, Node)
  self:listen()
  return self
end

--- A handler that answers everything with these values (as they are sent).
-- @param ... values
-- @treturn function
function M.answering(...)
  local values <const> = json.array { ... }
  return function(session, request)
    session:send { id = request.id, ok = true, values = values, ms = 0.1 }
  end
end

return M
