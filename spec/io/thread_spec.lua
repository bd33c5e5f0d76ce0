local http = require "spec.support.http"

local loop_probe = http.native "loop_probe"

describe("a thread", function()
  it("runs its jobs in their order, and tells the loop of each, within a turn", function()
    local loop <close> = loop_probe.create()
    local thread <close> = loop:thread()
    local trace = {}
    for i = 1, 5 do
      thread:run(i == 1 and 20 or 0, function()
        assert(loop:in_turn())
        trace[#trace + 1] = i
      end)
    end
    assert.same({}, trace)
    while #trace < 5 do loop:turn(true) end
    assert.same({ 1, 2, 3, 4, 5 }, trace)
    assert.equal(5, thread:ran())
  end)

  it("does not hold the loop up", function()
    local loop <close> = loop_probe.create()
    local thread <close> = loop:thread()
    local over = false
    thread:run(200, function() over = true end)
    local fired = 0
    local timer <close> = loop:timer(function() fired = fired + 1 end)
    for i = 1, 3 do
      timer:arm(1)
      while fired < i do loop:turn(true) end
    end
    assert.is_false(over)
  end)

  it("ends with the job that it is at: no other begins, and nobody hears of any", function()
    local loop <close> = loop_probe.create()
    local thread = loop:thread()
    local heard = 0
    local function hear() heard = heard + 1 end
    thread:run(0, hear)
    while heard == 0 do loop:turn(true) end
    for _ = 1, 3 do thread:run(30, hear) end
    -- Until it is certainly at the first of them.
    local timer <close> = loop:timer(function() heard = heard + 100 end)
    timer:arm(10)
    while heard < 100 do loop:turn(true) end
    thread:close()
    local ran = thread:ran()
    assert.is_true(ran >= 2 and ran < 4, ran)
    loop:turn()
    loop:turn()
    assert.equal(101, heard)
    assert.equal(ran, thread:ran())
  end)

  it("may be closed when a job of it is over, while others are, too", function()
    local loop <close> = loop_probe.create()
    local thread = loop:thread()
    local heard = 0
    for _ = 1, 2 do
      thread:run(0, function()
        heard = heard + 1
        thread:close()
      end)
    end
    while thread:ran() < 2 do loop_probe.create():close() end
    loop:turn(true)
    loop:turn()
    assert.equal(1, heard)
  end)
end)
