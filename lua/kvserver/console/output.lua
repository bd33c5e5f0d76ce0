--- Where the console writes: results to standard output, everything else to standard error. A reader that went away
-- ends it, quietly, as it ends other programs; what cannot be written ends it, too, and is said.
local M = {}

local EPIPE <const> = 32
local EXIT_FAILED <const> = 1
local EXIT_BROKEN_PIPE <const> = 141 -- as shells report an end by SIGPIPE

local function write(file, text)
  local ok, why, code = file:write(text)
  if ok then ok, why, code = file:flush() end
  if ok then return end
  if code == EPIPE then os.exit(EXIT_BROKEN_PIPE) end
  io.stderr:write("kvserver: cannot write: ", why, "\n")
  os.exit(EXIT_FAILED)
end

--- @tparam string text
function M.result(text)
  write(io.stdout, text)
end

--- @tparam string text
function M.note(text)
  write(io.stderr, text)
end

return M
