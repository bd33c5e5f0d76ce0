-- How a script ends, and what is left of it: as with `lua`.

local child = require "spec.support.child"
local process = require "kvserver.process"
local task = require "kvserver.task"

-- Code that fails with an object whose __tostring has this body.
local function with_tostring(body)
  return ("error(setmetatable({}, { __tostring = function() %s end }))"):format(body)
end

describe("a script", function()
  it("that returns ends with 0, whatever it returns", function()
    assert.are.same({ code = 0, signal = 0, stdout = "done\n", stderr = "" },
      child.run_script("print 'done' return 5"))
  end)

  it("that fails ends with 1 and a traceback on stderr", function()
    local result = child.run_script("local function f() error('boom') end\nf()")
    assert.are.equal(1, result.code)
    assert.are.equal("", result.stdout)
    assert.matches("^kvserver: stdin:1: boom\nstack traceback:\n", result.stderr)
    assert.matches("stdin:1: in local 'f'", result.stderr, 1, true)
    assert.matches("stdin:2: in main chunk", result.stderr, 1, true)
  end)

  it("shows an error object by its __tostring, or by its type", function()
    local result = child.run_script("error(setmetatable({}, { __tostring = function() return 'an object' end }))")
    assert.are.equal(1, result.code)
    assert.matches("kvserver: an object\n", result.stderr, 1, true)
    assert.matches("(error object is a table value)", child.run_script("error({})").stderr, 1, true)
  end)

  it("says so when the __tostring of an error object fails", function()
    for body, text in pairs {
      ["error('boom', 0)"] = "boom", ["error({})"] = "table", ["while true do end"] = "script held the loop too long",
    } do
      local result = child.run_script("local function f() " .. with_tostring(body) .. " end\nf()")
      assert.are.equal(1, result.code)
      assert.matches("kvserver: (error object is a table value, whose __tostring failed: " .. text, result.stderr, 1,
        true)
      assert.matches("in local 'f'", result.stderr, 1, true)
    end
  end)

  it("says so when the __tostring of a task's error object fails", function()
    for body, text in pairs { ["error('boom', 0)"] = "boom", ["error({})"] = "table" } do
      local result = child.run_script("local task = require('kvserver.task') task.spawn(function() "
        .. with_tostring(body) .. " end) task.sleep(1)")
      assert.are.equal(1, result.code)
      assert.matches("whose __tostring failed: " .. text, result.stderr, 1, true)
    end
  end)

  it("that is not Lua is a message with the line, and exit 1", function()
    local result = child.run_script("\nx = = 1")
    assert.are.equal(1, result.code)
    assert.matches("kvserver: stdin:2: unexpected symbol near '='", result.stderr, 1, true)
  end)

  it("that does not exist is a message with its name, and exit 1", function()
    local result = child.run { "/nowhere/x.lua" }
    assert.are.equal(1, result.code)
    assert.matches("cannot open /nowhere/x.lua", result.stderr, 1, true)
  end)

  it("may start with a line for the shell", function()
    local file <close> = child.file("#!/usr/bin/env kvserver\nprint('ran', ...)")
    assert.are.equal("ran\ta\tb\n", child.run({ file.path, "a", "b" }).stdout)
  end)

  it("finds its arguments in arg and ..., options of kvserver at negative indices", function()
    local source = "print(arg[0], arg[1], arg[2], #arg, arg[-1], arg[-2], ...)"
    local file <close> = child.file(source)
    local result = child.run({ "--script", file.path, "--listen", "x y" })
    assert.matches("^" .. file.path .. "\t%-%-listen\tx y\t2\t%-%-script\t[^\t]+\t%-%-listen\tx y\n$",
      result.stdout)
    result = child.run({ "--log-level", "warn", file.path, "--help" })
    assert.matches("^" .. file.path .. "\t%-%-help\tnil\t1\twarn\t%-%-log%-level\t%-%-help\n$", result.stdout)
  end)

  it("cancels the tasks it left behind, whose close handlers run", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      task.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() print "closed" end })
        task.sleep(60000)
      end)
      task.yield()
    ]]
    assert.are.same({ code = 0, signal = 0, stdout = "closed\n", stderr = "" }, result)
  end)

  it("may be started with its standard descriptors closed", function()
    local file <close> = child.file([[
      local node <close> = assert(require("kvserver.server").start { listen = "127.0.0.1:0" })
      io.stderr:write("to nobody, least of all into a socket")
      os.exit(7, true)
    ]])
    for _, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&- 2>&-" } do
      local result = process.run { args = { "/bin/sh", "-c", 'exec "$0" "$1" ' .. closed, process.self(), file.path } }
      assert.are.same({ 7, 0 }, { result.code, result.signal }, closed)
    end
  end)

  it("may try to start something in a finalizer that runs at the very end", function()
    for _, started in ipairs {
      "server.start { listen = '127.0.0.1:0' }", "httpclient.open { port = 1 }", "task.sleep(1)",
      "uv.new_timer():start(1, 0, print)", "uv.new_tcp()", "uv.spawn('true', {}, print)",
      "uv.getaddrinfo('localhost', nil, nil, print)",
    } do
      local result = child.run_script([[
        server, httpclient = require "kvserver.server", require "kvserver.httpclient"
        task, uv = require "kvserver.task", require "luv"
        kept = setmetatable({}, { __gc = function() started = ]] .. started .. [[ end })
      ]])
      assert.are.same({ code = 0, signal = 0, stdout = "", stderr = "" }, result, started)
    end
  end)

  it("does not get libuv for the first time in such a finalizer", function()
    assert.are.same({ code = 0, signal = 0, stdout = "", stderr = "" }, child.run_script [[
      kept = setmetatable({}, { __gc = function() started = require("luv").new_timer():start(1, 0, print) end })
    ]])
  end)

  it("that waits for what cannot happen fails instead of hanging", function()
    local result = child.run_script("require('kvserver.task').event():wait()")
    assert.are.equal(1, result.code)
    assert.matches("waiting for ever", result.stderr, 1, true)
  end)
end)

describe("the error of a task that nobody joins", function()
  it("is reported at once and makes the exit code 1", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      task.spawn(function() error("lost") end)
      task.sleep(1)
      io.stderr:write("main goes on\n")
    ]]
    assert.are.equal(1, result.code)
    assert.matches("^kvserver: a task failed: stdin:2: lost\nstack traceback:\n.*main goes on\n$", result.stderr)
  end)

  it("is reported at the end when the handle was kept", function()
    local result = child.run_script [[
      Kept = require("kvserver.task").spawn(function() error("lost") end)
      require("kvserver.task").sleep(1)
    ]]
    assert.are.equal(1, result.code)
    assert.matches("kvserver: a task failed: stdin:1: lost", result.stderr, 1, true)
  end)

  it("makes os.exit(0, true) end with 1, too", function()
    local result = child.run_script [[
      Kept = require("kvserver.task").spawn(function() error("lost") end)
      require("kvserver.task").sleep(1)
      os.exit(0, true)
    ]]
    assert.are.equal(1, result.code)
  end)

  it("is the joiner's when there is one", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      local handle = task.spawn(function() error("found") end)
      task.sleep(1)
      print(pcall(handle.join, handle))
    ]]
    assert.are.same({ code = 0, signal = 0, stdout = "false\tstdin:2: found\n", stderr = "" }, result)
  end)
end)

describe("os.exit", function()
  local codes = {
    ["os.exit()"] = 0, ["os.exit(true)"] = 0, ["os.exit(false)"] = 1, ["os.exit(7)"] = 7, ["os.exit(7, true)"] = 7,
    ["os.exit(false, true)"] = 1, ["os.exit(256 + 3)"] = 3,
  }
  for call, code in pairs(codes) do
    it(call .. " ends with " .. code, function()
      local result = child.run_script(("io.write('flushed') %s print('no')"):format(call))
      assert.are.same({ code = code, signal = 0, stdout = "flushed", stderr = "" }, result)
    end)
  end

  it("ends from a coroutine, a comparator, a task and behind pcall", function()
    for _, call in ipairs {
      "coroutine.wrap(function() os.exit(9, true) end)()",
      "table.sort({ 1, 2, 3 }, function() os.exit(9, true) end)",
      "require('kvserver.task').spawn(function() os.exit(9, true) end):join()",
      "pcall(os.exit, 9, true)",
      "setmetatable({}, { __gc = function() os.exit(9, true) end }) collectgarbage()",
    } do
      assert.are.same({ code = 9, signal = 0, stdout = "", stderr = "" }, child.run_script(call .. " print('no')"))
    end
  end)

  it("ends from a callback of libuv, past any pcall", function()
    for _, close in ipairs { "true", "false" } do
      local result = child.run_script(([[
        local timer = require("luv").new_timer()
        timer:start(0, 0, function() pcall(os.exit, 9, %s) print("no") end)
        require("kvserver.task").sleep(60000)
      ]]):format(close))
      assert.are.same({ code = 9, signal = 0, stdout = "", stderr = "" }, result)
    end
  end)

  it("with close true closes nodes, children, timers and requests in flight", function()
    local result = child.run_script [[
      local uv, task, server = require "luv", require "kvserver.task", require "kvserver.server"
      local process = require "kvserver.process"
      Node = server.start { listen = "127.0.0.1:0" }
      uv.new_timer():start(60000, 0, print)
      uv.new_tcp():connect("127.0.0.1", Node:port())
      uv.fs_stat("/", function() end)
      local sleeper = process.spawn { args = { "/bin/sleep", "60" } }
      task.spawn(function() task.sleep(60000) end)
      task.yield()
      print(sleeper.pid)
      os.exit(0, true)
    ]]
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.code)
    local sleeper = tonumber(result.stdout)
    assert.is_truthy(sleeper)
    -- Its parent is gone: whoever adopted it reaps it.
    assert.is_truthy(task.wait_until(function()
      local file = io.open(("/proc/%d/stat"):format(sleeper))
      if not file then return true end
      local state = file:read("a"):match("%) (%a)")
      file:close()
      return state == "Z"
    end, 5000))
  end)
end)

describe("SIGINT", function()
  it("ends a script that has no handler with 130", function()
    for _, body in ipairs { "task.sleep(60000)", "while true do end", "coroutine.wrap(task.sleep)(60000)" } do
      local script <close> = child.spawn_script("local task = require 'kvserver.task' print 'up' io.stdout:flush() "
        .. body)
      script:wait_line("up")
      script:kill("sigint")
      local result = assert(script:wait(20000))
      assert.are.same({ code = 130, signal = 0, stdout = "up\n", stderr = "" }, result)
    end
  end)

  it("is the script's own when it has a handler", function()
    local script <close> = child.spawn_script [[
      local uv, task = require "luv", require "kvserver.task"
      local stop = task.event()
      uv.new_signal():start("sigint", function() stop:set() end)
      print "up"
      io.stdout:flush()
      stop:wait()
      print "handled"
    ]]
    script:wait_line("up")
    script:kill("sigint")
    assert.are.same({ code = 0, signal = 0, stdout = "up\nhandled\n", stderr = "" }, script:wait(20000))
  end)
end)
