-- Keys and values from a console, at a node whose writes are asynchronous unless they say otherwise.
local console = require "spec.support.console"

describe("a write from a console", function()
  it("returns with its outcome, whatever the node does by default", function()
    local w <close> = console.world { write_mode = "async" }
    local c <close> = w:attach { rw = true }
    local function run(code)
      local reply <const> = c:eval(code)
      assert.is_true(reply.ok, reply.message)
      return reply.values
    end
    assert.is_true(run("kv.put('a', '1').index > 0")[1])
    assert.same({ false, "1" }, run "kv.cas('a', 'other', '2'), kv.get('a')")
    assert.same({ true, "2" }, run "kv.cas('a', '1', '2'), kv.get('a')")
    assert.same({ 1 }, run "kv.delete('a').deleted")
  end)
end)
