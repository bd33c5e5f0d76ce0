local nodes = require "spec.raft.node.nodes"

local function put(key, value)
  return { op = "put", key = key, value = value }
end

local LITTLE <const> = 1000

describe("a node whose disk is full", function()
  local n

  before_each(function()
    n = nodes.new(1)
    n:elect(1)
  end)
  after_each(function() n:__close() end)

  it("refuses writes at once, and does nothing of them", function()
    n.storage[1]:set_room(0, true)
    n:settle()
    assert.same({ nil, "disk_full" }, { n[1]:propose(put("k", "v")) })
    assert.equal(1, n[1]:status().last_index)
    assert.equal("its disk is full", n[1]:status().not_ready)
  end)

  it("answers reads", function()
    n[1]:propose(put("k", "v"))
    n:settle()
    n.storage[1]:set_room(0, true)
    n:settle()
    local wait = n[1]:read()
    n:settle()
    assert.equal("ok", (n[1]:outcome(wait)))
  end)

  it("takes writes again when there is room", function()
    n.storage[1]:set_room(0, true)
    n:settle()
    n.storage[1]:set_room(1 << 30, false)
    n:settle()
    local wait = n[1]:propose(put("k", "v"))
    n:settle()
    assert.equal("ok", (n[1]:outcome(wait)))
  end)

  it("refuses what was queued in the turn in which it shows", function()
    local wait = n[1]:propose(put("k", "v"))
    n.storage[1]:set_room(0, true)
    n:settle()
    assert.equal("disk_full", (n[1]:outcome(wait)))
    assert.equal(1, n[1]:status().last_index)
  end)

  it("uses up the room that there is", function()
    n.storage[1]:set_room(2 << 20, true)
    n:settle()
    local wait = n[1]:propose(put("k", "v"))
    n:settle()
    assert.equal("ok", (n[1]:outcome(wait)))
  end)
end)

describe("a node that makes room", function()
  local n

  before_each(function()
    n = nodes.new(1)
    n:elect(1)
    n:settle()
  end)
  after_each(function() n:__close() end)

  it("keeps writes waiting for it, in their order, and appends as many as fit", function()
    n.storage[1]:set_room(LITTLE, false)
    local waits = {}
    for number = 1, 4 do waits[number] = n[1]:propose(put("k" .. number, ("v"):rep(400))) end
    n[1]:turn(n.clock[1])
    assert.equal(3, n[1]:status().last_index)
    n[1]:synced()
    n[1]:turn(n.clock[1])
    for number = 1, 2 do assert.equal("ok", (n[1]:outcome(waits[number]))) end
    n.storage[1]:set_room(1 << 30, false)
    n:settle()
    for number = 1, 4 do
      local status, index = n[1]:outcome(waits[number])
      assert.equal("ok", status)
      assert.equal(number + 1, index)
    end
  end)

  it("appends none for which there may turn out to be no room, and refuses it when there is none", function()
    n.storage[1]:set_room(0, false)
    local wait = n[1]:propose(put("k", ("v"):rep(400)))
    n:settle()
    assert.is_nil(n[1]:outcome(wait))
    n.storage[1]:set_room(0, true)
    n:settle()
    assert.equal("disk_full", (n[1]:outcome(wait)))
    assert.equal(1, n[1]:status().last_index)
  end)

  it("appends one that is larger than any room made ahead, once nothing else is under way", function()
    n.storage[1]:set_room(LITTLE, false, LITTLE)
    local wait = n[1]:propose(put("large", ("v"):rep(5000)))
    n:settle()
    assert.equal("ok", (n[1]:outcome(wait)))
  end)

  it("lets those who wait for it time out", function()
    n.storage[1]:set_room(LITTLE, false, LITTLE)
    n[1]:propose(put("first", "v"))
    n[1]:turn(n.clock[1])
    local wait = n[1]:propose(put("large", ("v"):rep(5000)), n.clock[1] + 100)
    n[1]:turn(n.clock[1])
    assert.is_nil(n[1]:outcome(wait))
    n:advance(1, 200)
    n[1]:turn(n.clock[1])
    assert.equal("timeout", (n[1]:outcome(wait)))
  end)
end)

describe("a cluster", function()
  local n

  before_each(function()
    n = nodes.new(3)
    n:elect(1)
    n:heartbeat(1)
  end)
  after_each(function() n:__close() end)

  local function fill(number)
    n.storage[number]:set_room(0, true)
    n:settle()
    n:heartbeat(1)
  end

  it("goes on with one full follower, which takes nothing in", function()
    fill(3)
    local wait = n[1]:propose(put("k", "v"))
    n:settle()
    n:heartbeat(1)
    assert.equal("ok", (n[1]:outcome(wait)))
    assert.equal(2, n[2]:status().last_index)
    assert.equal(1, n[3]:status().last_index)
  end)

  it("brings that follower up to date when it has room again", function()
    fill(3)
    n[1]:propose(put("k", "v"))
    n:settle()
    n:heartbeat(1)
    n.storage[3]:set_room(1 << 30, false)
    n:settle()
    for _ = 1, 3 do n:heartbeat(1) end
    assert.equal("v", n[3]:get("k"))
  end)

  it("refuses writes when a majority is full", function()
    fill(2)
    fill(3)
    assert.same({ nil, "disk_full" }, { n[1]:propose(put("k", "v")) })
  end)

  it("gets another leader when the leader's disk is full, and goes on", function()
    n.storage[1]:set_room(0, true)
    n:settle()
    n:heartbeat(1)
    n:settle()
    local leader = n[2]:status().role == "leader" and 2 or 3
    assert.equal("leader", n[leader]:status().role)
    n:heartbeat(leader)
    local wait = n[leader]:propose(put("k", "v"))
    n:settle()
    assert.equal("ok", (n[leader]:outcome(wait)))
  end)
end)
