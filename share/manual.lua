--- The manual page kvserver(1), made from the table of options and what is fixed. Written in the macros of man(7).
local commands = require "kvserver.console.node.commands"
local backslash = require "kvserver.console.backslash"
local console_options = require "kvserver.console.options"
local options = require "kvserver.options"
local scenario_options = require "share.scenario_options"
local version = require "kvserver.version"

local M = {}

-- Text as roff reads it back: a hyphen that can be copied, a backslash, no line that begins like a request.
local function plain(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^[.']", "\\&%0"))
end

local function entry(title, text)
  return (".TP\n%s\n%s\n"):format(title, plain(text))
end

local function bold(text)
  return ".B " .. plain(text)
end

local CONSOLE_INTRODUCTION <const> = [[
.B kvserver \-\-console
attaches to a node that runs on this machine.
.I TARGET
is its data directory, or the path of its admin socket; without one it is ./kvdata, or the one node that runs.
Statements of Lua, from
.BR \-e ,
from standard input, or typed at a prompt, run in that node, within limits; their results go to standard output,
everything else to standard error.
A file that
.B \-f
names runs in the console instead, with the commands of the node as functions, and may attach to others: connect(TARGET)
gives the commands of another node, nodes() those of this machine, eval(CODE, ...) runs a text of Lua in the node.
The words behind are arg.
]]

local COMMANDS_INTRODUCTION <const> = [[
A console that is attached to a node runs Lua in it.
Beside the standard library, without what reaches outside, it has these commands.
Those that write need \-\-rw.
A statement that runs on is interrupted every few milliseconds, and all of them have 32 MiB of memory.
]]

local function option_entry(name, argument, text)
  if not argument or argument == "" then return entry(bold("--" .. name), text) end
  return entry((".BI %s \" %s\""):format(plain("--" .. name), plain(argument)), text)
end

local function options_section()
  local entries = {}
  for i, row in ipairs(options.rows) do entries[i] = option_entry(row.name, row.argument, options.describe(row)) end
  return table.concat(entries)
end

-- What a key of a configuration file takes; options say so of what they refuse.
local function expected(row)
  local _, what = row.parse(print)
  return row.default ~= nil and ("%s; without it %s"):format(what, row.default) or what
end

local function configuration_section(introduction, example)
  local entries = { introduction }
  for _, row in ipairs(options.rows) do
    if not row.flag_only then
      entries[#entries + 1] = entry(bold(row.key), "Expects " .. expected(row) .. ".")
    end
  end
  entries[#entries + 1] = (".PP\nThree nodes, each started as\n.B kvserver \\-\\-config cluster.lua \\-\\-id n1\nor "
    .. "n2 or n3:\n.PP\n.nf\n%s.fi\n"):format(plain(example))
  return table.concat(entries)
end

local function scenario_section()
  local entries = { "What stands behind a file that declares scenarios says which are told, where, and how:\n" }
  for _, row in ipairs(scenario_options) do
    entries[#entries + 1] = option_entry(row.name, row.argument, row.help)
  end
  return table.concat(entries)
end

-- An option of the console, as it is written: -e CODE.
local function console_option_entry(row)
  local text <const> = row.environment and ("%s. Also: %s"):format(row.help, row.environment) or row.help
  if not row.argument then return entry(bold(row.flag), text) end
  return entry((".BI %s \" %s\""):format(plain(row.flag), plain(row.argument)), text)
end

local function console_section()
  local parts <const> = { CONSOLE_INTRODUCTION }
  for _, row in ipairs(console_options.rows) do parts[#parts + 1] = console_option_entry(row) end
  parts[#parts + 1] = ".PP\nAt its prompt, beside statements of Lua:\n"
  for _, row in ipairs(backslash.list) do
    local name <const> = row.name .. (row.argument and " " .. row.argument or "")
    parts[#parts + 1] = entry(bold(name), row.summary:gsub("^%l", string.upper) .. ".")
  end
  return table.concat(parts)
end

-- A command of the console, as somebody types it, and what it says of itself.
local function command_entry(row)
  local needs <const> = row.faults and " Only with \\-\\-enable\\-faults." or ""
  local text <const> = ("%s. %s%s Returns %s."):format(plain(row.summary), plain(row.help), needs, plain(row.returns))
  return (".TP\n%s\n%s\n"):format(bold(("%s(%s)"):format(row.name, row.arguments)), text)
end

local function commands_section()
  local entries = { COMMANDS_INTRODUCTION }
  for _, row in ipairs(commands.list) do entries[#entries + 1] = command_entry(row) end
  return table.concat(entries)
end

local function list(rows)
  local entries = {}
  for i, row in ipairs(rows) do entries[i] = entry(bold(row[1]), row[2]) end
  return table.concat(entries)
end

local SYNOPSIS <const> = [[
.B kvserver
.RI [ OPTIONS ]
.br
.B kvserver
.RI [ OPTIONS ]
.I FILE
.RI [ ARG ...]
.br
.B kvserver \-\-console
.RI [ TARGET ]
.RI [ "CONSOLE OPTIONS" ]
.RI [ WORD ...]
]]

local DESCRIPTION <const> = [[
A distributed key\-value store that clients use over HTTP.
Raft keeps the nodes of a cluster alike; a write that was acknowledged is on disk at a majority of them.
.PP
Without a file it serves, as the node that the options say, until a signal stops it.
When it serves it prints one line on standard output; the log goes to standard error.
SIGINT and SIGTERM stop it cleanly, a second signal at once.
.PP
With a file it runs that Lua file in the embedded VM, as
.BR lua (1)
would, beside what the server is made of: a program that drives nodes, or scenarios that end in a verdict.
What stands behind the file belongs to it.
]]

local OPTIONS_INTRODUCTION <const> = [[
.BI \-\-name " VALUE"
or
.BI \-\-name= VALUE\fR.
The keys of a configuration file are the same words with _ for \-.
]]

local CONFIGURATION_INTRODUCTION <const> = [[
The file that
.B \-\-config
names is a program in Lua 5.4 that returns a table of options.
It can use assert, error, ipairs, next, pairs, select, tonumber, tostring, type, the libraries math, string, table and
utf8, and os.getenv; it reaches no files, and is stopped when it runs for too long.
Flags win over it.
Paths are relative to the working directory.
.PP
In
.B nodes
it may have a table of options for each node, by id, that take the place of those outside of it for the node that
.B \-\-id
says; so that all nodes of a cluster can be started with one file.
.B \-\-print\-config
shows what holds then.
.PP
The options:
]]

local CONFIGURATION_EXAMPLE <const> = [[
return {
  peers = { n1 = "a:7001", n2 = "b:7001", n3 = "c:7001" },
  log_level = "warn",
  nodes = {
    n3 = { data = "/srv/kvdata", log_level = "info" },
  },
}
]]

local SEE_ALSO <const> = [[
.BR curl (1),
.BR lua (1),
.BR systemd.service (5),
.BR sd_notify (3)
]]

local EXIT_STATUS <const> = {
  { "0", "Done." },
  { "1", "Failed: the storage or the address, an error in a file of Lua or in a statement, a scenario whose verdict is "
    .. "against it." },
  { "2", "The command line or the configuration file is wrong." },
  { "3", "The console has no connection to a node, or lost it." },
  { "4", "The data directory is refused: damaged, in use, or another node's." },
  { "130", "Interrupted: a second signal, or one while a file of Lua or a statement ran." },
  { "141", "Nobody reads any more what the console prints." },
}

local ENVIRONMENT <const> = {
  { "NOTIFY_SOCKET", "Where the manager of services listens that started the node: it is told READY=1 when the node "
    .. "serves, and STOPPING=1 when a signal stops it." },
  { "KVSERVER_LUA", "A directory from which the modules of Lua are read, before those inside the program." },
}

for _, row in ipairs(console_options.rows) do
  if row.environment then
    ENVIRONMENT[#ENVIRONMENT + 1] = { row.environment, ("%s of the console, where it is not given."):format(row.flag) }
  end
end
ENVIRONMENT[#ENVIRONMENT + 1] = { "NO_COLOR", "When it is set, the console shows no colours." }
ENVIRONMENT[#ENVIRONMENT + 1] = { "PAGER", "What the console shows long results with (default: less); cat: none." }

local FILES <const> = {
  { "/etc/kvserver.lua", "The configuration that the service reads, see CONFIGURATION FILE." },
  { "./kvdata", "The data directory, unless --data says another: the log in wal, the newest snapshot in snap, whose it "
    .. "is in FORMAT." },
  { "./kvdata/admin.sock", "The admin socket, while a node runs." },
  { "~/.kvserverrc.lua", "Statements that a console runs in the node when it begins, at a prompt." },
  { "~/.kvserver_history", "What was typed at the prompt, but for what begins with a blank or may hold a secret." },
  { "PREFIX/share/kvserver", "Admin scripts that -f finds by their names: rolling_restart.lua restarts the nodes of a "
    .. "cluster on this machine one after the other." },
}

--- The page.
-- @treturn string roff
function M.text()
  local sections <const> = {
    { "NAME", "kvserver \\- a key\\-value store over HTTP, with an embedded Lua VM\n" },
    { "SYNOPSIS", SYNOPSIS },
    { "DESCRIPTION", DESCRIPTION },
    { "OPTIONS", OPTIONS_INTRODUCTION .. options_section() },
    { "CONFIGURATION FILE", configuration_section(CONFIGURATION_INTRODUCTION, CONFIGURATION_EXAMPLE) },
    { "CONSOLE", console_section() },
    { "CONSOLE COMMANDS", commands_section() },
    { "SCENARIO OPTIONS", scenario_section() },
    { "EXIT STATUS", list(EXIT_STATUS) },
    { "ENVIRONMENT", list(ENVIRONMENT) },
    { "FILES", list(FILES) },
    { "SEE ALSO", SEE_ALSO },
  }
  local parts = { (".TH KVSERVER 1 \"\" \"kvserver %s\" \"User Commands\"\n"):format(version) }
  for _, section in ipairs(sections) do parts[#parts + 1] = (".SH %s\n%s"):format(section[1], section[2]) end
  return table.concat(parts)
end

return M
