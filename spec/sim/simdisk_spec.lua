local disk = require "kvserver.disk"
local sim = require "kvserver.sim"

local SECTOR <const> = 512

local function read_all(d, name)
  local file <close> = assert(d:open(name, "read"))
  return assert(file:read(0, file:size()))
end

-- A file with this text, durable.
local function put(d, name, text)
  local file <close> = assert(d:open(name, "create"))
  assert(file:write(0, text))
  assert(file:sync())
  assert(d:sync_directory(name:match("^(.*)/") or "."))
end

local function pad(text, len)
  return text .. ("\0"):rep(len - #text)
end

local function spliced(text, offset, data)
  local padded = pad(text, offset)
  return padded:sub(1, offset) .. data .. padded:sub(offset + #data + 1)
end

-- The whole state of a disk, as one string.
local function image(d, directory)
  local parts = {}
  for _, base in ipairs(d:list(directory)) do
    local name = directory == "." and base or directory .. "/" .. base
    local file = d:open(name, "read")
    parts[#parts + 1] = name .. "=" .. (file and file:read(0, file:size()) or "{" .. image(d, name) .. "}")
    if file then file:close() end
  end
  return table.concat(parts, "\n")
end

-- True when each byte of the text, from `from` to `to`, is that of a version, and within a sector never that of a later
-- one than the byte before it: a torn sector has its first bytes new.
local function made_of(versions, text, from, to)
  local latest = #versions
  for at = from, to do
    if (at - 1) % SECTOR == 0 then latest = #versions end
    while latest > 0 and versions[latest]:byte(at) ~= text:byte(at) do latest = latest - 1 end
    if latest == 0 then return false end
  end
  return true
end

describe("what a crash leaves of a file", function()
  -- A disk with a synced file, unsynced writes to it, and what a reader saw after each of these.
  local function written(seed)
    local draw = sim.prng(seed)
    local d = disk.simulate { seed = seed, torn = draw() }
    local versions = { ("-"):rep(draw(0, 6000)) }
    put(d, "a", versions[1])
    local file <close> = d:open("a", "write")
    for number = 1, draw(4) do
      local offset, data = draw(0, 7000), string.char(64 + number):rep(draw(3000))
      if draw(4) == 1 then data = ("\0"):rep(#data) end
      assert(file:write(offset, data))
      versions[#versions + 1] = spliced(versions[#versions], offset, data)
      assert.equal(versions[#versions], file:read(0, 99999))
    end
    return d, versions
  end

  it("is, sector by sector, a version that was there, whole or torn, and a size that was there", function()
    local seen = { old = 0, new = 0, mixed = 0 }
    for seed = 1, 400 do
      local d <close>, versions = written(seed)
      d:crash(seed)
      local text = read_all(d, "a")
      local sizes, padded = {}, {}
      for number, version in ipairs(versions) do
        sizes[#version] = true
        padded[number] = pad(version, #text)
      end
      assert.is_true(sizes[#text], ("seed %d: a size of %d"):format(seed, #text))
      assert.is_true(made_of(padded, text, 1, #text), ("seed %d: bytes from nowhere"):format(seed))
      local what = text == versions[1] and "old" or text == versions[#versions] and "new" or "mixed"
      seen[what] = seen[what] + 1
    end
    for what, count in pairs(seen) do assert.is_true(count > 50, ("%s: %d"):format(what, count)) end
  end)

  it("never is less than what was synced, where nothing was written since", function()
    for seed = 1, 50 do
      local d <close> = disk.simulate { seed = seed }
      put(d, "a", ("x"):rep(4 * SECTOR))
      local file <close> = d:open("a", "write")
      assert(file:write(SECTOR, ("y"):rep(SECTOR)))
      d:crash(seed)
      local text = read_all(d, "a")
      assert.equal(("x"):rep(SECTOR), text:sub(1, SECTOR))
      assert.equal(("x"):rep(2 * SECTOR), text:sub(2 * SECTOR + 1))
    end
  end)

  it("is torn only when the disk may tear, and then the first bytes are new", function()
    local torn = 0
    for seed = 1, 300 do
      for _, chance in ipairs { 0, 1 } do
        local d <close> = disk.simulate { torn = chance }
        put(d, "a", ("x"):rep(SECTOR))
        local file <close> = d:open("a", "write")
        assert(file:write(0, ("y"):rep(SECTOR)))
        d:crash(seed)
        local new, old = read_all(d, "a"):match("^(y*)(x*)$")
        assert.equal(SECTOR, #new + #old)
        if chance == 0 then
          assert.is_true(new == "" or old == "")
        elseif new ~= "" and old ~= "" then
          torn = torn + 1
        end
      end
    end
    assert.is_true(torn > 20)
  end)

  it("may miss a truncation that was not synced, and never one that was", function()
    local sizes = {}
    for seed = 1, 50 do
      local d <close> = disk.simulate {}
      put(d, "a", ("x"):rep(3000))
      local file <close> = d:open("a", "write")
      assert(file:truncate(2000))
      assert(file:sync())
      assert(file:truncate(1000))
      assert(file:truncate(1500))
      d:crash(seed)
      local text = read_all(d, "a")
      sizes[#text] = true
      assert.is_truthy(text:find("^x+\0*$"))
      if #text == 2000 then assert.equal(("x"):rep(2000), text) end
      if #text == 1500 then assert.equal(("x"):rep(1000) .. ("\0"):rep(500), text) end
    end
    assert.same({ [1000] = true, [1500] = true, [2000] = true }, sizes)
  end)

  it("hides nothing behind a file's end: when it grows again, there are zeros", function()
    local shorter = 0
    for seed = 1, 100 do
      local d <close> = disk.simulate {}
      put(d, "a", "x")
      local file <close> = d:open("a", "write")
      assert(file:write(1, ("y"):rep(1000)))
      assert(file:write(1001, ("z"):rep(1000)))
      d:crash(seed)
      local again <close> = d:open("a", "write")
      local size = again:size()
      assert(again:truncate(3000))
      assert.equal(("\0"):rep(3000 - size), again:read(size, 3000))
      if size < 2001 then shorter = shorter + 1 end
    end
    assert.is_true(shorter > 20)
  end)

  it("is the same for the same seed, and another for another", function()
    local images, different = {}, 0
    for round = 1, 2 do
      for seed = 1, 40 do
        local d <close> = written(7)
        d:crash(seed)
        local now = image(d, ".")
        if round == 2 then assert.equal(images[seed], now) end
        if seed > 1 and now ~= images[seed - 1] then different = different + 1 end
        images[seed] = now
      end
    end
    assert.is_true(different > 20)
  end)

  it("can be lost again only by what is written after it", function()
    local d <close> = written(3)
    d:crash(1)
    local text = read_all(d, "a")
    for seed = 2, 20 do
      d:crash(seed)
      assert.equal(text, read_all(d, "a"))
    end
  end)

  it("ends the use of files that were open", function()
    local d <close> = disk.simulate {}
    put(d, "a", "x")
    local file <close> = d:open("a", "write")
    d:crash(1)
    for _, call in ipairs { "sync", "size" } do assert.equal("closed", select(2, file[call](file))) end
    assert.equal("closed", select(2, file:read(0, 1)))
    assert.equal("closed", select(2, file:write(0, "y")))
    assert.equal("closed", select(2, file:truncate(0)))
    assert.equal("x", read_all(d, "a"))
  end)
end)

describe("what a crash leaves of names", function()
  -- Runs `change` on a disk that holds a, b and dir/c; which states the names are in after crashes.
  local function states_after(change)
    local states = {}
    for seed = 1, 200 do
      local d <close> = disk.simulate {}
      put(d, "a", "A")
      put(d, "b", "B")
      assert(d:make_directory("dir"))
      assert(d:sync_directory())
      put(d, "dir/c", "C")
      change(d)
      d:crash(seed)
      states[image(d, "."):gsub("\n", " ")] = true
    end
    return states
  end

  it("is any first part of what changed, in order", function()
    local states = states_after(function(d)
      assert(d:rename("a", "b"))
      d:open("a", "create"):close()
      assert(d:remove("b"))
    end)
    assert.same({
      ["a=A b=B dir={dir/c=C}"] = true, ["b=A dir={dir/c=C}"] = true, ["a= b=A dir={dir/c=C}"] = true,
      ["a= dir={dir/c=C}"] = true,
    }, states)
  end)

  it("is all that a sync of the directory came after", function()
    local states = states_after(function(d)
      assert(d:remove("b"))
      assert(d:sync_directory())
      assert(d:rename("a", "z"))
    end)
    assert.same({ ["a=A dir={dir/c=C}"] = true, ["dir={dir/c=C} z=A"] = true }, states)
  end)

  it("does not hang on what happened in another directory", function()
    local states = states_after(function(d)
      assert(d:remove("b"))
      assert(d:rename("dir/c", "dir/d"))
      assert(d:sync_directory("dir"))
    end)
    assert.same({ ["a=A b=B dir={dir/d=C}"] = true, ["a=A dir={dir/d=C}"] = true }, states)
  end)

  it("may lack a directory that was not synced into its own, with all in it", function()
    local states = states_after(function(d)
      assert(d:make_directory("new"))
      put(d, "new/x", "X")
    end)
    assert.same({ ["a=A b=B dir={dir/c=C}"] = true, ["a=A b=B dir={dir/c=C} new={new/x=X}"] = true }, states)
  end)

  it("has nothing in a directory that was lost, nor when it is made again", function()
    local lost = 0
    for seed = 1, 20 do
      local d <close> = disk.simulate {}
      assert(d:make_directory("new"))
      put(d, "new/x", "X")
      d:crash(seed)
      if not d:list("new") then
        lost = lost + 1
        assert.equal("not_found", select(2, d:open("new/x", "read")))
        assert(d:make_directory("new"))
        assert.same({}, d:list("new"))
      end
    end
    assert.is_true(lost > 0)
  end)

  it("is apart from the content: a synced name may be of an empty file, synced content without a name", function()
    local states = states_after(function(d)
      local file <close> = d:open("x", "create")
      assert(file:write(0, "X"))
      assert(d:sync_directory())
    end)
    assert.is_true(states["a=A b=B dir={dir/c=C} x="])
    assert.is_true(states["a=A b=B dir={dir/c=C} x=X"])
    states = states_after(function(d)
      local file <close> = d:open("x", "create")
      assert(file:write(0, "X"))
      assert(file:sync())
    end)
    assert.same({ ["a=A b=B dir={dir/c=C}"] = true, ["a=A b=B dir={dir/c=C} x=X"] = true }, states)
  end)

  it("brings back a removed file as it was", function()
    local states = states_after(function(d)
      local file <close> = d:open("a", "write")
      assert(d:remove("a"))
      assert(file:write(0, "Z"))
      assert(file:sync())
    end)
    assert.same({ ["a=Z b=B dir={dir/c=C}"] = true, ["b=B dir={dir/c=C}"] = true }, states)
  end)
end)

describe("a simulated disk under random use", function()
  it("has after a crash what was synced", function()
    local draw = sim.prng(99)
    for round = 1, 60 do
      local d <close> = disk.simulate { seed = round }
      local durable = {} -- name -> text, of files of which all is synced; false of those that are gone
      for step = 1, 60 do
        local name, what = "f" .. draw(5), draw(5)
        local file = d:open(name, "write")
        if not file then
          file = assert(d:open(name, "create"))
          durable[name] = nil
        end
        if what <= 2 then
          local text = (string.char(96 + draw(26))):rep(draw(2000))
          assert(file:write(draw(0, 2000), text))
          durable[name] = nil
        elseif what == 3 then
          assert(file:sync())
          assert(d:sync_directory())
          durable[name] = file:read(0, 99999)
        elseif what == 4 then
          assert(d:remove(name))
          assert(d:sync_directory())
          durable[name] = false
        elseif draw(4) == 1 then
          d:crash(step)
          break
        end
        file:close()
      end
      d:crash(round)
      for name, text in pairs(durable) do
        if text then
          assert.equal(text, read_all(d, name))
        else
          local file <close> = d:open(name, "read")
          assert.is_nil(file)
        end
      end
    end
  end)

  it("keeps 64 MiB of zeros in a few kilobytes, and so after a crash", function()
    local d <close> = disk.simulate {}
    local file <close> = d:open("a", "create")
    local zeros = ("\0"):rep(1 << 20)
    for at = 0, 63 do assert(file:write(at << 20, zeros)) end
    assert.is_true(d:memory_bytes() < 16384)
    assert.equal(64 << 20, d:used_bytes())
    assert(file:sync())
    assert(d:sync_directory())
    assert(file:write(5 << 20, "head"))
    d:crash(2)
    assert.is_true(d:memory_bytes() < 65536)
    local again <close> = d:open("a", "read")
    assert.equal(64 << 20, again:size())
    assert.equal(zeros, again:read(6 << 20, 1 << 20))
  end)
end)

describe("a fault", function()
  -- A fixed sequence of calls, until one fails: how many succeeded, and the status of the one that did not.
  local function work(d)
    local file
    local steps = {
      function() return d:make_directory("w") end,
      function()
        local status
        file, status = d:open("w/a", "create")
        return file, status
      end,
      function() return file:write(0, ("x"):rep(3 * SECTOR)) end,
      function() return file:sync() end,
      function() return d:sync_directory("w") end,
      function() return d:sync_directory() end,
      function() return file:read(0, 1) end,
      function() return file:size() end,
      function() return file:truncate(2 * SECTOR) end,
      function() return d:rename("w/a", "w/b") end,
      function() return d:open("w/b", "write") end,
      function() return d:list("w") end,
      function() return d:free_bytes() end,
      function() return d:remove("w/b") end,
    }
    for number, step in ipairs(steps) do
      local result, status = step()
      if not result then return number - 1, status end
    end
    return #steps
  end

  it("strikes at the k-th call of any kind, and from then on", function()
    for _, status in ipairs { "io", "disk_full" } do
      for after = 0, 13 do
        local d <close> = disk.simulate {}
        d:fail { after = after, status = status }
        assert.is_false(d:failed())
        assert.same({ after, status }, { work(d) })
        assert.is_true(d:failed())
        assert.equal(after + 1, d:calls())
        assert.same({ nil, status }, { (d:list()), (select(2, d:list())) })
        d:heal()
        assert.is_table(d:list())
      end
    end
    local d <close> = disk.simulate {}
    d:fail { after = 14 }
    assert.equal(14, (work(d)))
    assert.is_false(d:failed())
  end)

  it("strikes one call when told so, and of one kind when told so", function()
    local d <close> = disk.simulate {}
    d:fail { call = "sync_directory", after = 1, once = true }
    assert.same({ 5, "io" }, { work(d) })
    assert.is_true(d:sync_directory())
    assert.same({ 1, 3 }, { d:calls("write"), d:calls("sync_directory") })
  end)

  it("does nothing but fail where names are concerned", function()
    local d <close> = disk.simulate {}
    put(d, "a", "A")
    d:fail {}
    assert.is_nil((d:rename("a", "b")))
    assert.is_nil((d:remove("a")))
    assert.is_nil((d:make_directory("c")))
    assert.is_nil((d:open("d", "create")))
    d:heal()
    assert.same({ "a" }, d:list())
    assert.equal(0, d:unsynced())
  end)

  it("leaves any first part of a write", function()
    local lengths = {}
    for seed = 1, 60 do
      local d <close> = disk.simulate { seed = seed }
      local file <close> = d:open("a", "create")
      d:fail { call = "write" }
      assert.equal("io", select(2, file:write(0, "12345")))
      local left = file:read(0, 99)
      assert.equal(("12345"):sub(1, #left), left)
      lengths[#left] = true
    end
    assert.same({ [0] = true, true, true, true, true, true }, lengths)
  end)

  it("in a sync leaves any subset of the sectors, and later syncs lie", function()
    local old, new, mixed = 0, 0, 0
    for seed = 1, 100 do
      local d <close> = disk.simulate { seed = seed, torn = 0 }
      put(d, "a", ("x"):rep(8 * SECTOR))
      local file <close> = d:open("a", "write")
      assert(file:write(0, ("y"):rep(8 * SECTOR)))
      d:fail { call = "sync", once = true }
      assert.equal("io", select(2, file:sync()))
      assert.equal(("y"):rep(8 * SECTOR), file:read(0, 99999))
      assert.is_true(file:sync())
      assert(file:write(0, "z"))
      assert.is_true(file:sync())
      d:crash(seed)
      local text = read_all(d, "a")
      assert.is_nil(text:find("z"))
      local _, count = text:gsub("y", "")
      old, new, mixed = old + (count == 0 and 1 or 0), new + (count == #text and 1 or 0),
        mixed + (count > 0 and count < #text and 1 or 0)
      local again <close> = d:open("a", "write")
      assert(again:write(0, "again"))
      assert.is_true(again:sync())
      d:crash(seed)
      assert.equal("again", read_all(d, "a"):sub(1, 5))
    end
    assert.is_true(old > 5 and new > 5 and mixed > 5)
  end)

  it("in a directory sync makes some first changes durable", function()
    local states = {}
    for seed = 1, 60 do
      local d <close> = disk.simulate { seed = seed }
      for _, name in ipairs { "a", "b" } do d:open(name, "create"):close() end
      d:fail { call = "sync_directory" }
      assert.equal("io", select(2, d:sync_directory()))
      local left = d:unsynced()
      for crash = 1, 20 do
        local copy = table.concat(d:list(), " ")
        assert.equal("a b", copy)
        if crash == 20 then d:crash(seed) end
      end
      local names = table.concat(d:list(), " ")
      states[names] = true
      assert.is_true(#d:list() >= 2 - left)
    end
    assert.same({ [""] = true, a = true, ["a b"] = true }, states)
  end)
end)

describe("a full disk", function()
  it("takes what fits, says disk_full at the byte, and goes on where no space is needed", function()
    local d <close> = disk.simulate { capacity = 1000 }
    local file <close> = d:open("a", "create")
    assert.equal(1000, d:free_bytes())
    assert.is_true(file:write(0, ("x"):rep(600)))
    assert.equal("disk_full", select(2, file:write(600, ("y"):rep(401))))
    assert.equal(1000, file:size())
    assert.equal(0, d:free_bytes())
    assert.is_true(file:write(0, ("z"):rep(1000)))
    assert.equal("disk_full", select(2, file:truncate(1001)))
    assert.is_true(file:sync())
    local other <close> = d:open("b", "create")
    assert.equal("disk_full", select(2, other:write(0, "1")))
    assert(d:remove("a"))
    assert.is_true(other:write(0, "1"))
    assert.equal(999, d:free_bytes())
  end)

  it("is full at every byte at which it is told to be", function()
    for capacity = 0, 20 do
      local d <close> = disk.simulate { capacity = capacity }
      local file <close> = d:open("a", "create")
      local written = 0
      while file:write(written, "123") do written = written + 3 end
      assert.equal(capacity, file:size())
      assert.equal(capacity // 3 * 3, written)
      d:set_capacity(capacity + 3)
      assert.is_true(file:write(written, "123"))
    end
  end)
end)

describe("damage", function()
  it("flips a bit on the disk, whether what is there is synced or not", function()
    local d <close> = disk.simulate { torn = 0 }
    put(d, "a", ("\0"):rep(5000) .. "x")
    assert.is_true(d:flip("a", 5000, 0))
    assert.is_true(d:flip("a", 10, 7))
    assert.equal(("\0"):rep(10) .. "\x80" .. ("\0"):rep(4989) .. "y", read_all(d, "a"))
    local file <close> = d:open("a", "write")
    assert(file:write(4999, "z"))
    assert.is_true(d:flip("a", 5000, 1))
    d:crash(1)
    assert.equal("{", read_all(d, "a"):sub(5001))
    assert.is_false(d:flip("a", 5001, 0))
    assert.is_false(d:flip("b", 0, 0))
  end)

  it("cuts a file, durably", function()
    local d <close> = disk.simulate {}
    put(d, "a", "12345")
    assert.is_true(d:cut("a", 3))
    assert.is_false(d:cut("a", 4))
    assert.is_false(d:cut("b", 0))
    for seed = 1, 10 do
      d:crash(seed)
      assert.equal("123", read_all(d, "a"))
    end
  end)
end)

describe("what a simulated disk tells", function()
  it("is each call in order, with what failed", function()
    local d <close> = disk.simulate {}
    assert(d:make_directory("w"))
    d:trace_start()
    local file <close> = d:open("w/a", "create")
    assert(file:write(7, "12345"))
    assert(file:sync())
    d:fail { call = "rename" }
    d:rename("w/a", "w/b")
    d:open("c", "read")
    assert(d:sync_directory("w"))
    assert.equal("create w/a\nwrite w/a 7 5\nsync w/a\nrename w/a w/b: io\nopen c: not_found\nsync_directory w\n",
      d:trace())
    d:trace_start()
    assert.equal("", d:trace())
  end)

  it("counts what a crash could undo", function()
    local d <close> = disk.simulate {}
    local file <close> = d:open("a", "create")
    assert.equal(1, d:unsynced())
    assert(file:write(0, "x"))
    assert.equal(2, d:unsynced())
    assert(file:sync())
    assert.equal(1, d:unsynced())
    assert(d:sync_directory())
    assert.equal(0, d:unsynced())
  end)

  it("is the same of a clone, which is durable and goes its own way", function()
    local d <close> = disk.simulate {}
    put(d, "a", "12345")
    local file <close> = d:open("a", "write")
    assert(file:write(2, "xxxxx"))
    assert(d:make_directory("w"))
    d:fail {}
    local clone <close> = d:clone()
    local other <close> = assert(clone:open("a", "write"))
    assert(other:write(0, "y"))
    d:heal()
    assert.equal("12xxxxx", read_all(d, "a"))
    assert(other:sync())
    for seed = 1, 10 do
      clone:crash(seed)
      assert.equal("a=y2xxxxx\nw={}", image(clone, "."))
    end
  end)
end)

describe("a mistake of a script", function()
  it("raises, and is no fault of the disk", function()
    local d <close> = disk.simulate {}
    for _, name in ipairs { "", "/a", "a/", "../a", "a/../b", "a//b", "a\0b", ("x"):rep(256) } do
      assert.has_error(function() d:open(name, "create") end)
    end
    local file <close> = d:open("a", "create")
    local reader <close> = d:open("a", "read")
    assert.has_error(function() reader:write(0, "x") end)
    assert.has_error(function() reader:truncate(0) end)
    assert.has_error(function() file:write(-1, "x") end)
    assert.has_error(function() file:write(math.maxinteger, "x") end)
    assert.has_error(function() d:rename("a", "b/a") end)
    assert.has_error(function() d:flip("a", 0, 8) end)
    assert.has_error(function() d:fail { call = "fly" } end)
    assert.has_error(function() disk.simulate { torn = 2 } end)
    assert.equal(2, d:calls())
  end)
end)
