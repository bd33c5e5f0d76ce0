-- What the manager of services that started a node hears of it.

local datagram_probe = require "datagram_probe"
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local task = require "kvserver.task"
local unixsocket = require "kvserver.unixsocket"
local uv = require "luv"

local WAIT_MS <const> = 20000

local function start(address, ...)
  return process.spawn {
    args = { process.self(), "--memory", "--listen", "127.0.0.1:0", ... }, env = { NOTIFY_SOCKET = address },
  }
end

local function next_datagram(socket)
  local text
  task.wait_until(function()
    text = socket:receive()
    return text
  end, WAIT_MS)
  return text
end

local function expect_whole_life(address)
  local manager <close> = datagram_probe.bind(address)
  local node <close> = start(address)
  node:wait_line("ready on http://", WAIT_MS)
  assert.equal("READY=1", next_datagram(manager))
  assert.is_nil(manager:receive())
  node:kill("sigterm")
  assert.equal("STOPPING=1", next_datagram(manager))
  assert.equal(0, assert(node:wait(WAIT_MS)).code)
  assert.is_nil(manager:receive())
end

describe("a node with NOTIFY_SOCKET", function()
  it("says once that it is ready, and once that it stops", function()
    local home <close> = directory.new()
    expect_whole_life(home.path .. "/notify")
  end)

  it("finds a socket that has a name and no file", function()
    expect_whole_life(("@kvserver-spec-%d"):format(uv.os_getpid()))
  end)

  it("does not say that it is ready when it refuses to start", function()
    local home <close> = directory.new()
    local manager <close> = datagram_probe.bind(home.path .. "/notify")
    local node <close> = start(home.path .. "/notify", "--fixed-leader", "n2")
    assert.equal(2, assert(node:wait(WAIT_MS)).code)
    assert.is_nil(manager:receive())
  end)

  it("serves all the same when nobody listens there, and says so in its log", function()
    local node <close> = start("/nowhere/notify")
    node:wait_line("ready on http://", WAIT_MS)
    node:kill("sigterm")
    local result = assert(node:wait(WAIT_MS))
    assert.equal(0, result.code)
    assert.matches("not_sent.-READY=1.-/nowhere/notify: No such file", result.stderr)
    assert.matches("not_sent.-STOPPING=1", result.stderr)
  end)
end)

describe("kvserver.unixsocket's send", function()
  it("refuses what is no address, and one that is too long", function()
    assert.same({ nil, "notify: expected an absolute path, or @ and a name" }, { unixsocket.send("notify", "x") })
    local long <const> = "/" .. ("x"):rep(107)
    assert.same({ nil, long .. ": a socket's address has up to 107 bytes" }, { unixsocket.send(long, "x") })
  end)

  it("takes an address of the full length", function()
    local name <const> = ("@%d-"):format(uv.os_getpid())
    local address <const> = name .. ("x"):rep(107 - #name)
    local receiver <close> = datagram_probe.bind(address)
    assert.is_true(unixsocket.send(address, "all of\0it"))
    assert.equal("all of\0it", receiver:receive())
  end)
end)
