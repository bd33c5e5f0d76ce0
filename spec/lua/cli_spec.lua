local child = require "spec.support.child"
local options = require "kvserver.options"
local version = require "kvserver.version"

describe("kvserver --help and --version", function()
  it("print to stdout and end with 0", function()
    local result = child.run { "--version" }
    assert.are.same({ code = 0, signal = 0, stdout = ("kvserver %s\n"):format(version), stderr = "" }, result)
    result = child.run { "--help" }
    assert.are.equal(0, result.code)
    assert.are.equal("", result.stderr)
    assert.matches("Usage: kvserver", result.stdout, 1, true)
  end)

  it("name every option, and what this version does not have", function()
    local help = child.run({ "--help" }).stdout:gsub("%s+", " ")
    for _, row in ipairs(options.rows) do
      assert.matches("--" .. row.name, help, 1, true)
      assert.matches(row.help, help, 1, true)
    end
  end)
end)

describe("a usage error", function()
  local cases = {
    { { "--lisen", "x" }, "--lisen: unknown option (did you mean --listen?)" },
    { { "--quux" }, "--quux: unknown option" },
    { { "--max_key_bytes", "1" }, "--max_key_bytes: unknown option (did you mean --max-key-bytes?)" },
    { { "-l" }, "-l: unknown option" },
    { { "--" }, "--: unknown option" },
    { { "--listen" }, "--listen: expected HOST:PORT" },
    { { "--listen", "7000" }, '--listen: expected HOST:PORT, got "7000"' },
    { { "--listen", "a:65536" }, '--listen: expected HOST:PORT, got "a:65536"' },
    { { "--listen=a b:1" }, '--listen: expected HOST:PORT, got "a b:1"' },
    { { "--id", "a/b" }, '--id: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -, got "a/b"' },
    { { "--id", ("x"):rep(64) }, "--id: expected a node id: 1 to 63 of a-z A-Z 0-9 . _ -" },
    { { "--peers", "n1" }, '--peers: expected ID=HOST:PORT, each id once, separated by commas, got "n1"' },
    { { "--peers", "n1=a:1,n1=a:1" }, "--peers: expected ID=HOST:PORT, each id once" },
    { { "--peers", "n1=a:1," }, "--peers: expected ID=HOST:PORT, each id once" },
    { { "--peers", "n1=x" }, '--peers.n1: expected HOST:PORT, got "x"' },
    { { "--peers", "n2=a:1" }, "--peers: expected the node itself (n1) among the peers" },
    { { "--peers", "n2=a:1,n3=a:2" }, "--peers: expected the node itself (n1) among the peers" },
    { { "--heartbeat-ms", "0" }, "--heartbeat-ms: expected an integer from 1 to 60000, got \"0\"" },
    { { "--election-ms", "600" }, "--election-ms: expected MIN-MAX in milliseconds, such as 300-600" },
    { { "--fixed-leader", "n2" }, "--fixed-leader: expected one of the peers, got n2" },
    { { "--max-key-bytes", "0" }, '--max-key-bytes: expected an integer from 1 to 65535, got "0"' },
    { { "--max-body-bytes", "1e6" }, '--max-body-bytes: expected an integer from 1 to 67108864, got "1e6"' },
    { { "--max-value-bytes", "99999999999999999999" }, "--max-value-bytes: expected an integer from 1 to 16777215" },
    { { "--max-connections", "" }, '--max-connections: expected an integer from 1 to 1000000, got ""' },
    { { "--request-timeout-ms", "-5" }, '--request-timeout-ms: expected an integer from 1 to 3600000, got "-5"' },
    { { "--read-policy", "fast" }, '--read-policy: expected one of readindex, stale, got "fast"' },
    { { "--write-mode", "lazy" }, '--write-mode: expected one of sync, async, got "lazy"' },
    { { "--async-result-ttl", "0" }, '--async-result-ttl: expected an integer from 1 to 86400, got "0"' },
    { { "--log-level", "loud" }, "--log-level: expected one of debug, info, warn, error" },
    { { "--log-format", "xml" }, "--log-format: expected one of logfmt, json" },
    { { "--seed", "x" }, "--seed: expected an integer" },
    { { "--script-memory-bytes", "x" }, "--script-memory-bytes: expected an integer" },
    { { "--data" }, "--data: expected DIR" },
    { { "--data", "" }, '--data: expected a path of up to 4095 bytes, got ""' },
    { { "--admin-socket", ("x"):rep(108) }, "--admin-socket: expected a path of up to 107 bytes, which is what" },
    { { "--admin-socket", "" }, "--admin-socket: expected a path of up to 107 bytes" },
    { { "--data", "x", "--memory" }, "--memory: expected without --data" },
    { { "--segment-bytes", "4095" }, '--segment-bytes: expected an integer from 4096 to 1073741824, got "4095"' },
    { { "--segment-bytes", "1073741825" }, "--segment-bytes: expected an integer from 4096 to 1073741824" },
    { { "--snapshot-threshold", "-1" }, '--snapshot-threshold: expected an integer from 0 to' },
    { { "--memory=yes" }, '--memory: takes no value, got "yes"' },
    { { "--config", "/nowhere/c.lua" }, "/nowhere/c.lua" },
    { { "--script" }, "--script: expected FILE" },
  }
  for _, case in ipairs(cases) do
    it(("%s: %s"):format(table.concat(case[1], " "):sub(1, 40), case[2]), function()
      local result = child.run(case[1])
      assert.are.equal(2, result.code)
      assert.are.equal("", result.stdout)
      assert.matches(case[2], result.stderr, 1, true)
    end)
  end

  it("in a configuration file names file and key", function()
    local file <close> = child.file("return { peers = { n2 = 'x' } }")
    local result = child.run { "--config", file.path }
    assert.are.equal(2, result.code)
    assert.matches(file.path .. ':1: peers.n2: expected HOST:PORT, got "x"', result.stderr, 1, true)
  end)
end)

describe("kvserver --print-config", function()
  it("prints what holds: defaults, the file over them, what it says of this node, the flags over all", function()
    local file <close> = child.file [[return {
      peers = { n1 = "127.0.0.1:7001", n2 = "127.0.0.1:7002" }, log_level = "warn", max_key_bytes = 10,
      max_value_bytes = 20,
      nodes = { n1 = { data = "1" }, n2 = { data = "2", max_key_bytes = 11, max_value_bytes = 21 } },
    }]]
    local result <const> = child.run { "--config", file.path, "--id=n2", "--max-key-bytes=12", "--print-config" }
    assert.are.same({ 0, "" }, { result.code, result.stderr })
    local printed <const> = load(result.stdout, "printed", "t", {})()
    assert.are.same({ "n2", "127.0.0.1:7002", "2", "2/admin.sock", "warn", 12, 21, 5000 }, { printed.id, printed.listen,
      printed.data, printed.admin_socket, printed.log_level, printed.max_key_bytes, printed.max_value_bytes,
      printed.request_timeout_ms })
    assert.is_nil(printed.nodes)
  end)

  it("refuses what would be refused without it", function()
    local result <const> = child.run { "--print-config", "--fixed-leader", "n2" }
    assert.are.same({ 2, "" }, { result.code, result.stdout })
    assert.matches("--fixed-leader: expected one of the peers", result.stderr, 1, true)
  end)
end)
