--- Child processes with a deadline, their output collected, never left behind.
--
--     local process = require "kvserver.process"
--     local result = process.run { args = { "/bin/echo", "hello" }, timeout_ms = 5000 }
--     assert(result.code == 0 and result.stdout == "hello\n")
--
--     local node <close> = process.spawn { args = { process.self(), "--listen", "127.0.0.1:0" } }
--     local port = node:wait_line("ready on http://[^:]+:(%d+)", 5000)
--
-- A child is killed when its handle is closed and when this program ends. One that is this kvserver itself dies with
-- its parent in any case, even by SIGKILL.
local loop = require "kvserver.loop"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local TIMEOUT_MS_DEFAULT <const> = 30000
local DESTROY_MS <const> = 5000 -- what is killed is gone at once, unless the kernel has its hands full
local STDERR <const> = 2
local LOG_MODE <const> = 420 -- rw-r--r--

local Process = {}
Process.__index = Process

--- Path of the running kvserver.
-- @treturn string
function M.self()
  return uv.exepath()
end

local function environment(program, extra)
  local merged = uv.os_environ()
  for name, value in pairs(extra or {}) do merged[name] = value or nil end
  -- Not for other programs: a kvserver that they start has another parent.
  if program == M.self() then merged.KVSERVER_PARENT_PID = tostring(uv.os_getpid()) end
  local list = {}
  for name, value in pairs(merged) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

-- Appends what the pipe brings to self[name], and tells who waits for a line.
local function collect(self, pipe, name)
  self[name] = ""
  pipe:read_start(function(_, data)
    if data then
      self[name] = self[name] .. data
    else
      pipe:close()
      self.open_pipes = self.open_pipes - 1
    end
    self:changed()
  end)
end

local function feed(pipe, text)
  if text ~= "" then pipe:write(text) end
  pipe:shutdown(function() pipe:close() end)
end

-- Everybody who waits looks again.
function Process:changed()
  if self.exit_status and self.open_pipes == 0 then self.ended:set() end
  for waker in pairs(self.waiters) do waker:wake() end
end

-- What the child gets as its stderr, the pipe if it is one, and the descriptor to close once the child has it.
local function open_stderr(wanted)
  if wanted == "inherit" then return STDERR end
  if wanted then
    local fd <const>, why = uv.fs_open(wanted.path, "a", LOG_MODE)
    return fd or error(why, 3), nil, fd
  end
  local pipe <const> = uv.new_pipe(false)
  return pipe, pipe
end

--- Starts a child.
-- @tparam table spec `args` (the program and its arguments), `stdin` (text; else it is empty), `env` (name -> value,
-- added to this process's own; false removes), `cwd`, `stderr` ("inherit": goes to this process's own; {path =}: is
-- appended to that file, which is made when it is not there), `detached` (true: Ctrl-C in this process's terminal does
-- not reach it)
-- @return its handle; use it as a `<close>` variable
function M.spawn(spec)
  local stderr, stderr_pipe, stderr_file = open_stderr(spec.stderr)
  local stdin, stdout = uv.new_pipe(false), uv.new_pipe(false)
  local self = setmetatable({
    open_pipes = stderr_pipe and 2 or 1, stderr = "", ended = task.event(),
    waiters = setmetatable({}, { __mode = "k" }),
  }, Process)
  local handle, pid = uv.spawn(spec.args[1], {
    args = table.pack(table.unpack(spec.args, 2)),
    stdio = { stdin, stdout, stderr },
    env = environment(spec.args[1], spec.env),
    cwd = spec.cwd,
    detached = spec.detached,
  }, function(code, signal)
    self.exit_status = { code = code, signal = signal }
    self.handle:close()
    self:changed()
  end)
  if stderr_file then uv.fs_close(stderr_file) end
  if not handle then
    for _, pipe in pairs { stdin, stdout, stderr_pipe } do pipe:close() end
    error(("%s: %s"):format(spec.args[1], pid), 2)
  end
  self.handle, self.pid = handle, pid
  collect(self, stdout, "stdout")
  if stderr_pipe then collect(self, stderr_pipe, "stderr") end
  feed(stdin, spec.stdin or "")
  return self
end

--- Sends a signal; a child that has ended is left alone.
-- @tparam[opt="sigkill"] string signal "sigterm", "sigint", ...
function Process:kill(signal)
  if not self.exit_status then self.handle:kill(signal or "sigkill") end
end

-- Whether it has let go of everything: no such process, or a zombie none of whose threads is on its way out any more.
local function is_gone(pid)
  local file <close> = io.open(("/proc/%d/stat"):format(pid))
  local state, rest = (file and file:read "a" or ""):match "%) (%a) (.*)"
  if not state then return true end
  local threads <const> = rest:match(("%S+ "):rep(16) .. "(%d+)")
  return state == "Z" and tonumber(threads) <= 1
end

--- Kills the child and stays until it is gone, without turning the loop: so its ports and files are free even when the
-- program is ending and nothing can wait any more.
function Process:destroy()
  self:kill()
  local tries = 0
  while not self.exit_status and not is_gone(self.pid) and tries < DESTROY_MS do
    tries = tries + 1
    uv.sleep(1)
  end
end

--- Waits for the end of the child and of its output.
-- @tparam[opt] number timeout_ms
-- @treturn ?table code, signal, stdout, stderr; or nil and "timeout"
function Process:wait(timeout_ms)
  if not self.ended:wait(timeout_ms or TIMEOUT_MS_DEFAULT) then return nil, "timeout" end
  return {
    code = self.exit_status.code, signal = self.exit_status.signal, stdout = self.stdout, stderr = self.stderr,
  }
end

--- Waits for a match on stdout.
-- @tparam string pattern a Lua pattern
-- @tparam[opt] number timeout_ms
-- @return what string.match returns; raises an error with both outputs when the time is over or the child has ended
function Process:wait_line(pattern, timeout_ms)
  local deadline_ms <const> = task.now_ms() + (timeout_ms or TIMEOUT_MS_DEFAULT)
  while true do
    local found = table.pack(self.stdout:match(pattern))
    if found[1] then return table.unpack(found, 1, found.n) end
    local left_ms = deadline_ms - task.now_ms()
    if left_ms <= 0 or self.ended:is_set() then
      local what = self.ended:is_set() and "ended without" or "did not print in time"
      error(("process %d %s %q\nstdout: %s\nstderr: %s"):format(self.pid, what, pattern, self.stdout, self.stderr), 2)
    end
    local waker <close> = loop.waker(left_ms)
    self.waiters[waker] = true
    waker:await()
    self.waiters[waker] = nil
  end
end

function Process:__close()
  self:kill()
end

--- Runs a program to its end.
-- @tparam table spec as in spawn, and `timeout_ms`
-- @treturn table code, signal, stdout, stderr; an error when the time is over (the child is then killed)
function M.run(spec)
  local child <close> = M.spawn(spec)
  local result, why = child:wait(spec.timeout_ms)
  if not result then
    error(("%s: %s\nstdout: %s\nstderr: %s"):format(table.concat(spec.args, " "), why, child.stdout, child.stderr), 2)
  end
  return result
end

return M
