-- Worlds of real nodes: their life, what they are asked, what can be seen of them.
local client = require "kvserver.client"
local directory = require "spec.support.directory"
local uv = require "luv"
local worlds = require "spec.support.worlds"

for name, open in worlds.both() do
describe("in " .. name, function()
  it("starts a node, once, and says what it is", function()
    local world <close> = open()
    assert.equal("down", (world:state "n1"))
    assert.is_nil(world:status "n1")
    assert.is_true(world:start "n1")
    assert.is_true(world:start "n1")
    assert.equal("up", (world:state "n1"))
    local status <const> = world:status "n1"
    assert.same({ "n1", "leader", 1 }, { status.id, status.role, status.starts })
  end)

  it("keeps what a node has over a kill, and counts its starts", function()
    local world <close> = open()
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "k", "v").ok)
    world:kill("n1", {})
    assert.equal("down", (world:state "n1"))
    local answer <const>, why = worlds.put(world, "n1", "k", "w")
    assert.same({ false, "connect" }, { answer or false, why })
    worlds.start(world)
    assert.equal("v", worlds.read(world, "n1", "k"))
    assert.equal(2, world:status("n1").starts)
  end)

  it("stops a node cleanly, in the midst of requests", function()
    local world <close> = open()
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "k", "v").ok)
    world:stop "n1"
    assert.equal("down", (world:state "n1"))
    assert.is_true(world:start "n1")
  end)

  it("wipes a node that is down", function()
    local world <close> = open()
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "k", "v").ok)
    world:kill("n1", {})
    world:wipe "n1"
    worlds.start(world)
    assert.is_nil(worlds.read(world, "n1", "k"))
  end)

  it("passes the options of nodes on, and refuses those that are its own", function()
    local world <close> = open { config = { max_value_bytes = 10, read_policy = "stale" } }
    worlds.start(world)
    assert.equal("too_large", worlds.put(world, "n1", "k", ("v"):rep(11)).err_code)
    assert.equal("stale", world:status("n1").read_policy)
    assert.error_matches(function() open { config = { listen = "127.0.0.1:1" } } end, "^config%.listen: no option")
    assert.error_matches(function() open { config = { max_key_bytes = "x" } } end, "^config%.max_key_bytes: expected")
  end)

  it("keeps everything in memory if it is told so, and has no faults of disks then", function()
    local dir <close> = directory.new()
    local world <close> = open { config = { memory = true }, directory = dir.path }
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "k", "v").ok)
    assert.is_nil(uv.fs_stat(dir.path .. "/n1"))
    assert.same({ false, "the nodes have no disk" }, { world:can "lose_unsynced" })
    assert.is_true((world:can "net.cut"))
  end)

  it("asks for every operation", function()
    local world <close> = open()
    worlds.start(world)
    local function ask(op)
      return assert(world:operate("n1", op, worlds.WITHIN_MS))
    end
    local function write(op, seq)
      op.client_id, op.seq = "c", seq
      return ask(op)
    end
    assert.is_true(write({ op = "put", key = "a", value = "\0\255" }, 1).ok)
    assert.equal("same", write({ op = "put", key = "a", value = "other" }, 1).replay)
    assert.equal("\0\255", ask({ op = "get", key = "a" }).value)
    assert.equal("cas_failed", write({ op = "cas", key = "a", expected = "x", value = "y" }, 2).err_code)
    assert.is_true(write({ op = "cas", key = "b", expected = "", value = "1" }, 3).ok)
    assert.equal(1, write({ op = "delete", key = "a" }, 4).deleted)
    local two <const> = { { key = "c", value = "2" }, { key = "d", value = "3" } }
    local index <const> = write({ op = "mput", entries = two }, 5).index
    assert.same({ b = "1", c = "2" }, ask({ op = "mget", keys = { "b", "c", "e" }, min_index = index }).values)
    assert.equal(2, write({ op = "mdelete", keys = { "b", "c", "e" } }, 6).deleted)
    assert.equal("not_found", ask({ op = "get", key = "a", read = "stale" }).err_code)
    local later <const> = { op = "get", key = "a", read = "stale", min_index = index + 10 }
    assert.equal("timeout", (select(2, world:operate("n1", later, 50))))
  end)

  it("takes an asynchronous write, and tells what became of it", function()
    local world <close> = open { config = { async_result_ttl = 100 } }
    worlds.start(world)
    local put <const> = { op = "put", key = "a", value = "1", client_id = "c", seq = 1, mode = "async" }
    local taken <const> = assert(world:operate("n1", put, worlds.WITHIN_MS))
    local told
    worlds.wait(world, function()
      told = world:operate("n1", { op = "operation", op_id = taken.op_id }, worlds.WITHIN_MS)
      return told and told.ready
    end)
    assert.same({ taken.op_id, { ok = true } }, { told.op_id, told.result })
    assert.equal("1", worlds.read(world, "n1", "a"))
  end)

  it("shows who leads to whom asks another, and does not follow", function()
    local world <close> = open { nodes = 3 }
    local leader <const>, others = worlds.start(world)
    worlds.wait(world, function() return world:status(others[1]).leader_hint.leader_id == leader end)
    local answer <const> = worlds.put(world, others[1], "k", "v")
    assert.same({ "not_leader", leader }, { answer.err_code, answer.leader_hint.leader_id })
  end)

  it("shows a log of Raft with bytes as they are", function()
    local world <close> = open()
    worlds.start(world)
    local index <const> = worlds.put(world, "n1", "k", "\255").index
    local entry <const> = world:raft_log("n1", index, index)[1]
    assert.same({ index, "put", "k", "\255" }, { entry.index, entry.op, entry.key, entry.value })
    world:kill("n1", {})
    assert.is_nil(world:raft_log("n1", index, index))
  end)

  it("has a leader hand over", function()
    local world <close> = open { nodes = 3 }
    local leader <const>, others = worlds.start(world)
    assert.is_true(worlds.put(world, leader, "k", "v").ok)
    worlds.wait(world, function()
      if worlds.leader(world, { others[1] }) then return true end
      world:transfer(leader, others[1]) -- it is refused until the leader has heard of that member
    end)
  end)

  it("makes requests as they are", function()
    local world <close> = open()
    worlds.start(world)
    local answer <const> = world:http("n1", "PUT", "/kv/raw", {
      body = "\1\2", headers = { ["Content-Type"] = "application/octet-stream" },
    })
    assert.equal(200, answer.status)
    local raw <const> = world:http("n1", "GET", "/kv/raw", { headers = { Accept = "application/octet-stream" } })
    assert.equal("\1\2", raw.body)
  end)

  it("flips a bit of a file, which the node refuses", function()
    local world <close> = open { seed = 3 }
    worlds.start(world)
    for i = 1, 20 do assert.is_true(worlds.put(world, "n1", "k", "v" .. i).ok) end
    assert.is_nil(world:flip("n1", "wal/%x+%.wal"))
    local ok, why = true, nil
    for _ = 1, 10 do -- some bits mean nothing
      world:stop "n1"
      assert.matches("^wal/%x+%.wal$", world:flip("n1", "^wal/%x+%.wal"))
      ok, why = world:start "n1"
      if not ok then break end
    end
    assert.is_false(ok)
    assert.matches("wal/", why, 1, true)
    assert.equal("down", (world:state "n1"))
    assert.is_nil(world:flip("n1", "no such file"))
  end)

  it("says what it cannot do", function()
    local world <close> = open()
    assert.is_false((world:can "clock"))
    assert.is_true((world:can "disk.flip"))
    assert.same({ false, "no node has it" }, { world:can "wings" })
    assert.equal(name == "child", (world:can "pause"))
    assert.equal(name == "child", (world:can "log"))
  end)

  it("leaves its files where it was told to, and nothing elsewhere", function()
    local dir <close> = directory.new()
    local path, address
    do
      local world <close> = open { directory = dir.path }
      local temporary <close> = open()
      worlds.start(temporary)
      worlds.start(world)
      path, address = temporary.directory, world.addresses.n1
      assert.equal("directory", uv.fs_stat(path).type)
      temporary:close() -- and once more at the end of its block
    end
    assert.is_nil(uv.fs_stat(path))
    assert.equal("directory", uv.fs_stat(dir.path .. "/n1/wal").type)
    local nobody <close> = client.connect("http://" .. address)
    assert.equal("connect", (select(2, nobody:status())))
  end)
end)
end

describe("in child", function()
  it("has a log of each node, over all its starts", function()
    local world <close> = worlds.opener "child" ()
    worlds.start(world)
    world:kill("n1", {})
    worlds.start(world)
    local _, times = world:log("n1"):gsub("event=opened", "")
    assert.equal(2, times)
  end)
end)
