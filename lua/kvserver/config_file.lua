--- Configuration files: a file of Lua returns a table of options, for one node or for all nodes of a cluster.
--
--     local given = assert(require("kvserver.config_file").load("cluster.lua", { id = "n2" }))
--
-- Next to the options there may be `nodes`, a table of id = { options }: what is said there of the node that this is
-- takes the place of what is said outside. Paths are relative to the working directory, as in flags.
local config = require "kvserver.config"
local config_run = require "kvserver.config_run"
local config_source = require "kvserver.config_source"
local options = require "kvserver.options"

local M = {}

local FILE_BYTES_MAX <const> = 1024 * 1024

-- Functions here fail as `check` does of kvserver.config: nil, a message that begins with the place, and the place. It
-- is `problem_at` that makes these.
local function problem_at(place, message, ...)
  return nil, place .. ": " .. message:format(...), place
end

local function read(path)
  local file <close>, why = io.open(path, "rb")
  if not file then return nil, why end
  local text <const>, failure = file:read(FILE_BYTES_MAX + 1)
  if failure then return nil, ("%s: %s"):format(path, failure) end
  if text and #text > FILE_BYTES_MAX then
    return nil, ("%s: expected a configuration file of up to %d bytes"):format(path, FILE_BYTES_MAX)
  end
  -- Without a byte order mark, and a first line that is for a shell: as loadfile does.
  return ((text or ""):gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", ""))
end

-- The keys that a table of options can have, to find the nearest: those of the file, or those of a node in it.
local function known_keys(is_node)
  local keys = {}
  for _, row in ipairs(options.rows) do
    if not row.flag_only then keys[#keys + 1] = row.key end
  end
  if not is_node then keys[#keys + 1] = "nodes" end
  return keys
end

local function unknown_key(place, key, is_node)
  if type(key) ~= "string" then return problem_at(config.join(place, key), "expected options, as name = value") end
  local near <const> = config.nearest(key, known_keys(is_node))
  return problem_at(config.join(place, key), "unknown option%s",
    near and (" (did you mean %s?)"):format(near) or "")
end

-- What is no option of the node, though its name is known.
local function check_key(place, key, is_node)
  local row <const> = options.by_key[key]
  if is_node and (key == "id" or key == "nodes") then
    return problem_at(config.join(place, key), "expected outside of the nodes: the id of each is its key")
  elseif row and row.flag_only and not row.later then
    return problem_at(config.join(place, key), "expected as a flag (--%s), it has no place in a file", row.name)
  elseif not row then
    return unknown_key(place, key, is_node)
  end
  return row
end

-- The options of a table at a place, checked; `nodes` of the outermost is not looked at.
local function check_options(place, given, is_node)
  local checked = {}
  for _, key in ipairs(config.sorted_keys(given)) do
    if is_node or key ~= "nodes" then
      local row <const>, why, where = check_key(place, key, is_node)
      if not row then return nil, why, where end
      local value <const>, problem, wrong = config.check(row, rawget(given, key), config.join(place, key))
      if value == nil then return nil, problem, wrong end
      checked[key] = value
    end
  end
  return checked
end

local function list(map)
  return table.concat(config.sorted_keys(map), ", ")
end

-- Each node's own options, checked: id -> key -> value.
local function check_nodes(nodes, peers)
  if type(nodes) ~= "table" or not next(nodes) then
    return problem_at("nodes", "expected a table of id = { options }, got %s",
      type(nodes) == "table" and "none" or config.quote(nodes))
  end
  local checked = {}
  for _, id in ipairs(config.sorted_keys(nodes)) do
    local place <const> = config.join("nodes", id)
    local parsed <const>, expected = options.by_key.id.parse(id)
    if not parsed then return problem_at(place, "expected %s, as the key", expected) end
    if peers and not peers[id] then return problem_at(place, "expected one of the peers (%s)", list(peers)) end
    local given <const> = rawget(nodes, id)
    if type(given) ~= "table" then
      return problem_at(place, "expected a table of options, got %s", config.quote(given))
    end
    local own <const>, why, where = check_options(place, given, true)
    if not own then return nil, why, where end
    checked[id] = own
  end
  return checked
end

-- What the file says of the node that this is, the common options and its own.
local function choose_node(common, nodes, flags)
  local known <const> = config.merge(common.peers or {}, nodes)
  local id <const> = flags.id or common.id
  if not id then return problem_at("nodes", "expected --id, to say which node this is: %s", list(known)) end
  if not known[id] then return problem_at("nodes", "expected the node that this is, %s, among %s", id, list(known)) end
  local merged <const> = config.merge(common, nodes[id] or {})
  if next(known, next(known)) and not (merged.peers or flags.peers) then
    return problem_at("nodes", "expected peers beside it, which say the address of each: %s", list(known))
  end
  return merged
end

-- The options that the table gives to the node that the flags name.
local function read_table(given, flags)
  local common <const>, why, where = check_options("", given, false)
  if not common then return nil, why, where end
  if rawget(given, "nodes") == nil then return common end
  local nodes <const>, problem, wrong = check_nodes(rawget(given, "nodes"), common.peers)
  if not nodes then return nil, problem, wrong end
  return choose_node(common, nodes, flags)
end

local function fail(path, line, message)
  return nil, line and ("%s:%d: %s"):format(path, line, message) or ("%s: %s"):format(path, message)
end

-- The line of a place, or of the nearest around it that is written out.
local function line_of(lines, place)
  while place ~= "" and not lines[place] do place = place:match("^(.*)[.%[]") or "" end
  return lines[place]
end

--- Reads a configuration file.
-- @tparam string path
-- @tparam table flags key -> checked value: of these, id and peers say what else the file must
-- @treturn ?table key -> checked value, or nil and a message that names file, line (where the table is written out),
-- place in the table, and what is expected there
function M.load(path, flags)
  local text <const>, unreadable = read(path)
  if not text then return nil, unreadable end
  local given <const>, failure, failed_line = config_run.run(text)
  if not given then return fail(path, failed_line, failure) end
  local lines <const>, twice = config_source.read(text)
  if twice then
    return fail(path, twice.line, ("%s: expected once, but it is in line %d, too"):format(twice.place,
      twice.first_line))
  end
  local file <const>, problem, place = read_table(given, flags)
  if not file then return fail(path, line_of(lines, place), problem) end
  return file
end

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local items = {}
  for i, key in ipairs(config.sorted_keys(value)) do items[i] = ("[%q] = %q"):format(key, value[key]) end
  return ("{ %s }"):format(table.concat(items, ", "))
end

--- A complete configuration as a file that says the same.
-- @tparam table complete of kvserver.config
-- @treturn string Lua
function M.text(complete)
  local lines <const> = { "return {" }
  for _, row in ipairs(options.rows) do
    local value <const> = complete[row.key]
    if not row.flag_only and value ~= nil then lines[#lines + 1] = ("  %s = %s,"):format(row.key, literal(value)) end
  end
  lines[#lines + 1] = "}\n"
  return table.concat(lines, "\n")
end

return M
