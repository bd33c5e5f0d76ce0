-- Durations in buckets.
local http = require "spec.support.http"

local probe = http.native "metrics_probe"

local BOUNDS <const> = probe.bounds()

describe("a histogram", function()
  it("has bounds that rise from 10 microseconds to 10 seconds", function()
    assert.same({ 10, 10000000 }, { BOUNDS[1], BOUNDS[#BOUNDS] })
    for i = 2, #BOUNDS do assert.is_true(BOUNDS[i] > BOUNDS[i - 1]) end
  end)

  it("puts a duration into the first bucket whose bound is not below it", function()
    for i, bound in ipairs(BOUNDS) do
      local histogram = probe.histogram()
      histogram:add(bound)
      histogram:add(bound + 1)
      local buckets = histogram:figures().buckets
      assert.same({ 1, 1 }, { buckets[i], buckets[i + 1] })
    end
  end)

  it("counts, sums up and remembers the longest", function()
    local histogram = probe.histogram()
    histogram:add(0)
    histogram:add(700, 3)
    histogram:add(90000000)
    histogram:add(5, 0)
    local figures = histogram:figures()
    assert.same({ 5, 90002100, 90000000 }, { figures.count, figures.sum_us, figures.max_us })
    assert.equal(1, figures.buckets[#BOUNDS + 1])
  end)

  it("estimates quantiles between the bounds of a bucket", function()
    local histogram = probe.histogram()
    assert.equal(0, histogram:quantile(500))
    for us = 1001, 2000 do histogram:add(us) end
    for _, row in ipairs { { 0, 1001 }, { 500, 1500 }, { 990, 1990 }, { 1000, 2000 } } do
      assert.equal(row[2], histogram:quantile(row[1]), row[1])
    end
  end)

  it("never estimates more than the longest, nor less than what lies below the bucket", function()
    local histogram = probe.histogram()
    histogram:add(1100, 1000)
    assert.equal(1100, histogram:quantile(1000))
    assert.is_true(histogram:quantile(500) > 1000)
    histogram:add(60000000, 1000)
    assert.equal(60000000, histogram:quantile(1000))
    assert.is_true(histogram:quantile(750) > 10000000)
    assert.is_true(histogram:quantile(500) <= 2000)
  end)

  it("does not overflow with as many as there may ever be", function()
    local histogram = probe.histogram()
    histogram:add(20000000, 1 << 38)
    assert.equal(20000000, histogram:quantile(1000))
    assert.is_true(histogram:quantile(500) < 16000000)
  end)
end)
