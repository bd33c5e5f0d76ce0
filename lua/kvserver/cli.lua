--- The command line: what `kvserver ARGUMENTS` does. Called by the VM, as the main task.
local argparse = require "argparse"
local config = require "kvserver.config"
local config_file = require "kvserver.config_file"
local execute = require "kvserver.execute"
local log = require "kvserver.log"
local loop = require "kvserver.loop"
local options = require "kvserver.options"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local EXIT_USAGE <const> = 2
local HELP_WIDTH <const> = 110

local CONSOLE_FLAG <const> = "--console"

local function usage_error(message)
  io.stderr:write("kvserver: ", message, "\nTry kvserver --help.\n")
  os.exit(EXIT_USAGE, true)
end

-- The help text is argparse's; reading the arguments is not: what follows the script must stay as it is, and messages
-- must name what an option expects.
local function help_text()
  local parser = argparse("kvserver", "A key-value store over HTTP, with an embedded Lua VM.")
    :help_max_width(HELP_WIDTH)
    :add_help(false)
    :usage("Usage: kvserver [OPTIONS]                 serve\n"
      .. "       kvserver [OPTIONS] FILE [ARG...]   run a Lua file in the embedded VM, as `lua FILE` would\n"
      .. "       kvserver --console [TARGET] ...    a console on a node that runs; --console --help")
    :epilog("SIGINT and SIGTERM stop a serving node cleanly, a second signal at once. Exit codes: 0 done, 1 failed, "
      .. "2 usage, 3 no node for the console, 4 data directory refused, 130 interrupted.")
  for _, row in ipairs(options.rows) do
    local option
    if row.argument then
      option = parser:option("--" .. row.name):argname(row.argument)
    else
      option = parser:flag("--" .. row.name)
    end
    option:description(options.describe(row))
  end
  return parser:get_help()
end

local function unknown_option(name)
  local names = {}
  for _, row in ipairs(options.rows) do names[#names + 1] = row.name end
  local near = config.nearest(name, names)
  local hint = near and (" (did you mean --%s?)"):format(near) or ""
  usage_error(("--%s: unknown option%s"):format(name, hint))
end

-- One option at arguments[i]: its row, its value and the index of the next argument.
local function read_option(arguments, i)
  local name, value = arguments[i]:match("^%-%-([^=]+)=(.*)$")
  name = name or arguments[i]:match("^%-%-(.+)$")
  local row = name and options.by_key[name:gsub("-", "_")]
  if not name then
    usage_error(("%s: unknown option (options are spelled out: --help lists them)"):format(arguments[i]))
  end
  if not row or row.name ~= name then unknown_option(name) end
  if row.key == "console" then usage_error("--console: expected as the first argument") end
  if not row.argument then
    if value then usage_error(("--%s: takes no value, got \"%s\""):format(name, value)) end
    return row, true, i + 1
  end
  if value then return row, value, i + 1 end
  if not arguments[i + 1] then usage_error(("--%s: expected %s"):format(name, row.argument)) end
  return row, arguments[i + 1], i + 2
end

--- Reads the arguments up to the script.
-- @tparam table arguments [1] is the first
-- @treturn table key -> checked value
-- @treturn ?integer index of the script in arguments
function M.read(arguments)
  local given = {}
  local i = 1
  while i <= #arguments and arguments[i]:match("^%-.") do -- a lone "-" is the script on stdin
    local row, text
    row, text, i = read_option(arguments, i)
    local value, problem = config.check(row, text, "--" .. row.name)
    if value == nil then usage_error(problem) end
    given[row.key] = value
    if row.key == "script" then return given, i - 1 end
  end
  return given, i <= #arguments and i or nil
end

-- The global `arg`, as `lua` sets it: the script at 0, what stands before it at negative indices.
local function set_arg(program, arguments, script_index, script)
  local arg = { [-script_index] = program }
  for i, value in ipairs(arguments) do arg[i - script_index] = value end
  arg[0] = script
  _G.arg = arg
  return table.unpack(arg)
end

local function run_script(program, arguments, script_index, script)
  local chunk, why
  if script == "-" then
    chunk, why = loadfile()
  else
    chunk, why = loadfile(script)
  end
  if not chunk then
    io.stderr:write("kvserver: ", why, "\n")
    os.exit(1, true)
  end
  return chunk(set_arg(program, arguments, script_index, script))
end

-- Serves; a console may have the program started anew then, whatever is at its path by now.
local function serve(complete, program, arguments)
  local path <const> = assert(uv.exepath())
  if not require("kvserver.serve").run(complete, path) then return end
  io.stdout:flush()
  local _, why = execute.replace(path, { program, table.unpack(arguments) })
  io.stderr:write("kvserver: cannot start anew: ", why, "\n")
  os.exit(1, true)
end

-- What the file says, with the flags over it.
local function merge_file(given)
  if not given.config then return given end
  local file <const>, problem = config_file.load(given.config, given)
  if not file then usage_error(problem) end
  return config.merge(file, given)
end

--- Behind the end of main, when it did not fail: a script has declared scenarios; now they are told.
function M.finish()
  local scenario <const> = package.loaded["kvserver.scenario"]
  if scenario and #scenario.list > 0 then os.exit(scenario.finish(_G.arg), true) end
end

-- What stands behind --console, which is the first argument; nil when it is not.
local function console_arguments(arguments)
  local first <const> = arguments[1] or ""
  if first == CONSOLE_FLAG then return table.move(arguments, 2, #arguments, 1, {}) end
  local target <const> = first:match "^%-%-console=(.*)$"
  return target and table.move(arguments, 2, #arguments, 2, { target })
end

--- Does what the arguments say.
-- @tparam string program argv[0]
-- @param ... the arguments
function M.main(program, ...)
  local arguments <const> = { ... }
  local for_console <const> = console_arguments(arguments)
  if for_console then return require("kvserver.console").run(for_console) end
  local given, script_index = M.read(arguments)
  if given.help then return print(help_text()) end
  if given.version then return print("kvserver " .. version) end
  for _, key in ipairs { "json", "records" } do
    if given[key] and not given.inspect then usage_error(("--%s: expected together with --inspect"):format(key)) end
  end
  if given.inspect then return require("kvserver.inspect").run(given) end
  local complete, problem = config.complete(merge_file(given))
  if not complete then usage_error(problem) end
  if given.print_config then return io.stdout:write(config_file.text(complete)) end
  log.configure(complete.log_level, complete.log_format)
  if complete.seed then math.randomseed(complete.seed) end
  loop.set_memory_max(complete.script_memory_bytes)
  if script_index then
    local script = given.script or arguments[script_index]
    return run_script(program, arguments, script_index, script)
  end
  return serve(complete, program, arguments)
end

return M
