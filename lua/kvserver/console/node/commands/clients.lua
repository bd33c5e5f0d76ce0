--- Commands of the console: what the cluster remembers of its clients.
local arguments = require "kvserver.console.node.arguments"
local http = require "kvserver.console.node.http"
local result = require "kvserver.console.node.result"

local CLIENTS_MAX <const> = 1000
local CLIENT_COLUMNS <const> = { "client_id", "last_seq", "last_index", "reply", "deleted" }

local function sessions(context, prefix)
  if prefix ~= nil then arguments.string("sessions", 1, prefix) end
  local clients <const>, more = context.node:clients(prefix, CLIENTS_MAX)
  return result.list(CLIENT_COLUMNS, clients), more or nil
end

local function get(context, id)
  arguments.string("ops.get", 1, id)
  local reply <const> = http.operation(context, "ops.get", id)
  if reply.err_code == "not_found" then return nil end
  return http.expect("ops.get", reply)
end

return {
  { name = "sessions", arguments = "[prefix]", run = sessions, example = "sessions()", columns = CLIENT_COLUMNS,
    summary = "Clients whose last request this node remembers, so that a retry is not done twice",
    returns = "a list of records, 1000 at most; and true when there are more",
    help = "In the order of their ids. reply: what a retry of last_seq is answered." },
  { name = "ops.get", arguments = "id", run = get, example = "ops.get('n1-6f1d0c2b9a3e4857-1')",
    summary = "What became of an asynchronous write", returns = "a record; nil when it is unknown or forgotten",
    help = "As GET /ops/{id}: ready says whether there is a result yet." },
}
