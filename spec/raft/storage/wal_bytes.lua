--- What specs of damage by hand share: every byte of a log's files is looked at.
local assert = require "luassert"
local wal_world = require "spec.raft.storage.wal_world"

local M = {}

--- Bytes of a batch before its payload.
M.BATCH_HEAD_BYTES = 24

--- The whole of a file.
function M.read(on, name)
  local file <close> = on:open(name, "read")
  return file:read(0, file:size())
end

--- Writes over what a file has.
function M.overwrite(on, name, offset, bytes)
  local file <close> = on:open(name, "write")
  assert.is_true(file:write(offset, bytes))
end

--- What a log opens as.
-- @param on disk
-- @param options of the log, or nil
-- @tparam table models
-- @tparam string where for the message when it is none of them
-- @treturn ?integer the place of the model that it is; nil when it is refused
function M.outcome(on, options, models, where)
  local w <close>, status, message = wal_world.open(on, options)
  if not w then
    assert.equal("corrupt", status, where)
    assert.matches("^wal/%S+ at offset %d+: .+: restore the data directory", message)
    return nil
  end
  for place, model in ipairs(models) do
    if wal_world.same(w, model) then return place end
  end
  error(where .. ": a log that never was")
end

--- A number of jobs of every kind: long and short entries, empty ones, votes, cuts.
function M.jobs(world, count)
  for round = world.number + 1, world.number + count do
    local term = round // 4 + 1
    world:append { term = term, commands = { ("%d"):format(round % 10):rep(7 * round % 300), "", "x" } }
    if round % 3 == 0 then world:save { term = term, voted_for = round % 5 + 1, proven = round % 2 == 0 } end
    if round % 7 == 0 then world:delete_from(world.now.last) end
    world:sync()
    world:settle()
  end
end

return M
