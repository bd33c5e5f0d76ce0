local wal = require "kvserver.wal"
local wal_bytes = require "spec.raft.storage.wal_bytes"
local wal_world = require "spec.raft.storage.wal_world"

local LAST_RECORDS_BYTES <const> = 4096
local TAIL_SEGMENT_BYTES <const> = 16384

describe("the last 4 KiB of a write-ahead log's records", function()
  local options <const> = { segment_bytes = TAIL_SEGMENT_BYTES, cache_bytes = 4096, seed = 1 }
  local world, batches, states, last_file, text, ends

  setup(function()
    world = wal_world.new(options)
    repeat wal_bytes.jobs(world, 5) until #wal.scan(world.disk).segments == 2
    repeat
      wal_bytes.jobs(world, 5)
      local report = wal.scan(world.disk)
      batches, last_file = report.batches, report.heads[#report.heads].file
      local last = batches[#batches]
      ends = last.offset + wal_bytes.BATCH_HEAD_BYTES + last.bytes
    until ends > 512 + LAST_RECORDS_BYTES + 500
    world:kill()
    states = { [0] = wal_world.model(), table.unpack(world.states) }
    assert.equal(#states, #batches)
    assert.equal(2, #wal.scan(world.disk).segments)
    text = wal_bytes.read(world.disk, last_file)
  end)
  teardown(function() world.disk:close() end)

  -- How many batches are left whole when `from` and what is behind it are gone, as the file reads then.
  local function whole_until(from, as_read)
    local count = #batches
    while batches[count].sequence == batches[#batches].sequence do
      local start = batches[count].offset
      local stop = start + wal_bytes.BATCH_HEAD_BYTES + batches[count].bytes
      if stop <= from or as_read and as_read:sub(start + 1, stop) == text:sub(start + 1, stop) then return count end
      count = count - 1
    end
    return count
  end

  it("may be cut at every byte: it starts, and nothing is missing but what was cut", function()
    local seen = {}
    for size = ends - LAST_RECORDS_BYTES, ends do
      local copy <close> = world.disk:clone()
      assert.is_true(copy:cut(last_file, size))
      local count = whole_until(size)
      assert.equal(1, wal_bytes.outcome(copy, options, { states[count] }, ("cut at %d"):format(size)))
      seen[count] = true
    end
    assert.is_true(seen[#states] and seen[#states - 10])
  end)

  it("may be zeros from every byte on: it starts, and nothing is missing but what became zeros", function()
    local zeros <const> = ("\0"):rep(TAIL_SEGMENT_BYTES)
    local seen = {}
    for from = ends - LAST_RECORDS_BYTES, ends do
      local copy <close> = world.disk:clone()
      wal_bytes.overwrite(copy, last_file, from, zeros:sub(from + 1))
      local count = whole_until(from, text:sub(1, from) .. zeros:sub(from + 1))
      assert.equal(1, wal_bytes.outcome(copy, options, { states[count] }, ("zeros from %d"):format(from)))
      seen[count] = true
    end
    assert.is_true(seen[#states] and seen[#states - 10])
  end)
end)
