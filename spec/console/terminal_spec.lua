-- The console at a terminal: what is typed, and what appears.
local directory = require "spec.support.directory"
local fake_node = require "spec.console.client.fake_node"
local json = require "kvserver.json"
local process = require "kvserver.process"
local task = require "kvserver.task"
local terminal = require "spec.support.terminal"
local uv = require "luv"

local TIMEOUT_MS <const> = 10000
local CTRL_A <const>, CTRL_C <const>, CTRL_D <const>, CTRL_R <const>, CTRL_Z <const> = "\1", "\3", "\4", "\18", "\26"
local UP <const>, HOME <const> = "\27[A", "\27[H"

local home <const> = directory.new()
local node

local function console(target, ...)
  return terminal.start({ process.self(), "--console", target, ... }, { HOME = home.path, PAGER = "cat" })
end

-- One at the prompt of the real node.
local function at_prompt(...)
  local t <const> = console(home.path .. "/data", ...)
  t:expect "Ctrl-D to leave\nn1 leader> "
  return t
end

-- One at the prompt of a node that does what the spec says.
local function at_fake(fake)
  local t <const> = console(fake.path)
  t:expect "n2 follower> "
  return t
end

-- The answer to every request, as the spec's thread of events has it: nothing.
local function ignore() end

describe("the console at a terminal", function()
  setup(function()
    node = process.spawn { args = { process.self(), "--data", home.path .. "/data", "--listen", "127.0.0.1:0" } }
    node:wait_line("ready on", TIMEOUT_MS)
  end)

  teardown(function()
    node:kill()
    node:wait(TIMEOUT_MS)
    home:remove()
  end)

  it("says whom it talks to, evaluates, and says what goes on when it is left", function()
    local t <const> = console(home.path .. "/data")
    local _ <close> = t
    t:expect(("kvserver %s, node n1 (leader, term 1), 1 member\n"):format(require "kvserver.version"))
    t:expect "n1 leader> "
    t:press "1 + 1\r"
    t:expect "\n2\nn1 leader> "
    t:press "_ * 21\r"
    t:expect "\n42\nn1 leader> "
    t:press "x = 'assigned'\r"
    t:expect "\nn1 leader> "
    t:press "= x\r"
    t:expect "\nassigned\nn1 leader> "
    t:press(CTRL_D)
    t:expect("n1 goes on (pid " .. node.pid .. ")")
    assert.equal(0, t:wait())
  end)

  it("goes on with a statement that is not complete, until it is or has to be", function()
    local t <close> = at_prompt()
    t:press "for i = 1, 2 do\r"
    t:expect "\n       ..> "
    t:press "print('line', i)\rend\r"
    t:expect "\nline\t1\nline\t2\nn1 leader> "
    t:press "f(\r"
    t:expect "..> "
    t:press "\r"
    t:expect "unexpected symbol near <eof>"
    t:expect "n1 leader> "
    t:press "f(;;\r"
    t:expect "unexpected symbol near <eof>"
  end)

  it("shows results as people read them, and as they ask for them", function()
    local t <close> = at_prompt()
    t:press "{{a = 'x', b = 12345}, {a = 'yy', b = 6}}\r"
    t:expect "\n a  |      b\n----+--------\n x  | 12,345\n yy |      6\nn1 leader> "
    t:press "\\o json\r"
    t:expect "n1 leader> "
    t:press "{a = {1}}\r"
    t:expect '\n{"a":[1]}\nn1 leader> '
    t:press "\\o jsn\r"
    t:expect "(did you mean json?)"
    t:expect "n1 leader> "
    t:press "\\timing\r"
    t:expect "timing is on"
    t:press "1\r"
    t:expect " ms in the node, "
  end)

  it("sends nothing to the terminal that a value makes up", function()
    local t <close> = at_prompt()
    t:press "print('\\27[31mred') return '\\27]0;title\\7', {['\\27[2J'] = '\\27[2J'}, '\\xff'\r"
    t:expect "\n\\x1b[31mred\n\\x1b]0;title\\x07\n\\x1b[2J = \\x1b[2J\n\\xff (1 bytes)\nn1 leader> "
    assert.is_nil(t.raw:find("\27[31mred", 1, true))
    assert.is_nil(t.raw:find("\27[2J", 1, true))
    t:press "error '\\27[5mboo'\r"
    t:expect "\\x1b[5mboo"
    assert.is_nil(t.raw:find("\27[5m", 1, true))
  end)

  it("edits the line: to its beginning, in the middle, wide characters", function()
    local t <close> = at_prompt()
    t:press("'世界'" .. HOME .. "#" .. CTRL_A .. "1 + \r")
    t:expect "\n7\nn1 leader> "
  end)

  it("clears the line at Ctrl-C, and cancels what runs", function()
    local t <close> = at_prompt()
    t:press("rubbish(" .. CTRL_C)
    t:expect "\nn1 leader> "
    t:press "while true do end\r"
    t:expect "\n"
    task.wait_until(function() return t:is_as_found() end, TIMEOUT_MS) -- Ctrl-C is a signal from here on
    t:press(CTRL_C)
    t:expect "cancelled\nn1 leader> "
    t:press "'still here'\r"
    t:expect "\nstill here\n"
  end)

  it("completes names, lists what there is, and shows in grey what a command takes", function()
    local t <close> = at_prompt()
    t:press "raft.tra\t"
    t:expect "raft.transfer"
    t:press "("
    t:expect_raw "\27[90mid)\27[0m"
    t:press(CTRL_C)
    t:expect "n1 leader> "
    t:press "\\w"
    t:expect_raw "\27[90m COLUMNS\27[0m"
    t:press(CTRL_C)
    t:expect "n1 leader> "
    t:press(("x = '%s/dat\t"):format(home.path))
    t:expect(home.path .. "/data/")
    t:press(CTRL_C)
    t:expect "n1 leader> "
    t:press "raft.t\t"
    t:expect "\ntimers    transfer\nn1 leader> raft.t"
    t:press(CTRL_C .. "\\tim\t\r")
    t:expect "timing is on"
    t:press "raft.transfer('\t"
    t:expect "raft.transfer('n1"
  end)

  it("remembers statements for the next time, but those behind a blank", function()
    do
      local t <close> = at_prompt()
      t:press "'first'\r"
      t:expect "\nfirst\n"
      t:press " 'hidden'\r"
      t:expect "\nhidden\n"
      t:press "for i = 3, 4 do\rprint(i)\rend\r"
      t:expect "\n3\n4\nn1 leader> "
      t:press(CTRL_D)
      assert.equal(0, t:wait())
    end
    local t <close> = at_prompt()
    t:press(UP)
    t:expect "for i = 3, 4 do\nprint(i)\nend"
    t:press "\r"
    t:expect "\n3\n4\nn1 leader> "
    t:press(CTRL_R .. "'fir")
    t:expect "'first'"
    t:press "\r"
    t:expect "\nfirst\n"
    assert.is_nil(home:read(".kvserver_history"):find "hidden")
    assert.equal(384, uv.fs_stat(home.path .. "/.kvserver_history").mode & 511) -- rw-------
  end)

  it("takes a paste of several lines as one statement", function()
    local t <close> = at_prompt()
    t:expect_raw "\27[?2004h"
    t:press "\27[200~for i = 1, 2 do\n\tprint('pasted', i)\r\nend\n\27[201~"
    t:expect "end"
    assert.is_nil(t:rest():find("pasted\t1", 1, true))
    t:press "\r"
    t:expect "\npasted\t1\npasted\t2\nn1 leader> "
  end)

  it("takes a paste of several statements line by line, as far as they work", function()
    local t <close> = at_prompt()
    t:expect_raw "\27[?2004h"
    t:press "\27[200~n = 6\nn * 7\n\\o json\n{n}\nwrong()\n'not reached'\n\27[201~"
    t:expect "not reached"
    t:press "\r"
    t:expect "\n42\n[6]\n"
    t:expect "n1 leader> "
    assert.is_nil(t:rest():find("not reached", 1, true))
  end)

  it("runs the user's start-up file, unless it is told not to", function()
    home:write(".kvserverrc.lua", "function double(x) return 2 * x end")
    do
      local t <close> = at_prompt()
      t:press "double(4)\r"
      t:expect "\n8\n"
    end
    local t <close> = at_prompt "-X"
    t:press "double(4)\r"
    t:expect "attempt to call a nil value (global 'double')"
    os.remove(home.path .. "/.kvserverrc.lua")
  end)

  it("repeats a statement until Ctrl-C", function()
    local t <close> = at_prompt()
    t:press "n = 0\r"
    t:expect "n1 leader> "
    t:press "\\watch 0.01 n = n + 1 return 'n is', n\r"
    t:expect "\nn is\n3\n"
    t:press(CTRL_C)
    t:expect "\nn1 leader> "
    t:press "'over'\r"
    t:expect "\nover\n"
  end)

  it("lets statements write once that was asked for", function()
    local t <close> = at_prompt()
    t:press "kv.put('a', '1')\r"
    t:expect "this console only reads"
    t:expect "n1 leader> "
    t:press "\\rw\r"
    t:expect "[y/N] "
    t:press "y\r"
    t:expect "n1 leader# "
    t:press "kv.put('a', '1')\r"
    t:expect "index = "
  end)

  it("pages what is longer than the terminal", function()
    local t <close> = terminal.start({ process.self(), "--console", home.path .. "/data" },
      { HOME = home.path, PAGER = "sed s/^/paged:/" })
    t:expect "n1 leader> "
    t:press "local t = {} for i = 1, 30 do t[i] = {i = i} end return t\r"
    t:expect "\npaged: 30\nn1 leader> "
    t:press "'short'\r"
    t:expect "\nshort\n"
  end)

  it("leaves the terminal as it was, however it ends", function()
    local ends <const> = {
      function(t) t:press(CTRL_D) end, function(t) t:press "\\q\r" end,
      function(t) uv.kill(t.pid, "sigterm") end, function(t) uv.kill(t.pid, "sighup") end,
      function(t) uv.kill(t.pid, "sigsegv") end,
    }
    for i, finish in ipairs(ends) do
      local t <close> = at_prompt()
      assert.is_false(t:is_as_found())
      finish(t)
      t:wait()
      assert.is_true(t:is_as_found(), tostring(i))
      t:expect_raw "\27[?2004l"
    end
  end)

  it("gives the terminal back while it is suspended", function()
    local t <close> = terminal.start({ "/bin/bash", "--norc", "-i" }, { HOME = home.path, PS1 = "shell> " })
    t:expect "shell> "
    t:press(process.self() .. " --console " .. home.path .. "/data\r")
    t:expect "n1 leader> "
    t:press("1 +" .. CTRL_Z)
    t:expect "Stopped"
    t:expect "shell> "
    t:press "fg\r"
    t:expect "n1 leader> 1 +"
    t:press " 1\r"
    t:expect "\n2\nn1 leader> "
    t:press(CTRL_D)
    t:expect "shell> "
    t:press "exit\r"
    assert.equal(0, t:wait())
  end)
end)

describe("the prompt", function()
  it("follows the node, while a line is typed", function()
    local fake <close> = fake_node.listen(fake_node.answering(7))
    local t <close> = at_fake(fake)
    t:press "1 + 1"
    t:expect "1 + 1"
    fake.sessions[1]:send { event = "status", id = "n2", role = "leader", term = 8, leader_id = "n2" }
    t:expect "n2 leader> 1 + 1"
    t:press "\r"
    t:expect "\n7\nn2 leader> "
  end)

  it("says that the node is gone, and that it is back without what the session had set", function()
    local fake <close> = fake_node.listen(fake_node.answering(7))
    local t <close> = at_fake(fake)
    t:press "1 + "
    t:expect "1 + "
    fake:die()
    t:expect "disconnected: "
    t:expect "n2 (disconnected)> 1 + "
    t:press "2\r"
    t:expect "the connection is closed"
    t:expect "n2 (disconnected)> "
    fake:listen()
    t:expect "connected again to n2 (pid 99); what the session had set is lost\nn2 follower> "
    t:press "3\r"
    t:expect "\n7\nn2 follower> "
  end)

  it("is left by Ctrl-C twice when the node hangs", function()
    local fake <close> = fake_node.listen(ignore)
    local t <close> = at_fake(fake)
    t:press "hangs()\r"
    assert(task.wait_until(function() return #fake.requests == 2 end, TIMEOUT_MS))
    t:press(CTRL_C)
    assert(task.wait_until(function() return #fake.requests == 3 end, TIMEOUT_MS))
    assert.equal("cancel", fake.requests[3]["do"])
    t:press(CTRL_C)
    assert.equal(130, t:wait())
    assert.is_true(t:is_as_found())
  end)

  it("is left by Ctrl-D also when the node is gone", function()
    local fake <close> = fake_node.listen(ignore)
    local t <close> = at_fake(fake)
    fake:die()
    t:expect "n2 (disconnected)> "
    t:press(CTRL_D)
    assert.equal(0, t:wait())
  end)

  it("is not held up by a node that does not complete", function()
    local fake <close> = fake_node.listen(function(session, request)
      if request["do"] == "eval" then session:send { id = request.id, ok = true, values = json.array { "done" } } end
    end)
    local t <close> = at_fake(fake)
    t:press "sta\ttus()\r"
    t:expect "\ndone\nn2 follower> "
  end)
end)
