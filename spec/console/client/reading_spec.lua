-- What the console is told: its arguments, where a statement ends, what history keeps.
local arguments = require "kvserver.console.arguments"
local child = require "spec.support.child"
local complete_files = require "kvserver.console.complete_files"
local directory = require "spec.support.directory"
local editline = require "kvserver.editline"
local history = require "kvserver.console.history"
local options = require "kvserver.console.options"
local process = require "kvserver.process"
local statement = require "kvserver.console.statement"
local target = require "kvserver.console.target"
local uv = require "luv"

local function read(list, environment)
  return arguments.read(list, function(name) return (environment or {})[name] end)
end

describe("the arguments of the console", function()
  it("are a target, programs in their order, words", function()
    local given <const> = read { "n1.data", "-e", "1", "-f", "x.lua", "-e", "-2", "--rw", "a", "--", "-b", "c" }
    assert.equal("n1.data", given.target)
    assert.same({ { flag = "-e", text = "1" }, { flag = "-f", text = "x.lua" }, { flag = "-e", text = "-2" } },
      given.programs)
    assert.same({ "a", "-b", "c" }, given.words)
    assert.is_true(given.rw)
    assert.same({ "b" }, read({ "-e", "1", "--", "b" }).words)
    assert.is_nil(read({ "--", "b" }).target)
  end)

  it("come from the environment where no flag is", function()
    assert.equal("json", read({}, { KVSERVER_OUTPUT = "json" }).format)
    assert.equal("csv", read({ "-o", "csv" }, { KVSERVER_OUTPUT = "json" }).format)
    assert.equal(2.5, read({ "--timeout=2.5" }).timeout_s)
    assert.is_nil(read({}, { KVSERVER_OUTPUT = "" }).format)
  end)

  it("are refused by name", function()
    local cases <const> = {
      { { "--tmeout", "3" }, "--tmeout: unknown option of the console (did you mean --timeout?)" },
      { { "-z" }, "-z: unknown option of the console" },
      { { "-e" }, "-e: expected CODE" },
      { { "-o", "jsn" }, '-o: expected one of ' .. table.concat(options.formats, ", ") .. ', got "jsn"' },
      { { "--timeout", "0" }, '--timeout: expected seconds, more than 0, up to 86400, got "0"' },
      { { "--rw=yes" }, '--rw: takes no value, got "yes"' },
      { {}, 'KVSERVER_TIMEOUT: expected seconds, more than 0, up to 86400, got "soon"', { KVSERVER_TIMEOUT = "soon" } },
    }
    for _, case in ipairs(cases) do assert.same({ nil, case[2] }, { read(case[1], case[3]) }) end
  end)
end)

describe("a statement", function()
  it("ends where its chunk is complete", function()
    for _, text in ipairs { "1 + 1", "=1", "x = 1", "for i = 1, 2 do end", "return 1", "f(\n1)", "a.b:c{}", "goto = 1",
      "x = = 1", "end", "'unfinished" } do
      assert.equal("complete", statement.state(text), text)
    end
    for _, text in ipairs { "for i = 1, 2 do", "f(", "x =", "{ 1,", "= 1 +", "function f()", "[[ text",
      "--[[ remark" } do
      assert.equal("incomplete", statement.state(text), text)
    end
    for _, text in ipairs { "", " \n", "-- remark", "--[[ a\nb ]]", ";" } do
      assert.equal("empty", statement.state(text), text)
    end
  end)

  it("is forced to end by ;;", function()
    assert.equal("f(", statement.forced "f(;;")
    assert.equal("f( ", statement.forced "f( ;; ")
    assert.is_nil(statement.forced "f(;")
  end)
end)

describe("a paste", function()
  it("is one statement if it can be, else those of its lines", function()
    local cases <const> = {
      { "1 + 1", { "1 + 1" } }, { "a +\nb", { "a +\nb" } }, { "= a +\nb", { "= a +\nb" } },
      { "x = 1\n\ny = 2", { "x = 1\n\ny = 2" } }, { "f(\n", { "f(\n" } },
      { "x = 1\nx + 1\n\nfor i = 1, 2 do\n\nend\nx", { "x = 1", "x + 1", "for i = 1, 2 do\n\nend", "x" } },
      { "\\o json\nstatus()\n? kv\n-- end", { "\\o json", "status()", "? kv" } },
      { "x\ny = {\n1", { "x", "y = {\n1" } },
    }
    for _, case in ipairs(cases) do assert.same(case[2], statement.split(case[1])) end
  end)
end)

describe("names of files", function()
  it("are found behind a quote, where a path begins", function()
    local dir <close> = directory.new()
    for _, name in ipairs { "one", "onto", ".hidden", "it's", "\27[2J" } do dir:write(name, "") end
    assert(uv.fs_mkdir(dir.path .. "/only", 448))
    local place <const> = dir.path .. "/"
    local function found(text)
      local names <const>, from = complete_files.candidates(text)
      for i, name in ipairs(names) do names[i] = text:sub(1, from - 1) .. name end
      return names
    end
    for _, before in ipairs { "'", 'f("', "f('a', '" } do
      before = before .. place
      assert.same({ before .. "one", before .. "only/", before .. "onto" }, found(before))
      assert.same({ before .. "onto" }, found(before .. "ont"))
      assert.same({ before .. ".hidden" }, found(before .. "."))
      assert.same({}, found(before .. "z"))
    end
    for _, text in ipairs { "a / b", "'a'/", '"x" .. y / z', "'word", "" } do
      assert.is_nil(complete_files.candidates(text), text)
    end
    assert.same({}, found "'/nowhere/")
  end)
end)

describe("history", function()
  it("keeps entries of several lines, in order, for its owner alone", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/history"
    local first <const> = history.open(path)
    for _, text in ipairs { "status()", "for i = 1, 2 do\n  print '\\n'\nend", "kv.get 'ä'" } do
      assert.is_true(first:add(text))
    end
    assert.same({ "status()", "for i = 1, 2 do\n  print '\\n'\nend", "kv.get 'ä'" }, history.open(path).entries)
    assert.equal(384, uv.fs_stat(path).mode & 511) -- rw-------
  end)

  it("takes a file that others could read for its owner alone", function()
    local dir <close> = directory.new()
    dir:write("history", "1\n")
    uv.fs_chmod(dir.path .. "/history", 420)
    assert.same({ "1" }, history.open(dir.path .. "/history").entries)
    assert.equal(384, uv.fs_stat(dir.path .. "/history").mode & 511)
  end)

  it("stores nothing twice in a row, nothing behind a blank, nothing that may hold a secret", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/history"
    local one <const> = history.open(path)
    assert.is_true(one:add "a")
    for _, text in ipairs { "a", " b", "", "TOKEN = 'x'", "login('me', {password=1})", ("x"):rep(20000) } do
      assert.is_false(one:add(text), text)
    end
    assert.is_false(history.open(path):add "a")
    assert.is_true(one:add "b" and one:add "a")
    assert.same({ "a", "b", "a" }, history.open(path).entries)
  end)

  it("keeps the newest when there are too many", function()
    local dir <close> = directory.new()
    local lines <const> = {}
    for i = 1, history.ENTRIES_MAX + 501 do lines[i] = "entry " .. i .. "\n" end
    dir:write("history", table.concat(lines))
    local opened <const> = history.open(dir.path .. "/history")
    assert.equal(history.ENTRIES_MAX, #opened.entries)
    assert.equal("entry 502", opened.entries[1])
    assert.is_true(opened:add "newest")
    local again <const> = history.open(dir.path .. "/history").entries
    assert.same({ "entry 502", "newest" }, { again[1], again[#again] })
  end)

  it("loses nothing when several consoles write at once", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/history"
    local source <const> = [[
      local history = require "kvserver.console.history"
      for i = 1, 200 do history.open(%q):add(("%s %%d"):format(i)) end]]
    local children <const> = {}
    for i, name in ipairs { "a", "b", "c" } do children[i] = child.spawn_script(source:format(path, name)) end
    for _, one in ipairs(children) do assert.equal(0, one:wait(10000).code) end
    local count <const> = { a = 0, b = 0, c = 0 }
    for _, text in ipairs(history.open(path).entries) do
      local name <const>, i = text:match "^(%a) (%d+)$"
      count[name] = count[name] + 1
      assert.equal(count[name], tonumber(i))
    end
    assert.same({ a = 200, b = 200, c = 200 }, count)
  end)

  it("does not wait for long for one who has the file and hangs", function()
    local dir <close> = directory.new()
    dir:write("history", "a\n")
    local fd <const> = assert(uv.fs_open(dir.path .. "/history", "a+", 384))
    local _ <close> = setmetatable({}, { __close = function() uv.fs_close(fd) end })
    assert(editline.lock(fd))
    local opened <const> = history.open(dir.path .. "/history")
    assert.same({}, opened.entries)
    assert.is_true(opened:add "b" and opened:add "c")
    assert.equal("a\n", dir:read "history")
  end)

  it("does without a file that cannot be used", function()
    local none <const> = history.open "/nowhere/history"
    assert.same({}, none.entries)
    assert.is_true(none:add "a")
    assert.is_true(history.open(nil):add "a")
  end)
end)

describe("a target", function()
  it("is a data directory whose node runs, or a socket", function()
    local dir <close> = directory.new()
    local node <close> = process.spawn { args = { process.self(), "--data", dir.path, "--listen", "127.0.0.1:0" } }
    node:wait_line("ready", 10000) -- the directory is its own before there is anything of others in it
    local named <close> = process.spawn {
      args = {
        process.self(), "--memory", "--id", "n7", "--listen", "127.0.0.1:0", "--admin-socket", dir.path .. "/s",
      },
    }
    named:wait_line("ready", 10000)
    assert.equal(dir.path .. "/admin.sock", target.resolve(dir.path))
    assert.equal(dir.path .. "/admin.sock", target.resolve(dir.path .. "/"))
    assert.equal(dir.path .. "/admin.sock", target.resolve(dir.path .. "/admin.sock"))
    local found <const> = {}
    for _, other in ipairs(target.nodes()) do
      if other.path:sub(1, #dir.path) == dir.path then found[other.id] = other.pid end
    end
    assert.same({ n1 = node.pid, n7 = named.pid }, found)
  end)

  it("is refused with the reason", function()
    local dir <close> = directory.new()
    dir:write("file", "")
    local long <const> = dir.path .. "/" .. ("x"):rep(100)
    local cases <const> = {
      { "10.0.0.1:7000", "a console over the network is not there before there is authentication", target.USAGE },
      { dir.path .. "/none", "no such data directory or socket", target.NO_NODE },
      { dir.path, "no node runs there", target.NO_NODE },
      { dir.path .. "/file", "not a socket", target.USAGE },
      { long, "the path of a Unix socket has up to 107 bytes", target.USAGE },
    }
    for _, case in ipairs(cases) do
      local path <const>, why, code = target.resolve(case[1])
      assert.is_nil(path)
      assert.matches(case[2], why, 1, true)
      assert.equal(case[3], code)
    end
  end)
end)
