-- Three nodes in one process on real ports: what clients see of a cluster.
local nodes = require "spec.support.nodes"
local server = require "kvserver.server"
local task = require "kvserver.task"

describe("a cluster with a fixed leader", function()
  it("has that leader and replicates what is written to it "
    .. "[TestCluster_M1_3Nodes_WriteToLeader_ReplicatesToFollowers]", function()
    local c <close> = nodes.cluster { fixed_leader = "n2" }
    assert.equal("n2", c:wait_leader())
    local result = c:client("n2"):put("a", "1")
    assert.is_true(result.ok)
    local digest = c.servers.n2:stats().digest
    for _, id in ipairs { "n1", "n3" } do
      c:wait_applied(id, result.index)
      assert.equal(digest, c.servers[id]:stats().digest)
      assert.equal("1", c:client(id):get("a", { read = "stale" }).value)
    end
  end)

  it("has no other when that is gone, and none when it comes back with nothing", function()
    local c <close> = nodes.cluster { fixed_leader = "n2" }
    c:wait_leader()
    c:crash("n2")
    task.sleep(nodes.ELECTION_OVER_MS)
    for _, id in ipairs { "n1", "n3" } do
      assert.equal("follower", c.servers[id]:status().role)
    end
    c:start("n2")
    task.sleep(nodes.ELECTION_OVER_MS)
    for _, id in ipairs { "n1", "n2", "n3" } do
      assert.is_not_equal("leader", c.servers[id]:status().role)
    end
  end)
end)

describe("a follower", function()
  it("redirects writes to the leader, with path and query [TestCluster_M1_WriteToFollower_ReturnsRedirect]", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local client = c:client(followers[1])
    local response = client:http("PUT", "/kv/a%2Fb?mode=sync", { body = '{"value":"1"}', follow = false })
    assert.equal(307, response.status)
    assert.equal(("http://%s/kv/a%%2Fb?mode=sync"):format(c.peers[leader]), response.headers.location)
    assert.matches(('"err_code":"not_leader",.*"leader_hint":{"leader_id":"%s","leader_addr":"%s"}'):format(leader,
      c.peers[leader]), response.body)
    assert.equal(200, client:http("PUT", "/kv/a%2Fb", { body = '{"value":"1"}' }).status)
    assert.equal("1", client:get("a/b").value)
  end)

  it("waits for min_index until it has applied it", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local next_index = c.servers[leader]:status().last_applied + 1
    local waiting = task.spawn(function()
      return c:client(followers[1]):get("a", { read = "stale", min_index = next_index })
    end)
    assert.equal(next_index, c:client(leader):put("a", "1").index)
    assert.equal("1", waiting:join().value)
  end)

  it("reports no peers, the leader reports all", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local index = c:client(leader):put("a", "1").index
    for _, id in ipairs(followers) do c:wait_applied(id, index) end
    local status = c:client(leader):status()
    for _, id in ipairs(followers) do
      local peer = status.peers[id]
      assert.same({ index, index + 1 }, { peer.match_index, peer.next_index })
      assert.is_true(peer.last_contact_ms < 1000)
      assert.is_nil(next(c:client(id):status().peers))
    end
  end)
end)

describe("a cluster that loses its leader", function()
  it("elects another, in a later term [TestCluster_M2_LeaderCrash_NewLeaderElected]", function()
    local c <close> = nodes.cluster()
    local first = c:wait_leader()
    local term = c.servers[first]:status().term
    c:crash(first)
    local second = c:wait_leader()
    assert.not_equal(first, second)
    assert.is_true(c.servers[second]:status().term > term)
  end)

  it("keeps what was acknowledged and takes writes [TestCluster_M2_WriteAfterFailover_Succeeds]", function()
    local c <close> = nodes.cluster()
    local first = c:wait_leader()
    assert.is_true(c:client(first):put("before", "1").ok)
    c:crash(first)
    local second, followers = c:wait_leader()
    assert.is_true(c:client(second):put("after", "2").ok)
    for _, id in ipairs { second, followers[1] } do
      assert.same({ before = "1", after = "2" }, c:client(id):mget({ "before", "after" }).values)
    end
  end)

  it("takes it back as a follower, however empty it is, and brings it up to date", function()
    local c <close> = nodes.cluster()
    local first = c:wait_leader()
    c:client(first):put("a", "1")
    c:crash(first)
    local second = c:wait_leader()
    local term = c.servers[second]:status().term
    local index = c:client(second):put("b", "2").index
    c:start(first)
    c:wait_applied(first, index)
    assert.equal(c.servers[second]:stats().digest, c.servers[first]:stats().digest)
    assert.equal(second, (c:wait_leader()))
    assert.equal(term, c.servers[first]:status().term)
  end)
end)

describe("a cluster without a majority", function()
  it("says no_leader to writes and linearizable reads, and serves stale ones [TestDKV_M4_ReadPolicySwitch]", function()
    local c <close> = nodes.cluster { request_timeout_ms = 2000 }
    local leader, followers = c:wait_leader()
    local index = c:client(leader):put("a", "1").index
    c:wait_applied(followers[1], index)
    local client = c:client(followers[1])
    assert.equal("1", client:get("a", { read = "readindex" }).value)
    c:crash(leader)
    c:crash(followers[2])
    assert(task.wait_until(function() return c.servers[followers[1]]:status().leader_id == "" end, 5000))
    local refused = client:get("a", { read = "readindex" })
    assert.same({ 503, "no_leader" }, { refused.status, refused.err_code })
    assert.same({ leader_id = "", leader_addr = "" }, refused.leader_hint)
    assert.equal("1", client:get("a", { read = "stale" }).value)
    local response = client:http("PUT", "/kv/a", { body = '{"value":"2"}' })
    assert.same({ 503, "1" }, { response.status, response.headers["retry-after"] })
    local not_ready = client:readyz()
    assert.same({ 503, "not_ready", "no leader is known" }, { not_ready.status, not_ready.err_code, not_ready.err_msg })
    assert.is_true(client:healthz().ok)
  end)

  it("answers reads by the policy of the node unless the request has its own", function()
    local c <close> = nodes.cluster { read_policy = "stale", request_timeout_ms = 2000 }
    local leader, followers = c:wait_leader()
    c:wait_applied(followers[1], c:client(leader):put("a", "1").index)
    c:crash(leader)
    c:crash(followers[2])
    assert(task.wait_until(function() return c.servers[followers[1]]:status().leader_id == "" end, 5000))
    assert.equal("1", c:client(followers[1]):get("a").value)
    assert.equal("no_leader", c:client(followers[1]):get("a", { read = "readindex" }).err_code)
  end)
end)

describe("a linearizable read", function()
  it("at a follower sees every write that was acknowledged before it "
    .. "[TestDKV_M4_ReadIndex_ReadWaitsForCommitAndApply]", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local writer = c:client(leader)
    local readers = { c:client(followers[1]), c:client(followers[2]), c:client(leader) }
    for i = 1, 100 do
      local written = writer:put("a", tostring(i))
      for _, reader in ipairs(readers) do
        local read = reader:get("a")
        assert.equal(tostring(i), read.value)
        assert.is_true(read.index >= written.index)
      end
    end
  end)
end)

describe("a message", function()
  it("of a stranger or another cluster is refused with 403, bad JSON with 400, and nothing changes", function()
    local c <close> = nodes.cluster()
    local leader, followers = c:wait_leader()
    local term = c.servers[leader]:status().term
    local client = c:client(leader)
    local heartbeat <const> = '{"leader_id":"%s","term":99,"prev_log_index":0,"prev_log_term":0,"leader_commit":0,'
      .. '"entries":[]%s}'
    local rows = {
      { 403, heartbeat:format("n9", "") },
      { 403, heartbeat:format(leader, "") }, -- itself
      { 403, heartbeat:format(followers[1], ',"cluster":"0123456789abcdef"') },
      { 400, "{" },
    }
    for _, row in ipairs(rows) do
      assert.equal(row[1], client:http("POST", "/raft/append_entries", { body = row[2] }).status, row[2])
    end
    assert.equal(term, c.servers[leader]:status().term)
    assert.equal(leader, (c:wait_leader()))
  end)

  it("may be larger than clients' requests, so that what one node admits reaches the others", function()
    local c <close> = nodes.cluster { fixed_leader = "n1" }
    c:crash("n2")
    c.options.max_body_bytes = 100
    c:start("n2")
    c:wait_leader()
    local value = ("v"):rep(500000)
    local index = c:client("n1", { timeout_ms = 10000 }):put("big", value).index
    c:wait_applied("n2", index)
    assert.equal(value, c:client("n2"):get("big", { read = "stale" }).value)
    assert.equal("too_large", c:client("n2"):put("big", value).err_code)
  end)
end)

describe("nodes of two clusters", function()
  it("do not mix, even at each other's addresses", function()
    local c <close> = nodes.cluster()
    local leader = c:wait_leader()
    local term = c.servers[leader]:status().term
    c.servers.n3:close()
    c.servers.n3 = nil
    local stranger <close> = assert(server.start {
      id = "x3", listen = c.peers.n3, peers = { n1 = c.peers.n1, n2 = c.peers.n2, x3 = c.peers.n3 },
    })
    task.sleep(nodes.ELECTION_OVER_MS)
    assert.equal("", stranger:status().leader_id)
    local now = c:wait_leader()
    if now == leader then assert.equal(term, c.servers[now]:status().term) end
    assert.equal(0, stranger:status().commit_index)
  end)
end)

describe("a leader that is stopped", function()
  it("hands over first, so that the next write need not wait for an election", function()
    local c <close> = nodes.cluster { election_ms = "2000-2500" }
    local first = c:wait_leader()
    assert.is_true(c.servers[first]:stop(2000))
    c:crash(first)
    local second = assert(task.wait_until(function() return c:leader() end, 1500), "it took an election")
    assert.is_true(c:client(second):put("a", "1").ok)
  end)

  it("answers the writes that are under way before it goes", function()
    local c <close> = nodes.cluster()
    local first = c:wait_leader()
    local writers = {}
    for i = 1, 20 do
      writers[i] = task.spawn(function()
        local client <close> = require("kvserver.client").connect("http://" .. c.peers[first])
        return client:put("k" .. i, "v")
      end)
    end
    task.sleep(1)
    assert.is_true(c.servers[first]:stop(2000))
    for _, writer in ipairs(writers) do
      local result, why = writer:join()
      -- Never "the outcome is unknown", but those that came too late are told that nothing was done.
      local nothing_done = why == "connect" or result and result.err_code == "no_leader"
      assert.is_true(result and result.ok or nothing_done, result and result.err_code or why)
    end
  end)
end)
