--- Long results go through a pager, as other programs do it: $PAGER, else less.
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local STDOUT <const>, STDERR <const> = 1, 2
local SHELL <const> = "/bin/sh"
local DEFAULT <const> = "less -FRX"
local NOT_FOUND <const> = 127

-- The variables of the environment, as a list.
local function environment()
  local list <const> = {}
  for name, value in pairs(uv.os_environ()) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function count_lines(text)
  local _, count <const> = text:gsub("\n", "")
  return count
end

--- Shows a text that is higher than the terminal. Waits until the pager has ended.
-- @tparam string text
-- @tparam integer rows of the terminal
-- @treturn boolean false: it was not shown, since it is short or there is no pager
function M.show(text, rows)
  local program <const> = os.getenv "PAGER" or DEFAULT
  if program == "" or program == "cat" or count_lines(text) < rows then return false end
  local ended <const> = task.event()
  local stdin <const> = uv.new_pipe(false)
  local handle
  handle = uv.spawn(SHELL, {
    args = { "-c", program }, stdio = { stdin, STDOUT, STDERR }, env = environment(),
  }, function(code)
    handle:close()
    ended:set(code)
  end)
  if not handle then
    stdin:close()
    return false
  end
  stdin:write(text, function() stdin:close() end) -- it may leave before it has read all
  local _, code <const> = ended:wait()
  return code ~= NOT_FOUND
end

return M
