--- What the names in a statement of a console mean: the standard library, the commands, `print`, and what the session
-- itself has set.
--
--     local environment = require "kvserver.console.node.environment"
--     local globals, commands = environment.new(context)
local commands = require "kvserver.console.node.commands"
local standard = require "kvserver.console.node.standard"

local M = {}

local READ_ONLY <const> = "this console only reads: start it with --rw, or type \\rw, to let it write"

local function refuse(context, text)
  context.refused = text
  error(text, 3)
end

-- What a function raises, without the places in a program that nobody sees.
local function reason(why)
  if type(why) ~= "string" then return why end
  local text <const> = why:gsub("^lua/kvserver/[^%s:]+%.lua:%d+: ", "")
  return text:match("^bad argument #%d+ to '.-' %((.*)%)$") or text
end

-- The command as a function. What it raises happened where it was called.
local function bind(context, row)
  local function finish(ok, ...)
    if ok then return ... end
    error(reason((...)), 2)
  end
  return function(...)
    if row.faults and not context.config.enable_faults then
      refuse(context, row.name .. ": faults are not enabled: the node was started without --enable-faults")
    end
    if row.writes and not context.rw then refuse(context, ("%s: %s"):format(row.name, READ_ONLY)) end
    return finish(pcall(row.run, context, ...)) -- a tail call: `finish` stands right above who called
  end
end

-- A table of commands, which can itself be one ("config" and "config.set").
local function namespace(globals, name)
  local found = globals[name]
  if type(found) == "table" then return found end
  local command <const> = found
  found = setmetatable({}, {
    __metatable = "commands",
    __call = command and function(_, ...) return command(...) end,
  })
  globals[name] = found
  return found
end

local function print_of(session)
  return function(...)
    local parts <const> = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    session:print(table.concat(parts, "\t"))
  end
end

--- A new environment.
-- @tparam table context `session`, `node`, `config`, `rw`, `console`
-- @treturn table the globals
-- @treturn table name -> function, of every command
function M.new(context)
  local globals <const>, by_name = standard.new(), {}
  for _, row in ipairs(commands.list) do
    local command <const> = bind(context, row)
    by_name[row.name] = command
    local space <const>, name = row.name:match("^([%w_]+)%.([%w_]+)$")
    if space then
      namespace(globals, space)[name] = command
    elseif globals[row.name] then
      error("a command after those in its table: " .. row.name)
    else
      globals[row.name] = command
    end
  end
  globals.print = print_of(context.session)
  globals.server = context.console.shared
  return globals, by_name
end

--- Looks a command up.
-- @tparam table by_name of `new`
-- @param name
-- @treturn ?function
function M.command(by_name, name)
  return type(name) == "string" and by_name[name] or nil
end

return M
