local loop_probe = require "loop_probe"

describe("loop", function()
  it("runs the hooks at the end of a turn, after its callbacks, in the order in which they were added", function()
    local loop <close> = loop_probe.create()
    local trace = {}
    local first <close> = loop:hook(function() trace[#trace + 1] = "first" end)
    local second <close> = loop:hook(function() trace[#trace + 1] = "second" end)
    local timer <close> = loop:timer(function() trace[#trace + 1] = "timer" end)
    timer:arm(1)
    loop:turn(true)
    assert.same({ "timer", "first", "second" }, trace)
    assert.is_not_nil(first)
    assert.is_not_nil(second)
  end)

  it("lets a hook remove itself, another one, and add one that still runs in this turn", function()
    local loop <close> = loop_probe.create()
    local trace, first, second, late = {}, nil, nil, nil
    first = loop:hook(function()
      trace[#trace + 1] = "first"
      first:remove()
      second:remove()
      late = loop:hook(function() trace[#trace + 1] = "late" end)
    end)
    second = loop:hook(function() trace[#trace + 1] = "second" end)
    local third <close> = loop:hook(function() trace[#trace + 1] = "third" end)
    loop:turn()
    loop:turn()
    assert.same({ "first", "third", "late", "third", "late" }, trace)
    assert.is_not_nil(third)
    late:remove()
  end)

  it("does not block after a wake, once", function()
    local loop <close> = loop_probe.create()
    local fired = 0
    local timer <close> = loop:timer(function() fired = fired + 1 end)
    timer:arm(20)
    loop:wake()
    assert.is_true(loop:turn(true))
    assert.equal(0, fired) -- did not wait for it
    loop:turn(true)
    assert.equal(1, fired)
  end)

  it("takes a wake from a callback as meant for the end of this turn", function()
    local loop <close> = loop_probe.create()
    local fired = {}
    local first <close> = loop:timer(function()
      loop:wake()
      fired[#fired + 1] = "first"
    end)
    local second <close> = loop:timer(function() fired[#fired + 1] = "second" end)
    first:arm(1)
    second:arm(40)
    loop:turn(true)
    loop:turn(true) -- waits
    assert.same({ "first", "second" }, fired)
  end)

  it("wakes for a hook only if that will not run in this turn any more", function()
    local loop <close> = loop_probe.create()
    local fired = 0
    local timer <close> = loop:timer(function() fired = fired + 1 end)
    local wanted
    local early <close> = loop:hook(function() if wanted then loop:hook_wake(wanted) end end)
    local later <close> = loop:hook(function() end)
    timer:arm(20)
    wanted = later
    loop:turn()
    loop:turn(true) -- blocks: `later` still ran in the turn before
    assert.equal(1, fired)
    timer:arm(20)
    wanted = early
    loop:turn()
    loop:turn(true) -- does not: `early` had run
    assert.equal(1, fired)
  end)

  it("says whether there is anything to wait for", function()
    local loop <close> = loop_probe.create()
    local timer <close> = loop:timer(function() end)
    assert.is_false(loop:turn())
    timer:arm(1000)
    assert.is_true(loop:turn())
    timer:disarm()
    assert.is_false(loop:turn(true)) -- and does not block for ever
  end)

  it("fires a timer once, not early, and as it was armed last", function()
    local loop <close> = loop_probe.create()
    local fired_ms
    local timer <close> = loop:timer(function() fired_ms = loop:now_ms() end)
    timer:arm(1)
    timer:arm(30)
    local start_ms = loop:now_ms()
    assert.is_false(loop:turn(true))
    assert.is_true(fired_ms - start_ms >= 29, "after " .. fired_ms - start_ms)
    fired_ms = nil
    loop:turn()
    assert.is_nil(fired_ms)
  end)

  it("ends a turn after a timer that was due when it began", function()
    local loop <close> = loop_probe.create()
    local fired = {}
    local due <close> = loop:timer(function() fired[#fired + 1] = "due" end)
    local later <close> = loop:timer(function() fired[#fired + 1] = "later" end)
    due:arm(0)
    later:arm(100)
    loop:turn(true)
    assert.same({ "due" }, fired)
  end)

  it("counts a delay from now, not from the last turn", function()
    local loop <close> = loop_probe.create()
    loop:turn()
    local busy_until = os.clock() + 0.05
    repeat until os.clock() > busy_until -- time passes between turns
    local fired = false
    local timer <close> = loop:timer(function() fired = true end)
    timer:arm(30)
    loop:turn()
    assert.is_false(fired)
  end)

  it("shows one time during a turn, and a fresh one between turns", function()
    local loop <close> = loop_probe.create()
    local before_ms, after_ms, inside
    local hook <close> = loop:hook(function()
      before_ms = loop:now_ms()
      local busy_until = os.clock() + 0.01
      repeat until os.clock() > busy_until
      after_ms = loop:now_ms()
      inside = loop:in_turn()
    end)
    loop:turn()
    assert.is_not_nil(hook)
    assert.is_true(inside)
    assert.is_false(loop:in_turn())
    assert.equal(before_ms, after_ms)
    assert.is_true(loop:now_ms() > after_ms)
  end)

  it("brings the end of a job back to the loop", function()
    local loop <close> = loop_probe.create()
    local done = 0
    for _ = 1, 10 do loop:work(function() done = done + 1 end) end
    while loop:turn(true) do end
    assert.equal(10, done)
  end)

  it("waits for jobs when it is destroyed", function()
    local loop = loop_probe.create()
    local done = false
    loop:work(function() done = true end)
    loop:close()
    assert.is_true(done)
  end)
end)
