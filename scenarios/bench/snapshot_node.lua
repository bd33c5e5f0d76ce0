--- A node whose snapshots another process asks for: `kvserver snapshot_node.lua FILE`. SIGUSR1 writes one to FILE,
-- SIGUSR2 restores it into a state beside the node's own, which is what its log says. Each job prints a line when it is
-- done: its number, what it was, bytes, seconds.
--
-- It is a process of its own because a process that starts others shares its memory with them for a moment (fork), and
-- pays for that, page by page, long after.
local kvsm = require "kvserver.kvsm"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local node <close> = assert(server.start { listen = "127.0.0.1:0" })
local jobs = 0

local function snapshot(path)
  return assert(node:snapshot(path))
end

local function restore(path)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read("a")
  local machine <close> = kvsm.new()
  assert(machine:restore(text))
  return #text
end

local function on_signal(signal, name, job)
  local handle = uv.new_signal()
  handle:start(signal, function()
    task.spawn(function()
      local start_ns = uv.hrtime()
      local bytes = job(arg[1])
      jobs = jobs + 1
      print(("job %d %s %d %.4f"):format(jobs, name, bytes, (uv.hrtime() - start_ns) / 1e9))
      io.stdout:flush()
    end)
  end)
end

on_signal("sigusr1", "snapshot", snapshot)
on_signal("sigusr2", "restore", restore)
assert(task.wait_until(function() return node:status().role == "leader" end, 5000))
print(("ready on http://127.0.0.1:%d"):format(node:port()))
io.stdout:flush()
task.event():wait()
