-- Durations as scenarios write them.
local duration = require "kvserver.scenario.duration"

describe("a duration", function()
  it("is a number and a unit", function()
    assert.equal(80, duration.ms "80ms")
    assert.equal(1500, duration.ms "1.5s")
    assert.equal(120000, duration.ms "2m")
    assert.equal(3600000, duration.ms "1h")
    assert.equal(0, duration.ms "0ms")
  end)

  it("that is absent is the default", function()
    assert.equal(3000, duration.ms(nil, "3s"))
    assert.equal(50, duration.ms("50ms", "3s"))
  end)

  it("of any other look is an error that shows it", function()
    for _, text in ipairs { "", "80", "ms", "80 ms", "-1s", "1d", "1s ", "1e3s", 80 } do
      local ok, why = pcall(duration.ms, text)
      assert.is_false(ok)
      assert.truthy(why:find('expected a duration such as "80ms", "3s" or "2m", got ' .. text, 1, true))
    end
  end)

  it("is shown in what fits", function()
    assert.equal("571 ms", duration.text(571.4))
    assert.equal("1.766 s", duration.text(1766))
  end)
end)
