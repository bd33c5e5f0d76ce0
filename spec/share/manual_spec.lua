-- kvserver(1): that it says what the program can do, in what roff understands.

local child = require "spec.support.child"
local config_file = require "kvserver.config_file"
local commands = require "kvserver.console.node.commands"
local manual = require "share.manual"
local options = require "kvserver.options"
local version = require "kvserver.version"

local MACROS <const> = { B = true, BI = true, BR = true, I = true, PP = true, RI = true, SH = true, TH = true,
  TP = true, br = true, fi = true, nf = true }

-- As a reader sees it: without requests, quotes of arguments and escapes.
local function read(text)
  return (text:gsub("%f[^\n]%.%u+ ", ""):gsub('"', ""):gsub("\\%-", "-"):gsub("\\e", "\\"))
end

local function section(name)
  return manual.text():match("\n%.SH " .. name .. "\n(.-)\n%.SH ")
end

describe("the manual", function()
  it("describes every option, and says which this version does not have", function()
    local text <const> = read(section "OPTIONS" .. "\n")
    for _, row in ipairs(options.rows) do
      local flag <const> = "--" .. row.name .. (row.argument and "  " .. row.argument or "")
      assert.matches("\n" .. flag .. "\n" .. options.describe(row) .. "\n", text, 1, true)
    end
  end)

  it("says what each key of a configuration file expects, and shows a file that is one", function()
    local text <const> = read(section "CONFIGURATION FILE")
    for _, row in ipairs(options.rows) do
      local described <const> = text:find("\n" .. row.key .. "\nExpects ", 1, true) ~= nil
      assert.equal(not row.flag_only, described, row.key)
    end
    assert.matches("\nmax_key_bytes\nExpects an integer from 1 to 65535; without it 4096.\n", text, 1, true)
    local example <const> = section("CONFIGURATION FILE"):match "%.nf\n(.-)%.fi":gsub("\\%-", "-")
    local file <close> = child.file(example)
    assert.same({ data = "/srv/kvdata", log_level = "info", peers = { n1 = "a:7001", n2 = "b:7001", n3 = "c:7001" } },
      config_file.load(file.path, { id = "n3" }))
  end)

  it("describes the console: its options, and its own commands", function()
    local text <const> = read(section "CONSOLE" .. "\n")
    for _, row in ipairs(require("kvserver.console.options").rows) do
      assert.matches("\n" .. row.flag .. (row.argument and "  " .. row.argument or "") .. "\n", text, 1, true)
    end
    for _, row in ipairs(require("kvserver.console.backslash").list) do
      assert.matches("\n" .. row.name, text, 1, true)
    end
  end)

  it("describes the options of scenarios", function()
    local text <const> = read(section "SCENARIO OPTIONS")
    for _, flag in ipairs { "--world  W", "--seeds  A..B", "--until  EVENT", "--junit  FILE", "--quiet" } do
      assert.matches("\n" .. flag:gsub("[-.]", "%%%0") .. "\n%w", text)
    end
  end)

  it("describes the console's commands", function()
    local text <const> = read(section "CONSOLE COMMANDS")
    for _, row in ipairs(commands.list) do
      local entry <const> = ("\n%s(%s)\n%s."):format(row.name, row.arguments, row.summary)
      assert.matches(entry, text, 1, true)
    end
  end)

  it("says whose it is, and what an exit code means", function()
    assert.matches(('^%%.TH KVSERVER 1 "" "kvserver %s"'):format(version:gsub("%.", "%%.")), manual.text())
    assert.matches("\n.B 4\nThe data directory is refused", manual.text(), 1, true)
  end)

  it("has no line that roff would take for a request that there is not", function()
    for line in manual.text():gmatch "[^\n]+" do
      if line:find "^[.']" then assert.is_true(MACROS[line:match "^%.(%a+)"], line) end
    end
  end)
end)
