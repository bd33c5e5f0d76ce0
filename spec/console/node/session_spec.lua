-- A console's session in the node: statements, what they print, what they see of each other, how they end.
local console = require "spec.support.console"
local json = require "kvserver.json"
local task = require "kvserver.task"
local uv = require "luv"

local TIMEOUT_MS <const> = 10000

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

describe("a session", function()
  local w, c
  setup(function() w = console.world() end)
  teardown(function() getmetatable(w).__close(w) end)
  before_each(function() c = w:attach() end)
  after_each(function() c:close() end)

  it("is greeted by the node", function()
    local about <const> = c.greeting.result
    assert.same({ "n1", "leader", "n1", 1, uv.os_getpid(), false },
      { about.id, about.role, about.leader_id, about.members, about.pid, about.faults })
    assert.is_true(math.abs(about.time_ms - os.time() * 1000) < 60000)
  end)

  it("gives the value of an expression, and nothing of a statement", function()
    assert.same({ 2 }, c:eval("1 + 1").values)
    assert.same({ 1, json.null, "x" }, c:eval("1, nil, 'x'").values)
    assert.same({ 7 }, c:eval("=7").values)
    assert.same({ 3 }, c:eval("3; -- three").values)
    assert.same({}, c:eval("x = 5").values)
    assert.same({ 5 }, c:eval("x").values)
    assert.same({ 6 }, c:eval("local y = x + 1\nreturn y").values)
    assert.same({}, c:eval("").values)
  end)

  it("keeps the last value as _", function()
    c:eval("6 * 7")
    assert.same({ 43 }, c:eval("_ + 1").values)
    c:eval("y = 1")
    assert.same({ 43 }, c:eval("_").values)
  end)

  it("prints in order, before the answer", function()
    local reply <const> = c:eval("for i = 1, 3 do print(i, 'x') end return 'end'")
    assert.same({ "end" }, reply.values)
    assert.same({ "1\tx", "2\tx", "3\tx" }, c:printed())
    c:eval("print('\\xff')")
    assert.same({ bytes = "/w==" }, c:printed()[4])
  end)

  it("says what is wrong with what is no Lua", function()
    local reply <const> = c:ask { ["do"] = "eval", code = "1 +", chunk = "=stdin", line = 7 }
    assert.same({ false, "syntax" }, { reply.ok, reply.kind })
    assert.matches("^stdin:7: ", reply.message)
  end)

  it("says where a statement failed, without the frames of the node", function()
    local reply = c:ask { ["do"] = "eval", line = 3, code = "local function f()\n  error('no')\nend\nf()" }
    assert.same({ "runtime", "console:4: no" }, { reply.kind, reply.message })
    assert.equal("stack traceback:\n\t[C]: in function 'error'\n\tconsole:4: in local 'f'\n\tconsole:6: in main chunk",
      reply.traceback)
    reply = c:eval("kv.get()")
    assert.equal("console:1: kv.get: argument 1: expected a string, got nil", reply.message)
    assert.equal("stack traceback:\n\t[C]: in function 'error'\n\tconsole:1: in main chunk", reply.traceback)
    assert.equal("table: ", c:eval("error({})").message:match("^table: "))
  end)

  it("proposes what may have been meant", function()
    assert.equal("did you mean kv.get?", c:eval("kv.gte('a')").hint)
    assert.equal("did you mean print?", c:eval("pritn('a')").hint)
    assert.is_nil(c:eval("nothing_like_it_at_all()").hint)
    assert.same({ json.null }, c:eval("pritn").values)
  end)

  it("runs one statement at a time", function()
    local id <const> = c:begin("while true do end")
    local other <const> = c:eval("1")
    assert.same({ "refused", "busy: another statement of this console runs" }, { other.kind, other.message })
    c:write { ["do"] = "cancel", id = id }
    assert.equal("cancelled", c:answer(id).kind)
    assert.same({ 1 }, c:eval("1").values)
  end)

  it("refuses what makes no sense, and goes on", function()
    local cases <const> = {
      { { ["do"] = "reboot" }, "do: expected" }, { { ["do"] = "eval" }, "code: expected" },
      { { ["do"] = "eval", code = "1", line = 0 }, "line: expected" },
      { { ["do"] = "eval", code = "1", chunk = {} }, "chunk: expected" },
      { { ["do"] = "call", name = "reboot" }, "no command is called" }, { { ["do"] = "rw" }, "on: expected" },
      { { ["do"] = "call", name = "kv.get", args = 7 }, "args: expected an array" },
      { { ["do"] = "call", name = {} }, "name: expected" }, { { ["do"] = "call" }, "name: expected" },
      { { ["do"] = "call", name = "kv.get", args = json.array { { list = 7 } } }, "list: expected an array" },
    }
    for _, case in ipairs(cases) do
      local reply <const> = c:ask(case[1])
      assert.same({ false, "refused" }, { reply.ok, reply.kind })
      assert.matches(case[2], reply.message, 1, true)
    end
    c.pipe:write "hello\n"
    assert.same({ 1 }, c:eval("1").values)
  end)

  it("closes where it fails itself, and the node goes on", function()
    local session <const> = next(w.socket.console.attached)
    function session.take() error "no" end
    c.pipe:write "{}\n"
    wait_until(function() return c.ended end)
    assert.equal("request: it makes no sense", c.greeting.err_msg)
    local other <close> = w:attach()
    assert.same({ 1 }, other:eval("1").values)
  end)

  it("cuts what an error says", function()
    local reply <const> = c:eval("error(('x'):rep(1 << 20), 0)")
    assert.equal(("x"):rep(16384) .. "... (1048576 bytes)", reply.message)
  end)

  it("takes statements of up to 1 MiB, and ends at longer ones", function()
    assert.same({ 7 }, c:eval(("-"):rep(2) .. ("x"):rep(1000000) .. "\nreturn 7").values)
    c:begin(("x"):rep(1 << 20))
    wait_until(function() return c.ended end)
    assert.matches("a line has up to 1048576 bytes", c.greeting.err_msg, 1, true)
  end)

  it("is none for what does not say who it is, nor a second one of a connection", function()
    local stranger <close> = console.connect(w.path)
    stranger:read()
    stranger:write { ["do"] = "attach", args = json.array { 7 } }
    stranger:wait(function() return stranger.greeting end)
    assert.equal("attach: expected an object that says who attaches", stranger.greeting.err_msg)
    assert.equal("refused", c:ask({ ["do"] = "attach", args = json.array { { rw = true } } }).kind)
  end)

  it("writes only when it may", function()
    local reply <const> = c:eval("kv.put('a', '1')")
    assert.same({ "refused", "console:1: kv.put: this console only reads: start it with --rw, or type \\rw, to let it "
      .. "write" }, { reply.kind, reply.message })
    assert.is_true(c:ask { ["do"] = "eval", code = "kv.put('a', '0')", rw = true }.ok)
    assert.equal("refused", c:ask({ ["do"] = "eval", code = "kv.put('a', '0')", rw = false }).kind)
    assert.same({ true }, c:ask { ["do"] = "rw", on = true }.values)
    assert.is_true(c:eval("kv.put('a', '1')").ok)
    assert.same({ "1" }, c:eval("kv.get('a')").values)
  end)

  it("calls one command with values", function()
    c:ask { ["do"] = "rw", on = true }
    local arguments <const> = json.array { "b", { bytes = "/w==" } }
    assert.is_true(c:ask { ["do"] = "call", name = "kv.put", args = arguments }.ok)
    assert.same({ { bytes = "/w==" } }, c:eval("kv.get('b')").values)
    assert.equal("kv.get: argument 1: expected a string, got nil",
      c:ask({ ["do"] = "call", name = "kv.get" }).message)
  end)

  it("has globals of its own, and a table that all share", function()
    local other <close> = w:attach()
    c:eval("mine = 1 string.mine = 2 kv.mine = 3 server.ours = 4")
    assert.same({ json.null, json.null, json.null, 4 },
      other:eval("mine, string.mine, kv.mine, server.ours").values)
  end)

  it("keeps its statement, though another one gets hold of its coroutine", function()
    local other <close> = w:attach()
    local id <const> = c:begin("server.co = coroutine.running() while true do kv.get('a') end")
    wait_until(function() return other:eval("server.co ~= nil").values[1] end)
    assert.same({ false, "cannot resume non-suspended coroutine" },
      other:eval("for i = 1, 100 do coroutine.resume(server.co) end return coroutine.resume(server.co)").values)
    assert.is_false(other:eval("coroutine.close(server.co)").ok)
    c:write { ["do"] = "cancel", id = id }
    assert.equal("cancelled", c:answer(id).kind)
  end)

  it("is told when the node goes", function()
    local gone <close> = console.world()
    local watcher <close> = gone:attach()
    gone.socket:close("the node restarts")
    wait_until(function() return watcher.ended end)
    assert.same({ { event = "end", why = "the node restarts" } }, watcher.events)
  end)
end)
