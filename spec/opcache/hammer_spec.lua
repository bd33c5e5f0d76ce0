local http = require "spec.support.http"

describe("opcache under many threads", function()
  it("tells everybody the result of the operation that was asked for, and forgets no pending one", function()
    local seed <const> = math.tointeger(os.getenv("KVSERVER_SPEC_SEED") or os.time())
    local hammer <const> = { threads = 8, operations = 20000, seed = seed }
    local ok, result = pcall(http.native("opcache_hammer").run, hammer)
    assert(ok, ("KVSERVER_SPEC_SEED=%d: %s"):format(seed, result))
    assert.is_true(result.finished > 10000)
    assert.is_true(result.refused > 0)
    assert.is_true(result.taken > result.finished) -- some were released
  end)
end)
