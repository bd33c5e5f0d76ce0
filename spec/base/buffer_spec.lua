-- The byte buffer against a Lua string that does the same.

local probe = require "base_probe"

describe("buffer", function()
  it("is empty at first, and allocates nothing", function()
    local buffer = probe.buffer()
    assert.equal("", buffer:view())
    assert.equal(0, buffer:capacity())
  end)

  it("appends bytes, NUL included", function()
    local buffer = probe.buffer()
    buffer:append("a\0b")
    buffer:append("")
    buffer:append_byte(0xff)
    assert.equal("a\0b\xff", buffer:view())
  end)

  for _, number in ipairs { 0, 9, 10, 4294967296, math.maxinteger, -1 } do
    local decimal = number < 0 and "18446744073709551615" or tostring(number) -- -1 stands for 2^64-1
    it("appends the decimal digits of " .. decimal, function()
      local buffer = probe.buffer()
      buffer:append_decimal(number)
      assert.equal(decimal, buffer:view())
    end)
  end

  it("appends a formatted text of any length, whether it fits or must grow", function()
    local buffer, expected = probe.buffer(), ""
    for len = 0, 300, 7 do
      buffer:append_format(("k"):rep(len), len)
      expected = expected .. ("k"):rep(len) .. "=" .. len
    end
    assert.equal(expected, buffer:view())
  end)

  it("keeps its memory when cleared, and gives back what is above the limit when shrunk", function()
    local buffer = probe.buffer()
    buffer:append(("x"):rep(5000))
    local grown = buffer:capacity()
    buffer:clear()
    assert.equal("", buffer:view())
    assert.equal(grown, buffer:capacity())
    buffer:shrink(grown)
    assert.equal(grown, buffer:capacity())
    buffer:shrink(1000)
    assert.equal(1000, buffer:capacity())
    buffer:shrink(0)
    assert.equal(0, buffer:capacity())
    buffer:append("again")
    assert.equal("again", buffer:view())
  end)

  it("grows in few steps", function()
    local buffer, steps, before = probe.buffer(), 0, 0
    for _ = 1, 100000 do
      buffer:append("0123456789")
      if buffer:capacity() ~= before then steps, before = steps + 1, buffer:capacity() end
    end
    assert.is_true(steps <= 20, ("%d steps"):format(steps))
  end)

  it("behaves as a string does, for thousands of random steps", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local buffer, model = probe.buffer(), ""
    for step = 1, 5000 do
      local choice = math.random(10)
      if choice <= 5 then
        local bytes = string.char(math.random(0, 255)):rep(math.random(0, 200))
        buffer:append(bytes)
        model = model .. bytes
      elseif choice <= 8 then
        local len = math.random(0, #model)
        buffer:consume(len)
        model = model:sub(len + 1)
      elseif choice == 9 then
        buffer:reserve(math.random(0, 1000))
      elseif math.random(10) == 1 then
        buffer:shrink(math.random(0, 300))
        model = ""
      end
      if buffer:view() ~= model then error(("seed %d: differs at step %d"):format(seed, step)) end
    end
  end)
end)
