--- The load, run by wrk inside its own LuaJIT (so this is Lua 5.1):
--
--   wrk ... -s load.lua URL -- METHOD KEYS VALUE_BYTES
--
-- METHOD is PUT or GET, or ETCD_PUT for a put through etcd's JSON gateway.
-- Requests go to random keys out of KEYS and are built before the clock starts. The last line is for the bench to read.

-- luacheck: globals wrk init request done

local requests_max = 20000
local requests, position = {}, 0

local headers = { ["Content-Type"] = "application/json" }

local function base64(text)
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 18, 0, -6 do
      local digit = math.floor(bits / 2 ^ shift) % 64 + 1
      out[#out + 1] = digits:sub(digit, digit)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

local makers = {
  GET = function(key) return wrk.format("GET", "/kv/" .. key) end,
  PUT = function(key, value) return wrk.format("PUT", "/kv/" .. key, headers, '{"value":"' .. value .. '"}') end,
  ETCD_PUT = function(key, value)
    return wrk.format("POST", "/v3/kv/put", headers, ('{"key":"%s","value":"%s"}'):format(base64(key), base64(value)))
  end,
}

function init(args)
  local make, keys, value = makers[args[1]], tonumber(args[2]), ("v"):rep(tonumber(args[3]))
  math.randomseed(1)
  for i = 1, requests_max do
    requests[i] = make(("key-%012d"):format(math.random(keys)), value)
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
