-- What takes too long is told to the log: in a child, whose log may say more than that of the specs.
local child = require "spec.support.child"
local directory = require "spec.support.directory"

-- Runs `source` in a process with a node on a data directory, `node`, that is ready, and a client of it, `c`; what it
-- gives is printed.
local function run(source)
  local dir <close> = directory.new()
  local result = child.run_script(([[
    local client, log, server = require "kvserver.client", require "kvserver.log", require "kvserver.server"
    local task, uv = require "kvserver.task", require "luv"
    local options = { listen = "127.0.0.1:0", data = %q, enable_faults = true, segment_bytes = 1 << 16 }
    local node <close> = assert(server.start(options))
    assert(task.wait_until(function() return not node:status().not_ready end, 10000))
    local c <close> = client.connect { port = node:port() }
    local function answer()
      %s
    end
    print(answer())]]):format(dir.path, source))
  assert.equal(0, result.code, result.stderr)
  return result.stdout
end

describe("a write of the log that takes long", function()
  it("is told, with its size; others are not", function()
    local text = run([[
      assert(c:put("k", "v").ok)
      node:fault_disk { slow_ms = 120 }
      assert(c:mput({ { key = "a", value = "1" } }).ok)
      node:fault_disk {}
      assert(c:put("k", "v").ok)
      local page = c:http("GET", "/metrics").body
      local name = "kvserver_wal_append_duration_seconds_"
      local all, short = page:match(name .. "count (%d+)"), page:match(name .. 'bucket{le="0.1"} (%d+)')
      local lines = log.recent(nil, "slow_write")
      assert(#lines == all - short, #lines)
      return table.concat(lines, "\n")]])
    local ms, sync_ms, bytes, entries =
      text:match("level=warn module=wal event=slow_write ms=(%d+) sync_ms=(1[2-9]%d) bytes=(%d+) entries=(%d+)")
    assert.is_true(ms and tonumber(ms) >= tonumber(sync_ms), text)
    assert.is_true(tonumber(bytes) > 0, text)
    assert.equal("1", entries)
  end)
end)

describe("a turn of the loop that takes long", function()
  it("is told, with what took the time", function()
    local text = run([[
      os.execute("sleep 0.06")
      task.yield() -- the turn ends
      task.sleep(1)
      local timer = uv.new_timer()
      local fired = task.event()
      timer:start(1, 0, function()
        os.execute("sleep 0.07")
        timer:close()
        fired:set()
      end)
      fired:wait()
      task.sleep(1)
      return table.concat(log.recent(nil, "slow_turn"), "\n")]])
    local ms, long = text:match("level=warn module=loop event=slow_turn ms=(%d+) longest=scripts longest_ms=(%d+)\n")
    assert.is_true(ms and tonumber(ms) >= 60 and tonumber(long) >= 60, text)
    ms, long = text:match("level=warn module=loop event=slow_turn ms=(%d+) longest=callbacks longest_ms=(%d+)\n")
    assert.is_true(ms and tonumber(ms) >= 70 and tonumber(long) >= 70, text)
  end)

  it("is not one that only waits", function()
    local seconds = tonumber(run([[
      local function busy()
        return tonumber(c:http("GET", "/metrics").body:match("kvserver_loop_turn_duration_seconds_sum (%S+)"))
      end
      local before = busy()
      task.sleep(300) -- less than half of it is what a busy machine takes
      return busy() - before]]))
    assert.is_true(seconds > 0 and seconds < 0.15, seconds)
  end)
end)
