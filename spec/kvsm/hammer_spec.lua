local http = require "spec.support.http"

describe("kvsm under many threads", function()
  it("keeps pairs of keys together in reads, snapshots and restores", function()
    local seed <const> = math.tointeger(os.getenv("KVSERVER_SPEC_SEED") or os.time())
    local hammer <const> = { threads = 4, operations = 3000, seed = seed }
    local ok, result = pcall(http.native("kvsm_hammer").run, hammer)
    assert(ok, ("KVSERVER_SPEC_SEED=%d: %s"):format(seed, result))
    assert.is_true(result.snapshots > 20)
    assert.is_true(result.restores > 0)
  end)
end)
