-- The runner of `make specs`, on made-up specs.

local process = require "kvserver.process"
local uv = require "luv"

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

-- Runs the files (name -> text) with options for busted; what it printed, its exit code and its report.
local function run(files, ...)
  local root = assert(uv.fs_mkdtemp("/tmp/kvserver-specs-XXXXXX"))
  for name, text in pairs(files) do write(("%s/%s_spec.lua"):format(root, name), text) end
  local result = process.run {
    args = { process.self(), "spec/support/run.lua", arg[0], root .. "/report.xml", root, ... },
  }
  local report = read(root .. "/report.xml")
  os.execute(("rm -rf '%s'"):format(root))
  return result.stdout:gsub(root:gsub("%p", "%%%0") .. "/", ""), result.code, report
end

local passing <const> = [[
  describe("a", function()
    it("first", function() end)
    it("second", function() end)
  end)
]]
local failing <const> = [[it("is wrong", function() assert.equal(1, 2) end)]]

describe("the runner of the specs", function()
  it("sums up what the files say", function()
    local output, code, report = run { a = passing, b = passing }
    assert.matches("a_spec.lua +2 passed, %d", output)
    assert.matches("b_spec.lua +2 passed, %d", output)
    assert.matches("\n4 passed, 0 failed\n$", output)
    assert.equal(0, code)
    assert.matches("^<testsuites errors='0' skip='0' tests='4' failures='0' ", report)
    assert.equal(4, select(2, report:gsub("<testcase ", "")))
  end)

  it("shows failures in full behind all files, and exits with 1", function()
    local output, code, report = run { a = failing, b = passing }
    assert.matches("b_spec.lua +2 passed, [%d.]+ s\n.*\nFAILED .*a_spec.lua:1: is wrong\n.*\n2 passed, 1 failed\n$",
      output)
    assert.equal(1, code)
    assert.matches("^<testsuites errors='0' skip='0' tests='3' failures='1' ", report)
  end)

  it("counts a file whose process ends early as a failure", function()
    local output, code = run { a = [[it("ends", function() os.exit(7) end)]], b = passing }
    assert.matches("\nFAILED a_spec.lua: its process ended with exit code 7, signal 0\n\n2 passed, 1 failed\n$", output)
    assert.equal(1, code)
  end)

  it("counts a file whose process a signal ends as a failure, as a failed check does", function()
    local output, code = run { a = [[
      it("dies", function() local uv = require "luv" uv.kill(uv.os_getpid(), "sigabrt") end)
    ]], b = passing }
    assert.matches("\nFAILED a_spec.lua: its process ended with exit code 0, signal 6\n\n2 passed, 1 failed\n$", output)
    assert.equal(1, code)
  end)

  it("counts a file that is not Lua as a failure", function()
    local output, code = run { a = "= =" }
    assert.matches("\n0 passed, 1 failed\n$", output)
    assert.equal(1, code)
  end)

  it("hands options on to busted", function()
    local output, code = run({ a = passing, b = failing }, "--filter=second")
    assert.matches("\n1 passed, 0 failed\n$", output)
    assert.equal(0, code)
  end)
end)
