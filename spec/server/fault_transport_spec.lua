-- What a node's faults do to the messages that it sends, seen from the outside of three nodes.
local nodes = require "spec.support.nodes"
local server = require "kvserver.server"
local task = require "kvserver.task"

local DEADLINE_MS <const> = 10000
local WAITING_MAX <const> = 1024 -- as in src/server/fault_transport.h

local function wait_until(condition)
  return assert(task.wait_until(condition, DEADLINE_MS))
end

local function faulty_cluster(options)
  local all = { enable_faults = true }
  for name, value in pairs(options or {}) do all[name] = value end
  local c = nodes.cluster(all)
  local leader, followers = c:wait_leader()
  return c, leader, followers
end

-- Sets what `from` sends to each of `others`; nil undoes it.
local function link(c, from, others, state)
  for _, to in ipairs(others) do c.servers[from]:fault_link(to, state) end
end

local function counts(c, id)
  return c.servers[id]:faults().counts
end

-- The leader in a later term than that.
local function wait_other_leader(c, ids, term)
  return wait_until(function()
    for _, id in ipairs(ids) do
      local status = c.servers[id]:status()
      if status.role == "leader" and status.term > term then return id end
    end
  end)
end

describe("a leader that is cut off", function()
  it("is replaced, its write is not acknowledged, and it follows once the cut is over", function()
    local c <close>, leader, followers = faulty_cluster()
    local term = c.servers[leader]:status().term
    link(c, leader, followers, { cut = true })
    for _, id in ipairs(followers) do link(c, id, { leader }, { cut = true }) end
    assert.is_nil((c:client(leader):put("k", "lost", { timeout_ms = 300 })))
    local other = wait_other_leader(c, followers, term)
    local kept = c:client(other):put("k", "kept")
    assert.is_true(kept.ok)
    assert.is_true(c.servers[leader]:status().last_applied < kept.index)
    link(c, leader, followers)
    for _, id in ipairs(followers) do link(c, id, { leader }) end
    c:wait_applied(leader, kept.index)
    assert.equal("kept", c:client(leader):get("k").value)
  end)

  it("on the way out only hears the others elect another", function()
    local c <close>, leader, followers = faulty_cluster()
    local term = c.servers[leader]:status().term
    link(c, leader, followers, { cut = true })
    local other = wait_other_leader(c, followers, term)
    -- The one way that is left suffices to follow: answers are owed, not given.
    c:wait_applied(leader, c:client(other):put("k", "v").index)
    assert.is_true(wait_until(function() return c.servers[leader]:faults().links[other].owed > 0 end))
    link(c, leader, followers)
    assert.equal(0, c.servers[leader]:faults().links[other].owed)
    assert.is_true(c:client(other):put("k", "w").ok)
  end)
end)

describe("a follower whose answers are cut", function()
  it("is silent to its leader, which gives up the link, and counts again once the cut is over", function()
    local c <close>, leader, followers = faulty_cluster()
    local silent, other = followers[1], followers[2]
    link(c, silent, { leader, other }, { cut = true })
    local client = c:client(leader)
    assert.is_true(client:put("k", "1").ok)
    wait_until(function() return c.servers[silent]:faults().links[leader].owed > 0 end)
    -- Its acknowledgement is what the leader needs now, and does not get.
    link(c, other, { leader }, { cut = true })
    assert.is_nil((client:put("k", "2", { timeout_ms = 300 })))
    link(c, silent, { leader, other })
    link(c, other, { leader })
    local now_leads = c:wait_leader()
    c:wait_applied(silent, c:client(now_leads):put("k", "3").index)
  end)
end)

describe("messages", function()
  local c, leader, followers

  setup(function() c, leader, followers = faulty_cluster() end)
  after_each(function()
    for _, id in ipairs { "n1", "n2", "n3" } do
      for _, to in ipairs { "n1", "n2", "n3" } do
        if to ~= id then c.servers[id]:fault_link(to) end
      end
    end
    leader, followers = c:wait_leader()
  end)
  teardown(function() c:__close() end)

  it("take as long as they are told to", function()
    link(c, leader, followers, { delay_ms = 120 })
    local start_ms <const> = task.now_ms()
    assert.is_true(c:client(leader):put("k", "v").ok)
    assert.is_true(task.now_ms() - start_ms >= 120)
    assert.is_true(counts(c, leader).delayed > 0)
  end)

  it("that are answers take as long, too", function()
    for _, id in ipairs(followers) do link(c, id, { leader }, { delay_ms = 120 }) end
    local start_ms <const> = task.now_ms()
    assert.is_true(c:client(leader):put("k", "v").ok)
    assert.is_true(task.now_ms() - start_ms >= 120)
  end)

  it("that wait wait no longer than they would under what is set next", function()
    link(c, leader, followers, { delay_ms = 60000 })
    wait_until(function() return c.servers[leader]:faults().links[followers[1]].waiting > 0 end)
    link(c, leader, followers)
    assert.equal(0, c.servers[leader]:faults().links[followers[1]].waiting)
  end)

  it("that wait when the direction is cut are lost", function()
    local to <const> = followers[1]
    link(c, leader, { to }, { delay_ms = 60000 })
    local waiting = wait_until(function()
      local count = c.servers[leader]:faults().links[to].waiting
      return count > 0 and count
    end)
    local before = counts(c, leader).dropped
    link(c, leader, { to }, { cut = true })
    assert.is_true(counts(c, leader).dropped >= before + waiting)
  end)

  it("that are dropped by count are made up for", function()
    local before = counts(c, leader).dropped
    for _, id in ipairs(followers) do c.servers[leader]:fault_drop_next(id, "append", 2) end
    assert.same({ append = 2 }, c.servers[leader]:faults().links[followers[1]].drop_next)
    local index = c:client(leader):put("k", "v").index
    for _, id in ipairs(followers) do c:wait_applied(id, index) end
    assert.equal(before + 4, counts(c, leader).dropped)
    assert.same({}, c.servers[leader]:faults().links[followers[1]].drop_next)
  end)

  it("of another kind than what is dropped pass", function()
    local before = counts(c, leader).dropped
    for _, id in ipairs(followers) do c.servers[leader]:fault_drop_next(id, "timeout_now") end
    assert.is_true(c:client(leader):put("k", "v").ok)
    assert.equal(before, counts(c, leader).dropped)
  end)

  it("that are answers, dropped by count, leave the link up", function()
    local id <const> = followers[1]
    c.servers[id]:fault_drop_next(leader, "append_reply", 3)
    c.servers[followers[2]]:fault_link(leader, { cut = true }) -- so that the first one is needed
    assert.is_true(c:client(leader):put("k", "v").ok)
    assert.same({}, c.servers[id]:faults().links[leader].drop_next)
    assert.equal(0, c.servers[id]:faults().links[leader].owed)
  end)

  it("lost by chance are made up for", function()
    local before = counts(c, leader).dropped
    link(c, leader, followers, { drop = 0.5 })
    for i = 1, 10 do assert.is_true(c:client(leader):put("k", tostring(i)).ok) end
    wait_until(function() return counts(c, leader).dropped > before end)
  end)

  it("that come twice count once", function()
    link(c, leader, followers, { dup = 1 })
    local client = c:client(leader)
    local index
    for i = 1, 10 do index = client:put("k" .. i, "v").index end
    assert.is_true(counts(c, leader).duplicated >= 10)
    for _, id in ipairs(followers) do
      c:wait_applied(id, index)
      assert.equal(c.servers[leader]:stats().digest, c.servers[id]:stats().digest)
    end
  end)

  it("that are to come twice do so", function()
    local node <const>, to <const> = c.servers[leader], followers[1]
    local before <const> = node:faults().counts.duplicated
    node:fault_hold(to)
    node:fault_link(to, { dup = 1 })
    wait_until(function() return node:faults().links[to].waiting >= 2 end)
    local faults <const> = node:faults()
    assert.equal(2 * (faults.counts.duplicated - before), faults.links[to].waiting)
  end)

  it("keep their order under jitter, and overtake each other only when they may", function()
    local client = c:client(leader)
    link(c, leader, followers, { jitter_ms = 60 })
    local before = counts(c, leader).overtaking
    for i = 1, 5 do client:put("k", tostring(i)) end
    assert.equal(before, counts(c, leader).overtaking)
    link(c, leader, followers, { jitter_ms = 60, reorder = 1 })
    wait_until(function()
      return client:put("k", "v").ok and counts(c, leader).overtaking > before
    end)
  end)

  it("that are held come when they are released", function()
    local to <const> = followers[1]
    c.servers[leader]:fault_hold(to)
    local index = c:client(leader):put("k", "v").index
    c:wait_applied(followers[2], index)
    wait_until(function() return c.servers[leader]:faults().links[to].waiting > 1 end)
    c.servers[leader]:fault_link(followers[2]) -- another direction is no business of theirs
    assert.is_true(c.servers[leader]:faults().links[to].held)
    assert.is_true(c.servers[leader]:faults().links[to].waiting > 1)
    assert.is_true(c.servers[to]:status().last_applied < index)
    c.servers[leader]:fault_release(to)
    c:wait_applied(to, index)
  end)
end)

describe("messages that are held for long", function()
  it("are the newest ones", function()
    local c <close>, leader, followers = faulty_cluster { heartbeat_ms = 1, fixed_leader = "n1" }
    local node <const>, to <const> = c.servers[leader], followers[1]
    node:fault_hold(to)
    wait_until(function() return node:faults().counts.dropped > 0 end)
    assert.equal(WAITING_MAX, node:faults().links[to].waiting)
    node:fault_release(to)
    c:wait_applied(to, c:client(leader):put("k", "v").index)
  end)
end)

describe("a node that ends", function()
  it("leaves no answer behind that it owes, delays or holds", function()
    local c <close>, leader, followers = faulty_cluster()
    local owing <const>, holding <const> = c.servers[followers[1]], c.servers[followers[2]]
    owing:fault_link(leader, { cut = true })
    holding:fault_hold(leader)
    wait_until(function()
      return owing:faults().links[leader].owed > 0 and holding:faults().links[leader].waiting > 0
    end)
    for _, to in ipairs(followers) do c.servers[leader]:fault_link(to, { delay_ms = 60000 }) end
    wait_until(function() return c.servers[leader]:faults().links[followers[1]].waiting > 0 end)
    for _, id in ipairs { "n1", "n2", "n3" } do c:crash(id) end -- what is left behind would end this process
  end)
end)

describe("a node without faults", function()
  it("says so", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0" })
    assert.has_error(function() node:fault_link("n2", { cut = true }) end,
      "faults are not enabled: the node was started without enable_faults")
    assert.has_error(function() node:faults() end,
      "faults are not enabled: the node was started without enable_faults")
  end)
end)

describe("a fault that makes no sense is refused:", function()
  local node

  setup(function()
    node = assert(server.start { listen = "127.0.0.1:0", enable_faults = true,
      peers = { n1 = "127.0.0.1:1", n2 = "127.0.0.1:2" } })
  end)
  teardown(function() node:close() end)

  local cases <const> = {
    { "a stranger", "fault_link", { "n9" }, 'expected another member of the cluster, got "n9"' },
    { "the node itself", "fault_hold", { "n1" }, 'expected another member of the cluster, got "n1"' },
    { "an unknown field", "fault_link", { "n2", { delay = 1 } }, "delay: expected cut, delay_ms, jitter_ms, drop" },
    { "a list", "fault_link", { "n2", { true } }, "expected a table of named fields" },
    { "a long delay", "fault_link", { "n2", { delay_ms = 60001 } }, "delay_ms: expected an integer from 0 to 60000" },
    { "a delay that is a text", "fault_link", { "n2", { jitter_ms = {} } }, "jitter_ms: expected an integer" },
    { "a chance above 1", "fault_link", { "n2", { drop = 1.5 } }, "drop: expected a number from 0 to 1" },
    { "a chance that is no number", "fault_link", { "n2", { dup = 0 / 0 } }, "dup: expected a number from 0 to 1" },
    { "a cut that is a text", "fault_link", { "n2", { cut = "yes" } }, "cut: expected true or false" },
    { "an unknown message", "fault_drop_next", { "n2", "gossip" }, 'no message is called "gossip"' },
    { "a negative count", "fault_drop_next", { "n2", "append", -1 }, "out of range" },
  }
  for _, case in ipairs(cases) do
    local name <const>, method <const>, arguments <const>, message <const> = table.unpack(case)
    it(name, function()
      local ok, why = pcall(node[method], node, table.unpack(arguments))
      assert.is_false(ok)
      assert.matches(message, why, 1, true)
      assert.same({ cut = false, delay_ms = 0, jitter_ms = 0, drop = 0, dup = 0, reorder = 0, held = false, waiting = 0,
        owed = 0, drop_next = {} }, node:faults().links.n2)
    end)
  end
end)
