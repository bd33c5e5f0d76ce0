-- The nemesis: what it does to a cluster, how much of it at most, and that all of it is undone.
local check = require "kvserver.check"
local story = require "kvserver.scenario.story"
local kv = require "kvserver.scenario"

local function tell(seed, nodes, f)
  local result = story.tell("a story", { nodes = nodes, timeout = "5m" }, f, { world = "sim", seed = seed })
  result.cluster:destroy()
  assert.equal("pass", result.verdict, result.why)
  return result
end

local EVERYTHING <const> = {
  kill = { every = "300ms", lasts = "500ms" }, pause = { every = "300ms", lasts = "500ms" },
  disk = { every = "300ms", lasts = "500ms" }, partition = { every = "500ms", lasts = "500ms" },
}

-- How many nodes are down, paused, or have a sick disk.
local function disturbed_count(c)
  local count = 0
  for _, node in ipairs(c:nodes()) do
    if node:state() ~= "up" or next(node.disk.state) then count = count + 1 end
  end
  return count
end

describe("a nemesis", function()
  it("never disturbs a majority, however often it strikes", function()
    for _, nodes in ipairs { 3, 5 } do
      for seed = 1, 3 do
        local most = 0
        tell(seed, nodes, function(c)
          kv.always("a majority is well", function()
            most = math.max(most, disturbed_count(c))
            return most <= (nodes - 1) // 2
          end)
          local nemesis = c:nemesis(EVERYTHING)
          kv.sleep "10s"
          nemesis:stop()
        end)
        assert.is_true(most > 0)
      end
    end
  end)

  it("does all that it was told to, and counts it; when it stops, nothing is wrong any more", function()
    tell(1, 5, function(c)
      local nemesis = c:nemesis(EVERYTHING)
      kv.sleep "10s"
      nemesis:stop()
      for _, kind in ipairs { "kill", "pause", "disk", "partition" } do
        assert.is_true((nemesis.counts[kind] or 0) > 0, kind)
      end
      assert.equal(0, disturbed_count(c))
      assert.is_nil(c.net.is_cut)
      c:wait_converged()
      check.same_state(c)
    end)
  end)

  it("draws from the seed", function()
    local function told(seed)
      local texts = {}
      local result = tell(seed, 3, function(c)
        local nemesis = c:nemesis(EVERYTHING)
        kv.sleep "3s"
        nemesis:stop()
      end)
      for i, line in ipairs(result.lines) do texts[i] = ("%.3f %s"):format(line.at, line.text) end
      return table.concat(texts, "\n")
    end
    assert.equal(told(5), told(5))
    assert.not_equal(told(5), told(6))
  end)

  it("refuses what it does not know", function()
    tell(1, 3, function(c)
      local function flood() c:nemesis { flood = {} } end
      assert.error_matches(flood, "expected kill, partition, pause or disk, got flood")
    end)
  end)
end)

describe("c:calm", function()
  it("undoes every fault, starts what is down, and waits until all agree", function()
    tell(1, 5, function(c)
      c:node(1):kill()
      c:node(2):pause()
      c:node(3).disk:slow "100ms"
      c.net:isolate(c:node(4))
      c:calm()
      assert.equal(0, disturbed_count(c))
      check.same_state(c)
    end)
  end)
end)
