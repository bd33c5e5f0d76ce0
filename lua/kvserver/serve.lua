--- `kvserver [OPTIONS]`: a node that serves until a signal stops it.
local log = require "kvserver.log"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local GRACE_MS <const> = 2000 -- for answers to requests in flight
local LEADER_MS <const> = 60000 -- a node alone leads at once, unless its disk is very slow
local EXIT_INTERRUPTED <const> = 130

-- An event that SIGINT or SIGTERM sets; a second signal ends the process on the spot.
local function stop_signal()
  local stopped = task.event()
  for _, name in ipairs { "sigint", "sigterm" } do
    local handle = uv.new_signal()
    handle:start(name, function()
      if stopped:is_set() then os.exit(EXIT_INTERRUPTED) end
      stopped:set(name)
    end)
  end
  return stopped
end

-- A node alone is of no use before it leads; a member of a cluster serves before there is a leader.
local function wait_until_of_use(node, config)
  if config.peers and next(config.peers, next(config.peers)) then return end
  assert(task.wait_until(function() return node:status().role == "leader" end, LEADER_MS))
end

-- Of all options, those of the node.
local function node_options(config)
  local chosen = {}
  for _, key in ipairs(server.keys) do chosen[key] = config[key] end
  return chosen
end

local function url(config, port)
  return ("http://%s:%d"):format(config.listen:match("^(.+):%d+$"), port)
end

--- Serves, until a signal says stop.
-- @tparam table config complete, of kvserver.config
function M.run(config)
  local stopped = stop_signal()
  local node <close>, why = server.start(node_options(config))
  if not node then
    io.stderr:write("kvserver: ", why, "\n")
    os.exit(1, true)
  end
  if not config.memory then
    log.write("warn", "server", "nothing_is_written_to_disk",
      { hint = "this version keeps everything in memory; --memory says that this is meant" })
  end
  wait_until_of_use(node, config)
  print(("kvserver %s ready on %s"):format(config.id, url(config, node:port())))
  io.stdout:flush()
  stopped:wait()
  node:stop(GRACE_MS)
end

return M
