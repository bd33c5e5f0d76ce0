-- The disk of one node is full: nobody notices. The disks of a majority are full: writes are refused, with a word that
-- says that nothing was done, and reads go on. There is room again: so are writes, without anybody's help.
-- It would fail if a full disk ended a node, if a write was refused and done all the same, or if a node never looked
-- for room again.
local kv = require "kvserver.scenario"
local check = require "kvserver.check"

local VALUE <const> = ("x"):rep(4000) -- what was laid out ahead of time is used up soon

kv.scenario("a full disk refuses writes, loses nothing, and recovers", {
  nodes = 3, timeout = "90s", needs = { "disk.full" }, config = { segment_bytes = 65536 },
}, function(c)
  kv.always("raft safety", check.raft(c))
  local leader <const> = c:wait_leader()
  local follower <const>, other <const> = table.unpack(c:followers())
  local writer = c:client { retry = "none", timeout = "2s" }
  local number = 0
  local function write()
    number = number + 1
    return writer:put("k", number .. VALUE)
  end

  follower.disk:full()
  for _ = 1, 100 do assert.equal("ok", write().outcome) end

  other.disk:full()
  kv.eventually("a leader that has room refuses a write that a majority could not store", "30s", function()
    return write().err_code == "disk_full"
  end)
  leader.disk:full()
  local reader = c:client { via = c:leader() }
  local before <const> = reader:get "k"
  assert.equal("ok", before.outcome)
  local refused <const> = write()
  assert.equal("disk_full", refused.err_code)
  assert.equal("fail", refused.outcome)
  assert.is_true(reader:get("k").value == before.value, "a write was refused and done all the same")

  for _, node in ipairs(c:nodes()) do node.disk:restore() end
  kv.eventually("a write is taken again", "30s", function() return write().outcome == "ok" end)
  c:wait_converged()
  check.linearizable(c.history)
  check.no_acked_write_lost(c.history)
  check.same_state(c)
end)
