-- A node on a data directory: what it acknowledged is there again; what its disk does to it.
local child = require "spec.support.child"
local client = require "kvserver.client"
local directory = require "spec.support.directory"
local disk = require "kvserver.disk"
local http = require "spec.support.http"
local process = require "kvserver.process"
local task = require "kvserver.task"
local wal = require "kvserver.wal"

local DEADLINE_MS <const> = 10000

local function node_on(dir, more)
  local options = { data = dir.path, segment_bytes = 4096 }
  for name, value in pairs(more or {}) do options[name] = value end
  local node = http.node(options)
  assert(task.wait_until(function() return not node.server:status().not_ready end, DEADLINE_MS))
  return node
end

local function put(node, key, value)
  return node:ask("PUT /kv/" .. key, ('{"value":"%s"}'):format(value))
end

local function scan(dir)
  local root = assert(disk.open(dir.path))
  local report = assert(wal.scan(root))
  root:close()
  return report
end

describe("a node on a data directory", function()
  it("has after an abrupt end what it acknowledged before, and goes on from there", function()
    local dir <close> = directory.new()
    local digest
    for round = 1, 3 do
      local node <close> = node_on(dir)
      assert.same({ digest or node.server:stats().digest, round }, { node.server:stats().digest,
        node.server:status().term })
      for i = 1, 20 do assert.equal(200, put(node, "k" .. i, ("v"):rep(100) .. round).status) end
      digest = node.server:stats().digest
    end
  end)

  it("keeps the dedupe table, too: a retry gets the stored answer", function()
    local dir <close> = directory.new()
    local function write(node)
      return node:ask("PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}')
    end
    do
      local node <close> = node_on(dir)
      assert.is_nil(write(node).headers["x-replay"])
    end
    local node <close> = node_on(dir)
    assert.equal("same", write(node).headers["x-replay"])
  end)

  it("writes what it has taken asynchronously before it is stopped", function()
    local dir <close> = directory.new()
    local node = node_on(dir, { enable_faults = true })
    node.server:fault_disk { slow_ms = 100 }
    local reply = node:ask("PUT /kv/a?mode=async", '{"value":"1"}')
    assert.equal(202, reply.status)
    assert.matches('"ready":false', node:ask("GET " .. reply.headers.location).body, 1, true)
    assert.is_true(node.server:stop(1000))
    node.server:close()
    local again <close> = node_on(dir)
    assert.equal('{"ok":true,"value":"1"}', again:ask("GET /kv/a").body)
  end)

  it("seals its log when it is stopped, and only then", function()
    local dir <close> = directory.new()
    do
      local node <close> = node_on(dir)
      put(node, "a", "1")
    end
    assert.not_equal("sealed", scan(dir).verdict)
    local node <close> = node_on(dir)
    put(node, "a", "2")
    assert.is_true(node.server:stop(1000))
    node.server:close()
    assert.equal("sealed", scan(dir).verdict)
    local again <close> = node_on(dir)
    assert.equal('{"ok":true,"value":"2"}', again:ask("GET /kv/a").body)
  end)

  it("cuts off a torn last batch as a whole, and has what came before", function()
    local dir <close> = directory.new()
    do
      local node <close> = node_on(dir)
      put(node, "a", "1")
      put(node, "b", "1")
    end
    local batches = scan(dir).batches
    local last = batches[#batches]
    local segment <const> = dir:last_segment()
    local text = dir:read(segment)
    local kept <const> = last.offset + 24 + last.bytes - 1
    dir:write(segment, text:sub(1, kept) .. ("\0"):rep(#text - kept))
    local node <close> = node_on(dir)
    assert.equal(200, node:ask("GET /kv/a").status)
    assert.equal(404, node:ask("GET /kv/b").status)
  end)

  it("keeps its log short: snapshots come at the threshold, and segments behind them go", function()
    local dir <close> = directory.new()
    do
      local node <close> = node_on(dir, { snapshot_threshold = 20 })
      for i = 1, 300 do put(node, "a", ("v"):rep(50) .. i) end
      local status
      assert(task.wait_until(function()
        status = node.server:status()
        local settled = status.last_applied - status.snapshot_index < 20 -- no other is on its way
        return settled and #dir:names "wal" < 10
      end, DEADLINE_MS))
      assert.is_true(status.first_index > 200)
      local body = node:ask("GET /status").body
      assert.matches(('"first_index":%d,'):format(status.first_index), body, 1, true)
      assert.matches(('"snapshot_index":%d,"snapshot_term":1,'):format(status.snapshot_index), body, 1, true)
      assert(task.wait_until(function() return #dir:names "snap" == 1 end, DEADLINE_MS))
    end
    local node <close> = node_on(dir, { snapshot_threshold = 20 })
    assert.equal(('{"ok":true,"value":"%s300"}'):format(("v"):rep(50)), node:ask("GET /kv/a").body)
  end)

  it("takes a snapshot when it is told to, and starts from it", function()
    local dir <close> = directory.new()
    local index
    do
      local node <close> = node_on(dir, { snapshot_threshold = 0 })
      put(node, "a", "1")
      index = node.server:status().last_applied
      assert.is_true(node.server:snapshot())
      assert(task.wait_until(function() return node.server:status().snapshot_index == index end, DEADLINE_MS))
      assert.same({ nil, "invalid" }, { node.server:snapshot() })
    end
    assert.same({ ("%016x-%016x.snap"):format(index, 1) }, dir:names "snap")
    local node <close> = node_on(dir)
    assert.equal(index, node.server:status().snapshot_index)
    assert.equal(200, node:ask("GET /kv/a").status)
  end)

  it("may end while a snapshot is being taken", function()
    local dir <close> = directory.new()
    do
      local node <close> = node_on(dir, { snapshot_threshold = 0 })
      for i = 1, 10 do put(node, "k" .. i, ("v"):rep(500000)) end
      assert.is_true(node.server:snapshot())
    end
    local node <close> = node_on(dir)
    assert.equal(10, node.server:stats().keys)
  end)

  it("that fails to write says why to whoever waits for that, and acknowledges nothing any more", function()
    local dir <close> = directory.new()
    local node <close> = node_on(dir, { request_timeout_ms = 300 })
    local waiting = task.spawn(function() return node.server:wait_failed() end)
    task.yield()
    assert.error_matches(function() node.server:wait_failed() end, "somebody else waits already")
    os.execute(("rm -r '%s/wal'"):format(dir.path))
    local refused
    for _ = 1, 100 do
      refused = put(node, "a", ("v"):rep(100))
      if refused.status ~= 200 then break end
    end
    assert.is_true(refused.status == 504 or refused.status == 503, refused.body)
    assert.matches("wal/%S+: No such file or directory$", waiting:join())
    assert.equal(waiting:join(), node.server:wait_failed())
    assert.equal(503, put(node, "a", "v").status)
    local not_ready = node:ask("GET /readyz")
    assert.same({ 503, http.error_body("not_ready",
      "its storage failed; its log says why; restart it when the disk is mended, or let a new member take its place",
      ',"reason":"storage_failed"') }, { not_ready.status, not_ready.body })
    assert.equal(200, node:ask("GET /livez").status)
  end)
end)

describe("kvserver with a data directory", function()
  local function start_by(args, dir, ...)
    local more <const> = { process.self(), "--listen", "127.0.0.1:0", "--data", dir.path, ... }
    local node = process.spawn { args = table.move(more, 1, #more, #args + 1, args) }
    local url = node:wait_line("ready on (%S+)\n", DEADLINE_MS)
    node.client = client.connect(url, { timeout_ms = DEADLINE_MS })
    return node
  end

  local function start(dir)
    return start_by({}, dir, "--segment-bytes", "8192")
  end

  -- The first answer with this status to one of many large writes.
  local function put_until(c, count, status)
    local value <const> = ("v"):rep(100000)
    for i = 1, count do
      local result = assert(c:put("k" .. i, value))
      if result.status == status then return result end
      assert.equal(200, result.status)
    end
    error(("no write was answered with %d"):format(status))
  end

  it("has after kill -9 and after SIGTERM what it acknowledged", function()
    local dir <close> = directory.new()
    for round, signal in ipairs { "sigkill", "sigterm", "sigkill" } do
      local node <close> = start(dir)
      for i = 1, round - 1 do assert.equal("v" .. i, node.client:get("k" .. i).value) end
      assert.is_true(node.client:put("k" .. round, "v" .. round).ok)
      node:kill(signal)
      local result = assert(node:wait(DEADLINE_MS))
      assert.equal(0, result.code)
    end
  end)

  it("is refused a directory with 4, and says which file it is and what to do", function()
    local dir <close> = directory.new()
    local node <close> = start(dir)
    local result = child.run { "--listen", "127.0.0.1:0", "--data", dir.path }
    assert.same({ 4, "" }, { result.code, result.stdout })
    local text <const> = "kvserver: %s: LOCK: in use by process %d; stop that process, or choose another directory "
      .. "with --data\n"
    assert.equal(text:format(dir.path, node.pid), result.stderr)
    node:kill()
  end)

  it("ends with 1 when its disk fails", function()
    local dir <close> = directory.new()
    local node <close> = start(dir)
    os.execute(("rm -r '%s/wal'"):format(dir.path))
    local result
    for i = 1, 1000 do
      result = node.client:put("k" .. i, ("v"):rep(100))
      if not result then break end
    end
    assert.is_nil(result)
    local ended = assert(node:wait(DEADLINE_MS))
    assert.equal(1, ended.code)
    assert.matches(("\nkvserver: %s: %%S+ wal/%%S+: No such file or directory\n$"):format(dir.path:gsub("%p", "%%%0")),
      ended.stderr)
  end)

  it("answers writes with 507 while its disk is full, reads as ever, and recovers by itself", function()
    local dir <close> = directory.new()
    -- The first segment has 4 MiB, which is as large as files may be at first; all later ones are to be larger.
    local limit <const> = { "setpriv", "--pdeathsig", "KILL", "prlimit", "--fsize=4194304:unlimited" }
    local options <const> = { "--segment-bytes", "8388608", "--snapshot-threshold", "0" }
    local node <close> = start_by(limit, dir, table.unpack(options))
    local refused = put_until(node.client, 100, 507)
    assert.equal("disk_full", refused.err_code)
    assert.equal(100000, #node.client:get("k1").value)
    local not_ready = node.client:readyz()
    assert.same({ 503, "not_ready", "disk_full",
      "its disk is full; free some space, writes come back by themselves; reads go on" },
      { not_ready.status, not_ready.err_code, not_ready.reason, not_ready.err_msg })
    assert.is_true(node.client:healthz().ok)
    local full = node.client:status()
    process.run { args = { "prlimit", "--pid", tostring(node.pid), "--fsize=unlimited" } }
    assert(task.wait_until(function() return node.client:put("after", "1").ok end, DEADLINE_MS))
    assert.is_true(node.client:readyz().ok)
    assert.equal(full.term, node.client:status().term)
    node:kill()
    node:wait(DEADLINE_MS)
    local again <close> = start_by({}, dir, table.unpack(options))
    assert.equal(full.keys + 1, again.client:status().keys)
    again:kill()
  end)

  it("stops with 0 on a signal that comes while it opens a large log", function()
    local dir <close> = directory.new()
    -- A log that takes long is one whose files are: zeros behind the last batch are looked through.
    local node <close> = start(dir)
    assert.is_true(node.client:put("k", "v").ok)
    node:kill()
    node:wait(DEADLINE_MS)
    assert(os.execute(("truncate -s 1G '%s/%s'"):format(dir.path, dir:last_segment())))
    local opening <close> = process.spawn { args = { process.self(), "--listen", "127.0.0.1:0", "--data", dir.path } }
    assert(task.wait_until(function() return dir:read("LOCK"):match("%d+") == tostring(opening.pid) end, DEADLINE_MS))
    opening:kill("sigterm")
    local result = assert(opening:wait(DEADLINE_MS))
    assert.same({ 0, "" }, { result.code, result.stdout })
  end)
end)
