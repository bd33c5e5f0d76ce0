local child = require "spec.support.child"
local disk = require "kvserver.disk"
local lossy = require "spec.torture.lossy"
local uv = require "luv"

-- What a process did to its disk: Lua text that sees it as `d`.
local function run(lossy_disk, source, options)
  local result = child.run({ "-", lossy_disk.below .. "/n1" }, [[
    local d <close> = assert(require("kvserver.disk").open(arg[1], "make"))
    local function write(name, how, offset, bytes, synced)
      local file <close> = assert(d:open(name, how))
      assert(file:write(offset, bytes))
      if synced then assert(file:sync()) end
    end
  ]] .. source, lossy_disk:env("n1", options))
  if options and options.kill then
    assert.equal(9, result.signal, result.stderr)
  else
    assert.same({ 0, "" }, { result.code, result.stderr })
  end
end

-- What is on the disk: name -> content; nil when there is nothing at all.
local function contents(lossy_disk)
  local d <close> = disk.open(lossy_disk.below .. "/n1")
  if not d then return nil end
  local files = {}
  for _, name in ipairs(d:list()) do
    local file <close> = d:open(name, "read")
    files[name] = file and file:read(0, 1 << 20) or "directory"
  end
  return files
end

-- What is left of it after the power went.
local function after(source, seed, options)
  local folder <close> = lossy.folder()
  local lossy_disk = lossy.disk(folder.path)
  run(lossy_disk, [[
    write("a", "create", 0, ("a"):rep(1024), true)
    write("b", "create", 0, "b", true)
    d:sync_directory(".")
  ]])
  run(lossy_disk, source, options)
  lossy_disk:lose("n1", seed)
  return contents(lossy_disk)
end

local A <const>, B <const> = ("a"):rep(1024), "b"

describe("a disk that loses what nobody synced", function()
  it("keeps what was synced, name and content", function()
    assert.same({ a = "new" .. A:sub(4), b = B, c = "c" }, after [[
      write("a", "write", 0, "new", true)
      write("c", "create", 0, "c", true)
      d:sync_directory(".")
    ]])
  end)

  it("loses writes that were not synced, and what they added", function()
    assert.same({ a = A, b = B }, after [[
      write("a", "write", 500, ("x"):rep(2000))
      write("b", "write", 0, "y")
    ]])
  end)

  it("keeps what was written before a sync, and loses what came behind it", function()
    assert.same({ a = "one" .. A:sub(4), b = B }, after [[
      write("a", "write", 0, "one", true)
      write("a", "write", 0, "two")
    ]])
  end)

  it("does not take the sync of one file for that of another", function()
    assert.same({ a = A, b = "z" }, after [[
      write("a", "write", 0, "x")
      write("b", "write", 0, "z", true)
    ]])
  end)

  it("brings back what was cut off, and cuts what was added", function()
    assert.same({ a = A, b = B }, after [[
      local file <close> = d:open("a", "write")
      file:truncate(10)
      file:write(10, "tail")
      file:truncate(100)
    ]])
  end)

  it("loses a new file whose directory was not synced", function()
    assert.same({ a = A, b = B }, after [[ write("c", "create", 0, "c", true) ]])
  end)

  it("undoes renames and removals whose directory was not synced", function()
    assert.same({ a = A, b = B }, after [[
      d:rename("a", "c")
      d:rename("c", "b")
      d:remove("b")
      write("a", "create", 0, "another", true)
    ]])
  end)

  it("keeps them when it was", function()
    assert.same({ b = A }, after [[ d:rename("a", "b") d:sync_directory(".") ]])
    assert.same({ a = A }, after [[ d:remove("b") d:sync_directory(".") ]])
  end)

  it("loses a directory with all that is in it, whatever was synced there", function()
    assert.same({ a = A, b = B }, after [[
      d:make_directory("wal")
      write("wal/1", "create", 0, "1", true)
      d:sync_directory("wal")
    ]])
  end)

  it("loses the whole when the directory above was not synced", function()
    local folder <close> = lossy.folder()
    local lossy_disk = lossy.disk(folder.path)
    run(lossy_disk, [[
      write("a", "create", 0, "a", true)
      d:sync_directory(".")
      require("luv").fs_mkdir(arg[1]:gsub("1$", "2"), 448)
    ]])
    assert.truthy(uv.fs_stat(lossy_disk.below .. "/n2"))
    assert.equal(1, lossy_disk:lose("n1"))
    assert.is_nil(uv.fs_stat(lossy_disk.below .. "/n2"))
    assert.same({ a = "a" }, contents(lossy_disk))
  end)

  it("remembers over a kill without a power cut what is not synced yet", function()
    local folder <close> = lossy.folder()
    local lossy_disk = lossy.disk(folder.path)
    run(lossy_disk, [[ write("a", "create", 0, "a", true) d:sync_directory(".") write("a", "write", 0, "b") ]])
    run(lossy_disk, [[ write("a", "write", 0, "c") ]])
    assert.same({ a = "c" }, contents(lossy_disk))
    assert.equal(2, lossy_disk:lose("n1"))
    assert.same({ a = "a" }, contents(lossy_disk))
    assert.equal(0, lossy_disk:lose("n1"))
  end)

  it("leaves each unsynced sector to luck, and the first changes of names, by a seed", function()
    local function with(seed)
      return after([[
        write("a", "write", 0, ("x"):rep(32 * 512))
        for i = 10, 29 do write("new" .. i, "create", 0, "", true) end
      ]], seed)
    end
    local one <const>, two <const> = with(1), with(2)
    assert.not_same(one, two)
    for _, left in ipairs { one, two } do
      local count = 0
      while left["new" .. 10 + count] do count = count + 1 end
      for i = count, 19 do assert.is_nil(left["new" .. 10 + i]) end
      local kept, lost = left.a:gsub(("x"):rep(512), "")
      assert.is_true(lost > 4 and lost < 28, lost)
      assert.matches("^a*\0*$", kept)
    end
  end)

  it("kills the process instead of a chosen call", function()
    local source <const> = [[ for i = 1, 9 do write("b", "write", 0, tostring(i), true) end ]]
    assert.same({ a = A, b = "3" }, after(source, nil, { kill = 8 })) -- its 4th sync
    assert.same({ a = A, b = "4" }, after(source, nil, { kill = 9 }))
  end)

  it("is one for threads that write, sync and rename at once", function()
    local files = after [[
      local task, uv = require "kvserver.task", require "luv"
      local function wait(verb, ...) -- on a thread of the pool
        local event <const>, arguments <const> = task.event(), table.pack(...)
        arguments[arguments.n + 1] = function(why, result) event:set(why, result) end
        verb(table.unpack(arguments, 1, arguments.n + 1))
        local _, why, result = event:wait()
        assert(not why, why)
        return result
      end
      local function work(number)
        local name <const> = arg[1] .. "/" .. number
        local fd <const> = wait(uv.fs_open, name .. ".tmp", "wx+", 384)
        for count = 1, 40 do
          wait(uv.fs_write, fd, ("%d%02d"):format(number, count), 0)
          wait(uv.fs_fdatasync, fd)
        end
        wait(uv.fs_rename, name .. ".tmp", name)
        local directory <const> = wait(uv.fs_open, arg[1], "r", 0)
        wait(uv.fs_fsync, directory)
        wait(uv.fs_write, fd, "lost", 0)
        wait(uv.fs_rename, name, name .. ".lost")
      end
      local workers = {}
      for number = 1, 8 do workers[number] = task.spawn(work, number) end
      for _, worker in ipairs(workers) do worker:join() end
    ]]
    -- The directory's sync of another may have come behind the second rename.
    for number = 1, 8 do assert.equal(number .. "40", files[tostring(number)] or files[number .. ".lost"]) end
  end)
end)
