local detectors = require "spec.mutants.detectors"
local edits = require "spec.mutants.edits"
local mutants = require "spec.mutants.list"
local stories = require "spec.mutants.stories"
local syncs = require "spec.mutants.syncs"

local all <const> = {}
for _, list in ipairs { mutants, syncs, stories } do table.move(list, 1, #list, #all + 1, all) end

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
        assert.is_true((mutant.spec or mutant.story) and mutant.expect[2] == nil or known[name], name)
        if mutant.spec then assert.is_truthy(read_file(mutant.spec):find(name, 1, true), name) end
      end
    end
    assert.is_true(#mutants >= 25)
  end)
end)

-- Lines of a source that make something durable.
local function sync_lines(path)
  local lines = {}
  if path == "src/server/fault_disk.c" then return lines end -- it only passes on what others ask for
  for line in read_file(path):gmatch("[^\n]+") do
    if line:find("ops->sync_directory(", 1, true) or line:find("disk->ops->sync(", 1, true) then
      lines[#lines + 1] = line
    end
  end
  return lines
end

-- Whether an edit of a source changes the line.
local function is_taken_away(path, line)
  for _, mutant in ipairs(syncs) do
    for _, edit in ipairs(mutant.edits) do
      local _, from = table.unpack(edit)
      if edit[1] == path and (from:find(line, 1, true) or line:find(from, 1, true)) then return true end
    end
  end
  return false
end

describe("a sync that is taken away", function()
  it("is any that there is, but that of the zeros of a spare, which is for speed", function()
    local left = {}
    local list <close> = assert(io.popen("ls src/raft/*.c src/raft/storage/*.c src/server/*.c"))
    for path in list:lines() do
      for _, line in ipairs(sync_lines(path)) do
        if not is_taken_away(path, line) then left[#left + 1] = path .. line end
      end
    end
    local zeros <const> = "    if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);"
    assert.same({ "src/raft/storage/wal_files.c" .. zeros }, left)
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

describe("the planted bugs of scenarios", function()
  it("are there for each check", function()
    local found = {}
    for _, mutant in ipairs(stories) do found[mutant.name:match "^story%-([%a_]+)"] = true end
    for name, f in pairs(require "kvserver.check") do
      if type(f) == "function" then assert.is_true(found[name], name) end
    end
  end)
end)
