-- Indices and terms near the borders of 32 and 63 bits.

local cluster = require "spec.support.raft_cluster"

for name, base in pairs { ["2^32"] = (1 << 32) - 3, ["2^63"] = math.maxinteger - 2 } do
  describe("a log that crosses " .. name, function()
    it("is replicated, committed and repaired as any other", function()
      local c = cluster.new { log_base = base, log_base_term = 1, logs = { { 1 }, { 1, 1, 1, 1, 1, 1 }, {} },
        hard_states = { { term = 4, proven = true }, { term = 1, proven = true }, { term = 1, proven = true } } }
      c:crash(2)
      c:elect(1)
      c:propose(1, 5)
      c:deliver()
      c:restart(2)
      c:heartbeat(1)
      c:heartbeat(1)
      assert.same({ 1, 5, 5, 5, 5, 5, 5 }, c:log(1))
      assert.same(c:log(1), c:log(2))
      assert.same(c:log(1), c:log(3))
      for number = 1, 3 do assert.equal(base + 7, c:state(number).commit_index) end
      assert.equal(base + 7, c:read(1).read_index)
    end)

    it("makes its holder win against a shorter one", function()
      local c = cluster.new { log_base = base, log_base_term = 1, logs = { { 1, 1, 1, 1 }, { 1, 1 }, { 1, 1 } } }
      c:isolate(3)
      assert.has_error(function() c:elect(2) end)
      assert.equal("leader", c:take_office(1).role)
    end)
  end)
end
