-- share/kvserver/rolling_restart.lua against a live cluster on this machine.
local child = require "spec.support.child"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local task = require "kvserver.task"

local SCRIPT <const> = "share/kvserver/rolling_restart.lua"

local function console(target, ...)
  return child.run { "--console", target, "-o", "json", ... }
end

describe("a rolling restart", function()
  it("restarts all nodes, the leader last, and loses no write", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { data = home.path }
    local leader <const> = c:wait_leader()
    local client <close> = c:client(leader)
    assert(client:put("kept", "value").ok)
    local start_ms <const> = task.now_ms()
    local result <const> = console(home.path .. "/n1", "--rw", "-f", SCRIPT)
    assert.equal(0, result.code, result.stderr)
    local report <const> = json.decode(result.stdout)
    assert.same({ 3, 0 }, { report.restarted, report.failed })
    assert.is_true(report.writes > 0 and report.longest_without_a_write_ms < 5000)
    local turns <const> = {}
    for id in result.stderr:gmatch "(n%d) is back and ready" do turns[#turns + 1] = id end
    assert.equal(leader, turns[3])
    c:wait_leader()
    for _, id in ipairs(c.ids) do assert.is_true(c:status(id).uptime_ms <= task.now_ms() - start_ms, id) end
    local again <close> = c:client((c:wait_leader()))
    assert.equal("value", again:get("kept").value)
    assert.same({}, again:scan({ prefix = "rolling_restart/" }).entries)
  end)

  it("does not begin while a member is down", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { data = home.path }
    local leader <const> = c:wait_leader()
    local victim <const> = leader == "n1" and "n2" or "n1"
    c:kill(victim)
    local result <const> = console(home.path .. "/" .. leader, "--rw", "-f", SCRIPT)
    assert.equal(1, result.code)
    assert.matches(victim .. ": not on this machine", json.decode(result.stderr).message, 1, true)
  end)

  it("stops when a node does not come back, and leaves the others alone", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { data = home.path }
    local leader <const> = c:wait_leader()
    local victim <const> = leader == "n1" and "n2" or "n1"
    home:write(victim .. "/FORMAT", "{}")
    local start_ms <const> = task.now_ms()
    local result <const> = console(home.path .. "/" .. leader, "--rw", "-f", SCRIPT)
    assert.equal(1, result.code)
    assert.matches(victim .. " is back: never: its process has ended", result.stderr, 1, true)
    assert.equal("", result.stdout)
    for _, id in ipairs(c.ids) do
      if id ~= victim then assert.is_true(c:status(id).uptime_ms > task.now_ms() - start_ms, id) end
    end
    assert.equal(leader, (c:wait_leader()))
  end)

  it("restarts those alone that are named, and never one of another cluster", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { size = 1, data = home.path .. "/a" }
    local other <close> = cluster.start { size = 1, data = home.path .. "/b" }
    local result = console(home.path .. "/a/n1", "--rw", "-f", SCRIPT, "--", home.path .. "/b/n1")
    assert.equal(1, result.code)
    assert.matches("a node of another cluster", json.decode(result.stderr).message, 1, true)
    assert.is_not_nil(other:status "n1")
    result = console(home.path .. "/a/n1", "--rw", "-f", SCRIPT, "--", home.path .. "/a/n1")
    assert.equal(0, result.code, result.stderr)
    assert.equal(1, json.decode(result.stdout).restarted)
    assert.is_not_nil(c:status "n1")
  end)

  it("touches nothing without --rw, where it is any script to the console", function()
    local home <close> = directory.new()
    local c <close> = cluster.start { size = 1, data = home.path }
    local start_ms <const> = task.now_ms()
    local result <const> = console(home.path .. "/n1", "-f", SCRIPT)
    assert.equal(1, result.code)
    assert.matches("this console only reads", json.decode(result.stderr:match "[^\n]+\n$").message, 1, true)
    local elapsed_ms <const> = task.now_ms() - start_ms
    assert.is_true(c:status("n1").uptime_ms >= elapsed_ms)
  end)
end)
