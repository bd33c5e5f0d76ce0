--- Scripts in a kvserver process of their own, for what ends a process.
--
--     local result = child.run_script("os.exit(7)")  --> {code = 7, signal = 0, stdout = "", stderr = ""}
local process = require "kvserver.process"

local M = {}

local TIMEOUT_MS <const> = 20000

--- Runs kvserver with arguments to its end.
-- @tparam table arguments
-- @tparam[opt] string stdin
-- @tparam[opt] table env
-- @treturn table code, signal, stdout, stderr
function M.run(arguments, stdin, env)
  return process.run {
    args = { process.self(), table.unpack(arguments) }, stdin = stdin, env = env, timeout_ms = TIMEOUT_MS,
  }
end

--- Runs a script, given as text on stdin, behind some options.
-- @tparam string source
-- @param ... options
-- @treturn table code, signal, stdout, stderr
function M.run_script(source, ...)
  local arguments = { ... }
  arguments[#arguments + 1] = "-"
  return M.run(arguments, source)
end

--- Starts a script without waiting for its end.
-- @tparam string source
-- @treturn table a handle of kvserver.process
function M.spawn_script(source)
  return process.spawn { args = { process.self(), "-" }, stdin = source }
end

--- A file with this text that is gone when the spec's variable is closed.
-- @tparam string text
-- @treturn table a `<close>` value with `path`
function M.file(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

return M
