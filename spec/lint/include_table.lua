--- Checks who includes whom: `kvserver spec/lint/include_table.lua src` prints each offending line and exits 1.
--
-- The rooms of src/ form layers without cycles: a row names only rooms above it. It names all that the files of a room
-- may include from src/ (a room, or one header of it) besides the room itself. There is no list of exceptions.

local walk = require "spec.lint.walk"

local rooms <const> = {
  ["base"] = {},
  ["types"] = { "base" },
  ["metrics"] = { "base" },
  ["http"] = { "base", "types/limits.h" },
  ["kvsm"] = { "base", "types" },
  ["opcache"] = { "base", "types" },
  ["distributedkv"] = { "base", "types", "kvsm", "opcache" },
  ["httpapi"] = { "base", "types", "metrics", "http", "distributedkv" },
  ["io"] = { "base", "types/limits.h", "metrics/histogram.h", "http", "raft/storage/disk.h" },
  ["raft/core"] = { "base/check.h" },
  ["raft/storage"] = { "base", "types", "metrics/histogram.h", "raft/core" },
  ["cluster"] = { "base", "types", "raft/core/message.h" },
  ["raft"] = {
    "base", "types", "metrics/histogram.h", "kvsm", "raft/core", "raft/storage", "cluster", "distributedkv/raft_node.h",
  },
  ["raft/transporthttp"] = { "base", "types", "http", "io", "raft/core", "raft/storage", "cluster", "raft" },
  ["sim"] = { "base", "types", "kvsm", "distributedkv", "raft/core", "raft/storage", "cluster", "raft" },
  ["server"] = {
    "base", "types", "metrics", "http", "kvsm", "distributedkv", "httpapi", "io", "raft/core", "raft/storage",
    "cluster", "raft", "raft/transporthttp",
  },
  ["script"] = {
    "base", "types", "metrics/histogram.h", "http", "kvsm", "distributedkv", "httpapi", "io", "raft/core",
    "raft/storage", "cluster", "raft", "raft/transporthttp", "sim", "server",
  },
  ["main.c"] = { "script" },
}

-- Headers of the world outside, and the files (patterns of paths below src/) that may know of them. One that is not
-- listed may not be included at all.
local anywhere <const> = { "" }
local outside <const> = {
  { header = "^assert%.h$", places = {} }, -- base/check.h instead: checks stay on in release
  { header = "^std[a-z]+%.h$", places = anywhere },
  { header = "^string%.h$", places = anywhere },
  { header = "^limits%.h$", places = anywhere },
  { header = "^inttypes%.h$", places = anywhere },
  { header = "^errno%.h$", places = anywhere },
  { header = "^ctype%.h$", places = {} }, -- depends on the locale
  { header = "^pthread%.h$",
    places = { "^base/", "^kvsm/", "^opcache/", "^raft/storage/", "^sim/simdisk%.c$", "^io/", "^server/" } },
  -- Time, files, sockets and processes belong to the rooms that touch the outside.
  { header = "^time%.h$", places = { "^base/", "^io/", "^server/", "^script/" } },
  { header = "^unistd%.h$", places = { "^base/", "^io/", "^server/", "^script/", "^main%.c$" } },
  { header = "^fcntl%.h$", places = { "^base/", "^io/", "^server/", "^script/" } },
  { header = "^dirent%.h$", places = { "^io/", "^server/process_figures%.c$" } },
  { header = "^poll%.h$", places = { "^base/", "^io/" } },
  { header = "^setjmp%.h$", places = { "^script/longjmp%.c$" } },
  { header = "^dlfcn%.h$", places = { "^io/syscall%.c$" } },
  { header = "^signal%.h$", places = { "^io/", "^server/", "^script/", "^main%.c$" } },
  { header = "^sys/", places = { "^base/", "^io/", "^server/", "^script/" } },
  { header = "^netinet/", places = { "^io/" } },
  { header = "^netdb%.h$", places = { "^io/" } },
  -- Floats and locales are for scripts: nothing else may depend on them.
  { header = "^math%.h$", places = { "^script/" } },
  { header = "^locale%.h$", places = { "^script/" } },
  -- Libraries.
  { header = "^uv%.h$", places = { "^io/", "^server/", "^script/" } },
  { header = "^llhttp%.h$", places = { "^http/parser%.c$" } },
  { header = "^yajl/", places = { "^types/json[^/]*%.c$" } },
  { header = "^xxhash%.h$", places = { "^base/hash%.c$" } },
  { header = "^luv/", places = { "^script/luv_bridge%.c$" } },
  { header = "^histedit%.h$", places = { "^script/line_editor%.c$" } },
  { header = "^termios%.h$", places = { "^script/terminal_guard%.c$" } },
  { header = "^langinfo%.h$", places = { "^script/line_editor%.c$" } },
  { header = "^wchar%.h$", places = { "^script/line_editor%.c$" } },
  { header = "^lua%.h$", places = { "^script/" } },
  { header = "^lauxlib%.h$", places = { "^script/" } },
  { header = "^lualib%.h$", places = { "^script/" } },
}

-- nil when `path` may include <header>, else why not.
local function refuse_outside(path, header)
  for _, row in ipairs(outside) do
    if header:find(row.header) then
      for _, place in ipairs(row.places) do
        if path:find(place) then return nil end
      end
      return ("<%s> is not for this file"):format(header)
    end
  end
  return ("<%s> is not in the table of spec/lint/include_table.lua"):format(header)
end

-- A room is a folder; a file beside the folders is a room of its own.
local function room_of(path)
  return path:match("^(.*)/") or path
end

-- nil when `path` may include "header", else why not.
local function refuse_inside(path, header)
  local room, target = room_of(path), room_of(header)
  local allowed = rooms[room]
  if not allowed then return ("the room %s is not in the table of spec/lint/include_table.lua"):format(room) end
  if target == header then return ('"%s" must be named by its path below src/'):format(header) end
  if target == room then return nil end
  for _, entry in ipairs(allowed) do
    if entry == target or entry == header then return nil end
  end
  return ('"%s": %s may include only %s'):format(header, room,
    #allowed == 0 and "itself" or "itself, " .. table.concat(allowed, ", "))
end

local function refuse_line(path, line)
  local mark, header = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
  if mark == "<" then return refuse_outside(path, header) end
  if mark == '"' then return refuse_inside(path, header) end
  if line:find("^%s*#%s*include") then return "an include that names no file" end
  return nil
end

local root = (arg[1] or "src"):gsub("/$", "")
walk.run {
  find = ("find '%s' -name '*.[ch]' -type f"):format(root),
  check = function(path, line) return refuse_line(path:sub(#root + 2), line) end,
}
