--- Loads with wrk, and what it measured.
--
--   local figures = wrk.run(url, { method = "PUT", connections = 64, seconds = 5, keys = 1000, value_bytes = 256 })
--   print(figures.rate, figures.p99_us)

local goals = require "goals"
local peers = require "peers"

local M = {}

--- Starts a load on one thread.
-- @param url of the server
-- @param options method (PUT, GET, ETCD_PUT), connections, seconds, keys (random ones out of so many), value_bytes
-- @return handle of kvserver.process
function M.start(url, options)
  local script = arg[0]:match("^(.*)/") .. "/load.lua"
  return peers.spawn {
    "wrk", "-t1", "-c" .. options.connections, "-d" .. options.seconds .. "s", "-s", script, url,
    "--", options.method, tostring(options.keys), tostring(options.value_bytes),
  }
end

--- The figures of a load that was started: rate, p50_us, p99_us, max_us. Failed requests are an error.
-- @param load its handle
-- @param seconds how long it was to run
-- @return table
function M.finish(load, seconds)
  local figures = {}
  local result = load:wait_line("result (.-)\n", (seconds + 10) * 1000)
  for name, value in result:gmatch("(%S+)=(%d+)") do
    figures[name] = math.tointeger(value)
  end
  if figures.failed > 0 then error(("%d requests failed"):format(figures.failed)) end
  figures.rate = figures.requests / (figures.duration_us / 1e6)
  return figures
end

--- A load from its start to its end.
-- @param url of the server
-- @param options as of start
-- @return figures as of finish
function M.run(url, options)
  local load <close> = M.start(url, options)
  return M.finish(load, options.seconds)
end

--- The middle one of a figure of several rounds.
-- @param rounds array of figures
-- @param name of the figure
-- @return number
function M.median(rounds, name)
  local numbers = {}
  for i, figures in ipairs(rounds) do numbers[i] = figures[name] end
  return goals.median(numbers)
end

--- Prints the figures of several rounds.
-- @param name what they are
-- @param rounds array of figures
function M.show(name, rounds)
  local rates = {}
  for i, figures in ipairs(rounds) do rates[i] = ("%.0f"):format(figures.rate) end
  goals.note(name, ("%.0f/s"):format(M.median(rounds, "rate")))
  goals.note("  p50, p99, worst of its rounds, medians", ("%d, %d, %d us"):format(M.median(rounds, "p50_us"),
    M.median(rounds, "p99_us"), M.median(rounds, "max_us")))
  goals.note("  rounds", table.concat(rates, " "))
end

return M
