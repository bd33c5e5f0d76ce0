local disk = require "kvserver.disk"
local wal = require "kvserver.wal"
local wal_world = require "spec.raft.storage.wal_world"

local function segment(sequence) return ("wal/%016x.wal"):format(sequence) end

-- A small log in three segments, of which the last one has some batches. Commands are never zeros.
local function small()
  local world = wal_world.new()
  for round = 1, 9 do
    if round % 3 == 1 then world:save { term = round, voted_for = round } end
    world:append { term = round, commands = { ("%d"):format(round):rep(round == 4 and 1800 or 700 - 20 * round), "x" } }
    world:sync()
    world:settle()
  end
  world:kill()
  return world
end

-- The state after each batch of the log, [0] before the first; batches are jobs.
local function states_of(world)
  local states = { [0] = wal_world.model() }
  for place, state in ipairs(world.states) do states[place] = state end
  return states
end

local function opens_as(on, model)
  local w <close> = assert(wal_world.open(on))
  return wal_world.same(w, model)
end

local function overwrite(on, name, offset, bytes)
  local file <close> = on:open(name, "write")
  assert.is_true(file:write(offset, bytes))
end

local function read(on, name, offset, len)
  local file <close> = on:open(name, "read")
  return file:read(offset, len)
end

describe("the last segment of a write-ahead log", function()
  local world, batches, states

  before_each(function()
    world = small()
    local report = wal.scan(world.disk)
    batches, states = report.batches, states_of(world)
    assert.equal(#states, #batches)
    assert.equal(3, #report.segments)
  end)
  after_each(function() world.disk:close() end)

  it("is refused when its head is cut", function()
    for size = 0, 511, 73 do
      local copy <close> = world.disk:clone()
      assert.is_true(copy:cut(segment(3), size))
      local w, status, message = wal_world.open(copy)
      assert.same({ nil, "corrupt" }, { w, status })
      assert.matches("^wal/0000000000000003%.wal at offset 0: its head is damaged", message)
    end
  end)

  it("says of a torn batch where it is and how long", function()
    local last = batches[#batches]
    overwrite(world.disk, segment(3), last.offset + 30, "?")
    local report = wal.scan(world.disk)
    assert.equal("torn", report.verdict)
    assert.same({ segment(3), last.offset }, { report.file, report.offset })
    assert.equal((24 + last.bytes + 7) // 8 * 8, report.cut_bytes)
  end)

  it("is refused when a batch is invalid and one behind it is valid, with the offset of the first", function()
    local damaged = batches[#batches - 1]
    overwrite(world.disk, segment(3), damaged.offset + 30, "?")
    local w, status, message = wal_world.open(world.disk)
    assert.same({ nil, "corrupt" }, { w, status })
    assert.matches(("^wal/0000000000000003%%.wal at offset %d: a batch is damaged"):format(damaged.offset), message)
  end)

  it("gives a cut batch back to nobody, even when its bytes come back", function()
    local last = batches[#batches]
    local whole = read(world.disk, segment(3), last.offset, 24 + last.bytes)
    overwrite(world.disk, segment(3), last.offset + 30, "?")
    assert.is_true(opens_as(world.disk, states[#states - 1]))
    overwrite(world.disk, segment(3), last.offset, whole)
    assert.is_true(opens_as(world.disk, states[#states - 1]))
  end)

  it("is read twice with the same result", function()
    overwrite(world.disk, segment(3), batches[#batches].offset + 30, "?")
    for _ = 1, 5 do assert.is_true(opens_as(world.disk, states[#states - 1])) end
    assert.is_true(#wal.scan(world.disk).segments > 3)
  end)
end)

describe("a write-ahead log's directory", function()
  local world

  before_each(function() world = small() end)
  after_each(function() world.disk:close() end)

  local function refusal()
    local w, status, message = wal_world.open(world.disk)
    assert.same({ nil, "corrupt" }, { w, status })
    return message
  end

  it("is refused when a segment is missing in between", function()
    world.disk:remove(segment(2))
    assert.matches("^wal/0000000000000002%.wal at offset 0: the segment is missing", refusal())
  end)

  it("is refused when the first segment is missing, unless a snapshot covers it", function()
    world.disk:remove(segment(1))
    assert.matches("^wal/0000000000000002%.wal at offset 0: the log starts behind what its snapshot covers", refusal())
  end)

  it("is refused when segments change places", function()
    world.disk:rename(segment(2), "wal/spare-99.wal")
    world.disk:rename(segment(1), segment(2))
    world.disk:rename("wal/spare-99.wal", segment(1))
    assert.matches("^wal/0000000000000001%.wal at offset 0: its head is of another segment", refusal())
  end)

  it("is refused when a segment of another log takes the place of one", function()
    local other = small()
    other.disk:close()
    other = wal_world.new { seed = 77 }
    for round = 1, 7 do
      other:append { term = round, commands = { ("y"):rep(round == 4 and 1800 or 500) } }
      other:sync()
      other:settle()
    end
    other:kill()
    local bytes = read(other.disk, segment(2), 0, 4096)
    other.disk:close()
    overwrite(world.disk, segment(2), 0, bytes)
    assert.matches("^wal/000000000000000[12]%.wal at offset %d+: ", refusal())
  end)

  it("is refused with a file of somebody else in it", function()
    for _, name in ipairs { "wal/notes.txt", "wal/1.wal", "wal/spare-01.wal", "wal/000000000000000A.wal" } do
      world.disk:open(name, "create"):close()
      assert.matches("a file of somebody else", refusal())
      assert.matches(("^%s at offset 0"):format((name:gsub("%p", "%%%0"))), refusal())
      world.disk:remove(name)
    end
  end)

  it("loses the spares that are half made or too small, and nothing else", function()
    local file <close> = world.disk:open("wal/filling-7.tmp", "create")
    file:write(0, "abc")
    local short <close> = world.disk:open("wal/spare-8.wal", "create")
    short:write(0, "abc")
    assert.is_true(opens_as(world.disk, world.now))
    local report = wal.scan(world.disk)
    assert.same({}, report.fillings)
    for _, number in ipairs(report.spares) do assert.not_equal(8, number) end
  end)
end)

describe("a segment's earlier life", function()
  it("never replays, though the log draws the same numbers at every start", function()
    local world <close> = wal_world.new()
    local lives, renamed = {}, 0
    for round = 1, 40 do
      world:append { term = 1, commands = { ("r%d"):format(round):rep(200), ("s"):rep(800) } }
      world:sync()
      world:settle()
      world:record_snapshot(world.now.last)
      world:sync()
      world:settle()
      world:truncate_prefix(world.now.last)
      world:settle()
      if round % 3 == 0 then
        world:kill()
        assert.is_true(world:open())
        assert.is_true(world:adopt())
      end
      for _, head in ipairs(wal.scan(world.disk).heads) do
        assert.is_true(lives[head.life] == nil or lives[head.life] == head.sequence)
        lives[head.life] = head.sequence
      end
      renamed = world.disk:calls("rename")
    end
    assert.is_true(renamed > 30)
    assert.is_true(world.w:first_index() > 70)
  end)

  it("is a batch of the same place and length, and still none of this one", function()
    local world <close> = wal_world.new()
    world:append { term = 1, commands = { ("old"):rep(300) } }
    world:sync()
    world:settle()
    world:kill()
    -- The old batch, behind a head of another life that ends just before it.
    local old = read(world.disk, segment(1), 512, 3584)
    local other = wal_world.new { seed = 5 }
    other:kill()
    local head = read(other.disk, segment(1), 0, 512)
    other.disk:close()
    overwrite(world.disk, segment(1), 0, head .. old)
    assert.is_true(opens_as(world.disk, wal_world.model()))
  end)
end)

describe("a batch that stands where another one should", function()
  it("is damage, however valid it is by itself", function()
    local world <close> = wal_world.new()
    for vote = 1, 2 do
      world:save { term = 1, voted_for = vote }
      world:sync()
      world:step()
    end
    world:kill()
    local batches = wal.scan(world.disk).batches
    assert.equal(batches[1].bytes, batches[2].bytes)
    overwrite(world.disk, segment(1), batches[2].offset, read(world.disk, segment(1), batches[1].offset, 40))
    local w, status, message = wal_world.open(world.disk)
    assert.same({ nil, "corrupt" }, { w, status })
    assert.matches(("at offset %d: a batch is damaged"):format(batches[2].offset), message)
  end)

  it("is damage in place of the one before, too", function()
    local world <close> = wal_world.new()
    for vote = 1, 3 do
      world:save { term = 1, voted_for = vote }
      world:sync()
      world:step()
    end
    world:kill()
    local batches = wal.scan(world.disk).batches
    overwrite(world.disk, segment(1), batches[2].offset, read(world.disk, segment(1), batches[1].offset, 40))
    local w, status = wal_world.open(world.disk)
    assert.same({ nil, "corrupt" }, { w, status })
  end)
end)

describe("a hostile segment", function()
  -- XXH3 is not at hand here: batches that lie about their length have a wrong check, too. spec/fuzz goes further.
  it("is not believed how long a batch is", function()
    local world <close> = wal_world.new()
    world:kill()
    local tag = read(world.disk, segment(1), 8, 4) -- low half of its life
    for _, bytes in ipairs { 0xffffffff, 0x7fffffff, 3561, 3560, 0 } do
      local claim = ("<I8I4c4I8"):pack(1, bytes, tag, 2)
      overwrite(world.disk, segment(1), 512, claim)
      local report = wal.scan(world.disk)
      assert.equal("torn", report.verdict)
      assert.is_true(report.cut_bytes <= 3584)
    end
  end)

  it("is not read when it is larger than any segment may be", function()
    local directory = os.tmpname()
    os.remove(directory)
    local real <close> = disk.open(directory, "make")
    real:make_directory("wal")
    do
      local file <close> = real:open(segment(1), "create")
      file:truncate((1 << 30) + 1)
    end
    local report = wal.scan(real)
    real:remove(segment(1))
    os.execute(("rm -r '%s'"):format(directory))
    assert.equal("damaged", report.verdict)
    assert.equal("it is larger than any segment", report.what)
  end)
end)
