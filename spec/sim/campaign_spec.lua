local log = require "kvserver.log"
local nemesis = require "kvserver.sim.nemesis"
local process = require "kvserver.process"
local seed_module = require "kvserver.sim.seed"
local sim = require "kvserver.sim"

local function campaign(arguments, env)
  local args = { process.self(), "--script", "scenarios/campaign.lua" }
  table.move(arguments, 1, #arguments, 4, args)
  return process.run { args = args, env = env, timeout_ms = 300000 }
end

-- A directory with a module that stands in for kvserver.sim.seed.
local function stand_in(source)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p %s/kvserver/sim"):format(dir)))
  local file <close> = assert(io.open(dir .. "/kvserver/sim/seed.lua", "w"))
  file:write(source)
  return setmetatable({ path = dir }, { __close = function() os.execute("rm -r " .. dir) end })
end

-- Of simulated disks that fail nobody needs to hear.
local function silence()
  setup(function() log.configure("none", "logfmt") end)
  teardown(function() log.configure("error", "logfmt") end)
end

describe("a seed of the campaign", function()
  silence()

  it("is the same each time", function()
    local first, second = seed_module.run(11), seed_module.run(11)
    assert.is_true(first.ok, first.why)
    assert.equal(first.digest, second.digest)
    assert.same(first.stats, second.stats)
  end)

  it("that shows nothing is worth nothing", function()
    local function emptiness(changes, killed)
      local stats = { acked_writes = 1, answered_reads = 1, leader_changes = 1, messages = 1 }
      for name, value in pairs(changes) do stats[name] = value end
      return seed_module.emptiness(stats, killed)
    end
    assert.is_nil(emptiness({}, true))
    assert.equal("no leader was killed", emptiness({}, false))
    for name, why in pairs { acked_writes = "no write", answered_reads = "no read", leader_changes = "the leader never",
      messages = "no message" } do
      assert.matches(why, emptiness({ [name] = 0 }, true))
    end
  end)

  it("lasts 60 virtual seconds, with clients, faults and a new leader", function()
    local result = seed_module.run(12)
    assert.is_true(result.ok, result.why)
    assert.equal(60000, result.virtual_ms)
    assert.equal("pass", result.verdict)
    assert.is_true(result.stats.acked_writes + result.stats.answered_reads >= 500)
    assert.is_true(result.stats.leader_changes >= 1 and result.stats.faults.crash >= 1)
  end)
end)

describe("the campaign", function()
  it("passes forty seeds, and shows how often each kind of fault happened", function()
    local done = campaign { "--seeds", "1..40" }
    assert.equal(0, done.code, done.stdout)
    assert.matches("40 seeds in", done.stdout)
    assert.matches("undecided 0 ", done.stdout)
    assert.is_true(tonumber(done.stdout:match("\nleader_crash +(%d+)")) >= 40)
    for _, fault in ipairs { "isolate", "one_way", "partition", "storm", "crash", "untold", "restart", "wipe", "pause",
      "cut", "slow_disk", "fail_disk", "fail_sync", "full_disk", "no_room", "full_start", "rot", "rot_found", "kill",
      "cut_short", "start_cut", "taken", "installed", "sent", "resumed", "clock_rate", "lost", "duplicated",
      "overtaken", "transfer", "link_down" } do
      local times = done.stdout:match("\n" .. fault .. " +(%d+)")
      assert.is_true(times and tonumber(times) > 0, fault)
    end
  end)

  it("stops at the first failure, says why, and prints the line that replays it", function()
    local dir <close> = stand_in [[
      return { run = function(number)
        return { ok = number ~= 7, why = "planted", trace = "the trace", verdict = number ~= 7 and "pass" or nil,
          stats = { events = 1, acked_writes = 1, async_writes = 1, answered_reads = 1, leader_changes = 1,
            elections = 1, commits = 1, faults = {}, snapshots = {} }, tried = {},
          digest = "00", virtual_ms = 60000, cpu_s = 0.001 }
      end }]]
    local done = campaign({ "--seeds", "1..5000", "--jobs", "2" }, { KVSERVER_LUA = dir.path })
    assert.equal(1, done.code)
    assert.matches("seed 7 failed: planted\nthe trace", done.stdout)
    assert.matches("replay: kvserver %-%-script scenarios/campaign.lua %-%-seeds 7%.%.7", done.stdout)
    assert.is_true(tonumber(done.stdout:match("(%d+) seeds in")) < 200)
  end)

  it("fails when too little happened in its seeds, on average, or something in none of them", function()
    local source <const> = [[
      return { run = function()
        return { ok = true, verdict = "pass", digest = "00", virtual_ms = 60000, cpu_s = 0.001, tried = {},
          stats = { events = 1, acked_writes = %d, async_writes = 1, answered_reads = 300, leader_changes = %d,
            elections = 1, commits = 1,
            faults = { untold = 1, cut_short = 1, start_cut = 1, no_room = 1, rot_found = 1 },
            snapshots = { taken = 1, installed = 1, resumed = %d, cut = 1 } } }
      end }]]
    for _, case in ipairs { { 199, 3, 1, "too few operations" }, { 200, 2, 1, "too few leader changes" },
      { 200, 3, 0, "no snapshot resumed in all seeds" }, { 200, 3, 1 } } do
      local dir <close> = stand_in(source:format(case[1], case[2], case[3]))
      local done = campaign({ "--seeds", "1..20" }, { KVSERVER_LUA = dir.path })
      assert.equal(case[4] and 1 or 0, done.code)
      assert.is_truthy(done.stdout:find(case[4] or "20 seeds in", 1, true))
    end
  end)

  it("fails when too many histories are undecided", function()
    local dir <close> = stand_in [[
      return { run = function(number)
        return { ok = true, verdict = number <= 2 and "undecided" or "pass", digest = "00", virtual_ms = 60000,
          cpu_s = 0.001, stats = { events = 1, acked_writes = 1, async_writes = 1, answered_reads = 1,
            leader_changes = 1, elections = 1, commits = 1, faults = {}, snapshots = {} }, tried = {} }
      end }]]
    assert.equal(1, campaign({ "--seeds", "1..10" }, { KVSERVER_LUA = dir.path }).code)
    assert.equal(0, campaign({ "--seeds", "2..10" }, { KVSERVER_LUA = dir.path }).code)
  end)

  it("names the seed in which a worker died", function()
    local dir <close> = stand_in [[
      return { run = function(number)
        if number == 3 then os.exit(99) end
        return { ok = true, verdict = "pass", digest = "00", virtual_ms = 60000, cpu_s = 0.001,
          stats = { events = 1, acked_writes = 1, async_writes = 1, answered_reads = 1, leader_changes = 1,
            elections = 1, commits = 1, faults = {}, snapshots = {} }, tried = {} }
      end }]]
    local done = campaign({ "--seeds", "1..10", "--jobs", "1" }, { KVSERVER_LUA = dir.path })
    assert.equal(1, done.code)
    assert.matches("seed 3 failed", done.stdout)
  end)

  it("refuses arguments that it does not understand", function()
    for _, arguments in ipairs { {}, { "--seeds", "5" }, { "--seeds", "9..1" }, { "--seed", "1..2" } } do
      local done = campaign(arguments)
      assert.equal(2, done.code)
      assert.matches("usage:", done.stderr)
    end
  end)
end)

describe("the nemesis", function()
  silence()

  it("does the same for the same seed", function()
    local digests = {}
    for i = 1, 2 do
      local world <close> = sim.world { nodes = 3, seed = 21 }
      local bad = nemesis.new(world, 3)
      assert(bad:run(10000))
      digests[i] = world:digest()
    end
    assert.equal(digests[1], digests[2])
  end)

  it("leaves a world in which everything works", function()
    for seed = 1, 20 do
      local world <close> = sim.world { nodes = 3, seed = seed }
      local bad = nemesis.new(world, 3)
      assert(bad:run(10000))
      bad:stop()
      for node = 1, 3 do
        local status = world:status(node)
        assert.same({ true, false, false, false, false },
          { status.up, status.paused, status.faulty, status.failed, status.disk_full })
      end
      assert.is_true(world:run(10000, function() return world:leader() ~= nil end))
    end
  end)
end)
