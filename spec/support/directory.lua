--- A directory that is gone, with all that is in it, when the spec's variable is closed.
--
--     local directory <close> = require("spec.support.directory").new()
--     print(directory.path)
local uv = require "luv"

local M = {}

local function remove(path)
  local scan = uv.fs_scandir(path)
  if not scan then return end
  for name, kind in uv.fs_scandir_next, scan do
    local inner = path .. "/" .. name
    if kind == "directory" then remove(inner) else uv.fs_unlink(inner) end
  end
  uv.fs_rmdir(path)
end

--- Makes one.
-- @treturn table a `<close>` value with `path`
function M.new()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  return setmetatable({ path = path }, { __close = function() remove(path) end })
end

--- Removes a directory and all that is in it.
-- @tparam string path
M.remove = remove

return M
