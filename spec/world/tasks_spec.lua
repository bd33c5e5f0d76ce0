-- Tasks in real time: what a story waits for, and how it ends.
local task = require "kvserver.task"
local tasks = require "kvserver.world.tasks"

local LONG_MS <const> = 60000
local SOON_MS <const> = 5000

-- Runs a story that waits for good, and fails it meanwhile: the failure, and how long that took.
local function fail_while(wait)
  local own <const> = tasks.new(5)
  own:spawn(function()
    own:sleep(10)
    own:fail { failed = "why" }
  end)
  local ok, why = own:run(function() wait(own) end)
  assert.is_false(ok)
  assert.same({ failed = "why" }, why)
  assert.is_true(own:now() < SOON_MS)
end

describe("a failure ends the story", function()
  it("in a sleep", function()
    fail_while(function(own) own:sleep(LONG_MS) end)
  end)

  it("in a wait for a condition", function()
    fail_while(function(own) own:wait_until(function() return false end, LONG_MS) end)
  end)

  it("in a wait for another task", function()
    fail_while(function(own) own:spawn(own.sleep, own, LONG_MS):join() end)
  end)

  it("in a wait that is none of these", function()
    fail_while(function() task.sleep(LONG_MS) end)
  end)

  it("in a coroutine of its own", function()
    fail_while(function(own) coroutine.wrap(function() own:sleep(LONG_MS) end)() end)
  end)

  it("below a pcall", function()
    fail_while(function(own)
      repeat until pcall(own.sleep, own, LONG_MS)
    end)
  end)

  it("and closes its variables", function()
    local closed = false
    fail_while(function(own)
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      repeat task.sleep(LONG_MS) until own == nil
    end)
    assert.is_true(closed)
  end)

  it("once", function()
    local own <const> = tasks.new(5)
    local _, why = own:run(function()
      own:fail "first"
      own:fail "second"
      own:sleep(LONG_MS)
    end)
    assert.equal("first", why)
  end)

  it("when a task has an error, which says where", function()
    local own <const> = tasks.new(5)
    own:spawn(function() error "an error" end)
    local ok, why, trace = own:run(function() own:sleep(LONG_MS) end)
    assert.is_false(ok)
    assert.matches("tasks_spec.lua:%d+: an error$", why)
    assert.matches("tasks_spec.lua", trace, 1, true)
  end)

  it("as its own error does", function()
    local own <const> = tasks.new(5)
    assert.same({ false, { failed = "x" } }, { own:run(function() error({ failed = "x" }, 0) end) })
  end)
end)

describe("a story that comes to its end", function()
  it("ends the other tasks", function()
    local own <const>, ended = tasks.new(5), false
    local ok <const> = own:run(function()
      own:spawn(function()
        local _ <close> = setmetatable({}, { __close = function() ended = true end })
        own:sleep(LONG_MS)
      end)
      own:sleep(1)
    end)
    assert.is_true(ok)
    assert.is_true(ended)
  end)

  it("leaves room for another one", function()
    local own <const> = tasks.new(5)
    assert.is_true((own:run(function() own:sleep(1) end)))
    assert.is_true((own:run(function() own:sleep(1) end)))
  end)
end)

describe("a task", function()
  it("gives what it returned, or its error, or nothing when it was cancelled", function()
    local own <const> = tasks.new(5)
    assert.same({ 1, nil, 3, n = 3 }, table.pack(own:spawn(function(...) return ... end, 1, nil, 3):join()))
    local cancelled <const> = own:spawn(own.sleep, own, LONG_MS)
    cancelled:cancel()
    assert.equal(0, select("#", cancelled:join()))
    local failing <const> = own:spawn(error, { failed = "x" }, 0)
    assert.same({ false, { failed = "x" } }, { pcall(failing.join, failing) })
  end)
end)

describe("time", function()
  it("passes in milliseconds and parts of them, and a wait is never too short", function()
    local own <const> = tasks.new(5)
    own:sleep(3)
    assert.is_true(own:now() >= 3 and own:now() < SOON_MS)
    assert.equal("float", math.type(own:now()))
    own:sleep(-1)
  end)

  it("ends a wait for what does not come", function()
    local own <const>, looks = tasks.new(1), 0
    assert.is_nil(own:wait_until(function() looks = looks + 1 end, 10))
    assert.is_true(looks >= 2)
    assert.is_nil(own:wait_until(function() return false end, -1))
  end)

  it("is looked at until what is waited for is there; who looks may wait, too", function()
    local own <const>, looks = tasks.new(1), 0
    assert.equal("there", own:wait_until(function()
      task.sleep(1)
      looks = looks + 1
      return looks == 3 and "there"
    end, LONG_MS))
  end)
end)
