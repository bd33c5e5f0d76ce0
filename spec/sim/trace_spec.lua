-- What happened in a simulated world: its trace as records, and who led.
local json = require "kvserver.json"
local sim = require "kvserver.sim"
local worlds = require "kvserver.world"

local KEPT <const> = 4096

local function busy_world()
  local world = sim.world { nodes = 3, seed = 11 }
  world:load { clients = 8 }
  return world
end

-- All records so far, by pieces of a size.
local function read(world, size)
  local list, number = {}, 0
  repeat
    local piece = world:trace_after(number, size)
    for _, record in ipairs(piece) do
      list[#list + 1] = record
      number = record.number
    end
  until #piece == 0
  return list
end

describe("the records of a simulated world", function()
  it("say the same as its trace", function()
    local world <close> = busy_world()
    world:run(500)
    world:crash(2)
    local i, list = 0, read(world, 7)
    for line in world:trace(KEPT):gmatch("[^\n]+") do
      i = i + 1
      local record <const> = list[i]
      assert.equal(line, ("%6d.%06d %s"):format(record.at_us // 1000000, record.at_us % 1000000, record.text))
      assert.equal(i, record.number)
    end
    assert.equal(i, #list)
    local last <const> = list[#list]
    assert.same({ "crash", 2, nil, world:stats().events, 500000 },
      { last.kind, last.node, last.peer, last.event, last.at_us })
    assert.same(last, json.decode(json.encode(last)))
  end)

  it("name the event in front of which a run can stop", function()
    local world <close> = busy_world()
    world:run(500)
    local list <const> = read(world)
    local record <const> = list[#list // 2]
    local again <close> = busy_world()
    again:stop_at(record.event)
    assert.same({ false, "stopped" }, { again:run(500) })
    local before <const> = #read(again)
    assert.is_true(before < record.number)
    again:step()
    assert.is_true(#read(again) >= record.number)
    assert.same(record, again:trace_after(record.number - 1, 1)[1])
  end)

  it("go on where one has stopped reading, and say when some are lost", function()
    local world <close> = busy_world()
    world:run(300)
    local list, lost = world:trace_after(0)
    assert.is_false(lost)
    local last <const> = list[#list].number
    assert.same({ {}, false }, { world:trace_after(last) })
    world:run(10000)
    list, lost = world:trace_after(last)
    assert.is_true(lost)
    assert.equal(KEPT, #list)
    assert.same({ list[11] }, (world:trace_after(list[10].number, 1)))
    assert.is_false(select(2, world:trace_after(list[10].number, 1)))
  end)

  it("are all kept where that was asked for, and nothing else changes", function()
    local short <close> = busy_world()
    local long <close> = busy_world()
    short:run(300)
    long:run(300)
    long:keep_trace(1 << 20)
    long:keep_trace(1) -- never less
    short:run(10000)
    long:run(10000)
    local list, lost = long:trace_after(0)
    assert.is_false(lost)
    assert.equal(1, list[1].number)
    assert.is_true(#list > KEPT)
    assert.same(short:trace_after(list[#list].number - 100), long:trace_after(list[#list].number - 100))
    assert.equal(short:digest(), long:digest())
  end)

  it("survive when more are to be kept", function()
    local world <close> = busy_world()
    world:run(10000)
    local before <const> = world:trace(KEPT)
    world:keep_trace(KEPT + 100)
    assert.equal(before, world:trace(KEPT))
    world:run(5000)
    assert.equal(KEPT + 100, #world:trace_after(0))
  end)
end)

describe("the leaders of a simulated world", function()
  it("are listed with their terms and times", function()
    local world <close> = busy_world()
    for _ = 1, 4 do
      assert(world:run(5000, function() return world:leader() ~= nil end))
      local leader <const> = world:leader()
      world:run(200)
      world:crash(leader)
      world:run(100)
      world:restart(leader)
    end
    assert(world:run(5000, function() return world:leader() ~= nil end))
    local list <const> = world:leaders()
    assert.equal(world:stats().elections, #list)
    assert.is_true(#list >= 5)
    for i = 2, #list do
      assert.is_true(list[i].term > list[i - 1].term and list[i].at_ms > list[i - 1].at_ms)
    end
    local last <const> = list[#list]
    assert.same({ world:leader(), world:status(world:leader()).term }, { last.node, last.term })
    assert.is_true(last.at_ms <= world:now() and last.at_ms > world:now() - 1000)
  end)

  it("are the newest thousand", function()
    local world <close> = sim.world { nodes = 1, seed = 1, heartbeat_ms = 2, election_min_ms = 4, election_max_ms = 6,
      segment_bytes = 4096, snapshot_threshold = 1, snapshot_tail = 1 }
    for _ = 1, 1010 do
      assert(world:run(1000, function() return world:leader() ~= nil end))
      world:run(5) -- its vote is on disk
      world:kill(1)
      world:restart(1)
    end
    local list <const> = world:leaders()
    assert.equal(1010, world:stats().elections)
    assert.equal(1000, #list)
    assert.equal(world:status(1).term, list[1000].term)
    for i = 2, 1000 do assert.is_true(list[i].term > list[i - 1].term) end
  end)
end)

describe("the records for a report", function()
  local function records(directory)
    local world <close> = worlds.open("sim", { nodes = 3, seed = 1, config = {}, directory = directory })
    world.inner:load { clients = 8 }
    world:sleep(10000)
    local list = {}
    for record in world:records() do list[#list + 1] = record end
    return list
  end

  it("are all there in a world with a directory, by the names of the nodes", function()
    local list <const> = records "anywhere"
    assert.is_true(#list > KEPT)
    local peers = 0
    for i, record in ipairs(list) do
      if record.peer then peers = peers + 1 end
      assert.is_true(record.node == nil or record.node:find("^n[1-3]$") ~= nil)
      assert.is_true(i == 1 or record.event >= list[i - 1].event and record.at_ms >= list[i - 1].at_ms)
    end
    assert.is_true(peers > 1000)
  end)

  it("begin elsewhere with a word about those that are gone", function()
    local list <const> = records(nil)
    assert.equal(KEPT + 1, #list)
    assert.equal("lost", list[1].kind)
    assert.is_not_equal("lost", list[2].kind)
  end)
end)
