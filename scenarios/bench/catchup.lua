--- A follower of three durable nodes is down while 1,000,000 keys are written, and comes back through a snapshot while
-- clients go on writing: what it costs them, and in memory; then, what a million overwrites of one key leave on disk.
-- `make bench BENCHES=catchup`, or `kvserver --script scenarios/bench/catchup.lua`. Needs wrk, a quiet machine, and a
-- disk: TMPDIR says where, else /tmp. Exits with 1 when a goal is missed.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local client = require "kvserver.client"
local goals = require "goals"
local httpclient = require "kvserver.httpclient"
local peers = require "peers"
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"
local wrk = require "wrk"

local ALL_KEYS <const> = 1000000
local VALUE_BYTES <const> = 256
local CONNECTIONS <const> = 8
local LOAD_SECONDS <const> = 10
local CATCH_UP_MS <const> = 120000
local MB <const> = 1 << 20

local function post(address, targets)
  local host, port = address:match("^(.*):(%d+)$")
  local connection <close> = httpclient.open { host = host, port = math.tointeger(tonumber(port)) }
  for body in targets do
    local response = assert(connection:request { method = "POST", target = "/kv/mput", body = body,
      timeout_ms = 30000 })
    assert(response.status == 200, response.body)
  end
end

-- Bodies of mput that write all keys, a thousand each.
local function all_keys()
  local first = 1
  return function()
    if first > ALL_KEYS then return nil end
    local entries = {}
    for number = first, first + 999 do
      entries[#entries + 1] = ('{"key":"key-%012d","value":"%s"}'):format(number, ("v"):rep(VALUE_BYTES))
    end
    first = first + 1000
    return ('{"entries":[%s]}'):format(table.concat(entries, ","))
  end
end

local function start_load(url, keys)
  return wrk.start(url, {
    method = "PUT", connections = CONNECTIONS, seconds = LOAD_SECONDS, keys = keys, value_bytes = VALUE_BYTES,
  })
end

local function worst_ms(url, keys, meanwhile)
  local load <close> = start_load(url, keys)
  if meanwhile then meanwhile() end
  return wrk.finish(load, LOAD_SECONDS).max_us / 1000
end

local function directory_bytes(path)
  return math.tointeger(tonumber(process.run({ args = { "du", "-sb", path } }).stdout:match("%d+")))
end

-- Waits until the member has all that the leader had applied when this began.
local function wait_caught_up(nodes, id)
  local applied <const> = nodes.cluster:status(nodes.leader).last_applied
  assert(task.wait_until(function()
    local status = nodes.cluster:status(id)
    return status and status.last_applied >= applied
  end, CATCH_UP_MS), "it does not catch up")
end

local function all_same(nodes)
  local function same()
    local first
    for _, id in ipairs(nodes.cluster.ids) do
      local status = nodes.cluster:status(id)
      local state = status and status.last_applied .. " " .. status.state_digest
      if not state or first and state ~= first then return false end
      first = state
    end
    return true
  end
  return task.wait_until(same, CATCH_UP_MS) ~= nil
end

local nodes <close> = peers.durable(peers.disk(), 3, { "--snapshot-threshold", "500" })
local away <const> = nodes.leader == "n1" and "n2" or "n1"
print(("catchup: %s is down while %d keys of 16 + %d bytes are written"):format(away, ALL_KEYS, VALUE_BYTES))
nodes.cluster:kill(away)
post(nodes.cluster.addresses[nodes.leader], all_keys())
worst_ms(nodes.url, ALL_KEYS)
local calm_ms <const> = worst_ms(nodes.url, ALL_KEYS)
local leader_rss <const> = peers.rss_bytes(nodes.cluster.processes[nodes.leader].pid)
local seconds
local busy_ms <const> = worst_ms(nodes.url, ALL_KEYS, function()
  local start_ns <const> = uv.hrtime()
  nodes.cluster:restart(away)
  wait_caught_up(nodes, away)
  seconds = (uv.hrtime() - start_ns) / 1e9
end)
goals.note("catching up, under load", ("%.1f s"):format(seconds))
goals.note("worst PUT without and with it", ("%.1f %.1f ms"):format(calm_ms, busy_ms))
goals.at_most("worst PUT: with it over without", busy_ms - calm_ms, 100, "%.1f ms")
goals.at_least("all three in the same state", all_same(nodes) and 1 or 0, 1, "%d")
assert(nodes.cluster:status(away).snapshot_index > 0, "it came back without a snapshot")
local _, leader_high <const> = peers.rss_bytes(nodes.cluster.processes[nodes.leader].pid)
local _, follower_high <const> = peers.rss_bytes(nodes.cluster.processes[away].pid)
goals.note("leader, resident before and at its highest", ("%.0f %.0f MB"):format(leader_rss / MB, leader_high / MB))
goals.note("follower, resident at its highest", ("%.0f MB"):format(follower_high / MB))
goals.at_most("follower's highest, to the leader's", follower_high / leader_high, 2, "%.2fx")

local one <close> = client.connect(nodes.cluster.addresses[nodes.leader])
local before <const> = directory_bytes(nodes.directory .. "/" .. nodes.leader)
local last <const> = nodes.cluster:status(nodes.leader).last_index
while nodes.cluster:status(nodes.leader).last_index < last + ALL_KEYS do
  wrk.run(nodes.url, { method = "PUT", connections = 64, seconds = LOAD_SECONDS, keys = 1, value_bytes = VALUE_BYTES })
end
assert(one:status().role == "leader")
local after <const> = directory_bytes(nodes.directory .. "/" .. nodes.leader)
goals.note("directory before and behind 1,000,000 overwrites", ("%.0f %.0f MB"):format(before / MB, after / MB))
goals.at_most("directory: growth", (after - before) / MB, 512, "%.0f MB")
os.exit(goals.all_met())
