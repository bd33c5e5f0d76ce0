-- The example of a configuration file for a cluster.

local child = require "spec.support.child"
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local task = require "kvserver.task"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

describe("share/cluster.lua", function()
  it("starts three nodes that are a cluster, each with data of its own", function()
    local home <close> = directory.new()
    local file <close> = child.file((read("share/cluster.lua"):gsub("127%.0%.0%.1", cluster.own_host())))
    local nodes <const> = {}
    local _ <close> = setmetatable({}, { __close = function() for _, node in pairs(nodes) do node:kill() end end })
    local clients <const> = {}
    for _, id in ipairs { "n1", "n2", "n3" } do
      nodes[id] = process.spawn {
        args = { process.self(), "--config", file.path, "--id", id }, env = { KVSERVER_DATA = home.path },
      }
    end
    for id, node in pairs(nodes) do clients[id] = client.connect(node:wait_line("ready on (%S+)\n", 10000)) end
    local function leads(status) return status and status.role == "leader" end
    local leader
    assert(task.wait_until(function()
      for id, one in pairs(clients) do leader = leads(one:status()) and id or leader end
      return leader
    end, 10000))
    assert.is_true(clients[leader]:put("a", "1").ok)
    for _, one in pairs(clients) do
      assert(task.wait_until(function() return (one:get("a") or {}).value == "1" end, 10000))
      one:close()
    end
    assert.same({ "kvdata-n1", "kvdata-n2", "kvdata-n3" }, home:names())
  end)

  it("says of a node that it does not know which it knows", function()
    local result <const> = child.run { "--config", "share/cluster.lua", "--id", "n4" }
    assert.equal(2, result.code)
    assert.matches("nodes: expected the node that this is, n4, among n1, n2, n3", result.stderr, 1, true)
  end)
end)
