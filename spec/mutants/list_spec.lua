local detectors = require "spec.mutants.detectors"
local edits = require "spec.mutants.edits"
local mutants = require "spec.mutants.list"
local syncs = require "spec.mutants.syncs"

local all <const> = table.move(syncs, 1, #syncs, #mutants + 1, table.move(mutants, 1, #mutants, 1, {}))

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

describe("the planted bugs", function()
  it("each have their text in the source exactly once", function()
    for _, mutant in ipairs(all) do
      local sources = {}
      for _, edit in ipairs(mutant.edits) do
        local source = sources[edit[1]] or read_file(edit[1])
        sources[edit[1]] = edits.apply(edit, source)
        assert.is_not_equal(source, sources[edit[1]], mutant.name)
      end
    end
  end)

  it("are told apart by their names, and expect detectors that exist", function()
    local names, known = {}, {}
    for _, detector in ipairs(detectors) do known[detector.name] = true end
    for _, mutant in ipairs(all) do
      assert.is_nil(names[mutant.name], mutant.name)
      names[mutant.name] = true
      assert.is_string(mutant.seen, mutant.name)
      assert.is_true(mutant.torture or #mutant.expect > 0)
      for _, name in ipairs(mutant.expect or {}) do
        assert.is_true(mutant.spec and mutant.expect[2] == nil or known[name], name)
        if mutant.spec then assert.is_truthy(read_file(mutant.spec):find(name, 1, true), name) end
      end
    end
    assert.is_true(#mutants >= 25)
  end)
end)

describe("an edit", function()
  it("is refused when its text is not there, or is there twice", function()
    assert.equal("a 2 c", edits.apply({ "f", "b", "2" }, "a b c"))
    assert.has_error(function() edits.apply({ "f", "x", "y" }, "a b c") end, "f: not found: x")
    assert.has_error(function() edits.apply({ "f", "b", "y" }, "a b c b") end, "f: found twice: b")
  end)
end)

describe("a failure of the campaign", function()
  it("is told by its words", function()
    assert.equal("stale read", detectors.of("at 3.1 s: n1: stale read: it answers from index 4"))
    assert.equal("calm", detectors.of("calm: the term went from 3 to 4"))
    assert.equal("unknown", detectors.of("something else"))
  end)
end)
