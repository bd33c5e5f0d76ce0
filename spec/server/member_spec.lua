-- A member of a cluster: what it is to the others when it starts again.
local nodes = require "spec.support.nodes"
local task = require "kvserver.task"

local CATCH_UP_MS <const> = 5000

describe("a member that starts again with nothing, and the seed of before", function()
  it("is not taken for the one that held what it has lost: it is brought up to date", function()
    local c <close> = nodes.cluster { seed = 1 }
    local leader, others = c:wait_leader()
    local client = c:client(leader)
    for i = 1, 5 do assert(client:put("k" .. i, "v")) end
    local index = c.servers[leader]:status().last_applied
    local follower = others[1]
    c:wait_applied(follower, index)
    c:crash(follower)
    c:start(follower)
    assert.is_true(task.wait_until(function()
      local status = c.servers[follower]:status()
      return not status.not_ready and status.last_applied >= index
    end, CATCH_UP_MS) or false)
  end)
end)
