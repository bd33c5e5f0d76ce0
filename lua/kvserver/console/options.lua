--- The table of the console's own options, which stand behind --console: reading, help, manual and completion are made
-- from it.
--
-- Fields of a row: `flag` as it is written, `key` (where its value is), `argument` (its name in the help; none: a
-- switch), `help`, `choices`, `completes` ("file"), `repeatable`, `environment` (a variable that gives its value when
-- the flag does not), `parse` (text -> value, or nil and what was expected).
local M = {}

local TIMEOUT_S_MAX <const> = 86400
local HELP_INDENT <const>, HELP_COLUMNS <const> = 21, 85

--- The formats of results, in the order in which they are named; "auto" chooses by what there is to show, and where.
M.formats = { "auto", "json", "lua", "table", "yaml", "csv", "markdown", "raw" }

local function format(text)
  for _, name in ipairs(M.formats) do
    if text == name then return name end
  end
  return nil, "one of " .. table.concat(M.formats, ", ")
end

local function seconds(text)
  local number <const> = tonumber(text)
  if number and number > 0 and number <= TIMEOUT_S_MAX then return number end
  return nil, ("seconds, more than 0, up to %d"):format(TIMEOUT_S_MAX)
end

M.rows = {
  { flag = "-e", key = "programs", argument = "CODE", repeatable = true,
    help = "Run this statement in the node; in the order given, also with -f" },
  { flag = "-f", key = "programs", argument = "FILE", repeatable = true, completes = "file",
    help = "Run this Lua file here, with the node's commands as functions: an admin script. - is standard input; a "
      .. "name without a slash that is no file is looked for among the scripts that are installed" },
  { flag = "-o", key = "format", argument = "FORMAT", choices = M.formats, parse = format,
    environment = "KVSERVER_OUTPUT",
    help = "How results are shown: " .. table.concat(M.formats, ", ") },
  { flag = "-i", key = "interactive", help = "With a prompt, also behind -e and -f, and when input is no terminal" },
  { flag = "-X", key = "no_startup", help = "Without the start-up file ~/.kvserverrc.lua" },
  { flag = "--rw", key = "rw", help = "Let statements write, and change what the node does" },
  { flag = "--yes", key = "yes", help = "Answer yes to what \\rw and admin scripts ask" },
  { flag = "--timeout", key = "timeout_s", argument = "SECONDS", parse = seconds, environment = "KVSERVER_TIMEOUT",
    help = "How long a statement may take before it is cancelled (default: no limit), and the node to answer at first "
      .. "(default: 5)" },
  { flag = "--keep-going", key = "keep_going", help = "Go on after a statement that failed; the exit code stays 1" },
  { flag = "--no-limit", key = "no_limit", help = "Let statements use as much memory and time as they like" },
  { flag = "--help", key = "help", help = "Print this text and exit" },
}

M.by_flag = {}
for _, row in ipairs(M.rows) do M.by_flag[row.flag] = row end

-- Words in lines of up to `width` columns behind `indent` blanks; the first line stands behind something else.
local function wrap(text, width, indent)
  local lines, used = { "" }, 0
  for word in text:gmatch "%S+" do
    if used > 0 and used + 1 + #word > width then
      lines[#lines + 1], used = (" "):rep(indent), 0
    end
    lines[#lines] = lines[#lines] .. (used > 0 and " " or "") .. word
    used = used + (used > 0 and 1 or 0) + #word
  end
  return table.concat(lines, "\n")
end

--- The help text of the console.
-- @treturn string
function M.help()
  local lines <const> = {
    "Usage: kvserver --console [TARGET] [OPTIONS] [--] [WORD...]", "",
    "A console on a node that runs: TARGET is its data directory, or the path of its admin socket; without one,",
    "./kvdata, or the one node that runs on this machine. The other words are `arg` for statements and scripts.", "",
    "Options:",
  }
  for _, row in ipairs(M.rows) do
    local left <const> = row.flag .. (row.argument and " " .. row.argument or "")
    local text <const> = row.help .. (row.environment and (" (also: %s)"):format(row.environment) or "")
    lines[#lines + 1] = ("  %-18s "):format(left) .. wrap(text, HELP_COLUMNS, HELP_INDENT)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Without -e and -f, statements are read from standard input: at a prompt when it is a terminal."
  lines[#lines + 1] = "Exit codes: 0 done, 1 a statement failed, 2 usage, 3 no connection, 130 interrupted."
  return table.concat(lines, "\n")
end

return M
