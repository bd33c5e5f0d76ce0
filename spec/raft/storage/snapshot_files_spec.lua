local disk = require "kvserver.disk"
local snapshots = require "kvserver.snapshots"

local function name_of(index, term) return ("snap/%016x-%016x.snap"):format(index, term) end

-- What the snapshot of an index holds: several sectors, no two alike.
local function content(index)
  local sectors = {}
  for place = 1, 3 + index % 4 do sectors[place] = ("<%d:%d>"):format(index, place):rep(90) end
  return table.concat(sectors)
end

local function put(d, name, bytes)
  local file <close> = assert(d:open(name, "create"))
  assert(file:write(0, bytes))
  assert(file:sync())
end

-- A store over a disk, and the newest snapshot that it said was saved, and those that it was told to save.
local function started(d)
  return { disk = d, store = snapshots.open(d), saved = 0, tried = {} }
end

local function save(world, index)
  world.tried[index] = true
  local ok = world.store:save(index, index // 4 + 1, content(index))
  if ok then world.saved = index end
  return ok
end

-- Everything that a node does with its snapshots, one after the other.
local function workload(world)
  if not world.store then return end
  save(world, 5)
  save(world, 9)
  world.store:remove_before(9)
  local writer = world.store:create()
  if writer then
    writer:write(content(11))
    writer:discard()
  end
  save(world, 12)
  save(world, 12)
  local installed = world.store:create()
  if installed then
    installed:write(content(3))
    installed:abandon()
  end
  world.store:remove_before(12)
end

-- The workload on a disk whose call after `after` others fails; and whether there were so many.
local function interrupted(after, fault, seed)
  local d = disk.simulate { seed = seed or after }
  fault.after = after
  d:fail(fault)
  local world = started(d)
  workload(world)
  return world, d:failed()
end

-- The newest snapshot is the last one that was saved, or one that was tried after it; whole.
local function check_newest(world, where)
  local index, term, bytes = world.store:load()
  if not index then
    assert.equal("not_found", term)
    assert.equal(0, world.saved, where)
    return 0
  end
  assert.is_true(index >= world.saved and world.tried[index], where)
  assert.equal(index // 4 + 1, term)
  assert.equal(content(index), bytes, where)
  return index
end

local function reopen(world)
  if world.store then world.store:close() end
  world.store = assert(snapshots.open(world.disk))
end

local function unfinished(d)
  local list = {}
  for _, name in ipairs(assert(d:list("snap"))) do
    if name:find("^writing") then list[#list + 1] = name end
  end
  return list
end

describe("snapshot files", function()
  it("are one file each, whose name says index and term, with nothing but what was written", function()
    local d <close> = disk.simulate()
    local store <close> = assert(snapshots.open(d))
    store:save(0x1f, 0xab, "bytes")
    assert.same({ "000000000000001f-00000000000000ab.snap" }, d:list("snap"))
    local file <close> = d:open(name_of(0x1f, 0xab), "read")
    assert.equal("bytes", file:read(0, 100))
  end)

  it("are there after a power cut, once they were saved, and go on from there", function()
    local d <close> = disk.simulate()
    for index = 1, 20 do
      local store <close> = assert(snapshots.open(d))
      assert.is_true(store:save(index, 1, content(index)))
      store:close()
      d:crash(index)
      local again <close> = assert(snapshots.open(d))
      assert.same({ index, 1, content(index) }, { again:load() })
    end
  end)

  it("hold after a power cut at any call of the disk the old snapshot or the new one, never a torn one", function()
    local after, struck, newer, older = 0, true, 0, 0
    while struck do
      for seed = 1, 8 do
        local world, failed = interrupted(after, { status = "io" }, seed)
        world.disk:heal()
        world.disk:crash(seed * 100 + after)
        reopen(world)
        local index = check_newest(world, ("call %d, seed %d"):format(after, seed))
        if index > world.saved then newer = newer + 1 else older = older + 1 end
        assert.same({}, unfinished(world.disk))
        assert.is_true(save(world, 20))
        assert.same({ 20, 6, content(20) }, { world.store:load() })
        struck = failed
        world.store:close()
        world.disk:close()
      end
      after = after + 1
    end
    assert.is_true(after > 30)
    assert.is_true(newer > 0 and older > 100)
  end)

  it("are there for good once a start has found them, after a kill at any call of the disk", function()
    local after, struck, found = 0, true, 0
    while struck do
      local world, failed = interrupted(after, { status = "io" })
      world.disk:heal()
      reopen(world)
      local index = check_newest(world, ("kill at call %d"):format(after))
      if index > world.saved then found = found + 1 end
      world.store:close()
      world.store = nil
      world.disk:crash(after)
      reopen(world)
      local again = world.store:newest() or 0
      assert.equal(index, again, ("kill at call %d"):format(after))
      world.store:close()
      world.disk:close()
      after, struck = after + 1, failed
    end
    assert.is_true(found > 0)
  end)

  it("survive any one call of the disk that fails: the store keeps what it had, and goes on", function()
    local after, struck, refused = 0, true, 0
    while struck do
      local world, failed = interrupted(after, { status = "io", once = true })
      if world.store then
        local where = ("call %d"):format(after)
        world.disk:heal()
        assert.equal(world.saved, (world.store:newest() or 0), where)
        check_newest(world, where)
        assert.is_true(save(world, 20), where)
        world.store:remove_before(20)
        assert.same({ 20, 6, content(20) }, { world.store:load() })
        world.disk:crash(after)
      else
        refused = refused + 1
      end
      world.disk:heal()
      reopen(world)
      check_newest(world)
      assert.same({}, unfinished(world.disk))
      world.store:close()
      world.disk:close()
      after, struck = after + 1, failed
    end
    assert.equal(4, refused) -- make_directory, sync_directory, list, sync_directory of opening
  end)

  it("leave nothing behind on a disk that is full after any number of bytes, and are written when there is room",
    function()
      for more = 0, #content(9) - 1, 37 do
        local d <close> = disk.simulate { seed = more }
        local store <close> = assert(snapshots.open(d))
        assert.is_true(store:save(5, 2, content(5)))
        d:set_capacity(d:used_bytes() + more)
        local ok, status, message = store:save(9, 3, content(9))
        assert.same({ nil, "disk_full" }, { ok, status })
        assert.matches("snap/writing%-%d+%.tmp", message)
        assert.same({ "0000000000000005-0000000000000002.snap" }, d:list("snap"))
        assert.same({ 5, 2, content(5) }, { store:load() })
        d:set_capacity(nil)
        assert.is_true(store:save(9, 3, content(9)))
        assert.same({ 9, 3, content(9) }, { store:load() })
      end
    end)

  it("are gone again when nobody knows whether their name is durable, unless one of the same mark was there", function()
    local d <close> = disk.simulate()
    local store <close> = assert(snapshots.open(d))
    assert.is_true(store:save(5, 2, content(5)))
    for _, index in ipairs { 9, 5 } do
      d:fail { call = "sync_directory", after = 0, status = "io", once = true }
      local ok, status = store:save(index, 2, content(index))
      assert.same({ nil, "io" }, { ok, status })
      assert.same({ "0000000000000005-0000000000000002.snap" }, d:list("snap"))
      assert.same({ 5, 2, content(5) }, { store:load() })
    end
  end)

  it("of which a part could not be written are never published", function()
    local d <close> = disk.simulate()
    local store <close> = assert(snapshots.open(d))
    local writer <close> = assert(store:create())
    d:fail { call = "write", after = 0, status = "disk_full", once = true }
    assert.is_nil((writer:write("lost")))
    assert.is_true(writer:write("the rest"))
    assert.same({ nil, "io" }, { writer:publish(4, 1), (select(2, store:newest())) == "not_found" and "io" })
    assert.same({}, d:list("snap"))
  end)

  it("are flushed in pieces, so that nobody else on the disk waits for a whole one", function()
    local d <close> = disk.simulate()
    local store <close> = assert(snapshots.open(d))
    local writer <close> = assert(store:create())
    d:trace_start()
    assert.is_true(writer:write(("a"):rep(9 << 20)))
    assert.is_true(writer:write(("b"):rep(3 << 20)))
    assert.is_true(writer:write("c"))
    assert.is_true(writer:publish(1, 1))
    local piece, mib = 0, 1 << 20
    for line in d:trace():gmatch("[^\n]+") do
      local bytes = line:match("^write %S+ %d+ (%d+)$")
      piece = line:find("^sync ") and 0 or piece + (tonumber(bytes) or 0)
      assert.is_true(piece <= 4 * mib, line)
      if line:find("^rename") then assert.equal(0, piece) end
    end
    assert.equal(4, d:calls("sync"))
    local reader <close>, size = store:open(1, 1)
    assert.equal(12 * mib + 1, size)
    assert.equal("abbc", reader:read(9 * mib - 1, 1) .. reader:read(9 * mib, 1) .. reader:read(12 * mib - 1, 2))
  end)
end)

describe("the directory of snapshot files", function()
  local d

  before_each(function()
    d = disk.simulate()
    snapshots.open(d):close()
  end)
  after_each(function() d:close() end)

  it("is refused with a file of somebody else in it, however alike its name is", function()
    local hex <const> = "000000000000000a"
    for _, name in ipairs {
      "notes.txt", ".hidden", hex .. ".snap", "a-1.snap", hex .. "-" .. hex .. ".snap.bak",
      "000000000000000A-000000000000000a.snap", hex .. "_" .. hex .. ".snap", hex .. "-" .. hex .. "0.snap",
      "0" .. hex .. "-" .. hex .. ".snap", hex .. "-" .. ("0"):rep(16) .. ".snap",
      ("0"):rep(16) .. "-" .. hex .. ".snap",
      ("f"):rep(16) .. "-" .. hex .. ".snap", hex .. "-8000000000000000.snap", " " .. hex .. "-" .. hex .. ".snap",
      hex .. "-" .. hex .. ".SNAP", hex .. "-+00000000000000a.snap", hex .. "-" .. hex, "writing-.tmp",
      "writing-1.tmp2",
      "writing-01.tmp", "writing--1.tmp", "writing-1.snap", "writing-100000000000000000000000.tmp",
    } do
      put(d, "snap/" .. name, "x")
      local store, status, message = snapshots.open(d)
      assert.same({ nil, "corrupt" }, { store, status }, name)
      local expected <const> = "snap/%s: a file of somebody else in the snapshots' directory; move it elsewhere"
      assert.equal(expected:format(name), message)
      d:remove("snap/" .. name)
    end
    snapshots.open(d):close()
  end)

  it("is refused with two snapshots of one index", function()
    put(d, name_of(10, 1), "x")
    put(d, name_of(11, 1), "x")
    put(d, name_of(10, 2), "x")
    local store, status, message = snapshots.open(d)
    assert.same({ nil, "corrupt" }, { store, status })
    assert.matches("^snap/000000000000000a%-000000000000000[12]%.snap: ", message)
    assert.matches("there is another snapshot of the same index", message, 1, true)
    assert.matches("restore the data directory from a copy", message)
  end)

  it("holds the largest numbers there are", function()
    local largest <const> = math.maxinteger
    local store <close> = assert(snapshots.open(d))
    assert.is_true(store:save(largest, largest, "last"))
    assert.is_true(store:save(largest - 1, 1, "last but one"))
    store:close()
    local again <close> = assert(snapshots.open(d))
    assert.same({ largest, largest, "last" }, { again:load() })
  end)

  it("loses what was being written when it is opened, and nothing else", function()
    put(d, "snap/writing-1.tmp", "x")
    put(d, "snap/writing-77.tmp", "x")
    put(d, name_of(3, 1), "whole")
    local store <close> = assert(snapshots.open(d))
    assert.same({ "0000000000000003-0000000000000001.snap" }, d:list("snap"))
    assert.same({ 3, 1, "whole" }, { store:load() })
  end)

  it("says what is in the way when it cannot be made", function()
    local other <close> = disk.simulate()
    put(other, "snap", "a file")
    local store, status, message = snapshots.open(other)
    assert.same({ nil, "io" }, { store, status })
    assert.matches("snap", message)
  end)
end)
