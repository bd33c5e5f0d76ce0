-- The cache of asynchronous writes, with a clock of the spec's.
local http = require "spec.support.http"

local probe = http.native "opcache_probe"

local MIB <const> = 1 << 20

local function open(limits)
  local all = { ops = 100, bytes = MIB, ttl_ms = 1000 }
  for name, value in pairs(limits or {}) do all[name] = value end
  return probe.open(all)
end

local function found(cache, number, now_ms)
  return (cache:find(number, now_ms))
end

describe("opcache", function()
  it("numbers operations from 1", function()
    local cache = open()
    for number = 1, 3 do assert.equal(number, cache:reserve(0)) end
    assert.equal(3, cache:stats().taken)
  end)

  it("has an operation pending until its result is known, however long that takes", function()
    local cache = open { ttl_ms = 1 }
    local number = cache:reserve(0)
    local state, outcome = cache:find(number, math.maxinteger)
    assert.equal("found", state)
    assert.is_false(outcome.ready)
  end)

  it("tells the result of the operation that was asked for", function()
    local cache = open()
    for _ = 1, 3 do cache:reserve(0) end
    cache:finish(2, 10, 77, 5)
    cache:finish(1, 10, 78, 6)
    assert.same({ ready = true, index = 77, deleted = 5 }, select(2, cache:find(2, 10)))
    assert.same({ ready = true, index = 78, deleted = 6 }, select(2, cache:find(1, 10)))
    assert.is_false(select(2, cache:find(3, 10)).ready)
  end)

  it("keeps a result for its time, from when it came", function()
    local cache = open { ttl_ms = 1000 }
    local number = cache:reserve(0)
    cache:finish(number, 5000)
    assert.equal("found", found(cache, number, 5999))
    assert.equal("expired", found(cache, number, 6000))
  end)

  it("tells an operation that is not kept any more from one that never was", function()
    local cache = open()
    local number = cache:reserve(0)
    assert.equal("never", found(cache, number + 1, 0))
    assert.equal("never", found(cache, 0, 0))
    cache:finish(number, 0)
    cache:expire(1000, 1)
    assert.equal(0, cache:stats().finished)
    assert.equal("expired", found(cache, number, 1000))
  end)

  it("frees the results that have expired, the oldest first, as many as it is told to", function()
    local cache = open()
    for number = 1, 4 do
      cache:reserve(0)
      cache:finish(number, number)
    end
    cache:expire(1003, 2)
    assert.equal(2, cache:stats().finished)
    cache:expire(1003, 10)
    assert.equal(1, cache:stats().finished)
    assert.equal("found", found(cache, 4, 1003))
  end)

  it("refuses an operation when it holds as many as it may, and takes the next when a result has expired", function()
    local cache = open { ops = 2 }
    cache:reserve(0)
    cache:reserve(0)
    assert.same({ n = 2, nil, "overloaded" }, table.pack(cache:reserve(0)))
    cache:finish(1, 100)
    assert.same({ n = 2, nil, "overloaded" }, table.pack(cache:reserve(1099)))
    assert.equal(3, cache:reserve(1100))
    assert.same({ n = 2, nil, "overloaded" }, table.pack(cache:reserve(1100)))
  end)

  it("refuses an operation when its memory is as large as it may be", function()
    local cache = open { ops = 100000, bytes = 50000 }
    local count = 0
    while cache:reserve(0) do count = count + 1 end
    assert.is_true(count > 200 and count < 1000, count)
    assert.is_true(cache:stats().bytes <= 50000)
  end)

  it("gives the place of an operation back that came to nothing", function()
    local cache = open { ops = 1 }
    local number = cache:reserve(0)
    cache:release(number)
    assert.equal(0, cache:stats().pending)
    assert.equal(2, cache:reserve(0)) -- no number is given twice
  end)

  it("finds thousands of them", function()
    local cache = open { ops = 5000 }
    for _ = 1, 5000 do cache:reserve(0) end
    for number = 5000, 1, -1 do
      if number % 3 ~= 0 then cache:finish(number, 0, number, 2 * number) end
    end
    for number = 1, 5000 do
      local _, outcome = cache:find(number, 0)
      local expected = number % 3 ~= 0 and { ready = true, index = number, deleted = 2 * number }
        or { ready = false, index = 0, deleted = 0 }
      assert.same(expected, outcome)
    end
    assert.same({ 1666, 3334 }, { cache:stats().pending, cache:stats().finished })
  end)
end)
