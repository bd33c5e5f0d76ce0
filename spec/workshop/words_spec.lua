-- The lint over words and paths, run as `make lint` runs it, on a made-up tree.

local made_up_tree = require "spec.support.made_up_tree"

local function lint(text)
  return made_up_tree.lint("spec/lint/words.lua", { ["a.c"] = text })
end

describe("the lint over words", function()
  it("passes a clean file", function()
    local output, code = lint("int a; /* mkdtemp likes XXXXXX */\n")
    assert.equal("", output)
    assert.equal(0, code)
  end)

  -- Put together here, so that this file passes the lint itself.
  for _, word in ipairs { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "/ho" .. "me/me/kv", "/wo" .. "rk/kv" } do
    it(("refuses %s, naming file and line"):format(word), function()
      local output, code = lint("int a;\n// " .. word .. ": later\n")
      assert.matches("^a%.c:2: ", output)
      assert.equal(1, code)
    end)
  end

  it("refuses blanks at the end of a line", function()
    local output, code = lint("int a; \n")
    assert.equal("a.c:1: blanks at the end of the line: int a; \n", output)
    assert.equal(1, code)
  end)
end)
