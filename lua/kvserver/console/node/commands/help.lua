--- Commands of the console: what there is.
local arguments = require "kvserver.console.node.arguments"
local config = require "kvserver.config"
local result = require "kvserver.console.node.result"

local FOUND_COLUMNS <const> = { "command", "summary" }
local SUMMARY_COLUMN <const> = 34

-- That of all commands, which this file is part of.
local function commands()
  return require "kvserver.console.node.commands"
end

local function overview()
  local lines <const> = {}
  for _, group in ipairs(commands().groups) do
    for _, row in ipairs(group.rows) do
      local use <const> = ("%s(%s)"):format(row.name, row.arguments)
      local short <const> = #use < SUMMARY_COLUMN and use or row.name .. "(...)"
      lines[#lines + 1] = ("%-" .. SUMMARY_COLUMN .. "s%s"):format(short, row.summary)
    end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "help('kv.put') tells more of one; apropos('snapshot') searches. Any Lua works, too."
  return table.concat(lines, "\n")
end

local function text_of(row)
  local needs <const> = row.faults and "\nOnly with --enable-faults, and where a console may write (--rw)."
    or row.writes and "\nOnly where a console may write (--rw)." or ""
  return ("%s(%s)\n%s.\n%s%s\nReturns %s.\nExample: %s"):format(row.name, row.arguments, row.summary, row.help, needs,
    row.returns, row.example)
end

local function all_names()
  local names <const> = {}
  for _, row in ipairs(commands().list) do names[#names + 1] = row.name end
  return names
end

-- All of a table of commands, when it is one.
local function group_text(name)
  local texts <const> = {}
  for _, row in ipairs(commands().list) do
    if row.name:sub(1, #name + 1) == name .. "." then texts[#texts + 1] = text_of(row) end
  end
  return #texts > 0 and table.concat(texts, "\n\n") or nil
end

local function help(context, name)
  if name == nil then return context.session:print(overview()) end
  arguments.string("help", 1, name)
  local row <const> = commands().by_name[name]
  local text <const> = row and text_of(row) or group_text(name)
  if text then return context.session:print(text) end
  local near <const> = config.nearest(name, all_names())
  error(("help: %s: unknown%s"):format(name, near and (", did you mean %s?"):format(near) or ""), 0)
end

local function apropos(_, word)
  arguments.string("apropos", 1, word)
  local found <const> = {}
  for _, row in ipairs(commands().list) do
    local text <const> = (row.name .. " " .. row.summary .. " " .. row.help):lower()
    if text:find(word:lower(), 1, true) then found[#found + 1] = { command = row.name, summary = row.summary } end
  end
  return result.list(FOUND_COLUMNS, found)
end

return {
  { name = "help", arguments = "['command']", run = help, example = "help('kv.put')", completes = { "command" },
    summary = "Prints what there is, or all about one command", returns = "nothing",
    help = "The name of a table, as in help('raft'), tells of all in it." },
  { name = "apropos", arguments = "'word'", run = apropos, example = "apropos('snapshot')", columns = FOUND_COLUMNS,
    summary = "The commands whose help has a word in it", returns = "a list of records",
    help = "Upper and lower case are the same." },
}
