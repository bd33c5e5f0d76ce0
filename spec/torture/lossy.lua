--- A disk beneath a process that loses, after the process was killed, what nobody synced: the other half of
-- lossy_disk.c, which tells the journal.
--
--     local lossy = require "spec.torture.lossy"
--     local disk = lossy.disk(folder)             -- folder/disk, empty
--     local env = disk:env("n1")                  -- for a process that keeps its files below folder/disk
--     ...                                         -- it writes, and is killed
--     disk:lose("n1")                             -- what no sync covered is gone; with a seed: some of it
local uv = require "luv"

local M = {}

local SECTOR_BYTES <const> = 512
local FORMAT <const> = "<I4 B I8 I8 I8 I8 s2 s2 s4"
local KINDS <const> = { "write", "truncate", "sync", "create", "rename", "remove", "make", "sync_directory" }
local MODE <const> = 420 -- rw-r--r--
local DIRECTORY_MODE <const> = 493 -- rwxr-xr-x
local SANITIZERS <const> = "verify_asan_link_order=0" -- the preloaded module comes before theirs

local Disk = {}
Disk.__index = Disk

-- ---- chance ----

local NO_CHANCE <const> = { survives = function() return false end }

-- Chooses by a seed; without one, nothing survives by luck.
local function chance(seed)
  local state = seed
  local function draw()
    state = state + 0x9e3779b97f4a7c15
    local z = (state ~ (state >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ~ (z >> 27)) * 0x94d049bb133111eb
    return (z ~ (z >> 31)) >> 1
  end
  return {
    survives = function() return seed ~= nil and draw() % 2 == 0 end,
    up_to = function(most) return seed ~= nil and draw() % (most + 1) or 0 end,
  }
end

-- ---- the journal ----

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a") or ""
end

local function read_record(text, at)
  local _, kind, inode, offset, size, size_before, name, other, bytes, next = string.unpack(FORMAT, text, at)
  return {
    at = at - 1, kind = KINDS[kind], inode = inode, offset = offset, size = size, size_before = size_before,
    name = name, other = other, bytes = bytes,
  }, next
end

local function read_journal(path)
  local text <const> = read_file(path)
  local records, at = {}, 1
  while at + 3 < #text and at + 3 + string.unpack("<I4", text, at) <= #text do
    records[#records + 1], at = read_record(text, at)
  end
  return records
end

local function directory_of(name)
  return name:match("^(.*)/[^/]*$") or ""
end

local function highest(map, key, value)
  map[key] = math.max(map[key] or 0, value)
end

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local is_name_change <const> = { create = true, rename = true, remove = true, make = true }

-- Marks what a sync covers, and which changes of names survive without: in each directory the first ones.
local function mark_durable(records, luck)
  local files, directories, waiting = {}, {}, {}
  for _, record in ipairs(records) do
    if record.kind == "sync" then highest(files, record.inode, record.offset) end
    if record.kind == "sync_directory" then highest(directories, record.name, record.offset) end
  end
  for _, record in ipairs(records) do
    local directory = directory_of(record.name)
    if not is_name_change[record.kind] then
      record.durable = record.at < (files[record.inode] or 0)
    elseif record.at < (directories[directory] or 0) then
      record.durable = true
    else
      waiting[directory] = waiting[directory] or {}
      table.insert(waiting[directory], record)
    end
  end
  for _, directory in ipairs(sorted_names(waiting)) do
    for i = 1, luck.up_to(#waiting[directory]) do waiting[directory][i].durable = true end
  end
end

-- ---- undoing what happened to bytes ----

-- What is known of a file while its records are undone, the last one first.
local File = {}
File.__index = File

-- A sector that survived is not undone any further: its earlier states are history.
function File:survived(sector)
  return self.kept[sector] or sector >= self.kept_from
end

function File:size()
  return assert(uv.fs_fstat(self.fd)).size
end

function File:restore(from, bytes)
  if #bytes > 0 then assert(uv.fs_write(self.fd, bytes, from)) end
end

-- Brings back the bytes [at, stop) of a sector, of which `known` were there. Where nothing was, but something behind it
-- stays, there are zeros.
function File:undo_sector(at, stop, known)
  self:restore(at, known)
  local zeros <const> = math.min(stop, self.kept_end) - (at + #known)
  if zeros > 0 then self:restore(at + #known, ("\0"):rep(zeros)) end
end

-- Brings back bytes [from, to) that were overwritten or cut off, but for the sectors that survive; the last sector
-- first, so that what is behind one is known.
function File:undo_bytes(old, from, to, end_then, luck)
  local stop = to
  while stop > from do
    local sector <const> = (stop - 1) // SECTOR_BYTES
    local at <const> = math.max(from, sector * SECTOR_BYTES)
    if self:survived(sector) then
      goto continue
    elseif luck.survives() then
      self.kept[sector] = true
      self.kept_end = math.max(self.kept_end, math.min(end_then, (sector + 1) * SECTOR_BYTES))
    else
      self:undo_sector(at, stop, old:sub(at - from + 1, stop - from))
    end
    ::continue::
    stop = at
  end
end

function File:shrink(size)
  local target <const> = math.max(size, self.kept_end)
  if self:size() > target then assert(uv.fs_ftruncate(self.fd, target)) end
end

local undo_content = {}

function undo_content.write(file, record, luck)
  local finish <const> = record.offset + record.size
  file:undo_bytes(record.bytes, record.offset, finish, math.max(record.size_before, finish), luck)
  if finish > record.size_before then file:shrink(record.size_before) end
end

function undo_content.truncate(file, record, luck)
  if luck.survives() then
    file.kept_from = math.min(file.kept_from, record.offset // SECTOR_BYTES)
    file.kept_end = math.max(file.kept_end, record.offset)
  elseif record.size_before > record.offset then
    if file:size() < record.size_before then assert(uv.fs_ftruncate(file.fd, record.size_before)) end
    file:undo_bytes(record.bytes, record.offset, record.size_before, record.size_before, NO_CHANCE)
  else
    file:shrink(record.size_before)
  end
end

-- ---- undoing what happened to names ----

local function exists(path)
  return uv.fs_lstat(path) ~= nil
end

local function remove_tree(path)
  local status = uv.fs_lstat(path)
  if not status then return end
  if status.type ~= "directory" then return assert(uv.fs_unlink(path)) end
  local names = assert(uv.fs_scandir(path))
  for name in uv.fs_scandir_next, names do remove_tree(path .. "/" .. name) end
  assert(uv.fs_rmdir(path))
end

local undo_name = {}

function undo_name.create(disk, record)
  uv.fs_unlink(disk.below .. "/" .. record.name) -- it may never have come to it
end

function undo_name.make(disk, record)
  remove_tree(disk.below .. "/" .. record.name)
end

function undo_name.rename(disk, record, kept)
  local from <const>, to <const> = disk.below .. "/" .. record.name, disk.below .. "/" .. record.other
  if exists(from) then return end -- it never came to it
  assert(uv.fs_rename(to, from))
  if record.inode ~= 0 then assert(uv.fs_link(kept(record.inode), to)) end
end

function undo_name.remove(disk, record, kept)
  local name <const> = disk.below .. "/" .. record.name
  if not exists(name) then assert(uv.fs_link(kept(record.inode), name)) end
end

-- ---- the disk ----

local function side_of(self, who)
  return self.folder .. "/side-" .. who
end

--- An empty disk.
-- @tparam string folder an existing one, for this disk alone; an absolute path without symbolic links
-- @return the disk; `below` is where its files are
function M.disk(folder)
  local self = setmetatable({ folder = folder, below = folder .. "/disk" }, Disk)
  assert(uv.fs_mkdir(self.below, DIRECTORY_MODE))
  return self
end

--- What a process needs in its environment. A file belongs to one `who`.
-- @tparam string who
-- @tparam[opt] table options sync_us: a sync takes up to so long; kill: the process kills itself instead of its call
-- with this number, of those that change something on the disk; names: only changes of names and syncs of directories
-- have numbers
-- @treturn table name -> value, for kvserver.process
function Disk:env(who, options)
  options = options or {}
  if not exists(side_of(self, who)) then assert(uv.fs_mkdir(side_of(self, who), DIRECTORY_MODE)) end
  return {
    LD_PRELOAD = M.module(), LOSSY_DISK_BELOW = self.below, LOSSY_DISK_SIDE = side_of(self, who),
    LOSSY_DISK_SYNC_US = tostring(options.sync_us or 0), LOSSY_DISK_KILL = tostring(options.kill or 0),
    LOSSY_DISK_KILL_NAMES = options.names and "1" or "0", ASAN_OPTIONS = SANITIZERS,
  }
end

-- Removes the links that kept files.
local function forget(side)
  local names = assert(uv.fs_scandir(side))
  for name in uv.fs_scandir_next, names do assert(uv.fs_unlink(side .. "/" .. name)) end
end

-- The files of a journal, opened when they are first asked for: false when nothing is left of one, which had no name
-- any more when it was written.
local function open_files(kept)
  local files = {}
  local function open(inode)
    if files[inode] == nil then
      local fd = uv.fs_open(kept(inode), "r+", MODE)
      files[inode] = fd and setmetatable({ fd = fd, kept = {}, kept_from = math.maxinteger, kept_end = 0 }, File)
    end
    return files[inode]
  end
  local function close()
    for _, file in pairs(files) do assert(uv.fs_close(file.fd)) end
  end
  return open, setmetatable({}, { __close = close })
end

--- The power goes: takes back what a process that is gone has changed and not synced since the last time.
-- @tparam string who
-- @tparam[opt] integer seed chooses what survives without having been synced; without it, nothing does
-- @treturn integer how many changes no sync covered
function Disk:lose(who, seed)
  local side <const> = side_of(self, who)
  local records, luck, count = read_journal(side .. "/journal"), chance(seed), 0
  local function kept(inode)
    return side .. "/" .. inode
  end
  do
    local file_of <const>, _ <close> = open_files(kept)
    mark_durable(records, luck)
    for i = #records, 1, -1 do
      local record <const> = records[i]
      if record.kind:find("^sync") or record.durable then goto continue end
      count = count + 1
      if undo_name[record.kind] then
        undo_name[record.kind](self, record, kept)
      elseif file_of(record.inode) then
        undo_content[record.kind](file_of(record.inode), record, luck)
      end
      ::continue::
    end
  end
  forget(side)
  return count
end

--- The preloaded module.
-- @treturn string its path
function M.module()
  local path = package.searchpath("lossy_disk", os.getenv("KVSERVER_SPEC_CPATH") or "build/spec/?.so")
  assert(path, "lossy_disk: not built; run `make`, then the specs")
  return assert(uv.fs_realpath(path))
end

--- A folder that is gone when the variable is closed.
-- @tparam[opt="/tmp"] string parent
-- @treturn table a `<close>` value with `path`
function M.folder(parent)
  local path = assert(uv.fs_mkdtemp((parent or "/tmp") .. "/kvserver-torture-XXXXXX"))
  return setmetatable({ path = assert(uv.fs_realpath(path)) }, { __close = function() remove_tree(path) end })
end

return M
