-- Three nodes in one process on real ports: what clients see of a cluster.
local http = require "spec.support.http"
local nodes = require "spec.support.nodes"
local server = require "kvserver.server"
local task = require "kvserver.task"

local DEADLINE_MS <const> = 10000

-- Waits for what must not come, until it would have come.
local function never(condition)
  assert.is_nil((task.wait_until(condition, nodes.ELECTION_OVER_MS)))
end

local function wait_until(condition)
  return assert(task.wait_until(condition, DEADLINE_MS))
end

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

  it("has no other when that is gone", function()
    local c <close> = nodes.cluster { fixed_leader = "n2" }
    c:wait_leader()
    local term = c.servers.n1:status().term
    c:crash("n2")
    never(function()
      for _, id in ipairs { "n1", "n3" } do
        local status = c.servers[id]:status()
        if status.role ~= "follower" or status.term ~= term then return true end
      end
    end)
  end)

  it("has none when its leader has lost what the others remember", function()
    local c <close> = nodes.cluster { fixed_leader = "n2" }
    c:wait_leader()
    c:wait_applied("n1", c:client("n2"):put("a", "1").index)
    c:crash("n2")
    c:start("n2")
    never(function() return c:client("n2"):put("a", "2").ok end)
    assert.equal("1", c:client("n1"):get("a", { read = "stale" }).value)
  end)
end)

describe("a healthy cluster", function()
  local c, leader, followers

  setup(function()
    c = nodes.cluster()
    leader, followers = c:wait_leader()
  end)
  teardown(function() c:__close() end)

  it("redirects writes at a follower to the leader, with path and query "
    .. "[TestCluster_M1_WriteToFollower_ReturnsRedirect]", function()
    local client = c:client(followers[1])
    local response = client:http("PUT", "/kv/a%2Fb?mode=sync", { body = '{"value":"1"}', follow = false })
    assert.equal(307, response.status)
    assert.equal(("http://%s/kv/a%%2Fb?mode=sync"):format(c.peers[leader]), response.headers.location)
    assert.matches(('"err_code":"not_leader",.*"leader_hint":{"leader_id":"%s","leader_addr":"%s"}'):format(leader,
      c.peers[leader]), response.body)
    assert.equal("not_found", client:get("a/b").err_code)
    assert.equal(200, client:http("PUT", "/kv/a%2Fb", { body = '{"value":"1"}' }).status)
    assert.equal("1", client:get("a/b").value)
  end)

  it("redirects every kind of write, and no read", function()
    local client = c:client(followers[2])
    local rows = {
      { 307, "PUT", "/kv/k", '{"value":"1"}' }, { 307, "DELETE", "/kv/k" },
      { 307, "POST", "/kv/cas", '{"key":"k","expected":"","value":"1"}' },
      { 307, "POST", "/kv/mput", '{"entries":[{"key":"k","value":"1"}]}' },
      { 307, "POST", "/kv/mdelete", '{"keys":["k"]}' },
      { 404, "GET", "/kv/k" }, { 404, "HEAD", "/kv/k" }, { 200, "POST", "/kv/mget", '{"keys":["k"]}' },
      { 200, "GET", "/kv?prefix=k" }, { 200, "GET", "/status" }, { 200, "GET", "/readyz" },
    }
    for _, row in ipairs(rows) do
      local response = client:http(row[2], row[3], { body = row[4], follow = false })
      assert.equal(row[1], response.status, row[2] .. " " .. row[3])
    end
  end)

  it("has followers wait for min_index until they have applied it", function()
    local next_index = c.servers[leader]:status().last_applied + 1
    local waiting = task.spawn(function()
      return c:client(followers[1]):get("min", { read = "stale", min_index = next_index })
    end)
    assert.equal(next_index, c:client(leader):put("min", "1").index)
    assert.equal("1", waiting:join().value)
  end)

  it("reports peers at the leader, none at a follower", function()
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

  it("sees, in a linearizable read at any node, every write that was acknowledged before it "
    .. "[TestDKV_M4_ReadIndex_ReadWaitsForCommitAndApply]", function()
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

  it("refuses messages of strangers and of other clusters with 403, bad JSON with 400, and nothing changes", function()
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
  -- The leader and one follower are gone, the other knows no leader any more.
  local function lone_follower(c, key, value)
    local leader, followers = c:wait_leader()
    c:wait_applied(followers[1], c:client(leader):put(key, value).index)
    assert.equal(value, c:client(followers[1]):get(key, { read = "readindex" }).value)
    c:crash(leader)
    c:crash(followers[2])
    wait_until(function() return c.servers[followers[1]]:status().leader_id == "" end)
    return c:client(followers[1])
  end

  it("says no_leader to writes and linearizable reads, and serves stale ones [TestDKV_M4_ReadPolicySwitch]", function()
    local c <close> = nodes.cluster { request_timeout_ms = 2000 }
    local client = lone_follower(c, "a", "1")
    local refused = client:get("a", { read = "readindex" })
    assert.same({ 503, "no_leader" }, { refused.status, refused.err_code })
    assert.same({ leader_id = "", leader_addr = "" }, refused.leader_hint)
    assert.equal("1", client:get("a", { read = "stale" }).value)
    local response = client:http("PUT", "/kv/a", { body = '{"value":"2"}' })
    assert.same({ 503, "1" }, { response.status, response.headers["retry-after"] })
    local not_ready = client:readyz()
    assert.same({ 503, "not_ready", "no_leader", "no leader is known; if this lasts, less than a majority of the " ..
      "members runs and can be reached" },
      { not_ready.status, not_ready.err_code, not_ready.reason, not_ready.err_msg })
    assert.is_true(client:healthz().ok)
  end)

  it("answers reads by the policy of the node unless the request has its own", function()
    local c <close> = nodes.cluster { read_policy = "stale", request_timeout_ms = 2000 }
    local client = lone_follower(c, "a", "1")
    assert.equal("1", client:get("a").value)
    assert.equal("no_leader", client:get("a", { read = "readindex" }).err_code)
  end)
end)

describe("a request that is under way when its leader loses its followers", function()
  local PIPELINED <const> = 20

  -- A leader without followers, with writes and a read behind each other on one connection; none can be answered.
  local function cut_off_leader(options)
    local c = nodes.cluster(options)
    local leader, followers = c:wait_leader()
    assert.is_true(c:client(leader):put("k", "before").ok)
    for _, id in ipairs(followers) do c:crash(id) end
    local requests = {}
    for i = 1, PIPELINED do requests[i] = http.request("PUT /kv/k" .. i, '{"value":"v"}') end
    requests[#requests + 1] = http.request("GET /kv/k20")
    local connection = c:connect(leader)
    connection:start(table.concat(requests))
    wait_until(function() return c.servers[leader]:status().role ~= "leader" end)
    return c, connection, leader, followers
  end

  it("is answered once, with the truth, when the leader leads again", function()
    local c <close>, connection, leader, followers = cut_off_leader { request_timeout_ms = 20000 }
    for _, id in ipairs(followers) do c:start(id) end
    -- The others have lost everything, so nobody else can lead.
    assert.equal(leader, (c:wait_leader()))
    for i = 1, PIPELINED do
      local answer = connection:receive()
      assert.same({ 200, '{"ok":true}' }, { answer.status, answer.body }, "write " .. i)
    end
    assert.equal('{"ok":true,"value":"v"}', connection:receive().body)
    connection:send(http.request("GET /healthz"))
    assert.matches('"role":"leader"', connection:receive().body)
  end)

  it("is answered once, with timeout, when nobody leads in time", function()
    local _ <close>, connection = cut_off_leader { request_timeout_ms = 1000 }
    for i = 1, PIPELINED do
      local answer = connection:receive()
      assert.equal(504, answer.status, "write " .. i)
      assert.matches('"err_code":"timeout".*may apply it twice', answer.body)
    end
    assert.equal(503, connection:receive().status)
    connection:send(http.request("GET /healthz"))
    assert.matches('"ok":true', connection:receive().body)
  end)
end)

describe("a value", function()
  it("may be larger than other nodes let clients send, and reaches them all the same", function()
    local c <close> = nodes.cluster({ fixed_leader = "n1" }, { n2 = { max_body_bytes = 100 } })
    c:wait_leader()
    local value = ("v"):rep(500000)
    local index = c:client("n1", { timeout_ms = 10000 }):put("big", value).index
    c:wait_applied("n2", index)
    assert.equal(value, c:client("n2"):get("big", { read = "stale" }).value)
    assert.equal("too_large", c:client("n2"):put("big", value).err_code)
  end)
end)

describe("clients that take all connections of all nodes", function()
  it("do not keep the members from each other", function()
    local c <close> = nodes.cluster { max_connections = 1 }
    for _, id in ipairs { "n1", "n2", "n3" } do c:crash(id) end
    for _, id in ipairs { "n1", "n2", "n3" } do
      c:start(id)
      c:connect(id)
    end
    local client = c:connect(c:wait_leader())
    client:send(http.request "GET /healthz")
    local reply = client:receive()
    assert.equal(503, reply.status)
    assert.matches('"err_code":"overloaded"', reply.body)
  end)
end)

describe("nodes of two clusters", function()
  it("do not mix, even at each other's addresses", function()
    local c <close> = nodes.cluster()
    c:wait_leader()
    c:crash("n3")
    local stranger <close> = assert(server.start {
      id = "x3", listen = c.peers.n3, peers = { n1 = c.peers.n1, n2 = c.peers.n2, x3 = c.peers.n3 },
      heartbeat_ms = 30, election_ms = "200-400",
    })
    local leader = c:wait_leader()
    local term = c.servers[leader]:status().term
    never(function()
      local status = stranger:status()
      return status.leader_id ~= "" or status.role == "leader" or status.commit_index > 0
    end)
    assert.equal(leader, (c:wait_leader()))
    assert.equal(term, c.servers[leader]:status().term)
  end)
end)

describe("a leader that is stopped", function()
  it("hands over first, so that the next write need not wait for an election", function()
    local slow <const> = { election_ms = "30000-30001" }
    local c <close> = nodes.cluster(nil, { n2 = slow, n3 = slow })
    assert.equal("n1", (c:wait_leader()))
    assert.is_true(c.servers.n1:stop(2000))
    c:crash("n1")
    local second = wait_until(function() return c:leader() end)
    assert.is_true(c:client(second):put("a", "1").ok)
  end)

  it("is not ready from then on, while it hands over too", function()
    local c <close> = nodes.cluster({ enable_faults = true, election_ms = "20000-20001" },
      { n1 = { election_ms = "1000-1001" } })
    local first, others = c:wait_leader()
    for _, id in ipairs(others) do c.servers[first]:fault_drop_next(id, "timeout_now", 100) end
    local client = c:client(first)
    assert.is_true(client:readyz().ok)
    local stopping = task.spawn(function() return c.servers[first]:stop(2000) end)
    local answer = wait_until(function()
      local answer = client:readyz()
      return answer and not answer.ok and answer
    end)
    assert.same({ "not_ready", "stopping" }, { answer.err_code, answer.reason })
    assert.matches("\nkvserver_ready 0\n", client:http("GET", "/metrics").body)
    stopping:cancel()
  end)

  it("answers the writes that are under way before it goes", function()
    local c <close> = nodes.cluster()
    local first = c:wait_leader()
    local acknowledged, writers = 0, {}
    for i = 1, 20 do
      writers[i] = task.spawn(function()
        local client = c:client(first)
        while true do
          local result, why, text = client:put("k" .. i, "v")
          if not (result and result.ok) then return result and result.err_code or why, text end
          acknowledged = acknowledged + 1
        end
      end)
    end
    wait_until(function() return acknowledged >= 20 end)
    assert.is_true(c.servers[first]:stop(2000))
    for i, writer in ipairs(writers) do
      -- Those that came too late are told that nothing was done: none is left without knowing.
      local why, text = writer:join()
      local nothing_done = why == "connect" or why == "no_leader" or why == "not_leader" or why == "overloaded"
      assert.is_true(nothing_done, ("writer %d: %s %s"):format(i, why, text))
    end
  end)
end)
