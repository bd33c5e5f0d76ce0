--- Completion for bash, made from the table of options: their names, the values they take, paths, behind a file of Lua
-- the options of scenarios, and behind --console its own.
local console_options = require "kvserver.console.options"
local options = require "kvserver.options"
local scenario_options = require "share.scenario_options"
local worlds = require "kvserver.world"

local M = {}

-- It stands on bash alone, without the functions of the package bash-completion. %NAME% is filled in. In COMP_WORDS an
-- "=" is a word of its own, so --name=VALUE is three of them.
local TEMPLATE <const> = [==[
# Completion of kvserver for bash. Made from the program's own table of options.

# Sets `awaited` to the option whose value the word at the cursor is, "" when it is none; `file` to whether the file to
# run stands before the cursor.
_kvserver_read_words() {
  local i word
  awaited= file=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = && $awaited ]]; then continue; fi
    if [[ $awaited == --script && ! $file ]]; then
      file=yes awaited=
    elif [[ $awaited ]]; then
      awaited=
    elif [[ $file ]]; then
      case $word in %SCENARIO_OPTIONS_WITH_VALUE%) awaited=$word ;; esac
    else
      case $word in
        %OPTIONS_WITH_VALUE%) awaited=$word ;;
        -?*) ;;
        *) file=yes ;;
      esac
    fi
  done
}

_kvserver_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}

# Paths, by the flags of compgen: -d directories, -f all.
_kvserver_paths() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$@" -- "$word")
}

_kvserver_lua_files() {
  local directories
  _kvserver_paths -f -X '!*.lua'
  mapfile -t directories < <(compgen -d -- "$word")
  COMPREPLY+=("${directories[@]}")
}

_kvserver_option_value() {
  case $awaited in
    --script) _kvserver_lua_files ;;
%OPTION_VALUES%
    *) COMPREPLY=() ;;
  esac
}

_kvserver_scenario() {
  case $awaited in
    --world) _kvserver_words '%WORLDS%' ;;
    --report) _kvserver_paths -d ;;
    --junit) _kvserver_paths -f ;;
    '') if [[ $word == -* ]]; then _kvserver_words '%SCENARIO_OPTIONS%'; else _kvserver_paths -f; fi ;;
    *) COMPREPLY=() ;;
  esac
}

# Behind --console: its options, their values, a target. `target` is set once there is one.
_kvserver_console() {
  local i target= awaited=
  for ((i = 2; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == = ]]; then continue; fi
    if [[ $awaited ]]; then awaited=; continue; fi
    case ${COMP_WORDS[i]} in
      %CONSOLE_OPTIONS_WITH_VALUE%) awaited=${COMP_WORDS[i]} ;;
      -?*) ;;
      *) target=yes ;;
    esac
  done
  if [[ $word == = ]]; then word=; fi
  case $awaited in
    -f) _kvserver_lua_files ;;
%CONSOLE_OPTION_VALUES%
    '') if [[ $word == -* ]]; then _kvserver_words '%CONSOLE_OPTIONS%'
        elif [[ $target ]]; then _kvserver_paths -f
        else _kvserver_targets; fi ;;
    *) COMPREPLY=() ;;
  esac
}

# Data directories, and sockets.
_kvserver_targets() {
  local path
  _kvserver_paths -d
  while IFS= read -r path; do
    if [[ -S $path ]]; then COMPREPLY+=("$path"); fi
  done < <(compgen -f -- "$word")
}

_kvserver() {
  local word=${COMP_WORDS[COMP_CWORD]} awaited file
  if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} == --console ]]; then
    _kvserver_console
    return
  fi
  _kvserver_read_words
  if [[ $word == = && $awaited ]]; then word=; fi
  if [[ $file ]]; then
    _kvserver_scenario
  elif [[ $awaited ]]; then
    _kvserver_option_value
  elif [[ $word == -* ]]; then
    _kvserver_words '%OPTIONS%'
  else
    _kvserver_lua_files
  fi
}

complete -F _kvserver kvserver
]==]

-- The flags of rows, of those that `wanted` chooses if it is there; not what this version does not have.
local function names(rows, separator, wanted)
  local chosen = {}
  for _, row in ipairs(rows) do
    if not wanted or wanted(row) then chosen[#chosen + 1] = "--" .. row.name end
  end
  return table.concat(chosen, separator)
end

local function takes_value(row)
  return row.argument and row.argument ~= ""
end

-- The branches of `case` for options whose values are known, or are paths.
local function option_values()
  local branches = {}
  for _, row in ipairs(options.rows) do
    local action
    if row.choices then
      action = ("_kvserver_words '%s'"):format(table.concat(row.choices, " "))
    elseif row.completes and row.name ~= "script" then
      action = "_kvserver_paths " .. (row.completes == "directory" and "-d" or "-f")
    end
    if action then branches[#branches + 1] = ("    --%s) %s ;;"):format(row.name, action) end
  end
  return table.concat(branches, "\n")
end

-- The flags of the console that a function chooses.
local function console_flags(separator, wanted)
  local chosen <const> = {}
  for _, row in ipairs(console_options.rows) do
    if not wanted or wanted(row) then chosen[#chosen + 1] = row.flag end
  end
  return table.concat(chosen, separator)
end

local function console_option_values()
  local branches <const> = {}
  for _, row in ipairs(console_options.rows) do
    if row.choices then
      branches[#branches + 1] = ("    %s) _kvserver_words '%s' ;;"):format(row.flag, table.concat(row.choices, " "))
    end
  end
  return table.concat(branches, "\n")
end

--- The file that bash reads.
-- @treturn string
function M.text()
  return (TEMPLATE:gsub("%%([%u_]+)%%", {
    OPTIONS = names(options.rows, " "),
    OPTIONS_WITH_VALUE = names(options.rows, "|", takes_value),
    OPTION_VALUES = option_values(),
    CONSOLE_OPTIONS = console_flags " ",
    CONSOLE_OPTIONS_WITH_VALUE = console_flags("|", takes_value),
    CONSOLE_OPTION_VALUES = console_option_values(),
    SCENARIO_OPTIONS = names(scenario_options, " "),
    SCENARIO_OPTIONS_WITH_VALUE = names(scenario_options, "|", takes_value),
    WORLDS = table.concat(worlds.names, " "),
  }))
end

return M
