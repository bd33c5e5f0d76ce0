--- The console's own commands: a line that begins with a backslash, or with a question mark.
local options = require "kvserver.console.options"
local output = require "kvserver.console.output"
local config = require "kvserver.config"

local M = {}

local CELL_MIN <const> = 4
local WATCH_S_MAX <const> = 86400
local RW_QUESTION <const> = "Let statements write, and change what the node does? [y/N] "

-- Each takes the session and the words behind it; false: it failed, after it has said why. Some are the prompt's alone.
local function set_format(session, text)
  for _, name in ipairs(options.formats) do
    if text == name then
      session.style.format = name
      return
    end
  end
  local near <const> = config.nearest(text, options.formats)
  session:complain(("\\o: expected one of %s%s"):format(table.concat(options.formats, ", "),
    near and (" (did you mean %s?)"):format(near) or ""))
  return false
end

local function set_expanded(session)
  session.style.expanded = not session.style.expanded
  output.note(session.style.expanded and "records are shown field by field\n" or "records are shown as tables\n")
end

local function set_width(session, text)
  local number <const> = math.tointeger(tonumber(text))
  if not number or number ~= 0 and number < CELL_MIN then
    session:complain(("\\w: expected a number of columns from %d, or 0 for no limit"):format(CELL_MIN))
    return false
  end
  session.style.cell_max = number ~= 0 and number or nil
end

local function set_timing(session)
  session.timing = not session.timing
  output.note(session.timing and "timing is on\n" or "timing is off\n")
end

local function set_rw(session)
  if session.rw then
    session.rw = false
    output.note "statements read only\n"
    return
  end
  local granted <const> = session.yes or not session.ask or session.ask(RW_QUESTION)
  if not granted then return end
  session.rw = true
  output.note "statements may write\n"
end

local function help(session, text)
  local code <const> = text == "" and "help()" or ("help(%q)"):format(text)
  return session:evaluate { code = code, chunk = "=console", line = 1 }
end

local function quit(session)
  session.over = true
end

local function watch(session, text)
  local number, code <const> = text:match "^(%S*)%s*(.*)$"
  local seconds <const> = number == "" and 2 or tonumber(number)
  if not seconds or seconds <= 0 or seconds > WATCH_S_MAX then
    session:complain "\\watch: expected seconds, and then perhaps a statement"
    return false
  end
  if not session.watch then
    session:complain "\\watch: only at the prompt"
    return false
  end
  return session.watch(seconds, code ~= "" and code or session.latest)
end

local function shortcuts()
  output.result [[
Tab              complete; the node knows what there is
Up, Down         earlier statements, also of other sessions
Ctrl-R           search in them
Ctrl-A, Ctrl-E   to the beginning, to the end of the line
Ctrl-W, Ctrl-U   cut a word, cut the line; Ctrl-Y brings it back
Ctrl-L           clear the screen
Ctrl-C           clear the line; end a statement that runs; twice: leave, even when the node hangs
Ctrl-D           leave; the node goes on
Ctrl-Z           suspend the console
;;  blank line   end a statement that would go on
]]
end

--- The commands: `name`, `argument`, `summary`, `run(session, text)`.
M.list = {
  { name = "\\o", argument = "FORMAT", summary = "show results as json, table, csv, ...; Tab lists them",
    run = set_format },
  { name = "\\x", summary = "records field by field, or as tables again", run = set_expanded },
  { name = "\\w", argument = "COLUMNS", summary = "wrap cells of tables that are wider; 0: never", run = set_width },
  { name = "\\timing", summary = "how long statements took", run = set_timing },
  { name = "\\watch", argument = "SECONDS [STATEMENT]", summary = "repeat it, or the last one, until Ctrl-C",
    run = watch },
  { name = "\\rw", summary = "let statements write, or no more", run = set_rw },
  { name = "\\help", argument = "[NAME]", summary = "what there is, or one command in full", run = help },
  { name = "?", argument = "[NAME]", summary = "the same", run = help },
  { name = "\\shortcuts", summary = "keys", run = shortcuts },
  { name = "\\q", summary = "leave", run = quit },
}

--- These commands, as text.
-- @treturn string lines
function M.help()
  local lines <const> = {}
  for i, row in ipairs(M.list) do
    lines[i] = ("%-30s %s"):format(row.name .. (row.argument and " " .. row.argument or ""), row.summary)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function find(line)
  if line:find "^%?" then return M.list[8], line:sub(2) end
  local name <const>, rest = line:match "^(%S+)%s*(.*)$"
  local names <const> = {}
  for i, row in ipairs(M.list) do
    if row.name == name then return row, rest end
    names[i] = row.name
  end
  local near <const> = config.nearest(name, names)
  return nil, ("%s: no such command%s"):format(name, near and (" (did you mean %s?)"):format(near) or "")
end

--- Does what a line says.
-- @param session of kvserver.console.session
-- @tparam string line
-- @treturn string as Session:evaluate
function M.run(session, line)
  line = line:match "^%s*(.-)%s*$"
  local row <const>, rest = find(line)
  if not row then
    session:complain(rest)
    return "failed"
  end
  if row.name == "\\help" and rest == "" or row.name == "?" and rest == "" then output.result(M.help() .. "\n") end
  local outcome <const> = row.run(session, rest:match "^%s*(.-)%s*$")
  if outcome == false then return "failed" end
  return outcome or "done"
end

return M
