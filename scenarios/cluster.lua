--- Three nodes on this machine, until Ctrl-C: what `make run` starts. HOST is their address, 127.0.0.1 if it is not
-- given; OPTIONS are for all of them, such as --log-level warn. What they hold is kept in ./kvdata/n1 and so on, and is
-- there again the next time; with --memory nothing is.
--
--     kvserver --script scenarios/cluster.lua [HOST] [OPTIONS]
local cluster = require "kvserver.cluster"
local task = require "kvserver.task"
local uv = require "luv"

local GUIDE <const> = [[

Three nodes, NODES; LEADER leads. What they hold is WHERE.
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

local DATA <const> = "./kvdata"

local function print_guide(nodes, leader, where)
  local follower = nodes.ids[1] == leader and nodes.ids[2] or nodes.ids[1]
  local addresses = {}
  for i, id in ipairs(nodes.ids) do addresses[i] = nodes.addresses[id] end
  print((GUIDE:gsub("%u%u%u+", {
    NODES = table.concat(addresses, ", "),
    WHERE = where,
    LEADER = leader,
    LEADING = nodes.addresses[leader],
    FOLLOWER = nodes.addresses[follower],
    PID = tostring(nodes.processes[leader].pid),
    AGAIN = nodes:command(leader),
  })))
  io.stdout:flush()
end

local function start_nodes(host, options)
  local ok, nodes = pcall(cluster.start, { host = host, options = options, show_log = true })
  if ok then return nodes end
  io.stderr:write(("The nodes did not start; the lines above say why. They need ports 7001 to 7003 of %s.\n"):format(
    host))
  os.exit(1, true)
end

local stopped = stop_signal()
local host = arg[1] and not arg[1]:find("^%-") and table.remove(arg, 1) or "127.0.0.1"
local in_memory = false
for _, option in ipairs(arg) do in_memory = in_memory or option == "--memory" end
if not in_memory then uv.fs_mkdir(DATA, tonumber("700", 8)) end -- it may be there
local nodes <close> = start_nodes(host, function(id)
  return table.move(arg, 1, #arg, in_memory and 1 or 3, in_memory and {} or { "--data", DATA .. "/" .. id })
end)
print_guide(nodes, (nodes:wait_leader()), in_memory and "in memory only" or ("kept in %s/n1 to n3"):format(DATA))
stopped:wait()
nodes:stop(table.unpack(nodes.ids))
