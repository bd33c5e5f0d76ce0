-- GET /metrics: the format, as our own reader and Prometheus' see it, and that the figures say what happened.
local client = require "kvserver.client"
local directory = require "spec.support.directory"
local figures = require "spec.support.figures"
local http = require "spec.support.http"
local nodes = require "spec.support.nodes"
local process = require "kvserver.process"
local task = require "kvserver.task"

local fake_node = http.native "fake_node"

local DEADLINE_MS <const> = 10000

local function durable_node(dir, more)
  local options = { data = dir.path, segment_bytes = 1 << 16 }
  for name, value in pairs(more or {}) do options[name] = value end
  local node = http.node(options)
  assert(task.wait_until(function() return not node.server:status().not_ready end, DEADLINE_MS))
  return node
end

local function scrape(node)
  local reply = node:ask("GET /metrics")
  assert.equal(200, reply.status)
  local page = figures.read(reply.body)
  assert.same({}, page.faults)
  return page, reply
end

-- What Prometheus itself says of a page, when it is installed: "" is good.
local function promtool(text)
  local result = process.run {
    args = { "/bin/sh", "-c", "command -v promtool >/dev/null || exit 0; exec promtool check metrics" }, stdin = text,
  }
  return result.code == 0 and "" or result.stdout .. result.stderr
end

local function writers(c, count, rounds)
  local tasks = {}
  for i = 1, count do
    tasks[i] = task.spawn(function()
      for round = 1, rounds do assert(c:put(("k%d.%d"):format(i, round), "v").ok) end
    end)
  end
  return tasks
end

describe("GET /metrics", function()
  it("is text that Prometheus takes, and its counters never fall under load", function()
    local dir <close> = directory.new()
    local node <close> = durable_node(dir)
    local port = node.server:port()
    local clients, tasks = {}, {}
    for i = 1, 4 do
      clients[i] = client.connect("http://127.0.0.1:" .. port)
      table.move(writers(clients[i], 1, 60), 1, 1, #tasks + 1, tasks)
    end
    local before, reply = scrape(node)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", reply.headers["content-type"])
    for _ = 1, 20 do
      local page
      page, reply = scrape(node)
      assert.same({}, before:fallen(page))
      before = page
    end
    for _, writer in ipairs(tasks) do writer:join() end
    local last = scrape(node)
    assert.same({}, before:fallen(last))
    assert.equal(last:value "kvserver_raft_proposals_total",
      last:value "kvserver_raft_commit_duration_seconds_count") -- each entry, not each batch
    assert.equal("", promtool(reply.body))
    for _, c in ipairs(clients) do c:close() end
  end)

  it("counts requests by route and status, whatever clients ask for", function()
    local node <close> = http.node()
    local function answered(labels) return (scrape(node)):value("kvserver_http_requests_total{" .. labels .. "}") end
    for i = 1, 3 do node:ask("PUT /kv/k" .. i, '{"value":"v"}') end
    node:ask("GET /kv/k1")
    node:ask("HEAD /kv/k2")
    node:ask("GET /kv/none%22")
    node:ask("POST /kv/cas", '{"key":"a","expected":"x","value":"y"}')
    node:ask("PUT /kv/k1", "{")
    node:ask("GET /nope")
    node:ask("POST /status", "{}")
    assert.equal(3, answered 'method="PUT",route="/kv/{key}",status="200"')
    assert.equal(1, answered 'method="PUT",route="/kv/{key}",status="400"')
    assert.equal(2, answered 'method="GET",route="/kv/{key}",status="200"')
    assert.equal(1, answered 'method="GET",route="/kv/{key}",status="404"')
    assert.equal(1, answered 'method="POST",route="/kv/cas",status="409"')
    assert.equal(1, answered 'method="",route="other",status="404"')
    assert.equal(1, answered 'method="",route="other",status="405"')
    local page = scrape(node)
    assert.equal(4, page:value 'kvserver_http_request_duration_seconds_count{method="PUT",route="/kv/{key}"}')
    assert.equal(0, page:value "kvserver_http_requests_in_flight")
  end)

  it("says what the node wrote, and how large its state is", function()
    local dir <close> = directory.new()
    local node <close> = durable_node(dir)
    local before = scrape(node)
    for i = 1, 5 do node:ask("PUT /kv/k" .. i, '{"client_id":"c","seq":' .. i .. ',"value":"123"}') end
    local page = scrape(node)
    local function more(name) return page:value(name) - before:value(name) end
    assert.equal(5, more "kvserver_raft_proposals_total")
    assert.equal(5, more "kvserver_raft_applied_total")
    assert.equal(5, more "kvserver_raft_commit_duration_seconds_count")
    assert.equal(5, more "kvserver_raft_commit_index")
    assert.equal(5, more "kvserver_wal_batches_total")
    assert.equal(5, more "kvserver_wal_fsync_duration_seconds_count")
    assert.is_true(more "kvserver_wal_written_bytes_total" >= 5 * 3)
    assert.is_true(more "kvserver_wal_append_duration_seconds_sum" >= more "kvserver_wal_fsync_duration_seconds_sum")
    assert.equal(5, page:value "kvserver_state_keys")
    assert.equal(5 * 5, page:value "kvserver_state_bytes")
    assert.equal(1, page:value "kvserver_state_clients")
    assert.equal(1, page:value 'kvserver_raft_role{role="leader"}')
    assert.equal(1, page:value "kvserver_ready")
  end)

  it("counts snapshots, and segments of the log", function()
    local dir <close> = directory.new()
    local node <close> = durable_node(dir, { segment_bytes = 4096 })
    for i = 1, 40 do node:ask("PUT /kv/k" .. i, '{"value":"' .. ("v"):rep(200) .. '"}') end
    assert.is_true(node.server:snapshot())
    assert(task.wait_until(function() return node.server:status().snapshot_index > 0 end, DEADLINE_MS))
    local page = scrape(node)
    assert.equal(1, page:value "kvserver_snapshot_taken_total")
    assert.equal(1, page:value "kvserver_snapshot_duration_seconds_count")
    assert.is_true(page:value "kvserver_snapshot_bytes" > 40 * 200)
    assert.equal(41, page:value "kvserver_raft_snapshot_index")
    assert.is_true(page:value "kvserver_wal_segments_total" >= 2)
  end)

  it("counts asynchronous writes, pending and done", function()
    local node <close> = http.node()
    local function operations(state) return ('kvserver_async_operations{state="%s"}'):format(state) end
    local before = scrape(node)
    assert.equal(0, before:value(operations "pending") + before:value(operations "finished"))
    for i = 1, 3 do assert.equal(202, node:ask("PUT /kv/k" .. i .. "?mode=async", '{"value":"v"}').status) end
    assert(task.wait_until(function() return scrape(node):value(operations "finished") == 3 end, DEADLINE_MS))
    local page = scrape(node)
    assert.equal(0, page:value(operations "pending"))
    assert.equal(3, page:value "kvserver_async_operations_taken_total")
    assert.is_true(page:value "kvserver_async_operations_bytes" > before:value "kvserver_async_operations_bytes")
  end)

  it("counts no asynchronous write that the node refused", function()
    local fake = fake_node.create()
    local node <close> = http.node(nil, fake)
    fake:refuse "not_leader"
    assert.equal(503, node:ask("PUT /kv/a?mode=async", '{"value":"v"}').status)
    assert.equal(0, scrape(node):value "kvserver_async_operations_taken_total")
  end)

  it("tells of connections, and of what the system knows of the process", function()
    local node <close> = http.node { max_connections = 2 }
    local first <close> = node:connect()
    first:send(http.request "GET /healthz")
    first:receive()
    local page = scrape(node)
    assert.equal(2, page:value "kvserver_http_connections")
    assert.equal(2, page:value "kvserver_http_connections_max")
    assert.is_true(page:value "process_resident_memory_bytes" > 1 << 20)
    assert.is_true(page:value "process_virtual_memory_bytes" >= page:value "process_resident_memory_bytes")
    assert.is_true(page:value "process_cpu_seconds_total" > 0)
    assert.is_true(page:value "process_open_fds" > 3)
    assert.is_true(page:value "process_max_fds" >= page:value "process_open_fds")
    local started = page:value "process_start_time_seconds"
    assert.is_true(started < os.time() + 1 and started > os.time() - 3600) -- os.time() has no fractions
  end)

  it("tells of elections, and a leader of the others", function()
    local c <close> = nodes.cluster()
    local leader, others = c:wait_leader()
    local target = others[1]
    assert.is_true(c:client(leader):put("a", "1").ok)
    local function page_of(id)
      local page = figures.read(c:client(id):http("GET", "/metrics").body)
      assert.same({}, page.faults)
      return page
    end
    local function peer(name) return ('kvserver_raft_peer_%s{peer="%s"}'):format(name, target) end
    local before = page_of(leader)
    assert.is_true(before:value(peer "last_contact_seconds") < 1)
    assert(task.wait_until(function() return page_of(leader):value(peer "match_lag_entries") == 0 end, DEADLINE_MS))
    assert.is_nil(page_of(target):value(('kvserver_raft_peer_match_lag_entries{peer="%s"}'):format(leader)))
    assert.is_true(before:value "kvserver_raft_elections_won_total" >= 1)
    local followed = page_of(target)
    assert(c.servers[leader]:transfer(target))
    assert(task.wait_until(function() return c:leader() == target end, DEADLINE_MS))
    local led = page_of(target)
    assert.equal(1, led:value 'kvserver_raft_role{role="leader"}')
    assert.equal(followed:value "kvserver_raft_elections_won_total" + 1, led:value "kvserver_raft_elections_won_total")
    assert.is_true(led:value "kvserver_raft_elections_started_total" >= 1)
    local after = page_of(leader)
    assert.equal(before:value "kvserver_raft_leader_changes_total" + 1,
      after:value "kvserver_raft_leader_changes_total")
    assert.is_true(after:value 'kvserver_http_requests_total{method="POST",route="/raft/{rpc}",status="200"}' >= 1)
  end)

  it("has no figures of Raft when the node is not ours, and all else", function()
    local fake = fake_node.create()
    local node <close> = http.node({}, fake)
    local page = scrape(node)
    assert.is_nil(page:value "kvserver_raft_proposals_total")
    assert.is_truthy(page:value "kvserver_raft_term")
  end)
end)

describe("durations", function()
  it("are those of fsyncs, commits, applied batches and turns", function()
    local dir <close> = directory.new()
    local node <close> = durable_node(dir)
    for i = 1, 20 do node:ask("PUT /kv/k" .. i, '{"value":"v"}') end
    local durations = node.server:durations()
    for _, name in ipairs { "fsync", "commit", "apply", "turn" } do
      local row = durations[name]
      assert.is_true(row.count >= 20, name)
      assert.is_true(row.p50_us <= row.p99_us and row.p99_us <= row.max_us and row.max_us > 0, name)
    end
    assert.equal(20, durations.commit.count)
    assert.is_true(durations.commit.p50_us * 10 >= durations.fsync.p50_us) -- who commits has synced
  end)

  it("are empty for what does not happen in memory", function()
    local node <close> = http.node()
    assert.same({ count = 0, p50_us = 0, p99_us = 0, max_us = 0 }, node.server:durations().fsync)
  end)
end)
