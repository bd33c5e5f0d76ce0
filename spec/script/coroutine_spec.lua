-- Coroutines that let their task be preempted, and wait: as Lua's own in everything else.
local passing = require "kvserver.coroutine"
local task = require "kvserver.task"

-- Runs in a task, and counts how often another one had its turn meanwhile.
local function beside(f)
  local turns, over = 0, false
  local other <const> = task.spawn(function()
    while not over do
      turns = turns + 1
      task.yield()
    end
  end)
  local results <const> = table.pack(pcall(f))
  over = true
  other:join()
  return turns, table.unpack(results, 1, results.n)
end

local function spin(rounds)
  local sum = 0
  for i = 1, rounds do sum = sum + i % 7 end
  return sum
end

describe("a coroutine through which yields pass", function()
  it("is preempted, at any depth, and goes on where it was", function()
    local rounds <const>, expected = 3000000, spin(3000000)
    local turns <const>, ok, sum = beside(function()
      return passing.wrap(function()
        local inner <const> = coroutine.create(function() return spin(rounds) end)
        return select(2, passing.resume(inner))
      end)()
    end)
    assert.is_true(ok)
    assert.equal(expected, sum)
    assert.is_true(turns > 3, turns .. " turns")
  end)

  it("waits while other tasks go on", function()
    local turns <const>, ok, slept = beside(function()
      return passing.wrap(function()
        local began_ms <const> = task.now_ms()
        task.sleep(20)
        return task.now_ms() - began_ms >= 20
      end)()
    end)
    assert.same({ true, true }, { ok, slept })
    assert.is_true(turns > 3, turns .. " turns")
  end)

  it("does not hold up one that waits below it, whichever ends first", function()
    local order <const> = {}
    local function sleeper(ms)
      return task.spawn(passing.wrap(function()
        task.sleep(ms)
        order[#order + 1] = ms
      end))
    end
    local slow <const>, quick = sleeper(40), sleeper(5)
    quick:join()
    assert.same({ 5 }, order)
    slow:join()
    assert.same({ 5, 40 }, order)
  end)

  it("yields to its caller what it yields itself, whatever happens in between", function()
    local generator <const> = passing.wrap(function(...)
      local got = table.pack(...)
      for i = 1, 3 do
        task.sleep(1)
        spin(200000)
        task.yield()
        got = table.pack(coroutine.yield(i, got.n))
      end
      return "end"
    end)
    assert.same({ 1, 2 }, { generator("a", nil) })
    assert.same({ 2, 0 }, { generator() })
    assert.same({ 3, 1 }, { generator("b") })
    assert.same({ "end" }, { generator() })
  end)

  it("is closed with its task where it waits", function()
    local closed = false
    local worker <const> = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      passing.wrap(function() task.sleep(100000) end)()
    end)
    task.sleep(2)
    assert.equal("waiting", worker:status())
    worker:cancel()
    assert.equal("cancelled", worker:status())
    assert.is_true(closed)
  end)

  it("is the scheduler's alone while it is that of a task", function()
    local co
    local worker <const> = task.spawn(function()
      co = coroutine.running()
      task.sleep(5)
      return "slept"
    end)
    task.yield()
    assert.equal("waiting", worker:status())
    assert.same({ false, "cannot resume non-suspended coroutine" }, { passing.resume(co) })
    assert.is_false((pcall(passing.close, co)))
    assert.equal("slept", worker:join())
    assert.is_true(passing.close(co))
  end)

  it("waits in place where a C function stands in between", function()
    local list <const> = { 3, 1, 2 }
    passing.wrap(function()
      table.sort(list, function(a, b)
        return passing.wrap(function()
          task.sleep(1)
          return a < b
        end)()
      end)
    end)()
    assert.same({ 1, 2, 3 }, list)
  end)

  -- What Lua's own do, these do.
  local same <const> = {
    ["results"] = function(library)
      return library.resume(coroutine.create(function(...) return ... end), 1, nil, 3)
    end,
    ["an error"] = function(library) return library.resume(coroutine.create(function() error("no", 0) end)) end,
    ["an error that is a table"] = function(library)
      local ok <const>, why = library.resume(coroutine.create(function() error { 1 } end))
      return ok, why[1]
    end,
    ["a dead one"] = function(library)
      local co <const> = coroutine.create(function() end)
      library.resume(co)
      return library.resume(co)
    end,
    ["one that failed"] = function(library)
      local co <const> = coroutine.create(error)
      library.resume(co)
      return coroutine.status(co), library.resume(co)
    end,
    ["itself"] = function(library) return library.resume(coroutine.running()) end,
    ["who resumes it"] = function(library)
      local outer
      outer = coroutine.create(function() return library.resume(coroutine.create(function()
        return library.resume(outer)
      end)) end)
      return library.resume(outer)
    end,
    ["no coroutine"] = function(library) return pcall(library.resume, 1) end,
    ["no coroutine to close"] = function(library) return pcall(library.close, 1) end,
    ["one that is closed"] = function(library)
      local handler <const> = { __close = function() error("no", 0) end }
      local co <const> = coroutine.create(function()
        local _ <close> = setmetatable({}, handler)
        coroutine.yield()
      end)
      coroutine.resume(co)
      return library.close(co)
    end,
    ["no function"] = function(library) return pcall(library.wrap, 1) end,
    ["a wrapped one that is dead"] = function(library)
      local f <const> = library.wrap(function() end)
      f()
      return pcall(f)
    end,
    ["a wrapped one that fails"] = function(library)
      local closed = false
      local f <const> = library.wrap(function()
        local _ <close> = setmetatable({}, { __close = function() closed = true end })
        error("no")
      end)
      local ok <const>, why = pcall(f)
      return ok, why, closed
    end,
    ["many results"] = function(library)
      return #table.pack(library.wrap(function() return table.unpack({}, 1, 5000) end)())
    end,
  }
  for what, f in pairs(same) do
    it("is as Lua's own with " .. what, function()
      local function run(library)
        local results <const> = table.pack(pcall(f, library))
        for i = 1, results.n do results[i] = tostring(results[i]):gsub("kvserver%.", "") end
        return results
      end
      assert.same(run(coroutine), run(passing))
    end)
  end
end)
