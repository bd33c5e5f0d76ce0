--- Admin scripts: programs of Lua that run here, in the console's process, and ask nodes; so they outlive a node that
-- they restart.
--
-- What a script finds beside the libraries: the commands of the node that the console is attached to as functions
-- (`status()`, `raft.transfer "n2"`, `kv.get "a"`), `eval(code, ...)`, which runs in that node, `connect(target)`,
-- which gives the same of another node as a table (a `<close>` value), `nodes()`, the nodes of this machine,
-- `show(value)`, which shows a value as the console does, `confirm(question)`, which is true when the answer is yes,
-- `about` (what the node says of itself: `about.id`), `arg`. What it returns is shown.
local connection = require "kvserver.console.connection"
local decode = require "kvserver.console.decode"
local encode = require "kvserver.console.node.encode"
local output = require "kvserver.console.output"
local remote = require "kvserver.console.remote"
local target = require "kvserver.console.target"
local uv = require "luv"

local M = {}

local NODE_COLUMNS <const> = { "id", "pid", "path" }

-- The files that may be meant: as it is said, then, for a name alone, among what is installed with this program; and
-- whether it is one of those.
local function find(name)
  if name == "-" then return nil, false end
  if name:find("/", 1, true) or uv.fs_stat(name) then return name, false end
  local installed <const> = uv.exepath():gsub("[^/]*$", "") .. "../share/kvserver/" .. name
  if uv.fs_stat(installed) then return installed, true end
  return name, false
end

-- ---- what a script finds ----

local function show(session)
  return function(...)
    local values <const> = encode.values(table.pack(...))
    for _, value in ipairs(values) do session:show(decode.value(value)) end
  end
end

local function print_line(...)
  local parts <const> = table.pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  output.result(table.concat(parts, "\t") .. "\n")
end

local function connect(options)
  return function(name)
    if type(name) ~= "string" then error("connect: expected a data directory or the path of a socket", 2) end
    local path <const>, why = target.resolve(name)
    local node, problem
    if path then node, problem = connection.open(path, options) end
    if not node then error("connect: " .. (problem or why), 2) end
    local commands <const> = remote.commands(node, options)
    commands.about, commands.close = node.about, function() node:close() end
    return setmetatable(commands, { __close = commands.close })
  end
end

local function nodes()
  local found <const> = target.nodes()
  for i, node in ipairs(found) do
    found[i] = setmetatable({ id = node.id, pid = node.pid, path = node.path }, { columns = NODE_COLUMNS })
  end
  return setmetatable(found, { columns = NODE_COLUMNS })
end

-- Asks whoever sits at the terminal; --yes has answered.
local function confirm(session)
  return function(question)
    if session.yes then return true end
    local file <close> = io.open("/dev/tty", "r+")
    if not file then error(question .. " Nobody is there to answer: say --yes", 2) end
    file:write(question, " [y/N] ")
    file:flush()
    return (file:read "l" or ""):lower():find "^%s*y" ~= nil
  end
end

local function environment(session, name, words, rw)
  local options <const> = { rw = rw, timeout_ms = session.timeout_s and session.timeout_s * 1000 }
  local globals <const> = remote.commands(session.node, options)
  globals.arg = table.move(words, 1, #words, 1, { [0] = name })
  globals.show, globals.print, globals.connect, globals.nodes = show(session), print_line, connect(options), nodes
  globals.about, globals.confirm = session.node.about, confirm(session)
  return setmetatable(globals, { __index = _G })
end

-- ---- running ----

-- The frames of the script alone: not those below it.
local function own_traceback(level)
  local text <const> = debug.traceback(nil, level + 1)
  return (text:gsub("\n\t%[C%]: in function 'xpcall'.*$", ""):gsub("\n\t%[C%]: in function 'error'", "")
    :gsub("\n\t[^\n]*lua/kvserver/console/[^\n]*", ""))
end

local function describe(problem)
  local about <const> = { kind = "script", message = tostring(problem), traceback = own_traceback(2) }
  if type(problem) == "table" and problem.traceback then
    about.traceback = ("%s\nin node %s, %s"):format(about.traceback, problem.node, problem.traceback)
  end
  return about
end

--- Runs one.
-- @param session of kvserver.console.session
-- @tparam string name a file; "-": standard input; a name without a slash that is no file: among the installed ones,
-- whose name says what they do: these may write in any case
-- @tparam {string,...} words its `arg`
-- @treturn string as Session:evaluate
function M.run(session, name, words)
  local path <const>, is_installed = find(name)
  local rw <const> = session.rw or is_installed
  local chunk <const>, problem = loadfile(path, "t", environment(session, name, words, rw))
  if not chunk then
    session:complain_of { kind = "syntax", message = problem }
    return "failed"
  end
  local results <const> = table.pack(xpcall(chunk, describe, table.unpack(words)))
  if not results[1] then
    session:complain_of(results[2])
    return session.node.why_closed and "disconnected" or "failed"
  end
  for _, value in ipairs(encode.values(table.pack(table.unpack(results, 2, results.n)))) do
    session:show(decode.value(value))
  end
  return "done"
end

return M
