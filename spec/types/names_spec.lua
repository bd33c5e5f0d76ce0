-- The names that users meet: error codes, policies, modes, limits.

local types = require "kvserver.types"

local function names(of)
  local list = {}
  for name, number in pairs(of) do list[number] = name end
  return list
end

describe("kvserver.types", function()
  it("names the error codes of the contract", function()
    assert.same({
      "bad_request", "cas_failed", "not_found", "method_not_allowed", "not_leader", "not_owner", "no_leader",
      "not_ready", "request_timeout", "too_large", "overloaded", "timeout", "disk_full", "internal",
    }, names(types.err_codes))
  end)

  it("names read policies and write modes", function()
    assert.same({ [0] = "stale", "readindex" }, names(types.read_policies))
    assert.same({ [0] = "sync", "async" }, names(types.write_modes))
  end)

  it("knows the limits of the contract", function()
    assert.equal(63, types.limits.node_id_bytes_max)
    assert.equal(256, types.limits.client_id_bytes_max)
    assert.equal(1000000, types.limits.dedupe_clients_max)
    assert.equal(10000, types.limits.scan_limit_max)
    assert.equal(100, types.limits.scan_limit_default)
  end)
end)
