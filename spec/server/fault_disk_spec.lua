-- A disk that fails when it is told to: by itself, and below a node.
local disk = require "kvserver.disk"
local directory = require "spec.support.directory"
local uv = require "luv"

local function read_all(d, name)
  local file <close> = assert(d:open(name, "read"))
  return file:read(0, file:size())
end

-- A disk in a directory of its own; `again` opens the directory as it is, without faults.
local function world(seed)
  local dir <const> = directory.new()
  local self <const> = { disk = assert(disk.faulty(dir.path, seed)), path = dir.path }
  function self.again()
    self.disk:close()
    self.disk = assert(disk.open(dir.path))
    return self.disk
  end
  return setmetatable(self, {
    __close = function()
      self.disk:close()
      dir:remove()
    end,
  })
end

-- A file with this content, durable.
local function durable(d, name, text)
  local file = assert(d:open(name, "create"))
  assert(file:write(0, text))
  assert(file:sync())
  assert(d:sync_directory(name:match("^(.*)/")))
  return file
end

describe("when the power goes", function()
  it("nothing is undone that was synced", function()
    local w <close> = world()
    assert(w.disk:make_directory("dir"))
    assert(w.disk:sync_directory())
    durable(w.disk, "dir/a", "one"):close()
    durable(w.disk, "b", "two"):close()
    assert(w.disk:rename("b", "c"))
    assert(w.disk:sync_directory())
    assert.equal(0, w.disk:faults().unsynced)
    assert.is_true(w.disk:lose())
    local d = w.again()
    assert.same({ "one", "two" }, { read_all(d, "dir/a"), read_all(d, "c") })
    assert.same({ "c", "dir" }, d:list())
  end)

  it("bytes are as before what was not synced: overwritten, appended, cut, grown", function()
    local w <close> = world()
    local file = durable(w.disk, "a", ("abcdefgh"):rep(1000))
    file:write(10, "XX")
    file:write(7990, ("Y"):rep(100))
    file:truncate(5)
    file:write(2, "ZZZZZZ")
    file:truncate(20000)
    file:write(4, "!")
    assert.equal(6, w.disk:faults().unsynced)
    assert.is_true(w.disk:lose())
    file:close()
    assert.equal(("abcdefgh"):rep(1000), read_all(w.again(), "a"))
  end)

  it("bytes that were synced in between stay", function()
    local w <close> = world()
    local file = durable(w.disk, "a", "1111")
    file:write(0, "2222")
    file:sync()
    file:write(2, "33")
    w.disk:lose()
    file:close()
    assert.equal("2222", read_all(w.again(), "a"))
  end)

  it("names are as before what was not synced", function()
    local w <close> = world()
    for _, name in ipairs { "kept", "moved", "removed", "replaced", "twice" } do durable(w.disk, name, name):close() end
    durable(w.disk, "new", "new, then replaced"):close()
    w.disk:open("created", "create"):close()
    assert(w.disk:rename("moved", "elsewhere"))
    assert(w.disk:remove("removed"))
    assert(w.disk:rename("new", "replaced"))
    assert(w.disk:rename("twice", "twice-1"))
    assert(w.disk:rename("twice-1", "twice-2"))
    assert(w.disk:remove("twice-2"))
    assert.same({ "created", "elsewhere", "kept", "replaced" }, w.disk:list())
    w.disk:lose()
    local d = w.again()
    assert.same({ "kept", "moved", "new", "removed", "replaced", "twice" }, d:list())
    for _, name in ipairs { "kept", "moved", "removed", "replaced", "twice" } do
      assert.equal(name, read_all(d, name))
    end
    assert.equal("new, then replaced", read_all(d, "new"))
  end)

  it("a file that was synced, but not its name, is gone", function()
    local w <close> = world()
    local file = assert(w.disk:open("a", "create"))
    file:write(0, "x")
    file:sync()
    w.disk:lose()
    file:close()
    assert.same({}, w.again():list())
  end)

  it("a directory that was not synced is gone with what is in it", function()
    local w <close> = world()
    w.disk:make_directory("dir")
    durable(w.disk, "dir/a", "x"):close() -- and the directory's own name is not
    w.disk:open("dir/b", "create"):close()
    w.disk:lose()
    assert.same({}, w.again():list())
  end)

  it("bytes are found again in a file that changed its name meanwhile, or lost it", function()
    local w <close> = world()
    local moved, removed = durable(w.disk, "moved", "1111"), durable(w.disk, "removed", "1111")
    local replaced <const> = durable(w.disk, "replaced", "1111")
    moved:write(0, "22")
    w.disk:rename("moved", "elsewhere")
    moved:write(2, "33")
    removed:write(0, "22")
    w.disk:remove("removed")
    removed:write(2, "33")
    replaced:write(0, "22")
    w.disk:open("new", "create"):close()
    w.disk:rename("new", "replaced")
    replaced:write(2, "33")
    w.disk:lose()
    for _, file in ipairs { moved, removed, replaced } do file:close() end
    local d = w.again()
    for _, name in ipairs { "moved", "removed", "replaced" } do assert.equal("1111", read_all(d, name)) end
    assert.same({ "moved", "removed", "replaced" }, d:list())
  end)

  it("of names in one directory those of another are not covered by its sync", function()
    local w <close> = world()
    w.disk:make_directory("dir")
    w.disk:sync_directory()
    w.disk:open("a", "create"):close()
    w.disk:open("dir/a", "create"):close()
    w.disk:sync_directory("dir")
    w.disk:lose()
    local d = w.again()
    assert.same({ "dir" }, d:list())
    assert.same({ "a" }, d:list("dir"))
  end)

  it("every call says so from then on", function()
    local w <close> = world()
    local file = durable(w.disk, "a", "x")
    w.disk:lose()
    for _, call in ipairs {
      function() return w.disk:open("a", "read") end, function() return file:read(0, 1) end,
      function() return file:write(0, "x") end, function() return file:sync() end,
      function() return file:size() end, function() return file:truncate(0) end,
      function() return w.disk:rename("a", "b") end, function() return w.disk:remove("a") end,
      function() return w.disk:make_directory("d") end, function() return w.disk:sync_directory() end,
      function() return w.disk:list() end, function() return w.disk:free_bytes() end,
      function() return w.disk:lose() end,
    } do
      assert.same({ nil, "closed", "disk: the power is gone" }, { call() })
    end
    file:close()
  end)

  it("with torn_next a part of the last write stays, and nothing else", function()
    local old <const>, new <const> = ("o"):rep(3000), ("n"):rep(2000)
    local lengths = {}
    for seed = 1, 20 do
      local w <close> = world(seed)
      local other, file = durable(w.disk, "b", old), durable(w.disk, "a", old)
      other:write(0, new)
      file:write(0, ("m"):rep(2500))
      file:write(500, new)
      w.disk:set_faults { torn_next = true }
      w.disk:lose()
      file:close()
      other:close()
      local d = w.again()
      assert.equal(old, read_all(d, "b"))
      local before, part, after = read_all(d, "a"):match("^(o*)(n+)(o*)$")
      assert.same({ 500, 3000 }, { #before, #before + #part + #after })
      assert.is_true(#part < 2000)
      lengths[#part] = true
    end
    assert.is_true(next(lengths, next(lengths)) ~= nil) -- drawn anew with each seed
  end)

  it("with torn_next a file that grew ends in that part", function()
    local w <close> = world(7)
    local file = durable(w.disk, "a", "old")
    file:write(3, ("n"):rep(1000))
    w.disk:set_faults { torn_next = true }
    w.disk:lose()
    file:close()
    assert.matches("^oldn+$", read_all(w.again(), "a"))
    assert.is_true(#read_all(w.disk, "a") < 1003)
  end)
end)

describe("a file that is removed", function()
  it("waits under another name until its directory is synced", function()
    local w <close> = world()
    durable(w.disk, "a", "x"):close()
    w.disk:remove("a")
    assert.same({}, w.disk:list())
    local plain <close> = assert(disk.open(w.path))
    assert.equal(1, #plain:list())
    w.disk:sync_directory()
    assert.same({}, plain:list())
  end)

  it("does not come back after a kill, and leaves nothing", function()
    local w <close> = world()
    durable(w.disk, "a", "x"):close()
    durable(w.disk, "b", "y"):close()
    assert(uv.fs_link(w.path .. "/b", w.path .. "/lost-7.tmp")) -- as a process that was killed leaves it
    w.disk:remove("a")
    w.disk:close()
    assert.same({ "b", "lost-7.tmp" }, assert(disk.open(w.path)):list())
    w.disk = assert(disk.faulty(w.path))
    assert.same({ "b" }, assert(disk.open(w.path)):list())
  end)

  it("can be made again, and each is undone by itself", function()
    local w <close> = world()
    durable(w.disk, "a", "first"):close()
    w.disk:remove("a")
    local second = w.disk:open("a", "create")
    second:write(0, "second")
    second:close()
    w.disk:lose()
    assert.equal("first", read_all(w.again(), "a"))
  end)
end)

describe("a disk that is full", function()
  it("takes nothing new, and what is there can be written over", function()
    local w <close> = world()
    local file = durable(w.disk, "a", "12345678")
    w.disk:set_faults { full = true }
    assert.equal(0, w.disk:free_bytes())
    assert.equal("disk_full", select(2, w.disk:open("b", "create")))
    assert.equal("disk_full", select(2, w.disk:make_directory("d")))
    assert.equal("disk_full", select(2, file:write(1, "abcdefgh")))
    assert.is_true(file:write(0, "abcdefgh"))
    assert.is_true(file:sync())
    assert.is_true(w.disk:rename("a", "c"))
    assert.equal(3, w.disk:faults().refused_full)
    w.disk:set_faults {}
    assert.is_true(w.disk:free_bytes() > 0)
    assert.is_true(file:write(8, "more"))
    file:close()
    assert.equal("abcdefghmore", read_all(w.disk, "c"))
  end)
end)

describe("a disk that fails its syncs", function()
  it("says so, and what they were about is not durable", function()
    local w <close> = world()
    local file = durable(w.disk, "a", "old")
    file:write(0, "new")
    w.disk:rename("a", "b")
    w.disk:set_faults { fail_sync = true }
    assert.equal("io", select(2, file:sync()))
    assert.equal("io", select(2, w.disk:sync_directory()))
    assert.equal(2, w.disk:faults().failed_syncs)
    w.disk:set_faults {}
    w.disk:lose()
    file:close()
    assert.equal("old", read_all(w.again(), "a"))
  end)
end)

describe("a slow disk", function()
  it("syncs that much later", function()
    local w <close> = world()
    local file <close> = durable(w.disk, "a", "x")
    w.disk:set_faults { slow_ms = 30 }
    local start_ns <const> = uv.hrtime()
    assert.is_true(file:sync())
    assert.is_true(w.disk:sync_directory())
    assert.is_true(uv.hrtime() - start_ns >= 60e6)
    assert.equal(2, w.disk:faults().slow_syncs)
  end)
end)

describe("a fault of the disk that makes no sense is refused:", function()
  for _, case in ipairs {
    { { ful = true }, "ful: expected full, slow_ms, fail_sync or torn_next" },
    { { full = 1 }, "full: expected true or false, got number" },
    { { slow_ms = -1 }, "slow_ms: expected an integer from 0 to 60000" },
    { { slow_ms = 60001 }, "slow_ms: expected an integer from 0 to 60000" },
    { { true }, "expected a table of named fields" },
  } do
    it(case[2], function()
      local w <close> = world()
      local ok, why = pcall(w.disk.set_faults, w.disk, case[1])
      assert.is_false(ok)
      assert.matches(case[2], why, 1, true)
    end)
  end
end)
