-- Statements that would not let go, at every node of a real cluster under load: nobody misses a heartbeat. The timing
-- is that of a machine which has much else to do.
local cluster = require "kvserver.cluster"
local console = require "spec.support.console"
local directory = require "spec.support.directory"

local WRITES <const> = 40

local HOSTILE <const> = {
  "while true do pcall(function() while true do end end) end",
  "while true do pcall(coroutine.wrap(function() while true do end end)) end",
  "hoard = {} while true do pcall(function() hoard[#hoard + 1] = { 'x' } end) end",
  "while true do kv.get('k') end",
  "while true do print(('x'):rep(1000)) end",
  "local t = {} for i = 1, 50000 do t[i] = i end while true do table.sort(t) end",
  "while true do local _ = ('x'):rep(1 << 20) end",
}

describe("runaway statements at every node of a cluster under load", function()
  it("bring no election about, and all writes are done", function()
    local dir <close> = directory.new()
    local c <close> = cluster.start {
      options = function(id)
        return { "--memory", "--heartbeat-ms", "30", "--election-ms", "3000-6000", "--log-level", "warn",
          "--admin-socket", ("%s/%s.sock"):format(dir.path, id) }
      end,
    }
    local leader <const> = c:wait_leader()
    local consoles <const> = {}
    local _ <close> = setmetatable({}, { __close = function() for _, one in ipairs(consoles) do one:close() end end })
    local asker <const> = c:client(leader, { client_id = "spec" })
    local term <const> = asker:status().term
    for _, id in ipairs(c.ids) do
      for _, code in ipairs(HOSTILE) do
        local one <const> = console.attach(("%s/%s.sock"):format(dir.path, id))
        consoles[#consoles + 1] = one
        one:begin(code)
      end
    end
    for i = 1, WRITES do assert.is_true(asker:put("k", tostring(i)).ok) end
    local status <const> = asker:status()
    assert.same({ "leader", term }, { status.role, status.term })
    for _, one in ipairs(consoles) do
      one:write { ["do"] = "cancel", id = 1 }
      assert.is_truthy(({ cancelled = true, limit = true })[one:answer(1).kind])
    end
  end)
end)
