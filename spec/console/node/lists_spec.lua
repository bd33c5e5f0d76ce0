-- The library `table` of statements: it does what the library's own does, also where that one is not asked.
local lists = require "kvserver.console.node.lists"

local ROUNDS <const> = 300
local MANY <const> = 5000

-- What a call gives, or that it fails.
local function outcome(f, ...)
  local results <const> = table.pack(pcall(f, ...))
  if results[1] then return results end
  return { false }
end

-- A list whose items are behind metamethods.
local function behind(items)
  return setmetatable({}, {
    __len = function() return #items end,
    __index = function(_, at) return items[at] end,
    __newindex = function(_, at, value) items[at] = value end,
  })
end

local function numbers(count)
  local list <const> = {}
  for i = 1, count do list[i] = math.random(20) end
  return list
end

-- Both do the same to a list of their own.
local function expect_same(name, items, ...)
  local expected <const>, plain, hidden = { table.unpack(items) }, { table.unpack(items) }, { table.unpack(items) }
  local result <const> = outcome(table[name], expected, ...)
  assert.same(result, outcome(lists[name], plain, ...))
  assert.same(result, outcome(lists[name], behind(hidden), ...))
  assert.same(expected, plain)
  assert.same(expected, hidden)
end

describe("lists of statements", function()
  it("are inserted into and removed from as ever", function()
    for _ = 1, ROUNDS do
      local items <const>, at = numbers(math.random(0, 5)), math.random(-1, 8)
      expect_same("insert", items, at, 7)
      expect_same("insert", items, 7)
      expect_same("insert", items, tostring(at), 7)
      expect_same("remove", items, at)
      expect_same("remove", items)
    end
    for _, wrong in ipairs { "x", 1.5, {} } do
      expect_same("insert", { 1, 2 }, wrong, 7)
      expect_same("remove", { 1, 2 }, wrong)
    end
    expect_same("insert", { 1, 2 })
    expect_same("insert", { 1, 2 }, 1, 2, 3)
  end)

  it("are joined as ever, however long", function()
    for _ = 1, ROUNDS do
      expect_same("concat", numbers(5), ({ "", ", ", 7 })[math.random(3)], math.random(0, 4), math.random(0, 6))
    end
    expect_same("concat", numbers(MANY))
    expect_same("concat", numbers(MANY), ", ", "2", MANY + 0.0)
    expect_same("concat", numbers(MANY), ", ", 1, MANY + 1)
    expect_same("concat", { 1, {}, 2 })
  end)

  it("are unpacked as ever", function()
    expect_same("unpack", numbers(5))
    expect_same("unpack", numbers(5), "2", 3.0)
    expect_same("unpack", numbers(5), 4, 2)
    expect_same("unpack", numbers(5), "x")
  end)

  it("are sorted", function()
    for count = 0, 70 do
      local items <const>, expected = numbers(count), {}
      table.move(items, 1, count, 1, expected)
      table.sort(expected)
      lists.sort(items)
      assert.same(expected, items)
      lists.sort(behind(items), function(a, b) return a > b end)
      for i = 1, count do assert.equal(expected[count + 1 - i], items[i]) end
    end
    local pairs_of <const> = { { 2, "a" }, { 1, "a" }, { 2, "b" }, { 1, "b" } }
    lists.sort(pairs_of, function(a, b) return a[1] < b[1] end)
    assert.same({ { 1, "a" }, { 1, "b" }, { 2, "a" }, { 2, "b" } }, pairs_of)
    assert.is_false((pcall(lists.sort, { 1, {} })))
    assert.is_false((pcall(lists.sort, { 1, 2 }, 7)))
    assert.is_false((pcall(lists.sort, 7)))
  end)

  it("fail in the name of who called", function()
    local chunk <const> = assert(load([[local lists = ...
      local text = lists.concat({ 1, {} })
      return text]], "=there"))
    local _, why <const> = pcall(chunk, lists)
    assert.equal("there:2: invalid value (table) at index 2 in table for 'concat'", why)
  end)

  it("have a limit where the library's own would be at it for long", function()
    local limits <const> = { [lists.move] = lists.MOVED_ITEMS_MAX, [lists.unpack] = lists.UNPACKED_ITEMS_MAX }
    for f, count in pairs(limits) do
      for _, last in ipairs { count + 1, count + 1.0, tostring(count + 1), math.maxinteger } do
        local ok <const>, why = pcall(f, {}, 1, last, 1)
        assert.is_false(ok)
        assert.matches("up to %d+ items in a console", why)
      end
      assert.is_true((pcall(f, {}, 1, count, 1)))
      assert.is_false((pcall(f, {}, math.mininteger, math.maxinteger, 1)))
    end
  end)
end)
