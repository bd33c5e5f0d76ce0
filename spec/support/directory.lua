--- A directory of a spec's own, and how it is looked at and changed.
--
--     local directory = require "spec.support.directory"
--     local dir <close> = directory.new()
--     dir:write("FORMAT", "{}")
local uv = require "luv"

local M = {}

local Directory = {}
Directory.__index = Directory

--- A new, empty directory, gone with all that is in it when the variable is closed.
-- @treturn table a `<close>` value with `path`
function M.new()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  return setmetatable({ path = path }, Directory)
end

--- Removes it, and all that is in it.
function Directory:remove()
  os.execute(("rm -rf '%s'"):format(self.path))
end

Directory.__close = Directory.remove

--- The whole of a file.
-- @tparam string name
-- @treturn string
function Directory:read(name)
  local file <close> = assert(io.open(self.path .. "/" .. name, "rb"))
  return file:read("a")
end

--- Makes a file, or replaces what is in it.
-- @tparam string name
-- @tparam string text
function Directory:write(name, text)
  local file <close> = assert(io.open(self.path .. "/" .. name, "wb"))
  assert(file:write(text))
end

--- The sorted names in the directory, or in one below it.
-- @tparam[opt] string below
-- @treturn {string,...}
function Directory:names(below)
  local found = {}
  local listed = assert(uv.fs_scandir(self.path .. "/" .. (below or "")))
  for name in uv.fs_scandir_next, listed do found[#found + 1] = name end
  table.sort(found)
  return found
end

--- The last segment of the log in the data directory that this is.
-- @tparam[opt=""] string below the data directory's path in this one, with its "/"
-- @treturn string its name
function Directory:last_segment(below)
  local last
  for _, name in ipairs(self:names((below or "") .. "wal")) do
    if name:find("^%x+%.wal$") then last = name end
  end
  return (below or "") .. "wal/" .. last
end

return M
