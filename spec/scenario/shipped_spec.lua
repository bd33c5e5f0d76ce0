-- The scenarios that are shipped: each is in the list of all, in the guide, begins with what it shows, and is told here
-- with a few seeds.
local process = require "kvserver.process"

local SEEDS <const> = "1..2"
local TIMEOUT_MS <const> = 60000

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- Files that declare a scenario.
local function shipped()
  local list <close>, names = assert(io.popen "grep -l '^kv.scenario(' scenarios/*.lua"), {}
  for path in list:lines() do names[#names + 1] = path:match "([^/]+)%.lua$" end
  return names
end

describe("the shipped scenarios", function()
  it("are in scenarios/all.lua and in the guide, and begin with what they show and how they would fail", function()
    local all <const>, guide <const> = read "scenarios/all.lua", read "scenarios/README.md"
    local names <const> = shipped()
    assert.is_true(#names >= 13)
    for _, name in ipairs(names) do
      assert.truthy(all:find(('{ "%s"'):format(name), 1, true), name)
      assert.truthy(guide:find(("| `%s.lua` |"):format(name), 1, true), name)
      assert.matches("^%-%- .*fail", read(("scenarios/%s.lua"):format(name)))
    end
  end)

  it("pass in the simulator with a few seeds", function()
    local done <const> = process.run {
      args = { process.self(), "--script", "scenarios/all.lua", "--world", "sim", "--seeds", SEEDS, "--only", "" },
      timeout_ms = TIMEOUT_MS,
    }
    assert.equal(0, done.code, done.stdout .. done.stderr)
    assert.matches("\n1[89] passed, 0 failed\n$", done.stdout)
  end)
end)
