-- JSON from Lua values: exact, canonical, and refused by name when a value has no JSON form.

local json = require "kvserver.json"

describe("json.encode", function()
  local written <const> = {
    { json.null, "null" }, { true, "true" }, { false, "false" }, { 0, "0" }, { -1, "-1" }, { "", '""' }, { {}, "{}" },
    { json.array {}, "[]" }, { { 1, 2 }, "[1,2]" }, { { a = 1 }, '{"a":1}' }, { { { {} } }, "[[{}]]" },
    { { b = 1, a = 2, ["a b"] = 3, A = 4, ["é"] = 5, [""] = 6 }, '{"":6,"A":4,"a":2,"a b":3,"b":1,"é":5}' },
    { { json.null, json.array {} }, "[null,[]]" }, { json.array { "x" }, '["x"]' },
    { 3.0, "3" }, { 1.5, "1.5" }, { -0.0, "-0" }, { 0.1, "0.1" }, { 1 / 3, "0.3333333333333333" }, { 1e22, "1e+22" },
    { 1e300, "1e+300" }, { 5e-324, "5e-324" }, { 2.0 ^ 53, "9007199254740992" }, { 2.0 ^ 63, "9.223372036854776e+18" },
    { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 123456789.125, "123456789.125" },
    { math.maxinteger, "9223372036854775807" }, { math.mininteger, "-9223372036854775808" },
    { '"\\/', [["\"\\/"]] }, { "\b\t\n\f\r", [["\b\t\n\f\r"]] }, { "\0\1\x0b\x1f", [["\u0000\u0001\u000b\u001f"]] },
    { "\x7f\u{80}\u{10FFFF}", '"\x7f\u{80}\u{10FFFF}"' },
  }
  for _, case in ipairs(written) do
    it("writes " .. case[2], function() assert.equal(case[2], json.encode(case[1])) end)
  end

  it("escapes exactly quotes, backslashes and control characters, at every offset", function()
    for byte = 0, 127 do
      local char = string.char(byte)
      local escape = ({ ['"'] = [[\"]], ["\\"] = [[\\]], ["\b"] = [[\b]], ["\t"] = [[\t]], ["\n"] = [[\n]],
        ["\f"] = [[\f]], ["\r"] = [[\r]] })[char] or byte < 0x20 and ("\\u%04x"):format(byte) or char
      for before = 0, 16 do
        local expected = '"' .. ("x"):rep(before) .. escape .. ("y"):rep(9) .. '"'
        local text = json.encode(("x"):rep(before) .. char .. ("y"):rep(9))
        if text ~= expected then assert.equal(expected, text) end
      end
    end
  end)

  it("writes equal values as equal bytes, however the tables came to be", function()
    local forth, back = {}, {}
    for i = 1, 200 do forth["key " .. i] = i end
    for i = 200, 1, -1 do back["key " .. i] = i end
    for i = 201, 400 do back["key " .. i] = i end
    for i = 201, 400 do back["key " .. i] = nil end
    assert.equal(json.encode(forth), json.encode(back))
  end)

  it("reads no metamethods", function()
    local function asked() error("asked") end
    local value = setmetatable({ a = 1 }, { __index = asked, __pairs = asked, __len = asked })
    assert.equal('{"a":1}', json.encode(value))
  end)

  local cycle <const> = {}
  cycle.again = cycle
  local refused <const> = {
    { "\xff", "json: a string that is not UTF-8" },
    { { entries = { { value = "ok" }, { value = "\xff" } } }, "json: .entries[2].value: a string that is not UTF-8" },
    { { ["\xff"] = 1 }, "json: .\xff: a string that is not UTF-8" },
    { { a = print }, "json: .a: a function has no JSON form" },
    { { coroutine.create(print) }, "json: [1]: a thread has no JSON form" },
    { io.stdout, "json: a userdata has no JSON form" },
    { { 1, nil, 3 }, "json: an array with holes" },
    { { [2] = 1 }, "json: an array with holes" },
    { { 1, x = 2 }, "json: an array with fields" },
    { json.array { x = 2 }, "json: an array with fields" },
    { { [0] = 1 }, "json: a key that is neither a string nor an index" },
    { { [1.5] = 1 }, "json: a key that is neither a string nor an index" },
    { { a = { [true] = 1 } }, "json: .a: a key that is neither a string nor an index" },
    { { 0 / 0 }, "json: [1]: a number that is not finite" },
    { math.huge, "json: a number that is not finite" },
    { cycle, "json: " .. (".again"):rep(32) .. ": nested too deeply (a cycle?)" },
  }
  for _, case in ipairs(refused) do
    it("refuses with: " .. case[2]:gsub("\xff", "?"), function()
      local ok, message = pcall(json.encode, case[1])
      assert.is_false(ok)
      assert.equal(case[2], message)
    end)
  end

  it("says where it was called", function()
    local _, message = pcall(function() return (json.encode(print)) end)
    assert.matches("json_encode_spec%.lua:%d+: json: a function has no JSON form$", message)
  end)

  it("wants a value", function()
    assert.has_error(function() json.encode() end)
  end)
end)

describe("json.array", function()
  it("marks a table and returns it", function()
    local list = {}
    assert.equal(list, json.array(list))
    assert.equal(json.array_mt, getmetatable(list))
    assert.equal(list, json.array(list))
  end)

  it("refuses what is not a table, or has another metatable", function()
    assert.has_error(function() json.array("x") end)
    assert.has_error(function() json.array(setmetatable({}, {})) end)
  end)

  it("is what decode makes of arrays", function()
    assert.equal(json.array_mt, getmetatable(json.decode("[]")))
    assert.is_nil(getmetatable(json.decode("{}")))
  end)
end)

describe("a round trip", function()
  it("gives back random values, byte for byte", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local strings <const> = { "", "a", '"', "\\", "\0", "\n", "é", "\u{1F600}", "abcdefgh", "\x1f", "/" }
    local function random_string()
      local text = ""
      for _ = 1, math.random(0, 5) do text = text .. strings[math.random(#strings)] end
      return text
    end
    local scalars <const> = {
      function() return math.random(0) end, function() return math.random(1000) end, random_string,
      function() return (string.unpack("d", string.pack("j", math.random(0)))) end, function() return json.null end,
      function() return math.random(2) == 1 end,
    }
    local function random_value(depth)
      local choice = math.random(depth > 0 and 8 or 6)
      if choice <= 6 then
        local value = scalars[choice]()
        return (value ~= value or value == math.huge or value == -math.huge) and 0.5 or value
      end
      local value = {}
      for _ = 1, math.random(0, 5) do
        value[choice == 7 and #value + 1 or random_string()] = random_value(depth - 1)
      end
      return choice == 7 and json.array(value) or value
    end
    for round = 1, 3000 do
      local text = json.encode(random_value(4))
      local again = json.encode((json.decode(text)))
      if again ~= text then error(("seed %d, round %d:\n%s\n%s"):format(seed, round, text, again)) end
    end
  end)

  it("gives back random floats", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    for _ = 1, 20000 do
      local value = string.unpack("d", string.pack("j", math.random(0)))
      if value == value and math.abs(value) ~= math.huge and json.decode(json.encode(value)) ~= value then
        error(("seed %d: %a"):format(seed, value))
      end
    end
  end)

  it("does not depend on the locale", function()
    local before <const> = os.setlocale()
    finally(function() os.setlocale(before) end)
    for _, name in ipairs { "de_DE.UTF-8", "fr_FR.UTF-8", "C" } do
      if os.setlocale(name) then
        assert.equal("1.5", json.encode(1.5))
        assert.equal(1.5, json.decode("1.5"))
      end
    end
  end)
end)
