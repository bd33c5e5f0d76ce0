--- The statements of earlier sessions: a file of one line each, shared by all consoles of a user.
--
--     local history <const> = history.open(os.getenv "HOME" .. "/.kvserver_history")
--     for _, text in ipairs(history.entries) do print(text) end
--     history:add "status()"
--
-- Each entry is appended at once, under a lock, so that consoles that run side by side lose nothing of each other. Ends
-- of lines inside an entry stand as \n, a backslash as \\.
local editline = require "kvserver.editline"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

M.ENTRIES_MAX = 2000 -- that are kept
local ENTRIES_SLACK <const> = 500 -- beyond: the file is cut to those
local ENTRY_BYTES_MAX <const> = 16384 -- longer ones are not stored
local MODE <const> = 384 -- rw-------
local LOCK_MS <const> = 1000 -- who holds the file longer hangs: then it is done without

local History = {}
History.__index = History

local function encode(text)
  return (text:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" }))
end

local function decode(line)
  return (line:gsub("\\(.)", { ["\\"] = "\\", n = "\n" }))
end

-- What nobody wants to find in a file.
local SECRETS <const> = { "token", "secret", "password", "passwd", "api_?key", "authorization", "bearer%s" }

--- Whether a statement may be stored: not when it begins with a blank, or may hold a secret.
-- @tparam string text
-- @treturn boolean
function M.may_store(text)
  if text:find "^%s" or text == "" or #text > ENTRY_BYTES_MAX then return false end
  local lower <const> = text:lower()
  for _, word in ipairs(SECRETS) do
    if lower:find(word) then return false end
  end
  return true
end

local function read_all(fd)
  local size <const> = assert(uv.fs_fstat(fd)).size
  return size > 0 and uv.fs_read(fd, size, 0) or ""
end

local function parse(text)
  local entries <const> = {}
  for line in text:gmatch "([^\n]+)\n" do entries[#entries + 1] = decode(line) end
  return entries
end

-- Whether the file is ours alone. Waits for those who have it.
local function lock(fd)
  return task.wait_until(function() return editline.lock(fd) end, LOCK_MS)
end

-- Calls f with the file, locked; nil when it cannot be had. It is its owner's alone, whoever made it.
local function with_file(path, f)
  local fd <const> = path and uv.fs_open(path, "a+", MODE)
  if not fd then return nil end
  uv.fs_fchmod(fd, MODE)
  local result <const> = lock(fd) and f(fd) or nil
  uv.fs_close(fd)
  return result
end

-- The newest entries alone, once there are too many.
local function trim(fd, entries)
  if #entries <= M.ENTRIES_MAX + ENTRIES_SLACK then return entries end
  local kept <const> = table.move(entries, #entries - M.ENTRIES_MAX + 1, #entries, 1, {})
  local lines <const> = {}
  for i, text in ipairs(kept) do lines[i] = encode(text) .. "\n" end
  uv.fs_ftruncate(fd, 0)
  uv.fs_write(fd, table.concat(lines), -1)
  return kept
end

--- Reads what there is. A file that cannot be used is none: entries are then kept for this session alone.
-- @tparam ?string path
-- @return the history: `entries`, oldest first; `add(text)`
function M.open(path)
  local entries <const> = with_file(path, function(fd) return trim(fd, parse(read_all(fd))) end) or {}
  return setmetatable({ path = path, entries = entries, latest = entries[#entries] }, History)
end

--- Adds an entry, unless it is what came last, or may not be stored.
-- @tparam string text
-- @treturn boolean whether it was added
function History:add(text)
  if text == self.latest or not M.may_store(text) then return false end
  self.latest = text
  local written <const> = with_file(self.path, function(fd) return uv.fs_write(fd, encode(text) .. "\n", -1) end)
  if not written then self.path = nil end
  return true
end

return M
