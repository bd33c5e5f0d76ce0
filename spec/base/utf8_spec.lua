-- UTF-8 as RFC 3629 has it, against Lua's own strict decoder and by hand.

local types = require "kvserver.types"

local valid <const> = {
  ["nothing"] = "", ["ASCII"] = "key:1", ["NUL"] = "a\0b", ["DEL"] = "\x7f",
  ["U+0080"] = "\xc2\x80", ["U+07FF"] = "\xdf\xbf", ["U+0800"] = "\xe0\xa0\x80", ["U+D7FF"] = "\xed\x9f\xbf",
  ["U+E000"] = "\xee\x80\x80", ["U+FFFD"] = "\xef\xbf\xbd", ["U+FFFF"] = "\xef\xbf\xbf",
  ["U+10000"] = "\xf0\x90\x80\x80", ["U+10FFFF"] = "\xf4\x8f\xbf\xbf", ["a mark of byte order"] = "\xef\xbb\xbf",
}

local invalid <const> = {
  ["a lone continuation"] = "\x80", ["the last continuation"] = "\xbf", ["two continuations"] = "\x80\x80",
  ["0xC0, overlong NUL"] = "\xc0\x80", ["0xC1, overlong ASCII"] = "\xc1\xbf", ["0xC0 alone"] = "\xc0",
  ["an overlong 3-byte form"] = "\xe0\x9f\xbf", ["an overlong NUL of 3 bytes"] = "\xe0\x80\x80",
  ["an overlong 4-byte form"] = "\xf0\x8f\xbf\xbf", ["an overlong NUL of 4 bytes"] = "\xf0\x80\x80\x80",
  ["the first surrogate"] = "\xed\xa0\x80", ["the last surrogate"] = "\xed\xbf\xbf",
  ["a surrogate pair (CESU-8)"] = "\xed\xa0\xbd\xed\xb8\x80",
  ["U+110000"] = "\xf4\x90\x80\x80", ["0xF5"] = "\xf5\x80\x80\x80", ["five bytes"] = "\xf8\x88\x80\x80\x80",
  ["0xFE"] = "\xfe", ["0xFF"] = "\xff", ["a 2-byte form cut"] = "\xc3", ["a 3-byte form cut to 1"] = "\xe2",
  ["a 3-byte form cut to 2"] = "\xe2\x82", ["a 4-byte form cut to 3"] = "\xf0\x9f\x98",
  ["a 4-byte form cut to 2"] = "\xf0\x9f", ["ASCII in place of a continuation"] = "\xe2\x82a",
  ["Latin-1"] = "caf\xe9 au lait",
}

describe("utf8_valid", function()
  for name, text in pairs(valid) do
    it("accepts " .. name, function() assert.is_true(types.utf8_valid(text)) end)
  end
  for name, text in pairs(invalid) do
    it("refuses " .. name, function() assert.is_false(types.utf8_valid(text)) end)
  end

  -- One assertion for many texts: the first on which utf8_valid is wrong.
  local function first_wrong(texts)
    for text, is_valid in texts do
      if types.utf8_valid(text) ~= is_valid then return ("%q"):format(text) end
    end
  end

  it("finds a fault at every offset, on the fast path and behind it", function()
    assert.is_nil(first_wrong(coroutine.wrap(function()
      for before = 0, 17 do
        for after = 0, 17 do
          local head, tail = ("x"):rep(before), ("y"):rep(after)
          for _, text in pairs(invalid) do coroutine.yield(head .. text .. tail, false) end
          for _, text in pairs(valid) do coroutine.yield(head .. text .. tail, true) end
        end
      end
    end)))
  end)

  it("agrees with Lua on every sequence of one and two bytes", function()
    assert.is_nil(first_wrong(coroutine.wrap(function()
      for first = 0, 255 do
        local text = string.char(first)
        coroutine.yield(text, utf8.len(text) ~= nil)
        for second = 0, 255 do
          text = string.char(first, second)
          coroutine.yield(text, utf8.len(text) ~= nil)
        end
      end
    end)))
  end)

  it("agrees with Lua on random mixtures", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local pieces <const> = {
      "a", "\x80", "\xbf", "\xc2", "\xe0", "\xed", "\xef", "\xf0", "\xf4", "\xa0", "\x9f", "\x90", "\x8f",
      "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "abcdefgh",
    }
    assert.is_nil(first_wrong(coroutine.wrap(function()
      for _ = 1, 20000 do
        local text = ""
        for _ = 1, math.random(1, 6) do text = text .. pieces[math.random(#pieces)] end
        coroutine.yield(text, utf8.len(text) ~= nil)
      end
    end)), ("seed %d"):format(seed))
  end)
end)
