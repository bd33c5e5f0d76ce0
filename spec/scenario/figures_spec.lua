-- What was counted in a telling, in words.
local figures = require "kvserver.scenario.figures"
local history = require "kvserver.scenario.history"

local function answered(returned, kind)
  return { kind = kind or "put", outcome = "ok", called = 0, returned = returned }
end

describe("figures", function()
  it("are sorted by their names, with the longest time without an answer", function()
    assert.equal("7 operations, 2 x kill, 1 x leader, at most 1.250 s without an answer",
      figures.text({ leader = 1, kill = 2 }, 7, 1250))
    assert.equal("0 operations", figures.text({}, 0, nil))
  end)
end)

describe("the longest time without an answer", function()
  local gap <const> = history.longest_gap

  it("is between two answers, in the order of their times", function()
    local longest, at = gap { answered(400), answered(100), answered(150) }
    assert.equal(250, longest)
    assert.equal(150, at)
  end)

  it("counts answers only, of one kind if that is asked", function()
    local unknown <const> = { kind = "put", outcome = "unknown", called = 0 }
    assert.equal(300, (gap { answered(100), unknown, answered(400) }))
    assert.equal(600, (gap({ answered(100), answered(300, "get"), answered(700) }, "put")))
  end)

  it("is unknown when hardly anything was answered", function()
    assert.is_nil((gap { answered(100) }))
  end)
end)
