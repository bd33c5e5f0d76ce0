-- Statements that would not let go, or take everything: the node beside them goes on, and they end when they are told.
local console = require "spec.support.console"
local loop = require "kvserver.loop"
local task = require "kvserver.task"
local uv = require "luv"

local TIMEOUT_MS <const> = 10000
local GAP_MS_MAX <const> = 250 -- LIMITED_BUDGET_MS of src/script/hook.h is 50, a collection may come on top

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

-- The longest time between two turns of the loop; of the processor, so that a busy machine does not count.
local function pulse()
  local self <const> = { longest_ms = 0 }
  local timer <const>, last_s = uv.new_timer(), os.clock()
  timer:start(1, 1, function()
    local now_s <const> = os.clock()
    self.longest_ms = math.max(self.longest_ms, (now_s - last_s) * 1000)
    last_s = now_s
  end)
  return setmetatable(self, { __close = function() timer:close() end })
end

-- Cancels what runs, as soon as it has begun.
local function cancel_soon(c, id)
  task.sleep(30)
  c:write { ["do"] = "cancel", id = id }
  return c:answer(id)
end

describe("a statement without end", function()
  local w, c
  setup(function() w = console.world() end)
  teardown(function() getmetatable(w).__close(w) end)
  before_each(function() c = w:attach() end)
  after_each(function() c:close() end)

  local endless <const> = {
    ["a loop"] = "while true do end",
    ["a loop of errors that are caught"] = "while true do pcall(error) end",
    ["loops that are caught"] = "while true do pcall(function() while true do end end) end",
    ["waiting for the node"] = "while true do kv.get('a') end",
    ["printing"] = "while true do print(('x'):rep(10000)) end",
    ["a close handler that does not end"] = [[
      local _ <close> = setmetatable({}, { __close = function() while true do end end })
      while true do end]],
    ["close handlers that do not end, and are caught"] = [[
      local handler = { __close = function() while true do pcall(function() while true do end end) end end }
      local _a <close> = setmetatable({}, handler)
      local _b <close> = setmetatable({}, handler)
      while true do end]],
    ["a close handler that waits"] = [[
      local _ <close> = setmetatable({}, { __close = function() kv.get('a') end })
      while true do end]],
    ["a coroutine that ends now and then"] = [[
      while true do coroutine.wrap(function() for _ = 1, 1000 do end end)() end]],
    ["a coroutine that yields"] = [[
      local f = coroutine.wrap(function() while true do coroutine.yield() end end)
      while true do f() end]],
    ["a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["a coroutine in a coroutine"] = [[
      coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()]],
    ["a coroutine that catches errors"] = [[
      coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()]],
    ["a coroutine that waits for the node"] = "coroutine.wrap(function() while true do kv.get('a') end end)()",
    ["a replacement"] = "return (('x'):gsub('x', function() while true do end end))",
    ["a pattern that goes back and tries again"] = "return (('x'):rep(100000):find('.-.-.-.-.-y'))",
    ["patterns in a long text"] = "while true do local _ = ('x '):rep(30000):gsub('%w+%s*$', '') end",
    ["a comparator"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ["a comparator that waits for the node"] = [[
      table.sort({ 1, 2, 3 }, function(a, b) while true do kv.get('a') end end)]],
    ["a coroutine that prints"] = "coroutine.wrap(function() while true do print('x') end end)()",
    ["metamethods"] = "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    ["long strings"] = "while true do local _ = ('x'):rep(1 << 20) end",
    ["sorting"] = "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t) end",
    ["a message handler"] = "while true do xpcall(error, function() end) end",
    ["a message handler that does not end"] = [[
      xpcall(function() while true do end end, function() while true do end end)
      xpcall(error, function() while true do end end)]],
    ["inserting into a list that says it is long"] = [[
      table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 'x')]],
    ["removing from a list that says it is long"] = [[
      table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)]],
    ["joining a list that says it is long"] = [[
      while true do
        table.concat(setmetatable({}, { __len = function() return 1 << 15 end, __index = rawlen }))
      end]],
    ["sorting long texts"] = [[
      local texts, t = { ('x'):rep(1 << 20), ('x'):rep(1 << 20) }, {}
      for i = 1, 100000 do t[i] = texts[i % 2 + 1] end
      table.sort(t)]],
    ["a long set in a pattern"] = "while true do local _ = ('a'):rep(300):find('[' .. ('b'):rep(1 << 20) .. ']') end",
    ["a long piece of a pattern"] = "return ('a'):rep(100000):find(('a'):rep(50000) .. '[b]')",
    ["pairs of brackets"] = "while true do local _ = ('('):rep(50000):find('%b()') end",
  }
  for name, code in pairs(endless) do
    it("is cancelled: " .. name, function()
      local beat <close> = pulse()
      local id <const> = c:begin(code)
      local reply <const> = cancel_soon(c, id)
      assert.same({ false, "cancelled" }, { reply.ok, reply.kind })
      assert.is_true(beat.longest_ms < GAP_MS_MAX, ("the loop stood still for %.0f ms"):format(beat.longest_ms))
      assert.same({ 1 }, c:eval("1").values)
    end)
  end

  local stopped <const> = {
    ["in a reader of load"] = "load(function() while true do end end)",
    ["with a close handler that does not end either"] = [[
      local _ <close> = setmetatable({}, { __close = function() while true do end end })
      load(function() while true do end end)]],
    ["in a coroutine below a reader of load"] = [[
      load(function() coroutine.wrap(function() while true do end end)() end)]],
    ["in closing a coroutine"] = [[
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() while true do end end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)]],
  }
  for name, code in pairs(stopped) do
    it("is stopped where it cannot be interrupted: " .. name, function()
      local beat <close> = pulse()
      local reply <const> = c:eval(("pcall(function() %s end) while true do end"):format(code))
      assert.same({ false, "limit" }, { reply.ok, reply.kind })
      assert.matches("held the loop too long", reply.message, 1, true)
      assert.is_true(beat.longest_ms < GAP_MS_MAX, ("the loop stood still for %.0f ms"):format(beat.longest_ms))
      assert.same({ 1 }, c:eval("1").values)
    end)
  end

  it("is stopped when it is the text of an error", function()
    local reply <const> = c:eval("error(setmetatable({}, { __tostring = function() while true do end end }))")
    assert.same({ false, "limit" }, { reply.ok, reply.kind })
  end)

  it("goes with its console, at once", function()
    c:begin("while true do end")
    wait_until(function() return next(w.socket.console.attached).running end)
    local session <const> = next(w.socket.console.attached)
    c:close()
    wait_until(function() return not session.running end)
    assert.equal(0, w.socket.console.count)
  end)

  it("does not hold up another console's", function()
    local other <close> = w:attach()
    c:begin("while true do end")
    for i = 1, 8 do assert.same({ i }, other:eval(tostring(i)).values) end
  end)
end)

describe("a statement that wants all memory", function()
  local w, c
  setup(function() w = console.world() end)
  teardown(function() getmetatable(w).__close(w) end)
  before_each(function() c = w:attach() end)
  after_each(function()
    c:close()
    collectgarbage()
  end)

  local greedy <const> = {
    ["strings"] = "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end",
    ["one string"] = "return ('x'):rep(1e10)",
    ["a string that doubles"] = "local s = 'x' while true do s = s .. s end",
    ["small tables"] = "local t = {} while true do t[#t + 1] = {} end",
    ["a global that stays"] = "hoard = {} while true do hoard[#hoard + 1] = { 'x' } end",
    ["coroutines"] = "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
  }
  for name, code in pairs(greedy) do
    it("does not get it: " .. name, function()
      local before <const> = loop.memory_bytes()
      local beat <close> = pulse()
      local reply <const> = c:eval(code)
      assert.is_false(reply.ok)
      assert.equal("limit", reply.kind)
      assert.matches("not enough memory", reply.message, 1, true)
      assert.is_true(loop.memory_bytes() - before < 40 << 20)
      assert.is_true(beat.longest_ms < GAP_MS_MAX, ("the loop stood still for %.0f ms"):format(beat.longest_ms))
      c:eval("hoard = nil")
      assert.same({ 1 }, c:eval("1").values)
    end)
  end

  it("gives it back when its console goes, though nothing else allocates", function()
    collectgarbage()
    local before <const> = loop.memory_bytes()
    collectgarbage "stop"
    local _ <close> = setmetatable({}, { __close = function() collectgarbage "restart" end })
    c:eval("hoard = {} while true do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end")
    assert.is_true(loop.memory_bytes() - before > 16 << 20)
    c:close()
    wait_until(function() return loop.memory_bytes() - before < 4 << 20 end)
  end)

  it("gives it back even when the collector was about to be done, and saw all of it in use", function()
    collectgarbage()
    local before <const> = loop.memory_bytes()
    collectgarbage "stop"
    local _ <close> = setmetatable({}, { __close = function() collectgarbage "restart" end })
    c:eval("hoard = {} while true do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end")
    local steps = 0
    repeat steps = steps + 1 until collectgarbage "step"
    for _ = 1, steps * 9 // 10 do collectgarbage "step" end
    c:close()
    wait_until(function() return loop.memory_bytes() - before < 4 << 20 end)
  end)

  it("does not get it by catching errors", function()
    local beat <close> = pulse()
    local reply <const> = c:eval("hoard = {} while true do pcall(function() hoard[#hoard + 1] = { 'x' } end) end")
    assert.same({ false, "limit", "not enough memory" }, { reply.ok, reply.kind, reply.message })
    assert.is_true(beat.longest_ms < GAP_MS_MAX, ("the loop stood still for %.0f ms"):format(beat.longest_ms))
  end)
end)

describe("a console that does not read", function()
  it("holds up its own statement only, and loses its connection in the end", function()
    local w <close> = console.world(nil, { read_ms = 300 })
    local lazy <close> = w:attach()
    local other <close> = w:attach()
    lazy:stop_reading()
    lazy:begin("n = 0 while true do print(('x'):rep(10000)) server.printed = (server.printed or 0) + 1 end")
    local last
    wait_until(function()
      local before <const> = last
      last = other:eval("server.printed").values[1]
      return last == before and math.type(last) == "integer"
    end)
    assert.is_true(last < 200, last .. " prints that nobody took")
    wait_until(function() return w.socket.count == 1 end)
  end)

  it("gets all of it when it reads again", function()
    local w <close> = console.world()
    local c <close> = w:attach()
    c:stop_reading()
    local id <const> = c:begin("for i = 1, 200 do print(i, ('x'):rep(10000)) end")
    task.sleep(20)
    c:read()
    assert.is_true(c:answer(id).ok)
    assert.equal(200, #c:printed())
    assert.equal("200\tx", c:printed()[200]:sub(1, 5))
  end)
end)

describe("without limits", function()
  it("a statement has what a script has", function()
    local w <close> = console.world()
    local c <close> = w:attach { limit = false }
    local reply <const> = c:eval("local t = {} for i = 1, 50 do t[i] = ('x'):rep(1 << 20):rep(1) .. i end return #t")
    assert.same({ 50 }, reply.values)
  end)
end)
