-- What real nodes are told of the faults around them, and are told again when they start.
local faults = require "kvserver.world.faults"

-- Faults, and the list of what nodes were told.
local function recorded()
  local told = {}
  return faults.new(function(...) told[#told + 1] = { ... } end), told
end

local function last(list)
  return list[#list]
end

describe("a direction", function()
  it("is a matter of the node that sends", function()
    local f <const>, told = recorded()
    f:cut("n1", "n2")
    assert.same({ { "n1", "link", "n2", { cut = true } } }, told)
  end)

  it("keeps its options over a cut, and its cut over them", function()
    local f <const>, told = recorded()
    f:link("n1", "n2", { delay = 1.5, drop = 0.5 })
    f:cut("n1", "n2")
    assert.same({ "n1", "link", "n2", { cut = true, delay_ms = 2, drop = 0.5 } }, last(told))
    f:mend("n1", "n2")
    assert.same({ "n1", "link", "n2", { cut = false, delay_ms = 2, drop = 0.5 } }, last(told))
    f:cut("n1", "n2")
    f:link("n1", "n2", nil)
    assert.same({ "n1", "link", "n2", { cut = true } }, last(told))
  end)

  it("that is whole needs no mending", function()
    local f <const>, told = recorded()
    f:mend("n1", "n2")
    assert.same({}, told)
  end)
end)

describe("a node that starts", function()
  it("is told all that is wrong with it, and nothing of what was undone or of others", function()
    local f <const>, told = recorded()
    f:cut("n1", "n2")
    f:hold("n1", "n3")
    f:disk("n1", { slow_ms = 0.5 })
    f:cut("n2", "n1")
    f:hold("n2", "n1")
    f:release("n2", "n1")
    f:disk("n2", { full = true })
    f:disk("n2", {})
    local before <const> = #told
    f:apply "n2"
    assert.same({ { "n2", "link", "n1", { cut = true } } }, table.move(told, before + 1, #told, 1, {}))
    local again <const> = #told
    f:apply "n1"
    local of_first = table.move(told, again + 1, #told, 1, {})
    table.sort(of_first, function(a, b) return a[2] .. tostring(a[3]) < b[2] .. tostring(b[3]) end)
    assert.same({
      { "n1", "disk", { slow_ms = 1 } }, { "n1", "hold", "n3" }, { "n1", "link", "n2", { cut = true } },
      { "n1", "link", "n3", { cut = false } },
    }, of_first)
  end)

  it("is told once of messages that it is to lose", function()
    local f <const>, told = recorded()
    f:drop_next("n1", "n2", "vote", true)
    assert.same({ { "n1", "drop_next", "n2", "vote", 1 } }, told)
    f:drop_next("n1", "n2", nil, false)
    assert.equal(1, #told)
    f:apply "n1"
    assert.same({ "n1", "drop_next", "n2", "any", 1 }, last(told))
    f:apply "n1"
    assert.same({ "n1", "link", "n2", { cut = false } }, last(told))
  end)

  it("is not told to tear a write twice", function()
    local f <const>, told = recorded()
    f:disk("n1", { torn_next = true, slow_ms = 5 })
    f:torn "n1"
    f:torn "n2"
    f:apply "n1"
    assert.same({ "n1", "disk", { slow_ms = 5 } }, last(told))
  end)
end)
