-- Worlds of real nodes: ends, expected and not, and what disks do to them.
local log = require "kvserver.log"
local task = require "kvserver.task"
local worlds = require "spec.support.worlds"

local SLOW_MS <const> = 20000
local SHORT_MS <const> = 100

for name, open in worlds.both() do
describe("in " .. name, function()
  it("a power cut takes what was not synced, a kill does not", function()
    local world <close> = open()
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "a", "acknowledged").ok)
    for _, how in ipairs { { lose_unsynced = true }, {} } do
      world:disk("n1", { slow_ms = SLOW_MS })
      local answer <const>, why = worlds.put(world, "n1", "b", "not yet", SHORT_MS)
      assert.same({ false, "timeout" }, { answer or false, why })
      world:kill("n1", how)
      world:disk("n1", {})
      worlds.start(world)
      assert.equal("acknowledged", worlds.read(world, "n1", "a"))
      assert.equal(how.lose_unsynced and "nothing" or "not yet", worlds.read(world, "n1", "b") or "nothing")
    end
  end)

  it("a torn write is cut off at the next start", function()
    local world <close> = open()
    worlds.start(world)
    assert.is_true(worlds.put(world, "n1", "a", "acknowledged").ok)
    world:disk("n1", { torn_next = true, slow_ms = SLOW_MS })
    worlds.put(world, "n1", "b", ("x"):rep(20000), SHORT_MS)
    world:kill("n1", { lose_unsynced = true })
    world:disk("n1", {})
    worlds.start(world)
    assert.equal("acknowledged", worlds.read(world, "n1", "a"))
    assert.is_nil(worlds.read(world, "n1", "b"))
  end)

  it("a full disk takes no writes until it has room, over a start, too", function()
    local world <close> = open()
    worlds.start(world)
    local function is_refused()
      local answer <const> = worlds.put(world, "n1", "k", ("x"):rep(10000))
      return answer and answer.err_code == "disk_full"
    end
    world:disk("n1", { full = true })
    worlds.wait(world, is_refused)
    world:kill("n1", {})
    assert(world:start("n1"))
    worlds.wait(world, is_refused)
    world:disk("n1", {})
    worlds.wait(world, function() return not is_refused() end)
  end)

  it("a node whose syncs fail ends by itself, and starts again once they do not", function()
    local world <close> = open()
    worlds.start(world)
    log.configure("none", "logfmt") -- until the next world is opened: this failure is meant
    world:disk("n1", { fail_sync = true })
    worlds.put(world, "n1", "k", "v", SHORT_MS)
    worlds.wait(world, function() return world:state "n1" == "dead" end)
    assert.matches("sync", (select(2, world:state "n1")))
    assert.is_nil(world:status "n1")
    assert.equal("connect", (select(2, worlds.put(world, "n1", "k", "v"))))
    world:disk("n1", {})
    assert.is_true(world:start "n1")
    assert.equal("up", (world:state "n1"))
  end)
end)
end

describe("in child", function()
  local open <const> = worlds.opener "child"

  it("a node that somebody else kills is dead, and says how it ended", function()
    local world <close> = open()
    worlds.start(world)
    world.cluster.processes.n1:kill()
    worlds.wait(world, function() return world:state "n1" == "dead" end)
    assert.matches("^signal 9: ", (select(2, world:state "n1")))
    worlds.start(world)
    world:kill("n1", {})
    assert.equal("down", (world:state "n1"))
  end)

  it("nobody sees a node that is killed on purpose as one that ended by itself", function()
    local world <close> = open()
    local seen = {}
    for _, verb in ipairs { "stop", "kill", "lose", "stop paused" } do
      worlds.start(world)
      if verb == "stop paused" then world:pause "n1" end
      local watcher <const> = task.spawn(function()
        while true do
          seen[world:state "n1"] = true
          task.yield()
        end
      end)
      if verb:find "stop" then world:stop "n1" else world:kill("n1", { lose_unsynced = verb == "lose" }) end
      watcher:cancel()
    end
    assert.is_true(seen.down)
    assert.is_nil(seen.dead)
  end)
end)
