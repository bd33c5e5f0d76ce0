--- A node whose snapshots another process asks for: `kvserver snapshot_node.lua FILE`. SIGUSR1 writes one to FILE,
-- SIGUSR2 restores it; each job prints a line when it is done: its number, what it was, bytes, seconds.
--
-- It is a process of its own because a process that starts others shares its memory with them for a moment (fork), and
-- pays for that, page by page, long after.
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local node <close> = assert(server.start { listen = "127.0.0.1:0" })
local jobs = 0

local function on_signal(signal, name, job)
  local handle = uv.new_signal()
  handle:start(signal, function()
    task.spawn(function()
      local start_ns = uv.hrtime()
      local bytes = assert(job(node, arg[1]))
      jobs = jobs + 1
      print(("job %d %s %d %.4f"):format(jobs, name, bytes, (uv.hrtime() - start_ns) / 1e9))
      io.stdout:flush()
    end)
  end)
end

on_signal("sigusr1", "snapshot", node.snapshot)
on_signal("sigusr2", "restore", node.restore)
print(("ready on http://127.0.0.1:%d"):format(node:port()))
io.stdout:flush()
task.event():wait()
