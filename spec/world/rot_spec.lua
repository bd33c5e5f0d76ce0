-- Bits that flip in files.
local directory = require "spec.support.directory"
local rot = require "kvserver.world.rot"
local sim = require "kvserver.sim"
local uv = require "luv"

local TEXT <const> = "some bytes"

local function bits_that_differ(a, b)
  local count = 0
  for i = 1, #a do
    local difference = a:byte(i) ~ b:byte(i)
    while difference > 0 do
      count = count + (difference & 1)
      difference = difference >> 1
    end
  end
  return count
end

describe("a bit flips", function()
  it("one, where the file is in use", function()
    local dir <close> = directory.new()
    local content <const> = TEXT .. ("\0"):rep(200000)
    for seed = 1, 30 do
      dir:write("file", content)
      assert.equal("file", rot.flip(dir.path, nil, sim.prng(seed)))
      local now <const> = dir:read "file"
      assert.equal(#content, #now)
      assert.equal(1, bits_that_differ(TEXT, now:sub(1, #TEXT)))
      assert.equal(content:sub(#TEXT + 1), now:sub(#TEXT + 1))
    end
  end)

  it("behind zeros that others follow, too", function()
    local dir <close> = directory.new()
    local content <const> = ("\0"):rep(200000) .. "\1"
    dir:write("file", content)
    rot.flip(dir.path, nil, sim.prng(1))
    assert.equal(1, bits_that_differ(content, dir:read "file"))
  end)

  it("in a file of that name, below the directory, too, but never in the lock", function()
    local dir <close> = directory.new()
    assert(uv.fs_mkdir(dir.path .. "/wal", 448))
    for _, name in ipairs { "LOCK", "FORMAT", "wal/1.wal", "wal/2.wal" } do dir:write(name, TEXT) end
    local seen = {}
    for seed = 1, 40 do seen[rot.flip(dir.path, nil, sim.prng(seed))] = true end
    assert.same({ FORMAT = true, ["wal/1.wal"] = true, ["wal/2.wal"] = true }, seen)
    assert.equal("wal/2.wal", rot.flip(dir.path, "2%.wal$", sim.prng(1)))
    assert.equal(TEXT, dir:read "LOCK")
  end)

  it("nowhere where nothing is", function()
    local dir <close> = directory.new()
    dir:write("zeros", ("\0"):rep(100))
    dir:write("empty", "")
    assert.is_nil(rot.flip(dir.path, nil, sim.prng(1)))
    assert.is_nil(rot.flip(dir.path .. "/nowhere", nil, sim.prng(1)))
  end)

  it("the same one with the same seed", function()
    local dir <close> = directory.new()
    dir:write("a", TEXT)
    dir:write("b", TEXT)
    local first <const> = rot.flip(dir.path, nil, sim.prng(5))
    assert.not_equal(TEXT, dir:read(first))
    assert.equal(first, rot.flip(dir.path, nil, sim.prng(5)))
    assert.equal(TEXT, dir:read(first))
  end)
end)
