--- Measures three nodes in memory, all on this machine, beside three of etcd (JSON gateway, data in memory) and beside
-- nginx, which answers constants: `make bench`, or `kvserver --script scenarios/bench/cluster.lua`. Needs etcd, nginx
-- and wrk, and a quiet machine. Exits with 1 when a goal is missed.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local cluster = require "kvserver.cluster"
local goals = require "goals"
local httpclient = require "kvserver.httpclient"
local peers = require "peers"
local wrk = require "wrk"

local ROUNDS <const> = 3
local ROUND_SECONDS <const> = 5
local CONNECTIONS <const> = 64
local VALUE_BYTES <const> = 256
local KEYS <const> = 10000

local function load(url, method)
  return wrk.run(url, {
    method = method, connections = CONNECTIONS, seconds = ROUND_SECONDS, keys = KEYS, value_bytes = VALUE_BYTES,
  })
end

-- Every key that a GET asks for is there.
local function fill(address)
  local host, port = address:match("^(.*):(%d+)$")
  local client <close> = httpclient.open { host = host, port = math.tointeger(tonumber(port)) }
  local entries = {}
  for number = 1, KEYS do
    entries[number] = ('{"key":"key-%012d","value":"%s"}'):format(number, ("v"):rep(VALUE_BYTES))
  end
  local body = ('{"entries":[%s]}'):format(table.concat(entries, ","))
  local response = assert(client:request { method = "POST", target = "/kv/mput", body = body, timeout_ms = 10000 })
  assert(response.status == 200, response.body)
end

local function compare_puts(url)
  local ours, theirs = {}, {}
  do
    local etcd <close> = peers.etcd()
    for round = 1, ROUNDS do
      theirs[round] = load(etcd.url, "ETCD_PUT")
      ours[round] = load(url, "PUT")
    end
  end
  wrk.show("PUT, three nodes of etcd, JSON gateway", theirs)
  wrk.show("PUT, three nodes", ours)
  goals.at_least("PUT, to etcd", wrk.median(ours, "rate") / wrk.median(theirs, "rate"), 3, "%.2fx")
end

local function compare_gets(url)
  local ours, theirs = {}, {}
  local nginx <close> = peers.nginx(VALUE_BYTES)
  for round = 1, ROUNDS do
    theirs[round] = load(nginx.url, "GET")
    ours[round] = load(url, "GET")
  end
  wrk.show("GET, nginx", theirs)
  wrk.show("linearizable GET, three nodes", ours)
  goals.at_least("linearizable GET, to nginx", wrk.median(ours, "rate") / wrk.median(theirs, "rate"), 0.4, "%.2fx")
end

print(("cluster: three nodes, %d connections to the leader, %d-byte values, %d keys"):format(CONNECTIONS, VALUE_BYTES,
  KEYS))
local nodes <close> = cluster.start { options = { "--memory", "--log-level", "error" } }
local leader, term = nodes:wait_leader()
fill(nodes.addresses[leader])
local url = "http://" .. nodes.addresses[leader]
compare_puts(url)
compare_gets(url)
local _, term_now = nodes:wait_leader()
goals.at_most("changes of leader under this load", term_now - term, 0, "%d")
os.exit(goals.all_met())
