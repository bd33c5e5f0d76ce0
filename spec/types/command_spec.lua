-- Commands: the one encoding, what decoding refuses, and the rules that do not depend on options.

local types = require "kvserver.types"

local limits <const> = types.limits

-- The encoding as types/command.h describes it, by Lua's own means.
local OPS <const> = { put = 1, delete = 2, cas = 3, mput = 4, mdelete = 5 }

local function pack(command, version)
  local parts = { ("<BBs2"):pack(version or 1, OPS[command.op], ""):sub(1, 2) }
  local client_id = command.client_id or ""
  parts[2] = ("<I2i8"):pack(#client_id, command.seq or 0) .. client_id
  local function operand(bytes) parts[#parts + 1] = ("<s4"):pack(bytes) end
  if command.op == "mput" or command.op == "mdelete" then
    local items = command.entries or command.keys
    parts[#parts + 1] = ("<I4"):pack(#items)
    for _, item in ipairs(items) do
      operand(item.key or item)
      if command.op == "mput" then operand(item.value) end
    end
  else
    operand(command.key)
    if command.op == "cas" then operand(command.expected) end
    if command.op ~= "delete" then operand(command.value) end
  end
  return table.concat(parts)
end

local commands <const> = {
  ["a put"] = { op = "put", client_id = "c1", seq = 1, key = "k", value = "v" },
  ["a put of bytes"] = { op = "put", client_id = "", seq = 0, key = "k/é", value = "\0\xff\n" },
  ["a put of nothing"] = { op = "put", client_id = "c", seq = math.maxinteger, key = "k", value = "" },
  ["a delete"] = { op = "delete", client_id = "c1", seq = 258, key = "key" },
  ["a cas"] = { op = "cas", client_id = "c1", seq = 3, key = "k", expected = "old", value = "new" },
  ["a cas from nothing to nothing"] = { op = "cas", client_id = "", seq = 0, key = "k", expected = "", value = "" },
  ["an mput"] = {
    op = "mput", client_id = "c1", seq = 4, entries = { { key = "a", value = "1" }, { key = "b", value = "" } },
  },
  ["an mdelete"] = { op = "mdelete", client_id = "c1", seq = 5, keys = { "a", "b", "a" } },
  ["a client id at its limit"] = {
    op = "put", client_id = ("c"):rep(limits.client_id_bytes_max), seq = 1, key = "k", value = "v",
  },
  ["a key at its limit"] = { op = "delete", client_id = "", seq = 0, key = ("k"):rep(limits.key_bytes_cap) },
}

describe("a command", function()
  for name, command in pairs(commands) do
    it("is encoded as documented: " .. name, function()
      assert.equal(pack(command), types.encode_command(command))
    end)

    it("is decoded to what it was: " .. name, function()
      assert.same(command, types.decode_command(types.encode_command(command)))
    end)
  end

  it("needs no client id and no seq", function()
    local bytes = types.encode_command { op = "delete", key = "k" }
    assert.same({ op = "delete", client_id = "", seq = 0, key = "k" }, types.decode_command(bytes))
  end)
end)

describe("decode_command", function()
  local function refuses(bytes, what)
    local command, message = types.decode_command(bytes)
    if command ~= nil or message ~= "not an encoded command" then error("not refused: " .. what, 2) end
  end

  it("refuses every beginning of a command, and anything behind it", function()
    for name, command in pairs(commands) do
      local bytes = types.encode_command(command)
      for len = 0, math.min(#bytes - 1, 400) do refuses(bytes:sub(1, len), ("%s, cut to %d"):format(name, len)) end
      for _, tail in ipairs { "\0", "x", ("\0"):rep(4), ("\0"):rep(8), bytes } do
        refuses(bytes .. tail, ("%s and %d bytes more"):format(name, #tail))
      end
    end
  end)

  it("refuses other versions and unknown operations", function()
    local bytes = types.encode_command(commands["a put"])
    for byte = 0, 255 do
      if byte ~= 1 then refuses(string.char(byte) .. bytes:sub(2), "version " .. byte) end
      if byte < 1 or byte > 5 then refuses(bytes:sub(1, 1) .. string.char(byte) .. bytes:sub(3), "op " .. byte) end
    end
  end)

  it("refuses counts and lengths that do not agree with the bytes", function()
    local put = ("<BBI2i8"):pack(1, 1, 0, 0)
    refuses(put .. ("<I4"):pack(0xffffffff) .. "k", "a key of 4 GiB")
    refuses(put .. ("<s4I4"):pack("k", 0xffffffff), "a value of 4 GiB")
    refuses(("<BBI2i8"):pack(1, 1, 0xffff, 0) .. ("<s4s4"):pack("k", "v"), "a client id that is not there")
    local mdelete = ("<BBI2i8"):pack(1, 5, 0, 0)
    refuses(mdelete .. ("<I4s4"):pack(2, "a"), "two keys announced, one there")
    refuses(mdelete .. ("<I4s4s4"):pack(1, "a", "b"), "one key announced, two there")
    refuses(mdelete .. ("<I4"):pack(0xffffffff), "4 G keys announced")
    refuses(("<BBI2i8"):pack(1, 4, 0, 0) .. ("<I4s4"):pack(1, "a"), "an entry without its value")
  end)

  it("survives flipped bits, and encodes again what it reads", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    for name, command in pairs(commands) do
      local bytes = types.encode_command(command)
      local bits = math.min(#bytes, 64) * 8
      for _ = 1, 500 do
        local at, bit = math.random(bits // 8), math.random(0, 7)
        local flipped = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ (1 << bit)) .. bytes:sub(at + 1)
        local read = types.decode_command(flipped)
        if read and types.validate_command(read) and types.encode_command(read) ~= flipped then
          error(("seed %d: %s, byte %d, bit %d"):format(seed, name, at, bit))
        end
      end
    end
  end)

  it("gives back random commands", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    local function text(from) return ("k"):rep(math.random(from, 30)) .. math.random(1000) end
    for round = 1, 2000 do
      local command = { op = ({ "put", "delete", "cas", "mput", "mdelete" })[math.random(5)],
        client_id = ("c"):rep(math.random(0, 20)), seq = math.random(0) & math.maxinteger }
      if command.op == "mput" then
        command.entries = {}
        for i = 1, math.random(20) do command.entries[i] = { key = text(0), value = text(0) } end
      elseif command.op == "mdelete" then
        command.keys = {}
        for i = 1, math.random(20) do command.keys[i] = text(0) end
      else
        command.key = text(0)
        if command.op ~= "delete" then command.value = text(0) end
        if command.op == "cas" then command.expected = text(0) end
      end
      local bytes = assert(types.encode_command(command))
      if bytes ~= pack(command) or types.encode_command(types.decode_command(bytes)) ~= bytes then
        error(("seed %d, round %d"):format(seed, round))
      end
    end
  end)
end)

describe("validate_command", function()
  local function batch(count)
    local keys = {}
    for i = 1, count do keys[i] = "k" end
    return keys
  end

  local refused <const> = {
    { { op = "put", key = "", value = "v" }, "key: must not be empty" },
    { { op = "put", key = ("k"):rep(limits.key_bytes_cap + 1), value = "v" }, "key: longer than 65535 bytes" },
    { { op = "put", key = "k\xff", value = "v" }, "key: not valid UTF-8" },
    { { op = "put", key = "k\0", value = "v" }, "key: must not hold NUL" },
    { { op = "put", key = "\0\xff", value = "v" }, "key: must not hold NUL" },
    { { op = "delete", key = "" }, "key: must not be empty" },
    { { op = "cas", key = "", expected = "", value = "" }, "key: must not be empty" },
    { { op = "put", key = "k", value = ("v"):rep(limits.value_bytes_cap + 1) }, "value: longer than 16777215 bytes" },
    { { op = "cas", key = "k", value = "", expected = ("v"):rep(limits.value_bytes_cap + 1) },
      "expected: longer than 16777215 bytes" },
    { { op = "delete", key = "k", client_id = ("c"):rep(257) }, "client_id: longer than 256 bytes" },
    { { op = "delete", key = "k", client_id = "\xc3" }, "client_id: not valid UTF-8" },
    { { op = "delete", key = "k", seq = -1 }, "seq: more than 9223372036854775807" },
    { { op = "mput", entries = {} }, "entries: must not be empty" },
    { { op = "mdelete", keys = {} }, "keys: must not be empty" },
    { { op = "mput", entries = { { key = "a", value = "" }, { key = "", value = "" } } },
      "entries: a key must not be empty" },
    { { op = "mput", entries = { { key = "a\0", value = "" } } }, "entries: a key must not hold NUL" },
    { { op = "mput", entries = { { key = "\x80", value = "" } } }, "entries: a key is not valid UTF-8" },
    { { op = "mput", entries = { { key = "a", value = ("v"):rep(limits.value_bytes_cap + 1) } } },
      "entries: a value is longer than 16777215 bytes" },
    { { op = "mdelete", keys = { "a", "" } }, "keys: a key must not be empty" },
    { { op = "mdelete", keys = { "a\0b" } }, "keys: a key must not hold NUL" },
    { { op = "mdelete", keys = { "\xed\xa0\x80" } }, "keys: a key is not valid UTF-8" },
    { { op = "mdelete", keys = { ("k"):rep(65536) } }, "keys: a key is longer than 65535 bytes" },
    { { op = "mdelete", keys = batch(limits.batch_items_max + 1) }, "keys: more than 100000" },
  }
  for _, case in ipairs(refused) do
    it(("says %q for %s"):format(case[2], case[1].op), function()
      assert.same({ nil, case[2] }, { types.validate_command(case[1]) })
      assert.same({ nil, case[2] }, { types.encode_command(case[1]) })
    end)
  end

  it("accepts what lies at the limits", function()
    assert.is_true(types.validate_command { op = "mdelete", keys = batch(limits.batch_items_max) })
    assert.is_true(types.validate_command { op = "put", key = "k", value = ("v"):rep(limits.value_bytes_cap) })
    for name, command in pairs(commands) do assert.is_true(types.validate_command(command), name) end
  end)

  it("has the same rule for one key", function()
    assert.is_true(types.validate_key("k"))
    assert.is_true(types.validate_key(("k"):rep(limits.key_bytes_cap)))
    assert.same({ nil, "key: must not be empty" }, { types.validate_key("") })
    assert.same({ nil, "key: must not hold NUL" }, { types.validate_key("\0") })
    assert.same({ nil, "key: not valid UTF-8" }, { types.validate_key("\xff") })
    assert.same({ nil, "key: longer than 65535 bytes" }, { types.validate_key(("k"):rep(65536)) })
  end)
end)

describe("a table that is no command", function()
  for message, command in pairs {
    ["op: expected a string, got nil"] = {},
    ['op: expected put, delete, cas, mput or mdelete, got "get"'] = { op = "get" },
    ["key: expected a string, got nil"] = { op = "delete" },
    ["key: expected a string, got number"] = { op = "delete", key = 1 },
    ["value: expected a string, got boolean"] = { op = "put", key = "k", value = true },
    ["expected: expected a string, got nil"] = { op = "cas", key = "k", value = "" },
    ["client_id: expected a string, got table"] = { op = "delete", key = "k", client_id = {} },
    ["client_id: longer than 65535 bytes"] = { op = "delete", key = "k", client_id = ("c"):rep(65536) },
    ["seq: expected an integer, got float"] = { op = "delete", key = "k", seq = 1.5 },
    ["seq: expected an integer, got string"] = { op = "delete", key = "k", seq = "1" },
    ["entries: expected a table, got nil"] = { op = "mput" },
    ["entries[2]: expected a table, got string"] = { op = "mput", entries = { { key = "", value = "" }, "x" } },
    ["entries[1].key: expected a string, got nil"] = { op = "mput", entries = { {} } },
    ["entries[1].value: expected a string, got float"] = { op = "mput", entries = { { key = "k", value = 0.5 } } },
    ["keys: expected a table, got string"] = { op = "mdelete", keys = "k" },
    ["keys[3]: expected a string, got boolean"] = { op = "mdelete", keys = { "a", "b", false } },
  } do
    it("is an error: " .. message, function()
      assert.has_error(function() types.validate_command(command) end, message)
    end)
  end

  it("gives back its memory when it is refused late", function()
    local keys = {}
    for i = 1, 1000 do keys[i] = ("k"):rep(1000) end
    keys[1001] = false
    for _ = 1, 50 do assert.has_error(function() types.validate_command { op = "mdelete", keys = keys } end) end
    collectgarbage()
  end)
end)
