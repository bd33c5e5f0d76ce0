local disk = require "kvserver.disk"
local wal = require "kvserver.wal"
local wal_world = require "spec.raft.storage.wal_world"

local OPTIONS <const> = { segment_bytes = 4096, cache_bytes = 1 << 20, seed = 3 }

local function entries(from, term, ...)
  local list = {}
  for place, command in ipairs { ... } do
    list[place] = { index = from + place - 1, term = term, command = command }
  end
  return list
end

-- Everything under way is done.
local function settle(w)
  while w:step() or w:step_spare() do end
end

local function with(options)
  return setmetatable(options, { __index = OPTIONS })
end

describe("a write-ahead log as a storage", function()
  local d, w

  before_each(function()
    d = disk.simulate { seed = 1 }
    w = assert(wal.open(d, OPTIONS))
    w:make_room()
    settle(w)
  end)
  after_each(function()
    w:close()
    d:close()
  end)

  local function again()
    w:close()
    w = assert(wal.open(d, OPTIONS))
  end

  it("starts empty, with nobody's vote, at the first index", function()
    assert.same({ 1, 0 }, { w:first_index(), w:last_index() })
    assert.same({ term = 0, proven = false }, w:load())
    assert.same({ 0, 0 }, { w:snapshot() })
    assert.same({ nil, "not_found" }, { w:term_at(0) })
  end)

  it("gives back what was appended, also after a restart [TestWAL_AppendReadRange_AfterRestart]", function()
    w:append(entries(1, 1, "a", "", "c"))
    w:append(entries(4, 2, ("d"):rep(500)))
    for _ = 1, 2 do
      assert.same({ 1, 4 }, { w:first_index(), w:last_index() })
      assert.same(entries(1, 1, "a", "", "c"), w:read(1, 3))
      assert.same(entries(4, 2, ("d"):rep(500)), w:read(4, 4))
      assert.same({ 1, 2 }, { w:term_at(3), w:term_at(4) })
      assert.same({ nil, "not_found" }, { w:term_at(5) })
      assert.same({ nil, "not_found" }, { w:read(4, 5) })
      w:sync(1)
      settle(w)
      again()
    end
  end)

  it("takes no gap, no entry twice, and no term that goes back", function()
    w:append(entries(1, 3, "a", "b"))
    for _, from in ipairs { 1, 2, 4 } do assert.same({ nil, "invalid" }, { w:append(entries(from, 3, "x")) }) end
    assert.same({ nil, "invalid" }, { w:append(entries(3, 2, "x")) })
    assert.same({ nil, "invalid" }, { w:append { { index = 3, term = 3 }, { index = 5, term = 3 } } })
    assert.same({ nil, "invalid" }, { w:save { term = -1 } })
    w:save { term = 4 }
    assert.same({ nil, "invalid" }, { w:save { term = 3 } })
    assert.equal(2, w:last_index())
  end)

  it("deletes a suffix and takes other entries, also after a restart", function()
    w:append(entries(1, 1, "a", "b", "c"))
    w:sync(1)
    settle(w)
    assert.is_true(w:delete_from(4))
    assert.is_true(w:delete_from(2))
    assert.is_true(w:append(entries(2, 2, "B")))
    w:sync(2)
    settle(w)
    for _ = 1, 2 do
      assert.same({ 2, 2 }, { w:last_index(), w:term_at(2) })
      assert.same("B", w:read(2, 2)[1].command)
      again()
    end
  end)

  it("keeps term, vote and mark as one record, also after a restart", function()
    w:set_current_term(7)
    w:vote(3)
    w:sync(1)
    settle(w)
    again()
    assert.same({ term = 7, voted_for = 3, proven = false }, w:load())
    w:save { term = 7, voted_for = 3, proven = true }
    w:sync(1)
    settle(w)
    again()
    assert.same({ term = 7, voted_for = 3, proven = true }, w:load())
  end)

  it("ends a batch where the bytes do, after one entry at least", function()
    w:append(entries(1, 1, "c1", "c2", "c3", "c4")) -- 12 bytes of head and 2 of command each
    assert.same({ 1, 1, 2, 3 },
      { w:batch_end(1, 4, 0), w:batch_end(1, 4, 27), w:batch_end(1, 4, 28), w:batch_end(2, 3, 1000) })
  end)

  it("drops a prefix, and still knows the term before the first entry [TestLogStore_TruncatePrefix]", function()
    w:append(entries(1, 1, "a", "b"))
    w:append(entries(3, 2, "c", "d"))
    assert.is_true(w:truncate_prefix(0))
    assert.is_true(w:truncate_prefix(3))
    assert.same({ 4, 4 }, { w:first_index(), w:last_index() })
    assert.same({ 2, 2 }, { w:term_at(3), w:term_at(4) })
    assert.same({ nil, "not_found" }, { w:term_at(2) })
    assert.same({ nil, "not_found" }, { w:read(3, 4) })
    assert.same({ nil, "not_found" }, { w:truncate_prefix(5) })
    assert.same({ nil, "invalid" }, { w:delete_from(3) })
    assert.is_true(w:truncate_prefix(1))
    assert.equal(4, w:first_index())
    assert.is_true(w:truncate_prefix(4))
    assert.same({ 5, 4, 2 }, { w:first_index(), w:last_index(), w:term_at(4) })
    assert.is_true(w:append(entries(5, 2, "e")))
    assert.same(entries(5, 2, "e"), w:read(5, 5))
  end)

  it("remembers the newest snapshot, and no older one, also after a restart", function()
    w:append(entries(1, 1, "a", "b", "c"))
    assert.is_true(w:record_snapshot(2, 1))
    assert.same({ nil, "invalid" }, { w:record_snapshot(2, 1) })
    assert.same({ nil, "invalid" }, { w:record_snapshot(1, 1) })
    assert.same({ nil, "invalid" }, { w:record_snapshot(4, 1) })
    assert.same({ nil, "invalid" }, { w:record_snapshot(3, 2) })
    assert.same({ nil, "invalid" }, { w:delete_from(2) })
    w:sync(1)
    settle(w)
    again()
    assert.same({ 2, 1 }, { w:snapshot() })
    assert.equal(3, w:last_index())
  end)

  it("starts over behind a snapshot from elsewhere, also after a restart", function()
    w:append(entries(1, 1, "a", "b", "c"))
    assert.is_true(w:reset(2, 5))
    assert.same({ nil, "invalid" }, { w:reset(2, 5) })
    assert.same({ nil, "invalid" }, { w:delete_from(2) })
    assert.same({ nil, "invalid" }, { w:append(entries(3, 4, "x")) })
    assert.is_true(w:append(entries(3, 5, "C")))
    w:sync(1)
    settle(w)
    for _ = 1, 2 do
      assert.same({ 3, 3, 5 }, { w:first_index(), w:last_index(), w:term_at(2) })
      assert.same({ 2, 5 }, { w:snapshot() })
      assert.same(entries(3, 5, "C"), w:read(3, 3))
      again()
    end
  end)
end)

describe("a write-ahead log's jobs", function()
  local d, w

  before_each(function()
    d = disk.simulate { seed = 1 }
    w = assert(wal.open(d, OPTIONS))
    w:make_room()
    settle(w)
  end)
  after_each(function()
    w:close()
    d:close()
  end)

  it("are one at a time; what gathers meanwhile is the next, with one write and one sync", function()
    w:append(entries(1, 1, "a"))
    w:sync(1)
    for number = 2, 10 do
      w:append(entries(number, 1, "b"))
      w:sync(number)
    end
    local calls = d:calls()
    assert.is_true(w:step())
    assert.same({ 1, 1 }, { w:complete() })
    assert.is_nil(w:complete())
    assert.equal(calls + 2, d:calls())
    assert.is_true(w:step())
    assert.equal(calls + 4, d:calls())
    for number = 2, 10 do assert.same({ number, number }, { w:complete() }) end
    assert.is_false(w:job())
  end)

  it("complete a sync with the end that the log had when it was asked for, never inside the call", function()
    w:append(entries(1, 1, "a", "b"))
    w:sync(1)
    w:delete_from(2)
    w:sync(2)
    w:append(entries(2, 2, "c", "d"))
    assert.is_nil(w:complete())
    w:run_job()
    assert.is_nil(w:complete())
    w:job_done()
    assert.same({ 1, 2 }, { w:complete() })
    w:step()
    assert.same({ 2, 1 }, { w:complete() })
  end)

  it("are not needed for a sync of nothing; but it waits for what is under way", function()
    w:sync(1)
    assert.is_false(w:job())
    assert.same({ 1, 0 }, { w:complete() })
    w:append(entries(1, 1, "a"))
    w:sync(2)
    w:sync(3)
    assert.is_nil(w:complete())
    w:step()
    assert.same({ 2, 1 }, { w:complete() })
    assert.same({ 3, 1 }, { w:complete() })
    assert.is_false(w:job())
  end)

  it("sync a segment before it has its name, and its directory before the batch counts", function()
    w:append(entries(1, 1, ("a"):rep(3000)))
    w:sync(1)
    settle(w)
    w:append(entries(2, 1, ("b"):rep(3000)))
    w:sync(2)
    d:trace_start()
    w:step()
    local calls = {}
    for call in d:trace():gmatch("(%S+)[^\n]*\n") do calls[#calls + 1] = call end
    assert.same({ "open", "write", "write", "sync", "rename", "sync_directory" }, table.move(calls, 1, 6, 1, {}))
    assert.same({ 1, 1 }, { w:complete() })
    assert.same({ 2, 2 }, { w:complete() })
  end)

  it("write over zeros only: a file never grows but as a spare", function()
    for index = 1, 60 do
      w:append(entries(index, 1, ("x"):rep(index * 50)))
      w:sync(index)
      d:trace_start()
      w:step()
      for name, offset, len in d:trace():gmatch("write (%S+) (%d+) (%d+)") do
        assert.is_true(offset + len <= 4096, name)
      end
      settle(w)
    end
  end)

  it("make a larger segment for a batch that no other holds", function()
    local large = ("x"):rep(20000)
    w:append(entries(1, 1, large))
    w:sync(1)
    assert.is_false(w:job())
    settle(w)
    assert.same({ 1, 1 }, { w:complete() })
    w:close()
    w = assert(wal.open(d, OPTIONS))
    assert.equal(large, w:read(1, 1)[1].command)
  end)

  it("find a segment for a batch that grew while one was made for it, however many spares there are", function()
    for number = 1, 2 do
      w:append(entries(number, 1, ("x"):rep(3000)))
      w:sync(number)
      settle(w)
    end
    w:record_snapshot(2, 1)
    w:sync(3)
    settle(w)
    w:truncate_prefix(2)
    settle(w) -- two spares: one that was made, and what was the first segment
    w:append(entries(3, 1, ("x"):rep(5000)))
    w:make_room()
    w:append(entries(4, 1, ("x"):rep(5000)))
    w:sync(4)
    settle(w)
    local newest
    for number in function() return w:complete() end do newest = number end
    assert.equal(4, newest)
  end)
end)

describe("a write-ahead log's memory", function()
  it("is bounded: older entries are read back from their segments", function()
    local d <close> = disk.simulate { seed = 1 }
    local w <close> = assert(wal.open(d, with { cache_bytes = 2000 }))
    w:make_room()
    for index = 1, 100 do
      w:append(entries(index, 1, ("%d,"):format(index):rep(40)))
      w:sync(index)
      settle(w)
    end
    local reads = d:calls("read")
    assert.equal(6, #w:read(95, 100))
    assert.equal(reads, d:calls("read"))
    local list = w:read(1, 100)
    assert.is_true(d:calls("read") > reads)
    for index, entry in ipairs(list) do assert.equal(("%d,"):format(index):rep(40), entry.command) end
  end)

  it("takes no rotten entry from the disk for one that was written", function()
    local d <close> = disk.simulate { seed = 1 }
    local w <close> = assert(wal.open(d, with { cache_bytes = 0 }))
    w:append(entries(1, 1, ("a"):rep(100), ("b"):rep(100)))
    w:sync(1)
    settle(w)
    assert.equal(2, #w:read(1, 2))
    d:flip("wal/0000000000000001.wal", 512 + 24 + 21 + 50, 3)
    assert.equal(1, #w:read(2, 2))
    assert.same({ nil, "corrupt" }, { w:read(1, 1) })
    assert.matches("entries 1 to 1: one of them is not what was written", w:failure())
    assert.same({ nil, "io" }, { w:sync(2) })
  end)
end)

describe("a write-ahead log's room", function()
  local d, w

  -- A disk with room for the log as it is, and not for another spare.
  local function full()
    d = disk.simulate { seed = 1 }
    w = assert(wal.open(d, OPTIONS))
    w:make_room()
    settle(w)
    d:set_capacity(d:used_bytes())
  end

  after_each(function()
    if w then w:close() end
    if d then d:close() end
    d, w = nil, nil
  end)

  it("is enough, without another spare, for all that is admitted by it", function()
    full()
    local index, admitted = 0, 0
    while w:room() > 12 do
      local command = ("x"):rep(math.min(w:room() - 12, 300))
      index = index + 1
      w:append(entries(index, 1, command))
      w:sync(index)
      assert.is_true(w:job())
      settle(w)
      assert.same({ index, index }, { w:complete() })
      admitted = admitted + #command
    end
    assert.is_true(w:disk_full())
    assert.is_true(admitted > 5000)
    -- The reserve: term after term, votes and no-ops.
    for term = 2, 5 do
      index = index + 1
      w:save { term = term, voted_for = 1 }
      w:append(entries(index, term, ""))
      w:sync(index)
      settle(w)
      assert.same({ index, index }, { w:complete() })
    end
  end)

  it("is what is made ahead of time once a spare is there, and grows to that again", function()
    full()
    local ahead = w:room_ahead()
    assert.equal(ahead, w:room())
    for index = 1, 6 do
      w:append(entries(index, 1, ("x"):rep(800)))
      w:sync(index)
      settle(w)
    end
    assert.is_true(w:disk_full())
    assert.is_true(w:room() < ahead)
    d:set_capacity(nil)
    w:make_room()
    settle(w)
    assert.same({ ahead, ahead }, { w:room(), w:room_ahead() })
  end)

  it("does not hold what waits already, nor what is under way", function()
    full()
    local room = w:room()
    w:append(entries(1, 1, ("x"):rep(1000)))
    assert.is_true(w:room() <= room - 1000)
    assert.is_true(w:room() > room - 1100)
    w:sync(1)
    w:append(entries(2, 1, ("x"):rep(500)))
    assert.is_true(w:room() <= room - 500)
    w:step()
    w:sync(2)
    w:step()
    w:append(entries(3, 1, ("x"):rep(1000)))
    w:append(entries(4, 1, ("x"):rep(1000)))
    local left = w:room()
    w:sync(3)
    assert.is_true(w:room() >= left)
  end)

  it("may be used up: then batches wait, nothing fails, and all goes on when there is room", function()
    full()
    local waited
    for index = 1, 20 do
      w:append(entries(index, 1, ("x"):rep(600)))
      w:sync(index)
      settle(w)
      if w:complete() == nil then waited = waited or index end
    end
    assert.is_true(waited > 5)
    assert.same({ true, 0 }, { w:disk_full(), w:room() })
    assert.is_nil(w:failure())
    local tries = d:calls("free_bytes")
    w:sync(21)
    assert.equal(tries, d:calls("free_bytes"))
    w:make_room()
    settle(w)
    assert.equal(tries + 1, d:calls("free_bytes"))
    assert.is_true(w:disk_full())
    d:set_capacity(nil)
    w:make_room()
    settle(w)
    assert.is_false(w:disk_full())
    for number = waited, 21 do assert.equal(number, (w:complete())) end
    w:close()
    w = assert(wal.open(d, OPTIONS))
    assert.equal(20, w:last_index())
  end)

  it("comes back from segments that a snapshot covers: the directory stays small for ever", function()
    local world <close> = wal_world.new { cache_bytes = 0 }
    local most = 0
    for round = 1, 100 do
      world:append { term = 1, commands = { ("x"):rep(900) } }
      world:sync()
      world:settle()
      if round % 5 == 0 then
        world:record_snapshot(world.now.last)
        world:sync()
        world:settle()
        world:truncate_prefix(world.now.last - 2)
        world:settle()
      end
      most = math.max(most, #world.disk:list("wal"))
    end
    assert.is_true(most <= 6)
    assert.same({ true }, { world:crash() })
    assert.same({ 100, 100 }, { world.w:last_index(), (world.w:snapshot()) })
  end)

  it("does not come back before the word that a snapshot is durable is durable itself", function()
    local world <close> = wal_world.new()
    for _ = 1, 10 do
      world:append { term = 1, commands = { ("x"):rep(900) } }
      world:sync()
      world:settle()
    end
    world:record_snapshot(10)
    world:truncate_prefix(10)
    world:settle()
    assert.equal(1, wal.scan(world.disk).segments[1])
    assert.same({ true }, { world:crash() })
    assert.same({ 1, 10 }, { world.w:first_index(), world.w:last_index() })
  end)
end)

describe("opening and closing a write-ahead log", function()
  it("refuses segments that are too small or too large", function()
    local d <close> = disk.simulate()
    for _, bytes in ipairs { 0, 4095, (1 << 30) + 1 } do
      local w, status, message = wal.open(d, with { segment_bytes = bytes })
      assert.same({ nil, "invalid" }, { w, status })
      assert.matches("4096 to 1073741824", message)
    end
  end)

  it("seals what waits, too", function()
    local d <close> = disk.simulate()
    local w = assert(wal.open(d, OPTIONS))
    w:append(entries(1, 1, "a"))
    assert.is_true(w:seal())
    local report = wal.scan(d)
    assert.same({ "sealed", 1 }, { report.verdict, report.state.last_index })
    assert.same({ "entries", "seal" }, { report.records[1].type, report.records[2].type })
    assert.equal(2, #report.batches)
  end)

  it("costs little disk, however often it happens", function()
    local d <close> = disk.simulate()
    for index = 1, 50 do
      local w <close> = assert(wal.open(d, OPTIONS))
      assert.equal(index - 1, w:last_index())
      w:append(entries(index, 1, "a"))
      w:sync(1)
      settle(w)
    end
    assert.is_true(d:used_bytes() < 50 * 1100 + 2 * 4096)
  end)

  it("does not read what it does not know, nor write, when it only scans", function()
    local d <close> = disk.simulate()
    assert.same({ nil, "not_found" }, table.move({ wal.scan(d) }, 1, 2, 1, {}))
    local w <close> = assert(wal.open(d, OPTIONS))
    w:append(entries(1, 1, "a"))
    w:sync(1)
    settle(w)
    local writes, syncs = d:calls("write"), d:calls("sync")
    local report = wal.scan(d)
    assert.same({ "whole", 1 }, { report.verdict, report.state.last_index })
    assert.same({ writes, syncs }, { d:calls("write"), d:calls("sync") })
  end)
end)
