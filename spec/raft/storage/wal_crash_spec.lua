local wal_world = require "spec.raft.storage.wal_world"

-- The same seed for every open: lives must differ all the same.
local function live(seed, steps)
  local world <close> = wal_world.new { seed = seed }
  local cuts, kills = 0, 0
  for step = 1, steps do
    world:act()
    assert.is_nil(world.w:failure())
    local luck = world.random(40)
    if step % 10 == 0 then assert.is_true(wal_world.same(world.w, world.now)) end
    if luck == 1 then
      assert.same({ true }, { world:crash() }, ("seed %d, step %d"):format(seed, step))
      cuts = cuts + 1
    elseif luck == 2 then
      if world.w:job() and world.random(2) == 1 then world.w:run_job() end
      world:kill()
      assert.is_true(world:open())
      assert.same({ true }, { world:adopt() }, ("seed %d, step %d"):format(seed, step))
      kills = kills + 1
    end
  end
  return cuts, kills
end

-- The workload up to its `after`-th call of the disk, which fails; and whether there were so many.
local function interrupted(after, fault)
  local world = wal_world.new { seed = after }
  fault.after = after
  world.disk:fail(fault)
  world:workload()
  return world, world.disk:failed()
end

describe("a write-ahead log", function()
  it("holds after any crash what was synced, and nothing that was not written, whatever happens", function()
    local cuts, kills = 0, 0
    for seed = 1, 100 do
      local more_cuts, more_kills = live(seed, 300)
      cuts, kills = cuts + more_cuts, kills + more_kills
    end
    assert.is_true(cuts > 500 and kills > 500)
  end)

  it("does all that its workload knows, over several segments", function()
    local world <close> = wal_world.new()
    world:workload()
    assert.is_nil(world.w:failure())
    assert.is_true(wal_world.same(world.w, world.now))
    assert.equal(world.number, world.acked)
    assert.is_true(world.number >= 8)
    assert.is_true(world.disk:calls("remove") + world.disk:calls("rename") > 5)
  end)

  it("loses power at each call of the disk, and recovers what was synced", function()
    local after, struck = 0, true
    while struck do
      local world <close>, failed = interrupted(after, { status = "io" })
      assert.same({ true }, { world:crash(after) }, ("at call %d"):format(after))
      -- What recovery did is as durable as what it found.
      local again = wal_world.copy(world.now)
      assert.same({ true }, { world:crash(after + 1) }, ("again after call %d"):format(after))
      assert.is_true(wal_world.same(world.w, again))
      after, struck = after + 1, failed
    end
    assert.is_true(after > 50)
  end)

  it("loses power at each call of its recovery, and recovers the same", function()
    local recoveries = 0
    for after = 0, 80, 4 do
      local world <close> = interrupted(after, { status = "io" })
      world:kill()
      world.disk:heal()
      world.disk:crash(after)
      local call, opened = 0, nil
      while not opened do
        local copy <close> = world.disk:clone()
        copy:fail { after = call, status = "io" }
        opened = wal_world.open(copy)
        if opened then opened:close() end
        copy:heal()
        copy:crash(call)
        local w <close> = assert(wal_world.open(copy))
        local ok = wal_world.same(w, world.durable)
        assert.is_true(ok or wal_world.same(w, world.under_way), ("cut %d, call %d"):format(after, call))
        call, recoveries = call + 1, recoveries + 1
      end
    end
    assert.is_true(recoveries > 150)
  end)

  it("acknowledges nothing after a call of the disk that failed, whichever it is", function()
    local after, struck, terminal = 0, true, 0
    while struck do
      local world <close>, failed = interrupted(after, { status = "io", once = true })
      if world.failed then
        terminal = terminal + 1
        local acked = world.acked
        assert.same({ nil, "io" }, { world.w:sync(1000) })
        assert.same({ nil, "io" }, { world.w:append { { index = world.w:last_index() + 1, term = 9 } } })
        assert.same({ nil, "io" }, { world.w:save { term = 99 } })
        assert.is_nil(world.w:complete())
        assert.equal(acked, world.acked)
        assert.equal(0, world.w:room())
      end
      assert.same({ true }, { world:crash(after) }, ("at call %d"):format(after))
      after, struck = after + 1, failed
    end
    assert.is_true(terminal > 50)
  end)

  it("starts again after a sync that failed, without a power cut, with what a later cut cannot take away", function()
    local after, struck = 0, true
    while struck do
      local world <close>, failed = interrupted(after, { call = "sync", status = "io", once = true })
      world:kill()
      world.disk:heal()
      assert.is_true(world:open())
      assert.is_true(world:adopt())
      assert.same({ true }, { world:crash(after) }, ("at sync %d"):format(after))
      after, struck = after + 1, failed
    end
  end)

  it("leaves a full disk as it was, at whichever call it shows, and goes on when there is room", function()
    local after, struck, waited = 0, true, 0
    while struck do
      local world <close>, failed = interrupted(after, { call = "write", status = "disk_full", once = true })
      if world.w:disk_full() then
        waited = waited + 1
        world.w:make_room()
        world:settle()
      end
      if not world.failed then
        assert.equal(world.number, world.acked)
        assert.is_true(wal_world.same(world.w, world.now))
      end
      assert.same({ true }, { world:crash(after) }, ("at write %d"):format(after))
      after, struck = after + 1, failed
    end
    assert.is_true(waited > 1)
  end)

  it("writes into an old segment only when its old name is gone for good", function()
    local function write(world)
      world:append { term = 1, commands = { ("x"):rep(2500) } }
      world:sync()
    end
    for seed = 1, 20 do
      local world <close> = wal_world.new { seed = seed }
      world:settle()
      for _ = 1, 2 do
        write(world)
        world:settle()
      end
      world:record_snapshot(2)
      world:sync()
      world:step()
      world:truncate_prefix(2)
      assert.is_true(world.w:spare_job()) -- the first segment's end, which comes late
      write(world)
      world:step()
      world:step_spare()
      write(world)
      assert.is_true(world.w:job()) -- in what was the first segment
      world.disk:fail { call = "rename", status = "io" }
      world.w:run_job()
      world:kill()
      assert.same({ true }, { world:crash(seed) }, ("seed %d"):format(seed))
    end
  end)

  it("writes into an old segment that a killed process was about to reuse only when its old name is gone", function()
    for seed = 1, 20 do
      local world <close> = wal_world.new { seed = seed }
      world:settle()
      for _ = 1, 2 do
        world:append { term = 1, commands = { ("x"):rep(2500) } }
        world:sync()
        world:step()
      end
      world:settle()
      world:record_snapshot(2)
      world:sync()
      world:step()
      world:truncate_prefix(2)
      assert.is_true(world.w:spare_job())
      world.disk:fail { call = "sync_directory", status = "io" }
      world.w:run_spare_job() -- renamed; the process ends before that is durable
      world:kill()
      world.disk:heal()
      assert(world.disk:remove("wal/spare-2.wal")) -- so that a start takes the old segment
      world.disk:fail { call = "rename", status = "io" }
      assert.is_nil(world:open()) -- and this one ends early, too
      assert.same({ true }, { world:crash(seed) }, ("seed %d"):format(seed))
    end
  end)

  it("makes its directory durable before anything in it counts", function()
    for seed = 1, 20 do
      local world <close> = wal_world.new { seed = seed }
      world:save { term = 1, voted_for = 1 }
      world:sync()
      world:step()
      assert.equal(1, world.acked)
      assert.same({ true }, { world:crash(seed) }, ("seed %d"):format(seed))
    end
  end)
end)
