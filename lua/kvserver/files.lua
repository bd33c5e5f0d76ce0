--- Directories as scenarios and worlds need them: made, walked through, removed.
local uv = require "luv"

local M = {}

local MODE <const> = 493 -- rwxr-xr-x
local READ_AT_ONCE <const> = 100 -- entries of a directory

--- Makes a directory whose parent is there; one that exists stays as it is.
-- @tparam string path
-- @treturn ?boolean true, or nil and why not
function M.make_directory(path)
  local made, why, code = uv.fs_mkdir(path, MODE)
  if made or code == "EEXIST" then return true end
  return nil, why
end

--- Makes an empty directory of this process's own below /tmp. Its path is short, so that sockets fit into it.
-- @tparam string purpose a word, part of its name
-- @treturn string its path
function M.make_temporary(purpose)
  return assert(uv.fs_mkdtemp(("/tmp/kvserver-%s-XXXXXX"):format(purpose)))
end

--- Removes a file, or a directory with all that is in it; nothing when there is none. Links are not followed.
-- @tparam string path
function M.remove_tree(path)
  local status <const> = uv.fs_lstat(path)
  if not status then return end
  if status.type ~= "directory" then
    uv.fs_unlink(path)
    return
  end
  for name in uv.fs_scandir_next, uv.fs_scandir(path) do M.remove_tree(path .. "/" .. name) end
  uv.fs_rmdir(path)
end

-- What is in a directory: {{name =, type =}, ...}; nothing when there is none. Not by uv.fs_scandir, each call of which
-- leaves something in the registry for good: this is for programs that run long, too.
local function entries_of(path)
  local directory <const> = uv.fs_opendir(path, nil, READ_AT_ONCE)
  local all <const> = {}
  if not directory then return all end
  repeat
    local some <const> = uv.fs_readdir(directory)
    table.move(some or {}, 1, #(some or {}), #all + 1, all)
  until not some
  uv.fs_closedir(directory)
  return all
end

--- What is in a directory.
-- @tparam string path
-- @treturn {string,...} names, sorted; none when there is no such directory
function M.names(path)
  local list = {}
  for i, entry in ipairs(entries_of(path)) do list[i] = entry.name end
  table.sort(list)
  return list
end

local function add_files(path, prefix, list)
  for _, entry in ipairs(entries_of(path)) do
    if entry.type == "directory" then
      add_files(path .. "/" .. entry.name, prefix .. entry.name .. "/", list)
    elseif entry.type == "file" then
      list[#list + 1] = prefix .. entry.name
    end
  end
end

--- The regular files in a directory and below it.
-- @tparam string path
-- @treturn {string,...} their paths below it, sorted; none when there is no such directory
function M.list(path)
  local list = {}
  add_files(path, "", list)
  table.sort(list)
  return list
end

--- The size of the regular files in a directory and below it.
-- @tparam string path
-- @treturn integer bytes
function M.tree_bytes(path)
  local bytes = 0
  for _, name in ipairs(M.list(path)) do
    local about <const> = uv.fs_lstat(path .. "/" .. name) -- it may have gone by now
    bytes = bytes + (about and about.size or 0)
  end
  return bytes
end

return M
