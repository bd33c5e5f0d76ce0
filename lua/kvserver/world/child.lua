--- The world of processes, as users run them: each node is a kvserver that this script started.
--
-- What every world has is described in kvserver.world.
local admin_client = require "kvserver.admin_client"
local cluster = require "kvserver.cluster"
local files = require "kvserver.files"
local options = require "kvserver.options"
local real = require "kvserver.world.real"
local types = require "kvserver.types"
local uv = require "luv"

local M = {}

local World = setmetatable({}, { __index = real.World })
World.__index = World

local FIRST_PORT <const> = 7001
local POLL_MS <const> = 10
local START_MS <const> = 30000
local READY <const> = "ready on http://"
local END_MS <const> = 10000
local ANSWER_MS <const> = 5000
local TAIL_LINES <const> = 3

local MISSING <const> = { clock = "the nodes share the clock of this machine" }

-- The options of a node, as flags.
local function flags_of(self, id)
  local list = { "--enable-faults", "--admin-socket", self.sockets .. "/" .. id }
  for _, row in ipairs(options.rows) do
    local value <const> = self.config[row.key]
    if value == true then
      list[#list + 1] = "--" .. row.name
    elseif value then
      table.move({ "--" .. row.name, tostring(value) }, 1, 2, #list + 1, list)
    end
  end
  return list
end

--- Makes a world whose nodes do not run yet.
-- @tparam table spec nodes (how many), seed, config, directory (for their files)
-- @return the world
function M.open(spec)
  local host <const> = cluster.own_host()
  local self = real.open(World, spec, {
    name = "child", host = host, first_port = FIRST_PORT, poll_ms = POLL_MS, missing = MISSING,
  })
  self.sockets = files.make_temporary "admin" -- a directory whose path is short enough for a socket in it
  self.admins = {}    -- id -> kvserver.admin_client
  self.serves = {}    -- id -> true, from its first moment of use on
  self.paused = {}    -- id -> true
  self.log_start = {} -- id -> where its last start begins in its log
  self.cluster = cluster.start {
    size = spec.nodes, host = host, first_port = FIRST_PORT, data = not self.config.memory and self.directory or nil,
    options = function(id) return flags_of(self, id) end, logs = self.directory, idle = true,
  }
  return self
end

-- ---- its log ----

local function read_log(self, id, from)
  local file <close> = io.open(self.cluster:log_path(id), "rb")
  if not file then return "" end
  file:seek("set", from)
  return file:read "a"
end

--- The log of a node over all of its starts.
function World:log(id)
  return read_log(self, id, 0)
end

local function log_bytes(self, id)
  local status <const> = uv.fs_stat(self.cluster:log_path(id))
  return status and status.size or 0
end

-- The last lines that it wrote since its start. What kvserver says of its own end stands in the last of them.
local function last_words(self, id)
  local lines = {}
  for line in read_log(self, id, self.log_start[id]):gmatch "[^\n]+" do lines[#lines + 1] = line end
  local own <const> = lines[#lines] and lines[#lines]:match "^kvserver: (.*)"
  return own or table.concat(lines, "\n", math.max(1, #lines - TAIL_LINES + 1))
end

local function how_it_ended(self, id)
  local child <const> = self.cluster.processes[id]
  local status <const> = child.exit_status
  if not child.last_words then child.last_words = last_words(self, id) end
  return ("%s: %s"):format(status.signal ~= 0 and "signal " .. status.signal or "exit code " .. status.code,
    child.last_words)
end

-- ---- its admin socket ----

-- A node that ends meanwhile need not answer; a failed scenario if it should have.
local function ask(self, id, ...)
  local client, why = self.admins[id], nil
  if not client then
    client, why = admin_client.connect(self.sockets .. "/" .. id, ANSWER_MS)
    self.admins[id] = client
  end
  local answer
  if client then answer, why = client:call(...) end
  if client and not client.why_closed then return answer, why end
  local child <const> = self.cluster.processes[id]
  if not self:wait_until(function() return child.exit_status end, END_MS) then
    error({ failed = ("%s does not answer at its admin socket: %s"):format(id, why) }, 0)
  end
  return nil, why
end

function World:tell(id, what, ...)
  local ok, why = ask(self, id, "faults." .. what, ...)
  if not ok and self:state(id) == "up" then error({ failed = ("%s: faults.%s: %s"):format(id, what, why) }, 0) end
end

-- What travelled as base64 is bytes again.
local function from_text(entry)
  for _, name in ipairs { "value", "expected" } do
    local encoded <const> = entry[name .. "_base64"]
    if encoded then entry[name], entry[name .. "_base64"] = types.base64_decode(encoded), nil end
  end
  for _, item in ipairs(entry.entries or {}) do from_text(item) end
  return entry
end

function World:raft_log(id, from, to)
  if self:state(id) ~= "up" then return nil end
  local entries, why = ask(self, id, "raft_log", from, to)
  for _, entry in ipairs(entries or {}) do from_text(entry) end
  return entries, why
end

function World:transfer(id, to)
  if self:state(id) ~= "up" then return nil end
  return ask(self, id, "transfer", to)
end

-- ---- nodes ----

function World:launch(id)
  self.log_start[id] = log_bytes(self, id)
  self.cluster:spawn(id)
  local child <const> = self.cluster.processes[id]
  local function is_decided() return child.exit_status or child.stdout:find(READY, 1, true) end
  self:wait_until(is_decided, START_MS)
  if child.stdout:find(READY, 1, true) then
    self.serves[id] = true
    return true
  end
  local why <const> = child.exit_status and how_it_ended(self, id)
    or ("it does not serve within %d ms"):format(START_MS)
  self:destroy(id, {})
  return false, why
end

--- "up", "paused", "down", or "dead" (it ended by itself) and why.
function World:state(id)
  if not self.serves[id] then return "down" end
  if self.cluster.processes[id].exit_status then return "dead", how_it_ended(self, id) end
  return self.paused[id] and "paused" or "up"
end

local function forget(self, id)
  if self.admins[id] then self.admins[id]:close() end
  self.cluster.processes[id], self.admins[id], self.serves[id], self.paused[id] = nil, nil, nil, nil
end

function World:halt(id)
  local child <const> = self.cluster.processes[id]
  self.serves[id] = nil -- from here on its end is no surprise
  child:kill "sigterm"
  local ended <const> = child:wait(END_MS)
  if not ended then
    self:destroy(id, {})
    error({ failed = ("%s does not stop within %d ms"):format(id, END_MS) }, 0)
  end
  if ended.code == 0 and ended.signal == 0 then return forget(self, id) end
  self.serves[id] = true -- it failed instead: it is dead
end

-- It undoes what is not synced, and kills itself.
local function lose_power(self, id)
  local child <const> = self.cluster.processes[id]
  if self.paused[id] then self:resume(id) end
  self.serves[id] = nil
  local _, why = ask(self, id, "faults.lose_and_die")
  if not child.exit_status then error({ failed = ("%s cannot lose its power: %s"):format(id, why) }, 0) end
end

function World:destroy(id, how)
  local child <const> = self.cluster.processes[id]
  if not child then return end
  if how.lose_unsynced and not child.exit_status then lose_power(self, id) end
  self.serves[id] = nil
  child:kill()
  assert(child:wait(END_MS), id .. " does not end")
  forget(self, id)
end

function World:pause(id)
  if self:state(id) ~= "up" then return end
  self.cluster:pause(id)
  self.paused[id] = true
end

function World:resume(id)
  if self:state(id) ~= "paused" then return end
  self.cluster:resume(id)
  self.paused[id] = nil
  self:pass_on_queued(id)
end

-- ---- the end ----

function World:close()
  self:close_shared()
  for _, child in pairs(self.cluster.processes) do child:kill() end -- all at once
  for id, child in pairs(self.cluster.processes) do
    child:destroy()
    forget(self, id)
  end
  files.remove_tree(self.sockets)
  self:remove_temporary()
end

World.__close = World.close

return M
