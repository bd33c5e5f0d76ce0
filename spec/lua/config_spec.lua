local config = require "kvserver.config"

describe("config.complete", function()
  it("fills in the defaults of the contract", function()
    assert.are.same({
      id = "n1", listen = "127.0.0.1:7000", heartbeat_ms = 50, election_ms = "300-600", memory = false,
      data = "./kvdata", segment_bytes = 67108864, snapshot_threshold = 100000,
      read_policy = "readindex", write_mode = "sync", async_result_ttl = 60,
      max_body_bytes = 8388608, max_key_bytes = 4096, max_value_bytes = 1048576, max_connections = 10000,
      request_timeout_ms = 5000, log_level = "info", log_format = "logfmt", script_memory_bytes = 0,
      admin_socket = "./kvdata/admin.sock", enable_faults = false,
    }, (config.complete {}))
  end)

  it("keeps everything in memory without a directory", function()
    local complete = assert(config.complete { memory = true })
    assert.same({ true, nil }, { complete.memory, complete.data })
    assert.is_nil(complete.admin_socket)
    assert.equal("a", config.complete({ memory = true, admin_socket = "a" }).admin_socket)
  end)

  it("takes peers in any order, a leader among them, and an interface to listen on", function()
    local given = { id = "n2", listen = "0.0.0.0:2", peers = { n1 = "a:1", n2 = "b:2" }, fixed_leader = "n1" }
    local complete = assert(config.complete(given))
    assert.are.same({ "0.0.0.0:2", "n1" }, { complete.listen, complete.fixed_leader })
  end)

  it("takes the address from the peers when there is no other", function()
    assert.are.equal("127.0.0.1:7009", config.complete({ peers = { n1 = "127.0.0.1:7009" } }).listen)
  end)

  local problems = {
    { { peers = { n2 = "a:1" } }, "--peers: expected the node itself (n1) among the peers (n2)" },
    { { memory = true, data = "x" }, "--memory: expected without --data" },
    { { peers = {} }, "--peers: expected the node itself (n1) among the peers ()" },
    { { listen = "a:2", peers = { n1 = "a:1" } }, "--peers: expected n1 at port 2, as --listen says, got n1=a:1" },
    { { peers = { n1 = "a:1", n2 = "a:0" } }, "--peers: expected a port that others can know, got n2=a:0" },
    { { peers = { n1 = "a:1", n2 = "a:1" } },
      "--peers: expected an address for each, got a:1 for both n1 and n2" },
    { { election_ms = "300-600", heartbeat_ms = 300 },
      "--election-ms: expected more than --heartbeat-ms (300), got 300-600" },
    { { fixed_leader = "n2" }, "--fixed-leader: expected one of the peers, got n2" },
    { { fixed_leader = "n3", peers = { n1 = "a:1", n2 = "a:2" } },
      "--fixed-leader: expected one of the peers, got n3" },
  }
  for _, case in ipairs(problems) do
    it("answers: " .. case[2], function()
      assert.are.same({ nil, case[2] }, { config.complete(case[1]) })
    end)
  end
end)

describe("config.merge", function()
  it("puts the flags over the file, and each of --memory and --data in the place of the other", function()
    local rows = {
      { { id = "a", max_key_bytes = 1 }, { id = "b" }, { id = "b", max_key_bytes = 1 } },
      { { data = "x" }, { memory = true }, { memory = true } },
      { { memory = true }, { data = "x" }, { data = "x" } },
      { { data = "x" }, { data = "y" }, { data = "y" } },
    }
    for _, row in ipairs(rows) do assert.same(row[3], config.merge(row[1], row[2])) end
  end)
end)

describe("config.nearest", function()
  it("finds a name within a few letters, and none further away", function()
    local names = { "listen", "log-level", "peers" }
    assert.are.equal("listen", config.nearest("lisetn", names))
    assert.are.equal("log-level", config.nearest("loglevel", names))
    assert.is_nil(config.nearest("snapshot", names))
  end)
end)
