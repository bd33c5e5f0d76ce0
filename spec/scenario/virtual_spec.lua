-- Tasks in virtual time: the order in which they run, their failures, and who moves the clock on.
local virtual = require "kvserver.scenario.virtual"

-- Tasks over a clock that counts milliseconds and answers keys at moments: { [key] = ms }.
local function new(answers)
  local now, last, log = 0, 0, {}
  local function next_answer(limit)
    local at = limit
    for _, moment in pairs(answers or {}) do
      if moment > now and moment < at then at = moment end
    end
    return at
  end
  local tasks = virtual.new {
    now = function() return now end,
    advance = function(ms)
      now = next_answer(now + ms)
      return true
    end,
    answered = function()
      local keys = {}
      for key, moment in pairs(answers or {}) do
        if moment > last and moment <= now then keys[#keys + 1] = key end
      end
      last = now
      table.sort(keys)
      return keys
    end,
  }
  local function note(text) log[#log + 1] = ("%d %s"):format(now, text) end
  local function sleep(ms) tasks:wait { at = now + ms } end
  return tasks, note, sleep, log
end

describe("virtual tasks", function()
  it("run in the order in which they became ready, and time passes when all of them wait", function()
    local tasks, note, sleep, log = new()
    local function walker(name, ms)
      return function()
        note(name .. " begins")
        sleep(ms)
        note(name .. " ends")
      end
    end
    tasks:run(function()
      local slow, quick = tasks:spawn(walker("slow", 20)), tasks:spawn(walker("quick", 5))
      note "the others wait for their turn"
      slow:join()
      quick:join()
    end)
    assert.same({
      "0 the others wait for their turn", "0 slow begins", "0 quick begins", "5 quick ends", "20 slow ends",
    }, log)
  end)

  it("that wake at the same moment run in the order in which they began to wait", function()
    local tasks, note, sleep, log = new()
    tasks:run(function()
      local list = {}
      for i = 1, 4 do
        list[i] = tasks:spawn(function()
          sleep(10)
          note(tostring(i))
        end)
      end
      for _, one in ipairs(list) do one:join() end
    end)
    assert.same({ "10 1", "10 2", "10 3", "10 4" }, log)
  end)

  it("wait for an answer, or for its deadline", function()
    local tasks, note, _, log = new { [7] = 30 }
    tasks:run(function()
      note(tostring(tasks:wait { key = 7, at = 100 }))
      note(tostring(tasks:wait { key = 8, at = 100 }))
    end)
    assert.same({ "30 true", "100 nil" }, log)
  end)

  it("hand over what they return, and raise what they raised, to whoever joins them", function()
    local tasks = new()
    local ok, why = tasks:run(function()
      local a, b = tasks:spawn(function(x) return x, x + 1 end, 41):join()
      assert.same({ 41, 42 }, { a, b })
      tasks:spawn(function() error({ code = 7 }, 0) end):join()
    end)
    assert.is_false(ok)
    assert.same({ code = 7 }, why)
  end)

  it("end the main task with their failure, wherever it waits", function()
    local tasks, note, sleep, log = new()
    local ok, why = tasks:run(function()
      tasks:spawn(function()
        sleep(10)
        error("broken", 0)
      end)
      sleep(1000)
      note "never"
    end)
    assert.same({ false, "broken" }, { ok, why })
    assert.same({}, log)
  end)

  it("that are cancelled close their variables and do not go on", function()
    local tasks, note, sleep, log = new()
    tasks:run(function()
      local one = tasks:spawn(function()
        local _ <close> = setmetatable({}, { __close = function() note "closed" end })
        sleep(10)
        note "never"
      end)
      sleep(5)
      one:cancel()
      one:join()
      sleep(50)
    end)
    assert.same({ "5 closed" }, log)
  end)

  it("that still wait at the end of the main task are closed", function()
    local tasks, note, sleep, log = new()
    tasks:run(function()
      tasks:spawn(function()
        local _ <close> = setmetatable({}, { __close = function() note "closed" end })
        sleep(1000)
      end)
      sleep(5)
    end)
    assert.same({ "5 closed" }, log)
  end)

  it("let a coroutine inside of one wait, too: it moves the clock on itself", function()
    local tasks, note, sleep, log = new()
    tasks:run(function()
      tasks:spawn(function()
        sleep(3)
        note "beside it"
      end)
      local step = coroutine.wrap(function()
        sleep(10)
        coroutine.yield "yielded"
      end)
      note(step())
    end)
    assert.same({ "3 beside it", "10 yielded" }, log)
  end)

  it("are not needed: who waits outside of any moves the clock on", function()
    local tasks, note, sleep, log = new()
    tasks:spawn(function()
      sleep(3)
      note "a task"
    end)
    sleep(10)
    note "outside"
    assert.same({ "3 a task", "10 outside" }, log)
  end)
end)
