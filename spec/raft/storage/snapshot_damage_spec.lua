-- Damage by hand, byte by byte, to a snapshot's file: what a start reads is the snapshot, or nothing.
local disk = require "kvserver.disk"
local kvsm = require "kvserver.kvsm"
local snapshots = require "kvserver.snapshots"

local NAME <const> = "snap/0000000000000014-0000000000000003.snap"

-- Every kind of line: text, escapes, bytes that are no text, an empty value; each kind of reply.
local function content()
  local sm <close> = kvsm.new()
  sm:apply(1, { op = "put", key = "a", value = "text" })
  sm:apply(2, { op = "put", client_id = "c1", seq = 1, key = "k\"\\\n", value = "\0\xff\xfe" })
  sm:apply(3, { op = "put", client_id = "c2", seq = 9, key = "ключ", value = "" })
  sm:apply(4, { op = "cas", client_id = "c3", seq = 7, key = "a", expected = "other", value = "x" })
  sm:apply(5, { op = "delete", client_id = "c4", seq = 1, key = "b" })
  sm:apply_noop(20)
  return sm:snapshot()
end

describe("a snapshot's file", function()
  local d, text

  before_each(function()
    d, text = disk.simulate { seed = 1 }, content()
    local store <close> = assert(snapshots.open(d))
    assert.is_true(store:save(20, 3, text))
    local whole = assert(snapshots.check(d, NAME))
    assert.same({ #text, 20, 3, 4 }, { whole.bytes, whole.index, whole.keys, whole.clients })
  end)
  after_each(function() d:close() end)

  local function assert_refused(on, where)
    local found = assert(snapshots.check(on, NAME))
    assert.is_string(found.what, where)
    assert.is_nil(found.keys)
  end

  it("is refused when any bit of it flips", function()
    for offset = 0, #text - 1 do
      for bit = 0, 7 do
        assert.is_true(d:flip(NAME, offset, bit))
        assert_refused(d, ("byte %d, bit %d"):format(offset, bit))
        assert.is_true(d:flip(NAME, offset, bit))
      end
    end
    assert.is_nil(snapshots.check(d, NAME).what)
  end)

  it("is refused when it ends at any byte, or is zeros from there on", function()
    for size = 0, #text - 1 do
      local copy <close> = d:clone()
      assert.is_true(copy:cut(NAME, size))
      assert_refused(copy, ("cut at %d"):format(size))
      local file <close> = copy:open(NAME, "write")
      assert.is_true(file:write(size, ("\0"):rep(#text - size)))
      assert_refused(copy, ("zeros from %d"):format(size))
    end
  end)

  it("is refused when a byte goes or comes anywhere, or two lines change places", function()
    local lines = {}
    for line in text:gmatch("[^\n]*\n") do lines[#lines + 1] = line end
    local function refused(changed, where)
      local copy <close> = disk.simulate()
      local store <close> = assert(snapshots.open(copy))
      assert.is_true(store:save(20, 3, changed))
      assert_refused(copy, where)
    end
    for at = 1, #text do
      refused(text:sub(1, at - 1) .. text:sub(at + 1), ("without byte %d"):format(at))
      refused(text:sub(1, at) .. text:sub(at, -1), ("byte %d twice"):format(at))
    end
    for place = 1, #lines - 1 do
      local changed = table.move(lines, 1, #lines, 1, {})
      changed[place], changed[place + 1] = changed[place + 1], changed[place]
      refused(table.concat(changed), ("line %d below the next"):format(place))
    end
  end)
end)
