-- Configuration files: what they can say, and what is said of those that are wrong.

local child = require "spec.support.child"
local config = require "kvserver.config"
local config_file = require "kvserver.config_file"
local options = require "kvserver.options"

-- The options in a file with this text. In the message, the file is called F.
local function load(text, flags)
  local file <close> = child.file(text)
  local given, why = config_file.load(file.path, flags or {})
  return given, why and why:gsub("^" .. file.path:gsub("%p", "%%%0"), "F")
end

local function refuses(cases)
  for _, case in ipairs(cases) do
    it(("answers %s with %s"):format(case[1]:gsub("%s+", " "), case[2]), function()
      local given, why = load(case[1], case[3])
      assert.is_nil(given)
      assert.equal("F" .. case[2], why)
    end)
  end
end

describe("a configuration file", function()
  it("is a table of options", function()
    assert.same({
      id = "n2", listen = "127.0.0.1:7001", peers = { n2 = "127.0.0.1:7001" }, memory = true, max_key_bytes = 10,
      read_policy = "stale",
    }, (load [[
      local port = 7001
      return { id = "n2", listen = "127.0.0.1:" .. port, peers = { n2 = "127.0.0.1:7001" }, memory = true,
        max_key_bytes = 10, read_policy = "stale" }
    ]]))
  end)

  it("can have every option of a node, with the value that a flag has", function()
    local values <const> = {
      id = "a", listen = "a:1", peers = "a=a:1,b=b:2", heartbeat_ms = 10, election_ms = "20-30", fixed_leader = "a",
      data = "d", memory = true, segment_bytes = 4096, snapshot_threshold = 0, read_policy = "stale",
      write_mode = "sync", max_body_bytes = 1, max_key_bytes = 2, max_value_bytes = 3, max_connections = 4,
      request_timeout_ms = 5, seed = 6, log_level = "warn", log_format = "json", admin_socket = "s",
      enable_faults = true, script_memory_bytes = 7,
    }
    for _, row in ipairs(options.rows) do
      if not row.flag_only then
        local value <const> = assert(values[row.key] or row.default, row.key)
        local given <const> = assert(load(("return { %s = %q }"):format(row.key, value)))
        local text <const> = row.argument and tostring(value) or value
        assert.same({ [row.key] = assert(config.check(row, text, "--" .. row.name)) }, given)
      end
    end
  end)

  it("takes the peers as text, as a list and as a table", function()
    for _, peers in ipairs { '"n1=a:1,n2=[::1]:2"', '{ "n1=a:1", "n2=[::1]:2" }', '{ n1 = "a:1", n2 = "[::1]:2" }' } do
      assert.same({ peers = { n1 = "a:1", n2 = "[::1]:2" } }, (load("return { peers = " .. peers .. " }")))
    end
  end)

  it("takes a whole number however it is written", function()
    for _, number in ipairs { "1024", "2^10", "1024.0", "0x400", "'1024'", "1 << 10", "8 * 128" } do
      assert.same({ max_key_bytes = 1024 }, (load("return { max_key_bytes = " .. number .. " }")))
    end
  end)

  it("may begin as a program for a shell does, with a byte order mark, and end early", function()
    for _, text in ipairs { "#!/usr/bin/lua\nreturn { id = 'a' }", "\xEF\xBB\xBFreturn { id = 'a' }",
      "do return { id = 'a' } end" } do
      assert.same({ id = "a" }, (load(text)))
    end
  end)

  refuses {
    { "return { lisen = 'a:1' }", ":1: lisen: unknown option (did you mean listen?)" },
    { "return { max_key_byte = 1 }", ":1: max_key_byte: unknown option (did you mean max_key_bytes?)" },
    { "return { ['max-key-bytes'] = 1 }", ":1: max-key-bytes: unknown option (did you mean max_key_bytes?)" },
    { "return { node = {} }", ":1: node: unknown option (did you mean nodes?)" },
    { "return { zzzzzzzzzzzz = 1 }", ":1: zzzzzzzzzzzz: unknown option" },
    { "return { 'n1' }", ":1: [1]: expected options, as name = value" },
    { "return { [true] = 'n1' }", ": [true]: expected options, as name = value" },
    { "return { [{}] = 'n1' }", ": [a table]: expected options, as name = value" },
    { "return { config = 'x' }", ":1: config: expected as a flag (--config), it has no place in a file" },
    { "return { inspect = 'x' }", ":1: inspect: expected as a flag (--inspect), it has no place in a file" },
    { "return { options = { id = 'n1' } }", ":1: options: unknown option" },
    { "return {\n\n  id = ''\n}", ':3: id: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -, got ""' },
    { "return { memory = 1 }", ":1: memory: expected true or false, got 1" },
    { "return { memory = 'true' }", ':1: memory: expected true or false, got "true"' },
    { "return { data = '' }", ':1: data: expected a path of up to 4095 bytes, got ""' },
    { "return { log_level = ('loud '):rep(30) }", ":1: log_level: expected one of debug, info, warn, error, got \""
      .. ("loud "):rep(16) .. '..."' },
    { "return { log_level = 'a\\n\\27b' }",
      ':1: log_level: expected one of debug, info, warn, error, got "a\\x0a\\x1bb"' },
    { "return { election_ms = 500 }",
      ":1: election_ms: expected MIN-MAX in milliseconds, such as 300-600, up to 60000, got 500" },
    { "return { election_ms = { 300, 600 } }",
      ":1: election_ms: expected MIN-MAX in milliseconds, such as 300-600, up to 60000, got a table" },
    { "return { listen = 'a\\0b:1' }", ':1: listen: expected HOST:PORT, got "a\\x00b:1"' },
    { "return { id = 'a', id = 'b' }", ":1: id: expected once, but it is in line 1, too" },
    { "return {\n  id = 'a',\n  memory = true,\n  ['id'] = 'a',\n}",
      ":4: id: expected once, but it is in line 2, too" },
    { "return 7", ": expected to return a table, got 7" },
    { "local id = 'n1'", ": expected to return a table, got nil" },
    { "return function() end", ": expected to return a table, got a function" },
    { "return = 1", ":1: unexpected symbol near '='" },
    { "\27Lua", ": attempt to load a binary chunk (mode is 't')" },
  }

  it("is named, and so is why it cannot be read", function()
    local function why(path) return select(2, config_file.load(path, {})) end
    assert.equal("/nowhere/c.lua: No such file or directory", why "/nowhere/c.lua")
    assert.equal("/tmp: Is a directory", why "/tmp")
    assert.equal("/dev/zero: expected a configuration file of up to 1048576 bytes", why "/dev/zero")
  end)
end)

describe("peers in a configuration file", function()
  refuses {
    { "return { peers = { n2 = 'x' } }", ':1: peers.n2: expected HOST:PORT, got "x"' },
    { "return { peers = {\n n1 = 'a:1',\n n2 = 7 } }", ":3: peers.n2: expected HOST:PORT, got 7" },
    { "return { data = 'x',\n peers = {\n 'n1=a:1',\n 'n2=7' } }", ':2: peers.n2: expected HOST:PORT, got "7"' },
    { "return { peers = {\n 'n1=a:1',\n 'n2' } }", ':3: peers[2]: expected ID=HOST:PORT, got "n2"' },
    { "return { peers = { 'n1=a:1', false } }", ":1: peers[2]: expected ID=HOST:PORT, got false" },
    { "return { peers = { 'n1=a:1', 'n1=a:2' } }", ':1: peers[2]: expected each id once, got "n1=a:2"' },
    { "return { peers = { n1 = 'a:1', n1 = 'a:2' } }", ":1: peers.n1: expected once, but it is in line 1, too" },
    { "return { peers = { 'n1=a:1', n2 = 'a:2' } }",
      ":1: peers: expected either a list of ID=HOST:PORT, or a table of id = HOST:PORT, got a table" },
    { "return { peers = { { id = 'n1', address = 'a:1' } } }", ":1: peers[1]: expected ID=HOST:PORT, got a table" },
    { "return { peers = { ['n 2'] = 'a:1' } }",
      ':1: peers: expected node ids (1 to 63 of a-z A-Z 0-9 . _ -) as keys, got "n 2"' },
    { "return { peers = 'n1=a:1,' }",
      ':1: peers: expected ID=HOST:PORT, each id once, separated by commas, got "n1=a:1,"' },
    { "return { peers = 7 }", ":1: peers: expected a table of id = HOST:PORT, got 7" },
    { "local p = {} for i = 1, 17 do p['n' .. i] = 'a:' .. i end\nreturn { peers = p }",
      ":2: peers: expected at most 16 members, got 17" },
  }
end)

describe("a wrong value of any option", function()
  -- Of each: how it is written, and how messages show it.
  local wrong <const> = {
    { "pairs", "a function" }, { "function() end", "a function" }, { "{ {} }", "a table", peers = true },
    { "string", "a table", peers = true }, { "0/0", "nan" }, { "1/0", "inf" }, { "-1/0", "-inf" }, { "-1", "-1" },
    { "1e300", "1e+300" }, { "2^63", "9.2233720368547758e+18" }, { "1.5", "1.5" }, { "math.mininteger",
      "-9223372036854775808" }, { "''", '""' }, { "'\\0'", '"\\x00"' }, { "('x'):rep(5000)", '"' .. ("x"):rep(80)
      .. '..."' },
  }
  for _, row in ipairs(options.rows) do
    if not row.flag_only then
      it(("is refused, by name: %s"):format(row.key), function()
        local _, expected = row.parse(print)
        for _, case in ipairs(wrong) do
          if row.key ~= "peers" or not case.peers then
            local given, why = load(("return {\n %s = %s }"):format(row.key, case[1]))
            assert.is_nil(given, case[1])
            local shown <const> = case[2]:gsub("9.2233720368547758e%+18", tostring(2^63))
            local start <const> = ("F:2: %s: expected "):format(row.key)
            assert.equal(start, why:sub(1, #start))
            assert.equal(", got " .. shown, why:sub(-#shown - 6))
            if row.key ~= "peers" then assert.equal(start .. expected .. ", got " .. shown, why) end
          end
        end
      end)
    end
  end
end)

describe("the file of a cluster", function()
  local CLUSTER <const> = [[
    local peers, nodes = {}, {}
    for i = 1, 3 do
      local id = string.format("n%d", i)
      peers[id] = "127.0.0.1:" .. 7000 + i
      nodes[id] = { data = id .. ".data" }
    end
    nodes.n2.log_level = "debug"
    nodes.n3 = { memory = true }
    return { peers = peers, log_level = "warn", max_key_bytes = 10, nodes = nodes }
  ]]
  local PEERS <const> = { n1 = "127.0.0.1:7001", n2 = "127.0.0.1:7002", n3 = "127.0.0.1:7003" }

  it("gives each node what all have, with its own over it", function()
    local expected <const> = {
      n1 = { data = "n1.data", log_level = "warn" }, n2 = { data = "n2.data", log_level = "debug" },
      n3 = { memory = true, log_level = "warn" },
    }
    for id, own in pairs(expected) do
      own.peers, own.max_key_bytes = PEERS, 10
      assert.same(own, (load(CLUSTER, { id = id })))
    end
  end)

  it("lets a node take back with data what all have with memory, and the other way round", function()
    assert.same({ data = "d" }, (load("return { memory = true, nodes = { a = { data = 'd' } } }", { id = "a" })))
    assert.same({ memory = true }, (load("return { data = 'd', nodes = { a = { memory = true } } }", { id = "a" })))
  end)

  it("may say itself which node this is, but a flag is believed first", function()
    local text <const> = [[
      return { id = 'a', nodes = { a = { data = 'a' }, b = { data = 'b' } }, peers = 'a=a:1,b=b:1' }
    ]]
    assert.equal("a", load(text).data)
    assert.equal("b", load(text, { id = "b" }).data)
  end)

  it("need not say anything of a node that is a peer", function()
    local text <const> = "return { peers = 'a=a:1,b=b:1', nodes = { a = { data = 'x' } } }"
    assert.same({ peers = { a = "a:1", b = "b:1" } }, (load(text, { id = "b" })))
  end)

  it("need not name the peers when a flag does, or the node is alone, or knows others than the others do", function()
    assert.same({}, (load("return { nodes = { a = {}, b = {} } }", { id = "a", peers = {} })))
    assert.same({}, (load("return { nodes = { a = {} } }", { id = "a" })))
    assert.same({ peers = { a = "a:1", b = "c:2" } },
      (load("return { nodes = { a = { peers = 'a=a:1,b=c:2' }, b = {} } }", { id = "a" })))
  end)

  local a <const> = { id = "a" }
  refuses {
    { "return { nodes = { a = {}, b = {} }, peers = 'a=a:1,b=b:1' }",
      ":1: nodes: expected --id, to say which node this is: a, b" },
    { "return { peers = 'n1=a:1,n2=b:1', nodes = { n2 = {} } }",
      ":1: nodes: expected the node that this is, n4, among n1, n2", { id = "n4" } },
    { "return { nodes = { n1 = {} } }", ":1: nodes: expected the node that this is, a, among n1", a },
    { "return { nodes = { a = {}, b = {} } }",
      ":1: nodes: expected peers beside it, which say the address of each: a, b", a },
    { "return { peers = 'a=a:1',\n nodes = { a = {},\n b = {} } }", ":3: nodes.b: expected one of the peers (a)", a },
    { "return { nodes = {\n a = {\n  log_levl = 'warn' } } }",
      ":3: nodes.a.log_levl: unknown option (did you mean log_level?)", a },
    { "return { log_level = 'warn',\n nodes = { a = { data = 'x' },\n b = {\n log_level = 1 } } }",
      ":4: nodes.b.log_level: expected one of debug, info, warn, error, got 1", a },
    { "return { nodes = { a = {\n peers = {\n a = 'a' } } } }", ':3: nodes.a.peers.a: expected HOST:PORT, got "a"', a },
    { "return { nodes = { a = { id = 'a' } } }",
      ":1: nodes.a.id: expected outside of the nodes: the id of each is its key", a },
    { "return { nodes = { a = { nodes = {} } } }",
      ":1: nodes.a.nodes: expected outside of the nodes: the id of each is its key", a },
    { "return { nodes = { a = { node = {} } } }", ":1: nodes.a.node: unknown option", a },
    { "return { nodes = { a = { help = true } } }",
      ":1: nodes.a.help: expected as a flag (--help), it has no place in a file", a },
    { "return { nodes = { a = { 'x' } } }", ":1: nodes.a[1]: expected options, as name = value", a },
    { "return { nodes = { a = {}, a = {} } }", ":1: nodes.a: expected once, but it is in line 1, too", a },
    { "return { nodes = { a = 'd' } }", ':1: nodes.a: expected a table of options, got "d"', a },
    { "return { nodes = { a = pairs } }", ":1: nodes.a: expected a table of options, got a function", a },
    { "return { nodes = { 'a' } }",
      ":1: nodes[1]: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -, as the key", a },
    { "return { nodes = { ['a/b'] = {} } }",
      ":1: nodes.a/b: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -, as the key", a },
    { "return { nodes = {} }", ":1: nodes: expected a table of id = { options }, got none", a },
    { "return { nodes = 'a' }", ':1: nodes: expected a table of id = { options }, got "a"', a },
    { "return _ENV", ": assert: unknown option", a },
  }
end)

describe("a complete configuration as text", function()
  it("is a file that says the same", function()
    local given <const> = {
      { peers = { n1 = "a:1", ["2"] = "b:2" }, data = "a\n\"b\\" }, { memory = true, seed = 1, admin_socket = "s" },
      { fixed_leader = "n1", enable_faults = true },
    }
    for _, flags in ipairs(given) do
      local complete <const> = assert(config.complete(flags))
      assert.same(complete, config.complete(assert(load(config_file.text(complete)))))
    end
  end)
end)
