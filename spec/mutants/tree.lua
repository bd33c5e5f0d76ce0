--- A copy of the tree in which bugs are planted, one at a time.
--
--     local tree = require("spec.mutants.tree").copy("build")
--     tree:plant { { "src/a.c", "x > 1", "x >= 1" } }
--     tree:make()
--     ... tree.kvserver ...
--     tree:take_back()
local edits = require "spec.mutants.edits"
local process = require "kvserver.process"

local M = {}

local BUILD_TIMEOUT_MS <const> = 300000

local Tree = {}
Tree.__index = Tree

local function shell(line)
  local done = process.run { args = { "/bin/sh", "-ec", line }, timeout_ms = BUILD_TIMEOUT_MS }
  if done.code ~= 0 then error(line .. ": " .. done.stderr, 0) end
end

--- Copies the tree that is the working directory, with times as they are: nothing in the copy is made again but what a
-- bug touches.
-- @tparam string build the directory of its finished build
-- @tparam string name of the copy, below build
-- @treturn table the copy; `kvserver`: its binary
function M.copy(build, name)
  local copy <const> = build .. "/" .. name
  shell(("rm -rf %s && mkdir -p %s/build && cp -a Makefile src lua %s"):format(copy, copy, copy))
  shell(("cd %s && cp -a src llhttp *.stamp lua_modules.* %s/build"):format(build, name))
  return setmetatable({ path = copy, kvserver = copy .. "/build/kvserver", planted = {} }, Tree)
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- The source and the object that an edit changes.
local function places(self, edit)
  return { self.path .. "/" .. edit[1], self.path .. "/build/" .. (edit[1]:gsub("%.c$", ".o")) }
end

--- Makes the edits.
-- @tparam table list of edits, as of edits.lua
function Tree:plant(list)
  for _, edit in ipairs(list) do
    local both <const> = places(self, edit)
    for _, place in ipairs(both) do shell(("test -e %s.before || cp -a %s %s.before"):format(place, place, place)) end
    self.planted[#self.planted + 1] = both
    write_file(both[1], edits.apply(edit, read_file(both[1])))
  end
end

--- Source and objects are as they were, and older than whatever comes next.
function Tree:take_back()
  for _, both in ipairs(self.planted) do
    for _, place in ipairs(both) do
      shell(("if test -e %s.before; then mv %s.before %s; fi"):format(place, place, place))
    end
  end
  self.planted = {}
end

--- Builds it.
function Tree:make()
  local done = process.run {
    args = { "make", "-s", "-j2", "-C", self.path, "build/kvserver" }, timeout_ms = BUILD_TIMEOUT_MS,
    env = { MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false, MAKEOVERRIDES = false },
  }
  if done.code ~= 0 then error("it does not compile: " .. done.stderr, 0) end
end

return M
