--- Where the console reads lines from: a terminal with editing, or, with -i, a pipe with prompts only. Both have
-- `read(prompt)` (a line; or nil and "interrupt" or "end"), `set_prompt`, `note(lines)` (shown above the line that is
-- read), `add_history`, `columns()`, `rows()`, `close()`.
local editline = require "kvserver.editline"
local input = require "kvserver.console.input"
local output = require "kvserver.console.output"
local uv = require "luv"

local M = {}

local STDIN <const>, STDOUT <const> = 0, 1
local COLUMNS_DEFAULT <const>, ROWS_DEFAULT <const> = 80, 24

-- ---- a terminal ----

local Screen = {}
Screen.__index = Screen

-- What is typed while nobody reads stays with the terminal.
function Screen:read(prompt)
  self.stdin:read_start(function(_, data)
    self.editor:feed(data) -- nil: the terminal is gone
  end)
  local line <const>, why = self.editor:read(prompt)
  self.stdin:read_stop()
  return line, why
end

function Screen:set_prompt(prompt)
  self.editor:set_prompt(prompt)
end

function Screen:note(lines)
  self.editor:print(lines)
end

function Screen:add_history(text)
  self.editor:add_history(text)
end

function Screen.columns()
  return (editline.size()) or COLUMNS_DEFAULT
end

function Screen.rows()
  return select(2, editline.size()) or ROWS_DEFAULT
end

function Screen:close()
  self.editor:close()
  self.resized:close()
  self.stdin:close()
end

local function open_terminal(callbacks)
  local editor <const>, why = editline.open(callbacks)
  if not editor then return nil, why end
  local self <const> = setmetatable({
    editor = editor, stdin = assert(uv.new_tty(STDIN, true)), resized = uv.new_signal(),
  }, Screen)
  self.resized:start("sigwinch", function() editor:resize() end)
  return self
end

-- ---- a pipe ----

local Pipe = {}
Pipe.__index = Pipe

function Pipe:read(prompt)
  output.result(prompt)
  local line <const> = self.source:read()
  if line then return line end
  output.result "\n"
  return nil, "end"
end

function Pipe.set_prompt() end

function Pipe.note(_, lines)
  output.note(lines)
end

function Pipe.add_history() end

function Pipe.columns()
  return COLUMNS_DEFAULT
end

function Pipe.rows()
  return math.huge
end

function Pipe:close()
  self.source:close()
end

--- Opens it.
-- @tparam table callbacks of kvserver.editline.open
-- @return the screen; `edits` is true when lines are edited there
function M.open(callbacks)
  if uv.guess_handle(STDIN) == "tty" and uv.guess_handle(STDOUT) == "tty" then
    local self <const> = open_terminal(callbacks)
    if self then
      self.edits = true
      return self
    end
  end
  return setmetatable({ source = input.open(), edits = false }, Pipe)
end

return M
