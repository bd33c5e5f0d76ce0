-- Scripts that do not let go: the node next to them goes on, and what cannot be preempted is stopped.

local child = require "spec.support.child"
local server = require "kvserver.server"
local task = require "kvserver.task"

describe("a task that computes without end", function()
  it("does not hold up a node in the same process, however many there are", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0" })
    local spinners = {}
    local _ <close> = setmetatable({}, { __close = function() for _, s in ipairs(spinners) do s:cancel() end end })
    for i = 1, 40 do spinners[i] = task.spawn(function() while true do end end) end
    -- The client is a process of its own: as a task here it would stand in line behind all the others.
    local result = child.run_script(([[
      local client = require "kvserver.client".connect("127.0.0.1:%d")
      local task = require "kvserver.task"
      local times_ms = {}
      for i = 1, 9 do
        local start_ms = task.now_ms()
        assert(client:put("k", "v").ok)
        times_ms[i] = task.now_ms() - start_ms
      end
      table.sort(times_ms)
      print(times_ms[5])
    ]]):format(node:port()))
    assert.are.equal("", result.stderr)
    local median_ms = tonumber(result.stdout)
    assert.is_true(median_ms < 100, ("median answer after %d ms"):format(median_ms))
  end)

  it("is preempted inside pcall, metamethods and generators, too", function()
    local bodies = {
      function() pcall(function() while true do end end) end,
      function()
        local t = setmetatable({}, { __index = function() while true do end end })
        return t.x
      end,
      function()
        local numbers = coroutine.wrap(function()
          while true do
            for i = 1, 20000 do local _ = i end
            coroutine.yield(1)
          end
        end)
        while true do numbers() end
      end,
    }
    for _, body in ipairs(bodies) do
      local spinner = task.spawn(body)
      for _ = 1, 3 do task.sleep(1) end
      assert.are.equal("ready", spinner:status())
      spinner:cancel()
    end
  end)
end)

describe("an endless loop that cannot be preempted", function()
  local endless = {
    ["in a coroutine behind pcall"] =
      "coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()",
    ["in a comparator"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ["in a message handler"] = "xpcall(error, function() coroutine.wrap(function() while true do end end)() end)",
  }
  local running = {} -- all at once: each takes its time

  setup(function()
    for where, code in pairs(endless) do
      local source <const> = ("print(pcall(function()\nlocal _ = %s\nend)) print('swallowed')"):format(code)
      running[where] = task.spawn(function() return child.run_script(source) end)
    end
  end)

  for where in pairs(endless) do
    it("is ended with an error that pcall cannot swallow: " .. where, function()
      local result = running[where]:join()
      assert.are.equal(1, result.code)
      assert.are.equal("", result.stdout)
      assert.matches("script held the loop too long", result.stderr, 1, true)
      assert.matches("stdin:%d", result.stderr)
    end)
  end

  it("in a callback of libuv ends the script", function()
    local result = child.run_script [[
      local uv, task = require "luv", require "kvserver.task"
      uv.new_timer():start(0, 0, function() while true do pcall(function() while true do end end) end end)
      task.sleep(60000)
    ]]
    assert.are.equal(1, result.code)
    assert.matches("script held the loop too long", result.stderr, 1, true)
  end)

  it("in a close handler ends that handler, and the program", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      for i = 1, 2 do
        task.spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            print("closing", i)
            while i == 1 do end
          end })
          task.sleep(60000)
        end)
      end
      task.yield()
    ]]
    assert.are.equal(1, result.code)
    assert.are.equal("closing\t1\nclosing\t2\n", result.stdout)
    assert.matches("script held the loop too long", result.stderr, 1, true)
  end)

  it("ends its task alone; who joins it gets the error", function()
    local result = child.run_script [[
      local task = require "kvserver.task"
      local bad = task.spawn(function() pcall(coroutine.wrap(function() while true do end end)) return "no" end)
      local ok, why = pcall(bad.join, bad)
      print(ok, why:match("held the loop too long"))
    ]]
    assert.are.equal("false\theld the loop too long\n", result.stdout)
    assert.are.equal(0, result.code)
  end)
end)

describe("--script-memory-bytes", function()
  it("gives a plain error, with traceback and exit 1", function()
    local result = child.run_script("local t = {}\nwhile true do t[#t + 1] = ('x'):rep(1000) .. #t end",
      "--script-memory-bytes", "20000000")
    assert.are.equal(1, result.code)
    assert.matches("kvserver: not enough memory\nstack traceback:\n", result.stderr, 1, true)
    assert.matches("stdin:2: in main chunk", result.stderr, 1, true)
  end)

  it("leaves a script that catches the error in working order", function()
    local result = child.run_script([[
      print(pcall(string.rep, "x", 100000000))
      print(#("x"):rep(1000000))
    ]], "--script-memory-bytes", "20000000")
    assert.are.equal("false\tnot enough memory\n1000000\n", result.stdout)
    assert.are.equal(0, result.code)
  end)
end)
