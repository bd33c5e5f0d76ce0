-- Whether a node says that it is fit for work.
local nodes = require "spec.raft.node.nodes"

local LAG_MAX <const> = 4096 -- NODE_READY_LAG_MAX

local function put(key, value)
  return { op = "put", key = key, value = value }
end

local function write(n, count)
  for i = 1, count do n[1]:propose(put("k" .. i, "v")) end
  n:settle()
end

-- What goes to node 3 is kept back, but for one heartbeat.
local function one_heartbeat()
  local passed = false
  return function(message)
    if message.to ~= 3 or message.type ~= "append" or passed then return message.to == 3 end
    passed, message.entries, message.entries_count = true, "", 0
  end
end

local function ready(n)
  local status = n[3]:status()
  return status.not_ready, status.behind
end

describe("a node", function()
  local n

  before_each(function()
    n = nodes.new(3)
    n:elect(1)
  end)
  after_each(function() n:__close() end)

  it("is ready as a leader, and as a follower that has all its leader has", function()
    assert.is_nil(n[1]:status().not_ready)
    assert.same({ nil, 0 }, { ready(n) })
  end)

  it("is not ready without a leader", function()
    n:advance(3, 5000)
    n.down[1], n.down[2] = true, true
    n:settle()
    assert.equal("no leader is known", (ready(n)))
  end)

  it("that was away is not ready until it has applied what was committed meanwhile", function()
    n.down[3] = true
    write(n, 20)
    n:restart(3)
    n:advance(1, 50)
    n:settle(one_heartbeat())
    local why, behind = ready(n)
    assert.equal("it is catching up", why)
    assert.equal(n[1]:status().commit_index - n[3]:status().last_applied, behind)
    assert.is_true(behind >= 20)
    n:heartbeat(1)
    n:heartbeat(1)
    assert.same({ nil, 0 }, { ready(n) })
    assert.equal(n[1]:status().last_applied, n[3]:status().last_applied)
  end)

  it("that leads again after a restart is not ready before it has applied its log", function()
    local alone <close> = nodes.new(1)
    alone:elect(1)
    for i = 1, 5 do alone[1]:propose(put("k" .. i, "v")) end
    alone:settle()
    alone:restart(1)
    assert.is_truthy(alone[1]:status().not_ready)
    alone:elect(1)
    assert.is_nil(alone[1]:status().not_ready)
    assert.equal(7, alone[1]:status().last_applied)
  end)

  it("that was caught up may lag a little, but not far", function()
    for i = 1, 10 do n[1]:propose(put("k" .. i, "v")) end
    n:settle(one_heartbeat())
    n:advance(1, 50)
    n:settle(one_heartbeat())
    assert.is_nil((ready(n)))
    for i = 1, LAG_MAX do n[1]:propose(put("k" .. i, "v")) end
    n:settle(one_heartbeat())
    n:advance(1, 50)
    n:settle(one_heartbeat())
    local why, behind = ready(n)
    assert.equal("it is catching up", why)
    assert.equal(LAG_MAX + 10, behind)
  end)
end)
