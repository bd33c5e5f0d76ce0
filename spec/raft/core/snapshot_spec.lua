-- Snapshots and full disks as the core sees them (thesis 5.1): who needs one, what becomes of the log, who has room.

local raft = require "kvserver.raft"

local FLUSH <const> = { type = "flush" }

-- A leader of term 3 in a cluster of three, with entries base+1 .. base+count of term 2, and its no-op.
local function new_leader(base, count)
  local log = {}
  for i = 1, count do log[i] = 2 end
  local core = raft.core { nodes = 3, self = 1, log = log, log_base = base, log_base_term = 1, snapshot_index = base,
    hard_state = { term = 2, proven = true } }
  core:step { type = "timeout", now = 10000 }
  core:step { type = "message", message = { type = "vote_reply", from = 2, to = 1, term = 2, pre = true,
    granted = true, proven = true, vote_term = 3 } }
  core:step { type = "synced", sync = 1, index = base + count }
  core:step { type = "message", message = { type = "vote_reply", from = 2, to = 1, term = 3, granted = true,
    proven = true, vote_term = 3 } }
  core:step { type = "synced", sync = 2, index = base + count + 1 }
  assert(core:state().role == "leader")
  core:step(FLUSH)
  return core
end

local function refuse(core, from, prev, conflict, disk_full)
  return core:step { type = "message", message = { type = "append_reply", from = from, to = 1, term = 3,
    success = false, prev_index = prev, conflict_index = conflict, proven = true, life = 7, round = 0,
    disk_full = disk_full } }
end

local function accept(core, from, match, fields)
  local message = { type = "append_reply", from = from, to = 1, term = 3, success = true, match_index = match,
    prev_index = match, proven = true, life = 7, round = 0 }
  for key, value in pairs(fields or {}) do message[key] = value end
  return core:step { type = "message", message = message }
end

local function installed(core, from, index, done, fields)
  local message = { type = "install_reply", from = from, to = 1, term = 3, index = index, snapshot_term = 2,
    offset = 0, done = done, life = 7 }
  for key, value in pairs(fields or {}) do message[key] = value end
  return core:step { type = "message", message = message }
end

local function sent_to(out, to)
  local found = {}
  for _, message in ipairs(out.messages) do
    if message.to == to then found[#found + 1] = message end
  end
  return found
end

-- What the leader asks of the future: heartbeats are due.
local function heartbeat(core)
  core:step { type = "timeout", now = core:state().now + 50 }
  return core:step(FLUSH)
end

describe("a leader whose log begins behind a snapshot", function()
  it("starts from there: what the snapshot covers is committed", function()
    local core = raft.core { nodes = 3, self = 1, log = { 2, 2 }, log_base = 8, log_base_term = 1,
      snapshot_index = 9, hard_state = { term = 2, proven = true } }
    local state <const> = core:state()
    assert.equal(9, state.commit_index)
    assert.equal(10, state.last_index)
    assert.equal(10, state.durable_index)
  end)

  it("starts with an empty log behind one, too", function()
    local core = raft.core { nodes = 3, self = 1, log = {}, log_base = 8, log_base_term = 5, snapshot_index = 8,
      hard_state = { term = 6, proven = true } }
    local state <const> = core:state()
    assert.equal(8, state.last_index)
    assert.equal(5, state.last_term)
  end)

  it("says nothing of its term before that is durable, when a snapshot has raised it", function()
    local core = raft.core { nodes = 3, self = 2, log = {}, log_base = 8, log_base_term = 5, snapshot_index = 8,
      hard_state = { term = 5, proven = true }, unsynced = true }
    local out <const> = core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 5,
      prev_index = 8, prev_term = 5, commit_index = 8, round = 0, life = 3, terms = {} } }
    assert.equal(1, out.messages[1].after_sync)
    core:step { type = "synced", sync = 1, index = 8 }
    assert.equal(1, core:state().synced)
  end)

  it("sees that a peer needs the snapshot, and sends it heartbeats only", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    local messages <const> = sent_to(heartbeat(core), 2)
    assert.equal("snapshot", core:state().peers[2].state)
    assert.equal(1, #messages)
    assert.equal(10, messages[1].prev_index)
    assert.equal(1, messages[1].prev_term)
    assert.same({}, messages[1].terms)
    assert.same({}, sent_to(core:step(FLUSH), 2))
  end)

  it("is not led astray by the peer's refusals of those", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    heartbeat(core)
    refuse(core, 2, 10, 4)
    heartbeat(core)
    assert.equal("snapshot", core:state().peers[2].state)
    assert.equal(core:state().now - 50, core:state().peers[2].contact)
  end)

  it("goes on from the log once the peer holds what the snapshot covers", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    heartbeat(core)
    installed(core, 2, 10, false)
    assert.equal("snapshot", core:state().peers[2].state)
    installed(core, 2, 10, true)
    assert.equal(10, core:state().peers[2].match_index)
    local messages <const> = sent_to(core:step(FLUSH), 2)
    assert.equal(10, messages[1].prev_index)
    assert.same({ 2, 2, 2, 2, 2, 3 }, messages[1].terms)
  end)

  it("believes nothing of what another life of the peer has installed", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    heartbeat(core)
    installed(core, 2, 10, true, { life = 5 })
    assert.equal(0, core:state().peers[2].match_index)
    assert.equal("snapshot", core:state().peers[2].state)
  end)

  it("believes of no peer that it holds by a snapshot what is not committed", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    heartbeat(core)
    installed(core, 2, 14, true)
    assert.equal(0, core:state().peers[2].match_index)
  end)

  it("goes on when the peer turns out to have the entry before the log's first", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    heartbeat(core)
    accept(core, 2, 10)
    assert.equal("replicate", core:state().peers[2].state)
    assert.equal(11, sent_to(core:step(FLUSH), 2)[1].prev_index + 1)
  end)

  it("sends a newer snapshot to who installed an older one when the log was cut meanwhile", function()
    local core = new_leader(10, 5)
    refuse(core, 2, 15, 4)
    accept(core, 3, 16)
    heartbeat(core)
    core:truncate_prefix(14)
    installed(core, 2, 10, true)
    local messages <const> = sent_to(core:step(FLUSH), 2)
    assert.equal("snapshot", core:state().peers[2].state)
    assert.equal(10, core:state().peers[2].match_index)
    assert.is_true(#messages == 0 or messages[1].prev_index == 14)
  end)

  it("takes a slow peer whose entries were cut for one that needs a snapshot", function()
    local core = new_leader(0, 5)
    accept(core, 2, 1)
    accept(core, 3, 6)
    core:truncate_prefix(4)
    core:step { type = "peer_down", peer = 2 }
    core:step(FLUSH)
    assert.equal("snapshot", core:state().peers[2].state)
  end)

  it("finds where the logs agree without asking for terms before the log", function()
    local core = new_leader(10, 5)
    core:step { type = "message", message = { type = "append_reply", from = 2, to = 1, term = 3, success = false,
      prev_index = 15, conflict_index = 3, conflict_term = 1, proven = true, life = 7, round = 0 } }
    core:step(FLUSH)
    assert.equal("probe", core:state().peers[2].state)
    assert.equal(11, core:state().peers[2].next_index)
  end)

  it("steps down when a peer answers a piece with a higher term", function()
    local core = new_leader(10, 5)
    installed(core, 2, 10, false, { term = 9 })
    assert.equal("follower", core:state().role)
    assert.equal(9, core:state().term)
  end)
end)

-- A follower in term 2 whose log has entries 1 .. #terms.
local function new_follower(terms, fields)
  local options = { nodes = 3, self = 2, log = terms, hard_state = { term = 2, proven = true } }
  for key, value in pairs(fields or {}) do options[key] = value end
  return raft.core(options)
end

local function piece(core, index, term, fields)
  local message = { type = "install", from = 1, to = 2, term = 2, index = index, snapshot_term = term, offset = 0,
    done = true, life = 3 }
  for key, value in pairs(fields or {}) do message[key] = value end
  return core:step { type = "message", message = message }
end

local function snapshot(core, index, term)
  return core:step { type = "snapshot", index = index, term = term }
end

describe("a follower that is sent a snapshot", function()
  it("takes its pieces, and listens to the sender as its leader", function()
    local core = new_follower { 1, 1 }
    local out <const> = piece(core, 9, 2)
    assert.equal("take", out.install)
    assert.same({}, out.messages)
    assert.equal(1, core:state().leader)
  end)

  it("answers at once when it knows all of it to be committed", function()
    local core = new_follower({ 1, 1, 2 }, { snapshot_index = 3 })
    local out <const> = piece(core, 2, 1)
    assert.is_nil(out.install)
    assert.equal("install_reply", out.messages[1].type)
    assert.is_true(out.messages[1].done)
    assert.equal(2, out.messages[1].index)
  end)

  it("refuses a piece of an older term, and says which one it is in", function()
    local core = new_follower { 1, 1 }
    local out <const> = piece(core, 9, 1, { term = 1 })
    assert.is_nil(out.install)
    assert.equal(2, out.messages[1].term)
    assert.is_false(out.messages[1].done)
  end)

  it("takes no snapshot that no leader of that term can have", function()
    local core = new_follower { 1, 1 }
    assert.is_nil(piece(core, 9, 3).install)
    assert.is_nil(piece(core, 0, 1).install)
    assert.is_nil(piece(core, 9, 0).install)
    assert.is_nil(core:state().leader)
  end)

  it("begins an empty log behind it when its own does not reach that far", function()
    local core = new_follower { 1, 1 }
    local out <const> = snapshot(core, 9, 2)
    assert.equal("reset", out.install)
    assert.is_true(out.sync > 0)
    local state <const> = core:state()
    assert.equal(9, state.last_index)
    assert.equal(2, state.last_term)
    assert.equal(9, state.commit_index)
    assert.equal(9, state.durable_index)
    assert.same({}, core:log())
  end)

  it("begins an empty log behind it when its own holds another entry there", function()
    local core = new_follower { 1, 1, 1, 1, 1 }
    assert.equal("reset", snapshot(core, 3, 2).install)
    assert.equal(3, core:state().last_index)
  end)

  it("acknowledges nothing behind it that only its old log had on disk", function()
    local core = new_follower { 1, 1, 1, 1, 1 }
    snapshot(core, 3, 2)
    assert.equal(3, core:state().durable_index)
    local function append()
      return core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2, prev_index = 3,
        prev_term = 2, commit_index = 3, round = 0, life = 3, terms = { 2, 2 } } }.messages[1]
    end
    assert.is_true(append().after_sync > 0)
    assert.equal(3, append().match_index)
  end)

  it("keeps what its log holds behind it when they match", function()
    local core = new_follower { 1, 1, 2, 2, 2 }
    assert.equal("keep", snapshot(core, 3, 2).install)
    local state <const> = core:state()
    assert.equal(5, state.last_index)
    assert.equal(3, state.commit_index)
    assert.same({ 1, 1, 2, 2, 2 }, core:log())
  end)

  it("changes nothing for an older one than what is committed", function()
    local core = new_follower({ 1, 1, 2, 2, 2 }, { snapshot_index = 4 })
    local out <const> = snapshot(core, 3, 1)
    assert.is_nil(out.install)
    assert.equal(4, core:state().commit_index)
    assert.equal(5, core:state().last_index)
  end)

  it("goes on with entries that follow the snapshot", function()
    local core = new_follower { 1, 1 }
    snapshot(core, 9, 2)
    local out <const> = core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2,
      prev_index = 9, prev_term = 2, commit_index = 10, round = 0, life = 3, terms = { 2, 2 } } }
    assert.is_true(out.messages[1].success)
    assert.equal(11, out.messages[1].match_index)
    assert.equal(10, core:state().commit_index)
  end)

  it("does not take a completion from before the snapshot for one of the entries behind it", function()
    local core = new_follower { 1, 1 }
    core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2, prev_index = 2,
      prev_term = 1, commit_index = 0, round = 0, life = 3, terms = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 } } }
    local before <const> = 1 -- the number of that disk work
    snapshot(core, 5, 1)
    core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2, prev_index = 5,
      prev_term = 1, commit_index = 0, round = 0, life = 3, terms = { 2, 2, 2 } } }
    core:step { type = "synced", sync = before, index = 12 }
    assert.equal(5, core:state().durable_index)
    core:step { type = "synced", sync = 3, index = 8 }
    assert.equal(8, core:state().durable_index)
  end)

  it("does not ask for terms before its log when a late message speaks of them", function()
    local core = raft.core { nodes = 3, self = 2, log = { 2 }, log_base = 8, log_base_term = 2, snapshot_index = 8,
      hard_state = { term = 2, proven = false }, life = 4 }
    local out <const> = core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2,
      prev_index = 3, prev_term = 1, commit_index = 3, round = 0, life = 3, to_life = 4, terms = {} } }
    assert.is_true(out.messages[1].success)
    assert.is_false(core:state().proven)
  end)

  it("becomes a full member with the next word of its leader", function()
    local core = raft.core { nodes = 3, self = 2, log = {}, hard_state = { term = 2, proven = false }, life = 4 }
    snapshot(core, 9, 2)
    core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2, prev_index = 9,
      prev_term = 2, commit_index = 9, round = 0, life = 3, to_life = 4, terms = {} } }
    assert.is_true(core:state().proven)
  end)
end)

describe("a leader with a full disk", function()
  local core

  before_each(function()
    core = new_leader(0, 1)
    accept(core, 2, 2)
    accept(core, 3, 2)
  end)

  it("has room for nothing", function()
    assert.is_true(core:state().has_room)
    core:step { type = "disk", disk_full = true }
    assert.is_false(core:state().has_room)
    core:step { type = "disk", disk_full = false }
    assert.is_true(core:state().has_room)
  end)

  it("makes way for a member that has room, when a majority has", function()
    core:step { type = "disk", disk_full = true }
    core:step { type = "timeout", now = core:state().now + 50 }
    assert.equal(2, core:state().transfer_to)
  end)

  it("goes on leading when too few others have room", function()
    accept(core, 2, 2, { disk_full = true })
    core:step { type = "disk", disk_full = true }
    core:step { type = "timeout", now = core:state().now + 50 }
    assert.is_nil(core:state().transfer_to)
  end)
end)

describe("a leader of members with full disks", function()
  it("has room as long as a majority has, with itself", function()
    local core = new_leader(0, 1)
    accept(core, 2, 2, { disk_full = true })
    accept(core, 3, 2)
    assert.is_true(core:state().has_room)
    accept(core, 3, 2, { disk_full = true })
    assert.is_false(core:state().has_room)
    accept(core, 2, 2)
    assert.is_true(core:state().has_room)
  end)
end)

describe("a leader of a member with a full disk", function()
  local function entries_to(out, to)
    local count = 0
    for _, message in ipairs(sent_to(out, to)) do count = count + #message.terms end
    return count
  end

  it("sends it entries with heartbeats only, whatever it answers", function()
    local core = new_leader(0, 1)
    accept(core, 2, 2)
    accept(core, 2, 2, { disk_full = true })
    core:step(FLUSH)
    core:step { type = "propose", count = 3 }
    assert.equal(0, entries_to(core:step(FLUSH), 2))
    for _ = 1, 3 do
      assert.equal(3, entries_to(heartbeat(core), 2))
      accept(core, 2, 2, { disk_full = true })
      assert.same({}, sent_to(core:step(FLUSH), 2))
      refuse(core, 2, 5, 3, true)
      assert.same({}, sent_to(core:step(FLUSH), 2))
      accept(core, 2, 2, { disk_full = true })
    end
  end)

  it("goes on as before once it has room", function()
    local core = new_leader(0, 1)
    accept(core, 2, 2, { disk_full = true })
    core:step { type = "propose", count = 3 }
    heartbeat(core)
    accept(core, 2, 5)
    core:step { type = "propose", count = 1 }
    assert.equal(1, entries_to(core:step(FLUSH), 2))
  end)
end)

describe("a member with a full disk", function()
  it("says so in its answers", function()
    local core = new_follower { 1, 1 }
    core:step { type = "disk", disk_full = true }
    local out <const> = core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2,
      prev_index = 2, prev_term = 1, commit_index = 0, round = 0, life = 3, terms = {} } }
    assert.is_true(out.messages[1].disk_full)
  end)

  it("lets others go first when there is no leader", function()
    local deadlines = {}
    for _, full in ipairs { false, true } do
      local core = new_follower { 1, 1 }
      core:step { type = "disk", disk_full = full }
      local out = core:step { type = "message", message = { type = "append", from = 1, to = 2, term = 2,
        prev_index = 2, prev_term = 1, commit_index = 0, round = 0, life = 3, terms = {} } }
      deadlines[full] = out.deadline
    end
    assert.equal(deadlines[false] + 600, deadlines[true])
  end)
end)
