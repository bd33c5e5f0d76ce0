-- XXH3-128, as `xxhsum -H2` prints it, and sums modulo 2^128.

local types = require "kvserver.types"

local ZERO <const> = ("0"):rep(32)
local ONE <const> = ("0"):rep(31) .. "1"
local MAX <const> = ("f"):rep(32)

describe("hash128", function()
  it("is XXH3-128 with the high half first", function()
    assert.equal("99aa06d3014798d86001c324468d497f", types.hash_hex(""))
    assert.equal("06b05ab6733a618578af5f94892f3950", types.hash_hex("abc"))
  end)

  it("depends on the seed", function()
    assert.not_equal(types.hash_hex("abc", 1), types.hash_hex("abc"))
    assert.equal(types.hash_hex("abc", 0), types.hash_hex("abc"))
  end)

  it("adds with carry from the low half to the high one, and wraps at 2^128", function()
    assert.equal(("0"):rep(15) .. "1" .. ("0"):rep(16), types.hash_add(("0"):rep(16) .. ("f"):rep(16), ONE))
    assert.equal(ZERO, types.hash_add(MAX, ONE))
    assert.equal(MAX, types.hash_sub(ZERO, ONE))
    assert.equal(("0"):rep(16) .. ("f"):rep(16), types.hash_sub(("0"):rep(15) .. "1" .. ("0"):rep(16), ONE))
  end)

  it("takes parts of a sum out again, in any order", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local parts = {}
    local sum = ZERO
    for i = 1, 200 do
      parts[i] = types.hash_hex(tostring(math.random(1 << 40)))
      sum = types.hash_add(sum, parts[i])
    end
    while #parts > 0 do sum = types.hash_sub(sum, table.remove(parts, math.random(#parts))) end
    assert.equal(ZERO, sum, ("seed %d"):format(seed))
  end)
end)
