-- kvserver --console without a terminal, against a node: output and exit codes, as scripts rely on them.
local child = require "spec.support.child"
local directory = require "spec.support.directory"
local fake_node = require "spec.console.client.fake_node"
local json = require "kvserver.json"
local process = require "kvserver.process"
local task = require "kvserver.task"

local TIMEOUT_MS <const> = 10000

local home <const> = directory.new()
local data <const> = home.path .. "/data"
local node

local function console(arguments, stdin, env)
  return child.run({ "--console", table.unpack(arguments) }, stdin, env)
end

local function assert_output(expected, result)
  assert.same({ expected.code or 0, expected.stdout or "", expected.stderr or "" },
    { result.code, result.stdout, result.stderr })
end

local function shell(command)
  return process.run {
    args = { "/bin/bash", "-c", command, "bash", process.self(), data }, timeout_ms = TIMEOUT_MS,
  }
end

describe("kvserver --console", function()
  setup(function()
    node = process.spawn { args = { process.self(), "--data", data, "--listen", "127.0.0.1:0" } }
    node:wait_line("ready on", TIMEOUT_MS)
  end)

  teardown(function()
    node:kill()
    node:wait(TIMEOUT_MS)
    home:remove()
  end)

  it("runs the statements of standard input, one after the other", function()
    assert_output({ stdout = '3\n{"a":[1,2]}\n10\n20\nnil\n' },
      console({ data }, "1 +\n2\n{a = {1, 2}}\n\nfor i = 1, 2 do\n  print(10 * i)\n\nend\n-- remark\nnil\nx = 1"))
    assert_output({}, console({ data }, ""))
    assert_output({ stdout = "2\n" }, console({ data .. "/admin.sock" }, "1 + 1"))
  end)

  it("runs a statement as soon as it is complete, before there is more", function()
    local c <close> = fake_node.listen(fake_node.answering "now")
    local result <const> = shell(("{ echo 1; read -r -t 10 <> %s/fifo; } | \"$1\" --console %s | { read -r line; "
      .. "echo \"$line\"; echo go > %s/fifo; }"):gsub("^", "mkfifo %%s/fifo; "):format(home.path, home.path, c.path,
      home.path))
    assert.equal("now\n", result.stdout)
  end)

  it("runs those of the command line in their order, and admin scripts among them", function()
    home:write("script.lua", "print('script', ...) return eval 'x'")
    assert_output({ stdout = "1\nscript\ta\tb\n1\n3\n" },
      console { data, "-e", "x = 1 return x", "-f", home.path .. "/script.lua", "-e", "x + 2", "--", "a", "b" })
    assert_output({ stdout = "a b\n" }, console { data, "-e", "arg[1] .. ' ' .. arg[2]", "a", "b" })
    assert_output({ stdout = "4\n" }, console({ data, "-f", "-" }, "local a = 4\nreturn a"))
  end)

  it("is JSON for jq", function()
    local result <const> = shell [["$1" --console "$2" -o json -e 'status()' | jq -r '.id, .role, (.term | type)']]
    assert_output({ stdout = "n1\nleader\nnumber\n" }, result)
    local from_environment <const> = console({ data, "-e", "{1.5, '\\xff', nil}" }, nil, { KVSERVER_OUTPUT = "json" })
    assert_output({ stdout = '[1.5,{"base64":"/w=="}]\n' }, from_environment)
  end)

  it("keeps results and everything else apart", function()
    local result <const> = console { data, "-o", "json", "-e", "print('said') return 'result'" }
    assert_output({ stdout = '"result"\n', stderr = "said\n" }, result)
  end)

  it("says where a statement is wrong, and ends with 1", function()
    assert_output({ code = 1, stdout = "1\n", stderr = "kvserver: stdin:3: unexpected symbol near '='\n" },
      console({ data }, "1\n\nx = = 1\n2\n"))
    local result <const> = console { data, "-e", "local function f() error('boom') end\nf()" }
    assert.equal(1, result.code)
    assert.matches("^kvserver: %(%-e%):1: boom\nstack traceback:\n"
      .. ".*%(%-e%):1: in .-'f'.*\n\t%(%-e%):2: in main chunk\n$", result.stderr)
  end)

  it("says so in JSON to who reads JSON", function()
    local result <const> = console { data, "-o", "json", "-e", "raft.peer()" }
    local said <const> = json.decode(result.stderr)
    assert.same({ false, "runtime", "did you mean raft.peers?" }, { said.ok, said.kind, said.hint })
    assert.same({ 1, "" }, { result.code, result.stdout })
    local bytes <const> = console { data, "-o", "json", "-e", "error('\\xff\\n', 0)" }
    assert.same({ 1, "\\xff\n" }, { bytes.code, json.decode(bytes.stderr).message })
  end)

  it("says where an admin script is wrong, and what the node saw", function()
    home:write("wrong.lua", "local function f()\n  eval(\"error 'deep'\")\nend\nf()\n")
    local result = console { data, "-f", home.path .. "/wrong.lua" }
    assert.equal(1, result.code)
    assert.matches("^kvserver: " .. home.path:gsub("%p", "%%%0") .. "/wrong.lua:2: eval:1: deep\nstack traceback:\n"
      .. ".-wrong.lua:4: in main chunk\nin node n1, stack traceback:\n", result.stderr)
    assert.matches("cannot open nowhere.lua", console({ data, "-f", "nowhere.lua" }).stderr, 1, true)
    home:write("syntax.lua", "x = = 1")
    result = console { data, "-f", home.path .. "/syntax.lua" }
    assert.matches("syntax.lua:1: unexpected symbol", result.stderr, 1, true)
  end)

  it("stops at the first error, unless it is told to go on", function()
    assert_output({ code = 1, stderr = "kvserver: stdin:1: unexpected symbol near '='\n" },
      console({ data }, "= =\n2\n"))
    local result <const> = console({ data, "--keep-going" }, "= =\n2\n")
    assert.same({ 1, "2\n" }, { result.code, result.stdout })
  end)

  it("writes only with --rw", function()
    local refused <const> = console { data, "-e", "kv.put('a', '1')" }
    assert.equal(1, refused.code)
    assert.matches("this console only reads", refused.stderr, 1, true)
    assert.equal(0, console({ data, "--rw", "-e", "kv.put('a', '1')" }).code)
    home:write("put.lua", "kv.put('a', kv.get 'a' .. '2') return kv.get 'a'")
    assert_output({ stdout = "12\n" }, console { data, "--rw", "-f", home.path .. "/put.lua" })
    assert.equal(1, console({ data, "-f", home.path .. "/put.lua" }).code)
  end)

  it("ends with 3 and one line when there is no node", function()
    local empty <close> = directory.new()
    local fake <close> = fake_node.listen()
    fake:die()
    assert_output({ code = 3, stderr = ("kvserver: %s: no node runs there; the socket was left by one that ended\n")
      :format(fake.path) }, console { fake.path })
    assert_output({ code = 3, stderr = ("kvserver: %s: no node runs there (there is no %s/admin.sock)\n"):format(
      empty.path, empty.path) }, console { empty.path })
    assert_output({ code = 3, stderr = "kvserver: /nowhere: no such data directory or socket\n" },
      console { "/nowhere" })
  end)

  it("says that in JSON to who reads JSON", function()
    local result <const> = console { "/nowhere", "-o", "json" }
    assert.same({ 3, { ok = false, kind = "no_node", message = "/nowhere: no such data directory or socket" } },
      { result.code, json.decode(result.stderr) })
  end)

  it("reads no further behind \\q", function()
    assert_output({ stdout = "1\n" }, console({ data }, "1\n\\q\n2\n"))
  end)

  it("takes the commands of the prompt in a pipe, too", function()
    assert_output({ stdout = '"a"\n- a\n' }, console({ data }, "\\o json\n'a'\n\\o yaml\n{'a'}\n"))
    assert.same({ 1, "kvserver: \\p: no such command (did you mean \\o?)\n" }, (function(result)
      return { result.code, result.stderr }
    end)(console({ data }, "\\p\n")))
  end)

  it("asks nobody when nobody is there", function()
    home:write("asks.lua", "local yes = confirm 'Really?' return yes")
    assert_output({ stdout = "true\n" }, console { data, "--yes", "-f", home.path .. "/asks.lua" })
    local result <const> = process.run {
      args = { "/usr/bin/setsid", process.self(), "--console", data, "-f", home.path .. "/asks.lua" },
    }
    assert.equal(1, result.code)
    assert.matches("asks.lua:1: Really? Nobody is there to answer: say --yes", result.stderr, 1, true)
  end)

  it("ends with 2 when the command line is wrong", function()
    local hint <const> = "Try kvserver --console --help.\n"
    assert_output({ code = 2, stderr = "kvserver: --keep-gong: unknown option of the console "
      .. "(did you mean --keep-going?)\n" .. hint }, console { data, "--keep-gong" })
    local result <const> = console { "127.0.0.1:7000" }
    assert.equal(2, result.code)
    assert.matches("not there before there is authentication", result.stderr, 1, true)
    assert.equal(2, console({ ("x"):rep(108) }).code)
    assert.equal(2, child.run({ "--memory", "--console", data }).code)
  end)

  it("finds the node of ./kvdata by itself", function()
    local result <const> = process.run {
      args = { "/bin/bash", "-c", 'ln -s data "$1/kvdata"; cd "$1"; "$0" --console -e 1', process.self(), home.path },
      timeout_ms = TIMEOUT_MS,
    }
    assert_output({ stdout = "1\n" }, result)
  end)

  it("cancels what takes too long", function()
    assert_output({ code = 1, stderr = "kvserver: timeout: it took more than 0.05 s\n" },
      console { data, "--timeout", "0.05", "-e", "while true do end" })
    assert_output({ stdout = "1\n" }, console { data, "--timeout", "5", "-e", "#who()" })
  end)

  it("cancels what runs when it is interrupted, and ends with 130", function()
    local fake <close> = fake_node.listen(function(session, request)
      if request["do"] ~= "cancel" then return end
      session:send { id = request.id, ok = false, kind = "cancelled", message = "cancelled" }
    end)
    local c <close> = process.spawn { args = { process.self(), "--console", fake.path, "-e", "f()", "-e", "g()" } }
    assert(task.wait_until(function() return #fake.requests == 2 end, TIMEOUT_MS))
    c:kill "sigint"
    assert_output({ code = 130, stderr = "kvserver: cancelled\n" }, c:wait(TIMEOUT_MS))
    assert.same({ "attach", "eval", "cancel" },
      { fake.requests[1]["do"], fake.requests[2]["do"], fake.requests[3]["do"] })
  end)

  it("ends with 130 also when an admin script is interrupted", function()
    local fake <close> = fake_node.listen(function(session, request)
      if request["do"] ~= "cancel" then return end
      session:send { id = request.id, ok = false, kind = "cancelled", message = "cancelled" }
    end)
    home:write("waits.lua", "status()")
    local c <close> = process.spawn {
      args = { process.self(), "--console", fake.path, "-f", home.path .. "/waits.lua" },
    }
    assert(task.wait_until(function() return #fake.requests == 2 end, TIMEOUT_MS))
    c:kill "sigint"
    assert.equal(130, c:wait(TIMEOUT_MS).code)
  end)

  it("ends with 130 also when the node hangs", function()
    local fake <close> = fake_node.listen(function() end)
    local c <close> = process.spawn { args = { process.self(), "--console", fake.path, "-e", "f()" } }
    assert(task.wait_until(function() return #fake.requests == 2 end, TIMEOUT_MS))
    c:kill "sigint"
    assert.equal(130, c:wait(TIMEOUT_MS).code)
  end)

  it("ends with 3 when the node goes away meanwhile", function()
    local fake <close> = fake_node.listen(function(session) session:close() end)
    local result <const> = console { fake.path, "-e", "f()" }
    assert.same({ 3, ("kvserver: %s: the connection is closed\n"):format(fake.path) }, { result.code, result.stderr })
  end)

  it("ends quietly when nobody reads what it prints", function()
    local result <const> = shell [["$1" --console "$2" -e 'for i = 1, 20000 do print(i) end' | head -n 1
      echo "${PIPESTATUS[0]}"]]
    assert_output({ stdout = "1\n141\n" }, result)
  end)

  it("ends with 1 when what it prints cannot be written", function()
    for _, code in ipairs { "1", "print(1)" } do
      local result <const> = shell(('"$1" --console "$2" -e "%s" >/dev/full'):format(code))
      assert_output({ code = 1, stderr = "kvserver: cannot write: No space left on device\n" }, result)
    end
  end)

  it("warns of a node of another version, and goes on", function()
    local about <const> = {}
    for key, value in pairs(fake_node.ABOUT) do about[key] = value end
    about.version = "9.9.9"
    local fake <close> = fake_node.listen(fake_node.answering(1), about)
    local result <const> = console { fake.path, "-e", "1" }
    assert.same({ 0, "1\n" }, { result.code, result.stdout })
    assert.matches("the node is version 9.9.9", result.stderr, 1, true)
  end)

  it("has a prompt in a pipe when that is asked for", function()
    assert_output({ stdout = "n1 leader> 2\nn1 leader> \n", stderr = ("n1 goes on (pid %d)\n"):format(node.pid) },
      console({ data, "-i", "-X" }, "1 + 1\n"))
  end)

  it("tells all its options", function()
    local result <const> = console { "--help" }
    assert.equal(0, result.code)
    for _, row in ipairs(require("kvserver.console.options").rows) do
      assert.matches(row.flag .. " ", result.stdout, 1, true)
      assert.matches(row.help:match "^%S+ %S+", result.stdout, 1, true)
    end
  end)
end)
