-- A leader that does not know that it was replaced must not answer a read from memory: another one may have
-- acknowledged a newer value since. Here it does not know because it is cut off, with a clock that runs slowly where
-- there is such a clock, or because it slept. A read that is allowed to be stale shows that the old value is still
-- there. It would fail if leaders answered without asking a majority, or trusted a lease and their clock.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

-- Asks again and again, each time once; what came of the last.
local function read_until(client, done)
  repeat
    local answer <const> = client:get "k"
    kv.sleep "5ms"
  until done(answer)
end

kv.scenario("a leader that is cut off answers no read", { nodes = 3, timeout = "60s", needs = { "net.cut" } },
  function(c)
    kv.always("raft safety", check.raft(c))
    local old <const> = c:wait_leader()
    local others <const> = c:others(old)
    local reader = c:client { via = old, retry = "none", timeout = "50ms" }
    assert.equal("ok", c:client { via = old }:put("k", "old").outcome)
    assert.equal("old", reader:get("k").value)

    if c:can "clock" then old.clock:rate(0.5) end
    c.net:isolate(old)
    local reads, over = 0, false
    local watcher <const> = kv.spawn(function()
      read_until(reader, function()
        reads = reads + 1
        return over
      end)
    end)
    local new <const> = c:wait_leader { among = others, within = "3s" }
    assert.equal("ok", c:client { via = new }:put("k", "new").outcome)
    kv.sleep "1s"
    over = true
    watcher:join()

    check.linearizable(c.history)
    assert.is_true(reads > 10)
    assert.equal("old", c:client { via = old, read = "stale" }:get("k").value)
    check.linearizable(c.history)
    c.net:heal()
    c:wait_converged()
    assert.equal("new", c:client { via = old }:get("k").value)
  end)

kv.scenario("a leader that slept answers no read of the past", { nodes = 3, timeout = "60s", needs = { "pause" } },
  function(c)
    kv.always("raft safety", check.raft(c))
    local old <const> = c:wait_leader()
    assert.equal("ok", c:client { via = old }:put("k", "old").outcome)

    old:pause()
    local new <const> = c:wait_leader { among = c:others(old), within = "3s" }
    assert.equal("ok", c:client { via = new }:put("k", "new").outcome)
    local asked = {} -- while it sleeps, so that it finds them before it hears of anything else
    for i = 1, 8 do
      asked[i] = kv.spawn(function() return c:client { via = old, timeout = "5s" }:get "k" end)
    end
    kv.sleep "100ms"
    old:resume()
    for _, one in ipairs(asked) do assert.equal("ok", one:join().outcome) end

    c:wait_converged()
    check.linearizable(c.history)
  end)
