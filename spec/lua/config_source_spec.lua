-- Where the keys of a configuration file stand in its text.

local config_source = require "kvserver.config_source"

describe("the lines of a configuration file", function()
  local cases <const> = {
    { "return { id = 1 }", { id = 1 } },
    { "return {\n id = 1,\n listen = 2;\n data = 3 };", { id = 2, listen = 3, data = 4 } },
    { "return {\n ['id'] = 1,\n [\"b c\"] = 2 }", { id = 2, ["b c"] = 3 } },
    { "return { a = {\n b = {\n c = 1 } } }", { a = 1, ["a.b"] = 2, ["a.b.c"] = 3 } },
    { "return {\n 'x',\n a = { 'y',\n 'z' } }", { ["[1]"] = 2, a = 3, ["a[1]"] = 3, ["a[2]"] = 4 } },
    { "-- return { no = 1 }\n--[[ return {\n no = 1 } ]] return { id = 1 }", { id = 3 } },
    { "local s = 'return { no = 1 }'\nreturn { id = 1 }", { id = 2 } },
    { "local s = [==[\n]]]==] return { id = [[\n}]], b = 1 }", { id = 2, b = 3 } },
    { "return { a = '\\'}', b = \"\\\\\",\n c = '--' }", { a = 1, b = 1, c = 2 } },
    { "return { a = '\\z\n  x',\n b = 1 }", { a = 1, b = 3 } },
    { "return {\n a = f(1, { x = 1 }, b == c), d = 0x1F, e = .5 }", { a = 2, d = 2, e = 2 } },
    { "return { a = { x = 1 } or { y = 1 },\n b = 2 }", { a = 1, b = 2 } },
    { "return { a = (function() return { no = 1 } end)(),\n b = 2 }", { a = 1, b = 2 } },
    { "return { a = function() local x, y = 1, 2 if x then y = 1 end repeat until x for _ in y do end end,\n b = 2 }",
      { a = 1, b = 2 } },
    { "return { [1 + 1] = 'x', [k] = 1, ['a' .. 'b'] = 2,\n c = 3 }", { c = 2 } },
    { "return { a == b,\n c = 1 }", { ["[1]"] = 1, c = 2 } },
    { "if x then return { no = 1 } end\nreturn { id = 1 }", { id = 2 } },
    { "local t = { id = 1 } return t", {} },
    { "return f { id = 1 }", {} },
    { "return", {} }, { "", {} }, { "return {}", {} }, { "return {}.a", {} },
  }
  for _, case in ipairs(cases) do
    it("are found in " .. case[1]:gsub("%s+", " "), function()
      local lines, twice = config_source.read(case[1])
      assert.same(case[2], lines)
      assert.is_nil(twice)
    end)
  end

  it("tell of the first key that is there twice", function()
    local _, twice = config_source.read "return { a = { b = 1,\n b = 2 },\n a = 3 }"
    assert.same({ place = "a.b", line = 2, first_line = 1 }, twice)
    local _, not_twice = config_source.read "return { a = { b = 1 }, c = { b = 1 }, b = 1, { b = 1 }, { b = 1 } }"
    assert.is_nil(not_twice)
  end)

  it("are found in the files of this tree", function()
    for _, name in ipairs { "spec/lua/config_source_spec.lua", "lua/kvserver/options.lua", "spec/mutants/list.lua" } do
      local file <close> = assert(io.open(name))
      config_source.read(file:read "a")
    end
  end)
end)
