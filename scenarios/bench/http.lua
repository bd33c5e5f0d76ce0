--- Measures kvserver beside nginx, and its memory and snapshots, against the goals: `make bench`, or
-- `kvserver --script scenarios/bench/http.lua [throughput] [memory] [snapshot]`. Needs nginx and wrk, and a quiet
-- machine. Snapshots go to TMPDIR: a virtual disk may take its time from the processors that serve the requests. Exits
-- with 1 when a goal is missed.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local goals = require "goals"
local httpclient = require "kvserver.httpclient"
local loop = require "kvserver.loop"
local peers = require "peers"
local uv = require "luv"
local wrk = require "wrk"

local VALUE_BYTES <const> = 256
local ROUNDS <const> = 3
local ROUND_SECONDS <const> = 5
local HOT_KEYS <const> = 100000
local ALL_KEYS <const> = 1000000
local BATCH_KEYS <const> = 1000
local MB <const> = 1000000

-- ---- tools ----

local function key_of(number)
  return ("key-%012d"):format(number)
end

-- Puts keys 1 to `count` in, by HTTP, a batch at a time; every value is different.
local function load_keys(host, port, count)
  local client <close> = httpclient.open { host = host, port = port }
  for first = 1, count, BATCH_KEYS do
    local entries = {}
    for number = first, first + BATCH_KEYS - 1 do
      local key = key_of(number)
      entries[#entries + 1] = ('{"key":"%s","value":"%s"}'):format(key, key:rep(VALUE_BYTES // #key))
    end
    local body = ('{"entries":[%s]}'):format(table.concat(entries, ","))
    local response, _, why = client:request { method = "POST", target = "/kv/mput", body = body, timeout_ms = 10000 }
    if not response or response.status ~= 200 then error("mput: " .. (why or response.body)) end
  end
end

-- ---- throughput ----

local function compare(method, nginx, node)
  local options = { method = method, connections = 64, seconds = ROUND_SECONDS, keys = HOT_KEYS,
    value_bytes = VALUE_BYTES }
  local theirs, ours = {}, {}
  for round = 1, ROUNDS do
    theirs[round] = wrk.run(nginx.url, options)
    ours[round] = wrk.run(node.url, options)
  end
  wrk.show(method .. ", nginx", theirs)
  wrk.show(method .. ", kvserver", ours)
  goals.at_least(method .. ", kvserver to nginx", wrk.median(ours, "rate") / wrk.median(theirs, "rate"), 0.7, "%.2fx")
end

local function throughput()
  print(("throughput: 64 connections, %d-byte values, %d keys"):format(VALUE_BYTES, HOT_KEYS))
  local nginx <close> = peers.nginx(VALUE_BYTES)
  local node <close> = peers.node()
  load_keys(node.host, node.port, HOT_KEYS)
  compare("GET", nginx, node)
  compare("PUT", nginx, node)
end

-- ---- memory ----

-- The log is in memory, too, for now: each key and value once more, behind four bytes of length.
local LOGGED_BYTES <const> = 4 + #key_of(1) + 4 + VALUE_BYTES

local function memory()
  print(("memory: %d keys of 16 + %d bytes, put in over HTTP"):format(ALL_KEYS, VALUE_BYTES))
  local node <close> = peers.node()
  goals.note("resident when empty", ("%.1f MB"):format(peers.rss_bytes(node.process.pid) / MB))
  load_keys(node.host, node.port, ALL_KEYS)
  local bytes = peers.rss_bytes(node.process.pid)
  goals.note("resident with all keys", ("%.1f MB"):format(bytes / MB))
  goals.note("bytes of the log in it, per key", ("%d"):format(LOGGED_BYTES))
  goals.at_most("resident bytes per key, without the log", bytes / ALL_KEYS - LOGGED_BYTES, 330, "%.0f")
end

-- ---- snapshots ----

-- Has the node write (sigusr1) or read (sigusr2) its snapshot; bytes and seconds that it took.
local function run_job(node, signal)
  node.jobs = node.jobs + 1
  node.process:kill(signal)
  local bytes, seconds = node.process:wait_line(("job %d %%l+ (%%d+) ([%%d.]+)\n"):format(node.jobs), 60000)
  return tonumber(bytes), tonumber(seconds)
end

-- One round of requests; `during` (may be nil) runs in their midst.
local function probe(node, during)
  local options = { method = "PUT", connections = 4, seconds = ROUND_SECONDS, keys = ALL_KEYS,
    value_bytes = VALUE_BYTES }
  local load <close> = wrk.start(node.url, options)
  loop.sleep(500)
  if during then during() end
  if load.exit_status then error("the snapshot outlasted the requests that should feel it") end
  return wrk.finish(load, ROUND_SECONDS)
end

-- What it costs the requests that anything at all writes as much to the same disk.
local function copy(from, to)
  assert(os.execute(("nice dd bs=64k conv=fsync status=none 'if=%s' 'of=%s'"):format(from, to)))
end

local function worst_request(node, file)
  local calm, busy, foreign, seconds = {}, {}, {}, {}
  for round = 1, ROUNDS do
    calm[round] = probe(node)
    busy[round] = probe(node, function() seconds[round] = select(2, run_job(node, "sigusr1")) end)
    foreign[round] = probe(node, function() copy(file, file .. ".copy") end)
    os.remove(file .. ".copy")
  end
  goals.note("worst PUT, calm, by round", ("%.1f %.1f %.1f ms"):format(calm[1].max_us / 1000, calm[2].max_us / 1000,
    calm[3].max_us / 1000))
  goals.note("worst PUT, snapshot running, by round", ("%.1f %.1f %.1f ms"):format(busy[1].max_us / 1000,
    busy[2].max_us / 1000, busy[3].max_us / 1000))
  goals.note("worst PUT, dd copying such a file, by round", ("%.1f %.1f %.1f ms"):format(foreign[1].max_us / 1000,
    foreign[2].max_us / 1000, foreign[3].max_us / 1000))
  goals.note("such a snapshot, under load, takes", ("%.2f s"):format(goals.median(seconds)))
  goals.at_most("worst PUT: snapshot running over calm, medians",
    (wrk.median(busy, "max_us") - wrk.median(calm, "max_us")) / 1000, 10, "%.1f ms")
end

local function write_and_read(node)
  local write_seconds, read_seconds, bytes = {}, {}, nil
  for round = 1, ROUNDS do
    bytes, write_seconds[round] = run_job(node, "sigusr1")
    read_seconds[round] = select(2, run_job(node, "sigusr2"))
  end
  goals.note("snapshot, size", ("%.1f MB"):format(bytes / MB))
  goals.at_least("snapshot, MB/s", bytes / MB / goals.median(write_seconds), 200, "%.0f")
  goals.at_least("restore, MB/s", bytes / MB / goals.median(read_seconds), 200, "%.0f")
end

local function snapshot()
  print(("snapshots: %d keys of 16 + %d bytes"):format(ALL_KEYS, VALUE_BYTES))
  local directory = assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/kvserver-bench-XXXXXX"))
  local _ <close> = setmetatable({}, { __close = function() os.execute(("rm -rf '%s'"):format(directory)) end })
  local file = directory .. "/state.snap"
  local node <close> = peers.snapshot_node(file)
  load_keys(node.host, node.port, ALL_KEYS)
  worst_request(node, file)
  local before = peers.rss_bytes(node.process.pid)
  write_and_read(node)
  local _, highest = peers.rss_bytes(node.process.pid)
  goals.note("resident before, and at its highest", ("%.0f, %.0f MB"):format(before / MB, highest / MB))
end

-- ---- the run ----

local parts <const> = { throughput = throughput, memory = memory, snapshot = snapshot }

local chosen = #arg > 0 and arg or { "throughput", "memory", "snapshot" }
for _, name in ipairs(chosen) do
  local part = parts[name]
  if not part then
    io.stderr:write(("bench: expected throughput, memory or snapshot, got %s\n"):format(name))
    os.exit(2)
  end
  part()
  print()
end
os.exit(goals.all_met())
