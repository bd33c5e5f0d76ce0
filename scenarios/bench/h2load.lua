--- Puts through etcd's own protocol, gRPC, by h2load: the same ready-made call again and again.
--
--   local figures = h2load.puts(etcd.url, { connections = 64, seconds = 5, value_bytes = 256 })

local httpclient = require "kvserver.httpclient"
local peers = require "peers"

local M = {}

local KEY <const> = "key-000000000001"
local US_PER_S <const> = 1000000
local UNCOUNTED_MAX <const> = 4 -- puts of a connection at the end, which etcd has done and the log does not tell

local function varint(number)
  local out = ""
  while number >= 128 do
    out = out .. string.char(number % 128 + 128)
    number = number // 128
  end
  return out .. string.char(number)
end

-- A field of bytes of a protocol buffer.
local function field(number, bytes)
  return varint(number * 8 + 2) .. varint(#bytes) .. bytes
end

-- A PutRequest, as a message of gRPC: not compressed, its length, then itself.
local function put_call(value_bytes)
  local message <const> = field(1, KEY) .. field(2, ("v"):rep(value_bytes))
  return string.pack(">I1 I4", 0, #message) .. message
end

-- Every put makes a revision.
local function revision(url)
  local host, port = url:match("//(.*):(%d+)$")
  local client <close> = httpclient.open { host = host, port = math.tointeger(tonumber(port)) }
  local response = assert(client:request { method = "POST", target = "/v3/kv/range", body = '{"key":"YQ=="}' })
  return math.tointeger(tonumber(response.body:match('"revision":"(%d+)"')))
end

local function percentile(sorted, percent)
  return sorted[math.max(1, math.ceil(#sorted * percent / 100))]
end

-- The log has a line per request: start in us, HTTP status, duration in us.
local function read_log(path)
  local durations = {}
  for line in io.lines(path) do
    local status, duration = line:match("^%d+\t(%S+)\t(%d+)$")
    if status ~= "200" then error("h2load: a request failed: " .. line) end
    durations[#durations + 1] = math.tointeger(tonumber(duration))
  end
  table.sort(durations)
  return durations
end

local function run(url, body, log, options)
  local seconds <const> = options.seconds
  local load <close> = peers.spawn {
    "h2load", "-t1", "-c" .. options.connections, "-m1", "-D" .. seconds, "--log-file=" .. log, "-d", body,
    "-H", "content-type: application/grpc", "-H", "te: trailers", url .. "/etcdserverpb.KV/Put",
  }
  local result = assert(load:wait((seconds + 30) * 1000))
  if result.code ~= 0 then error("h2load: " .. result.stdout .. result.stderr) end
end

--- Runs them, and looks that each was done.
-- @param url of etcd
-- @param options connections, seconds, value_bytes
-- @return figures as of wrk.finish
function M.puts(url, options)
  local body <const>, log <const> = os.tmpname(), os.tmpname()
  local _ <close> = setmetatable({}, { __close = function() os.remove(body) os.remove(log) end })
  do
    local file <close> = assert(io.open(body, "wb"))
    file:write(put_call(options.value_bytes))
  end
  local before <const> = revision(url)
  run(url, body, log, options)
  local done <const>, durations <const> = revision(url) - before, read_log(log)
  -- Those under way at the end are done, too, and not counted.
  if done < #durations or done > #durations + UNCOUNTED_MAX * options.connections then
    error(("h2load counts %d puts, etcd %d"):format(#durations, done))
  end
  return {
    requests = #durations, duration_us = options.seconds * US_PER_S, rate = #durations / options.seconds,
    p50_us = percentile(durations, 50), p99_us = percentile(durations, 99), max_us = durations[#durations],
  }
end

return M
