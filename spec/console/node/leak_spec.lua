-- Consoles that stay long, and many that come and go, leave nothing behind.
local console = require "spec.support.console"
local loop = require "kvserver.loop"
local task = require "kvserver.task"
local uv = require "luv"

local TIMEOUT_MS <const> = 10000
local STATEMENTS <const> = tonumber(os.getenv "KVSERVER_SPEC_STATEMENTS" or 5000)
local SESSIONS <const> = 1000
local LEFT_BYTES_MAX <const> = 50000 -- of all of it: a table for each statement would be five times that

-- What Lua holds once all that can be collected is.
local function held_bytes()
  for _ = 1, 3 do collectgarbage() end
  return loop.memory_bytes()
end

local function descriptors()
  local directory <const> = assert(uv.fs_opendir("/proc/self/fd", nil, 1000))
  local count <const> = #uv.fs_readdir(directory)
  uv.fs_closedir(directory)
  return count
end

-- Handles and requests of luv, and tasks, which are all in the registry.
local function registered()
  local count = 0
  for key, value in pairs(debug.getregistry()) do
    if type(key) ~= "string" and type(value) == "userdata" then count = count + 1 end
  end
  return count
end

-- What ends does so a moment later.
local function expect_nothing_left(before_bytes, before_handles)
  task.wait_until(function()
    collectgarbage()
    return registered() <= before_handles
  end, TIMEOUT_MS)
  assert.is_true(registered() <= before_handles, ("%d handles are left"):format(registered() - before_handles))
  local left <const> = held_bytes() - before_bytes
  assert.is_true(left < LEFT_BYTES_MAX, ("%d bytes are left"):format(left))
end

-- Statements of each kind, one behind the other.
local function run_statements(c, count)
  local pieces <const> = { "x = (x or 0) + 1", "return x", "kv.count()", "status()", "error('no')", "1 +", "print(x)" }
  for i = 1, count do
    local reply <const> = c:eval(pieces[i % #pieces + 1])
    assert(reply.ok or reply.kind ~= "refused", reply.message)
    c.events = {}
  end
end

describe("a console", function()
  it(("leaves nothing behind of %d statements"):format(STATEMENTS), function()
    local w <close> = console.world()
    local c <close> = w:attach()
    run_statements(c, 500)
    local before <const>, handles = held_bytes(), registered()
    run_statements(c, STATEMENTS)
    expect_nothing_left(before, handles)
  end)
end)

describe("consoles that come and go", function()
  it(("leave nothing behind, %d of them"):format(SESSIONS), function()
    local w <close> = console.world()
    local endings <const> = {
      function(c) assert.same({ 1 }, c:eval("mine = ('x'):rep(10000) return 1").values) end,
      function(c) c:begin "while true do end" end,
      function(c) c:begin "while true do kv.get('a') end" end,
      function(c) c:begin "while true do print('x') end" end,
      function() end,
    }
    local function come_and_go(count)
      for i = 1, count do
        local c <close> = w:attach()
        endings[i % #endings + 1](c)
      end
      assert(task.wait_until(function() return w.socket.count == 0 end, TIMEOUT_MS))
    end
    come_and_go(SESSIONS // 10)
    local before <const>, handles, fds = held_bytes(), registered(), descriptors()
    come_and_go(SESSIONS)
    expect_nothing_left(before, handles)
    assert(task.wait_until(function() return descriptors() <= fds end, TIMEOUT_MS))
    assert.equal(0, w.socket.console.count)
  end)
end)
