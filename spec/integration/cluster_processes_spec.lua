-- Three nodes as users run them, a process each: killed, stopped in time, started again.
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local task = require "kvserver.task"

-- Retries until a write is acknowledged by whoever leads.
local function write_until_acknowledged(c, key, value)
  local function attempt()
    local leader = c:leader()
    if not leader then return nil end
    local client <close> = c:client(leader, { timeout_ms = 1000 })
    local result = client:put(key, value)
    return result and result.ok and leader
  end
  return assert(task.wait_until(attempt, 20000), "no write was acknowledged")
end

-- Waits until another member than `old`, whose time stands still, leads.
local function wait_leader_but(c, old)
  local function other()
    for _, id in ipairs(c.ids) do
      local status = id ~= old and c:status(id)
      if status and status.role == "leader" then return id end
    end
  end
  return assert(task.wait_until(other, 10000), "nobody else leads")
end

describe("a cluster of processes", function()
  it("goes on after kill -9 of the leader, which comes back without unseating the new one", function()
    local c <close> = cluster.start()
    local first = c:wait_leader()
    write_until_acknowledged(c, "a", "1")
    c:kill(first)
    local second = write_until_acknowledged(c, "b", "2")
    assert.not_equal(first, second)
    local _, term = c:wait_leader()
    c:restart(first)
    local client <close> = c:client(first)
    assert(task.wait_until(function() return client:readyz().ok end, 10000))
    assert.same({ a = "1", b = "2" }, client:mget({ "a", "b" }).values)
    assert.same({ second, term }, { c:wait_leader() })
    local status, leading = c:status(first), c:status(second)
    assert.same({ leading.last_applied, leading.state_digest }, { status.last_applied, status.state_digest })
  end)

  it("never answers a linearizable read with an old value at a leader that was stopped in time", function()
    local c <close> = cluster.start()
    local first = c:wait_leader()
    write_until_acknowledged(c, "a", "old")
    -- Reads on connections that are there already are the first that it sees when it goes on.
    local readers, reads = {}, {}
    local function close_readers() for _, reader in ipairs(readers) do reader:close() end end
    local _ <close> = setmetatable({}, { __close = close_readers })
    for i = 1, 8 do
      readers[i] = c:client(first, { timeout_ms = 20000 })
      assert.equal("old", readers[i]:get("a").value)
    end
    c:pause(first)
    for i, reader in ipairs(readers) do reads[i] = task.spawn(function() return reader:get("a") end) end
    local second = wait_leader_but(c, first)
    local client <close> = c:client(second)
    assert.is_true(client:put("a", "new").ok)
    c:resume(first)
    for _, read in ipairs(reads) do
      local result = assert(read:join())
      assert.is_true(result.value == "new" or result.status >= 500, result.value)
    end
    local function reads_new()
      local result = readers[1]:get("a")
      assert.not_equal("old", result and result.value)
      return result and result.value == "new"
    end
    assert(task.wait_until(reads_new, 10000))
  end)

  it("stops with 0 on SIGTERM, one after the other", function()
    local c <close> = cluster.start()
    c:wait_leader()
    for _, id in ipairs(c.ids) do assert.equal(0, c:stop(id).code) end
  end)

  it("dies with the program that started it, even by SIGKILL", function()
    local source = [[
      local c <close> = require("kvserver.cluster").start()
      for _, child in pairs(c.processes) do io.write(child.pid, " ") end
      print "started"
      require("kvserver.task").sleep(60000)
    ]]
    local parent <close> = process.spawn { args = { process.self(), "-" }, stdin = source }
    local pids = parent:wait_line("([%d ]+) started", 20000)
    parent:kill("sigkill")
    for pid in pids:gmatch("%d+") do
      -- A zombie is dead, too: nobody may have reaped it yet.
      local function gone()
        local file <close> = io.open("/proc/" .. pid .. "/stat")
        return not file or file:read("a"):match("%) (%a)") == "Z"
      end
      assert(task.wait_until(gone, 5000), pid)
    end
  end)
end)

describe("scenarios/cluster.lua", function()
  it("says how to use the cluster once it has a leader, and stops all of it on SIGINT", function()
    local host = cluster.own_host()
    local dir <close> = directory.new()
    local data <const> = dir.path .. "/data"
    local script <close> = process.spawn {
      args = { process.self(), "--script", "scenarios/cluster.lua", host, "--data", data },
    }
    local leader = script:wait_line("; (n%d) leads", 20000)
    assert.matches("^n[123]$", leader)
    script:kill("sigint")
    local result = assert(script:wait(10000))
    assert.equal(0, result.code)
    assert.matches("curl -L -X PUT http://" .. host .. ":700", result.stdout, 1, true)
    assert.matches("with what they know in " .. data .. ";", result.stdout, 1, true)
    assert.same({ "n1", "n2", "n3" }, dir:names "data")
  end)
end)
