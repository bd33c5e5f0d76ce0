--- What a word that somebody is typing may become.
--
--     local candidates, from = complete.candidates("raft.pe", environment, commands, config)
--     --> {{text = "peers", kind = "function", arguments = ""}}, 6
--
-- Tables are read raw: no metamethod runs, and nothing that is written is evaluated.
local cluster = require "kvserver.console.node.cluster"
local options = require "kvserver.options"
local result = require "kvserver.console.node.result"
local table_of_commands = require "kvserver.console.node.commands"

local M = {}

local TEXT_BYTES_MAX <const> = 300 -- before the cursor, of what is typed, are looked at
local CANDIDATES_MAX <const> = 200
local KEYS_MAX <const> = 10000 -- of a table that are looked at
local KEY_BYTES_MAX <const> = 200 -- longer ones are no candidates
local COLUMNS <const> = { "text", "kind", "arguments" }

local KEYWORDS <const> = [[and break do else elseif end false for function goto if in local nil not or repeat return
then true until while]]

-- ---- words inside quotes ----

local words_of <const> = {}

function words_of.node(config)
  return (cluster.members(config))
end

function words_of.level()
  return { "debug", "info", "warn", "error" }
end

function words_of.command()
  local names <const> = {}
  for i, row in ipairs(table_of_commands.list) do names[i] = row.name end
  return names
end

function words_of.setting()
  local names <const> = {}
  for _, row in ipairs(options.rows) do
    if not row.flag_only then names[#names + 1] = row.key end
  end
  return names
end

local function quoted(text, config)
  local name <const>, word = text:match("([%a_][%w_.]*)%s*%(?%s*[\"']([^\"']*)$")
  if not name then return nil end
  local row <const> = table_of_commands.by_name[name]
  local kind <const> = row and row.completes and row.completes[1]
  if not kind then return {}, #text + 1 end
  local found <const> = {}
  for _, candidate in ipairs(words_of[kind](config)) do
    if candidate:sub(1, #word) == word then found[#found + 1] = { text = candidate, kind = kind } end
  end
  return found, #text - #word + 1
end

-- ---- names ----

-- What a path of names ("kv", "t.list") stands for.
local function resolve(environment, path)
  local value = environment
  for name in path:gmatch("[^.:]+") do
    if type(value) ~= "table" then return nil end
    value = rawget(value, name)
  end
  return value
end

local function parameters_of(f)
  local about <const> = debug.getinfo(f, "u")
  local names <const> = {}
  for i = 1, about.nparams do names[i] = debug.getlocal(f, i) end
  if about.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

local function describe(name, path, value, commands)
  local full <const> = path and path .. "." .. name or name
  local row <const> = table_of_commands.by_name[full]
  if row and (value == commands[full] or type(value) == "table") then
    return { text = name, kind = type(value), arguments = row.arguments }
  end
  local is_own <const> = type(value) == "function" and debug.getinfo(value, "S").what == "Lua"
  return { text = name, kind = type(value), arguments = is_own and parameters_of(value) or nil }
end

local function fields_of(subject, separator)
  if type(subject) == "string" then return separator == ":" and resolve(_G, "string") or {} end
  return type(subject) == "table" and subject or {}
end

local function add_keywords(found, word)
  if word == "" then return end
  for keyword in KEYWORDS:gmatch("%a+") do
    if keyword:sub(1, #word) == word then found[#found + 1] = { text = keyword, kind = "keyword" } end
  end
end

-- The fields of a table that begin with a word, in order; after a colon those that can be called.
local function keys_of(subject, word, separator)
  local keys <const>, seen = {}, 0
  for key, value in next, subject do
    seen = seen + 1
    if seen > KEYS_MAX then break end
    local fits <const> = type(key) == "string" and #key <= KEY_BYTES_MAX and key:sub(1, #word) == word
      and key:find("^[%a_][%w_]*$") and (separator ~= ":" or type(value) == "function")
    if fits then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return table.move(keys, 1, math.min(#keys, CANDIDATES_MAX), 1, {})
end

local function named(text, environment, commands)
  local typed <const> = text:match("[%a_][%w_.:]*$") or ""
  if text:sub(1, #text - #typed):find("[%w_)%]\"'][.:]$") then return {}, #text + 1 end -- of a value, not of a name
  local path <const>, separator, word = typed:match("^(.*)([.:])([%w_]*)$")
  word = word or typed
  local found <const> = {}
  local fields <const> = fields_of(path and resolve(environment, path) or not path and environment, separator)
  for i, key in ipairs(keys_of(fields, word, separator)) do
    found[i] = describe(key, path, rawget(fields, key), commands)
  end
  if not path then add_keywords(found, word) end
  return found, #text - #word + 1
end

--- What the end of a text may become.
-- @tparam string text up to the cursor
-- @tparam table environment of the session
-- @tparam table commands name -> function, of every command
-- @tparam table config complete, of kvserver.config
-- @treturn table a sorted list of {text =, kind =, arguments =}, 200 at most
-- @treturn integer the byte of the text, from 1, from which on a candidate's text stands in its place
function M.candidates(text, environment, commands, config)
  local skipped <const> = math.max(0, #text - TEXT_BYTES_MAX)
  local tail <const> = text:sub(skipped + 1)
  local found, from = quoted(tail, config)
  if not found then found, from = named(tail, environment, commands) end
  table.sort(found, function(a, b) return a.text < b.text end)
  for i = #found, CANDIDATES_MAX + 1, -1 do found[i] = nil end
  return result.list(COLUMNS, found), skipped + from
end

return M
