--- Commands of the console: options of the node.
local arguments = require "kvserver.console.node.arguments"
local check = require "kvserver.config"
local log = require "kvserver.log"
local loop = require "kvserver.loop"
local options = require "kvserver.options"
local result = require "kvserver.console.node.result"

local CONFIG_COLUMNS <const> = { "name", "value", "live", "default" }
local SET_COLUMNS <const> = { "name", "old", "new", "survives_restart" }

local function configure_log(config)
  log.configure(config.log_level, config.log_format)
end

-- What can be changed while the node runs, and how.
local LIVE <const> = {
  log_level = configure_log,
  log_format = configure_log,
  script_memory_bytes = function(config) loop.set_memory_max(config.script_memory_bytes) end,
}

local function text_of(value)
  if type(value) ~= "table" then return value end
  local parts <const> = {}
  for id, address in pairs(value) do parts[#parts + 1] = id .. "=" .. address end
  table.sort(parts)
  return table.concat(parts, ",")
end

local function show(context)
  local rows <const> = {}
  for _, row in ipairs(options.rows) do
    if not row.flag_only then
      rows[#rows + 1] = {
        name = row.key, value = text_of(context.config[row.key]), live = LIVE[row.key] ~= nil, default = row.default,
      }
    end
  end
  return result.list(CONFIG_COLUMNS, rows)
end

local LIVE_NAMES <const> = {}
for name in pairs(LIVE) do LIVE_NAMES[#LIVE_NAMES + 1] = name end
table.sort(LIVE_NAMES)

local function set(context, name, value)
  arguments.string("config.set", 1, name)
  local apply <const>, row = LIVE[name], options.by_key[name]
  if not row then
    local near <const> = check.nearest(name, LIVE_NAMES)
    error(("config.set: %s: unknown option%s"):format(name, near and (", did you mean %s?"):format(near) or ""), 0)
  end
  if not apply then
    error(("config.set: %s: needs a restart; what can be changed while the node runs: %s")
      :format(name, table.concat(LIVE_NAMES, ", ")), 0)
  end
  local checked <const>, why = check.check(row, value, "config.set: " .. name)
  if checked == nil then error(why, 0) end
  local config <const> = context.config
  local old <const> = config[name]
  context.console.undo:cancel(name)
  config[name] = checked
  apply(config)
  context.console:tell_log(context.session, "config_set", { name = name, value = tostring(checked) })
  return result.record(SET_COLUMNS, { name = name, old = old, new = checked, survives_restart = false })
end

return {
  { name = "config", arguments = "", run = show, example = "config()", columns = CONFIG_COLUMNS,
    summary = "The options of this node", returns = "a list of records",
    help = "live: config.set can change it while the node runs." },
  { name = "config.set", arguments = "name, value", writes = true, run = set, completes = { "setting" },
    example = "config.set('log_level', 'warn')", columns = SET_COLUMNS,
    summary = "Changes an option while the node runs", returns = "the old and the new value",
    help = "What is set here is gone with a restart: the command line and the configuration file stay as they are." },
}
