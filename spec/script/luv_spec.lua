-- luv lives on the loop of the VM.

local child = require "spec.support.child"
local task = require "kvserver.task"
local uv = require "luv"

describe("luv", function()
  it("runs its callbacks while tasks wait", function()
    local event = task.event()
    local timer = uv.new_timer()
    timer:start(1, 0, function()
      timer:close()
      event:set("fired")
    end)
    assert.are.same({ true, "fired" }, { event:wait(5000) })
  end)

  it("does not wait on after a callback that made a task ready", function()
    -- Both timers are due when the turn begins; the task must not sleep until the third.
    local long = uv.new_timer()
    long:start(60000, 0, function() end)
    local event = task.event()
    local short = uv.new_timer()
    short:start(0, 0, function() event:set() end)
    local start_ms = task.now_ms()
    assert.is_true(event:wait(30000))
    assert.is_true(task.now_ms() - start_ms < 10000)
    long:close()
    short:close()
  end)

  for _, name in ipairs { "run", "stop", "loop_close", "walk", "new_thread", "new_work", "queue_work" } do
    it("withholds " .. name .. " and says why", function()
      local ok, why = pcall(uv[name])
      assert.is_false(ok)
      assert.matches("^uv%." .. name .. " is not available here: %a", why)
    end)
  end

  it("is the same module for every require", function()
    assert.are.equal(uv, require "luv")
  end)

  it("ends the script with exit 1 and a traceback when a callback fails", function()
    local result = child.run_script [[
      local function fail() error("in a callback") end
      require("luv").new_timer():start(0, 0, function() fail() end)
      require("kvserver.task").sleep(60000)
    ]]
    assert.are.equal(1, result.code)
    assert.matches("^kvserver: stdin:1: in a callback\nstack traceback:\n", result.stderr)
    assert.matches("stdin:2: in function <stdin:2>", result.stderr, 1, true)
  end)

  it("runs no callback after the script has ended", function()
    local result = child.run_script [[
      local uv = require "luv"
      local timer = uv.new_timer()
      timer:start(0, 1, function() print "tick" end)
      uv.fs_stat("/", function() print "stat" end)
    ]]
    assert.are.same({ code = 0, signal = 0, stdout = "", stderr = "" }, result)
  end)
end)
