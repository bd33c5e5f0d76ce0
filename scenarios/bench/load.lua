--- The load, run by wrk inside its own LuaJIT (so this is Lua 5.1):
--
--   wrk ... -s load.lua URL -- METHOD KEYS VALUE_BYTES
--
-- Requests go to random keys out of KEYS and are built before the clock starts. The last line is for the bench to read.

-- luacheck: globals wrk init request done

local requests_max = 20000
local requests, position = {}, 0

function init(args)
  local method, keys, value_bytes = args[1], tonumber(args[2]), tonumber(args[3])
  local headers = { ["Content-Type"] = "application/json" }
  local body = '{"value":"' .. ("v"):rep(value_bytes) .. '"}'
  math.randomseed(1)
  for i = 1, requests_max do
    local path = ("/kv/key-%012d"):format(math.random(keys))
    requests[i] = method == "PUT" and wrk.format("PUT", path, headers, body) or wrk.format("GET", path)
  end
end

function request()
  position = position % requests_max + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(("result requests=%d duration_us=%d failed=%d p50_us=%d p99_us=%d max_us=%d\n"):format(summary.requests,
    summary.duration, failed, latency:percentile(50), latency:percentile(99), latency.max))
end
