--- Standard input, line by line, while the loop goes on.
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local STDIN <const> = 0

-- A file is read as it is: nothing in it keeps anybody waiting.
local function file_lines()
  local next_line <const> = io.lines()
  return { read = function() return next_line() end, close = function() end }
end

local Stream = {}
Stream.__index = Stream

--- The next line, without its end; nil behind the last one. Waits.
function Stream:read()
  while true do
    local finish <const> = self.text:find("\n", 1, true)
    if finish then
      local line <const> = self.text:sub(1, finish - 1)
      self.text = self.text:sub(finish + 1)
      return line
    end
    if self.ended then break end
    self.more = task.event()
    self.handle:read_start(function(_, data)
      self.handle:read_stop()
      self.text = self.text .. (data or "")
      self.ended = data == nil
      self.more:set()
    end)
    self.more:wait()
  end
  local rest <const> = self.text
  self.text = ""
  return rest ~= "" and rest or nil
end

function Stream:close()
  if not self.handle:is_closing() then self.handle:close() end
end

--- Opens it.
-- @return `read()`: the next line without its end, or nil behind the last one (it waits); `close()`
function M.open()
  local kind <const> = uv.guess_handle(STDIN)
  if kind ~= "pipe" and kind ~= "tty" then return file_lines() end
  local handle <const> = kind == "tty" and uv.new_tty(STDIN, true) or uv.new_pipe(false)
  if kind == "pipe" then assert(handle:open(STDIN)) end
  return setmetatable({ handle = handle, text = "", ended = false }, Stream)
end

return M
