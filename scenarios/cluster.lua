--- Three nodes on this machine, until Ctrl-C: what `make run` starts. HOST is their address, 127.0.0.1 if it is not
-- given. What they know is kept in DIR, ./kvdata-cluster if it is not given, and is there again in the next run;
-- OPTIONS are for all of them, such as --log-level warn.
--
--     kvserver --script scenarios/cluster.lua [HOST] [--data DIR | --memory] [OPTIONS]
local cluster = require "kvserver.cluster"
local task = require "kvserver.task"
local uv = require "luv"

local GUIDE <const> = [[

Three nodes, NODES, KEEPING; LEADER leads.
Try, in another terminal:
  curl -L -X PUT http://FOLLOWER/kv/greeting -d '{"value":"hello"}'   # a follower; -L goes on to the leader
  curl http://LEADING/kv/greeting
  curl 'http://FOLLOWER/kv?prefix=g&read=stale'
  curl http://LEADING/status
  kill -9 PID                                                      # the leader: another takes over
  AGAIN &
README.md tours the rest. Ctrl-C stops them all.
]]

local function stop_signal()
  local stopped = task.event()
  for _, name in ipairs { "sigint", "sigterm" } do
    uv.new_signal():start(name, function() stopped:set() end)
  end
  return stopped
end

local function print_guide(nodes, leader)
  local follower = nodes.ids[1] == leader and nodes.ids[2] or nodes.ids[1]
  local addresses = {}
  for i, id in ipairs(nodes.ids) do addresses[i] = nodes.addresses[id] end
  print((GUIDE:gsub("%u%u%u+", {
    NODES = table.concat(addresses, ", "),
    KEEPING = nodes.data and "with what they know in " .. nodes.data or "with everything in memory",
    LEADER = leader,
    LEADING = nodes.addresses[leader],
    FOLLOWER = nodes.addresses[follower],
    PID = tostring(nodes.processes[leader].pid),
    AGAIN = nodes:command(leader),
  })))
  io.stdout:flush()
end

-- Takes the option --data out of the arguments; nil when everything is to be in memory.
local function data_directory(arguments)
  for i, argument in ipairs(arguments) do
    if argument == "--memory" then return nil end
    if argument == "--data" then
      table.remove(arguments, i)
      return table.remove(arguments, i)
    end
  end
  return "kvdata-cluster"
end

local function start_nodes(host, data, options)
  local ok, nodes = pcall(cluster.start, { host = host, data = data, options = options, show_log = true })
  if ok then return nodes end
  io.stderr:write(("The nodes did not start; the lines above say why. They need ports 7001 to 7003 of %s.\n"):format(
    host))
  os.exit(1, true)
end

local stopped = stop_signal()
local host = arg[1] and not arg[1]:find("^%-") and table.remove(arg, 1) or "127.0.0.1"
local data = data_directory(arg)
local nodes <close> = start_nodes(host, data, table.move(arg, 1, #arg, 1, {}))
print_guide(nodes, (nodes:wait_leader()))
stopped:wait()
nodes:stop(table.unpack(nodes.ids))
