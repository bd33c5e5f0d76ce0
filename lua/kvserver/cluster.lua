--- A cluster of kvserver processes on this machine, each a child of this one.
--
--     local cluster = require "kvserver.cluster"
--     local c <close> = cluster.start { size = 3 }
--     local leader = c:wait_leader()              --> "n1", "n2" or "n3"
--     local client <close> = c:client(leader, { client_id = "me" })
--     client:put("greeting", "hello")
--     c:kill(leader)
--     c:wait_leader()
--     c:restart(leader)
local client = require "kvserver.client"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local START_MS <const> = 20000
local LEADER_MS <const> = 20000
local STATUS_MS <const> = 1000
local STOP_MS <const> = 5000
local FIRST_PORT <const> = 7001
local DIRECTORY_MODE <const> = 448 -- 0700

local Cluster = {}
Cluster.__index = Cluster

local clusters_count = 0

--- A loopback address that no other cluster on this machine uses: made of a count and of the process id. Ports on it
-- can be fixed, where one that was free a moment ago may be taken by the time it is bound.
-- @treturn string
function M.own_host()
  clusters_count = clusters_count + 1
  local pid = uv.os_getpid()
  return ("127.%d.%d.%d"):format(64 + clusters_count % 128, pid // 250 % 256, 1 + pid % 250)
end

local function arguments(self, id)
  local peers = {}
  for _, member in ipairs(self.ids) do peers[#peers + 1] = member .. "=" .. self.addresses[member] end
  local list = { process.self(), "--id", id, "--peers", table.concat(peers, ",") }
  if self.data then table.move({ "--data", self.data .. "/" .. id }, 1, 2, #list + 1, list) end
  local options <const> = type(self.options) == "function" and self.options(id) or self.options
  return table.move(options, 1, #options, #list + 1, list)
end

local function name_members(self, spec)
  local host <const> = spec.host or M.own_host()
  for i = 1, spec.size or 3 do
    local id = "n" .. i
    self.ids[i] = id
    self.addresses[id] = ("%s:%d"):format(host, (spec.first_port or FIRST_PORT) + i - 1)
  end
end

local function make_directory(path)
  local made, why, code = uv.fs_mkdir(path, DIRECTORY_MODE)
  if not made and code ~= "EEXIST" then error(why, 0) end
end

--- Starts all members and waits until they serve.
-- @tparam[opt] table spec size (3), host (an own one), first_port (7001), data (a directory, made when its parent is
-- there, in which each member has one of its own; else they keep everything in memory), options (arguments for all of
-- them, or a function that returns a member's, asked at each start; `--memory` without `data`), env (a function that
-- returns what a member has in its environment beside this program's), show_log (their logs go to this program's
-- stderr), logs (a directory: a member's log is appended to ID.log there), idle (true: starts none)
-- @return the cluster; use it as a `<close>` variable. Its fields: `ids` ({"n1", ...}), `addresses` (id -> HOST:PORT),
-- `processes` (id -> handle of kvserver.process, nil when it was stopped or killed)
function M.start(spec)
  spec = spec or {}
  local self = setmetatable({
    ids = {}, addresses = {}, processes = {}, clients = {}, data = spec.data, env = spec.env,
    options = spec.options or { not spec.data and "--memory" or nil }, stderr = spec.show_log and "inherit" or nil,
    logs = spec.logs,
  }, Cluster)
  name_members(self, spec)
  if self.data then make_directory(self.data) end
  if spec.idle then return self end
  local ok, why = pcall(function()
    for _, id in ipairs(self.ids) do self:spawn(id) end
    for _, id in ipairs(self.ids) do self:wait_ready(id) end
  end)
  if not ok then
    self:close()
    error(why, 0)
  end
  return self
end

--- How a member is started by hand.
-- @tparam string id
-- @treturn string a command line
function Cluster:command(id)
  return table.concat(arguments(self, id), " ")
end

--- Where a member's log goes, with `logs`.
-- @tparam string id
-- @treturn string a path
function Cluster:log_path(id)
  return self.logs .. "/" .. id .. ".log"
end

--- Starts a member without waiting for it.
-- @tparam string id
function Cluster:spawn(id)
  assert(not self.processes[id], id .. " runs already")
  self.processes[id] = process.spawn {
    args = arguments(self, id), env = self.env and self.env(id), detached = true,
    stderr = self.logs and { path = self:log_path(id) } or self.stderr,
  }
end

--- Waits until a member that was started serves.
-- @tparam string id
function Cluster:wait_ready(id)
  self.processes[id]:wait_line("ready on http://", START_MS)
end

--- Starts a member again and waits until it serves.
-- @tparam string id
function Cluster:restart(id)
  self:spawn(id)
  self:wait_ready(id)
end

--- Ends a member at once (SIGKILL).
-- @tparam string id
function Cluster:kill(id)
  local child = self.processes[id]
  self.processes[id] = nil
  child:kill()
  assert(child:wait(STOP_MS))
end

--- Removes what a member that does not run has in its data directory: it has lost its disk.
-- @tparam string id
function Cluster:wipe(id)
  assert(not self.processes[id], id .. " runs")
  local ended = process.run { args = { "rm", "-rf", "--", self.data .. "/" .. id } }
  assert(ended.code == 0, ended.stderr)
end

--- Stops members cleanly, all at once.
-- @param ... their ids
-- @return how each ended, as of kvserver.process
function Cluster:stop(...)
  local children, results = {}, {}
  for i, id in ipairs { ... } do
    children[i] = self.processes[id]
    self.processes[id] = nil
    children[i]:kill("sigterm")
  end
  for i, child in ipairs(children) do results[i] = assert(child:wait(STOP_MS)) end
  return table.unpack(results)
end

--- Stops the time of a member (SIGSTOP), until resume.
-- @tparam string id
function Cluster:pause(id)
  self.processes[id]:kill("sigstop")
end

--- Lets a paused member go on.
-- @tparam string id
function Cluster:resume(id)
  self.processes[id]:kill("sigcont")
end

--- A client of one member.
-- @tparam string id
-- @tparam[opt] table options as of kvserver.client
function Cluster:client(id, options)
  return client.connect("http://" .. self.addresses[id], options)
end

--- What a member says of itself.
-- @tparam string id
-- @treturn ?table the body of GET /status; nil when it does not answer
function Cluster:status(id)
  local c = self.clients[id]
  if not c then
    c = self:client(id, { timeout_ms = STATUS_MS })
    self.clients[id] = c
  end
  return (c:status())
end

--- The member that leads, as it and a majority of all say, in one term.
-- @treturn ?string its id
-- @treturn ?integer its term
function Cluster:leader()
  local votes, leads = {}, {}
  for _, id in ipairs(self.ids) do
    local status = self.processes[id] and self:status(id)
    if status then
      local key = status.leader_hint.leader_id .. " " .. status.term
      votes[key] = (votes[key] or 0) + 1
      if status.role == "leader" then leads[key] = { id, status.term } end
    end
  end
  for key, found in pairs(leads) do
    if votes[key] > #self.ids // 2 then return table.unpack(found) end
  end
  return nil
end

--- Waits for a leader.
-- @tparam[opt] integer timeout_ms
-- @treturn string its id
-- @treturn integer its term
function Cluster:wait_leader(timeout_ms)
  local id, term
  local function known()
    id, term = self:leader()
    return id
  end
  assert(task.wait_until(known, timeout_ms or LEADER_MS), "no leader in time")
  return id, term
end

--- Ends all members.
function Cluster:close()
  for _, c in pairs(self.clients) do c:close() end
  for id, child in pairs(self.processes) do
    self.processes[id] = nil
    child:kill()
  end
end

Cluster.__close = Cluster.close

return M
