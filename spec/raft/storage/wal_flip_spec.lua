local wal = require "kvserver.wal"
local wal_bytes = require "spec.raft.storage.wal_bytes"
local wal_world = require "spec.raft.storage.wal_world"

describe("a byte of a write-ahead log that flips", function()
  -- Two segments, a spare, and a spare that is half made: all files that there can be.
  local function small()
    local world = wal_world.new()
    repeat wal_bytes.jobs(world, 5) until #wal.scan(world.disk).segments == 2
    wal_bytes.jobs(world, 3)
    return world
  end

  -- Every byte of every file, one bit each.
  local function flip_all(world, models)
    local counts = { refused = 0, bytes = 0 }
    for _, name in ipairs(world.disk:list("wal")) do
      local file <const> = "wal/" .. name
      for offset = 0, #wal_bytes.read(world.disk, file) - 1 do
        local copy <close> = world.disk:clone()
        assert.is_true(copy:flip(file, offset, offset * 5 % 8))
        local found = wal_bytes.outcome(copy, nil, models, ("%s, byte %d"):format(file, offset)) or "refused"
        counts[found] = (counts[found] or 0) + 1
        counts.bytes = counts.bytes + 1
      end
    end
    return counts
  end

  it("is refused, or costs the last batch at most, and never gives a wrong value", function()
    local world <close> = small()
    world:kill()
    world.disk:open("wal/filling-99.tmp", "create"):close()
    wal_bytes.overwrite(world.disk, "wal/filling-99.tmp", 0, ("z"):rep(100))
    local states, batches = world.states, wal.scan(world.disk).batches
    local counts = flip_all(world, { states[#states], states[#states - 1] })
    assert.is_true(counts.bytes >= 3 * 4096)
    assert.is_true(counts.refused > 4096)
    -- The last batch, all of it, is taken for a torn one. Its padding may flip unseen.
    assert.equal(wal_bytes.BATCH_HEAD_BYTES + batches[#batches].bytes, counts[2])
  end)

  it("costs nothing behind a seal: damage in the last batch of records is refused, too", function()
    local world <close> = small()
    local states = world.states
    assert.is_true(world.w:seal())
    world.w = nil
    assert.equal("sealed", wal.scan(world.disk).verdict)
    local counts = flip_all(world, { states[#states] })
    assert.is_true(counts.bytes >= 3 * 4096)
    assert.is_true(counts.refused > 4096)
  end)
end)
