--- `kvserver [OPTIONS]`: a node that serves until a signal stops it, or its storage fails, or a console has it stop.
local admin = require "kvserver.admin"
local log = require "kvserver.log"
local notify = require "kvserver.notify"
local options = require "kvserver.options"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local GRACE_MS <const> = 2000 -- for answers to requests in flight
local OPEN_MS <const> = 1000000000 -- a large log on a slow disk takes its time, and says so
local LEADER_MS <const> = 60000 -- a node alone leads at once, unless its disk is very slow
local EXIT_FAILED <const> = 1
local EXIT_REFUSED <const> = 4
local EXIT_INTERRUPTED <const> = 130

-- An event that SIGINT or SIGTERM sets (its `signalled` is true then); a second signal ends the process on the spot.
local function stop_signal()
  local over = task.event()
  for _, name in ipairs { "sigint", "sigterm" } do
    local handle = uv.new_signal()
    handle:start(name, function()
      if over.signalled then os.exit(EXIT_INTERRUPTED) end
      over.signalled = true
      over:set()
    end)
  end
  return over
end

local function fail(why, code)
  log.say("kvserver: " .. why) -- which does not wait for a reader that does not read
  os.exit(code, true)
end

-- Of all options, those of the node.
local function node_options(config)
  local chosen = {}
  for _, key in ipairs(server.keys) do chosen[key] = config[key] end
  return chosen
end

-- The node; nil when a signal came while its data directory was being opened.
local function start(config, over)
  local started = task.event()
  local starting = task.spawn(function() started:set(server.start(node_options(config))) end)
  task.wait_until(function() return started:is_set() or over:is_set() end, OPEN_MS)
  if not started:is_set() then
    starting:cancel()
    return nil
  end
  local _, node, why, kind = started:wait()
  if not node then fail(why, kind == "refused" and EXIT_REFUSED or EXIT_FAILED) end
  return node
end

-- A node alone is of no use before it leads, and has applied what its log held; a member of a cluster serves before
-- there is a leader.
local function wait_until_of_use(node, config, over)
  if config.peers and next(config.peers, next(config.peers)) then return end
  assert(task.wait_until(function() return node:status().role == "leader" or over:is_set() end, LEADER_MS))
  local index <const> = node:status().last_index
  task.wait_until(function() return node:status().last_applied >= index or over:is_set() end, OPEN_MS)
end

-- The system lists sockets by the paths that they were bound to: where one is found, it should say where it is.
local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  local whole <const> = assert(uv.cwd()) .. "/" .. path:gsub("^%./", "")
  return options.socket_path(whole) or path
end

-- Nobody steers a node that has no admin socket; one that was asked for must be there.
local function open_admin_socket(node, config, over, program)
  local path <const> = config.admin_socket
  local socket, why
  if path then
    socket, why = admin.listen {
      path = absolute(path), node = node, config = config, program = program,
      restart = function() over:set(nil, true) end, stop = function() over:set() end,
    }
    if not socket and path ~= (config.data or "") .. "/admin.sock" then fail(why, EXIT_FAILED) end
  elseif config.data then
    why = "the path of the data directory is too long for one"
  end
  if why then log.write("warn", "admin", "no_socket", { why = why }) end
  return socket
end

local function url(config, port)
  return ("http://%s:%d"):format(config.listen:match("^(.+):%d+$"), port)
end

-- What the manager of services hears: one that is told STOPPING expects the process to end.
local function tell_end(restart)
  if not restart then return notify.tell "STOPPING=1" end
  notify.tell(("RELOADING=1\nMONOTONIC_USEC=%d"):format(uv.hrtime() // 1000))
end

--- Serves, until a signal says stop, or a console.
-- @tparam table config complete, of kvserver.config
-- @tparam string program the path of what will be started anew, when a console wants that
-- @treturn ?boolean true when the program shall be started anew
function M.run(config, program)
  local over = stop_signal()
  local node <close> = start(config, over)
  if not node then return end
  local socket <close> = open_admin_socket(node, config, over, program)
  task.spawn(function() over:set(node:wait_failed()) end)
  wait_until_of_use(node, config, over)
  if not over:is_set() then
    print(("kvserver %s ready on %s"):format(config.id, url(config, node:port())))
    io.stdout:flush()
    notify.tell "READY=1"
  end
  local _, failure, restart = over:wait()
  if socket then socket:close(restart and "the node restarts" or "the node stops") end
  if failure then fail(config.data and ("%s: %s"):format(config.data, failure) or failure, EXIT_FAILED) end
  tell_end(restart)
  node:stop(GRACE_MS)
  return restart and not over.signalled
end

return M
