-- Values on their way to somebody's eyes: decoded, and in every format.
local decode = require "kvserver.console.decode"
local json = require "kvserver.json"
local render = require "kvserver.console.render"

local function value(text)
  return assert(decode.value(json.decode(text)))
end

local PEERS <const> = [=[{"columns":["id","role"],"list":[
  {"record":[["id","n1"],["role","leader"],["term",12345]]},
  {"record":[["id","n22"],["role",null],["term",3]]}]}]=]

local function shown(text, style)
  style = style or {}
  style.format = style.format or "auto"
  return render.value(value(text), style)
end

describe("a value that a node sends", function()
  it("is the number, the string or the table that it was", function()
    assert.equal(9007199254740993, value "9007199254740993")
    assert.equal(1.5, value '{"float":"0x1.8p+0"}')
    assert.equal("float", math.type(value '{"float":"0x1p+0"}'))
    assert.equal(math.huge, value '{"float":"inf"}')
    local nan <const> = value '{"float":"nan"}'
    assert.is_true(nan ~= nan)
    assert.equal("\xff\0", value '{"bytes":"/wA="}')
    assert.equal(json.null, value "null")
    assert.same({ kind = "list", 1, { kind = "list" } }, value '{"list":[1,{"list":[]}]}')
    assert.same({ kind = "record", keys = { 1, "a" }, values = { true, "b" } }, value '{"record":[[1,true],["a","b"]]}')
  end)

  it("keeps what was cut", function()
    assert.same({ kind = "list", 1, more = 5 }, value '{"list":[1,{"cut":5}]}')
    assert.same({ kind = "record", keys = { "a" }, values = { 1 }, more = 5 }, value '{"record":[["a",1],{"cut":5}]}')
    assert.same({ kind = "cut", bytes = 70000, text = "aa" }, value '{"cutbytes":[70000,"aa"]}')
  end)

  it("is refused when it makes no sense", function()
    for _, text in ipairs { "{}", '{"list":3}', '{"float":"x"}', '{"record":[[1]]}', '{"bytes":"!"}',
      '{"cutbytes":1}', '{"cutbytes":[1]}', '{"cutbytes":[1,{"list":[]}]}', '{"list":[],"columns":[7]}',
      '{"list":[],"columns":[{}]}' } do
      local decoded <const>, why = decode.value(json.decode(text))
      assert.is_nil(decoded)
      assert.matches("makes no sense", why)
    end
  end)

  it("is plain Lua for a script", function()
    assert.same({ { id = "n1", role = "leader", term = 12345 }, { id = "n22", term = 3 } }, decode.plain(value(PEERS)))
    assert.same({ "id", "role" }, getmetatable(decode.plain(value(PEERS))).columns)
    assert.is_nil(decode.plain(json.null))
  end)
end)

describe("a list of records", function()
  it("is an aligned table on a terminal, as wide as its text shows", function()
    local text <const> = '{"list":[{"record":[["k","世界"],["n",1]]},{"record":[["k","a"],["n",1234567]]}]}'
    assert.equal(" k    |         n\n------+-----------\n 世界 |         1\n a    | 1,234,567",
      shown(text, { terminal = true, thousands = true }))
  end)

  it("has its heads broken into words where there is little room", function()
    local text <const> = '{"list":[{"record":[["id","n1"],["trails_leader_by",7]]}]}'
    assert.equal(" id | trails_\n    | leader_\n    |      by\n----+---------\n n1 |       7",
      shown(text, { terminal = true, columns = 18 }))
    assert.equal(" id | trails_leader_by\n----+------------------\n n1 |                7",
      shown(text, { terminal = true, columns = 24 }))
  end)

  it("is shown field by field when it is too wide, or when that is asked for", function()
    local expected <const> = "-[ 1 ]-----\nid   = n1\nrole = leader\nterm = 12345\n"
      .. "-[ 2 ]-----\nid   = n22\nrole = nil\nterm = 3"
    assert.equal(expected, shown(PEERS, { terminal = true, columns = 10 }))
    assert.equal(expected, shown(PEERS, { terminal = true, columns = 80, expanded = true }))
  end)

  it("wraps its cells", function()
    assert.equal(" id  | role | term\n-----+------+------\n n1  | lead | 1234\n     | er   |    5\n n22 |      |    3",
      shown(PEERS, { format = "table", cell_max = 4 }))
  end)

  it("has all its columns, those that are named first", function()
    local text <const> = '{"columns":["b"],"list":[{"record":[["a",1],["b",2]]},{"record":[["c",3]]}]}'
    assert.equal("b,a,c\n2,1,\n,,3", shown(text, { format = "csv" }))
  end)

  it("tells how many were left out", function()
    local text <const> = '{"list":[{"record":[["a",1]]},{"cut":12000}]}'
    assert.equal(" a\n---\n 1\n(12,000 more were left out)", shown(text, { format = "table" }))
    assert.equal('[{"a":1},{"cut":12000}]', shown(text, { format = "json" }))
  end)

  it("is JSON, CSV, Markdown, YAML, Lua", function()
    assert.equal('[{"id":"n1","role":"leader","term":12345},{"id":"n22","role":null,"term":3}]',
      shown(PEERS, { format = "json" }))
    assert.equal("id,role,term\nn1,leader,12345\nn22,,3", shown(PEERS, { format = "csv" }))
    assert.equal("| id | role | term |\n| --- | --- | ---: |\n| n1 | leader | 12345 |\n| n22 | nil | 3 |",
      shown(PEERS, { format = "markdown" }))
    assert.equal("- id: n1\n  role: leader\n  term: 12345\n- id: n22\n  role: null\n  term: 3",
      shown(PEERS, { format = "yaml" }))
    local lua <const> = shown(PEERS, { format = "lua" })
    assert.same({ { id = "n1", role = "leader", term = 12345 }, { id = "n22", term = 3 } }, load("return " .. lua)())
  end)
end)

describe("a record", function()
  it("is shown as key = value, what is nested in it as YAML", function()
    assert.equal("id   = n1\nterm = 3", shown('{"record":[["id","n1"],["term",3]]}', { terminal = true }))
    assert.equal("id: n1\npeers:\n  - a: 1\n    b:\n      - 2\n",
      shown('{"record":[["id","n1"],["peers",{"list":[{"record":[["a",1],["b",{"list":[2]}]]}]}]]}',
        { terminal = true }) .. "\n")
  end)
end)

describe("a string", function()
  it("is what it is in a pipe, and harmless on a terminal", function()
    local text <const> = '"\\u001b[2Ja\\u202eb\\u009b\\nc"'
    assert.equal("\27[2Ja\u{202e}b\u{9b}\nc", shown(text))
    assert.equal("\\x1b[2Ja\\u{202e}b\\u{9b}\nc", shown(text, { terminal = true }))
    for _, format in ipairs { "json", "lua", "yaml", "csv", "markdown", "raw", "table" } do
      for _, nested in ipairs { text, ('{"list":[%s]}'):format(text), ('{"record":[[%s,%s]]}'):format(text, text),
        ('{"list":[{"record":[[%s,%s]]}]}'):format(text, text) } do
        local on_terminal <const> = shown(nested, { format = format, terminal = true })
        assert.is_nil(on_terminal:find "[\0-\8\11-\31\127]", format)
        assert.is_nil(on_terminal:find("\u{202e}", 1, true), format)
        assert.is_nil(on_terminal:find("\u{9b}", 1, true), format)
      end
    end
  end)

  it("that is no text is shown with escapes and its length, and as base64 in JSON", function()
    assert.equal("\\xff\\0a (3 bytes)", shown('{"bytes":"/wBh"}', { terminal = true }))
    assert.equal('{"base64":"/wBh"}', shown('{"bytes":"/wBh"}', { format = "json" }))
    assert.equal("\xff\0a", shown('{"bytes":"/wBh"}', { format = "raw" }))
    assert.equal("\xff\0a", load("return " .. shown('{"bytes":"/wBh"}', { format = "lua" }))())
  end)

  it("says that it is but a beginning", function()
    assert.equal("aa... (of 70,000 bytes)", shown('{"cutbytes":[70000,"aa"]}', { terminal = true }))
    assert.equal('{"cutbytes":[70000,"aa"]}', shown('{"cutbytes":[70000,"aa"]}', { format = "json" }))
  end)
end)

describe("a number", function()
  it("has commas for people only", function()
    local style <const> = { terminal = true, thousands = true }
    assert.equal("a = 1,234,567\nb = -12,345\nc = 9999",
      shown('{"record":[["a",1234567],["b",-12345],["c",9999]]}', style))
    assert.equal("1234567", shown("1234567"))
    assert.equal("1234567", shown("1234567", style)) -- alone it may be wanted for what is typed next
    assert.equal("1234567", shown("1234567", { format = "json", terminal = true, thousands = true }))
  end)

  it("that JSON does not have is a string there", function()
    assert.equal('["inf","-inf"]', shown('{"list":[{"float":"inf"},{"float":"-inf"}]}', { format = "json" }))
  end)
end)
