--- A node whose snapshots another process asks for: `kvserver snapshot_node.lua FILE`. Its data directory is FILE.data.
-- SIGUSR1 has it take a snapshot, to which FILE is then a link; SIGUSR2 reads that and restores it into a state beside
-- the node's own, which is what its log says. Each job prints a line when it is done: its number, what it was, bytes,
-- seconds (of the restoring alone, without the reading).
--
-- It is a process of its own because a process that starts others shares its memory with them for a moment (fork), and
-- pays for that, page by page, long after.
local client = require "kvserver.client"
local kvsm = require "kvserver.kvsm"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local SNAPSHOT_MS <const> = 60000

local data <const> = arg[1] .. ".data"
local node <close> = assert(server.start { listen = "127.0.0.1:0", data = data, snapshot_threshold = 0 })
local jobs = 0

local function seconds_since(start_ns)
  return (uv.hrtime() - start_ns) / 1e9
end

local function link_to_newest(path)
  uv.fs_unlink(path)
  local status <const> = node:status()
  local name <const> = ("%s/snap/%016x-%016x.snap"):format(data, status.snapshot_index, status.snapshot_term)
  assert(uv.fs_link(name, path))
  return uv.fs_stat(path).size
end

-- Something is written before, since one snapshot of a state is enough.
local function snapshot(path)
  local writer <close> = client.connect("127.0.0.1:" .. node:port())
  assert(writer:put("a write", "before").ok)
  local before <const> = node:status().snapshot_index
  local start_ns <const> = uv.hrtime()
  assert(node:snapshot())
  assert(task.wait_until(function() return node:status().snapshot_index > before end, SNAPSHOT_MS))
  local seconds <const> = seconds_since(start_ns)
  return link_to_newest(path), seconds
end

local function read_file(path)
  local file = assert(uv.fs_open(path, "r", 0))
  local text = assert(uv.fs_read(file, assert(uv.fs_fstat(file)).size, 0))
  uv.fs_close(file)
  return text
end

local function restore(path)
  local text = read_file(path)
  local machine <close> = kvsm.new()
  local start_ns <const> = uv.hrtime()
  assert(machine:restore(text))
  return #text, seconds_since(start_ns)
end

local function on_signal(signal, name, job)
  local handle = uv.new_signal()
  handle:start(signal, function()
    task.spawn(function()
      local bytes, seconds = job(arg[1])
      collectgarbage()
      jobs = jobs + 1
      print(("job %d %s %d %.4f"):format(jobs, name, bytes, seconds))
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
