--- The one table of options: command line, configuration file, help, manual, completion and checks are all made from
-- it.
--
-- Fields of a row: `name` (the flag is `--name`, the key of the configuration file has `_` for `-`), `parse` (text or
-- value of the file -> value, or nil and what was expected), `default`, `argument` (its name in the help; none: a
-- switch), `help`, `choices` (all the values that there are; without a `parse`, these are what is checked), `completes`
-- ("file" or "directory": what its argument is the path of). `flag_only` rows have no place in a file.
local M = {}

local MIB <const> = 1024 * 1024
local GIB <const> = 1024 * MIB
local PATH_BYTES_MAX <const> = 4095
local SOCKET_PATH_BYTES_MAX <const> = 107 -- what the address of a Unix socket has room for
local ELECTION_MS_MAX <const> = 60000
local MEMBERS_MAX <const> = 16
local DAY_SECONDS <const> = 86400

local function integer(min, max)
  local expected <const> = ("an integer from %d to %d"):format(min, max)
  return function(value)
    local digits <const> = type(value) == "string" and value:match("^%d+$")
    local number <const> = (digits or math.type(value)) and math.tointeger(tonumber(value)) -- 2^20 is one, too
    if not number or number < min or number > max then return nil, expected end
    return number
  end
end

local function one_of(names)
  return function(value)
    for _, name in ipairs(names) do
      if value == name then return value end
    end
    return nil, "one of " .. table.concat(names, ", ")
  end
end

local function text(value)
  if type(value) ~= "string" or value == "" then return nil, "a text" end
  return value
end

local function directory(value)
  if type(value) ~= "string" or value == "" or #value > PATH_BYTES_MAX or value:find("\0", 1, true) then
    return nil, ("a path of up to %d bytes"):format(PATH_BYTES_MAX)
  end
  return value
end

--- Checks the path of a Unix socket.
-- @return the path, or nil and what was expected
function M.socket_path(value)
  if type(value) ~= "string" or value == "" or #value > SOCKET_PATH_BYTES_MAX or value:find("\0", 1, true) then
    return nil, ("a path of up to %d bytes, which is what a Unix socket can have"):format(SOCKET_PATH_BYTES_MAX)
  end
  return value
end

local function node_id(value)
  if type(value) ~= "string" or #value > 63 or not value:match("^[%w._-]+$") then
    return nil, "a node id: 1 to 63 of a-z A-Z 0-9 . _ -"
  end
  return value
end

local function size(map)
  local count = 0
  for _ in next, map do count = count + 1 end
  return count
end

-- A list of "ID=HOST:PORT" -> a table {n1 = "HOST:PORT"}; or nil, what was expected, where and what was there.
local function members_of(items)
  local members = {}
  for i, item in ipairs(items) do
    local id, address = tostring(item):match("^([^=]+)=(.+)$")
    if type(item) ~= "string" or not id then return nil, "ID=HOST:PORT", i, item end
    if members[id] then return nil, "each id once", i, item end
    members[id] = address
  end
  return members
end

-- Text "n1=HOST:PORT,..." -> its items, even where they are empty.
local function items_of(value)
  local items = {}
  for item in (value .. ","):gmatch("([^,]*),") do items[#items + 1] = item end
  return items
end

--- Checks a HOST:PORT (an IPv6 host stands in brackets).
-- @return the address, or nil and what was expected
function M.address(value)
  local host, port = tostring(value):match("^(.+):(%d+)$")
  port = tonumber(port)
  local legal = host and (host:match("^%[[%x:.]+%]$") or not host:find("[%s%c:%[%]]"))
  if type(value) ~= "string" or not legal or #host > 255 or #tostring(port) > 5 or port > 65535 then
    return nil, "HOST:PORT"
  end
  return value
end

-- Text "n1=HOST:PORT,..." or a table {n1 = "HOST:PORT"} -> that table; or nil, what was expected, where and what was
-- there. The table may also be a list of the items of the text.
local function peers(value)
  local list = value
  if type(value) == "string" then
    list = members_of(items_of(value))
    if not list then return nil, "ID=HOST:PORT, each id once, separated by commas" end
  elseif type(value) ~= "table" then
    return nil, "a table of id = HOST:PORT"
  elseif rawget(value, 1) ~= nil then
    if size(value) ~= #value then return nil, "either a list of ID=HOST:PORT, or a table of id = HOST:PORT" end
    local members <const>, expected, below, actual = members_of(value)
    if not members then return nil, expected, below, actual end
    list = members
  end
  if size(list) > MEMBERS_MAX then return nil, ("at most %d members"):format(MEMBERS_MAX), nil, size(list) end
  for id, address in next, list do
    if not node_id(id) then return nil, "node ids (1 to 63 of a-z A-Z 0-9 . _ -) as keys", nil, id end
    if not M.address(address) then return nil, "HOST:PORT", id, address end
  end
  return list
end

-- Text "MIN-MAX", milliseconds -> the same text; how it goes with --heartbeat-ms is config.complete's to say.
local function election_range(value)
  local min, max = tostring(value):match("^(%d+)%-(%d+)$")
  min, max = math.tointeger(tonumber(min)), math.tointeger(tonumber(max))
  if type(value) ~= "string" or not min or min < 1 or max <= min or max > ELECTION_MS_MAX then
    return nil, ("MIN-MAX in milliseconds, such as 300-600, up to %d"):format(ELECTION_MS_MAX)
  end
  return value
end

local function flag(value)
  if type(value) ~= "boolean" then return nil, "true or false" end
  return value
end

M.rows = {
  { name = "id", argument = "ID", parse = node_id, default = "n1", help = "Node id: 1 to 63 of a-z A-Z 0-9 . _ -" },
  { name = "listen", argument = "HOST:PORT", parse = M.address, default = "127.0.0.1:7000",
    help = "Address for clients and peers; port 0 picks a free one" },
  { name = "peers", argument = "ID=HOST:PORT,...", parse = peers,
    help = "All members, this node included, in any order (default: this node alone); in a file as a table of "
      .. "ID = HOST:PORT, too" },
  { name = "heartbeat-ms", argument = "MS", parse = integer(1, ELECTION_MS_MAX), default = 50,
    help = "How often a leader is heard of" },
  { name = "election-ms", argument = "MIN-MAX", parse = election_range, default = "300-600",
    help = "How long a leader may be silent before another is elected, drawn from this range" },
  { name = "fixed-leader", argument = "ID", parse = node_id,
    help = "No elections: this member leads, in a new term at each start, and nobody else ever does" },
  { name = "data", argument = "DIR", parse = directory, completes = "directory", default = "./kvdata",
    help = "Data directory; made when it is not there" },
  { name = "memory", parse = flag, default = false,
    help = "Keep everything in memory instead: nothing is written to disk" },
  { name = "segment-bytes", argument = "N", parse = integer(4096, GIB), default = 64 * MIB,
    help = "Size of a segment of the log on disk" },
  { name = "snapshot-threshold", argument = "N", parse = integer(0, math.maxinteger), default = 100000,
    help = "A snapshot is taken when so many entries were applied since the last one, and they are as large as that "
      .. "one is; 0 = never" },
  { name = "config", argument = "FILE", parse = text, completes = "file", flag_only = true,
    help = "A Lua file that returns a table of these options, with _ for -, of one node or of all; flags win over it" },
  { name = "print-config", parse = flag, flag_only = true,
    help = "Print the options that hold, from file, flags and defaults, as such a file, and exit" },
  { name = "script", argument = "FILE", parse = text, completes = "file", flag_only = true,
    help = "Run a Lua file in the embedded VM; what follows it belongs to it. The first argument that is not an option "
      .. "does the same" },
  { name = "read-policy", argument = "POLICY", choices = { "readindex", "stale" }, default = "readindex",
    help = "readindex (linearizable) or stale; ?read= overrides it per request" },
  { name = "write-mode", argument = "MODE", choices = { "sync", "async" }, default = "sync",
    help = "sync (answered when applied) or async (answered when taken); ?mode= overrides it per request" },
  { name = "async-result-ttl", argument = "SECONDS", parse = integer(1, DAY_SECONDS), default = 60,
    help = "How long the result of an asynchronous write is kept" },
  { name = "max-body-bytes", argument = "N", parse = integer(1, 67108864), default = 8 * MIB,
    help = "Largest request body" },
  { name = "max-key-bytes", argument = "N", parse = integer(1, 65535), default = 4096, help = "Longest key" },
  { name = "max-value-bytes", argument = "N", parse = integer(1, 16777215), default = MIB, help = "Largest value" },
  { name = "max-connections", argument = "N", parse = integer(1, 1000000), default = 10000,
    help = "Open client connections" },
  { name = "request-timeout-ms", argument = "MS", parse = integer(1, 3600000), default = 5000,
    help = "For a request to arrive, and for its answer" },
  { name = "seed", argument = "N", parse = integer(0, math.maxinteger),
    help = "Seed of every random choice of this process (default: from the system)" },
  { name = "log-level", argument = "LEVEL", choices = { "debug", "info", "warn", "error" }, default = "info",
    help = "debug, info, warn or error" },
  { name = "log-format", argument = "FORMAT", choices = { "logfmt", "json" }, default = "logfmt",
    help = "logfmt or json; the log goes to stderr" },
  { name = "admin-socket", argument = "PATH", parse = M.socket_path, completes = "file",
    help = "Unix socket over which the node is looked at and steered (default: admin.sock in the data directory)" },
  { name = "enable-faults", parse = flag, default = false,
    help = "Let the network and the disk of this node be made to fail, over the admin socket" },
  { name = "script-memory-bytes", argument = "N", parse = integer(0, math.maxinteger), default = 0,
    help = "Memory that Lua may use; 0 = no limit" },
  { name = "console", argument = "[TARGET] ...", parse = text, completes = "directory", flag_only = true,
    help = "A console on a node that runs: TARGET is its data directory or its admin socket. What follows belongs to "
      .. "the console; comes first" },
  { name = "inspect", argument = "DATA", parse = directory, completes = "directory", flag_only = true,
    help = "Show what is in a data directory, and whether a node could start from it; read-only" },
  { name = "json", parse = flag, flag_only = true, help = "With --inspect: as JSON" },
  { name = "records", parse = flag, flag_only = true,
    help = "With --inspect: all records of the log, not only the last ones" },
  { name = "version", parse = flag, flag_only = true, help = "Print the version and exit" },
  { name = "help", parse = flag, flag_only = true, help = "Print this text and exit" },

}

M.by_key = {}
for _, row in ipairs(M.rows) do
  row.key = row.name:gsub("-", "_")
  if row.choices and not row.parse then row.parse = one_of(row.choices) end
  M.by_key[row.key] = row
end

--- What there is to say of an option: its help and its default.
-- @tparam table row of rows
-- @treturn string
function M.describe(row)
  if row.default and row.argument then return ("%s (default: %s)"):format(row.help, row.default) end
  return row.help
end

return M
