-- A look inside a server: what it knows of consensus, and of clients.
local client = require "kvserver.client"
local nodes = require "spec.support.nodes"
local server = require "kvserver.server"

describe("a look at consensus", function()
  it("shows peers and votes at the leader, timers at a follower", function()
    local c <close> = nodes.cluster()
    local leader <const>, followers = c:wait_leader()
    local there <const>, here = c.servers[leader]:raft(), c.servers[followers[1]]:raft()
    assert.same({ leader, 0, 0, 2 },
      { there.voted_for, there.leader_silent_ms, there.campaign_in_ms, #there.peers })
    assert.same({ followers[1], followers[2] }, { there.peers[1].id, there.peers[2].id })
    assert.is_true(#there.granted >= 2)
    assert.same({ 0, 0 }, { #here.peers, #here.granted })
    assert.is_true(here.campaign_in_ms > 0 and here.campaign_in_ms <= 400)
    assert.is_true(here.leader_silent_ms < 400)
  end)

  it("shows no campaign where there are none", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0", fixed_leader = "n2",
      peers = { n1 = "127.0.0.1:0", n2 = "127.0.0.1:1" } })
    assert.equal(0, node:raft().campaign_in_ms)
  end)
end)

describe("a look at clients", function()
  it("shows their last request, in order, as many as asked for", function()
    local node <close> = assert(server.start { listen = "127.0.0.1:0" })
    local c <close> = client.connect { port = node:port() }
    assert.is_true(c:put("k", "v", { client_id = "b1", seq = 7 }).ok)
    assert.equal(1, c:delete("k", { client_id = "a", seq = 1 }).deleted)
    assert.equal("cas_failed", c:cas("k", "x", "y", { client_id = "b2", seq = 2 }).err_code)
    local all <const>, more = node:clients()
    assert.same({
      { client_id = "a", last_seq = 1, last_index = 3, reply = "ok", deleted = 1 },
      { client_id = "b1", last_seq = 7, last_index = 2, reply = "ok" },
      { client_id = "b2", last_seq = 2, last_index = 4, reply = "cas_failed" },
    }, all)
    assert.is_false(more)
    assert.same({ { "b1" }, true }, { { node:clients("b", 1)[1].client_id }, select(2, node:clients("b", 1)) })
    assert.same({ {}, false }, { node:clients("c") })
    assert.is_false((pcall(node.clients, node, "", 0)))
    assert.is_false((pcall(node.clients, node, "", 1001)))
  end)
end)
