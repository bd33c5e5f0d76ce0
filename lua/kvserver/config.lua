--- The configuration of a node: defaults, then the file, then the flags; checked, or a message that names the place.
-- What a file says is kvserver.config_file's to read.
--
--     local config = assert(require("kvserver.config").complete({ listen = "127.0.0.1:0" }))
local options = require "kvserver.options"
local printable = require "kvserver.scenario.printable"

local M = {}

local QUOTED_BYTES_MAX <const> = 100
local QUOTED_BYTES_KEPT <const> = 80 -- of what is longer

local function escape(byte)
  return ("\\x%02x"):format(byte:byte())
end

--- A value as messages show it: on one line, not too long, and the same whenever it is shown.
-- @param value
-- @treturn string
function M.quote(value)
  local kind <const> = type(value)
  if kind == "string" then
    return ('"%s"'):format(printable.short(value, QUOTED_BYTES_MAX, QUOTED_BYTES_KEPT):gsub("%c", escape))
  end
  if value ~= value then return "nan" end
  return (kind == "number" or kind == "boolean" or kind == "nil") and tostring(value) or "a " .. kind
end

-- Edit distance, for "did you mean".
local function distance(a, b)
  local previous = {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local current = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      current[j] = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
    end
    previous = current
  end
  return previous[#b]
end

--- The nearest of some names.
-- @tparam string name what was written
-- @tparam table names a list of what is known
-- @treturn ?string the nearest one, nil when none is near
function M.nearest(name, names)
  local best, best_distance = nil, math.max(2, #name // 3) + 1
  for _, known in ipairs(names) do
    local d = distance(name, known)
    if d < best_distance then best, best_distance = known, d end
  end
  return best
end

--- The keys of a table, in the order of their text.
-- @tparam table map
-- @treturn table a list
function M.sorted_keys(map)
  local keys = {}
  for key in next, map do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

--- What messages call a place in nested tables: peers.n1, peers[2], id.
-- @tparam string place of the table, "" for the outermost
-- @param key
-- @treturn string
function M.join(place, key)
  if type(key) ~= "string" then return ("%s[%s]"):format(place, M.quote(key)) end
  return place == "" and key or place .. "." .. key
end

--- Checks one value.
-- @tparam table row of options.rows
-- @param value text of a flag, or the value of a file
-- @tparam string place how messages call it: "--listen" or "listen"
-- @return the value, or nil and a message
-- @treturn ?string then also the place, down to what is wrong in a table
function M.check(row, value, place)
  local parsed, expected, below, actual = row.parse(value)
  if parsed ~= nil then return parsed end
  if below then place = M.join(place, below) end
  if actual == nil then actual = value end
  return nil, ("%s: expected %s, got %s"):format(place, expected, M.quote(actual)), place
end

local function port_of(address)
  return address:match(":(%d+)$")
end

-- The host may differ: --listen may name an interface, or all of them, where --peers says how others reach it.
local function check_peers(config)
  local peers, id = config.peers, config.id
  if not peers then return true end
  if not peers[id] then
    return nil, ("--peers: expected the node itself (%s) among the peers (%s)"):format(id,
      table.concat(M.sorted_keys(peers), ", "))
  end
  if port_of(peers[id]) ~= port_of(config.listen) then
    return nil, ("--peers: expected %s at port %s, as --listen says, got %s=%s"):format(id, port_of(config.listen), id,
      peers[id])
  end
  local taken = {}
  for _, peer in ipairs(M.sorted_keys(peers)) do
    local address = peers[peer]
    if next(peers, next(peers)) and port_of(address) == "0" then
      return nil, ("--peers: expected a port that others can know, got %s=%s"):format(peer, address)
    end
    if taken[address] then
      return nil, ("--peers: expected an address for each, got %s for both %s and %s"):format(address, taken[address],
        peer)
    end
    taken[address] = peer
  end
  return true
end

local function check_timing(config)
  local min = math.tointeger(tonumber(config.election_ms:match("^%d+")))
  if min > config.heartbeat_ms then return true end
  return nil, ("--election-ms: expected more than --heartbeat-ms (%d), got %s"):format(config.heartbeat_ms,
    config.election_ms)
end

local function check_fixed_leader(config)
  local leader = config.fixed_leader
  if not leader or leader == config.id or config.peers and config.peers[leader] then return true end
  return nil, ("--fixed-leader: expected one of the peers, got %s"):format(leader)
end

-- One of the two says where a node keeps what it knows.
local function check_data(config, given)
  if not config.memory then return true end
  if given.data ~= nil then return nil, "--memory: expected without --data" end
  config.data = nil
  return true
end

-- Beside the data, unless it is said where; a node in memory has one only then. Where a data directory is too deep for
-- one, the node does without.
local function choose_admin_socket(config)
  if config.admin_socket or not config.data then return true end
  config.admin_socket = options.socket_path(config.data .. "/admin.sock")
  return true
end

--- What the file says, with the flags over it: each of --data and --memory takes the place of the other, too.
-- @tparam table file key -> checked value
-- @tparam table flags key -> checked value
-- @treturn table key -> checked value
function M.merge(file, flags)
  local merged = {}
  for key, value in pairs(file) do merged[key] = value end
  if flags.data then merged.memory = nil end
  if flags.memory then merged.data = nil end
  for key, value in pairs(flags) do merged[key] = value end
  return merged
end

--- Fills in the defaults and checks what depends on more than one option.
-- @tparam table given key -> checked value
-- @treturn ?table the configuration, or nil and a message
function M.complete(given)
  local config = {}
  for _, row in ipairs(options.rows) do
    if given[row.key] ~= nil then
      config[row.key] = given[row.key]
    else
      config[row.key] = row.default
    end
  end
  -- Who names the address in --peers need not say it again.
  if given.listen == nil and config.peers and config.peers[config.id] then config.listen = config.peers[config.id] end
  for _, check in ipairs { check_peers, check_timing, check_fixed_leader, check_data, choose_admin_socket } do
    local ok, problem = check(config, given)
    if not ok then return nil, problem end
  end
  return config
end

return M
