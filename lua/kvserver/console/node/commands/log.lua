--- Commands of the console: the log of the process.
local arguments = require "kvserver.console.node.arguments"
local log = require "kvserver.log"
local result = require "kvserver.console.node.result"

local LEVELS <const> = { "debug", "info", "warn", "error" }
local LEVEL_COLUMNS <const> = { "old", "new", "for_ms" }
local TAIL_LINES <const> = 20

local function level(context, wanted, how)
  arguments.one_of("log.level", 1, wanted, LEVELS)
  how = arguments.fields("log.level", how == nil and {} or how, { for_ = "string" })
  local for_ms <const> = how.for_ and arguments.duration("log.level", how.for_)
  local config <const>, console = context.config, context.console
  console.undo:now "^log_level$" -- what comes back in the end is what was there before all of it
  local old <const> = config.log_level
  local function set(to)
    config.log_level = to
    log.configure(to, config.log_format)
  end
  set(wanted)
  console:tell_log(context.session, "log_level", { level = wanted, for_ms = for_ms })
  if for_ms then console.undo:later("log_level", for_ms, function() set(old) end) end
  return result.record(LEVEL_COLUMNS, { old = old, new = wanted, for_ms = for_ms })
end

local function tail(context, what)
  what = arguments.fields("log.tail", what == nil and {} or what, { grep = "string", lines = "integer" })
  local lines <const> = what.lines or TAIL_LINES
  if lines < 1 then error("log.tail: lines: expected a number from 1", 0) end
  for _, line in ipairs(log.recent(lines, what.grep)) do context.session:print(line) end
end

return {
  { name = "log.level", arguments = "level [, {for_='5m'}]", writes = true, run = level, completes = { "level" },
    example = "log.level('debug', { for_ = '5m' })", columns = LEVEL_COLUMNS,
    summary = "Sets the level of the log", returns = "the old and the new level",
    help = "With for_ the old level comes back by itself. Levels: debug, info, warn, error." },
  { name = "log.tail", arguments = "[{grep=, lines=20}]", run = tail, example = "log.tail { lines = 5 }",
    summary = "Prints the newest lines of the log", returns = "nothing",
    help = "grep is a pattern of Lua. The node keeps about a thousand lines in memory." },
}
