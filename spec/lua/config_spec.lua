local child = require "spec.support.child"
local config = require "kvserver.config"

local function load(text)
  local file <close> = child.file(text)
  local result, why = config.load(file.path)
  -- The path of the file is no part of what is specified here.
  return result, why and why:gsub("^" .. file.path:gsub("%p", "%%%0") .. ":? ?", "")
end

describe("config.load", function()
  it("reads a table of options", function()
    local text = [[
      local port = 7001
      return { id = "n2", listen = "127.0.0.1:" .. port, peers = { n2 = "127.0.0.1:7001" }, memory = true,
        max_key_bytes = 10, read_policy = "stale" }
    ]]
    assert.are.same({
      id = "n2", listen = "127.0.0.1:7001", peers = { n2 = "127.0.0.1:7001" }, memory = true, max_key_bytes = 10,
      read_policy = "stale",
    }, (load(text)))
  end)

  local problems = {
    { "return { peers = { n2 = 'x' } }", 'peers.n2: expected HOST:PORT, got "x"' },
    { "return { peers = { n2 = 7 } }", "peers.n2: expected HOST:PORT, got 7" },
    { "return { peers = { ['n 2'] = 'a:1' } }",
      'peers: expected node ids (1 to 63 of a-z A-Z 0-9 . _ -) as keys, got "n 2"' },
    { "return { peers = 7 }", "peers: expected a table of id = HOST:PORT, got 7" },
    { "return { lisen = 'a:1' }", "lisen: unknown option (did you mean listen?)" },
    { "return { max_key_byte = 1 }", "max_key_byte: unknown option (did you mean max_key_bytes?)" },
    { "return { ['max-key-bytes'] = 1 }", "max-key-bytes: unknown option (did you mean max_key_bytes?)" },
    { "return { zzzzzzzzzzzz = 1 }", "zzzzzzzzzzzz: unknown option" },
    { "return { 'n1' }", "1: unknown option" },
    { "return { config = 'x' }", "config: unknown option" },
    { "return { script = 'x' }", "script: unknown option" },
    { "return { id = '' }", 'id: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -, got ""' },
    { "return { id = ('x'):rep(64) }", "id: expected a node id" },
    { "return { max_key_bytes = 0 }", "max_key_bytes: expected an integer from 1 to 65535, got 0" },
    { "return { max_key_bytes = 1.5 }", "max_key_bytes: expected an integer from 1 to 65535, got 1.5" },
    { "return { max_key_bytes = true }", "max_key_bytes: expected an integer from 1 to 65535, got true" },
    { "return { memory = 1 }", "memory: expected true or false, got 1" },
    { "return { read_policy = 'fast' }", 'read_policy: expected one of readindex, stale, got "fast"' },
    { "return { write_mode = 'async' }",
      'write_mode: expected sync (async is not in this version), got "async"' },
    { "return { log_level = 'loud' }", 'log_level: expected one of debug, info, warn, error, got "loud"' },
    { "return { data = '' }", 'data: expected a path of up to 4095 bytes, got ""' },
    { "return { segment_bytes = 1024 }", "segment_bytes: expected an integer from 4096 to 1073741824, got 1024" },
    { "return { enable_faults = 1 }", "enable_faults: expected true or false, got 1" },
    { "return { admin_socket = ('x'):rep(108) }", "admin_socket: expected a path of up to 107 bytes" },
    { "return { heartbeat_ms = 0 }", "heartbeat_ms: expected an integer from 1 to 60000, got 0" },
    { "return { election_ms = 500 }",
      "election_ms: expected MIN-MAX in milliseconds, such as 300-600, up to 60000, got 500" },
    { "return { election_ms = '500' }", 'such as 300-600, up to 60000, got "500"' },
    { "return { election_ms = '600-300' }", 'got "600-300"' },
    { "return { election_ms = '0-300' }", 'got "0-300"' },
    { "return { election_ms = '300-60001' }", 'got "300-60001"' },
    { "return { fixed_leader = '' }", "fixed_leader: expected a node id" },
    { "local p = {} for i = 1, 17 do p['n' .. i] = 'a:' .. i end return { peers = p }",
      "peers: expected at most 16 members" },
    { "return { console = true }", "console: unknown option" },
    { "return { inspect = 'x' }", "inspect: unknown option" },
    { "return 7", "expected to return a table, got 7" },
    { "os.exit(1)", "a configuration file is data: it cannot call anything" },
    { "return = 1", "unexpected symbol near '='" },
  }
  for _, case in ipairs(problems) do
    it(("answers %s with %s"):format(case[1], case[2]), function()
      local result, why = load(case[1])
      assert.is_nil(result)
      assert.matches(case[2], why, 1, true)
    end)
  end

  it("names the file, and says when it is not there", function()
    local file <close> = child.file("return { id = 1 }")
    assert.matches("^" .. file.path .. ": id: expected", (select(2, config.load(file.path))))
    assert.matches("/nowhere/c.lua", (select(2, config.load("/nowhere/c.lua"))), 1, true)
  end)
end)

describe("config.complete", function()
  it("fills in the defaults of the contract", function()
    assert.are.same({
      id = "n1", listen = "127.0.0.1:7000", heartbeat_ms = 50, election_ms = "300-600", memory = false,
      data = "./kvdata", segment_bytes = 67108864, snapshot_threshold = 100000,
      read_policy = "readindex", write_mode = "sync",
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
    { { peers = { n2 = "a:1" } }, "--peers: expected the node itself (n1) among the peers" },
    { { memory = true, data = "x" }, "--memory: expected without --data" },
    { { peers = {} }, "--peers: expected the node itself (n1) among the peers" },
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
