-- A disk whose power goes, against a model of what must be there then: random calls, many seeds.
local disk = require "kvserver.disk"
local directory = require "spec.support.directory"
local sim = require "kvserver.sim"

local SEEDS <const> = 100
local CALLS_MAX <const> = 60
local CUTS <const> = 3 -- of the power, on one directory
local NAMES <const> = { "a", "b", "c", "d/a", "d/b", "e/a" }
local DIRECTORIES <const> = { "d", "e" }
local BYTES_MAX <const> = 40

-- What a disk holds: `now`, and `durable`, what is left when the power goes. Files are tables with both of their
-- contents, so that names can come and go.
local Model = {}
Model.__index = Model

local function model()
  return setmetatable({ now = { [""] = {} }, durable = { [""] = {} } }, Model) -- directory -> name -> file
end

local function split(path)
  local parent, name = path:match("^(.*)/(.*)$")
  return parent or "", name or path
end

function Model:file(path)
  local parent <const>, name <const> = split(path)
  return self.now[parent] and self.now[parent][name]
end

function Model:set(path, file)
  local parent <const>, name <const> = split(path)
  self.now[parent][name] = file
end

function Model:sync_directory(name)
  local copy = {}
  for entry, file in pairs(self.now[name]) do copy[entry] = file end
  self.durable[name] = copy
  if name ~= "" then return end
  for path in pairs(self.now) do self.durable[path] = self.durable[path] or {} end
  self.directories = {}
  for path in pairs(self.now) do self.directories[path] = true end
end

-- A directory that is not durable takes with it what is in it.
function Model:lose()
  local now = { [""] = {} }
  for path, names in pairs(self.durable) do
    if path == "" or self.directories and self.directories[path] then
      now[path] = {}
      for name, file in pairs(names) do now[path][name] = { now = file.durable, durable = file.durable } end
    end
  end
  self.now = now
  self:all_durable()
end

function Model:all_durable()
  self.durable, self.directories = {}, {}
  for path, names in pairs(self.now) do
    self.durable[path], self.directories[path] = {}, true
    for name, file in pairs(names) do
      file.durable = file.now
      self.durable[path][name] = file
    end
  end
end

-- ---- calls, of the disk and of the model ----

local function written(text, offset, bytes)
  local padded <const> = text .. ("\0"):rep(offset - #text)
  return padded:sub(1, offset) .. bytes .. padded:sub(offset + #bytes + 1)
end

local function cut(text, size)
  return text:sub(1, size) .. ("\0"):rep(size - #text)
end

local call = {}

function call.create(w, path)
  if not w.model.now[split(path)] or w.model:file(path) then return end
  local file <const> = { now = "", durable = "" }
  w.model:set(path, file)
  w.open[#w.open + 1] = { handle = assert(w.disk:open(path, "create")), file = file }
end

function call.open(w, path)
  local file <const> = w.model:file(path)
  if file then w.open[#w.open + 1] = { handle = assert(w.disk:open(path, "write")), file = file } end
end

local function open_file(w)
  return #w.open > 0 and w.open[w.random(#w.open)] or nil
end

function call.write(w)
  local one <const>, offset <const> = open_file(w), w.random(BYTES_MAX) - 1
  if not one then return end
  w.count = w.count + 1
  local bytes <const> = (string.char(97 + w.count % 26)):rep(w.random(BYTES_MAX))
  assert(one.handle:write(offset, bytes))
  one.file.now = written(one.file.now, offset, bytes)
end

function call.truncate(w)
  local one <const>, size <const> = open_file(w), w.random(BYTES_MAX * 2) - 1
  if not one then return end
  assert(one.handle:truncate(size))
  one.file.now = cut(one.file.now, size)
end

function call.sync(w)
  local one <const> = open_file(w)
  if not one then return end
  assert(one.handle:sync())
  one.file.durable = one.file.now
end

function call.close(w)
  if #w.open > 0 then table.remove(w.open, w.random(#w.open)).handle:close() end
end

function call.rename(w, path)
  local parent <const> = split(path)
  local to <const> = (parent == "" and "" or parent .. "/") .. ({ "a", "b", "c" })[w.random(3)]
  local file <const> = w.model:file(path)
  if not file or to == path then return end
  assert(w.disk:rename(path, to))
  w.model:set(path, nil)
  w.model:set(to, file)
end

function call.remove(w, path)
  if not w.model:file(path) then return end
  assert(w.disk:remove(path))
  w.model:set(path, nil)
end

function call.make_directory(w)
  local name <const> = DIRECTORIES[w.random(#DIRECTORIES)]
  assert(w.disk:make_directory(name))
  w.model.now[name] = w.model.now[name] or {}
end

function call.sync_directory(w, path)
  local parent <const> = split(path)
  if not w.model.now[parent] then return end
  assert(w.disk:sync_directory(parent ~= "" and parent or nil))
  w.model:sync_directory(parent)
end

local CALLS <const> = {
  "create", "create", "open", "write", "write", "write", "truncate", "sync", "sync", "close", "rename", "rename",
  "remove", "make_directory", "sync_directory", "sync_directory",
}

-- ---- what is there ----

local function contents(d)
  local found = {}
  local function look(folder)
    for _, name in ipairs(d:list(folder ~= "" and folder or nil)) do
      local path <const> = folder == "" and name or folder .. "/" .. name
      if folder == "" and (name == "d" or name == "e") then
        found[path] = "a directory"
        look(path)
      else
        local file <close> = assert(d:open(path, "read"))
        found[path] = file:read(0, file:size())
      end
    end
  end
  look ""
  return found
end

local function expected(m)
  local list = {}
  for parent, names in pairs(m.now) do
    if parent ~= "" then list[parent] = "a directory" end
    for name, file in pairs(names) do list[parent == "" and name or parent .. "/" .. name] = file.now end
  end
  return list
end

local function close_all(w)
  for _, one in ipairs(w.open) do one.handle:close() end
  w.open = {}
  w.disk:close()
end

-- Some calls, and then the power goes, or the process is killed.
local function play(w, dir)
  w.disk = assert(disk.faulty(dir.path, w.random(1000)))
  for _ = 1, w.random(CALLS_MAX) do call[CALLS[w.random(#CALLS)]](w, NAMES[w.random(#NAMES)]) end
  if w.random(4) > 1 then
    assert(w.disk:lose())
    w.model:lose()
  else
    w.model:all_durable()
  end
  close_all(w)
  local plain <close> = assert(disk.open(dir.path))
  assert.same(expected(w.model), contents(plain))
end

describe("a disk whose power goes", function()
  it("holds what was synced, and nothing else", function()
    for seed = 1, SEEDS do
      local dir <close> = directory.new()
      local w = { model = model(), open = {}, random = sim.prng(seed), count = 0 }
      for _ = 1, CUTS do
        local ok <const>, why = pcall(play, w, dir)
        if not ok then error(("seed %d: %s"):format(seed, tostring(why)), 0) end
      end
    end
  end)
end)
