--- What the worlds inproc and child share: real time, requests over HTTP, files, and faults that outlive a node.
--
-- Each of the two is this class and, of its own, for a node that is in the state that the verb needs: `launch(id)` ->
-- whether it serves, and why not; `state(id)`; `halt(id)` (a clean stop); `destroy(id, how)`; `tell(id, what, ...)` (a
-- fault, as of kvserver.world.faults); `raft_log`, `transfer`; `close`; and what only it can. What every world has is
-- described in kvserver.world.
local config = require "kvserver.config"
local faults = require "kvserver.world.faults"
local files = require "kvserver.files"
local options = require "kvserver.options"
local requests = require "kvserver.world.requests"
local rot = require "kvserver.world.rot"
local sim = require "kvserver.sim"
local tasks = require "kvserver.world.tasks"

local M = {}

local SEGMENT_BYTES <const> = 4 << 20 -- unless the scenario says: each node fills a spare, and what fails is kept
local READY_MS <const> = 1000 -- for a node to say whether it is
local ROT_SEED <const> = 11 -- beside the world's own, of which clients and nemesis draw
local GIVEN_BY_WORLD <const> = {
  id = true, listen = true, peers = true, data = true, enable_faults = true, admin_socket = true,
}
local NEEDS_DISK <const> = {
  lose_unsynced = true, ["disk.full"] = true, ["disk.slow"] = true, ["disk.fail_fsync"] = true,
  ["disk.torn_next"] = true, ["disk.flip"] = true,
}
local FEATURES <const> = {
  pause = true, wipe = true, http = true, log = true, raft_log = true, transfer = true, ["net.cut"] = true,
  ["net.link"] = true, ["net.drop_next"] = true, ["net.hold"] = true,
}
for feature in pairs(NEEDS_DISK) do FEATURES[feature] = true end

local World = {}
M.World = World

-- ---- making ----

-- The options of all nodes, checked.
local function check_config(given)
  local checked = { segment_bytes = SEGMENT_BYTES }
  for key, value in pairs(given or {}) do
    local row <const> = options.by_key[key]
    if not row or row.flag_only or GIVEN_BY_WORLD[key] then
      error(("config.%s: no option of a node that a scenario can set"):format(tostring(key)), 0)
    end
    local parsed, why = config.check(row, value, "config." .. key)
    if parsed == nil then error(why, 0) end
    checked[key] = parsed
  end
  return checked
end

--- Makes what the worlds share.
-- @tparam table class of the world: its __index is itself, and World behind that
-- @tparam table spec nodes, seed, config, directory (a new one below /tmp if there is none, which goes with the world)
-- @tparam table own name, host (of all nodes), first_port, poll_ms (how often waits look), missing (what this world
-- does not have of FEATURES -> why not)
-- @return the world, no node of which runs
function M.open(class, spec, own)
  local self = setmetatable({
    name = own.name, seed = spec.seed or 1, config = check_config(spec.config), ids = {}, addresses = {}, starts = {},
    missing = own.missing, tasks = tasks.new(own.poll_ms), queued = {},
  }, class)
  for i = 1, spec.nodes do
    local id <const> = "n" .. i
    self.ids[i], self.addresses[id] = id, ("%s:%d"):format(own.host, own.first_port + i - 1)
    self.starts[id], self.queued[id] = 0, {}
  end
  self.directory, self.is_temporary = spec.directory or files.make_temporary "world", not spec.directory
  self.random = sim.prng(self.seed + ROT_SEED)
  self.requests = requests.new(self.addresses)
  self.faults = faults.new(function(...) self:pass_on(...) end)
  return self
end

--- @treturn boolean whether this world has a fault or a view
-- @treturn ?string why not
function World:can(feature)
  local why = self.missing[feature] or not FEATURES[feature] and "no node has it"
  if self.config.memory and NEEDS_DISK[feature] then why = "the nodes have no disk" end
  return not why, why or nil
end

--- Where a node has its files.
-- @tparam string id
-- @treturn string a path
function World:data_of(id)
  return self.directory .. "/" .. id
end

-- ---- time ----

function World:now()
  return self.tasks:now()
end

function World:spawn(f, ...)
  return self.tasks:spawn(f, ...)
end

function World:sleep(ms)
  self.tasks:sleep(ms)
end

function World:wait_until(condition, ms)
  return self.tasks:wait_until(condition, ms)
end

function World:run(f)
  return self.tasks:run(f)
end

--- Ends the main task with an error, once.
function World:fail(why)
  self.tasks:fail(why)
end

-- ---- nodes ----

local function runs(self, id)
  local state <const> = self:state(id)
  return state == "up" or state == "paused"
end

function World:start(id)
  if runs(self, id) then return true end
  if self:state(id) == "dead" then self:destroy(id, {}) end
  self.starts[id] = self.starts[id] + 1
  self.queued[id] = {}
  local ok, why = self:launch(id)
  if not ok then return false, why end
  self.faults:apply(id)
  return true
end

-- A clean stop: nothing that was asked for is lost.
function World:stop(id)
  if self:state(id) == "paused" then self:resume(id) end
  if runs(self, id) then self:halt(id) end
end

function World:kill(id, how)
  self:destroy(id, how)
  if how.lose_unsynced then self.faults:torn(id) end
end

function World:wipe(id)
  files.remove_tree(self:data_of(id))
end

-- What a node is told while it is paused, it hears once it goes on.
function World:pass_on(id, ...)
  local state <const> = self:state(id)
  if state == "up" then
    self:tell(id, ...)
  elseif state == "paused" then
    table.insert(self.queued[id], table.pack(...))
  end
end

function World:pass_on_queued(id)
  local list <const> = self.queued[id]
  self.queued[id] = {}
  for _, what in ipairs(list) do self:tell(id, table.unpack(what, 1, what.n)) end
end

--- As of GET /status, and `starts`: how many times it was started.
function World:status(id)
  if self:state(id) ~= "up" then return nil end
  local starts <const> = self.starts[id]
  local status <const> = self.requests:status(id)
  if status then status.starts = starts end
  return status
end

--- Whether it is fit for work, as `GET /readyz` says.
function World:ready(id)
  if self:state(id) ~= "up" then return false end
  local answer <const> = self:http(id, "GET", "/readyz", { timeout_ms = READY_MS })
  return answer ~= nil and answer.status == 200
end

-- ---- requests ----

function World:operate(id, op, timeout_ms)
  return self.requests:operate(id, op, timeout_ms)
end

function World:http(id, method, path, given)
  return self.requests:http(id, method, path, given)
end

-- ---- faults ----

function World:cut(from, to)
  self.faults:cut(from, to)
end

function World:mend(from, to)
  self.faults:mend(from, to)
end

function World:link(from, to, given)
  self.faults:link(from, to, given)
end

function World:drop_next(from, to, kind)
  self.faults:drop_next(from, to, kind, runs(self, from))
end

function World:hold(from, to, kind)
  if kind then error({ skipped = ("net.hold of one type in %s: nodes hold all or none"):format(self.name) }, 0) end
  self.faults:hold(from, to)
end

function World:release(from, to)
  self.faults:release(from, to)
end

function World:disk(id, state)
  self.faults:disk(id, state)
end

function World:flip(id, pattern)
  if runs(self, id) then return nil end
  return rot.flip(self:data_of(id), pattern, self.random)
end

-- ---- the end ----

--- Ends what the worlds share. Any number of times, as close itself.
function World:close_shared()
  self.tasks:close()
  self.requests:close()
end

--- Behind the end of all nodes.
function World:remove_temporary()
  if self.is_temporary then files.remove_tree(self.directory) end
end

return M
