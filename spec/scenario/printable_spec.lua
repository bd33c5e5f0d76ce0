-- Bytes as text, for explanations.
local printable = require "kvserver.scenario.printable"
local types = require "kvserver.types"

describe("printable text", function()
  it("is what was given, where that is UTF-8", function()
    for _, text in ipairs { "", "plain", "ä€😀", "a\0b\n" } do assert.equal(text, printable.text(text)) end
  end)

  it("shows each byte that is not", function()
    assert.equal("\\xff", printable.text "\255")
    assert.equal("a\\xc3", printable.text "a\195")
    assert.equal("\\xa4ä\\xfe\\xffz", printable.text "\164ä\254\255z")
    assert.equal("\\xed\\xa0\\x80", printable.text "\237\160\128") -- half of a surrogate pair
  end)

  it("is UTF-8 for any two bytes", function()
    for first = 0, 255 do
      for second = 0, 255, 3 do assert.is_true(types.utf8_valid(printable.text(string.char(first, second)))) end
    end
  end)

  it("that is long is cut between two characters", function()
    assert.equal("abcd", printable.short("abcd", 4, 2))
    assert.equal("ab...", printable.short("abcde", 4, 2))
    assert.equal("a...", printable.short("aäbcd", 4, 2))
    assert.equal("ää...", printable.short("äääää", 4, 4))
    assert.equal("ää...", printable.short("äääää", 4, 5))
  end)
end)
