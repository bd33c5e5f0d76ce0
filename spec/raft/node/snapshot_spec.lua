local raft = require "kvserver.raft"

local nodes = require "spec.raft.node.nodes"

local function put(key, value)
  return { op = "put", key = key, value = value }
end

-- Writes that are applied everywhere that is up.
local function write(n, leader, first, last)
  for number = first, last do n[leader]:propose(put("k" .. number, "v" .. number)) end
  n:settle()
  n:heartbeat(leader)
end

local function run_works(node)
  while node:work() do end
end

-- Until nothing is left to do: messages, disks, works.
local function settle_all(n, seen)
  for _ = 1, 200 do
    n:settle(seen)
    local worked = false
    for number = 1, n.count do
      while not n.down[number] and n[number]:work() do worked = true end
    end
    if not worked then return end
  end
  error("the nodes do not come to rest", 2)
end

local function counts(n, number)
  return n[number]:counts()
end

describe("taking a snapshot", function()
  local n

  before_each(function()
    n = nodes.new(3, { snapshot_threshold = 10, snapshot_tail = 2 })
    n:elect(1)
  end)
  after_each(function() n:__close() end)

  it("cuts the log's prefix behind it, but for a tail [TestRaft_M5_CreateSnapshot_TruncatesLogPrefix]", function()
    write(n, 1, 1, 5)
    assert.equal(1, n[1]:status().first_index)
    assert.is_true(n[1]:create_snapshot())
    run_works(n[1])
    n:settle()
    local status <const> = n[1]:status()
    assert.equal(6, status.snapshot_index)
    assert.equal(status.term, status.snapshot_term)
    assert.equal(5, status.first_index)
    assert.equal(6, status.last_index)
  end)

  it("begins by itself once enough was applied since the last one", function()
    write(n, 1, 1, 8)
    assert.equal(0, n[1]:works())
    write(n, 1, 9, 9)
    assert.equal(1, n[1]:works())
    run_works(n[1])
    n:settle()
    assert.equal(10, n[1]:status().snapshot_index)
    write(n, 1, 10, 18)
    assert.equal(0, n[1]:works())
  end)

  it("waits until the log is as large as the last one", function()
    n[1]:propose(put("large", ("x"):rep(5000)))
    write(n, 1, 1, 9)
    run_works(n[1])
    n:settle()
    write(n, 1, 10, 29)
    assert.equal(0, n[1]:works())
    n[1]:propose(put("large", ("y"):rep(5000)))
    write(n, 1, 30, 30)
    assert.equal(1, n[1]:works())
  end)

  it("is never begun with a threshold of 0", function()
    n:__close()
    n = nodes.new(1, { snapshot_threshold = 0 })
    n:elect(1)
    write(n, 1, 1, 50)
    assert.equal(0, n[1]:works())
  end)

  it("cuts nothing before it is published", function()
    write(n, 1, 1, 9)
    assert.equal(1, n[1]:works())
    write(n, 1, 10, 30)
    assert.equal(1, n[1]:status().first_index)
    assert.equal(0, n[1]:status().snapshot_index)
  end)

  it("holds the moment at which it was begun", function()
    write(n, 1, 1, 9)
    write(n, 1, 10, 12)
    run_works(n[1])
    n:settle()
    assert.equal(10, n[1]:status().snapshot_index)
    n:restart(1)
    assert.equal(10, n[1]:status().last_applied)
    assert.equal("v9", n[1]:get("k9"))
    assert.is_nil(n[1]:get("k10"))
  end)

  it("refuses another one meanwhile, and one that tells nothing new", function()
    write(n, 1, 1, 3)
    assert.is_true(n[1]:create_snapshot())
    assert.same({ nil, "overloaded" }, { n[1]:create_snapshot() })
    run_works(n[1])
    n:settle()
    assert.same({ nil, "invalid" }, { n[1]:create_snapshot() })
  end)

  it("is found by a restart that comes before the storage knows of it", function()
    write(n, 1, 1, 9)
    n[1]:work() -- published; the node has not heard of it
    n:restart(1)
    assert.equal(10, n[1]:status().snapshot_index)
    assert.equal(10, n[1]:status().last_applied)
    assert.equal(9, n[1]:status().first_index)
    n:settle()
    n:elect(2)
    n:heartbeat(2)
    write(n, 2, 10, 10)
    assert.equal("v10", n[1]:get("k10"))
  end)

  it("lets a node that was away for a moment go on from the log", function()
    n.down[3] = true
    write(n, 1, 1, 9)
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    n.down[3] = true
    write(n, 1, 10, 11)
    run_works(n[1])
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    n:heartbeat(1)
    assert.equal("v11", n[3]:get("k11"))
    assert.equal(0, counts(n, 1).sent)
  end)
end)

describe("a member that lacks more than the log has", function()
  local n

  before_each(function()
    n = nodes.new(3, { snapshot_threshold = 10, snapshot_tail = 2, install_bytes = 100 })
    n:elect(1)
    n:heartbeat(1)
    n.down[3] = true
    write(n, 1, 1, 20)
    settle_all(n)
    write(n, 1, 21, 25)
    settle_all(n)
  end)
  after_each(function() n:__close() end)

  local function come_back()
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    settle_all(n)
    n:heartbeat(1)
    settle_all(n)
  end

  it("gets a snapshot in pieces, then entries [TestRaft_M5_FollowerInstallSnapshot_RestoresState]", function()
    assert.is_true(n[1]:status().first_index > 3)
    come_back()
    assert.equal(1, counts(n, 3).installed)
    assert.equal(1, counts(n, 1).sent)
    for number = 1, 25 do assert.equal("v" .. number, n[3]:get("k" .. number)) end
    local leader <const>, follower <const> = n[1]:status(), n[3]:status()
    assert.equal(leader.last_applied, follower.last_applied)
    assert.equal(leader.last_index, follower.last_index)
    assert.equal("replicate", leader.core.peers[3].state)
  end)

  it("says who gets a piece only one at a time", function()
    local under_way, most = 0, 0
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    settle_all(n, function(message)
      if message.type == "install" then under_way = under_way + 1 end
      if message.type == "install_reply" then under_way = under_way - 1 end
      most = math.max(most, under_way)
      assert.is_true(message.type ~= "install" or #message.entries <= 100)
    end)
    assert.equal(1, most)
  end)

  it("hears heartbeats meanwhile, and answers them", function()
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    local answers = 0
    for _ = 1, 3 do
      n:advance(1, 50)
      n:settle(function(message)
        if message.type == "append_reply" and message.from == 3 then answers = answers + 1 end
      end)
    end
    assert.is_true(answers >= 3)
    assert.equal("snapshot", n[1]:status().core.peers[3].state)
  end)

  it("gets every piece again that was lost", function()
    local lost = {}
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    for _ = 1, 400 do
      settle_all(n, function(message)
        local key <const> = message.type .. (message.offset or "")
        if not message.type:find("install") or lost[key] then return false end
        lost[key] = true
        return true
      end)
      if counts(n, 3).installed > 0 and counts(n, 1).sent > 0 then break end
      n:advance(1, 50)
      n:advance(2, 50)
      n:advance(3, 50)
    end
    assert.equal(1, counts(n, 3).installed)
    n:heartbeat(1)
    settle_all(n)
    assert.equal("v25", n[3]:get("k25"))
  end)

  it("takes no piece twice, whatever is doubled or late", function()
    local all = {}
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    settle_all(n, function(message)
      if message.type == "install" then all[#all + 1] = message end
      return false
    end)
    n:heartbeat(1)
    settle_all(n)
    local applied <const> = n[3]:status().last_applied
    for _, message in ipairs(all) do
      n[3]:receive(message)
      settle_all(n)
    end
    assert.equal(applied, n[3]:status().last_applied)
    assert.equal(1, counts(n, 3).installed)
    assert.equal("v25", n[3]:get("k25"))
  end)

  it("goes on with another leader's pieces of the same snapshot, for its bytes are the same", function()
    n:__close()
    n = nodes.new(3, { snapshot_threshold = 10, snapshot_tail = 0, install_bytes = 100 })
    n:elect(1)
    n:heartbeat(1)
    n.down[3] = true
    write(n, 1, 1, 9)
    settle_all(n)
    assert.equal(10, n[1]:status().snapshot_index)
    assert.equal(10, n[2]:status().snapshot_index)
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    local pieces = 0
    for _ = 1, 8 do -- works of node 1 read, those of node 3 take in
      n[1]:work()
      n:settle(function(message)
        pieces = pieces + (message.type == "install" and 1 or 0)
      end)
      n[3]:work()
      n:settle()
      if pieces == 3 then break end
    end
    assert.equal(3, pieces)
    n.down[1] = true
    n:elect(2)
    n[2]:peer_down(3)
    local offsets = {}
    n:heartbeat(2)
    settle_all(n, function(message)
      if message.type == "install" then offsets[#offsets + 1] = message.offset end
    end)
    assert.equal(0, offsets[1])
    assert.equal(300, offsets[2])
    assert.equal(1, counts(n, 2).resumed)
    assert.equal(1, counts(n, 3).installed)
    assert.equal("v9", n[3]:get("k9"))
  end)

  it("acknowledges it only when the storage has recorded it", function()
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    local function until_last_piece()
      for _ = 1, 100 do
        n[1]:work()
        for _, message in ipairs(n:turn(1)) do
          if message.to == 3 and message.type == "install" then
            n[3]:receive(message, 7)
            if message.done then return end
          elseif message.to == 3 then
            n[3]:receive(message)
          end
        end
        n[3]:work()
        n:deliver(n:turn(3))
      end
    end
    until_last_piece()
    n[3]:work()
    n[3]:turn(n.clock[3])
    for _, message in ipairs(n[3]:sent()) do assert.not_equal("install_reply", message.type) end
    assert.equal(1, counts(n, 3).installed)
    assert.is_true(n[3]:synced())
    local sent <const> = n[3]:sent()
    assert.equal("install_reply", sent[#sent].type)
    assert.is_true(sent[#sent].done)
    assert.equal(7, sent[#sent].token)
  end)

  it("keeps its state when it loses power after the snapshot and before the record of it", function()
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    for _ = 1, 100 do
      n:settle()
      if n[3]:works() > 0 then
        n[3]:work()
        if n.storage[3]:newest_snapshot() then break end
      end
      n[1]:work()
    end
    assert.is_true(n.storage[3]:newest_snapshot() >= 20)
    assert.equal(0, n[3]:status().snapshot_index)
    n:restart(3)
    assert.is_true(n[3]:status().snapshot_index >= 20)
    assert.equal(n[3]:status().snapshot_index, n[3]:status().last_index)
    come_back()
    assert.equal("v25", n[3]:get("k25"))
  end)

  it("takes over the snapshot also when its log was brought up to there meanwhile, but nothing applied", function()
    local term <const> = n[1]:status().term
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    local last
    for _ = 1, 200 do
      n:settle(function(message)
        if message.type ~= "install" or not message.done then return false end
        last = message
        return true
      end)
      if last then break end
      if not n[3]:work() then n[1]:work() end
    end
    n[3]:receive(last)
    n[3]:turn(n.clock[3])
    assert.is_true(n[3]:work()) -- whole and published; the node has not heard of it
    local entries = {}
    for number = 1, last.index - 1 do
      entries[number] = { term = term, command = put("k" .. number, "v" .. number) }
    end
    n[3]:receive { type = "append", from = 1, to = 3, term = term, life = last.life, prev_index = 1, prev_term = term,
      commit_index = last.index, to_life = 0, round = 0, entries = raft.encode_entries(entries) }
    n:settle()
    assert.is_true(n[3]:status().last_applied >= last.index)
    assert.equal(last.index, n[3]:status().snapshot_index)
    assert.equal("v" .. last.index - 1, n[3]:get("k" .. last.index - 1))
  end)

  it("drops what it has received of a snapshot once its log has come as far without it", function()
    local term <const> = n[1]:status().term
    n.down[3] = nil
    n[1]:peer_down(3)
    n:heartbeat(1)
    local piece
    for _ = 1, 20 do
      n:settle(function(message)
        if message.type ~= "install" or message.offset < 300 then return false end
        piece = message
        return true
      end)
      if piece then break end
      if not n[3]:work() then n[1]:work() end
    end
    assert.equal(0, n[3]:works())
    local entries = {}
    for number = 1, piece.index - 1 do
      entries[number] = { term = term, command = put("k" .. number, "v" .. number) }
    end
    n[3]:receive { type = "append", from = 1, to = 3, term = term, life = piece.life, prev_index = 1, prev_term = term,
      commit_index = piece.index, to_life = 0, round = 0, entries = raft.encode_entries(entries) }
    n:turn(3)
    assert.equal(2, n[3]:works()) -- one drops it; and an own snapshot is due
    run_works(n[3])
    n:turn(3)
    n[3]:receive(piece, 7) -- late
    run_works(n[3])
    come_back()
    assert.equal(0, counts(n, 3).installed)
    assert.equal("v25", n[3]:get("k25"))
  end)

  it("keeps what its log holds behind the snapshot", function()
    come_back()
    local message
    n.down[2] = true
    -- A late snapshot of what is committed long since changes nothing.
    n[3]:receive({ type = "install", from = 1, to = 3, term = n[1]:status().term, life = 1, index = 5,
      snapshot_term = 1, offset = 0, done = true, entries = "nonsense" }, 9)
    n:turn(3)
    assert.equal("v25", n[3]:get("k25"))
    message = n[3]:status()
    assert.is_true(message.last_applied >= 26)
  end)

  it("refuses a snapshot that contradicts itself, and takes the right one after it", function()
    n.down[3] = nil
    local spoilt = false
    n[1]:peer_down(3)
    n:heartbeat(1)
    settle_all(n, function(message)
      if message.type == "install" and message.offset == 100 and not spoilt then
        spoilt = true
        message.entries = message.entries:gsub("k", "j")
      end
    end)
    for _ = 1, 25 do
      n:heartbeat(1)
      n:advance(3, 50)
      settle_all(n)
    end
    assert.is_true(spoilt)
    assert.equal("v25", n[3]:get("k25"))
    assert.is_nil(n[3]:get("j25"))
  end)

  it("stays bounded in its log, like the others", function()
    come_back()
    for _ = 1, 10 do
      write(n, 1, 1, 30)
      settle_all(n)
    end
    for number = 1, 3 do
      local status <const> = n[number]:status()
      assert.is_true(status.last_index - status.first_index < 100)
    end
  end)
end)

describe("a write whose entry a snapshot has overtaken", function()
  it("is of unknown outcome", function()
    local n <close> = nodes.new(3, { snapshot_threshold = 10, snapshot_tail = 0, install_bytes = 4096 })
    n:elect(1)
    n:heartbeat(1)
    n.down[1] = true
    local wait = n[1]:propose(put("lost", "1"))
    n[1]:turn(n.clock[1])
    n:elect(2)
    write(n, 2, 1, 20)
    settle_all(n)
    n.down[1] = nil
    n[2]:peer_down(1)
    n:heartbeat(2)
    settle_all(n)
    n:heartbeat(2)
    settle_all(n)
    assert.equal(1, n[1]:counts().installed)
    assert.equal("timeout", (n[1]:outcome(wait)))
  end)
end)
