--- What can be asked for over the admin socket (kvserver.admin).
--
--     ping       -> {"id", "pid", "version", "cluster": the ids of its members, "members": how many}
--     status     -> as node:status() and node:stats(), with the id
--     raft_log   [from [, to]] -> entries, at most 1000 and 4 MiB at once; values that are not UTF-8 as value_base64
--     log_level  LEVEL: debug, info, warn or error
--     snapshot   takes one now; status shows when it is done
--     transfer   ID: asks that member to lead
--
-- With --enable-faults, as the methods of kvserver.server that are called fault_link and so on (their arguments stand
-- in src/script/lua_server_faults.c):
--
--     faults.link  PEER [, STATE]    faults.drop_next  PEER [, TYPE [, COUNT]]
--     faults.hold  PEER              faults.release    PEER
--     faults.disk  STATE             faults.get  -> as node:faults()
--     faults.lose_and_die            the power goes: what is not synced is undone, and the process kills itself with
--                                    SIGKILL; the connection ends without an answer
--
-- What has nothing to say answers true.
local cluster = require "kvserver.console.node.cluster"
local json = require "kvserver.json"
local log = require "kvserver.log"
local types = require "kvserver.types"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local commands, fault_commands = {}, {}

function commands.ping(context)
  local ids <const> = cluster.members(context.config)
  return {
    id = context.config.id, pid = math.tointeger(uv.os_getpid()), version = version, cluster = table.concat(ids, ","),
    members = #ids,
  }
end

function commands.status(context)
  local status <const> = context.node:status()
  local stats <const> = context.node:stats()
  status.id, status.keys, status.clients = context.config.id, stats.keys, stats.clients
  status.state_digest = stats.digest
  return status
end

-- Strings of an entry that JSON cannot carry, as their base64 twins.
local function to_text(entry)
  for _, name in ipairs { "value", "expected" } do
    local value <const> = entry[name]
    if value and not types.utf8_valid(value) then
      entry[name], entry[name .. "_base64"] = nil, types.base64_encode(value)
    end
  end
  for _, item in ipairs(entry.entries or {}) do to_text(item) end
  return entry
end

function commands.raft_log(context, from, to)
  local entries <const>, why = context.node:raft_log(from, to)
  if not entries then return nil, why end
  for _, entry in ipairs(entries) do to_text(entry) end
  return json.array(entries)
end

function commands.log_level(context, level)
  log.configure(level, context.config.log_format)
  return true
end

-- Why the node did not begin it, as a status.
local NO_SNAPSHOT <const> = {
  overloaded = "one is being taken", invalid = "the newest one covers all that is applied", io = "the storage failed",
}
local NO_TRANSFER <const> = {
  not_leader = "this node does not lead", not_found = "no such member", invalid = "this node leads already",
}

function commands.snapshot(context)
  local ok <const>, why = context.node:snapshot()
  return ok, NO_SNAPSHOT[why] or why
end

function commands.transfer(context, id)
  local ok <const>, why = context.node:transfer(id)
  return ok, NO_TRANSFER[why] or why
end

-- A method of the node that makes it fail.
local function fault(method)
  return function(context, ...)
    context.node[method](context.node, ...)
    return true
  end
end

fault_commands["faults.link"] = fault("fault_link")
fault_commands["faults.drop_next"] = fault("fault_drop_next")
fault_commands["faults.hold"] = fault("fault_hold")
fault_commands["faults.release"] = fault("fault_release")

fault_commands["faults.disk"] = fault("fault_disk")

-- In one go: nobody hears in between what is undone.
fault_commands["faults.lose_and_die"] = function(context)
  local ok <const>, _, why = context.node:fault_lose()
  if not ok then return nil, why end
  uv.kill(uv.os_getpid(), "sigkill")
end

fault_commands["faults.get"] = function(context)
  return context.node:faults()
end

local function find(context, name)
  if type(name) ~= "string" then error("do: expected the name of a command", 0) end
  if commands[name] then return commands[name] end
  local found <const> = fault_commands[name]
  if found and not context.config.enable_faults then
    error("faults are not enabled: the node was started without --enable-faults", 0)
  end
  return found or error(("do: no command is called %q"):format(name), 0)
end

-- What came as null is nil.
local function arguments_of(list)
  if list == nil then return table.pack() end
  if getmetatable(list) ~= json.array_mt then error("args: expected an array", 0) end
  local arguments <const> = { n = #list }
  for i, value in ipairs(list) do
    if value ~= json.null then arguments[i] = value end
  end
  return arguments
end

--- Does what a request asks for. Raises what is wrong with it.
-- @tparam table context `node` (a kvserver.server) and `config` (complete, of kvserver.config)
-- @param name of the command
-- @param list its arguments, as JSON was decoded; nil: none
-- @return the result, never nil and fit for JSON; or nil and why not
function M.run(context, name, list)
  local command <const> = find(context, name)
  local arguments <const> = arguments_of(list)
  if fault_commands[name] and name ~= "faults.get" then
    log.write("warn", "admin", "fault", { ["do"] = name, args = json.encode(list or json.array {}) })
  end
  return command(context, table.unpack(arguments, 1, arguments.n))
end

return M
