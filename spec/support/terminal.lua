--- A program on a terminal: keys are pressed, and what appears is waited for.
--
--     local t <close> = terminal.start({ process.self(), "--console", "n1.data" }, { HOME = dir.path })
--     t:expect "leader> "
--     t:press "1 + 1\r"
--     t:expect "\n2\n"
local pty = require "pty"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local TIMEOUT_MS <const> = 10000
local ROWS <const>, COLUMNS <const> = 24, 80
local ENV <const> = "/usr/bin/env"

local Terminal = {}
Terminal.__index = Terminal

-- What a reader sees of it, one thing after the other: without what moves the cursor and sets colours.
local function visible(text)
  return (text:gsub("\27%[[%d;?]*%a", ""):gsub("\27[78=>]", ""):gsub("\27%([A-Z]", ""):gsub("[\r\a]", ""))
end

--- Starts a program.
-- @tparam {string,...} arguments the first is its path
-- @tparam[opt] table env name -> value, beside this process's own
-- @return a `<close>` value: `raw` is all that came from it
function M.start(arguments, env)
  local all <const> = { ENV, "TERM=xterm-256color", "LC_ALL=C.UTF-8" }
  for name, value in pairs(env or {}) do all[#all + 1] = name .. "=" .. value end
  table.move(arguments, 1, #arguments, #all + 1, all)
  local fd <const>, pid = pty.spawn(all, ROWS, COLUMNS)
  local self <const> = setmetatable({ fd = fd, pid = pid, raw = "", seen = 1, pipe = uv.new_pipe(false) }, Terminal)
  self.found_as = pty.settings(fd)
  assert(self.pipe:open(fd))
  self.pipe:read_start(function(_, data) self.raw = self.raw .. (data or "") end)
  return self
end

--- Types.
-- @tparam string keys
function Terminal:press(keys)
  self.pipe:write(keys)
end

--- Waits for a text to appear behind what was expected before.
-- @tparam string text plain
function Terminal:expect(text)
  local found <const> = task.wait_until(function()
    local _, finish = visible(self.raw):find(text, self.seen, true)
    return finish
  end, TIMEOUT_MS)
  if not found then
    error(("on the terminal there is no %q; there is %q"):format(text, visible(self.raw):sub(self.seen)), 2)
  end
  self.seen = found + 1
end

--- What appeared behind what was expected.
-- @treturn string
function Terminal:rest()
  return visible(self.raw):sub(self.seen)
end

--- Waits until bytes were sent to the terminal as they are.
-- @tparam string bytes
function Terminal:expect_raw(bytes)
  local found <const> = task.wait_until(function() return self.raw:find(bytes, 1, true) end, TIMEOUT_MS)
  if not found then error(("nothing sent %q; what was sent: %q"):format(bytes, self.raw), 2) end
end

--- Whether the terminal is set as it was at the start.
-- @treturn boolean
function Terminal:is_as_found()
  return pty.settings(self.fd) == self.found_as
end

--- @tparam integer rows
-- @tparam integer columns
function Terminal:resize(rows, columns)
  assert(pty.resize(self.fd, rows, columns))
end

--- Waits for the end of the program.
-- @treturn integer its exit code, or minus the signal that ended it
function Terminal:wait()
  if not self.code then
    self.code = task.wait_until(function() return pty.wait(self.pid) end, TIMEOUT_MS)
  end
  return self.code or error("the program goes on; on the terminal: " .. visible(self.raw), 2)
end

function Terminal:__close()
  if not self.code then uv.kill(self.pid, "sigkill") end
  self.code = self.code or task.wait_until(function() return pty.wait(self.pid) end, TIMEOUT_MS)
  self.pipe:close()
end

return M
