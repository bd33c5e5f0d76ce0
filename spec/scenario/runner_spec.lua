-- The command line of scenarios, in processes of their own: arguments, verdicts, exit codes, and what is printed.
local child = require "spec.support.child"
local directory = require "spec.support.directory"
local process = require "kvserver.process"

local STORIES <const> = [[
local kv = require "kvserver.scenario"
kv.scenario("it passes", { nodes = 1 }, function() kv.sleep "1s" kv.mark "well" end)
kv.scenario("it fails (1+1)", { nodes = 1 }, function() assert.equal(3, 1 + 1) end)
kv.scenario("it needs http", { nodes = 1, needs = { "http" } }, function() end)
kv.scenario("it is for processes", { nodes = 1, worlds = { "child" } }, function() end)
kv.scenario("it is in doubt", { nodes = 1 }, function() require("kvserver.scenario.story").undecided "who knows" end)
]]

local function run(...)
  local file <close> = child.file(STORIES)
  local result = child.run { "--script", file.path, ... }
  result.path = file.path
  result.stdout = result.stdout:gsub("[%d.]+ m?s of", "T of")
  return result
end

local function has(text, part)
  assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

describe("the runner", function()
  it("tells all scenarios of the file, and sums up; one that fails ends with 1", function()
    local result = run("--seed", "7")
    assert.equal(1, result.code)
    has(result.stdout, "it passes (sim, seed 7)\n")
    has(result.stdout, "PASS: it passes, T of its time, T of ours\n")
    has(result.stdout, "FAIL: it fails (1+1)")
    has(result.stdout, "Expected objects to be equal.")
    has(result.stdout, "SKIPPED: it needs http, T of its time, T of ours\n")
    has(result.stdout, "\n  http in sim: simulated nodes speak no HTTP\n")
    has(result.stdout, "SKIPPED: it is for processes, T of its time, T of ours\n  it is only for child\n")
    has(result.stdout, "UNDECIDED: it is in doubt, T of its time, T of ours\n  who knows\n")
    assert.matches("\n1 passed, 1 failed, 1 undecided, 2 skipped\n$", result.stdout)
  end)

  it("ends with 0 when nothing failed, in doubt and skipped included", function()
    for _, only in ipairs { "passes", "doubt", "needs" } do assert.equal(0, run("--only", only).code) end
  end)

  it("tells those whose name matches only", function()
    local result = run("--only", "^it passes$")
    assert.matches("^it passes %(sim, seed %d+%)\n", result.stdout)
    assert.matches("\n1 passed, 0 failed, 0 undecided, 0 skipped\n$", result.stdout)
  end)

  it("prints the line that tells a failure again, and that line does", function()
    local file <close> = child.file(STORIES)
    local first = child.run { "--script", file.path, "--only", "fails" }
    local line = first.stdout:match "\n  again: kvserver (%-%-script [^\n]*)\n"
    has(line, file.path)
    has(line, "--world sim --seed ")
    local arguments = {}
    for word in line:gsub("'([^']*)'", function(text) return (text:gsub(" ", "\1")) end):gmatch "%S+" do
      arguments[#arguments + 1] = word:gsub("\1", " ")
    end
    local again = child.run(arguments)
    assert.equal(first.stdout:gsub("[%d.]+ m?s of ours", ""), (again.stdout:gsub("[%d.]+ m?s of ours", "")))
  end)

  it("prints that line so that a shell can read it, whatever the names are", function()
    local place <close> = directory.new()
    place:write("a file.lua", [[
      local kv = require "kvserver.scenario"
      kv.scenario("n1's end (50%)", { nodes = 1 }, function() error { failed = "told" } end)
      kv.scenario("n1's end (50%), too", { nodes = 1 }, function() end)
    ]])
    local first = child.run { "--script", place.path .. "/a file.lua", "--seed", "1" }
    local line = first.stdout:match "\n  again: kvserver ([^\n]*)\n"
    local again = process.run { args = { "bash", "-c", process.self() .. " " .. line }, timeout_ms = 20000 }
    assert.equal("", again.stderr)
    has(again.stdout, "FAIL: n1's end (50%)")
    has(again.stdout, "\n0 passed, 1 failed, 0 undecided, 0 skipped\n")
  end)

  it("refuses a wrong command line with 2, and says what it expects", function()
    for _, case in ipairs {
      { { "--wrld", "sim" }, "unknown argument --wrld" },
      { { "--world", "moon" }, '--world: expected sim, inproc, child, got "moon"' },
      { { "--seed" }, "--seed: a value is missing" },
      { { "--seed", "x" }, '--seed: expected a number, got "x"' },
      { { "--seeds", "9..1" }, '--seeds: expected A..B, got "9..1"' },
      { { "--seeds", "1..2", "--seed", "1" }, "--seed and --seeds: expected one of them" },
      { { "--seeds", "1..2", "--world", "child" }, "--seeds and --until: only with --world sim" },
      { { "--until", "5" }, "--until: expected together with --seed" },
      { { "--for", "long" }, '--for: expected a duration such as 30s or 5m, got "long"' },
      { { "--seeds", "1..99999999999999999999" }, '--seeds: expected A..B, got "1..99999999999999999999"' },
      { { "--only", "it%" }, '--only: expected a Lua pattern, got "it%"' },
      { { "--only", "no such" }, '--only: no scenario matches "no such"' },
    } do
      local result = run(table.unpack(case[1]))
      assert.equal(2, result.code)
      assert.equal("", result.stdout)
      has(result.stderr, "kvserver: " .. case[2])
      has(result.stderr, "usage: kvserver --script FILE")
    end
  end)

  it("says nothing but verdicts when it is to be quiet", function()
    assert.equal("it passes (sim, seed 1)\nPASS: it passes, T of its time, T of ours\n"
      .. "1 passed, 0 failed, 0 undecided, 0 skipped\n", run("--only", "passes", "--seed", "1", "--quiet").stdout)
  end)

  it("stops in front of an event, and evaluates what it is given", function()
    local file <close> = child.file(STORIES)
    local result = child.run({ "--script", file.path, "--only", "passes", "--seed", "1", "--until", "5" },
      "c:node(1):state()\nlocal x = 1 +\n1 print(x)\nnonsense here\n")
    has(result.stdout, "The world stands still.")
    has(result.stdout, "\nup\n")
    has(result.stdout, "\n2\n")
    has(result.stdout, "syntax error")
    has(result.stdout, "SKIPPED: it passes")
    has(result.stdout, "stopped in front of event 5")
  end)

  it("goes on by single events there, and shows the last ones", function()
    local file <close> = child.file(STORIES)
    local result = child.run({ "--script", file.path, "--only", "passes", "--seed", "1", "--until", "1" },
      "step(2)\nprint 'so far:' trace(1)\nquit\nprint 'never'\n")
    local shown <const>, last = result.stdout:match "Ctrl%-D ends%.\n(.-)\n2\nso far:\n([^\n]+)\n\n"
    assert.equal(last, shown:match "([^\n]+)$")
    assert.is_nil(result.stdout:find("never", 1, true))
  end)

  it("says so when there was no such event to stop at", function()
    has(run("--only", "passes", "--seed", "1", "--until", "100000").stdout, "it ended before event 100000")
  end)

  it("hands --for to who asks for it", function()
    local file <close> = child.file [[
      local kv = require "kvserver.scenario"
      kv.scenario("it goes on", { nodes = 1 }, function() kv.sleep(kv.duration "1s") end)
    ]]
    local function seconds(...)
      return tonumber(child.run({ "--script", file.path, ... }).stdout:match "PASS: it goes on, ([%d.]+) s of its time")
    end
    assert.is_true(seconds() < 3)
    assert.is_true(seconds("--for", "30s") >= 30)
  end)

  it("refuses options of a scenario that there are not, where they stand", function()
    local result = child.run_script [[
      require("kvserver.scenario").scenario("x", { node = 3 }, function() end)
    ]]
    assert.equal(1, result.code)
    has(result.stderr, "stdin:1: kv.scenario: unknown option node")
    has(child.run_script('require("kvserver.scenario").scenario("x", function() end)').stderr,
      "stdin:1: kv.scenario: expected a name, a table of options and a function")
  end)
end)

describe("--junit", function()
  it("writes a case per scenario, escaped", function()
    local folder <close> = directory.new()
    run("--junit", folder.path .. "/r.xml", "--quiet")
    local file <close> = assert(io.open(folder.path .. "/r.xml"))
    local text <const> = file:read "a"
    has(text, '<?xml version="1.0" encoding="UTF-8"?>')
    has(text, 'tests="5" failures="1" skipped="3">')
    has(text, 'name="it fails (1+1) (sim)"')
    has(text, '<failure message="fail">')
    has(text, '<skipped message="undecided">who knows</skipped>')
    assert.is_nil(text:find('in function <', 1, true))
  end)
end)
