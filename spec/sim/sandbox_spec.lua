-- What scripts find in the globals depends on nothing outside of a simulated world.
local process = require "kvserver.process"
local sandbox = require "kvserver.sim.sandbox"
local story = require "kvserver.scenario.story"

local now_ms = 0

-- Runs a function inside, and leaves whatever happens.
local function inside(f)
  now_ms = 0
  sandbox.enter { seed = 7, now_ms = function() return now_ms end }
  local done <const> = table.pack(pcall(f))
  sandbox.leave()
  if not done[1] then error(done[2], 0) end
  return table.unpack(done, 2, done.n)
end

-- Its error, with its place.
local function what_fails(f)
  return select(2, pcall(f))
end

-- The keys of a table as a script walks over it.
local function keys_by_pairs(walked)
  local keys = {}
  for key, value in pairs(walked) do
    assert(rawequal(walked[key], value))
    keys[#keys + 1] = key
  end
  return keys
end

local function keys_by_next(walked)
  local keys = {}
  for key, value in next, walked do
    assert(rawequal(walked[key], value))
    keys[#keys + 1] = key
  end
  return keys
end

local function many_strings()
  local set, list = {}, {}
  for i = 1, 200 do
    list[i] = ("%03d"):format(i * 37 % 1000)
    set[list[i]] = i
  end
  table.sort(list)
  return set, list
end

local ORDERS <const> = {
  ["nothing"] = { {} },
  ["an array"] = { { 1, 2, 3 } },
  ["numbers"] = { { -3, -0.5, 1, 2, 2.5, 7, 1 << 40 } },
  ["few strings"] = { { "", "A", "a", "a\0", "a\0b", "aa", "b", "\xff" } },
  ["an array with a head"] = { { 1, 2, 9, 30, "count", "name" } },
  ["many strings"] = { select(2, many_strings()) },
  ["all of it"] = { { -1, 1, 2, 2.5, "a", "b", false, true } },
}

describe("walks in the sandbox", function()
  for what, case in pairs(ORDERS) do
    local keys <const> = case[1]
    it("have an order: " .. what, function()
      for _, first in ipairs { 1, #keys } do -- put in from both ends
        local walked = {}
        for place = first, #keys + 1 - first, first == 1 and 1 or -1 do walked[keys[place]] = place end
        inside(function()
          assert.same(keys, keys_by_pairs(walked))
          assert.same(keys, keys_by_next(walked))
          local key <const>, value <const> = next(walked)
          assert.same({ keys[1], keys[1] ~= nil and walked[keys[1]] or nil }, { key, value })
        end)
      end
    end)
  end

  it("meet objects in the order in which those were seen", function()
    inside(function()
      local objects, walked = {}, { [0] = true }
      for i = 1, 50 do objects[i] = i % 2 == 0 and setmetatable({}, {}) or coroutine.create(print) end
      for i = 50, 1, -1 do walked[objects[i]] = i end
      local keys = keys_by_pairs(walked)
      assert.equal(0, table.remove(keys, 1))
      for i = 1, 50 do assert.is_true(rawequal(objects[i], keys[i])) end
      assert.is_true(rawequal(objects[50], keys_by_next(walked)[51]))
    end)
  end)

  it("go on over fields that are changed or cleared", function()
    for _, walk in ipairs { "pairs", "next" } do
      local walked, met = { 1, 2, b = 1, a = 1, [9] = 1, [true] = 1 }, {}
      inside(function()
        local f, t, first
        if walk == "pairs" then f, t, first = pairs(walked) else f, t = next, walked end
        for key in f, t, first do
          met[#met + 1] = key
          walked[key] = nil
          walked[2] = walked[2] and "changed"
          walked.b = nil
          next(walked)
          for _ in next, walked do next(walked) end
        end
      end)
      assert.same({ 1, 2, 9, "a", true }, met)
      assert.is_nil(next(walked))
    end
  end)

  it("go on behind a key that went while somebody else walked", function()
    inside(function()
      local walked, met = { 1, 2, 3, a = 4, b = 5 }, {}
      for key in next, walked do
        met[#met + 1] = key
        if key == 2 or key == "a" then walked[key] = nil end
        keys_by_next(walked)
      end
      assert.same({ 1, 2, 3, "a", "b" }, met)
    end)
  end)

  it("have an order wherever a table keeps its fields", function()
    for i = 1, 50 do
      local walked <const> = { ["a" .. i] = 0, ["b" .. i] = 0, ["c" .. i] = 0, ["d" .. i] = 0, ["e" .. i] = 0 }
      walked[1], walked[2] = 0, 0 -- among the others, not in front
      assert.same({ 1, 2, "a" .. i, "b" .. i, "c" .. i, "d" .. i, "e" .. i },
        inside(function() return keys_by_pairs(walked) end))
    end
  end)

  it("begin anew with what is there then", function()
    inside(function()
      local walked = { b = 1, c = 1 }
      assert.equal("b", next(walked))
      assert.equal("c", next(walked, "b"))
      walked.bb = 1
      assert.equal("b", next(walked))
      assert.equal("bb", next(walked, "b"))
    end)
  end)

  it("respect __pairs, and see no field of __index", function()
    inside(function()
      local own = setmetatable({}, { __pairs = function() return ipairs { "x" } end })
      for key, value in pairs(own) do assert.same({ 1, "x" }, { key, value }) end
      local heir = setmetatable({ b = 1, a = 1 }, { __index = { c = 1 } })
      assert.same({ "a", "b" }, keys_by_pairs(heir))
    end)
  end)

  it("refuse what is no table, where the script stands", function()
    inside(function()
      assert.matches("sandbox_spec.lua:%d+: bad argument #1 to 'for iterator' %(table expected, got number%)",
        what_fails(function() return keys_by_pairs(5) end))
    end)
  end)
end)

describe("addresses in the sandbox", function()
  it("are numbers in the order of first sight", function()
    local shown <const> = inside(function()
      local a, b = {}, {}
      return {
        tostring(b), tostring(inside), tostring(a), ("%s and %-9s, %d %%"):format(b, a, 5), ("%p"):format(b),
        tostring(io.stdout), tostring(setmetatable({}, { __name = "mine" })),
        tostring(setmetatable({}, { __tostring = function() return "own word" end })),
      }
    end)
    assert.same({
      "table: 1", "function: 2", "table: 3", "table: 1 and table: 3 , 5 %", "0x00000001", "file (0x00000004)",
      "mine: 5", "own word",
    }, shown)
  end)

  it("change nothing of other values and of errors", function()
    inside(function()
      assert.same({ "nil", "1", "1.5", "x", "true" },
        { tostring(nil), tostring(1), tostring(1.5), tostring("x"), tostring(true) })
      assert.equal("  1.50|a ", ("%6.2f|%-2s"):format(1.5, "a"))
      for kind, value in pairs { string = "x", table = {} } do
        assert.matches("sandbox_spec.lua:%d+: bad argument #2 to 'format' %(number expected, got " .. kind .. "%)",
          what_fails(function() return (("%d"):format(value)) end))
      end
    end)
  end)
end)

describe("time and luck in the sandbox", function()
  it("has a clock that stands still with the world", function()
    inside(function()
      local first <const> = os.time()
      assert.equal(0, os.clock())
      now_ms = 61500
      assert.equal(first + 61, os.time())
      assert.equal(61.5, os.clock())
      assert.equal("2000-01-01 00:01:01", os.date("!%Y-%m-%d %H:%M:%S"))
      assert.equal("1970-01-01", os.date("!%Y-%m-%d", 0))
    end)
  end)

  it("draws what the seed says", function()
    local function draw()
      return { math.random(), math.random(10), math.random(-5, 5), math.random(0), math.random(1 << 62),
        math.random(math.mininteger, math.maxinteger) }
    end
    local first <const> = inside(draw)
    assert.same(first, inside(draw))
    assert.is_not_same(first, inside(function()
      draw()
      return draw()
    end))
    local function draw_again()
      math.randomseed(42)
      return draw()
    end
    assert.same(inside(draw_again), inside(function()
      draw()
      return draw_again()
    end))
  end)

  it("draws within bounds", function()
    inside(function()
      local seen = {}
      for _ = 1, 1000 do
        local fraction <const> = math.random()
        assert.is_true(fraction >= 0 and fraction < 1)
        seen[math.random(3)] = true
        assert.is_true(math.random(1 << 62) > 0)
      end
      assert.same({ true, true, true }, seen)
      assert.error_matches(function() return (math.random(0.5)) end, "bad argument #1 to 'random'")
      assert.error_matches(function() return (math.random(2, 1)) end, "interval is empty")
    end)
  end)
end)

describe("the way out of the sandbox", function()
  local function globals()
    return { pairs, next, tostring, print, setmetatable, coroutine.create, string.format, os.time, os.clock, os.date,
      math.random, math.randomseed }
  end

  it("leads to the originals, whatever a script has done", function()
    local before <const> = globals()
    inside(function()
      for i, f in ipairs(globals()) do assert.is_not_equal(before[i], f) end
      rawset(_G, "pairs", nil)
      rawset(math, "random", function() return 4 end)
    end)
    for i, f in ipairs(globals()) do assert.equal(before[i], f) end
    sandbox.leave()
    for i, f in ipairs(globals()) do assert.equal(before[i], f) end
  end)

  it("is not lost when somebody enters twice, or wrongly", function()
    local before <const> = globals()
    assert.has_error(function() sandbox.enter { seed = 1 } end, "now_ms: expected a function")
    assert.has_error(function() sandbox.enter { seed = "x", now_ms = print } end, "seed: expected an integer")
    assert.is_false(sandbox.entered())
    inside(function()
      assert.has_error(function() sandbox.enter { seed = 1, now_ms = print } end, "the sandbox is entered already")
      assert.is_true(sandbox.entered())
    end)
    for i, f in ipairs(globals()) do assert.equal(before[i], f) end
  end)

  it("turns what was kept from inside into the originals", function()
    local kept <const> = inside(globals)
    local walked <const> = { a = 1 }
    assert.equal(next, (kept[1](walked)))
    assert.equal("a", (kept[2](walked)))
    assert.matches("^table: 0x", kept[3](walked))
    assert.matches("^table: 0x", kept[7]("%s", walked))
    assert.is_true(kept[8]() > 1500000000)
    assert.equal("1970", kept[10]("!%Y", 0))
  end)
end)

describe("a story in virtual time", function()
  local function tell(f)
    local result <const> = story.tell("a story", {}, f, { world = "sim", seed = 5 })
    result.cluster:destroy()
    return result
  end

  it("is told in the sandbox, with its own clock and luck", function()
    local drawn, slept = {}, nil
    for i = 1, 2 do
      local result <const> = tell(function(c)
        local before <const> = os.clock()
        c.world:sleep(1500)
        slept = os.clock() - before
        drawn[i] = { math.random(1 << 30), tostring(c), os.time() }
      end)
      assert.equal("pass", result.verdict, result.why)
    end
    assert.is_true(math.abs(slept - 1.5) < 1e-6)
    assert.same(drawn[1], drawn[2])
    assert.is_false(sandbox.entered())
  end)

  it("leaves the sandbox when it fails", function()
    local result <const> = tell(function() error "no more" end)
    assert.equal("fail", result.verdict)
    assert.matches("no more", result.why)
    assert.is_false(sandbox.entered())
  end)
end)

-- Walks, shows and draws whatever would be different from run to run.
local PROGRAM <const> = [[
local sandbox = require "kvserver.sim.sandbox"
sandbox.enter { seed = 3, now_ms = function() return 1234 end }
local set = {}
for i = 1, 100 do
  set["key " .. i] = i
  set[setmetatable({}, {})] = i
  set[coroutine.create(print)] = i
end
for key, value in pairs(set) do print(key, value, math.random(100)) end
for key in next, set do print(("%s at %d"):format(key, os.time())) end
]]

it("A script in the sandbox prints the same in two processes", function()
  local function run()
    local done = process.run { args = { process.self(), "-" }, stdin = PROGRAM, timeout_ms = 20000 }
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end
  local first <const> = run()
  assert.is_true(#first > 10000)
  assert.is_true(first == run())
end)
