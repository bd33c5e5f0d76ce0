--- Runs a check over every line of some files, for the lints beside it.
--
--   walk.run { find = "find src -name '*.c'", check = function(path, line) return "why not", or nil end }
--
-- Prints `path:line: why` per offence and leaves the process with 1 when there was one, or when there was no file.

local M = {}

local function paths_of(find)
  local paths = {}
  local list <close> = assert(io.popen(find .. " | sort"))
  for path in list:lines() do paths[#paths + 1] = path end
  return paths
end

local function check_file(path, check)
  local number, offences = 0, 0
  for line in io.lines(path) do
    number = number + 1
    local why = check(path, line)
    if why then
      offences = offences + 1
      print(("%s:%d: %s"):format(path, number, why))
    end
  end
  return offences
end

--- Checks all files and ends the process.
-- @param what table: `find`, a shell command that lists the files; `check(path, line)`, nil or what is wrong
function M.run(what)
  local paths, offences = paths_of(what.find), 0
  for _, path in ipairs(paths) do offences = offences + check_file(path, what.check) end
  if #paths == 0 then print("no files: " .. what.find) end
  os.exit(#paths > 0 and offences == 0)
end

return M
