local SPEC_CPATH <const> = os.getenv("KVSERVER_SPEC_CPATH")

describe("kvsm under many threads", function()
  if not SPEC_CPATH then
    pending("keeps pairs of keys together (KVSERVER_SPEC_CPATH is not set: run it with `make test`)")
    return
  end

  local function load_hammer()
    local path <const> = assert(package.searchpath("kvsm_hammer", SPEC_CPATH))
    return assert(package.loadlib(path, "luaopen_kvsm_hammer"))()
  end

  it("keeps pairs of keys together in reads, snapshots and restores", function()
    local seed <const> = math.tointeger(os.getenv("KVSERVER_SPEC_SEED") or os.time())
    local ok, result = pcall(load_hammer().run, { threads = 4, operations = 3000, seed = seed })
    assert(ok, ("KVSERVER_SPEC_SEED=%d: %s"):format(seed, result))
    assert.is_true(result.snapshots > 20)
    assert.is_true(result.restores > 0)
  end)
end)
