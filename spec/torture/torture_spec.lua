-- A little of what `make torture` does at length.
local rounds = require "spec.torture.rounds"
local sweep = require "spec.torture.sweep"

describe("durable nodes", function()
  it("keep what they acknowledged over kill -9", function()
    assert.is_true(rounds.run({ size = 1, rounds = 1, seed = 1 }).acknowledged > 0)
  end)

  it("keep it when the power goes, too, in a cluster", function()
    local figures = rounds.run { size = 3, rounds = 1, seed = 2, lossy = true }
    assert.is_true(figures.acknowledged > 0 and figures.kills >= 3)
  end)

  it("keep it whichever call the kill takes the place of", function()
    assert.equal(6, sweep.run { first = 27, last = 27, names = true })
    assert.equal(6, sweep.run { first = 35, last = 35, names = true, recycled = true })
  end)
end)
