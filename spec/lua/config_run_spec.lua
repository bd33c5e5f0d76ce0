-- What the Lua of a configuration file can do, and what it cannot.

local config_run = require "kvserver.config_run"
local loop = require "kvserver.loop"

describe("the Lua of a configuration file", function()
  local results <const> = {
    { "local t = {} for i = 1, 3 do t[i] = i * 2 end return t", { 2, 4, 6 } },
    { "local function f(n) return n < 2 and 1 or n * f(n - 1) end return { f(5) }", { 120 } },
    { "x = 1 return { x, ('%02d'):format(x), string.rep('a', 2), #utf8.char(228) }", { 1, "01", "aa", 2 } },
    { "local t = {} for k, v in pairs { a = 1 } do t[k] = v end return t", { a = 1 } },
    { "local t = { 'b', 'a' } table.sort(t) return { table.concat(t, ','), select('#', table.unpack(t)) }",
      { "a,b", 2 } },
    { "return { tostring(tonumber '7'), type(next), math.max(1, 2), math.type(2^3) }",
      { "7", "function", 2, "float" } },
    { "return { os.getenv 'KVSERVER_NO_SUCH_NAME', os.getenv 'PATH' ~= nil }", { nil, true } },
    { "for _, v in ipairs { 4 } do return { assert(v) } end", { 4 } },
  }
  for _, case in ipairs(results) do
    it("computes: " .. case[1], function() assert.same(case[2], assert(config_run.run(case[1]))) end)
  end

  local names <const> = {
    "io", "require", "dofile", "loadfile", "load", "pcall", "xpcall", "coroutine", "debug", "package", "print",
    "setmetatable", "getmetatable", "rawset", "rawget", "collectgarbage", "arg", "_G", "prot", "os.execute", "os.exit",
    "os.remove", "os.time", "string.dump", "table.move", "math.random",
  }
  for _, name in ipairs(names) do
    it("has no " .. name, function()
      local result, why, line = config_run.run("\nreturn { " .. name .. " }")
      assert.same({ nil, name .. ": a configuration file has nothing of this name", 2 }, { result, why, line })
    end)
  end

  local failures <const> = {
    { "while true do end", "takes too long: more than 10000000 steps", 1 },
    { "\nlocal function f()\n return f() end return f()", "takes too long: more than 10000000 steps", 3 },
    { "table.sort({ 1, 2 }, function()\n while true do end end)", "takes too long: more than 10000000 steps", 2 },
    { "local s = 'x'\n while true do s = s .. s end", "not enough memory" },
    { "return { ('x'):rep(1 << 30) }", "not enough memory" },
    { "\nerror 'as you like it'", "as you like it", 2 },
    { "error('as you like it', 0)", "as you like it" },
    { "error {}", "failed with a table" },
    { "assert(os.getenv 'KVSERVER_NO_SUCH_NAME', 'set it')", "set it", 1 },
    { "assert(false)", "assertion failed!", 1 },
    { "local id\nreturn { id.x }", "attempt to index a nil value (local 'id')", 2 },
    { "x =", "unexpected symbol near <eof>", 1 },
    { "return 'x'", 'expected to return a table, got "x"' },
  }
  for _, case in ipairs(failures) do
    it(("ends with an error: %s"):format(case[1]), function()
      local result, why, line = config_run.run(case[1])
      assert.same({ nil, case[2], case[3] }, { result, why, line })
    end)
  end

  it("changes nothing of what the program has", function()
    local sub <const> = string.sub
    assert(config_run.run "string.sub = nil table.sort = 1 os.getenv = 2 return {}")
    assert.equal(sub, string.sub)
    assert.equal("function", type(os.getenv))
  end)

  it("leaves the limit of memory as it was", function()
    local limit <const> = loop.memory_bytes() + (1 << 30)
    local before <const> = loop.set_memory_max(limit)
    config_run.run "return {}"
    config_run.run "local s = 'x' while true do s = s .. s end"
    assert.equal(limit, loop.set_memory_max(before))
  end)
end)
