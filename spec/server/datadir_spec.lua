-- A data directory: whose it is, and when it is refused.
local directory = require "spec.support.directory"
local server = require "kvserver.server"
local task = require "kvserver.task"
local uv = require "luv"

local SEGMENT_BYTES <const> = 65536

local function start(dir, more)
  local options = { listen = "127.0.0.1:0", data = dir.path, segment_bytes = SEGMENT_BYTES }
  for name, value in pairs(more or {}) do options[name] = value end
  return server.start(options)
end

local function stop(node)
  assert.is_true(node:stop(1000))
  node:close()
end

-- A directory as a clean stop leaves it.
local function used(more)
  local dir = directory.new()
  stop(assert(start(dir, more)))
  return dir
end

local function assert_refused(dir, text, more)
  local node, why, kind = start(dir, more)
  assert.is_nil(node)
  assert.equal(dir.path .. ": " .. text, why)
  assert.equal("refused", kind)
end

local PEERS <const> = { n1 = "127.0.0.1:7001", n3 = "127.0.0.1:7003", n2 = "127.0.0.1:7002" }

describe("a data directory", function()
  it("is made when it is not there, for its owner alone, and says whose it is", function()
    local dir <close> = directory.new()
    local made = { path = dir.path .. "/made" }
    stop(assert(start(made)))
    assert.equal(448, uv.fs_stat(made.path).mode & 511)
    assert.same({ "FORMAT", "LOCK", "snap", "wal" }, dir:names "made")
    assert.equal('{"format":1,"id":"n1","peers":["n1"],"fixed_leader":""}\n', dir:read "made/FORMAT")
  end)

  it("is not made when its parent is not there", function()
    local node, why, kind = start { path = "/nowhere/data" }
    assert.is_nil(node)
    assert.equal("/nowhere/data: make_directory /nowhere/data: No such file or directory", why)
    assert.equal("failed", kind)
  end)

  it("names the cluster in order, whatever the order of --peers, and its fixed leader", function()
    local dir <close> = used { listen = "127.0.0.1:7001", peers = PEERS, fixed_leader = "n3" }
    assert.equal('{"format":1,"id":"n1","peers":["n1","n2","n3"],"fixed_leader":"n3"}\n', dir:read "FORMAT")
  end)

  it("is taken again after a clean stop and after an abrupt end, with other addresses, too", function()
    local dir <close> = used { listen = "127.77.0.1:7001", peers = PEERS }
    local node = assert(start(dir, { listen = "127.77.0.1:7009", peers = { n1 = "a:7009", n2 = "b:1", n3 = "c:1" } }))
    node:close()
    stop(assert(start(dir, { listen = "127.77.0.1:7001", peers = PEERS })))
  end)

  it("is begun anew when a start was cut short before its FORMAT was there", function()
    local dir <close> = directory.new()
    dir:write("LOCK", "1234           \n")
    dir:write("FORMAT.tmp", '{"form')
    dir:write("admin.sock", "")
    assert(uv.fs_mkdir(dir.path .. "/lost+found", 448))
    stop(assert(start(dir)))
    assert.same({ "FORMAT", "LOCK", "admin.sock", "lost+found", "snap", "wal" }, dir:names())
  end)

  it("may say more of itself than this version knows", function()
    local dir <close> = used()
    dir:write("FORMAT", '{"format":1,"more":{"id":"x","peers":["y"]},"list":["z"],"id":"n1","peers":["n1"],'
      .. '"a_name_of_twenty_bytes":"x","fixed_leader":""}')
    stop(assert(start(dir)))
  end)
end)

describe("refused is", function()
  it("a directory that is in use, by this process or another, with its pid", function()
    local dir <close> = directory.new()
    local _ <close> = assert(start(dir))
    local text <const> = "LOCK: in use by process %d; stop that process, or choose another directory with --data"
    assert_refused(dir, text:format(uv.os_getpid()))
  end)

  it("somebody else's directory, in which nothing is touched", function()
    for _, name in ipairs { "photo.jpg", "wal", "format" } do
      local dir <close> = directory.new()
      dir:write(name, "")
      assert_refused(dir, name .. ": it is there, but no FORMAT, so this is no data directory; name an empty or new "
        .. "one with --data")
      assert.same({ name }, dir:names())
    end
  end)

  it("the directory of another node", function()
    local dir <close> = used()
    assert_refused(dir, "FORMAT: the directory belongs to node n1, not to n2; start it with --id n1, or choose another "
      .. "directory with --data", { id = "n2" })
  end)

  it("the directory of another cluster", function()
    local dir <close> = used()
    assert_refused(dir, "FORMAT: the directory belongs to the cluster of n1, not of n1,n2,n3; membership is for good: "
      .. "name these nodes in --peers, or choose another directory with --data", { peers = PEERS })
  end)

  it("a directory that was made with another fixed leader, or without one", function()
    local dir <close> = used { listen = "127.0.0.1:7001", peers = PEERS, fixed_leader = "n3" }
    local text <const> = "FORMAT: the directory was made with fixed leader n3, not %s; start it with --fixed-leader as "
      .. "then, or choose another directory with --data"
    assert_refused(dir, text:format "none", { peers = PEERS })
    assert_refused(dir, text:format "n1", { peers = PEERS, fixed_leader = "n1" })
  end)

  it("a newer format, whatever else it says", function()
    local dir <close> = used()
    dir:write("FORMAT", '{"nodes":[{"format":7}],"format":2,"id":{"name":"n1"}}')
    assert_refused(dir, "FORMAT: the directory has format 2, this version knows up to 1; use the version that wrote "
      .. "it, or choose another directory with --data")
  end)

  it("a FORMAT that is not what was written", function()
    local rows = {
      { "", "line 1, column 1: " },
      { '{"format":1,"id":"n1","peers":["n1"]', "line 1, column 37: " },
      { "null", "it names no format" },
      { '{"id":"n1","peers":["n1"]}', "it names no format" },
      { '{"format":-1,"id":"n1","peers":["n1"]}', "a format that is no number" },
      { '{"format":1,"peers":["n1"]}', "it names no node or no cluster" },
      { '{"format":1,"id":"n1"}', "it names no node or no cluster" },
      { ('{"format":1,"id":"%s","peers":["n1"]}'):format(("x"):rep(64)), "an id that is none" },
      { ('{"format":1,"id":"n1","peers":[%s"n1"]}'):format(('"n1",'):rep(16)), "too many peers" },
      { ("x"):rep(100000), "line 1, column 1: " },
    }
    local dir <close> = used()
    for _, row in ipairs(rows) do
      dir:write("FORMAT", row[1])
      local node, why, kind = start(dir)
      assert.is_nil(node)
      assert.equal(dir.path .. ": FORMAT: " .. row[2], why:sub(1, #dir.path + 10 + #row[2]))
      assert.matches("; put a copy of it back, or move the directory away: in a cluster the node gets its data back "
        .. "from the others", why, 1, true)
      assert.equal("refused", kind)
    end
  end)

  it("a damaged log, and a damaged snapshot", function()
    local dir <close> = used()
    local segment <const> = dir:last_segment()
    dir:write(segment, ("x"):rep(512) .. dir:read(segment):sub(513))
    local node, why, kind = start(dir)
    assert.is_nil(node)
    assert.equal("refused", kind)
    assert.equal(dir.path .. ": " .. segment, why:sub(1, #dir.path + 2 + #segment))
    local other <close> = used()
    other:write("snap/0000000000000001-0000000000000001.snap", "{}\n")
    node, why, kind = start(other)
    assert.is_nil(node)
    assert.equal("refused", kind)
    assert.matches("snapshot", why, 1, true)
  end)
end)

describe("a data directory that is being opened", function()
  it("is let go when nobody waits for it any more", function()
    local dir <close> = used()
    local starting = task.spawn(start, dir)
    task.yield()
    starting:cancel()
    local node
    assert(task.wait_until(function()
      node = start(dir)
      return node
    end, 5000))
    stop(node)
  end)

  it("does not hold up a program that ends", function()
    local child = require "spec.support.child"
    local dir <close> = used()
    local result = child.run_script(([[
      local server, task = require "kvserver.server", require "kvserver.task"
      task.spawn(function() server.start { listen = "127.0.0.1:0", data = %q } end)
      task.yield()
      print "ends"
    ]]):format(dir.path))
    assert.same({ 0, "ends\n" }, { result.code, result.stdout })
    stop(assert(start(dir)))
  end)
end)
