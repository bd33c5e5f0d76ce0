--- `kvserver --console [TARGET] ...`: the admin console, a client of a node that runs.
local arguments = require "kvserver.console.arguments"
local batch = require "kvserver.console.batch"
local connection = require "kvserver.console.connection"
local console_options = require "kvserver.console.options"
local editline = require "kvserver.editline"
local json = require "kvserver.json"
local session = require "kvserver.console.session"
local target = require "kvserver.console.target"
local terminal = require "kvserver.console.terminal"
local uv = require "luv"
local version = require "kvserver.version"

local M = {}

local EXIT_USAGE <const>, EXIT_NO_NODE <const> = 2, 3
local KINDS <const> = { [EXIT_USAGE] = "usage", [EXIT_NO_NODE] = "no_node" } -- in JSON
local STDIN <const>, STDOUT <const>, STDERR <const> = 0, 1, 2

local function fail(why, code, format)
  if format == "json" then
    io.stderr:write(json.encode { ok = false, kind = KINDS[code], message = why }, "\n")
  else
    io.stderr:write("kvserver: ", why, "\n")
    if code == EXIT_USAGE then io.stderr:write "Try kvserver --console --help.\n" end
  end
  os.exit(code, true)
end

local function connection_options(given, prompting)
  return {
    rw = given.rw, no_limit = given.no_limit, terminal = prompting,
    timeout_ms = given.timeout_s and math.ceil(given.timeout_s * 1000),
  }
end

local function attach(path, options, format)
  local node <const>, why = connection.open(path, options)
  if not node then fail(why, EXIT_NO_NODE, format) end
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

-- The socket that is meant, or the end.
local function find(given)
  local path, why, code
  if given.target then
    path, why, code = target.resolve(given.target)
  else
    path, why, code = target.default()
  end
  return path or fail(why, code, given.format)
end

local function make_session(node, given)
  local to_terminal <const> = is_terminal(STDOUT)
  return session.new(node, {
    format = given.format, terminal = to_terminal, columns = editline.size(), stderr_terminal = is_terminal(STDERR),
    colour = to_terminal and not os.getenv "NO_COLOR" and os.getenv "TERM" ~= "dumb",
    timeout_s = given.timeout_s, rw = given.rw, yes = given.yes,
  })
end

--- Does what the arguments behind --console say, and ends the program.
-- @tparam {string,...} list
function M.run(list)
  local given <const>, usage = arguments.read(list, os.getenv)
  if not given then fail(usage, EXIT_USAGE) end
  if given.help then return print(console_options.help()) end
  local prompting <const> = given.interactive
    or #given.programs == 0 and is_terminal(STDOUT) and is_terminal(STDIN)
  local how <const> = connection_options(given, prompting)
  local node <const> = attach(find(given), how, given.format)
  local made <const> = make_session(node, given)
  set_words(node, given.words)
  if prompting then return os.exit(terminal.run(made, given, how), true) end
  os.exit(batch.run(made, given), true)
end

return M
