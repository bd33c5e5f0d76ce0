-- What `make install` leaves where. The program stays as it is: make is told to take it as it finds it.

local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local files = require "kvserver.files"
local process = require "kvserver.process"
local version = require "kvserver.version"

local PREFIX <const> = "/opt/kv"

local function install(destination)
  local build <const> = process.self():match "^(.*)/kvserver$"
  local result <const> = process.run {
    args = { "make", "install", "BUILD=" .. build, "PREFIX=" .. PREFIX, "DESTDIR=" .. destination, "-o", "program",
      "-o", build .. "/kvserver" },
    env = { MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false }, timeout_ms = 20000,
  }
  assert.equal("", result.stderr)
  assert.equal(0, result.code)
end

describe("make install", function()
  local home <const> = directory.new()

  setup(function() install(home.path) end)
  teardown(function() home:remove() end)

  local function read(path)
    return home:read(PREFIX:sub(2) .. path)
  end

  it("leaves the program, its manual, completion, unit, admin script and an example, and nothing else", function()
    assert.same({ "bin/kvserver", "lib/systemd/system/kvserver.service",
      "share/bash-completion/completions/kvserver", "share/doc/kvserver/cluster.lua",
      "share/kvserver/rolling_restart.lua", "share/man/man1/kvserver.1" },
      files.list(home.path .. PREFIX))
  end)

  it("leaves a program that runs", function()
    local result <const> = process.run { args = { home.path .. PREFIX .. "/bin/kvserver", "--version" } }
    assert.equal(("kvserver %s\n"):format(version), result.stdout)
  end)

  it("leaves admin scripts where the program finds them by their names", function()
    local data <const> = home.path .. "/data"
    local address <const> = cluster.own_host() .. ":7000"
    local node <close> = process.spawn { args = { process.self(), "--data", data, "--listen", address } }
    node:wait_line("ready on", 10000)
    local command <const> = {
      home.path .. PREFIX .. "/bin/kvserver", "--console", data, "-o", "json", "-f", "rolling_restart.lua", data,
    }
    local done <const> = process.run { args = command } -- it may write, as what is installed may
    assert.equal(0, done.code, done.stderr)
    assert.matches('"restarted":1', done.stdout, 1, true)
    command[4], command[5], command[8] = "-o", "table", "/nowhere"
    local result <const> = process.run { args = command }
    assert.equal(1, result.code)
    assert.matches("share/kvserver/rolling_restart.lua:%d+: connect: /nowhere: no such data directory", result.stderr)
  end)

  it("leaves the manual and the completion of this program", function()
    assert.equal(require("share.manual").text(), read "/share/man/man1/kvserver.1")
    assert.equal(require("share.completion").text(), read "/share/bash-completion/completions/kvserver")
  end)

  it("leaves a unit that starts what was installed, and waits for its word", function()
    local unit <const> = read "/lib/systemd/system/kvserver.service"
    assert.matches("\nType=notify\n", unit, 1, true)
    assert.matches("\nExecStart=/opt/kv/bin/kvserver --config /etc/kvserver.lua\n", unit, 1, true)
    assert.not_matches("@", (unit:gsub("@system%-service", "")), 1, true)
  end)
end)
