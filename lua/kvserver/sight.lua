--- What is worth seeing in a scenario with many seeds: conditions for kv.sometimes.
--
--     local sight = require "kvserver.sight"
--     local seen = sight.watch(c)
--     kv.sometimes("a snapshot is installed", seen.snapshot_installed)
--
-- All of it is told from what nodes say of themselves, looked at now and then: what begins and ends between two looks
-- is not seen.
local M = {}

local LOOK_MS <const> = 30 -- between two looks, at least

-- ---- one look ----

-- A node's log now begins behind where it ended: a snapshot took its place.
local function look_installed(self, id, status)
  local last <const> = self.last[id]
  if last and status.first_index > last.last_index + 1 then self.seen.snapshot_installed = true end
end

-- What was its last entry is gone, or is another one, in the same life.
local function look_truncated(self, id, status)
  local last <const> = self.last[id]
  if self.seen.log_truncated or not last or last.starts ~= status.starts then return end
  local index <const> = last.last_index
  if status.last_index < index then
    self.seen.log_truncated = true
  elseif status.last_term ~= last.last_term and index >= status.first_index then
    local entries <const> = self.cluster:node(id):raft_log(index, index)
    local entry <const> = entries and entries[1]
    self.seen.log_truncated = entry ~= nil and entry.term ~= last.last_term
  end
end

local function look_leaders(self, all)
  local leader, count
  count = 0
  for _, status in pairs(all) do
    if status.role == "leader" then
      count = count + 1
      if not leader or status.term > leader.term then leader = status end
    end
  end
  if count > 1 then self.seen.two_leaders = true end
  return leader
end

-- Somebody lacked more than the leader's log had, when another leader came.
local function look_behind(self, all, leader)
  if not leader then return end
  if self.behind_in_term and leader.term > self.behind_in_term then self.seen.election_while_one_is_behind = true end
  self.behind_in_term = nil
  for _, status in pairs(all) do
    if status.last_index + 1 < leader.first_index then self.behind_in_term = leader.term end
  end
end

local function look(self)
  local now <const> = self.cluster.world:now()
  if self.looked and now < self.looked + LOOK_MS then return end
  self.looked = now
  local all <const> = self.cluster:status()
  for id, status in pairs(all) do
    look_installed(self, id, status)
    look_truncated(self, id, status)
    self.last[id] = status
  end
  look_behind(self, all, look_leaders(self, all))
end

-- ---- for scenarios ----

--- Looks at a cluster from now on.
-- @verb sight.watch(c)
-- @tparam table cluster
-- @treturn table conditions, each true once it was seen: snapshot_installed (a node got one in place of its log),
-- log_truncated (a node gave up entries of its log for others), two_leaders (at a time, in different terms),
-- election_while_one_is_behind (another leader came while a node needed a snapshot)
function M.watch(cluster)
  local self = { cluster = cluster, last = {}, seen = {} }
  local conditions = {}
  for _, name in ipairs { "snapshot_installed", "log_truncated", "two_leaders", "election_while_one_is_behind" } do
    conditions[name] = function()
      look(self)
      return self.seen[name] == true
    end
  end
  return conditions
end

--- Whether some operation of a history was asked more than once.
-- @verb sight.retried(history)
-- @treturn boolean
function M.retried(history)
  for _, op in ipairs(history) do
    if op.attempts and #op.attempts > 1 then return true end
  end
  return false
end

--- What was told of the asynchronous writes of a history that a node has taken.
-- @verb sight.told(history)
-- @treturn table ok, fail, unknown: whether that was the outcome of one
function M.told(history)
  local told = { ok = false, fail = false, unknown = false }
  for _, op in ipairs(history) do
    if op.op_id then told[op.outcome] = true end
  end
  return told
end

return M
