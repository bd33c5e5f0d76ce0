--- `kvserver --console [TARGET] ...`: the admin console, a client of a node that runs.
local arguments = require "kvserver.console.arguments"
local batch = require "kvserver.console.batch"
local connection = require "kvserver.console.connection"
local console_options = require "kvserver.console.options"
local session = require "kvserver.console.session"
local target = require "kvserver.console.target"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local EXIT_USAGE <const>, EXIT_NO_NODE <const> = 2, 3
local STDIN <const>, STDOUT <const> = 0, 1

local function fail(why, code)
  io.stderr:write("kvserver: ", why, "\n")
  if code == EXIT_USAGE then io.stderr:write "Try kvserver --console --help.\n" end
  os.exit(code, true)
end

local function connection_options(given, terminal)
  return {
    rw = given.rw, no_limit = given.no_limit, terminal = terminal,
    timeout_ms = given.timeout_s and math.ceil(given.timeout_s * 1000),
  }
end

local function attach(path, options)
  local node <const>, why = connection.open(path, options)
  if not node then fail(why, EXIT_NO_NODE) end
  if node.about.version ~= version then
    io.stderr:write(("kvserver: the node is version %s, this console %s: some things may not work\n"):format(
      node.about.version, version))
  end
  return node
end

-- The words that are left over are the global `arg` of statements, too.
local function set_words(node, words)
  if #words == 0 then return end
  local quoted <const> = {}
  for i, word in ipairs(words) do quoted[i] = ("%q"):format(word) end
  node:request { ["do"] = "eval", code = ("arg = {%s}"):format(table.concat(quoted, ",")), chunk = "=arg", line = 1 }
end

local function is_terminal(fd)
  return uv.guess_handle(fd) == "tty"
end

--- Does what the arguments behind --console say, and ends the program.
-- @tparam {string,...} list
function M.run(list)
  local given <const>, usage = arguments.read(list, os.getenv)
  if not given then fail(usage, EXIT_USAGE) end
  if given.help then return print(console_options.help()) end
  local path, why, code
  if given.target then
    path, why, code = target.resolve(given.target)
  else
    path, why, code = target.default()
  end
  if not path then fail(why, code) end
  local terminal <const> = is_terminal(STDOUT)
  local prompting <const> = given.interactive or #given.programs == 0 and terminal and is_terminal(STDIN)
  local how <const> = connection_options(given, prompting)
  local node <const> = attach(path, how)
  local colour <const> = terminal and not os.getenv "NO_COLOR" and os.getenv "TERM" ~= "dumb"
  local made <const> = session.new(node, {
    format = given.format, terminal = terminal, colour = colour, timeout_s = given.timeout_s, rw = given.rw,
    yes = given.yes,
  })
  set_words(node, given.words)
  if prompting then return os.exit(require("kvserver.console.terminal").run(made, given, how), true) end
  os.exit(batch.run(made, given), true)
end

return M
