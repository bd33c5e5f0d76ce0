-- Where blocking verbs may be called, and what they do there.

local child = require "spec.support.child"
local loop = require "kvserver.loop"
local task = require "kvserver.task"
local uv = require "luv"

-- Runs f inside a callback of libuv and returns what it returned.
local function in_callback(f)
  local event = task.event()
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    timer:close()
    event:set(f())
  end)
  return select(2, event:wait(5000))
end

describe("a blocking verb", function()
  it("turns the loop itself in a coroutine inside a task, and other tasks go on", function()
    local ticks = 0
    local ticker = task.spawn(function()
      while true do
        ticks = ticks + 1
        task.sleep(1)
      end
    end)
    local result = coroutine.wrap(function()
      return task.wait_until(function() return ticks > 3 end, 10000) and "woken"
    end)()
    ticker:cancel()
    assert.are.equal("woken", result)
  end)

  it("does not hand its wait to whoever resumes the coroutine", function()
    local co = coroutine.create(function()
      task.sleep(1)
      coroutine.yield("own")
      return "end"
    end)
    assert.are.same({ true, "own" }, { coroutine.resume(co) })
    assert.are.same({ true, "end" }, { coroutine.resume(co) })
  end)

  it("works below C functions that cannot yield", function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      task.sleep(1)
      return a < b
    end)
    assert.are.same({ 1, 2, 3 }, list)
    assert.are.equal("b-b", (("a-a"):gsub("a", function()
      task.sleep(1)
      return "b"
    end)))
  end)

  it("is an error in a callback of libuv that says what to do instead", function()
    local message = in_callback(function() return (select(2, pcall(task.sleep, 1))) end)
    assert.are.equal("cannot wait inside a libuv callback: start a task there (task.spawn) and wait in it", message)
    message = in_callback(function()
      return (select(2, pcall(coroutine.wrap(function() task.sleep(1) end))))
    end)
    assert.matches("cannot wait inside a libuv callback", message, 1, true)
    assert.matches("libuv callback", in_callback(function() return (select(2, pcall(task.yield))) end), 1, true)
  end)

  it("has begun nothing when it is refused", function()
    local event, waker <close> = task.event(), loop.waker()
    local handle = task.spawn(function() return select(2, event:wait(5000)) end)
    in_callback(function() return pcall(handle.join, handle), pcall(waker.await, waker) end)
    event:set("set")
    assert.are.equal("set", handle:join())
    waker:wake()
    assert.is_true(waker:await())
  end)

  it("may be called in a task that a callback starts", function()
    local handle = in_callback(function()
      return task.spawn(function()
        task.sleep(1)
        return "slept"
      end)
    end)
    assert.are.equal("slept", handle:join())
  end)

  it("may be nested to a bound, then is an error that says so", function()
    local deepest = 0
    local function nest(depth)
      deepest = math.max(deepest, depth)
      local below = task.spawn(function() return coroutine.wrap(nest)(depth + 1) end)
      local ok, why = pcall(below.join, below)
      if ok then return end
      below:cancel()
      error(why, 0)
    end
    local ok, why = pcall(coroutine.wrap(nest), 1)
    assert.is_false(ok)
    assert.matches("too many waits inside each other %(16%)", why)
    assert.are.equal(17, deepest)
  end)

  it("that only yields may be nested by any number of tasks", function()
    local done = 0
    local handles = {}
    for i = 1, 100 do
      handles[i] = task.spawn(function()
        coroutine.wrap(function() for _ = 1, 3 do task.yield() end end)()
        done = done + 1
      end)
    end
    for _, handle in ipairs(handles) do handle:join() end
    assert.are.equal(100, done)
  end)

  it("is an error when nothing is left that could end it", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      print(pcall(coroutine.wrap(function() task.event():wait() end)))
    ]]
    assert.matches("^false\t.*waiting for ever", result.stdout)
  end)
end)

describe("waker", function()
  it("remembers a wake that came first, and has one waiter at a time", function()
    local waker <close> = loop.waker()
    local handle = task.spawn(function() return waker:await() end)
    task.yield()
    assert.has_error(function() waker:await() end, "somebody waits for this waker already")
    waker:wake()
    assert.is_true(handle:join())
    assert.is_true(waker:await())
  end)

  it("tells time over from woken", function()
    assert.is_false(loop.waker(1):await())
  end)

  it("does not keep the loop alive once closed, cancelled or slept", function()
    local result = child.run_script [[
      local loop, task = require "kvserver.loop", require "kvserver.task"
      do
        local _ <close> = loop.waker(60000)
      end
      local sleeper = task.spawn(task.sleep, 60000)
      task.sleep(1)
      sleeper:cancel()
      loop.waker():await()
    ]]
    assert.are.equal(1, result.code)
    assert.matches("waiting for ever", result.stderr, 1, true)
  end)
end)
