--- Messages to send, and transports to send them with.
--
--     local b <close> = rpc.serve("n2", {})               -- n2 of a cluster of three
--     local a <close> = rpc.serve("n1", { n2 = b:port() })
--     a:send(rpc.append, rpc.entries)
--     local came = rpc.take(b)
local assert = require "luassert"
local raft = require "kvserver.raft"
local raftrpc = require "kvserver.raftrpc"
local task = require "kvserver.task"

local M = {}

M.TIMEOUT_MS = 10000

--- A cluster of n1, n2 and n3 as one of them sees it.
-- @tparam string self
-- @tparam[opt] {[string]=integer} ports
function M.cluster(self, ports)
  local members = {}
  for i, id in ipairs { "n1", "n2", "n3" } do members[i] = { id = id, port = ports and ports[id] } end
  return raftrpc.cluster(members, self)
end

--- A transport of that node on a free port.
-- @tparam string self
-- @tparam[opt] {[string]=integer} ports of those it sends to
-- @tparam[opt] table options
function M.serve(self, ports, options)
  return raftrpc.transport(M.cluster(self, ports), options or {})
end

--- The next event of a transport.
function M.take(transport)
  return assert(task.wait_until(function() return transport:take() end, M.TIMEOUT_MS))
end

--- Entries of every kind, from index 8 on.
M.entries = raft.encode_entries {
  { term = 2 },
  { term = 2, command = { op = "put", client_id = "c1", seq = 9223372036854775807, key = "k", value = "\0\xff\"\\" } },
  { term = 2, command = { op = "put", key = "ключ", value = "" } },
  { term = 3, command = { op = "delete", key = "k" } },
  { term = 3, command = { op = "cas", client_id = "c", seq = 1, key = "k", expected = "\xfe", value = "v" } },
  { term = 3, command = { op = "mput", entries = { { key = "a", value = "1" }, { key = "b", value = "\x80" } } } },
  { term = 5, command = { op = "mdelete", keys = { "a", "b" } } },
}

--- A piece of a snapshot: every byte there is.
M.piece = ""
for byte = 0, 255 do M.piece = M.piece .. string.char(byte) end

local BIG <const> = 9223372036854775807

--- One message of each type, from n1 to n2, no two fields alike; with the largest numbers.
M.messages = {
  append = { type = "append", from = 1, to = 2, term = 6, life = -1, prev_index = 7, prev_term = 1, commit_index = 4,
    to_life = -2, round = -3 },
  append_reply = { type = "append_reply", from = 1, to = 2, term = BIG, life = 11, success = true, proven = true,
    match_index = 12, prev_index = 13, conflict_index = 14, conflict_term = 15, round = -16,
    disk_full = true },
  vote = { type = "vote", from = 1, to = 2, term = BIG, life = 21, pre = true, transfer = false, last_index = BIG,
    last_term = 23 },
  vote_reply = { type = "vote_reply", from = 1, to = 2, term = 31, life = 32, pre = false, granted = true,
    proven = true, vote_term = 33 },
  timeout_now = { type = "timeout_now", from = 1, to = 2, term = 41, life = 42 },
  read = { type = "read", from = 1, to = 2, term = 51, life = -52, id = -53 },
  read_reply = { type = "read_reply", from = 1, to = 2, term = 61, life = 62, id = -63, to_life = 64, ok = true,
    index = BIG },
  install = { type = "install", from = 1, to = 2, term = 75, life = -72, index = BIG, snapshot_term = 74,
    offset = BIG - 256, done = true },
  install_reply = { type = "install_reply", from = 1, to = 2, term = 81, life = 82, index = 83, snapshot_term = 84,
    offset = BIG, done = false },
}

--- What travels beside them.
M.beside = { append = M.entries, install = M.piece }

--- Their types, always in the same order.
M.types = {
  "append", "append_reply", "vote", "vote_reply", "timeout_now", "read", "read_reply", "install", "install_reply",
}

--- Compares the fields that `expected` has.
function M.assert_message(expected, got, ...)
  for name, value in pairs(expected) do
    for _, left_out in ipairs { ... } do
      if name == left_out then goto next end
    end
    assert.equal(value, got[name], name)
    ::next::
  end
end

--- No sample lacks a field that messages of its type have: one that is new must travel, too.
function M.assert_complete(got)
  for name in pairs(got) do
    assert.is_true(name == "after_sync" or M.messages[got.type][name] ~= nil, name)
  end
end

return M
