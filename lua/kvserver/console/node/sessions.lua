--- The consoles that are attached to a node, and what they share.
--
--     local sessions = require "kvserver.console.node.sessions"
--     local console <close> = sessions.new { node = node, config = config }
--     local session, answer = console:attach(outlet, { version = "0.1.0" })
local cluster = require "kvserver.console.node.cluster"
local json = require "kvserver.json"
local log = require "kvserver.log"
local loop = require "kvserver.loop"
local session = require "kvserver.console.node.session"
local standard = require "kvserver.console.node.standard"
local undo = require "kvserver.console.node.undo"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

--- What the statements of all consoles together may make Lua hold, beside what it held before the first one came.
M.MEMORY_BYTES_MAX = 32 << 20

-- What a statement may have in any case, so that who used it all up can still say `hoard = nil`; so often, and no more,
-- that it all doubles.
local TIDY_BYTES <const> = 256 << 10

local STATUS_MS <const> = 200 -- how often it is looked whether the node's role changed

local COLLECT_NS <const> = 2000000 -- of each of these looks goes to the collector
local COLLECT_MS <const> = 20 -- and so often when nobody is left, until what was left is collected
local CYCLES <const> = 2 -- of the collector, for that: the one that is under way may have seen it as alive already

local Sessions = {}
Sessions.__index = Sessions

local function identity(self)
  local status <const> = self.node:status()
  return { id = self.config.id, role = status.role, term = status.term, leader_id = status.leader_id }
end

-- What consoles left is collected in pieces: the node itself hardly allocates, so the collector would not get to it for
-- hours. Until a whole cycle is over behind the last one of them.
local function tidy(self)
  local end_ns <const> = uv.hrtime() + COLLECT_NS
  repeat
    if collectgarbage "step" then
      self.cycles_due = self.cycles_due - 1
      if self.count == 0 and self.cycles_due <= 0 then self.timer:stop() end
      return
    end
  until uv.hrtime() >= end_ns
end

local function look(self)
  local now <const> = identity(self)
  for one in pairs(self.attached) do one:tell(now) end
  tidy(self)
end

local function first_came(self)
  if not M.strings_limited then
    M.strings_limited = true
    loop.limit_strings(standard.string_methods)
  end
  self.memory_bytes = self.memory_bytes or loop.memory_bytes()
  self.timer:start(STATUS_MS, STATUS_MS, function() look(self) end)
end

local function greeting(self, id)
  local seconds <const>, microseconds = uv.gettimeofday()
  local about <const> = identity(self) -- a table of its own: the session keeps another
  about.session, about.version, about.pid = id, version, math.tointeger(uv.os_getpid())
  about.members, about.faults = #cluster.members(self.config), self.config.enable_faults == true
  about.time_ms = seconds * 1000 + microseconds // 1000
  return about
end

--- Attaches a console. Raises what is wrong with what it says of itself.
-- @tparam table outlet what its session writes to: see kvserver.console.node.session
-- @tparam ?table about `rw`, `user`, `pid`, `limit` (false: statements without limits), all of them optional
-- @return the session
-- @treturn table what the node answers
function Sessions:attach(outlet, about)
  if type(about) ~= "table" then error("attach: expected an object that says who attaches", 0) end
  local pid <const> = math.tointeger(about.pid)
  if self.count == 0 then first_came(self) end
  self.last_id, self.count = self.last_id + 1, self.count + 1
  local attached <const> = session.new {
    id = self.last_id, user = type(about.user) == "string" and about.user or "", pid = pid or 0,
    rw = about.rw == true, limited = about.limit ~= false, outlet = outlet,
    identity = identity(self), node = self.node, config = self.config, console = self,
  }
  self.attached[attached] = true
  return attached, greeting(self, attached.id)
end

--- How much Lua may hold while a statement runs that begins now.
-- @treturn integer bytes
function Sessions:memory_cap()
  local usual <const>, tidying = self.memory_bytes + M.MEMORY_BYTES_MAX, loop.memory_bytes() + TIDY_BYTES
  return math.min(math.max(usual, tidying), usual + M.MEMORY_BYTES_MAX)
end

--- Has what somebody left collected: a session that ends, or its statement, when that ends only later.
function Sessions:collect()
  self.cycles_due = CYCLES
  if self.count == 0 and not self.closed then self.timer:start(COLLECT_MS, COLLECT_MS, function() tidy(self) end) end
end

--- Ends a session. Any number of times.
-- @param attached of `attach`
function Sessions:detach(attached)
  if not self.attached[attached] then return end
  self.attached[attached] = nil
  self.count = self.count - 1
  attached:close()
  self:collect()
end

--- The consoles that are attached, in the order in which they came.
-- @treturn table a list of what kvserver.console.node.session says of each
function Sessions:describe()
  local list <const> = {}
  for one in pairs(self.attached) do list[#list + 1] = one:describe() end
  table.sort(list, function(a, b) return a.session < b.session end)
  return list
end

--- How long the node has been open to consoles.
-- @treturn integer milliseconds
function Sessions:uptime_ms()
  return math.floor((uv.hrtime() - self.start_ns) / 1e6) -- uv.hrtime gives floats
end

--- Tells the log what somebody did.
-- @param by the session
-- @tparam string event
-- @tparam[opt] table fields name -> string or integer from 0
function Sessions.tell_log(_, by, event, fields)
  local all <const> = { session = by.id, user = by.user }
  for name, value in pairs(fields or {}) do all[name] = value end
  log.write("warn", "console", event, all)
end

--- The line that says that the node goes.
-- @tparam string why
-- @treturn string
function M.end_line(why)
  return json.encode { event = "end", why = why } .. "\n"
end

--- Ends all of them.
function Sessions:close()
  if self.closed then return end
  self.closed = true
  for one in pairs(self.attached) do self:detach(one) end
  self.timer:close()
  self.undo:close()
end

Sessions.__close = Sessions.close

--- Makes the place for consoles of a node.
-- @tparam table options `node` (a kvserver.server), `config` (complete, of kvserver.config), `restart` and `stop`
-- (functions that have the process do that; absent where there is no such process), `program` (the path of what a
-- restart runs)
-- @return it, a `<close>` value
function M.new(options)
  return setmetatable({
    node = options.node, config = options.config, restart = options.restart, stop = options.stop,
    program = options.program,
    timer = uv.new_timer(), start_ns = uv.hrtime(), undo = undo.new(), attached = {}, count = 0, last_id = 0,
    cycles_due = 0,
    shared = {},
  }, Sessions)
end

return M
