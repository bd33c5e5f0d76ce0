local kvsm = require "kvserver.kvsm"
local seeded = require "spec.kvsm.seeded"
local twin = require "spec.kvsm.twin"

--- A machine with a bit of everything.
local function sample()
  local sm = kvsm.new()
  sm:apply(1, { op = "put", client_id = "web-1", seq = 4, key = "b/ä", value = "tab\t, \"quote\", \\, \1, \127, ö/é" })
  sm:apply(2, { op = "put", key = "a", value = "" })
  sm:apply(3, { op = "put", key = "raw", value = "\255\0\254" })
  sm:apply(4, { op = "mdelete", client_id = "web-2", seq = 9223372036854775807, keys = { "a", "x" } })
  sm:apply(5, { op = "cas", client_id = "\n", seq = 1, key = "n", expected = "other", value = "v" })
  sm:apply(6, { op = "put", key = "\1", value = "\b\t\n\f\r\0\31" })
  sm:apply_noop(7)
  return sm
end

-- Read by eye against section 3 of the contract.
local GOLDEN <const> = [=[
{"format":"kvserver-snapshot","version":1,"last_index":7}
{"key":"\u0001","value":"\b\t\n\f\r\u0000\u001f"}
{"key":"b/ä","value":"tab\t, \"quote\", \\, \u0001, ]=] .. "\127" .. [=[, ö/é"}
{"key":"raw","value_base64":"/wD+"}
{"client_id":"\n","last_seq":1,"last_index":5,"reply":{"ok":false,"err_code":"cas_failed"}}
{"client_id":"web-1","last_seq":4,"last_index":1,"reply":{"ok":true}}
{"client_id":"web-2","last_seq":9223372036854775807,"last_index":4,"reply":{"ok":true,"deleted":1}}
{"keys":3,"clients":3,"last_index":7,"digest":"@DIGEST@"}
]=]

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]*\n") do lines[#lines + 1] = line end
  return lines
end

describe("snapshot", function()
  it("has one stable text", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    assert.equal((GOLDEN:gsub("@DIGEST@", sm:stats().digest)), text)
  end)

  it("of nothing is a header and a trailer", function()
    local sm <close> = kvsm.new()
    assert.equal('{"format":"kvserver-snapshot","version":1,"last_index":0}\n' ..
      '{"keys":0,"clients":0,"last_index":0,"digest":"' .. ("0"):rep(32) .. '"}\n', sm:snapshot())
  end)

  it("restores to the same state and the same text [TestKVSM_SnapshotRestore_RoundTrip]", function()
    local sm <close> = sample()
    local other <close> = kvsm.new()
    assert.is_true(other:restore(sm:snapshot()))
    assert.same(sm:stats(), other:stats())
    assert.equal(sm:snapshot(), other:snapshot())
    assert.equal("\255\0\254", other:get("raw"))
  end)

  it("carries the dedupe table: a retry after a restore gets its old reply [TestKVSM_M5_SnapshotIncludesDedupe]",
    function()
      local sm <close> = sample()
      local other <close> = kvsm.new()
      assert(other:restore(sm:snapshot()))
      local retry = { op = "mdelete", client_id = "web-2", seq = 9223372036854775807, keys = { "b/ä" } }
      assert.same({ ok = true, deleted = 1, replay = "same" }, other:apply(8, retry))
      assert.equal(4, other:last_seen("web-1"))
      assert.equal(1, other:last_seen("\n"))
      assert.is_string(other:get("b/ä"))
    end)

  it("replaces everything that was there before [TestKVSM_M5_RestoreResetsStateCorrectly]", function()
    local sm <close> = sample()
    local other <close> = kvsm.new()
    other:apply(90, { op = "put", client_id = "stranger", seq = 3, key = "stale", value = "x" })
    assert(other:restore(sm:snapshot()))
    assert.is_nil(other:get("stale"))
    assert.is_nil(other:last_seen("stranger"))
    assert.equal(7, other:stats().last_applied)
    assert.same(sm:stats(), other:stats())
    other:apply(8, { op = "put", key = "fresh", value = "y" })
    assert.equal("y", other:get("fresh"))
  end)

  it("is taken in pieces of any size", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    for _, piece_bytes in ipairs { 1, 2, 3, 7, 64, 255, #text - 1, #text } do
      local other <close> = kvsm.new()
      assert.is_true(other:restore(text, piece_bytes))
      assert.equal(text, other:snapshot())
    end
  end)

  it("carries long keys and values, also over the borders of chunks", function()
    local sm <close> = kvsm.new()
    local values = { ("x"):rep(262144), ("\1"):rep(300000), ("\255"):rep(1048576), ("ä"):rep(400000) }
    for index, value in ipairs(values) do
      sm:apply(index, { op = "put", key = tostring(index) .. ("k"):rep(65000), value = value })
    end
    local text = sm:snapshot()
    for _, piece_bytes in ipairs { 1000, 262144, #text } do
      local other <close> = kvsm.new()
      assert.is_true(other:restore(text, piece_bytes))
      assert.equal(sm:stats().digest, other:stats().digest)
      assert.equal(text, other:snapshot())
    end
  end)

  it("shows the moment it was taken, however late it is written", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    local view <close> = sm:snapshot_view()
    sm:apply(8, { op = "put", client_id = "web-1", seq = 5, key = "b/ä", value = "changed" })
    sm:apply(9, { op = "mdelete", keys = { "raw", "\1" } })
    assert.equal(7, view:index())
    assert.equal(text, view:write())
    assert.equal(text, view:write())
    assert.not_equal(text, sm:snapshot())
  end)

  it("survives a restore of the machine that it was taken of, and the closing of it", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    local view = sm:snapshot_view()
    local empty <close> = kvsm.new()
    assert(sm:restore(empty:snapshot()))
    while sm:reclaim(10) do end
    assert.equal(text, view:write())
    sm:close()
    assert.equal(text, view:write())
    view:release()
    assert.has_error(function() view:write() end, "the view is released")
  end)

  it("leaves the old state to be reclaimed in steps", function()
    local sm <close> = kvsm.new()
    for index = 1, 1000 do sm:apply(index, { op = "put", key = "k" .. index, value = "v" }) end
    local empty <close> = kvsm.new()
    assert(sm:restore(empty:snapshot()))
    local calls = 1
    while sm:reclaim(10) do calls = calls + 1 end
    assert.is_true(calls >= 100 and calls <= 103, "calls: " .. calls)
    assert.equal(0, sm:stats().keys)
  end)

  describe("of two machines with the same commands", function()
    --- Writes held views at random times, and checks each against the model of its moment.
    local function touch_views(random, sm, model, held)
      if random.chance(40) then held[#held + 1] = { view = sm:snapshot_view(), model = model:copy() } end
      if #held == 0 or random.chance(50) then return end
      local one = table.remove(held, random.int(#held))
      local reader <close> = kvsm.new { clients_max = twin.CLIENTS_MAX }
      assert(reader:restore(one.view:write(), random.int(1, 5000)))
      twin.assert_agrees(one.model, reader)
      one.view:release()
    end

    it("is byte-identical, through different points of snapshot and restore", seeded.run(function(random)
      local a, b = kvsm.new { clients_max = twin.CLIENTS_MAX }, kvsm.new { clients_max = twin.CLIENTS_MAX }
      local model, held = twin.new_model(), {}
      for index = 1, 4000 do
        local command = twin.random_command(random)
        local expected = model:apply(index, command)
        assert.same(expected, a:apply(index, command))
        assert.same(expected, b:apply(index, command))
        if random.chance(2) then
          local fresh = kvsm.new { clients_max = twin.CLIENTS_MAX }
          assert(fresh:restore(b:snapshot(), random.int(1, 3000)))
          b = fresh
        end
        if random.chance(2) then assert(a:restore(a:snapshot())) end
        if random.chance(3) then touch_views(random, a, model, held) end
        a:reclaim(random.int(0, 20))
        if index % 400 == 0 then
          assert.equal(a:snapshot(), b:snapshot())
          assert.equal(a:stats().digest, b:stats().digest)
          twin.assert_agrees(model, a)
        end
      end
      for _, one in ipairs(held) do one.view:release() end
      while a:reclaim(100) do end
      twin.assert_agrees(model, a)
    end))
  end)
end)

describe("restore", function()
  --- Refuses `text`, names a line, and leaves the machine alone.
  local function assert_refused(text, line, piece_bytes, what)
    local sm <close> = kvsm.new()
    sm:apply(1, { op = "put", client_id = "c", seq = 1, key = "old", value = "state" })
    local before = sm:snapshot()
    local ok, message = sm:restore(text, piece_bytes)
    assert.is_nil(ok, what)
    local named = math.tointeger(message:match("^line (%d+): %S"))
    assert(named, "no line in: " .. message)
    if line then assert.equal(line, named, what) end
    assert.equal(before, sm:snapshot())
    return message
  end

  it("refuses every change of any one byte", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    for at = 1, #text do
      for _, mask in ipairs { 1, 2, 4, 8, 16, 32, 64, 128 } do
        local byte = string.char(text:byte(at) ~ mask)
        assert_refused(text:sub(1, at - 1) .. byte .. text:sub(at + 1), nil, 100, ("byte %d ~ %d"):format(at, mask))
      end
    end
  end)

  it("refuses every truncation, and names the line where the text ends", function()
    local sm <close> = sample()
    local text = sm:snapshot()
    for len = 0, #text - 1 do
      local _, newlines = text:sub(1, len):gsub("\n", "")
      assert_refused(text:sub(1, len), newlines + 1, nil, "first " .. len)
    end
  end)

  it("refuses lines that are missing, doubled or exchanged", function()
    local sm <close> = sample()
    local lines = lines_of(sm:snapshot())
    for at = 1, #lines do
      local without = table.move(lines, 1, #lines, 1, {})
      table.remove(without, at)
      assert_refused(table.concat(without), nil, nil, "without " .. at)
      local doubled = table.move(lines, 1, #lines, 1, {})
      table.insert(doubled, at, lines[at])
      assert_refused(table.concat(doubled), at + 1, nil, "doubled " .. at)
      if at < #lines then
        local exchanged = table.move(lines, 1, #lines, 1, {})
        exchanged[at], exchanged[at + 1] = exchanged[at + 1], exchanged[at]
        assert_refused(table.concat(exchanged), nil, nil, "exchanged " .. at)
      end
    end
  end)

  -- Each pattern is plain text in the sample's snapshot; the replacement means the same to a lenient reader.
  local cases <const> = {
    { "a space", '{"key":"raw"', '{"key": "raw"', 4, "key: not a string" },
    { "CR LF", '"/wD+"}', '"/wD+"}\r', 4, "followed by something" },
    { "an escape in upper case", [[\u001f]], [[\u001F]], 2, "value: not a string in canonical form" },
    { "a long escape for a short one", [[\b\t]], [[\u0008\t]], 2, "value: not a string in canonical form" },
    { "an escape that is not needed", "ö/é", [[ö\/é]], 3, "value: not a string in canonical form" },
    { "an escaped letter", "raw", [[r\u0061w]], 4, "key: not a string in canonical form" },
    { "a bare control character", [[\t, ]], "\t, ", 3, "value: not a string in canonical form" },
    { "UTF-8 in base64", "/wD+", "YWJj", 4, "value_base64: not base64" },
    { "base64 without padding", "/wD+", "/wA", 4, "value_base64: not base64" },
    { "base64 with spare bits", "/wD+", "/+H=", 4, "value_base64: not base64" },
    { "bytes that are not UTF-8", "ö/é", "\255", 3, "value: not a string in canonical form" },
    { "a surrogate", "ö/é", "\xED\xA0\x80", 3, "value: not a string in canonical form" },
    { "NUL in a key", '"key":"raw"', '"key":"\\u0000"', 4, "key: must not hold NUL" },
    { "an empty key", '"key":"raw"', '"key":""', 4, "key: must not be empty" },
    { "a leading zero", '"last_seq":4', '"last_seq":04', 6, "last_seq" },
    { "a sign", '"last_seq":4', '"last_seq":+4', 6, "last_seq" },
    { "a fraction", '"last_seq":4', '"last_seq":4.0', 6, "last_index" },
    { "seq 0", '"last_seq":4', '"last_seq":0', 6, "last_seq" },
    { "a seq beyond 2^63-1", "9223372036854775807", "9223372036854775808", 7, "last_seq" },
    { "a number without end", "9223372036854775807", ("9"):rep(1000), 7, "last_seq" },
    { "an index beyond the header's", '"last_index":1', '"last_index":8', 6, "last_index" },
    { "an index twice", '"last_index":1', '"last_index":5', 6, "last_index: another client has the same" },
    { "a negative reply without code", [["ok":false,"err_code":"cas_failed"]], [["ok":false]], 5, "reply" },
    { "an unknown reply", "cas_failed", "no_leader", 5, "reply" },
    { "an empty client_id", '"client_id":"web-1"', '"client_id":""', 6, "client_id: expected 1 to 256 bytes" },
    { "a long client_id", "web-2", ("x"):rep(257), 7, "client_id: expected 1 to 256 bytes" },
    { "another format", "kvserver-snapshot", "kvserver_snapshot", 1, "not the header" },
    { "a newer version", '"version":1', '"version":2', 1, "version: expected 1" },
    { "a wrong number of keys", '"keys":3', '"keys":4', 8, "keys: not the number" },
    { "a wrong number of clients", '"clients":3', '"clients":2', 8, "clients: not the number" },
    { "another index in the trailer", '"last_index":7,', '"last_index":6,', 8, "last_index: not that of the header" },
    { "a key behind the clients", '{"keys"', '{"key":"z","value":""}\n{"keys"', 8, "key: stands behind the clients" },
    { "a line of something else", '{"keys"', '\n{"keys"', 8, "keys" },
  }
  for _, case in ipairs(cases) do
    local name, from, to, line, message = table.unpack(case)
    it("refuses " .. name, function()
      local sm <close> = sample()
      local text = sm:snapshot()
      local first, last = text:find(from, 1, true)
      if name:find("trailer") then
        first, last = text:find(from, text:find('{"keys"', 1, true), true)
      end
      local got = assert_refused(text:sub(1, first - 1) .. to .. text:sub(last + 1), line, 11)
      assert(got:find(message, 1, true), got)
    end)
  end

  it("refuses a changed value by its digest", function()
    local sm <close> = sample()
    local text = sm:snapshot():gsub("/wD%+", "/wD/")
    assert.equal("line 8: digest: not that of the lines above", assert_refused(text, 8))
  end)

  it("refuses bytes behind the trailer", function()
    local sm <close> = sample()
    for _, tail in ipairs { "\n", " ", "{", sm:snapshot() } do
      assert.equal("line 9: stands behind the trailer", assert_refused(sm:snapshot() .. tail, 9))
    end
  end)

  it("refuses random damage in many places at once", seeded.run(function(random)
    local sm <close> = sample()
    local text = sm:snapshot()
    for _ = 1, 500 do
      local first = random.int(#text)
      local last = math.min(#text, first + random.int(0, 40))
      local junk = random.bytes(random.int(0, 40), { '"', "\\", "{", "}", "\n", "u", "0", "a", "\255", "," })
      local damaged = text:sub(1, first - 1) .. junk .. text:sub(last + 1)
      if damaged ~= text then assert_refused(damaged, nil, random.int(1, 200)) end
    end
  end))
end)
