--- The world of processes, as users run them: each node is a kvserver that this script started.
--
-- What every world has is described in kvserver.world.
local admin_client = require "kvserver.admin_client"
local cluster = require "kvserver.cluster"
local files = require "kvserver.files"
local options = require "kvserver.options"
local real = require "kvserver.world.real"
local types = require "kvserver.types"

local M = {}

local World = setmetatable({}, { __index = real.World })
World.__index = World

local FIRST_PORT <const> = 7001
local POLL_MS <const> = 10
local START_MS <const> = 30000
local END_MS <const> = 10000
local ANSWER_MS <const> = 5000
local TAIL_BYTES <const> = 4096
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
  self.paused = {}    -- id -> true
  self.log_start = {} -- id -> where its last start begins in its log
  self.cluster = cluster.start {
    size = spec.nodes, host = host, first_port = FIRST_PORT, data = not self.config.memory and self.directory or nil,
    options = function(id) return flags_of(self, id) end, logs = self.directory, idle = true,
  }
  return self
end

-- ---- its log ----

--- The log of a node over all of its starts.
function World:log(id)
  local file <close> = io.open(self.cluster:log_path(id), "rb")
  return file and file:read "a" or ""
end

-- The last lines that it wrote since its start. What kvserver says of its own end stands in the last of them.
local function last_words(self, id)
  local text <const> = self:log(id):sub(self.log_start[id] + 1):sub(-TAIL_BYTES)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local own <const> = lines[#lines] and lines[#lines]:match "^kvserver: (.*)"
  return own or table.concat(lines, "\n", math.max(1, #lines - TAIL_LINES + 1))
end

local function how_it_ended(self, id, status)
  local how <const> = status.signal ~= 0 and "signal " .. status.signal or "exit code " .. status.code
  return ("%s: %s"):format(how, last_words(self, id))
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
  if not self:wait_until(function() return self:state(id) == "dead" end, END_MS) then
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
  self.log_start[id] = #self:log(id)
  self.cluster:spawn(id)
  local child <const> = self.cluster.processes[id]
  self:wait_until(function() return child.exit_status or child.stdout:find "ready on http://" end, START_MS)
  if child.stdout:find "ready on http://" then return true end
  local why <const> = child.exit_status and how_it_ended(self, id, child.exit_status)
    or ("it does not serve within %d ms"):format(START_MS)
  self:destroy(id, {})
  return false, why
end

--- "up", "paused", "down", or "dead" (it ended by itself) and why.
function World:state(id)
  local child <const> = self.cluster.processes[id]
  if not child then return "down" end
  if child.exit_status then return "dead", how_it_ended(self, id, child.exit_status) end
  return self.paused[id] and "paused" or "up"
end

local function forget(self, id)
  if self.admins[id] then self.admins[id]:close() end
  self.cluster.processes[id], self.paused[id], self.admins[id] = nil, nil, nil
end

function World:halt(id)
  local child <const> = self.cluster.processes[id]
  child:kill "sigterm"
  local ended <const> = child:wait(END_MS)
  if not ended then
    self:destroy(id, {})
    error({ failed = ("%s does not stop within %d ms"):format(id, END_MS) }, 0)
  end
  -- One that failed instead of stopping stays, as one that is dead.
  if ended.code == 0 and ended.signal == 0 then forget(self, id) end
end

-- Its power goes: it undoes what is not synced, and kills itself.
local function lose_power(self, id)
  if self:state(id) == "paused" then self:resume(id) end
  if self:state(id) ~= "up" then return end
  local _, why = ask(self, id, "faults.lose_and_die")
  if self:state(id) == "up" then error({ failed = ("%s cannot lose its power: %s"):format(id, why) }, 0) end
end

function World:destroy(id, how)
  local child <const> = self.cluster.processes[id]
  if not child then return end
  if how.lose_unsynced then lose_power(self, id) end
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
  if not self:close_shared() then return end
  for _, child in pairs(self.cluster.processes) do child:kill() end
  for _, id in ipairs(self.ids) do self:destroy(id, {}) end
  self.cluster:close()
  files.remove_tree(self.sockets)
  self:remove_temporary()
end

World.__close = World.close

return M
