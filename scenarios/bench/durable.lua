--- Measures three durable nodes beside three of etcd (JSON gateway and gRPC), one Redis that syncs every write, and
-- appends, all on one disk: `make bench BENCHES=durable`, or `kvserver --script scenarios/bench/durable.lua [puts]
-- [latency] [restart]`. Needs etcd, Redis, h2load and wrk, a quiet machine, and a disk: TMPDIR says where, else /tmp.
-- Exits with 1 when a goal is missed.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local goals = require "goals"
local h2load = require "h2load"
local httpclient = require "kvserver.httpclient"
local loop = require "kvserver.loop"
local peers = require "peers"
local process = require "kvserver.process"
local task = require "kvserver.task"
local usage = require "usage"
local uv = require "luv"
local wrk = require "wrk"

local ROUNDS <const> = 3
local ROUND_SECONDS <const> = 5
local CONNECTIONS <const> = 64
local VALUE_BYTES <const> = 256
local KEYS <const> = 10000
local APPENDERS <const> = 3
local ALL_KEYS <const> = 1000000
local LOG_BYTES <const> = 100 << 20
local RESTARTS <const> = 3

local disk <const> = peers.disk()

local function load(url, method, connections)
  return wrk.run(url, {
    method = method, connections = connections, seconds = ROUND_SECONDS, keys = KEYS, value_bytes = VALUE_BYTES,
  })
end

-- ---- PUT, 64 connections ----

-- SETs by redis-benchmark; figures as of wrk.finish, as far as it has them.
local function redis_sets(redis)
  local done = process.run {
    args = {
      "redis-benchmark", "-h", redis.host, "-p", tostring(redis.port), "-t", "set", "-c", tostring(CONNECTIONS), "-n",
      "100000", "-r", tostring(KEYS), "-d", tostring(VALUE_BYTES), "--csv",
    },
    timeout_ms = 120000,
  }
  local any <const>, kept <const> = '"[%d.]+"', '"([%d.]+)"'
  local row <const> = table.concat({ '"SET"', kept, any, any, kept, any, kept, kept }, ",")
  local rate, p50, p99, max = done.stdout:match(row)
  assert(rate, done.stdout .. done.stderr)
  return { rate = tonumber(rate), p50_us = p50 * 1000 // 1, p99_us = p99 * 1000 // 1, max_us = max * 1000 // 1 }
end

-- A round of ours, with what it used up per PUT.
local function own_round(nodes, used)
  local before <const> = usage.of(nodes:pids(), disk)
  local figures <const> = load(nodes.url, "PUT", CONNECTIONS)
  local since <const> = usage.since(before)
  used.cpu_us[#used.cpu_us + 1] = since.cpu_s * 1e6 / figures.requests
  used.bytes[#used.bytes + 1] = since.disk_bytes / figures.requests
  return figures
end

local function puts()
  local own, json, grpc, redis_rounds, used = {}, {}, {}, {}, { cpu_us = {}, bytes = {} }
  local nodes <close> = peers.durable(disk, 3)
  for round = 1, ROUNDS do
    do
      local etcd <close> = peers.etcd(disk)
      json[round] = load(etcd.url, "ETCD_PUT", CONNECTIONS)
      grpc[round] = h2load.puts(etcd.url, {
        connections = CONNECTIONS, seconds = ROUND_SECONDS, value_bytes = VALUE_BYTES,
      })
    end
    do
      local redis <close> = peers.redis(disk)
      redis_rounds[round] = redis_sets(redis)
    end
    own[round] = own_round(nodes, used)
  end
  wrk.show("PUT, three nodes of etcd, JSON gateway", json)
  wrk.show("PUT, three nodes of etcd, gRPC", grpc)
  wrk.show("SET, one Redis, appendfsync always", redis_rounds)
  wrk.show("PUT, three nodes", own)
  local rate <const> = wrk.median(own, "rate")
  goals.at_least("PUT, to etcd JSON", rate / wrk.median(json, "rate"), 4, "%.2fx")
  goals.note("PUT, to etcd gRPC", ("%.2fx"):format(rate / wrk.median(grpc, "rate")))
  goals.note("PUT, to one Redis", ("%.2fx"):format(rate / wrk.median(redis_rounds, "rate")))
  goals.note("p99, to etcd gRPC", ("%.2fx"):format(wrk.median(own, "p99_us") / wrk.median(grpc, "p99_us")))
  goals.note("CPU per PUT, three nodes", ("%.0f us"):format(goals.median(used.cpu_us)))
  goals.note("disk bytes per PUT, three nodes", ("%.0f"):format(goals.median(used.bytes)))
end

-- ---- PUT, one connection ----

-- The median of what some appenders measure at the same time, in us.
local function append_p50()
  local children, medians = {}, {}
  for i = 1, APPENDERS do
    children[i] = process.spawn {
      args = {
        process.self(), arg[0]:match("^(.*)/") .. "/appender.lua", ("%s/kvserver-append-%d-%d"):format(disk,
          uv.os_getpid(), i), tostring(VALUE_BYTES), tostring(ROUND_SECONDS),
      },
    }
  end
  for i, child in ipairs(children) do
    local done = assert(child:wait((ROUND_SECONDS + 60) * 1000))
    medians[i] = math.tointeger(tonumber(done.stdout:match("p50_us=(%d+)"))) or error(done.stdout .. done.stderr)
  end
  return goals.median(medians)
end

local function latency()
  local own, bare = {}, {}
  local nodes <close> = peers.durable(disk, 3)
  load(nodes.url, "PUT", 1) -- the keys are there
  for round = 1, ROUNDS do
    bare[round] = append_p50()
    own[round] = load(nodes.url, "PUT", 1)
  end
  wrk.show("PUT, three nodes, one connection", own)
  goals.note("three appenders of fdatasync, p50", ("%d us"):format(goals.median(bare)))
  goals.at_most("PUT p50, one connection, to theirs", wrk.median(own, "p50_us") / goals.median(bare), 1.6, "%.2fx")
end

-- ---- restarts ----

local function fill(address, count)
  local host, port = address:match("^(.*):(%d+)$")
  local client <close> = httpclient.open { host = host, port = math.tointeger(tonumber(port)) }
  for first = 1, count, 1000 do
    local entries = {}
    for number = first, math.min(first + 999, count) do
      entries[#entries + 1] = ('{"key":"key-%012d","value":"%s"}'):format(number, ("v"):rep(VALUE_BYTES))
    end
    local body = ('{"entries":[%s]}'):format(table.concat(entries, ","))
    local response = assert(client:request { method = "POST", target = "/kv/mput", body = body, timeout_ms = 30000 })
    assert(response.status == 200, response.body)
  end
end

-- Seconds from a start after kill -9 to the ready line; a node alone is caught up by then.
local function restart_seconds(nodes)
  local seconds = {}
  for i = 1, RESTARTS do
    nodes.cluster:kill("n1")
    local start_ns <const> = uv.hrtime()
    nodes.cluster:restart("n1")
    seconds[i] = (uv.hrtime() - start_ns) / 1e9
  end
  return goals.median(seconds)
end

local function redis_restart()
  local redis <close> = peers.redis(disk)
  redis:cli("debug", "populate", tostring(ALL_KEYS), "key", tostring(VALUE_BYTES))
  redis:cli("bgrewriteaof")
  loop.sleep(1000)
  assert(task.wait_until(function()
    loop.sleep(200)
    return redis:cli("info", "persistence"):find("aof_rewrite_in_progress:0") and true
  end, 120000))
  local start_ns <const> = uv.hrtime()
  redis:restart()
  assert(redis:cli("dbsize"):find(tostring(ALL_KEYS)), "Redis has lost its keys")
  return (uv.hrtime() - start_ns) / 1e9
end

local function restart()
  do
    local nodes <close> = peers.durable(disk, 1, { "--snapshot-threshold", "0" })
    fill(nodes.cluster.addresses.n1, LOG_BYTES // (VALUE_BYTES + 60))
    goals.at_most("restart with a log of 100 MB, no snapshot", restart_seconds(nodes), 1, "%.2f s")
  end
  local nodes <close> = peers.durable(disk, 1, { "--snapshot-threshold", "500" })
  fill(nodes.cluster.addresses.n1, ALL_KEYS)
  goals.at_most("restart with 1,000,000 keys", restart_seconds(nodes), 3, "%.2f s")
  goals.note("restart of Redis with 1,000,000 keys", ("%.2f s"):format(redis_restart()))
end

local parts <const> = { puts = puts, latency = latency, restart = restart }
print(("durable: three nodes on %s, %d-byte values, %d keys"):format(disk, VALUE_BYTES, KEYS))
local chosen <const> = #arg > 0 and arg or { "puts", "latency", "restart" }
for _, name in ipairs(chosen) do
  if not parts[name] then
    io.stderr:write(("bench: expected puts, latency or restart, got %s\n"):format(name))
    os.exit(2, true)
  end
  parts[name]()
end
os.exit(goals.all_met())
