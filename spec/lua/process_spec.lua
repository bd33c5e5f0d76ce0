local child_support = require "spec.support.child"
local process = require "kvserver.process"
local task = require "kvserver.task"

local function sh(script, more)
  local spec = { args = { "/bin/sh", "-c", script }, timeout_ms = 20000 }
  for key, value in pairs(more or {}) do spec[key] = value end
  return spec
end

-- True while there is such a process that is not a zombie.
local function alive(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local state = file:read("a"):match("%) (%a)")
  file:close()
  return state ~= "Z"
end

describe("process.run", function()
  it("collects exit code and both outputs", function()
    assert.are.same({ code = 3, signal = 0, stdout = "out", stderr = "err" },
      process.run(sh("printf out; printf err >&2; exit 3")))
  end)

  it("feeds stdin, then its end", function()
    assert.are.equal("text", process.run(sh("cat", { stdin = "text" })).stdout)
    assert.are.equal("", process.run(sh("cat")).stdout)
  end)

  it("does not mind a child that does not read its stdin", function()
    assert.are.equal(0, process.run(sh("exit 0", { stdin = ("x"):rep(1000000) })).code)
  end)

  it("collects more than a pipe holds", function()
    assert.are.equal(1000000, #process.run(sh("yes | head -c 1000000")).stdout)
  end)

  it("says which signal ended the child", function()
    local result = process.run(sh("kill -TERM $$"))
    assert.are.same({ 0, 15 }, { result.code, result.signal })
  end)

  it("adds to the environment, and removes", function()
    local result = process.run(sh("echo $KV_ADDED $HOME", { env = { KV_ADDED = "yes", HOME = false } }))
    assert.are.equal("yes\n", result.stdout)
  end)

  it("kills the child when the time is over, and shows what it had said", function()
    local ok, why = pcall(process.run, sh("echo partial; echo $$ >&2; exec sleep 60", { timeout_ms = 300 }))
    assert.is_false(ok)
    assert.matches("timeout\nstdout: partial\n", why, 1, true)
    local pid = tonumber(why:match("stderr: (%d+)"))
    assert.is_truthy(task.wait_until(function() return not alive(pid) end, 5000))
  end)

  it("is an error for a program that is not there", function()
    assert.error_matches(function() process.run { args = { "/nowhere/program" } } end, "/nowhere/program: ENOENT")
  end)
end)

describe("process.spawn", function()
  it("waits for a line and returns its captures", function()
    local child <close> = process.spawn(sh("sleep 0.05; echo ready on 4711; exec sleep 60"))
    assert.are.equal("4711", child:wait_line("ready on (%d+)", 10000))
  end)

  it("shows the output when the line does not come", function()
    local child <close> = process.spawn(sh("echo something else"))
    local ok, why = pcall(child.wait_line, child, "ready", 10000)
    assert.is_false(ok)
    assert.matches("ended without \"ready\"\nstdout: something else", why, 1, true)
  end)

  it("kills the child when the handle is closed", function()
    local pid
    do
      local child <close> = process.spawn(sh("exec sleep 60"))
      pid = child.pid
      assert.is_true(alive(pid))
    end
    assert.is_truthy(task.wait_until(function() return not alive(pid) end, 5000))
  end)

  it("appends what the child says on stderr to a file", function()
    local file <close> = child_support.file "before\n"
    for i = 1, 2 do
      local child <close> = process.spawn(sh("echo out; echo err " .. i .. " >&2", { stderr = { path = file.path } }))
      assert.are.same({ code = 0, signal = 0, stdout = "out\n", stderr = "" }, child:wait(10000))
    end
    local log <close> = io.open(file.path)
    assert.are.equal("before\nerr 1\nerr 2\n", log:read "a")
    assert.error_matches(function() process.spawn(sh("true", { stderr = { path = "/nowhere/log" } })) end, "ENOENT")
  end)

  it("kills a child, also one that is stopped, and stays until it is gone", function()
    local child <close> = process.spawn(sh("exec sleep 60"))
    child:kill("sigstop")
    child:destroy()
    assert.is_false(alive(child.pid))
    child:destroy()
    assert.are.equal(9, child:wait(10000).signal)
    child:destroy()
  end)

  it("sends signals, and none to a child that has ended", function()
    local child <close> = process.spawn(sh("exec sleep 60"))
    child:kill("sigterm")
    assert.are.equal(15, child:wait(10000).signal)
    child:kill("sigterm")
  end)

  it("gives nil when a wait is over before the child", function()
    local child <close> = process.spawn(sh("exec sleep 60"))
    assert.are.same({ nil, "timeout" }, { child:wait(10) })
  end)

  it("ties a kvserver to its parent, even if that is killed", function()
    local parent <close> = process.spawn {
      args = { process.self(), "-" },
      stdin = [[
        local process = require "kvserver.process"
        local child = process.spawn { args = { process.self(), "-" },
          stdin = "print 'up' io.stdout:flush() require('kvserver.task').sleep(60000)" }
        child:wait_line("up")
        print("child " .. child.pid)
        io.stdout:flush()
        require("kvserver.task").sleep(60000)
      ]],
    }
    local grandchild = tonumber(parent:wait_line("child (%d+)", 20000))
    assert.is_true(alive(grandchild))
    parent:kill("sigkill")
    assert.is_truthy(task.wait_until(function() return not alive(grandchild) end, 5000))
  end)
end)
