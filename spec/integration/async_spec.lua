-- Asynchronous writes in a cluster with real sockets: who takes them, who tells what became of them.
local nodes = require "spec.support.nodes"
local task = require "kvserver.task"

local ASYNC <const> = { mode = "async" }

-- What a client is told once the outcome is known.
local function outcome(c, op_id)
  return assert(task.wait_until(function()
    local told = assert(c:operation(op_id))
    return told.ready ~= false and told
  end, 10000))
end

describe("an asynchronous write in a cluster", function()
  it("is taken by the leader, wherever it is sent, and told wherever one asks", function()
    local c <close> = nodes.cluster()
    local leader, others = c:wait_leader()
    local taken = c:client(others[1]):put("k", "v", ASYNC)
    assert.equal(202, taken.status)
    assert.matches("^" .. leader .. "%-", taken.op_id)
    local told = outcome(c:client(others[2]), taken.op_id)
    assert.is_true(told.result.ok)
    assert.equal("v", c:client(others[1]):get("k", { read = "stale", min_index = told.index }).value)
  end)

  it("is sent to the leader by the others, and so is who asks, each once", function()
    local c <close> = nodes.cluster()
    local leader, others = c:wait_leader()
    local follower = c:client(others[1], { follow = false })
    local refused = follower:http("PUT", "/kv/k?mode=async", { body = '{"value":"v"}', follow = false })
    assert.equal(307, refused.status)
    assert.equal(("http://%s/kv/k?mode=async"):format(c.peers[leader]), refused.headers.location)
    local id = c:client(leader):put("k", "v", ASYNC).op_id
    assert.equal("not_owner", follower:operation(id).err_code)
    local asked = follower:http("GET", "/ops/" .. id, { follow = false })
    assert.equal(307, asked.status)
    assert.equal(("http://%s/ops/%s?redirected=1"):format(c.peers[leader], id), asked.headers.location)
  end)

  it("is seen by a linearizable read that comes behind it at the leader, applied or not", function()
    local c <close> = nodes.cluster { enable_faults = true }
    local leader, others = c:wait_leader()
    for _, id in ipairs(others) do c.servers[leader]:fault_link(id, { delay_ms = 20 }) end
    local client = c:client(leader)
    for i = 1, 5 do
      assert.equal(202, client:put("k", tostring(i), ASYNC).status)
      assert.equal(tostring(i), client:get("k").value)
    end
  end)

  it("is not known any more once the member that took it was started again", function()
    local c <close> = nodes.cluster()
    local leader, others = c:wait_leader()
    local id = c:client(leader):put("k", "v", ASYNC).op_id
    outcome(c:client(leader), id)
    c:crash(leader)
    assert.same({ nil, "connect" }, { (select(1, c:client(others[1]):operation(id))),
      (select(2, c:client(others[1]):operation(id))) })
    c:start(leader)
    c:wait_leader()
    local told = c:client(others[1]):operation(id)
    assert.same({ 404, "not_found" }, { told.status, told.err_code })
    assert.matches("another start of this node", told.err_msg)
  end)
end)
