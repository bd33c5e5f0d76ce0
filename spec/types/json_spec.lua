-- Strict JSON: which texts are read, which are refused and with what words, and what the values are.

local json = require "kvserver.json"
local types = require "kvserver.types"

local DEPTH <const> = types.limits.json_depth_max

-- Objects and arrays of plain tables compare by content; json.null is json.null.
local accepted <const> = {
  -- the outermost value
  { "null", json.null }, { "true", true }, { "false", false }, { "0", 0 }, { '""', "" }, { "[]", {} }, { "{}", {} },
  { " \t\r\n1 \t\r\n", 1 }, { "[1]\n", { 1 } }, { " {} ", {} }, { '\n"a"', "a" },
  -- arrays
  { "[1,2]", { 1, 2 } }, { "[ 1 , 2 ]", { 1, 2 } }, { "[[]]", { {} } }, { "[[],[[]]]", { {}, { {} } } },
  { "[null,true]", { json.null, true } }, { "[\n1\n]", { 1 } }, { '["a",{"b":[]}]', { "a", { b = {} } } },
  -- objects
  { '{"a":1}', { a = 1 } }, { '{ "a" : 1 }', { a = 1 } }, { '{"":0}', { [""] = 0 } }, { '{"a":{}}', { a = {} } },
  { '{"a":{"a":{"a":1}}}', { a = { a = { a = 1 } } } }, { '{"a":1,"A":2}', { a = 1, A = 2 } },
  { '[{"a":1},{"a":2}]', { { a = 1 }, { a = 2 } } }, { '{"a\\u0000":1,"a":2}', { ["a\0"] = 1, a = 2 } },
  { '{"\\u0061":1,"\\u0062":2}', { a = 1, b = 2 } }, { '{"\\n":1}', { ["\n"] = 1 } }, { '{"é":"ü"}', { ["é"] = "ü" } },
  -- numbers
  { "-0", -0.0 }, { "-1", -1 }, { "10", 10 }, { "1.5", 1.5 }, { "-1.5", -1.5 }, { "1e2", 100.0 }, { "1E2", 100.0 },
  { "1e+2", 100.0 }, { "1e-2", 0.01 }, { "1.25e2", 125.0 }, { "0.0", 0.0 }, { "0e0", 0.0 }, { "0e+1", 0.0 },
  { "123456789012345678901234567890", 123456789012345678901234567890.0 }, { "1e-400", 0.0 }, { "20e1", 200.0 },
  { "0.1", 0.1 }, { "1.7976931348623157e308", 1.7976931348623157e308 }, { "5e-324", 5e-324 },
  -- escapes: every one there is
  { [["\""]], '"' }, { [["\\"]], "\\" }, { [["\/"]], "/" }, { [["\b"]], "\b" }, { [["\f"]], "\f" }, { [["\n"]],
  "\n" },
  { [["\r"]], "\r" }, { [["\t"]], "\t" }, { [["\u0041"]], "A" }, { [["\u00e9"]], "é" }, { [["\u00E9"]], "é" },
  { [["\u20ac"]], "€" }, { [["\u0000"]], "\0" }, { [["a\u0000b"]], "a\0b" }, { [["\u001f"]], "\x1f" },
  { [["\u007f"]], "\x7f" }, { [["\ud7ff"]], "\u{D7FF}" }, { [["\ue000"]], "\u{E000}" }, { [["\uffff"]], "\u{FFFF}" },
  { [["\ud800\udc00"]], "\u{10000}" }, { [["\ud83d\ude00"]], "\u{1F600}" }, { [["\uD83D\uDE00"]], "\u{1F600}" },
  { [["\udbff\udfff"]], "\u{10FFFF}" }, { [["\\ud800"]], "\\ud800" }, { [["\\\\"]], "\\\\" }, { [["\\n"]], "\\n" },
  { [["\u005c"]], "\\" }, { [["\u0022"]], '"' }, { [["\u005cu0041"]], "\\u0041" },
  -- bytes in strings
  { '"/"', "/" }, { '"\x7f"', "\x7f" }, { '"\u{80}"', "\u{80}" }, { '"\u{10FFFF}"', "\u{10FFFF}" },
  { '"\u{FEFF}"', "\u{FEFF}" }, { '"\u{2028}\u{2029}"', "\u{2028}\u{2029}" }, { '"[{,:}]"', "[{,:}]" },
  { '"// no /* comment */"', "// no /* comment */" }, { '" "', " " }, { '"' .. ("x"):rep(5000) .. '"',
  ("x"):rep(5000) },
  { '"' .. ([[\n]]):rep(5000) .. '"', ("\n"):rep(5000) },
}

local refused <const> = {
  -- nothing, or too little
  "", " ", "\n", "[", "{", "]", "}", '"', '"abc', "[1", "[1,", '{"a"', '{"a":', '{"a":1', '{"a":1,', "[[]",
  "tru", "nul",
  "fals", "[true", "-", "[-", '"\\', '"\\u', '"\\u12', '"\\ud83d\\', '["a', '{"a',
  -- too much
  "1 2", "1,", "[]]", "{}}", "[] []", "{}{}", "null null", "nullnull", "truefalse", "1 x", '"a" "b"', '"a"b', "[]x",
  "[] //", '{} "open', '1 "open', '"a" "', "[]\0", "1\0", "null,", "2 [", "[] tru", "[] -", "{}#", "true\0",
  -- commas and colons
  "[,]", "[1,]", "[,1]", "[1,,2]", "{,}", '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', '{"a" 1}', '{"a"::1}', '{"a"}',
  '{"a",1}', '{:1}', '{"a":}', '["a":1]', '[1 2]', '["a" "b"]', "[1:2]", "{[]:1}", "{{}}", '{"a":1 "b":2}', ":", ",",
  -- names that are not strings
  "{1:2}", "{a:1}", "{'a':1}", "{null:1}", "{true:1}",
  -- brackets that do not match
  "[}", "{]", "[1}", '{"a":1]', "[{]}", "][", "[[}",
  -- literals
  "True", "NULL", "nUll", "nil", "undefined", "NaN", "Infinity", "-Infinity", "nan", "inf", "yes", "TRUE",
  -- numbers
  "01", "-01", "00", "1.", ".1", "-.1", "+1", "1.e1", "1e", "1e+", "1E-", "1e1.5", "--1", "1-", "1-2", "0x1",
  "0x", "1_000",
  "1,5", "[1.]", "[.5]", "[01]", "[+1]", "[1e]", "[0x1]", "0.1.2", "1e2e3", "- 1", "1 .5", "0b1", "1f", "1d",
  "1L", "-a",
  "[-]", "1e400", "-1e400", "[1e999]", "١",
  -- escapes
  [["\a"]], [["\v"]], [["\0"]], [["\x41"]], [["\']], [["\'"]], [["\u"]], [["\u1"]], [["\u12"]], [["\u123"]],
  [["\u123g"]],
  [["\ug123"]], [["\U0041"]], [["\u 123"]], [["\u+123"]], [["\u-001"]], [["\u{41}"]], '"\\\n"', '"\\\0"',
  '"\\é"', [["\N"]],
  [["\e"]], [["\"]], [["\\\"]], [["\u00"0"]], "\\u0041", [[\"a\"]], '[\\n]', [["\ ]"]],
  -- surrogates
  [["\ud800"]], [["\udbff"]], [["\udc00"]], [["\udfff"]], [["\uD800"]], [["\ud800\ud800"]], [["\udc00\ud800"]],
  [["\ud800\u0041"]], [["\ud800x"]], [["\ud800\n"]], [["\ud800\\udc00"]], [["\ud83d \ude00"]],
  [["\ud83d\ude00\ud83d"]],
  [["\ud800\udbff"]], [["\ud800\ue000"]], [["\ud800\udc0"]], [["\ud800\u"]], [[{"\ud800":1}]], [["\ud800\U0000"]],
  -- UTF-8
  '"\xff"', '"\x80"', '"\xc0\x80"', '"\xc1\xbf"', '"\xe0\x80\x80"', '"\xed\xa0\x80"', '"\xf4\x90\x80\x80"',
  '"\xf5\x80\x80\x80"',
  '"\xc3"', '"\xe2\x82"', '"\xf0\x9f\x98"', '{"\xff":1}', "\xff", "[\xc3\xa9]", "\xc2\xa0[]",
  '"\xed\xa0\xbd\xed\xb8\x80"',
  '"abcdefgh\xffabcdefgh"',
  -- byte order marks, other encodings
  "\xef\xbb\xbf[]", "\xef\xbb\xbf", "[\xef\xbb\xbf]", "\xff\xfe[\0]\0", "\xfe\xff\0[\0]", "[\0\0\0]\0\0\0",
  -- white space that JSON does not know
  "\v1", "\f1", "[\v]", "[\f]", "1\f", "1\v", "\u{A0}1", "[\u{2028}]", "\u{3000}[]", "{\v}", '{"a"\f:1}',
  "\b[]", "\x7f[]",
  -- comments and other dialects
  "/**/1", "1/**/", "// c\n1", "1 // c", "[1/* */]", "# c\n1", "<!-- -->1", "'a'", "['a']", "[`a`]", "[1;2]",
  "(1)", "a", "{a}",
  "[...]", "<null>", '{"a":1;}', "@", "$", "*", "&", "[u'a']", '[""",""]',
  -- duplicate fields
  '{"a":1,"a":1}', '{"a":1,"b":2,"a":3}', '{"":1,"":2}', '{"a":1,"\\u0061":2}', '{"\\u0061":1,"\\u0061":2}',
  '[{"a":1,"a":2}]',
  '{"\\u0061":"\\n","a":2}', '{"\\u0061\\u0062":1,"x":"\\n\\n","ab":2}',
  '{"x":{"a":1,"a":2}}', '{"a":{},"a":[]}', '{"é":1,"\\u00e9":2}', '{"a":{"a":1},"a":2}',
  '{"a":[{"a":1}],"b":{"a":1},"a":1}',
  -- depth
  ("["):rep(DEPTH + 1) .. ("]"):rep(DEPTH + 1), ('{"a":'):rep(DEPTH + 1) .. "1" .. ("}"):rep(DEPTH + 1),
  ("["):rep(100000),
  ('[{"a":'):rep(DEPTH), ("["):rep(DEPTH + 1),
}

for byte = 0, 0x1f do refused[#refused + 1] = '"' .. string.char(byte) .. '"' end
for byte = 0, 0x1f do refused[#refused + 1] = '{"a' .. string.char(byte) .. '":1}' end
for byte = 0, 0x1f do
  if not ("\t\n\r"):find(string.char(byte), 1, true) then refused[#refused + 1] = "[" .. string.char(byte) .. "1]" end
end

local function shown(text)
  return #text <= 40 and ("%q"):format(text):gsub("\n", "n") or ("%q... (%d bytes)"):format(text:sub(1, 30), #text)
end

describe("json.decode", function()
  for _, case in ipairs(accepted) do
    it("reads " .. shown(case[1]), function()
      local value, message = json.decode(case[1])
      assert.is_nil(message)
      assert.same(case[2], value)
      assert.equal(math.type(case[2]), math.type(value))
    end)
  end

  for _, text in ipairs(refused) do
    it("refuses " .. shown(text), function()
      local value, message = json.decode(text)
      assert.is_nil(value)
      assert.is_string(message)
    end)
  end

  it("refuses every beginning of a text but the whole", function()
    local text <const> = [==[{"client_id":"c\u00e91","seq":12,"entries":[{"key":"a","v":null},[true,false,-1.5e+3]]}]==]
    assert.is_table(json.decode(text))
    for len = 0, #text - 1 do
      if json.decode(text:sub(1, len)) ~= nil then error(("read %q"):format(text:sub(1, len))) end
    end
  end)

  it("reads the deepest nesting that is allowed", function()
    assert.is_table(json.decode(("["):rep(DEPTH) .. ("]"):rep(DEPTH)))
    assert.is_table(json.decode(('{"a":'):rep(DEPTH) .. "1" .. ("}"):rep(DEPTH)))
  end)

  it("survives random damage", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local text <const> = [[{"a":["\ud83d\ude00",-1.5e+3,{"b":null}],"c\n":true}]]
    for _ = 1, 20000 do
      local at = math.random(#text)
      local damaged = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + math.random(0, 2))
      local value, message = json.decode(damaged)
      if value == nil and not utf8.len(message) then error(("seed %d: message for %q"):format(seed, damaged)) end
      -- What is read must be writable, and read the same again.
      if value ~= nil then
        local again = json.encode(value)
        if json.encode(json.decode(again)) ~= again then error(("seed %d: %q"):format(seed, damaged)) end
      end
    end
  end)
end)

describe("exact numbers", function()
  for text, value in pairs {
    ["9007199254740991"] = 9007199254740991, ["9007199254740992"] = 9007199254740992,
    ["9007199254740993"] = 9007199254740993, ["-9007199254740993"] = -9007199254740993,
    ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
  } do
    it("keeps the integer " .. text, function()
      local read = json.decode(text)
      assert.equal("integer", math.type(read))
      assert.equal(value, read)
      assert.equal(text, json.encode(read))
    end)
  end

  for text, value in pairs {
    ["9223372036854775808"] = 2.0 ^ 63, ["18446744073709551615"] = 2.0 ^ 64, ["18446744073709551616"] = 2.0 ^ 64,
    ["-9223372036854775809"] = -(2.0 ^ 63),
  } do
    it("reads " .. text .. ", which 64 bits cannot hold, as a float", function()
      local read = json.decode(text)
      assert.equal("float", math.type(read))
      assert.equal(value, read)
    end)
  end

  it("keeps the sign of zero", function()
    assert.equal(-math.huge, 1 / json.decode("-0"))
    assert.equal(-math.huge, 1 / json.decode("-0.0"))
    assert.equal(-math.huge, 1 / json.decode(json.encode(-0.0)))
  end)
end)

describe("duplicate fields", function()
  -- Small objects are compared field by field, big ones sorted: the border must not be seen.
  local function object(count, duplicate)
    local fields = {}
    for i = 1, count do fields[i] = ('"field %d":%d'):format(i, i) end
    if duplicate then fields[count] = ('"field %d":0'):format(duplicate) end
    return "{" .. table.concat(fields, ",") .. "}"
  end

  it("are found in objects of any size, wherever they stand", function()
    for count = 2, 40 do
      assert.is_table(json.decode(object(count)))
      for duplicate = 1, count - 1 do
        local value, message = json.decode(object(count, duplicate))
        assert.is_nil(value)
        assert.matches(('duplicate field "field %d"'):format(duplicate), message, 1, true)
      end
    end
  end)

  it("are found behind a big object inside", function()
    local text = ('{"a":%s,"b":%s,"a":1}'):format(object(50), object(50))
    assert.same({ nil, 'line 1, column ' .. #text - 3 .. ': duplicate field "a"' }, { json.decode(text) })
  end)

  it("cost no more in a text full of fields", function()
    local count <const> = 100000
    local value = json.decode(object(count))
    assert.equal(count, value["field " .. count])
    assert.is_nil((json.decode(object(count, 1))))
  end)

  it("are found among names that were chosen to collide", function()
    local fields, number = {}, 0
    while #fields < 40 do
      local name = "chosen " .. number
      -- The low 7 bits of the hash, which the reader's table of 128 slots goes by.
      if tonumber(types.hash_hex(name):sub(-2), 16) & 0x7f == 0 then fields[#fields + 1] = ('"%s":1'):format(name) end
      number = number + 1
    end
    assert.is_table(json.decode("{" .. table.concat(fields, ",") .. "}"))
    fields[40], fields[30] = fields[3], fields[2]
    local text = "{" .. table.concat(fields, ",") .. "}"
    local _, last = text:find(fields[30]:match('".*"'), text:find(fields[29], 1, true), true)
    local expected = ("line 1, column %d: duplicate field %s"):format(last, fields[2]:match('".*"'))
    assert.same({ nil, expected }, { json.decode(text) })
  end)

  it("are counted as far as the limit only", function()
    local limit <const> = types.limits.json_fields_max
    assert.is_table(json.decode(object(limit)))
    assert.matches("too many fields", select(2, json.decode(object(limit + 1))), 1, true)
  end)
end)

describe("messages", function()
  for text, expected in pairs {
    ['{"a":1,"a":2}'] = 'line 1, column 10: duplicate field "a"',
    ['{"a":1,\n "a":2}'] = 'line 2, column 4: duplicate field "a"',
    ['{"ä":"ö",\n "ä":2}'] = 'line 2, column 4: duplicate field "ä"',
    [""] = "line 1, column 1: premature EOF",
    ["\n\n"] = "line 3, column 1: premature EOF",
    ["[1"] = "line 1, column 3: premature EOF",
    ['["\\ud800"]'] = "line 1, column 3: lone surrogate",
    ['["ü", "\\x"]'] = "line 1, column 8: invalid escape",
    ['[\n"\xff"]'] = "line 2, column 2: invalid UTF-8",
    ["[\v]"] = "line 1, column 2: invalid control character",
    ["{} {}"] = "line 1, column 4: trailing garbage",
    ["1 2"] = "line 1, column 3: trailing garbage",
    ['[]\n\n  "'] = "line 3, column 3: trailing garbage",
    ["[1,]"] = "line 1, column 4: unallowed token at this point in JSON text",
    ["// a"] = "line 1, column 1: probable comment found in input text, comments are not enabled.",
    [("["):rep(DEPTH + 1)] = "line 1, column 33: nested too deeply",
    ["[1e400]"] = "a number is out of range",
  } do
    it(("say %q for %s"):format(expected, shown(text)), function()
      assert.same({ nil, expected }, { json.decode(text) })
    end)
  end

  it("cut a long name at a character", function()
    local name = "x" .. ("\u{20ac}"):rep(100)
    local _, message = json.decode(('{"%s":1,"%s":2}'):format(name, name))
    assert.matches('duplicate field "x' .. ("\u{20ac}"):rep(21) .. '"', message, 1, true)
  end)
end)
