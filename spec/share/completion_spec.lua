-- Completion, as bash asks for it: the file is sourced, and its function called with what stands on the line.

local child = require "spec.support.child"
local completion = require "share.completion"
local directory = require "spec.support.directory"
local options = require "kvserver.options"
local process = require "kvserver.process"

local ASK <const> = [[
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_kvserver
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
]]

local script <const> = child.file(completion.text())

-- The sorted answers to a line whose last word is the one at the cursor.
local function complete(words, cwd)
  local result <const> = process.run {
    args = { "bash", "--norc", "-uc", ASK, "bash", script.path, "kvserver", table.unpack(words) }, cwd = cwd,
    timeout_ms = 20000,
  }
  assert.equal("", result.stderr)
  local answers = {}
  for line in result.stdout:gmatch "[^\n]+" do answers[#answers + 1] = line end
  table.sort(answers)
  return answers
end

-- The flags of the rows that a function chooses, sorted.
local function flags(wanted)
  local list = {}
  for _, row in ipairs(options.rows) do
    if not wanted or wanted(row) then list[#list + 1] = "--" .. row.name end
  end
  table.sort(list)
  return list
end

describe("completion", function()
  local home

  setup(function()
    home = directory.new()
    home:write("story.lua", "")
    home:write("notes.txt", "")
    assert(require("luv").fs_mkdir(home.path .. "/data", 448))
  end)

  teardown(function()
    home:remove()
    os.remove(script.path)
  end)

  it("offers every option", function()
    assert.same(flags(), complete { "--" })
    assert.same({ "--max-body-bytes", "--max-connections", "--max-key-bytes", "--max-value-bytes" },
      complete { "--memory", "--id", "--data", "--max-" })
  end)

  it("offers the values of an option that has but a few", function()
    assert.same({ "debug", "error", "info", "warn" }, complete { "--log-level", "" })
    assert.same({ "readindex" }, complete { "--memory", "--read-policy", "r" })
    local with_choices <const> = flags(function(row) return row.choices end)
    assert.equal(4, #with_choices)
    for _, flag in ipairs(with_choices) do assert.is_true(#complete { flag, "" } > 0, flag) end
  end)

  it("offers them behind = as well", function()
    assert.same({ "json", "logfmt" }, complete { "--log-format", "=" })
    assert.same({ "json" }, complete { "--log-format", "=", "j" })
    assert.same({ "--memory" }, complete { "--log-format", "=", "json", "--mem" })
  end)

  it("offers directories, or files, where these are asked for", function()
    for _, flag in ipairs { "--data", "--inspect" } do assert.same({ "data" }, complete({ flag, "" }, home.path)) end
    for _, flag in ipairs { "--config", "--admin-socket" } do
      assert.same({ "data", "notes.txt", "story.lua" }, complete({ flag, "" }, home.path))
    end
  end)

  it("offers nothing for a value that only its user knows", function()
    local function is_open(row)
      return row.argument and not row.choices and not row.completes
    end
    for _, flag in ipairs(flags(is_open)) do assert.same({}, complete({ flag, "" }, home.path)) end
  end)

  it("offers files of Lua as what to run, with --script and without", function()
    assert.same({ "data", "story.lua" }, complete({ "--script", "" }, home.path))
    assert.same({ "data", "story.lua" }, complete({ "--seed", "3", "" }, home.path))
  end)

  it("offers the options of scenarios behind the file, and no others", function()
    for _, before in ipairs { { "--script", "story.lua" }, { "--script", "=", "story.lua" }, { "story.lua" } } do
      local at <const> = #before + 1
      before[at] = "--se"
      assert.same({ "--seed", "--seeds" }, complete(before))
      before[at] = "--mem"
      assert.same({}, complete(before))
    end
    assert.same({ "child", "inproc", "sim" }, complete { "story.lua", "--quiet", "--world", "" })
    assert.same({ "--world" }, complete { "story.lua", "--only", "x", "--w" })
    assert.same({}, complete({ "story.lua", "--seeds", "" }, home.path))
    assert.same({ "data" }, complete({ "story.lua", "--report", "" }, home.path))
  end)

  it("offers the console's own options behind --console, and where a node may run", function()
    local own <const> = {}
    for i, row in ipairs(require("kvserver.console.options").rows) do own[i] = row.flag end
    table.sort(own)
    assert.same(own, complete { "--console", "-" })
    assert.same({ "--keep-going" }, complete { "--console", "data", "--k" })
    assert.same({ "data" }, complete({ "--console", "" }, home.path))
    assert.same({ "data" }, complete({ "--console", "--rw", "-e", "1", "" }, home.path))
    assert.same({ "csv" }, complete { "--console", "data", "-o", "c" })
    assert.same({ "data", "story.lua" }, complete({ "--console", "data", "-f", "" }, home.path))
    assert.same({ "data", "notes.txt", "story.lua" }, complete({ "--console", "data", "" }, home.path))
    assert.same({}, complete({ "--console", "data", "-e", "" }, home.path))
  end)
end)
