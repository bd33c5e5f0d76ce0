local loop = require "kvserver.loop"
local task = require "kvserver.task"

-- A task that waits until it is cancelled.
local function waiter()
  return task.spawn(function() task.event():wait(60000) end)
end

describe("task.spawn", function()
  it("passes arguments and results, nil included", function()
    local handle = task.spawn(function(...)
      task.yield()
      return select("#", ...), ...
    end, 1, nil, "x", nil)
    assert.are.same({ n = 5, 4, 1, nil, "x", nil }, table.pack(handle:join()))
  end)

  it("runs the task later, not inside the call", function()
    local ran = false
    local handle = task.spawn(function() ran = true end)
    assert.is_false(ran)
    handle:join()
    assert.is_true(ran)
  end)

  it("takes a function only", function()
    assert.has_error(function() task.spawn("x") end, "bad argument #1 to 'spawn' (function expected, got string)")
  end)

  it("runs ready tasks in the order in which they became ready", function()
    local order = {}
    local handles = {}
    for i = 1, 5 do handles[i] = task.spawn(function() order[#order + 1] = i end) end
    for _, handle in ipairs(handles) do handle:join() end
    assert.are.same({ 1, 2, 3, 4, 5 }, order)
  end)
end)

describe("task.sleep", function()
  it("lets other tasks run and never returns early", function()
    local ticks = 0
    local ticker = task.spawn(function()
      while true do
        ticks = ticks + 1
        task.sleep(1)
      end
    end)
    local start_ms = task.now_ms()
    task.sleep(40)
    ticker:cancel()
    assert.is_true(task.now_ms() - start_ms >= 40)
    assert.is_true(ticks > 1)
  end)

  it("yields across pcall, xpcall, metamethods, iterators and close handlers", function()
    local trail = {}
    local function pause(name)
      task.sleep(1)
      trail[#trail + 1] = name
      return name
    end
    assert.are.same({ true, "pcall" }, { pcall(pause, "pcall") })
    assert.is_true(xpcall(pause, debug.traceback, "xpcall"))
    local meta = setmetatable({}, { __index = function(_, key) return pause(key) end })
    assert.are.equal("index", meta.index)
    for name in function(_, previous) return not previous and pause("iterator") or nil end do
      assert.are.equal("iterator", name)
    end
    do
      local _ <close> = setmetatable({}, { __close = function() pause("close") end })
    end
    assert.are.same({ "pcall", "xpcall", "index", "iterator", "close" }, trail)
  end)

  it("refuses what is not a duration", function()
    assert.has_error(function() task.sleep(-1) end)
    assert.has_error(function() task.sleep(0 / 0) end)
    assert.has_error(function() task.sleep(1e12) end)
    assert.has_error(function() task.sleep({}) end)
  end)
end)

describe("handle:join", function()
  it("raises the error of the task as it was, tables included", function()
    local problem = { code = 7 }
    local handle = task.spawn(function() error(problem) end)
    local ok, got = pcall(handle.join, handle)
    assert.is_false(ok)
    assert.are.equal(problem, got)
    assert.are.equal("failed", handle:status())
  end)

  it("gives the same outcome to everybody who asks, before and after the end", function()
    local gate = task.event()
    local handle = task.spawn(function() return select(2, gate:wait(5000)) end)
    local early = task.spawn(function() return handle:join() end)
    task.yield()
    gate:set("through")
    assert.are.equal("through", early:join())
    assert.are.equal("through", handle:join())
    assert.are.equal("done", handle:status())
  end)

  it("refuses to wait for itself", function()
    local handle
    handle = task.spawn(function() return pcall(handle.join, handle) end)
    local ok, why = handle:join()
    assert.is_false(ok)
    assert.are.equal("a task cannot join itself", why)
  end)
end)

describe("handle:cancel", function()
  it("closes the task where it waits and runs its close handlers", function()
    local closed = false
    local handle = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      task.sleep(60000)
    end)
    task.yield()
    assert.are.equal("waiting", handle:status())
    handle:cancel()
    assert.is_true(closed)
    assert.are.equal("cancelled", handle:status())
    assert.has_error(function() handle:join() end, "the task was cancelled")
  end)

  it("wakes who joins", function()
    local handle = waiter()
    local joiner = task.spawn(function() return pcall(handle.join, handle) end)
    task.yield()
    handle:cancel()
    assert.are.same({ false, "the task was cancelled" }, { joiner:join() })
  end)

  it("works before the task has run at all, and changes nothing after its end", function()
    local never = task.spawn(function() error("must not run") end)
    never:cancel()
    assert.are.equal("cancelled", never:status())
    local done = task.spawn(function() return 1 end)
    done:join()
    done:cancel()
    assert.are.equal(1, done:join())
  end)

  it("is refused to the task itself", function()
    local handle
    handle = task.spawn(function() return pcall(handle.cancel, handle) end)
    local ok, why = handle:join()
    assert.is_false(ok)
    assert.matches("a task cannot cancel itself", why, 1, true)
  end)

  it("leaves an operation in flight to end on its own", function()
    local woken = loop.waker(5)
    local handle = task.spawn(function() woken:await() end)
    task.yield()
    handle:cancel()
    collectgarbage()
    task.sleep(15) -- the timer fires for nobody
    assert.are.equal("cancelled", handle:status())
    assert.is_false(woken:await())
  end)

  it("ends a task that computes without end", function()
    local handle = task.spawn(function() while true do end end)
    task.sleep(5)
    handle:cancel()
    assert.are.equal("cancelled", handle:status())
  end)

  it("turns the error of a close handler into the outcome", function()
    local handle = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() error("close failed", 0) end })
      task.sleep(60000)
    end)
    task.yield()
    handle:cancel()
    assert.has_error(function() handle:join() end, "close failed")
  end)

  it("reaches a task that waits in a coroutine of its own, when that wait is over", function()
    local handle = task.spawn(function()
      coroutine.wrap(function() task.sleep(20) end)()
      task.sleep(60000)
    end)
    local canceller = task.spawn(function()
      task.sleep(1)
      handle:cancel()
    end)
    canceller:join()
    assert.has_error(function() handle:join() end, "the task was cancelled")
  end)
end)

describe("task.yield", function()
  it("lets every ready task go once", function()
    local trail = {}
    local other = task.spawn(function()
      trail[#trail + 1] = "b"
      task.yield()
      trail[#trail + 1] = "b"
    end)
    trail[#trail + 1] = "a"
    task.yield()
    trail[#trail + 1] = "a"
    other:join()
    assert.are.same({ "a", "b", "a", "b" }, trail)
  end)

  it("is what a bare coroutine.yield does in a task", function()
    local other = task.spawn(function() return "ran" end)
    assert.are.equal(0, select("#", coroutine.yield(1, 2, 3)))
    assert.are.equal("done", other:status())
  end)
end)

describe("event", function()
  it("wakes everybody with the values of the first set", function()
    local event = task.event()
    local waiters = {}
    for i = 1, 3 do waiters[i] = task.spawn(function() return event:wait(5000) end) end
    task.yield()
    event:set(1, nil)
    event:set(2)
    for i = 1, 3 do assert.are.same({ n = 3, true, 1, nil }, table.pack(waiters[i]:join())) end
    assert.are.same({ true, 1 }, { event:wait() })
  end)

  it("returns false when the time is over", function()
    local start_ms = task.now_ms()
    assert.is_false(task.event():wait(10))
    assert.is_true(task.now_ms() - start_ms >= 10)
  end)
end)

describe("task.wait_until", function()
  it("returns what the condition returned, or nil and why", function()
    local calls = 0
    assert.are.equal(3, task.wait_until(function()
      calls = calls + 1
      return calls == 3 and calls
    end, 5000))
    assert.are.same({ nil, "timeout" }, { task.wait_until(function() return false end, 5) })
  end)
end)
