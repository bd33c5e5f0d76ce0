local json = require "kvserver.json"
local raft = require "kvserver.raft"
local raftrpc = require "kvserver.raftrpc"
local rpc = require "spec.raft.transporthttp.rpc"
local seeded = require "spec.kvsm.seeded"

local cluster <const> = rpc.cluster "n1"
local replies <const> = { append_reply = true, vote_reply = true, read_reply = true, install_reply = true }

local function word(random)
  return random.pick { 0, 1, -1, math.mininteger, random.int(0) }
end

local function number(random)
  return random.pick { 0, 1, math.maxinteger, random.int(0) & math.maxinteger }
end

-- A message of this type in which every field is drawn.
local function random_message(random, type)
  local message = { type = type, from = random.int(3), to = random.int(3), term = number(random), life = word(random) }
  local names = {}
  for name in pairs(rpc.messages[type]) do names[#names + 1] = name end
  table.sort(names) -- the same seed draws the same
  for _, name in ipairs(names) do
    local sample = rpc.messages[type][name]
    if message[name] == nil then
      if math.type(sample) then
        local any = name == "round" or name == "id" or name == "to_life"
        message[name] = (any and word or number)(random)
      else
        message[name] = random.chance(50)
      end
    end
  end
  if type == "append" then
    message.prev_index, message.prev_term, message.term = random.int(0, 9), 0, math.maxinteger
  elseif type == "install" then
    message.index, message.snapshot_term = random.int(99), random.int(99)
    message.term, message.offset = message.snapshot_term + random.int(0, 9), random.int(0, 1 << 60)
  end
  return message
end

local function random_command(random)
  local op = random.pick { "put", "delete", "cas", "mput", "mdelete" }
  local key = function() return random.pick { "k", "ключ", "\"\\\n", "\u{10FFFF}" } .. random.int(99) end
  local bytes = function() return random.bytes(random.int(0, 40)) end
  local command = { op = op, client_id = random.pick { "", "c", "\u{e9}" }, seq = number(random) }
  if op == "mput" then
    command.entries = {}
    for i = 1, random.int(4) do command.entries[i] = { key = key(), value = bytes() } end
  elseif op == "mdelete" then
    command.keys = {}
    for i = 1, random.int(4) do command.keys[i] = key() end
  else
    command.key, command.value, command.expected = key(), bytes(), bytes()
  end
  return command
end

local function random_entries(random)
  local entries, term = {}, random.int(3)
  for i = 1, random.int(0, 6) do
    term = term + random.int(0, 1)
    entries[i] = { term = term, command = random.chance(80) and random_command(random) or nil }
  end
  return raft.encode_entries(entries)
end

local function random_beside(random, message)
  if message.type == "append" then return random_entries(random) end
  if message.type == "install" then return random.bytes(random.int(message.done and 0 or 1, 300)) end
  return nil
end

local function round_trip(format, message, entries)
  local body = raftrpc.encode(format, cluster, message, entries)
  local got, got_entries = raftrpc.decode(format, cluster, message.type, body)
  assert.is_table(got, got_entries)
  rpc.assert_complete(got)
  if format == "json" and replies[message.type] then
    rpc.assert_message(message, got, "from", "to")
  else
    rpc.assert_message(message, got)
  end
  assert.equal(entries or "", got_entries)
end

local function refuses(format, type, body)
  local message, text = raftrpc.decode(format, cluster, type, body)
  assert.is_nil(message)
  return text
end

for _, format in ipairs { "json", "binary" } do
  describe("Raft DTO in " .. format, function()
    for _, type in ipairs(rpc.types) do
      it(("brings back every field of %s"):format(type), function()
        round_trip(format, rpc.messages[type], rpc.beside[type])
      end)
    end

    it("brings back any message and any entries", seeded.run(function(random)
      for _ = 1, 100 do
        for _, type in ipairs(rpc.types) do
          local message = random_message(random, type)
          round_trip(format, message, random_beside(random, message))
        end
      end
    end))

    it("refuses entries whose terms fall or exceed the sender's", function()
      local message = rpc.messages.append
      local falling = raft.encode_entries { { term = 3 }, { term = 2 } }
      local body = raftrpc.encode(format, cluster, message, falling)
      assert.matches("^entries%[1%]%.term: ", refuses(format, "append", body))
      local high = raft.encode_entries { { term = 7 } }
      assert.matches("^term: ", refuses(format, "append", raftrpc.encode(format, cluster, message, high)))
    end)

    it("refuses a piece of a snapshot that there cannot be", function()
      local function refusal(fields, piece)
        local message = { type = "install", from = 1, to = 2, term = 5, index = 9, snapshot_term = 4, done = false }
        for name, value in pairs(fields) do message[name] = value end
        return refuses(format, "install", raftrpc.encode(format, cluster, message, piece or "piece"))
      end
      assert.equal("last_included_index: must not be 0", refusal { index = 0 })
      assert.equal("last_included_term: must not be 0", refusal { snapshot_term = 0 })
      assert.equal("term: below that of the snapshot's last entry", refusal { snapshot_term = 6 })
      assert.equal("offset: too large", refusal { offset = math.maxinteger - 4 })
      assert.equal("data: empty, and not the last piece", refusal({}, ""))
      assert.equal("data: more than 4194304 bytes", refusal({}, ("x"):rep(4194305)))
      assert.matches("^last_included_index: ", refusal { index = -1 })
      assert.matches("^offset: ", refusal { offset = -1 })
    end)

    it("carries the largest piece of a snapshot, and an empty last one", function()
      round_trip(format, rpc.messages.install, "")
      local message = { type = "install", from = 1, to = 2, term = 5, index = 9, snapshot_term = 5, offset = 1 << 40 }
      round_trip(format, message, ("\0\xff"):rep(1 << 21))
    end)
  end)
end

describe("Raft DTO in binary", function()
  it("refuses every truncation and every flipped bit", function()
    for _, type in ipairs(rpc.types) do
      local message = rpc.messages[type]
      local body = raftrpc.encode("binary", cluster, message, rpc.beside[type])
      for length = 0, #body - 1 do refuses("binary", type, body:sub(1, length)) end
      refuses("binary", type, body .. "\0")
      for at = 1, #body do
        for bit = 0, 7 do
          local flipped = string.char(body:byte(at) ~ 1 << bit)
          refuses("binary", type, body:sub(1, at - 1) .. flipped .. body:sub(at + 1))
        end
      end
    end
  end)

  it("refuses one type of message on the route of another", function()
    local body = raftrpc.encode("binary", cluster, rpc.messages.vote)
    assert.equal("body: another type of message than the route's", refuses("binary", "read", body))
  end)

  it("refuses bytes that are none", seeded.run(function(random)
    for _ = 1, 1000 do refuses("binary", "append", random.bytes(random.int(0, 200))) end
  end))

  it("carries a piece of a snapshot as it is", function()
    local body = raftrpc.encode("binary", cluster, rpc.messages.install, rpc.piece)
    assert.equal(("<s4"):pack(rpc.piece), body:sub(-#rpc.piece - 4))
  end)

  it("carries the entries as the log's own bytes", function()
    local body = raftrpc.encode("binary", cluster, rpc.messages.append, rpc.entries)
    assert.equal(rpc.entries, body:sub(-#rpc.entries))
  end)
end)

describe("Raft DTO in JSON", function()
  local function append(fields, entries)
    local dto = { term = 3, leader_id = "n1", prev_log_index = 4, prev_log_term = 1, leader_commit = 2,
      entries = entries and setmetatable(entries, json.array_mt) }
    for name, value in pairs(fields or {}) do dto[name] = value ~= "absent" and value or nil end
    return json.encode(dto)
  end

  local function entry(fields)
    local command = { op = "put", key = "k", value = "v" }
    for name, value in pairs(fields or {}) do command[name] = value ~= "absent" and value or nil end
    return { index = 5, term = 2, cmd = command }
  end

  it("has the names of the seed", function()
    local dto = json.decode(raftrpc.encode("json", rpc.cluster("n1", { n1 = 7001 }), rpc.messages.append, rpc.entries))
    assert.same({ 6, "n1", 7, 1, 4 },
      { dto.term, dto.leader_id, dto.prev_log_index, dto.prev_log_term, dto.leader_commit })
    assert.same({ index = 8, term = 2, cmd = json.null }, dto.entries[1])
    assert.same({ index = 9, term = 2,
      cmd = { client_id = "c1", seq = math.maxinteger, op = "put", key = "k", value_base64 = "AP8iXA==" } },
      dto.entries[2])
    assert.same({ "a", "b" }, { table.unpack(dto.entries[7].cmd.keys) })
    assert.matches("^%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$", dto.cluster)
    local vote = json.decode(raftrpc.encode("json", cluster, rpc.messages.vote))
    assert.equal("n1", vote.candidate_id)
    assert.same({ true, 23 }, { vote.pre_vote, vote.last_log_term })
  end)

  it("needs of a person only what the seed names", function()
    local message = assert(raftrpc.decode("json", cluster, "append", append()))
    assert.same({ 3, 1, 0, 0 }, { message.term, message.from, message.life, message.round })
    assert(raftrpc.decode("json", cluster, "vote",
      '{"term":1,"candidate_id":"n2","last_log_index":0,"last_log_term":0}'))
    assert(raftrpc.decode("json", cluster, "read", '{"node_id":"n2","id":18446744073709551615}'))
    assert(raftrpc.decode("json", cluster, "timeout_now", '{"term":1,"leader_id":"n2"}'))
  end)

  it("ignores unknown fields with all they hold", function()
    local message = assert(raftrpc.decode("json", cluster, "vote",
      '{"x":{"term":[9,{"y":null}]},"term":1,"entries":[7],"candidate_id":"n2","last_log_index":0,"last_log_term":0}'))
    assert.equal(1, message.term)
  end)

  it("takes null for a list that is absent", function()
    local body = '{"term":3,"leader_id":"n1","prev_log_index":4,"prev_log_term":1,"leader_commit":2,"entries":null}'
    assert(raftrpc.decode("json", cluster, "append", body))
  end)

  it("carries a piece of a snapshot in base64, under the seed's names", function()
    local body = json.decode(raftrpc.encode("json", cluster, rpc.messages.install, "a\0\xff\n"))
    assert.same({ 75, "n1", math.maxinteger, 74, "YQD/Cg==", true },
      { body.term, body.leader_id, body.last_included_index, body.last_included_term, body.data, body.done })
    local reply = json.decode(raftrpc.encode("json", cluster, rpc.messages.install_reply))
    assert.same({ 81, 83, 84, math.maxinteger, false },
      { reply.term, reply.last_included_index, reply.last_included_term, reply.offset, reply.done })
  end)

  it("needs of a person's piece what the seed names: the offset is 0 then", function()
    local message, piece = raftrpc.decode("json", cluster, "install",
      '{"term":3,"leader_id":"n1","last_included_index":9,"last_included_term":2,"data":"aGk=","done":true}')
    assert.same({ 3, 9, 2, 0, true },
      { message.term, message.index, message.snapshot_term, message.offset, message.done })
    assert.equal("hi", piece)
  end)

  local pieces_refused <const> = {
    { "data: missing", "data", nil },
    { "data: expected a string, got null", "data", "null" },
    { "data: expected a string, got a number", "data", "5" },
    { "data: expected a string, got an array", "data", "[1]" },
    { "data: expected base64 (RFC 4648, padded)", "data", '"aGk"' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"aGk=="' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"aGl="' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"aG k="' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"aGk=\\n"' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"a-_="' },
    { "data: expected base64 (RFC 4648, padded)", "data", '"\\u00e4\\u00e4"' },
    { "last_included_index: missing", "last_included_index", nil },
    { "last_included_term: missing", "last_included_term", nil },
    { "done: missing", "done", nil },
    { "done: expected a boolean, got a number", "done", "1" },
    { "offset: expected an integer from 0 to 9223372036854775807", "offset", "-1" },
    { "offset: expected a number, got a string", "offset", '"0"' },
    { "leader_id: missing", "leader_id", nil },
  }
  for _, case in ipairs(pieces_refused) do
    it(("refuses a piece of a snapshot with %s %s"):format(case[2], case[3] or "left out"), function()
      local fields = { term = "3", leader_id = '"n1"', last_included_index = "9", last_included_term = "2",
        offset = "0", data = '"aGk="', done = "true" }
      fields[case[2]] = case[3]
      local parts = {}
      for name, value in pairs(fields) do parts[#parts + 1] = ('"%s":%s'):format(name, value) end
      assert.equal(case[1], refuses("json", "install", "{" .. table.concat(parts, ",") .. "}"))
    end)
  end

  local refused <const> = {
    { "term: missing", { term = "absent" } },
    { "leader_id: missing", { leader_id = "absent" } },
    { "leader_commit: missing", { leader_commit = "absent" } },
    { "term: expected a number, got a string", { term = "3" } },
    { "term: expected an integer from 0 to 9223372036854775807", { term = -1 } },
    { "term: expected an integer from 0 to 9223372036854775807", { term = 1.5 } },
    { "leader_id: expected a string, got a number", { leader_id = 1 } },
    { "leader_id: expected a node id", { leader_id = "" } },
    { "leader_id: expected a node id", { leader_id = "n 1" } },
    { "leader_id: expected a node id", { leader_id = ("n"):rep(64) } },
    { "leader_addr: expected a string, got a boolean", { leader_addr = true } },
    { "cluster: expected 16 hex digits in lower case", { cluster = "0123456789ABCDEF" } },
    { "to: expected a node id", { to = "a\0b" } },
    { "round: expected a number, got an object", { round = { x = 1 } } },
    { "entries: expected an array, got a string", { entries = "[]" } },
    { "entries[0]: expected an object, got a number", {}, { 5 } },
    { "entries[0].index: missing", {}, { { term = 2, cmd = json.null } } },
    { "entries[0].term: missing", {}, { { index = 5, cmd = json.null } } },
    { "entries[0].cmd: missing", {}, { { index = 5, term = 2 } } },
    { "entries[0].cmd: expected an object, got a string", {}, { { index = 5, term = 2, cmd = "put" } } },
    { "entries[0].index: not the one after prev_log_index", { prev_log_index = 5 }, { entry() } },
    { "entries[1].index: not the one after the entry before it", {}, { entry(), entry() } },
    { "entries[0].cmd.op: missing", {}, { entry { op = "absent" } } },
    { "entries[0].cmd.op: expected put, delete, cas, mput or mdelete", {}, { entry { op = "PUT" } } },
    { "entries[0].cmd.key: missing", {}, { entry { key = "absent" } } },
    { "entries[0].cmd.key: must not be empty", {}, { entry { key = "" } } },
    { "entries[0].cmd.value: missing", {}, { entry { value = "absent" } } },
    { "entries[0].cmd.expected: missing", {}, { entry { op = "cas" } } },
    { "entries[0].cmd.entries: missing", {}, { entry { op = "mput" } } },
    { "entries[0].cmd.keys: missing", {}, { entry { op = "mdelete" } } },
    { "entries[0].cmd.keys[0]: expected a string, got a number", {}, { entry { op = "mdelete", keys = { 1 } } } },
    { "entries[0].cmd.entries[0].key: missing", {}, { entry { op = "mput", entries = { { value = "" } } } } },
    { "entries[0].cmd.entries[0].value: missing", {}, { entry { op = "mput", entries = { { key = "k" } } } } },
    { "entries[0].cmd.keys: must not be empty", {},
      { entry { op = "mdelete", keys = setmetatable({}, json.array_mt) } } },
    { "entries[0].cmd.value_base64: expected base64 (RFC 4648, padded)", {},
      { entry { value = "absent", value_base64 = "AA" } } },
    { "entries[0].cmd.value_base64: stands beside its twin; give one of the two", {},
      { entry { value_base64 = "AA==" } } },
    { "entries[0].cmd.seq: expected an integer from 0 to 9223372036854775807", {}, { entry { seq = -1 } } },
  }
  for _, case in ipairs(refused) do
    it(("refuses %s"):format(case[1]), function()
      assert.equal(case[1], refuses("json", "append", append(case[2], case[3])))
    end)
  end

  it("refuses what is not one JSON object", function()
    assert.equal("body: expected an object, got an array", refuses("json", "vote", "[]"))
    assert.equal("body: expected an object, got a number", refuses("json", "vote", "1"))
    for _, text in ipairs { "", "{", "{}x", '{"term":1,"term":1}', "{\"a\":\"\xff\"}", '{"a":"\\ud800"}' } do
      assert.matches("^line %d+, column %d+: ", refuses("json", "vote", text))
    end
  end)

  it("survives every truncation", function()
    local body = raftrpc.encode("json", cluster, rpc.messages.append, rpc.entries)
    for length = 0, #body - 1 do refuses("json", "append", body:sub(1, length)) end
  end)
end)
