local http = require "spec.support.http"

describe("a store of snapshots under many threads", function()
  for _, kind in ipairs { "files", "memory" } do
    it(("gives readers whole ones while others come and go, in %s"):format(kind), function()
      local seed <const> = math.tointeger(os.getenv("KVSERVER_SPEC_SEED") or os.time())
      local options <const> = { threads = 4, operations = 500, seed = seed }
      local ok, result = pcall(http.native("snapshots_hammer").run, kind, options)
      assert(ok, ("KVSERVER_SPEC_SEED=%d: %s"):format(seed, result))
      assert.is_true(result.published > 400 and result.read > 200)
    end)
  end
end)
