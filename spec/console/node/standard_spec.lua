-- What a statement can reach of the node's Lua: nothing that harms it.
local console = require "spec.support.console"
local encode = require "kvserver.console.node.encode"
local standard = require "kvserver.console.node.standard"

local function values_of(reply)
  assert(reply.ok, reply.message)
  local values <const> = encode.decode(reply.values)
  return table.unpack(values, 1, values.n)
end

describe("the environment of a statement", function()
  local w, c
  setup(function()
    w = console.world()
    c = w:attach { rw = true }
  end)
  teardown(function()
    c:close()
    getmetatable(w).__close(w)
  end)

  it("lacks what reaches outside", function()
    for _, name in ipairs { "io", "debug", "package", "require", "dofile", "loadfile", "arg", "os.exit", "os.execute",
      "os.remove", "os.rename", "os.tmpname", "os.getenv", "os.setlocale", "string.dump", "math.randomseed", "warn" } do
      assert.is_true(values_of(c:eval(name .. " == nil")), name)
    end
  end)

  it("has the rest of the standard library, and it works", function()
    local works <const> = {
      "('abc'):upper() == 'ABC'", "('%d'):format(7) == '7'", "('a,b'):gsub(',', ';') == 'a;b'", "('x'):rep(3) == 'xxx'",
      "('x'):rep(2, ',') == 'x,x'", "('abc'):find('b', 1, true) == 2", "('k=v'):match('(%w)=(%w)') == 'k'",
      "select('#', ('a b c'):gsub(' ', '')) == 2", "math.max(1, 2) == 2", "table.concat({ 1, 2 }, ',') == '1,2'",
      "#table.move({ 1, 2, 3 }, 1, 3, 2) == 4", "utf8.char(228) == 'ä'", "os.time() > 0", "#os.date() > 0",
      "load('return 1 + 1')() == 2", "load('return x', 'n', 't', { x = 3 })() == 3", "collectgarbage('count') > 0",
      "pcall(error, 'x') == false", "tostring(nil) == 'nil'", "coroutine.wrap(function() return 1 end)() == 1",
      "getmetatable(setmetatable({}, { __index = string })) ~= nil", "next({}) == nil", "_G._G == _G",
      "getmetatable('') == nil", "getmetatable(print) == nil",
    }
    for _, expression in ipairs(works) do assert.is_true(values_of(c:eval(expression)), expression) end
  end)

  it("sorts, however many there are", function()
    local many <const> = [[local t = {} for i = 1, 20000 do t[i] = i * 7919 % 20011 end
      table.sort(t, function(a, b) return a < b end)
      for i = 2, #t do assert(t[i - 1] < t[i]) end return #t]]
    assert.equal(20000, values_of(c:eval(many)))
  end)

  it("sorts", function()
    assert.same({ 1, 2, 3, 5 }, values_of(c:eval("local t = { 5, 3, 1, 2 } table.sort(t) return t")))
    assert.same({ 5, 3, 2, 1 },
      values_of(c:eval("local t = { 5, 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t")))
  end)

  local escapes <const> = {
    ["the methods of all strings"] = "getmetatable('').__index.rep = nil",
    ["the metatable of strings"] = "setmetatable(getmetatable('') or {}, {})",
    ["the library of strings"] = "string.format = nil string.rep = nil",
    ["the methods by way of a string"] = "('').format = nil",
    ["a table of commands"] = "kv.get = nil",
    ["the metatable of a table of commands"] = "getmetatable(config).__call = nil",
    ["the columns of a result"] = "getmetatable(status()).columns[1] = 'x'",
    ["globals"] = "print = nil pairs = nil _G.tostring = nil",
    ["globals by way of load"] = "load('print = nil pairs = nil', 'x', 't', nil)()",
    ["a shared metatable, set anew"] = "setmetatable(status(), { columns = {} })",
  }
  for what, code in pairs(escapes) do
    it("belongs to the session alone: " .. what, function()
      c:eval(code)
      local other <close> = w:attach()
      assert.same({ true, "a-b", "xx", "n1", true, true }, {
        values_of(other:eval("('%s-%s'):format('a', 'b') == 'a-b', string.format('%s-%s', 'a', 'b'), ('x'):rep(2), "
          .. "status().id, config() ~= nil, print ~= nil and pairs ~= nil and kv.get ~= nil")),
      })
      assert.equal("id", other:eval("status()").values[1].record[1][1])
      assert.equal("a-b", ("%s-%s"):format("a", "b"))
      c:close()
      c = w:attach { rw = true }
    end)
  end

  it("loads text only", function()
    c:eval("chunk = nil")
    local bytes <const> = string.dump(function() return 1 end):gsub(".", function(byte)
      return ("\\%03d"):format(byte:byte())
    end)
    local loaded, why = values_of(c:eval(("local f, why = load(\"%s\", 'x', 'b') return f ~= nil, why"):format(bytes)))
    assert.is_false(loaded)
    assert.matches("attempt to load a binary chunk", why, 1, true)
  end)

  it("has no finalizers", function()
    assert.matches("there are no finalizers", c:eval("setmetatable({}, { __gc = print })").message, 1, true)
    -- Lua looks for it when the metatable is set: later is too late.
    c:eval("mt = {} t = setmetatable({}, mt) mt.__gc = function() server.finalized = true end t = nil")
    c:eval("for i = 1, 100 do collectgarbage('step') end")
    collectgarbage()
    assert.is_true(values_of(c:eval("server.finalized == nil")))
  end)

  it("has no weak keys: the collector goes through chains of them at one go", function()
    assert.matches("there are no weak keys", c:eval("setmetatable({}, { __mode = 'kv' })").message, 1, true)
    assert.is_true(c:eval("t = setmetatable({}, { __mode = 'v' })").ok)
  end)

  it("catches errors with a handler, which may fail itself", function()
    assert.same({ false, "no!", true, 1, 2, false }, { values_of(c:eval [[
      local function handle(why) return why .. '!' end
      local failed, why = xpcall(error, handle, 'no')
      local ok, a, b = xpcall(function(...) return ... end, handle, 1, 2)
      return failed, why, ok, a, b, (xpcall(error, function() error('again') end))]]) })
    assert.matches("bad argument #2 to 'xpcall'", c:eval("xpcall(print)").message, 1, true)
  end)

  it("bounds what would run long inside C, also in methods of strings", function()
    local refused <const> = {
      ["string.find"] = "(('x'):rep(1 << 20)):find(('x'):rep(1 << 10) .. 'y', 1, true)",
      ["table.move"] = "table.move({}, 1, 1e9, 1)",
      ["not enough memory"] = ("('x'):rep(%d)"):format(standard.REPEATED_BYTES_MAX + 1),
      ["string.format"] = ("return (('%%q'):format(('x'):rep(%d)))"):format(standard.TEXT_BYTES_MAX + 1),
      ["string.upper"] = ("return ((('x'):rep(%d)):upper())"):format(standard.TEXT_BYTES_MAX + 1),
      ["utf8.len"] = ("return (utf8.len(('x'):rep(%d)))"):format(standard.TEXT_BYTES_MAX + 1),
      ["os.date"] = ("return (os.date(('%%c'):rep(%d)))"):format(standard.DATE_BYTES_MAX),
      ["load"] = ("return (load((' '):rep(%d)))"):format(standard.CHUNK_BYTES_MAX + 1),
    }
    for name, code in pairs(refused) do
      assert.matches(name .. ".* up to %d+ ", c:eval(code).message)
    end
    assert.is_true(values_of(c:eval("('x'):rep(1 << 20):find('y') == nil")))
    assert.equal("", values_of(c:eval("('').rep('', 1 << 60)")))
    local loaded <const>, why = values_of(c:eval("return load(function() return (' '):rep(1000) end)"))
    assert.is_nil(loaded)
    assert.matches("load: up to %d+ bytes", why)
  end)

  it("leaves the node's own strings as they are", function()
    assert.equal(100000, #(("x"):rep(100000):gsub("y", "")))
  end)
end)
