-- What the storage may expect of a disk: the same cases for the system's files, with faults or without, and
-- for the simulated disk.
local child = require "spec.support.child"
local disk = require "kvserver.disk"
local process = require "kvserver.process"
local sim = require "kvserver.sim"
local uv = require "luv"

-- A directory that is gone, with all that is in it, when the spec's variable is closed.
local function temporary_directory()
  local path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  return setmetatable({ path = path }, { __close = function() os.execute(("rm -rf '%s'"):format(path)) end })
end

local function descriptors_count()
  local count = 0
  for _ in uv.fs_scandir_next, assert(uv.fs_scandir("/proc/self/fd")) do count = count + 1 end
  return count
end

-- nil and the status' name, of a call that failed.
local function refused(status, result, name, message)
  assert.is_nil(result)
  assert.equal(status, name)
  assert.matches("^[%l_]+ .+: .+", message)
end

local function write_all(d, name, text)
  local file <close> = assert(d:open(name, "create"))
  assert(file:write(0, text))
end

local function read_all(d, name)
  local file <close> = assert(d:open(name, "read"))
  return file:read(0, file:size())
end

local kinds <const> = {
  { name = "a simulated disk", open = function() return disk.simulate { seed = 1 } end },
  { name = "the system's disk", open = function(directory) return assert(disk.open(directory)) end },
  { name = "the system's disk, with faults that are off",
    open = function(directory) return assert(disk.faulty(directory)) end },
}

for _, kind in ipairs(kinds) do
  describe(kind.name, function()
    local directory, d

    before_each(function()
      directory = temporary_directory()
      d = kind.open(directory.path)
    end)
    after_each(function()
      d:close()
      getmetatable(directory).__close()
    end)

    it("creates a file empty, and only where none is", function()
      local file <close> = assert(d:open("a", "create"))
      assert.equal(0, file:size())
      assert(file:write(0, "kept"))
      refused("io", d:open("a", "create"))
      assert.equal("kept", read_all(d, "a"))
    end)

    it("says not_found for what is not there", function()
      refused("not_found", d:open("a", "read"))
      refused("not_found", d:open("a", "write"))
      refused("not_found", d:open("no/a", "create"))
      refused("not_found", d:rename("a", "b"))
      refused("not_found", d:remove("a"))
      refused("not_found", d:list("no"))
      refused("not_found", d:sync_directory("no"))
      refused("not_found", d:make_directory("no/b"))
    end)

    it("takes no file for a directory and no directory for a file", function()
      assert(d:make_directory("dir"))
      write_all(d, "file", "x")
      refused("io", d:open("dir", "read"))
      refused("io", d:open("dir", "write"))
      refused("io", d:open("dir", "create"))
      refused("io", d:remove("dir"))
      refused("io", d:rename("file", "dir"))
      refused("io", d:make_directory("file"))
      refused("io", d:open("file/a", "create"))
      refused("io", d:list("file"))
      refused("io", d:sync_directory("file"))
      assert.same({ "dir", "file" }, d:list())
    end)

    it("reads what was written, and less only at the end", function()
      local file <close> = assert(d:open("a", "create"))
      assert.is_true(file:write(0, ("ab"):rep(5000)))
      assert.is_true(file:write(9999, "XYZ"))
      assert.is_true(file:write(4095, "--"))
      assert.equal(10002, file:size())
      assert.equal(("ab"):rep(2047) .. "a--" .. "b", file:read(0, 4098))
      assert.equal("aXYZ", file:read(9998, 100))
      assert.equal("", file:read(10002, 1))
      assert.equal("", file:read(99999, 1))
      assert.equal("", file:read(0, 0))
    end)

    it("has zeros where nothing was written, and where a file was cut and grew again", function()
      local file <close> = assert(d:open("a", "create"))
      assert(file:write(10000, "end"))
      assert.equal(("\0"):rep(10000) .. "end", file:read(0, 20000))
      assert(file:write(0, ("x"):rep(6000)))
      assert(file:truncate(5000))
      assert.equal(5000, file:size())
      assert(file:truncate(9000))
      assert.equal(("x"):rep(5000) .. ("\0"):rep(4000), file:read(0, 20000))
      assert(file:write(0, ("\0"):rep(5000)))
      assert.equal(("\0"):rep(9000), file:read(0, 20000))
    end)

    it("does not grow by writing nothing", function()
      local file <close> = assert(d:open("a", "create"))
      assert.is_true(file:write(100, ""))
      assert.equal(0, file:size())
    end)

    it("lets two open files see each other's writes", function()
      local one <close> = assert(d:open("a", "create"))
      local other <close> = assert(d:open("a", "write"))
      assert(one:write(0, "1234"))
      assert(other:write(2, "xx"))
      assert.equal("12xx", one:read(0, 9))
    end)

    it("renames over what is there, and leaves open files what they were", function()
      write_all(d, "old", "old")
      write_all(d, "new", "new")
      local old <close> = assert(d:open("old", "read"))
      local new <close> = assert(d:open("new", "read"))
      assert.is_true(d:rename("new", "old"))
      assert.same({ "old" }, d:list())
      assert.equal("new", read_all(d, "old"))
      assert.same({ "old", "new" }, { old:read(0, 9), new:read(0, 9) })
      assert.is_true(d:rename("old", "old"))
      assert.equal("new", read_all(d, "old"))
    end)

    it("removes a file, which stays for whom it is open", function()
      write_all(d, "a", "x")
      local file <close> = assert(d:open("a", "write"))
      assert.is_true(d:remove("a"))
      assert.same({}, d:list())
      assert.is_true(file:write(1, "y"))
      assert.is_true(file:sync())
      assert.equal("xy", file:read(0, 9))
      write_all(d, "a", "another")
      assert.equal("another", read_all(d, "a"))
    end)

    it("has directories, each with names of its own", function()
      assert.is_true(d:make_directory("wal"))
      assert.is_true(d:make_directory("wal"))
      assert.is_true(d:make_directory("wal/deep"))
      write_all(d, "a", "root")
      write_all(d, "wal/a", "wal")
      write_all(d, "wal/deep/b", "deep")
      assert.same({ "a", "wal" }, d:list("."))
      assert.same({ "a", "deep" }, d:list("wal"))
      assert.same({ "b" }, d:list("wal/deep"))
      assert.is_true(d:rename("wal/a", "wal/c"))
      assert.equal("wal", read_all(d, "wal/c"))
      for _, name in ipairs { ".", "wal", "wal/deep" } do assert.is_true(d:sync_directory(name)) end
    end)

    it("still has everything when it is synced and a file is opened again", function()
      local file <close> = assert(d:open("a", "create"))
      assert(file:write(0, "one"))
      assert.is_true(file:sync())
      assert.is_true(d:sync_directory())
      file:close()
      local again <close> = assert(d:open("a", "write"))
      assert(again:write(3, "two"))
      assert.is_true(again:sync())
      assert.equal("onetwo", read_all(d, "a"))
    end)

    it("tells how many bytes can still be written", function()
      assert.is_true(d:free_bytes() > 0)
    end)

    it("says once and for all that a file or a disk is closed", function()
      local file = assert(d:open("a", "create"))
      file:close()
      file:close()
      assert.has_error(function() file:size() end, "the file is closed")
      local other <close> = kind.open(directory.path)
      other:close()
      assert.has_error(function() other:list() end, "the disk is closed")
    end)

    it("keeps a file usable when the disk is closed first", function()
      local other = kind.open(directory.path)
      local file <close> = assert(other:open("b", "create"))
      other:close()
      assert.is_true(file:write(0, "x"))
      assert.equal("x", file:read(0, 1))
    end)
  end)
end

describe("the simulated and the system's disk", function()
  -- One random call on a disk; `open` are its files by place. The numbers come from outside, so that both get the same.
  local function call(d, open, number)
    local names <const> = { "a", "b", "wal", "wal/a", "wal/b", "wal/deep", "wal/deep/a", "no/a" }
    local directories <const> = { wal = true, ["wal/deep"] = true } -- only files are renamed
    local name, what = names[number(#names)], number(16)
    local place, offset = number(4), number(3) == 1 and number(20000) or number(600) - 1
    local text = (number(3) == 1 and "\0" or string.char(64 + number(26))):rep(number(5000) - 1)
    local directory = name:match("^(.*)/") or "."
    local file = open[place]
    if what <= 3 then
      local opened, status = d:open(name, ({ "read", "write", "create" })[what])
      if not opened then return nil, status end
      if file then file:close() end
      open[place] = opened
      return true
    elseif what == 4 and not directories[name] then
      return d:rename(name, (directory == "." and "" or directory .. "/") .. "ab")
    elseif what == 5 then return d:remove(name)
    elseif what == 6 then return d:make_directory(({ "wal", "wal/deep", "no/b" })[number(3)])
    elseif what == 7 then return d:sync_directory(directory)
    elseif what == 8 then
      local list, status = d:list(directory)
      return list and table.concat(list, " "), status
    elseif not file then return nil
    elseif what <= 11 then
      local written, why = pcall(file.write, file, offset, text)
      return written and why, why
    elseif what == 12 then return file:sync()
    elseif what == 13 then
      local cut, why = pcall(file.truncate, file, offset)
      return cut and why, why
    elseif what == 14 then return file:size()
    end
    return file:read(offset, 3000)
  end

  it("answer every call of a random sequence the same", function()
    local draw = sim.prng(4)
    for _ = 1, 5 do
      local directory <close> = temporary_directory()
      local real <close> = assert(disk.open(directory.path))
      local simulated <close> = disk.simulate {}
      local open = { real = {}, simulated = {} }
      for step = 1, 300 do
        local seed = draw(1 << 30)
        local expected, expected_status = call(real, open.real, sim.prng(seed))
        local got, got_status = call(simulated, open.simulated, sim.prng(seed))
        local where = ("step %d, numbers %d"):format(step, seed)
        assert.equal(expected, got, where)
        if not expected then assert.equal(expected_status, got_status, where) end
      end
      for _, files in pairs(open) do
        for _, file in pairs(files) do file:close() end
      end
    end
  end)
end)

describe("the system's disk", function()
  it("makes its directory when asked to, for the owner alone, and never its parents", function()
    local directory <close> = temporary_directory()
    refused("not_found", disk.open(directory.path .. "/new"))
    do
      local d <close> = assert(disk.open(directory.path .. "/new", "make"))
      write_all(d, "a", "x")
      assert(d:make_directory("b"))
    end
    local again <close> = assert(disk.open(directory.path .. "/new", "make"))
    assert.equal("x", read_all(again, "a"))
    for name, mode in pairs { [""] = 448, ["/a"] = 384, ["/b"] = 448 } do -- 0700, 0600, 0700
      assert.equal(mode, uv.fs_stat(directory.path .. "/new" .. name).mode & 511)
    end
    refused("not_found", disk.open(directory.path .. "/no/new", "make"))
    refused("io", disk.open(directory.path .. "/new/a", "make"))
  end)

  it("goes on with its directory when that is renamed", function()
    local directory <close> = temporary_directory()
    local d <close> = assert(disk.open(directory.path .. "/one", "make"))
    assert(uv.fs_rename(directory.path .. "/one", directory.path .. "/two"))
    write_all(d, "a", "x")
    assert.is_truthy(uv.fs_stat(directory.path .. "/two/a"))
  end)

  it("opens no pipe and waits for none", function()
    local directory <close> = temporary_directory()
    assert(os.execute(("mkfifo '%s/pipe'"):format(directory.path)))
    local result = child.run_script(([[
      local d = assert(require("kvserver.disk").open(%q))
      for _, how in ipairs { "read", "write" } do print(d:open("pipe", how)) end
    ]]):format(directory.path))
    assert.equal(("nil\tio\topen pipe: not a file\n"):rep(2), result.stdout)
  end)

  it("gives back every descriptor, whatever failed", function()
    local directory <close> = temporary_directory()
    local before = descriptors_count()
    do
      local d <close> = assert(disk.open(directory.path))
      local other <close> = assert(disk.open(directory.path))
      assert(d:lock())
      assert.is_nil((other:lock()))
      assert(d:make_directory("dir"))
      write_all(d, "file", "x")
      for _ = 1, 10 do
        d:open("dir", "read")
        d:open("file", "create")
        d:list("file")
        d:list("dir")
        d:sync_directory("dir")
        d:sync_directory("file")
        disk.open(directory.path .. "/file")
      end
    end
    assert.equal(before, descriptors_count())
  end)

  it("is locked by one at a time, and tells by whom", function()
    local directory <close> = temporary_directory()
    local other <close> = assert(disk.open(directory.path))
    do
      local d <close> = assert(disk.open(directory.path))
      assert.is_true(d:lock())
      assert.same({ nil, "io", ("in use by process %d"):format(uv.os_getpid()) }, { other:lock() })
      local result = child.run_script(([[
        local d = assert(require("kvserver.disk").open(%q))
        print(select(3, d:lock()))
      ]]):format(directory.path))
      assert.equal(("in use by process %d\n"):format(uv.os_getpid()), result.stdout)
    end
    assert.is_true(other:lock())
  end)

  it("is free again when the process that locked it is gone, and keeps no open files in children", function()
    local directory <close> = temporary_directory()
    local result = child.run_script(([[
      local d = assert(require("kvserver.disk").open(%q))
      assert(d:lock())
      os.execute("ls -l /proc/self/fd")
    ]]):format(directory.path))
    assert.equal(0, result.code, result.stderr)
    assert.is_nil(result.stdout:find(directory.path, 1, true))
    local d <close> = assert(disk.open(directory.path))
    assert.is_true(d:lock())
  end)

  it("says disk_full when a file may not grow, after writing what fits", function()
    local directory <close> = temporary_directory()
    local script <close> = child.file(([[
      local d = assert(require("kvserver.disk").open(%q))
      local file = assert(d:open("a", "create"))
      print(file:write(0, ("x"):rep(9000)))
      print(file:size())
      print(file:truncate(9000))
      print(file:write(0, ("y"):rep(4096)))
    ]]):format(directory.path))
    local result = process.run {
      args = { "bash", "-c", 'trap "" XFSZ; ulimit -f 4; exec "$0" --script "$1"', process.self(), script.path },
      timeout_ms = 20000,
    }
    assert.equal("nil\tdisk_full\twrite a: File too large\n4096\nnil\tdisk_full\ttruncate a: File too large\ntrue\n",
      result.stdout, result.stderr)
  end)
end)
