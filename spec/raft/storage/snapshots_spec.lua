-- What a node may expect of a store of snapshots: the same cases for files and for memory.
local disk = require "kvserver.disk"
local snapshots = require "kvserver.snapshots"
local uv = require "luv"

-- A directory that is gone, with all that is in it, when the spec's variable is closed.
local function temporary_directory()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  return setmetatable({ path = path }, { __close = function() os.execute(("rm -rf '%s'"):format(path)) end })
end

-- nil, the status' name and a message, of a call that failed.
local function refused(status, result, name, message)
  assert.same({ nil, status }, { result, name })
  assert.matches("%a", message)
end

local kinds <const> = {
  { name = "memory", open = function() return snapshots.memory() end },
  { name = "files on a simulated disk",
    open = function() return assert(snapshots.open(disk.simulate { seed = 1 })) end },
  { name = "files of the system", open = function(path) return assert(snapshots.open(assert(disk.open(path)))) end },
}

for _, kind in ipairs(kinds) do
  describe("snapshots in " .. kind.name, function()
    local directory, store

    before_each(function()
      directory = temporary_directory()
      store = kind.open(directory.path)
    end)
    after_each(function()
      store:close()
      getmetatable(directory).__close(directory)
    end)

    it("are loaded as they were saved, the newest one, or none [TestSnapshotStore_SaveLoad]", function()
      refused("not_found", store:load())
      assert.is_true(store:save(7, 2, "one\0\n\xff"))
      assert.same({ 7, 2, "one\0\n\xff" }, { store:load() })
      assert.is_true(store:save(300, 2, ""))
      assert.same({ 300, 2, "" }, { store:load() })
      assert.is_true(store:save(0x1000, 9, ("long "):rep(200000)))
      assert.same({ 0x1000, 9, ("long "):rep(200000) }, { store:load() })
    end)

    it("are newest by their index: a late one with a higher term is not", function()
      assert.is_true(store:save(10, 1, "ten"))
      assert.is_true(store:save(9, 99, "nine"))
      assert.same({ 10, 1 }, { store:newest() })
      assert.same({ 10, 1, "ten" }, { store:load() })
    end)

    it("take the place of one with the same index and term", function()
      assert.is_true(store:save(5, 3, "first"))
      assert.is_true(store:save(5, 3, "second"))
      assert.same({ 5, 3, "second" }, { store:load() })
    end)

    it("are refused when they contradict one of the same index, or cover nothing", function()
      assert.is_true(store:save(5, 3, "true"))
      for _, mark in ipairs { { 5, 4 }, { 5, 2 }, { 0, 1 }, { 6, 0 } } do
        refused("invalid", store:save(mark[1], mark[2], "false"))
      end
      assert.same({ 5, 3, "true" }, { store:load() })
    end)

    it("are nobody's business before they are published", function()
      local writer <close> = assert(store:create())
      assert.is_true(writer:write("half"))
      refused("not_found", store:newest())
      assert.is_true(writer:write(" whole"))
      assert.is_true(writer:publish(3, 1))
      assert.same({ 3, 1, "half whole" }, { store:load() })
    end)

    it("are nothing when they are discarded or abandoned, also side by side", function()
      local one <close> = store:create()
      local two <close> = store:create()
      local three <close> = store:create()
      for place, writer in ipairs { one, two, three } do writer:write(("%d"):format(place):rep(1000)) end
      one:discard()
      two:abandon()
      assert.is_true(three:publish(3, 1))
      assert.same({ 3, 1, ("3"):rep(1000) }, { store:load() })
    end)

    it("are read in pieces of any size, short only at the end", function()
      local bytes = {}
      for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte):rep(3) end
      local all = table.concat(bytes)
      store:save(8, 1, all)
      local reader <close>, size = store:open(8, 1)
      assert.equal(#all, size)
      assert.equal(all, reader:read(0, #all))
      assert.equal(all, reader:read(0, 10000))
      assert.equal(all:sub(101, 110), reader:read(100, 10))
      assert.equal(all:sub(-5), reader:read(#all - 5, 6))
      assert.equal("", reader:read(#all, 5))
      assert.equal("", reader:read(1 << 40, 5))
    end)

    it("are found under their index and term only", function()
      store:save(8, 2, "x")
      for _, mark in ipairs { { 8, 1 }, { 8, 3 }, { 7, 2 }, { 9, 2 } } do
        refused("not_found", store:open(mark[1], mark[2]))
      end
    end)

    it("stay readable for who has one open when a newer one comes and it is removed", function()
      store:save(8, 2, "the old one")
      local reader <close> = store:open(8, 2)
      assert.equal("the old", reader:read(0, 7))
      store:save(9, 2, "the new one")
      assert.is_true(store:remove_before(9))
      refused("not_found", store:open(8, 2))
      assert.equal("the old one", reader:read(0, 100))
      store:close()
      assert.equal(" one", reader:read(7, 100))
    end)

    it("are removed below an index, but never the newest", function()
      for index = 1, 5 do store:save(index, 1, ("%d"):format(index)) end
      assert.is_true(store:remove_before(4))
      for index = 1, 3 do assert.is_nil((store:open(index, 1))) end
      assert.is_true(store:remove_before(1000))
      assert.same({ 5, 1, "5" }, { store:load() })
      assert.is_nil((store:open(4, 1)))
    end)
  end)
end
