--- Who is compared: nginx with one worker that answers constants, three nodes of etcd, one Redis, and our node, all of
-- them child processes on addresses of their own. Give each to a `<close>` variable.
--
--   local node <close> = peers.node()
--   print(node.url, node:rss_bytes())

local cluster = require "kvserver.cluster"
local httpclient = require "kvserver.httpclient"
local loop = require "kvserver.loop"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local Peer = {}
Peer.__index = Peer

-- nginx must end its worker itself, so it is asked to stop, not killed.
function Peer:__close()
  self.process:kill("sigterm")
  self.process:wait(5000)
  self.process:kill()
  if self.directory then os.execute(("rm -rf '%s'"):format(self.directory)) end
end

--- A program that ends when this process does, even by SIGKILL.
-- @param args array: the program and its arguments
-- @return handle of kvserver.process
function M.spawn(args)
  return process.spawn { args = table.move(args, 1, #args, 4, { "setpriv", "--pdeathsig", "TERM" }) }
end

--- Resident memory of a process.
-- @param pid number
-- @return bytes now
-- @return bytes at its highest
function M.rss_bytes(pid)
  local file <close> = assert(io.open(("/proc/%d/status"):format(pid)))
  local status = file:read("a")
  return status:match("VmRSS:%s*(%d+) kB") * 1024, status:match("VmHWM:%s*(%d+) kB") * 1024
end

local function start_node(args)
  local self = setmetatable({}, Peer)
  self.process = M.spawn(args)
  self.url, self.host, self.port = self.process:wait_line("ready on (http://([%d.]+):(%d+))\n", 5000)
  self.port = math.tointeger(self.port)
  return self
end

--- Starts our node, in memory.
-- @return peer with host, port, url, process
function M.node()
  return start_node { process.self(), "--memory", "--listen", "127.0.0.1:0", "--log-level", "warn" }
end

--- Starts a node whose snapshots can be asked for: see snapshot_node.lua.
-- @param path where it writes them
-- @return peer with host, port, url, process, jobs (how many were asked for)
function M.snapshot_node(path)
  local self = start_node { process.self(), arg[0]:match("^(.*)/") .. "/snapshot_node.lua", path }
  self.jobs = 0
  return self
end

local function write_nginx_config(directory, values)
  local template <close> = assert(io.open(arg[0]:match("^(.*)/") .. "/nginx.conf"))
  local config <close> = assert(io.open(directory .. "/nginx.conf", "w"))
  config:write((template:read("a"):gsub("%u%u%u+", values)))
end

local function wait_for_answer(peer)
  local client <close> = httpclient.open { host = peer.host, port = peer.port }
  for _ = 1, 100 do
    local response = client:request { target = "/", timeout_ms = 1000 }
    if response then return end
    loop.sleep(50)
  end
  error("nginx does not answer")
end

--- Starts nginx. It cannot bind to a port that is free, so it gets an address that is: one made of our process id.
-- @param value_bytes size of the value in its answer to a GET
-- @return peer with host, port, url, process
function M.nginx(value_bytes)
  local self = setmetatable({ directory = assert(uv.fs_mkdtemp("/tmp/kvserver-bench-XXXXXX")), port = 8080 }, Peer)
  local pid = uv.os_getpid()
  self.host = ("127.%d.%d.%d"):format(1 + pid // 65536 % 250, pid // 256 % 256, 1 + pid % 250)
  self.url = ("http://%s:%d"):format(self.host, self.port)
  write_nginx_config(self.directory, { ADDRESS = self.host, PORT = self.port, VALUE = ("v"):rep(value_bytes) })
  self.process = M.spawn { "nginx", "-p", self.directory, "-c", "nginx.conf" }
  wait_for_answer(self)
  return self
end

-- Starts one of etcd's nodes.
local function spawn_etcd(self, number, members)
  local client = ("http://%s:%d"):format(self.host, self.port + number)
  local peer = ("http://%s:%d"):format(self.host, self.port + 100 + number)
  return M.spawn {
    "etcd", "--name", "e" .. number, "--data-dir", self.directory .. "/e" .. number, "--logger", "zap", "--log-level",
    "error", "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
    "--initial-advertise-peer-urls", peer, "--initial-cluster", members, "--initial-cluster-state", "new",
  }
end

-- The url of the node that leads: the one whose own id is the leader's.
local function etcd_leader(self)
  for number = 1, #self.processes do
    local client <close> = httpclient.open { host = self.host, port = self.port + number }
    local question = { method = "POST", target = "/v3/maintenance/status", body = "{}", timeout_ms = 1000 }
    local response = client:request(question)
    local leader = response and response.body:match('"leader":"(%d+)"')
    if leader and response.body:match('"member_id":"(%d+)"') == leader then
      return ("http://%s:%d"):format(self.host, self.port + number)
    end
  end
  return nil
end

local Etcd = {}
Etcd.__index = Etcd

function Etcd:__close()
  for _, child in ipairs(self.processes) do child:kill("sigterm") end
  for _, child in ipairs(self.processes) do child:wait(5000) end
  for _, child in ipairs(self.processes) do child:kill() end
  os.execute(("rm -rf '%s'"):format(self.directory))
end

--- The ids of its processes.
-- @return array of numbers
function Etcd:pids()
  local pids = {}
  for number, child in ipairs(self.processes) do pids[number] = child.pid end
  return pids
end

--- Starts three nodes of etcd, and waits for a leader.
-- @param parent where their data goes; a directory in memory if it is not given
-- @return peer with url (the leader's)
function M.etcd(parent)
  local self = setmetatable({
    directory = assert(uv.fs_mkdtemp((parent or "/dev/shm") .. "/kvserver-bench-XXXXXX")), host = cluster.own_host(),
    port = 2300, processes = {},
  }, Etcd)
  local members = {}
  for number = 1, 3 do members[number] = ("e%d=http://%s:%d"):format(number, self.host, self.port + 100 + number) end
  for number = 1, 3 do self.processes[number] = spawn_etcd(self, number, table.concat(members, ",")) end
  self.url = task.wait_until(function()
    loop.sleep(50)
    return etcd_leader(self)
  end, 20000)
  assert(self.url, "etcd has no leader")
  return self
end

-- ---- Redis ----

local Redis = setmetatable({}, { __index = Peer })
Redis.__index = Redis
Redis.__close = Peer.__close

-- Starts it on what its directory holds.
local function spawn_redis(self)
  self.process = M.spawn {
    "redis-server", "--bind", self.host, "--port", tostring(self.port), "--dir", self.directory, "--save", "",
    "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning", "--enable-debug-command", "yes",
  }
end

--- Runs redis-cli against it.
-- @param ... its arguments
-- @return what it prints
function Redis:cli(...)
  local args = { "redis-cli", "-h", self.host, "-p", tostring(self.port), ... }
  return process.run({ args = args, timeout_ms = 120000 }).stdout
end

local function wait_for_redis(self)
  local answers = task.wait_until(function() return self:cli("ping"):find("PONG") end, 60000)
  assert(answers, "Redis does not answer")
end

--- Kills it, starts it again, and waits until it answers: it has read its file by then.
function Redis:restart()
  self.process:kill()
  assert(self.process:wait(5000))
  spawn_redis(self)
  wait_for_redis(self)
end

--- The ids of its processes.
-- @return array of numbers
function Redis:pids()
  return { self.process.pid }
end

--- Starts one Redis that syncs its file before it answers a write.
-- @param parent where its data goes
-- @return peer with host, port, process
function M.redis(parent)
  local self = setmetatable({
    directory = assert(uv.fs_mkdtemp(parent .. "/kvserver-bench-XXXXXX")), host = cluster.own_host(), port = 6379,
  }, Redis)
  spawn_redis(self)
  wait_for_redis(self)
  return self
end

-- ---- our own, on disks ----

local Nodes = {}
Nodes.__index = Nodes

function Nodes:__close()
  self.cluster:close()
  os.execute(("rm -rf '%s'"):format(self.directory))
end

--- The ids of its processes.
-- @return array of numbers
function Nodes:pids()
  local pids = {}
  for number, id in ipairs(self.cluster.ids) do pids[number] = self.cluster.processes[id].pid end
  return pids
end

--- Starts nodes of ours on directories, and waits for a leader.
-- @param parent where their data goes
-- @param size how many
-- @param options further arguments for all of them
-- @return peer with url (the leader's), cluster (of kvserver.cluster), leader (its id)
function M.durable(parent, size, options)
  local self = setmetatable({ directory = assert(uv.fs_mkdtemp(parent .. "/kvserver-bench-XXXXXX")) }, Nodes)
  self.cluster = cluster.start {
    size = size,
    options = function(id)
      local arguments = { "--data", self.directory .. "/" .. id, "--log-level", "error" }
      return table.move(options or {}, 1, #(options or {}), #arguments + 1, arguments)
    end,
  }
  self.leader = self.cluster:wait_leader()
  self.url = "http://" .. self.cluster.addresses[self.leader]
  return self
end

--- Where durable data goes: TMPDIR, or /tmp, which must be a real disk.
-- @return path
function M.disk()
  local path <const> = os.getenv("TMPDIR") or "/tmp"
  local kind = process.run { args = { "stat", "-f", "-c", "%T", path } }.stdout:match("%S+")
  if kind == "tmpfs" or kind == "ramfs" then error(path .. " is memory; set TMPDIR to a directory on a disk", 0) end
  return path
end

return M
