-- The exchanges that matter, whole, as reviewed text beside this file. KVSERVER_GOLDEN=write rewrites it.

local cluster = require "spec.support.raft_cluster"

local directory <const> = "spec/raft/core/golden/"

local function compare(name, text)
  local path = directory .. name .. ".txt"
  if os.getenv "KVSERVER_GOLDEN" == "write" then
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end
  local file = assert(io.open(path, "r"))
  local expected = file:read "a"
  file:close()
  assert.equal(expected, text)
end

-- A quiet cluster of three with a leader, its trace empty.
local function quiet()
  local c = cluster.new()
  c:elect(1)
  c:heartbeat(1)
  c.trace = {}
  return c
end

describe("the exchange of", function()
  it("an election with pre-vote", function()
    local c = cluster.new()
    c:advance(1000)
    c:timeout(1, 0)
    c:deliver()
    compare("election", c:text())
  end)

  it("a proposal on slow disks", function()
    local c = quiet()
    for number = 1, 3 do c:slow_disk(number) end
    c:propose(1, 2)
    c:deliver()
    c:sync(2)
    c:deliver()
    c:sync(1)
    c:sync(3)
    c:deliver()
    compare("proposal", c:text())
  end)

  it("the repair of two logs in conflict", function()
    local c = cluster.new { logs = { { 1, 1, 4, 4 }, { 1, 1, 2, 2, 3, 3 }, { 1 } } }
    assert.equal("leader", c:take_office(1).role)
    c.trace = {}
    c:deliver()
    compare("repair", c:text())
  end)

  it("a read index", function()
    local c = quiet()
    c:read(1)
    c:deliver()
    compare("read_index", c:text())
  end)

  it("a leader that steps down before a newer one", function()
    local c = cluster.new()
    c:elect(1)
    c:isolate(1)
    c:propose(1)
    c:elect(2)
    c:heal()
    c.trace = {}
    c:flush(1)
    c:step(1, { type = "read" })
    c:flush(1)
    c:deliver()
    c:heartbeat(2)
    compare("step_down", c:text())
  end)

  it("a leadership transfer", function()
    local c = quiet()
    c:isolate(2)
    c:propose(1)
    c:deliver()
    c:heal()
    c.trace = {}
    c:transfer(1, 2)
    c:heartbeat(1)
    compare("transfer", c:text())
  end)
end)
