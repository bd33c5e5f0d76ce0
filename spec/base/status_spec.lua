-- Statuses, messages and checks.

local probe = require "base_probe"
local process = require "kvserver.process"

describe("status_name", function()
  it("names every status", function()
    assert.same({
      "ok", "invalid", "too_large", "not_found", "not_leader", "no_leader", "overloaded", "timeout", "disk_full",
      "corrupt", "io", "closed",
    }, probe.status_names())
  end)
end)

describe("error_set", function()
  it("keeps a text that fits", function()
    assert.equal(("x"):rep(511), probe.error_text(("x"):rep(511)))
  end)

  it("cuts a longer one, never inside a character", function()
    assert.equal(("x"):rep(511), probe.error_text(("x"):rep(600)))
    for before = 505, 511 do
      local text = probe.error_text(("x"):rep(before) .. ("\u{1F600}"):rep(10))
      assert.is_truthy(utf8.len(text), ("%d bytes before the characters"):format(before))
      assert.is_true(#text >= 507)
    end
  end)
end)

describe("CHECK", function()
  it("lets pass what holds", function()
    assert.has_no.errors(function() probe.check(true) end)
  end)

  it("prints file, line and condition of what does not, and aborts", function()
    local path <const> = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write("package.cpath = arg[1]; require('base_probe').check(false)")
    file:flush()
    local result = process.run { args = { process.self(), path, package.cpath }, timeout_ms = 10000 }
    os.remove(path)
    assert.matches("spec/native/base_probe%.c:%d+: check failed: lua_toboolean%(L, 1%)\n", result.stderr)
    assert.equal(6, result.signal) -- SIGABRT
  end)
end)
