-- Figures as text.
local figures = require "spec.support.figures"
local http = require "spec.support.http"

local probe = http.native "metrics_probe"

describe("the text of figures", function()
  it("has families, and samples with and without labels", function()
    assert.equal("# HELP a_total Things.\n# TYPE a_total counter\n", probe.family("a_total", "counter", "Things."))
    assert.equal("a_total 18446744073709551615\n", probe.value("a_total", nil, -1)) -- as the unsigned that it is
    assert.equal('a{b="c",d="e"} 1\n', probe.value("a", { { "b", "c" }, { "d", "e" } }, 1))
  end)

  it("escapes what ends a label, and nothing else", function()
    assert.equal('a{b="\\"\\\\\\n{}, ü"} 0\n', probe.value("a", { { "b", '"\\\n{}, ü' } }, 0))
  end)

  for us, text in pairs { [0] = "0", [1] = "0.000001", [1500] = "0.0015", [100000] = "0.1", [1000000] = "1",
    [61000001] = "61.000001", [10000000] = "10" } do
    it(("writes %d microseconds as %s seconds"):format(us, text), function()
      assert.equal("a " .. text .. "\n", probe.seconds("a", nil, us))
    end)
  end

  it("has histograms whose buckets are cumulative, and end with all", function()
    local histogram = probe.histogram()
    for _, us in ipairs { 5, 15, 15, 3000, 20000000 } do histogram:add(us) end
    local text = probe.family("a_seconds", "histogram", "Durations.") .. histogram:text("a_seconds", { { "x", "y" } })
    local page = figures.read(text)
    assert.same({}, page.faults)
    local function bucket(le) return page:value(('a_seconds_bucket{x="y",le="%s"}'):format(le)) end
    assert.same({ 1, 3, 3, 4, 4, 5 },
      { bucket "0.00001", bucket "0.00002", bucket "0.002", bucket "0.005", bucket "10", bucket "+Inf" })
    assert.equal(5, page:value 'a_seconds_count{x="y"}')
    assert.equal(20.003035, page:value 'a_seconds_sum{x="y"}')
  end)
end)

-- The reader that the other specs rely on.
describe("the reader of figures", function()
  local GOOD <const> = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"

  it("finds nothing wrong with what is right", function()
    assert.same({}, figures.read(GOOD).faults)
  end)

  for what, text in pairs {
    ["a sample without a family"] = "a 1\n",
    ["a sample of another family"] = GOOD .. "b 1\n",
    ["a sample that comes twice"] = GOOD .. "a_total 2\n",
    ["a family that comes twice"] = GOOD .. GOOD,
    ["a TYPE without HELP"] = "# TYPE a gauge\na 1\n",
    ["no number"] = "# HELP a A.\n# TYPE a gauge\na one\n",
    ["a label that is not closed"] = '# HELP a A.\n# TYPE a gauge\na{b="c} 1\n',
    ["a label that comes twice"] = '# HELP a A.\n# TYPE a gauge\na{b="c",b="d"} 1\n',
    ["no newline at the end"] = GOOD .. "# HELP b B.",
    ["buckets that fall"] = '# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\n',
    ["bounds that fall"] = '# HELP a A.\n# TYPE a histogram\na_bucket{le="2"} 1\na_bucket{le="1"} 1\n',
    ["a count that is not all"] = '# HELP a A.\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\n',
  } do
    it("sees " .. what, function() assert.is_true(#figures.read(text).faults > 0) end)
  end

  it("sees counters that fall, and gauges that may", function()
    local function page(counter, gauge)
      return figures.read(GOOD:gsub("1\n$", counter .. "\n") .. "# HELP b B.\n# TYPE b gauge\nb " .. gauge .. "\n")
    end
    assert.same({}, page(1, 5):fallen(page(1, 3)))
    assert.equal(1, #page(2, 5):fallen(page(1, 5)))
  end)
end)
