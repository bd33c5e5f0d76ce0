-- A taste of `make torture`.
local lossy = require "spec.torture.lossy"
local rounds = require "spec.torture.rounds"

describe("a durable node", function()
  it("loses nothing that it acknowledged when it is killed, and its power goes", function()
    local figures <const> = rounds.run { size = 1, rounds = 2, lossy = lossy.module() ~= nil, seed = 1 }
    assert.is_true(figures.acknowledged > 0)
  end)
end)

describe("three durable nodes", function()
  it("lose nothing that they acknowledged when all are killed, and their power goes", function()
    local figures <const> = rounds.run { size = 3, rounds = 1, lossy = lossy.module() ~= nil, seed = 2 }
    assert.is_true(figures.acknowledged > 0)
  end)
end)
