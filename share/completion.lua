--- Completion for bash, made from the table of options: their names, the values they take, paths, and behind a file of
-- Lua the options of scenarios.
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

_kvserver() {
  local word=${COMP_WORDS[COMP_CWORD]} awaited file
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
    if not row.later and (not wanted or wanted(row)) then chosen[#chosen + 1] = "--" .. row.name end
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

--- The file that bash reads.
-- @treturn string
function M.text()
  return (TEMPLATE:gsub("%%([%u_]+)%%", {
    OPTIONS = names(options.rows, " "),
    OPTIONS_WITH_VALUE = names(options.rows, "|", takes_value),
    OPTION_VALUES = option_values(),
    SCENARIO_OPTIONS = names(scenario_options, " "),
    SCENARIO_OPTIONS_WITH_VALUE = names(scenario_options, "|", takes_value),
    WORLDS = table.concat(worlds.names, " "),
  }))
end

return M
