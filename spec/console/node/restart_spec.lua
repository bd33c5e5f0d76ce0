-- A node that a console has start anew: a real process.
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local console = require "spec.support.console"
local datagram_probe = require "datagram_probe"
local directory = require "spec.support.directory"
local httpclient = require "kvserver.httpclient"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local WAIT_MS <const> = 20000
local READY <const> = "ready on http://[%d.]+:(%d+)\n"

local function wait_until(condition)
  return assert(task.wait_until(condition, WAIT_MS))
end

local function start(dir, ...)
  local node <const> = process.spawn {
    args = { process.self(), "--data", "data", "--listen", cluster.own_host() .. ":7001", ... }, cwd = dir.path,
    env = { NOTIFY_SOCKET = dir.path .. "/notify", KEPT = "as it was" },
  }
  node:wait_line(READY, WAIT_MS)
  return node, node.stdout:match("http://(%S+)")
end

local function descriptors(pid)
  local kinds <const> = {}
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(("/proc/%d/fd"):format(pid))) do
    local target <const> = uv.fs_readlink(("/proc/%d/fd/%s"):format(pid, name)) or "?"
    local kind <const> = target:gsub("%d+", "")
    kinds[#kinds + 1] = kind
  end
  table.sort(kinds)
  return kinds
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function datagram(socket)
  local text
  wait_until(function()
    text = socket:receive()
    return text
  end)
  return text
end

describe("node.restart", function()
  it("stops the node and starts it anew: the same process, its data, its arguments, its environment", function()
    local dir <close> = directory.new()
    local manager <close> = datagram_probe.bind(dir.path .. "/notify")
    local node <close>, address = start(dir, "--log-level", "warn")
    assert.equal("READY=1", datagram(manager))
    local socket <const>, about = dir.path .. "/data/admin.sock", ("/proc/%d/"):format(node.pid)
    local c <close> = console.attach(socket, { rw = true })
    c:eval("kv.put('a', '1')")
    local before <const> = { descriptors(node.pid), read(about .. "cmdline"), read(about .. "environ") }
    local began_ms <const> = task.now_ms()
    assert.same({ true }, c:eval("node.restart()").values)
    wait_until(function() return c.ended end)
    assert.same({ event = "end", why = "the node restarts" }, c.events[#c.events])
    wait_until(function() return select(2, node.stdout:gsub(READY, "")) == 2 end)
    assert.is_true(task.now_ms() - began_ms < 10000)
    assert.matches("^RELOADING=1\nMONOTONIC_USEC=%d+$", datagram(manager))
    assert.equal("READY=1", datagram(manager))
    local asker <close> = client.connect("http://" .. address)
    assert.equal("1", asker:get("a").value)
    asker:close()
    local again <close> = console.attach(socket)
    assert.equal(node.pid, again.greeting.result.pid)
    wait_until(function() return #descriptors(node.pid) <= #before[1] end)
    assert.same(before[2], read(about .. "cmdline"))
    local environment <const> = before[3]:gsub("KVSERVER_PARENT_PID=[%d.]+%z", "") -- it is for the first one
    assert.is_true(environment == read(about .. "environ"))
    node:kill("sigterm")
    assert.equal(0, assert(node:wait(WAIT_MS)).code)
    assert.equal("STOPPING=1", datagram(manager))
  end)

  it("is for consoles that may write, and for nodes that are processes of their own", function()
    local w <close> = console.world()
    local c <close> = w:attach()
    assert.equal("refused", c:eval("node.restart()").kind)
    c:ask { ["do"] = "rw", on = true }
    assert.matches("part of another program", c:eval("node.restart()").message, 1, true)
  end)

  it("is refused when there is no program any more; without one in the end, the process ends with 1", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/program"
    assert(uv.fs_copyfile(process.self(), path))
    local node <close> = process.spawn { args = { path, "--data", "data", "--listen", "127.0.0.1:0" }, cwd = dir.path }
    node:wait_line(READY, WAIT_MS)
    local c <close> = console.attach(dir.path .. "/data/admin.sock", { rw = true })
    assert(uv.fs_rename(path, path .. ".away"))
    assert.matches(path .. ": there is no such program any more", c:eval("node.restart()").message, 1, true)
    assert(uv.fs_rename(path .. ".away", path))
    local other <close> = console.attach(dir.path .. "/data/admin.sock")
    local id <const> = c:begin("node.restart() server.granted = true while not server.go do kv.get('a') end")
    wait_until(function() return other:eval("server.granted").values[1] == true end)
    assert(uv.fs_unlink(path))
    other:eval("server.go = true")
    assert.is_true(c:answer(id).ok)
    local result <const> = assert(node:wait(WAIT_MS))
    assert.equal(1, result.code)
    assert.matches("kvserver: cannot start anew: " .. path .. ": No such file or directory", result.stderr, 1, true)
  end)

  it("gives way to a signal that comes meanwhile", function()
    local dir <close> = directory.new()
    local node <close>, address = start(dir)
    local c <close> = console.attach(dir.path .. "/data/admin.sock", { rw = true })
    -- A read that waits for an index far ahead holds the stop up for its whole grace.
    local waiting <close> = httpclient.open { host = address:match("^(.+):"), port = 7001 }
    waiting:start { target = "/kv/k?min_index=1000000" }
    local asker <close> = client.connect("http://" .. address)
    assert.is_true(asker:healthz().ok)
    c:eval("node.restart()")
    wait_until(function() return c.ended end)
    node:kill("sigterm")
    assert.equal(0, assert(node:wait(WAIT_MS)).code)
    assert.equal(1, select(2, node.stdout:gsub(READY, "")))
  end)

  it("runs the program that is at the path by then", function()
    local dir <close> = directory.new()
    local path <const> = dir.path .. "/program"
    assert(uv.fs_copyfile(process.self(), path))
    local node <close> = process.spawn { args = { path, "--data", "data", "--listen", "127.0.0.1:0" }, cwd = dir.path }
    node:wait_line(READY, WAIT_MS)
    local c <close> = console.attach(dir.path .. "/data/admin.sock", { rw = true })
    assert(uv.fs_unlink(path))
    dir:write("program", "#!/bin/sh\necho new program: $*\n")
    assert(uv.fs_chmod(path, tonumber("700", 8)))
    c:eval("node.restart()")
    assert.equal(0, assert(node:wait(WAIT_MS)).code)
    assert.matches("new program: %-%-data data %-%-listen 127.0.0.1:0\n$", node.stdout)
  end)
end)

describe("node.stop", function()
  it("stops the node as a signal does", function()
    local dir <close> = directory.new()
    local node <close> = start(dir)
    local c <close> = console.attach(dir.path .. "/data/admin.sock", { rw = true })
    assert.same({ true }, c:eval("node.stop()").values)
    assert.equal(0, assert(node:wait(WAIT_MS)).code)
    assert.same({ event = "end", why = "the node stops" }, c.events[#c.events])
  end)
end)

describe("the admin socket of a node", function()
  it("is bound by its absolute path, as the system's list of sockets shows", function()
    local dir <close> = directory.new()
    local node <close> = start(dir)
    local real <const> = assert(uv.fs_realpath(dir.path))
    assert.matches(real .. "/data/admin.sock\n", read("/proc/net/unix"), 1, true)
    node:kill()
  end)
end)
