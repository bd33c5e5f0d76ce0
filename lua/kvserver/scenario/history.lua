--- What the clients of a cluster did and saw: one list for all of them, for the checks.
--
-- An operation: `id` (its place), `client`, `kind` (get, put, cas, delete), `key`, `value` (what it wrote), `expected`
-- (of a cas), `saw` (of a get: the value or nil; of a cas or delete: whether it was done), `outcome` ("ok": it was
-- answered; "fail": it was never done; "unknown"), `called` and `returned` (milliseconds of the scenario's clock),
-- `node` (that gave the answer), `attempts` ({{node=, at=, answer=}, ...}), `seq`, `op_id` (of an asynchronous
-- write that was taken: unknown until its outcome was told), `batch` (the number of an mput or mget, whose keys are an
-- operation each).
local M = {}

local History = {}
History.__index = History

function M.new(cluster)
  return setmetatable({ cluster = cluster, count = 0, batches = 0 }, History)
end

--- Adds an operation that begins now; the caller fills in the rest when it ends.
-- @tparam table op client, kind, key, value, expected
-- @treturn table op
function History:begin(op)
  self.count = self.count + 1
  op.id, op.outcome, op.called = self.count, "unknown", self.cluster.world:now()
  self[self.count] = op
  return op
end

--- @treturn integer a number for operations that travel together
function History:batch()
  self.batches = self.batches + 1
  return self.batches
end

--- The longest time without an answer, between two of them.
-- @tparam table list operations, as those of a history
-- @tparam[opt] string kind only of these operations
-- @treturn ?number milliseconds; nil when hardly anything was answered
-- @treturn ?number when it began
function M.longest_gap(list, kind)
  local moments = {}
  for _, op in ipairs(list) do
    if op.outcome == "ok" and (not kind or op.kind == kind) then moments[#moments + 1] = op.returned end
  end
  table.sort(moments)
  local longest, at
  for i = 2, #moments do
    local gap <const> = moments[i] - moments[i - 1]
    if gap > (longest or -1) then longest, at = gap, moments[i - 1] end
  end
  return longest, at
end

--- How many ended how.
-- @treturn table ok, fail, unknown, and kind -> how many
function History:counts()
  local counts = { ok = 0, fail = 0, unknown = 0 }
  for _, op in ipairs(self) do
    counts[op.outcome] = counts[op.outcome] + 1
    counts[op.kind] = (counts[op.kind] or 0) + 1
  end
  return counts
end

return M
