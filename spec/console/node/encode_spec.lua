-- Values as a console gets to see them.
local encode = require "kvserver.console.node.encode"
local json = require "kvserver.json"
local result = require "kvserver.console.node.result"

-- What a console reads: through JSON and back.
local function wire(...)
  return json.decode(json.encode(encode.values(table.pack(...))))
end

describe("values on their way to a console", function()
  local cases <const> = {
    { "nil", nil, json.null }, { "true", true, true }, { "an integer", math.mininteger, math.mininteger },
    { "a float", 1.5, { float = "0x1.8p+0" } }, { "a float that is whole", 3.0, { float = "0x1.8p+1" } },
    { "infinity", math.huge, { float = "inf" } }, { "minus infinity", -math.huge, { float = "-inf" } },
    { "no number", 0 / 0, { float = "nan" } }, { "text", "ä\n", "ä\n" }, { "bytes", "\xff", { bytes = "/w==" } },
    { "a list", { 1, "x" }, { list = { 1, "x" } } }, { "an empty table", {}, { list = {} } },
    { "a list in a list", { {} }, { list = { { list = {} } } } },
    { "a record", { b = 1, a = 2, [3] = 4 }, { record = { { 3, 4 }, { "a", 2 }, { "b", 1 } } } },
    { "a list with a hole", { 1, nil, 3 }, { record = { { 1, 1 }, { 3, 3 } } } },
    { "a list that is more", { 1, x = 2 }, { record = { { 1, 1 }, { "x", 2 } } } },
    { "other keys", { [true] = 1, [1.5] = 2 }, { record = { { { float = "0x1.8p+0" }, 2 }, { true, 1 } } } },
    { "a record with columns", result.record({ "z", "a" }, { a = 1, z = 2, b = 3 }),
      { record = { { "z", 2 }, { "a", 1 }, { "b", 3 } } } },
    { "a list with columns", result.list({ "z", "a" }, { { a = 1, z = 2 } }),
      { list = { { record = { { "z", 2 }, { "a", 1 } } } }, columns = { "z", "a" } } },
  }
  for _, case in ipairs(cases) do
    local name <const>, value <const>, expected <const> = case[1], case[2], case[3]
    it("keep what they are: " .. name, function()
      assert.same({ expected }, wire(value))
    end)
  end

  it("come back the same", function()
    local values <const> = { n = 6, 1, 1.5, "x", "\xff\0", nil, { a = { 1, 2, { b = false } } } }
    assert.same(values, encode.decode(wire(table.unpack(values, 1, values.n))))
    local special <const> = encode.decode(wire(math.huge, -math.huge, 0 / 0))
    assert.same({ math.huge, -math.huge }, { special[1], special[2] })
    assert.is_true(special[3] ~= special[3])
  end)

  it("show what cannot be shown by its kind", function()
    assert.matches("^function: 0x%x+$", wire(print)[1].other)
    assert.matches("^thread: 0x%x+$", wire(coroutine.create(print))[1].other)
  end)

  it("run no code of theirs", function()
    local function fail() error("ran") end
    local hostile <const> = setmetatable({ 1 }, { __index = fail, __len = fail, __pairs = fail, __tostring = fail })
    assert.same({ { list = { 1 } } }, wire(hostile))
    assert.same({ { list = {} } }, wire(setmetatable({}, { columns = 7 })))
  end)

  it("end at cycles, and where they are nested too deeply", function()
    local cycle <const> = {}
    cycle.me = cycle
    assert.same({ { record = { { "me", { seen = true } } } } }, wire(cycle))
    local twice <const> = {}
    assert.same({ { list = { { list = {} }, { list = {} } } } }, wire({ twice, twice }))
    local deep = {}
    for _ = 1, 100 do deep = { k = deep } end
    local text <const> = json.encode(encode.values(table.pack(deep)))
    assert.matches("nested too deeply", text, 1, true)
    assert.is_truthy(json.decode(text))
  end)

  it("are cut, and what is left out is counted", function()
    local long <const> = {}
    for i = 1, encode.ITEMS_MAX + 500 do long[i] = i end
    local list <const> = wire(long)[1].list
    assert.is_true(#list <= encode.ITEMS_MAX)
    assert.equal(#long - #list + 1, list[#list].cut)
    local wide <const> = {}
    for i = 1, encode.ITEMS_MAX * 2 do wide["k" .. i] = 1 end
    local record <const> = wire(wide)[1].record
    assert.equal(encode.ITEMS_MAX * 2 - #record + 1, record[#record].cut)
    local many <const> = wire(table.unpack(table.pack(long, long, long)))
    assert.equal(2, many[2].cut)
  end)

  it("are cut in the middle of a long string, but not of a character", function()
    local text <const> = ("ä"):rep(encode.STRING_BYTES_MAX)
    local cut <const> = wire("x" .. text)[1].cutbytes
    assert.equal(#text + 1, cut[1])
    assert.equal("x" .. text:sub(1, encode.STRING_BYTES_MAX - 2), cut[2])
    local bytes <const> = wire(("\xff"):rep(encode.STRING_BYTES_MAX + 1))[1].cutbytes
    assert.equal(encode.STRING_BYTES_MAX + 1, bytes[1])
    assert.is_string(bytes[2].bytes)
  end)

  it("have columns that are names, and not many; nothing is called for them", function()
    local function columns_of(columns) return wire(setmetatable({ 1 }, { columns = columns }))[1].columns end
    local function fail() error "called" end
    local many <const>, long = {}, { ("x"):rep(100000) }
    for i = 1, 1000 do many[i] = "x" end
    assert.same({ "a", "b" }, columns_of { "a", "b" })
    assert.same({ "a" }, columns_of(setmetatable({ "a" }, { __len = fail, __index = fail })))
    for _, wrong in ipairs { many, long, { "a", 7 }, { {} }, "a" } do assert.is_nil(columns_of(wrong)) end
    local odd <const> = setmetatable({ a = 1 }, { columns = setmetatable({}, { __index = fail }) })
    assert.same({ { "a", 1 } }, wire(odd)[1].record)
  end)

  it("fit into what a reply may be, whatever is in them", function()
    for _, byte in ipairs { "x", "\1", "\xff", "\"" } do
      local list <const> = {}
      for i = 1, 200 do list[i] = byte:rep(encode.STRING_BYTES_MAX) end
      assert.is_true(#json.encode(encode.values(table.pack(list))) < 8 << 20)
    end
  end)

  it("are refused on the way back when they make no sense", function()
    for _, text in ipairs { "{}", "[{}]", '[{"float":"x"}]', '[{"bytes":"?"}]', '[{"other":"f"}]', "7",
      '[{"list":7}]', '[{"record":7}]', '[{"record":[7]}]', '[{"record":[[null,1]]}]',
      '[{"record":[[{"float":"nan"},1]]}]' } do
      assert.is_false((pcall(encode.decode, json.decode(text))), text)
    end
  end)
end)
