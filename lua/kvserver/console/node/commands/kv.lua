--- Commands of the console: keys and values, as clients see them over HTTP. Reads are linearizable, and writes go to
-- the leader, whichever node the console is attached to.
local arguments = require "kvserver.console.node.arguments"
local http = require "kvserver.console.node.http"
local result = require "kvserver.console.node.result"

local COUNT_PAGE <const> = 1000
local ENTRY_COLUMNS <const> = { "key", "value" }
local SYNC <const> = { mode = "sync" } -- whatever the node does by default: who waits wants to know what came of it

local function get(context, key)
  arguments.string("kv.get", 1, key)
  local reply <const> = http.call(context, "kv.get", "get", key)
  if reply.err_code == "not_found" then return nil end
  return http.expect("kv.get", reply).value
end

local function put(context, key, value)
  arguments.string("kv.put", 1, key)
  arguments.string("kv.put", 2, value)
  local reply <const> = http.expect("kv.put", http.call(context, "kv.put", "put", key, value, SYNC))
  return result.record({ "index" }, { index = reply.index })
end

local function delete(context, key)
  arguments.string("kv.delete", 1, key)
  local reply <const> = http.expect("kv.delete", http.call(context, "kv.delete", "delete", key, SYNC))
  return result.record({ "deleted", "index" }, { deleted = reply.deleted, index = reply.index })
end

local function cas(context, key, expected, value)
  arguments.string("kv.cas", 1, key)
  arguments.string("kv.cas", 2, expected)
  arguments.string("kv.cas", 3, value)
  local reply <const> = http.call(context, "kv.cas", "cas", key, expected, value, SYNC)
  if reply.err_code == "cas_failed" then return false end
  http.expect("kv.cas", reply)
  return true
end

-- Text is the prefix; a table says more.
local function scan_options(what)
  if what == nil then return {} end
  if type(what) == "string" then return { prefix = what } end
  return arguments.fields("kv.scan", what, { prefix = "string", after = "string", limit = "integer" })
end

local function scan(context, what)
  local reply <const> = http.expect("kv.scan", http.call(context, "kv.scan", "scan", scan_options(what)))
  local entries <const> = {}
  for i, entry in ipairs(reply.entries) do entries[i] = { key = entry.key, value = entry.value } end
  if reply.next == "" then return result.list(ENTRY_COLUMNS, entries) end
  return result.list(ENTRY_COLUMNS, entries), reply.next
end

-- A linearizable read of any key has this node catch up; what it holds then is counted here.
local function count_all(context)
  http.call(context, "kv.count", "get", "-")
  return context.node:stats().keys
end

local function count(context, prefix)
  if prefix == nil or prefix == "" then return count_all(context) end
  arguments.string("kv.count", 1, prefix)
  local total, after = 0, nil
  repeat
    local reply <const> = http.expect("kv.count", http.call(context, "kv.count", "scan",
      { prefix = prefix, after = after, limit = COUNT_PAGE }))
    total, after = total + #reply.entries, reply.next
  until after == ""
  return total
end

return {
  { name = "kv.get", arguments = "key", run = get, example = "kv.get('greeting')",
    summary = "The value of a key", returns = "the value, nil when there is no such key",
    help = "A linearizable read, as GET /kv/{key} is, at any node." },
  { name = "kv.put", arguments = "key, value", writes = true, run = put, example = "kv.put('greeting', 'hello')",
    summary = "Sets a key", returns = "index: where in the log",
    help = "When it returns, the write is on disk at a majority. When it fails with a timeout or a closed connection, "
      .. "it may have happened or not." },
  { name = "kv.delete", arguments = "key", writes = true, run = delete, example = "kv.delete('greeting')",
    summary = "Removes a key", returns = "deleted: 0 or 1; index: where in the log",
    help = "Removing what is not there is no error." },
  { name = "kv.cas", arguments = "key, expected, value", writes = true, run = cas,
    example = "kv.cas('greeting', '', 'hello')",
    summary = "Sets a key if its value is what is expected", returns = "true; false when the value was another",
    help = "A missing key counts as ''." },
  { name = "kv.scan", arguments = "[prefix | {prefix=, after=, limit=}]", run = scan, example = "kv.scan('greet')",
    summary = "Keys and values in the order of their bytes", columns = ENTRY_COLUMNS,
    returns = "entries; and, when there are more, the key after which to go on",
    help = "limit is 100 unless given, and 10000 at most." },
  { name = "kv.count", arguments = "[prefix]", run = count, example = "kv.count()",
    summary = "How many keys there are", returns = "a number",
    help = "With a prefix all their values are read, page by page, which takes its time: keys that are written "
      .. "meanwhile may be counted or not." },
}
