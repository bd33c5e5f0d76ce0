--- Clients that write, swap, remove and read at once, across kills, and remember what they were told.
--
--     local load <close> = clients.start { cluster = c, count = 8, name = "r1" }
--     task.sleep(500)
--     load:finish()                       -- each comes to the end of what it has begun
--     load.history                        -- for kvserver.linear
--     load.ledger                         -- key -> value, of keys that are written once
--
-- A write that got no answer is sent again with the same client_id and seq, to any node, until it has one: so each has
-- a definite outcome, and was done once, or the history shows it. A read without an answer never was.
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local REQUEST_MS <const> = 1000
local PATIENCE_MS <const> = 40000 -- that a write may go without an answer
local PAUSE_MS <const> = 5 -- before it is sent again
local SHARED_KEYS <const> = 8
local VALUE_BYTES_MAX <const> = 1500
local SHARED <const> = { "put", "put", "put", "get", "get", "get", "cas", "cas", "delete" }

local Load = {}
Load.__index = Load

-- ---- one client ----

local function now()
  return uv.hrtime()
end

-- Of the kind's result: what the checker calls `saw`. nil: no definite answer.
local function outcome(kind, result)
  if not result then return nil end
  if kind == "cas" and result.err_code == "cas_failed" then return { saw = false } end
  if not result.ok then return nil end
  if kind == "delete" then return { saw = result.deleted == 1 } end
  return { saw = kind == "cas" or nil }
end

-- The connection to a node, any but the one before.
local function next_node(self)
  local ids <const> = self.load.cluster.ids
  self.at = (self.at or math.random(#ids)) % #ids + 1
  local id <const> = ids[self.at]
  if not self.connections[id] then
    self.connections[id] = self.load.cluster:client(id, { client_id = self.name, timeout_ms = REQUEST_MS })
  end
  return self.connections[id]
end

local verbs <const> = {
  put = function(node, op, options) return node:put(op.key, op.value, options) end,
  delete = function(node, op, options) return node:delete(op.key, options) end,
  cas = function(node, op, options) return node:cas(op.key, op.expected or "", op.value, options) end,
}

local function write(self, op)
  self.seq = self.seq + 1
  local deadline_ms <const> = task.now_ms() + PATIENCE_MS
  op.called = now()
  while true do
    self.node = self.node or next_node(self)
    local result, kind, why = verbs[op.kind](self.node, op, { seq = self.seq })
    local done <const> = outcome(op.kind, result)
    if result and result.replay == "older" then error(("%s: an older reply to seq %d"):format(self.name, self.seq)) end
    if done then
      op.outcome, op.returned, op.saw = "ok", now(), done.saw
      return
    end
    if task.now_ms() > deadline_ms then
      local last <const> = result and result.err_msg or why or kind
      error(("no answer to a %s within %d ms: %s"):format(op.kind, PATIENCE_MS, last))
    end
    self.node = nil
    task.sleep(PAUSE_MS)
  end
end

local function read(self, op)
  op.called = now()
  self.node = self.node or next_node(self)
  local result = self.node:get(op.key)
  local missing <const> = result and result.err_code == "not_found"
  if result and (result.ok or missing) then
    op.outcome, op.returned, op.saw = "ok", now(), result.value
  else
    op.outcome = "fail"
    self.node = nil
    task.sleep(PAUSE_MS)
  end
end

-- Values are unique, and of every size up to a few sectors.
local function new_value(self)
  self.load.values = self.load.values + 1
  local filler <const> = math.random(0, VALUE_BYTES_MAX)
  return ("%s-%d-%d:%s"):format(self.name, self.load.values, filler, ("v"):rep(filler))
end

-- A value in a history, without what fills it; one that is not whole is shown as it is.
local function short(value)
  local name, filler, rest = (value or ""):match("^(.-%-(%d+)):(v*)$")
  return name and #rest == tonumber(filler) and name or value
end

local function remember(history, op)
  local saw = op.saw
  if op.kind == "get" then saw = short(saw) end
  table.insert(history, {
    client = op.client, kind = op.kind, key = op.key, value = short(op.value), expected = short(op.expected), saw = saw,
    called = op.called, returned = op.returned, outcome = op.outcome,
  })
end

local function shared_operation(self)
  local op = {
    client = self.name, kind = SHARED[math.random(#SHARED)], key = "shared-" .. math.random(SHARED_KEYS),
  }
  if op.kind ~= "get" then op.value = new_value(self) end
  if op.kind == "cas" then op.expected = self.seen[op.key] end
  if op.kind == "get" then read(self, op) else write(self, op) end
  if op.kind == "get" and op.outcome == "ok" then self.seen[op.key] = op.saw end
  if op.kind == "put" then self.seen[op.key] = op.value end
  remember(self.load.history, op)
end

local function own_key(self)
  local op = { kind = "put", key = ("%s-%d"):format(self.name, self.seq), value = new_value(self) }
  write(self, op)
  self.load.ledger[op.key] = op.value
end

local function live(self)
  while not self.load.finishing do
    if math.random(4) == 1 then own_key(self) else shared_operation(self) end
    self.load.operations = self.load.operations + 1
  end
end

-- ---- all of them ----

--- Starts clients; they go on until finish.
-- @tparam table spec cluster (of kvserver.cluster), count, name (of their ids, another one each time), history (what is
-- known already)
-- @return the load, a `<close>` value; `operations`: how many came to their end
function M.start(spec)
  local self = setmetatable({
    cluster = spec.cluster, history = spec.history or {}, ledger = {}, clients = {}, tasks = {}, values = 0,
    operations = 0,
  }, Load)
  for i = 1, spec.count do
    local client = { load = self, name = ("%s-c%d"):format(spec.name, i), connections = {}, seq = 0, seen = {} }
    self.clients[i] = client
    self.tasks[i] = task.spawn(live, client)
  end
  return self
end

--- Waits until no client has anything outstanding.
function Load:finish()
  self.finishing = true
  for _, client in ipairs(self.tasks) do client:join() end
end

function Load:__close()
  for _, client in ipairs(self.tasks) do client:cancel() end
  for _, client in ipairs(self.clients) do
    for _, connection in pairs(client.connections) do connection:close() end
  end
end

--- What every node reads in the end, as operations of a history.
-- @tparam string id of the node
-- @tparam table history gets an operation for each shared key
-- @treturn table key -> value
function Load:read_all(id, history)
  local node <close> = self.cluster:client(id)
  local values = {}
  for i = 1, SHARED_KEYS do
    local op = { client = id, kind = "get", key = "shared-" .. i }
    read({ node = node }, op)
    assert(op.outcome == "ok", id .. " does not answer a read")
    values[op.key] = short(op.saw)
    remember(history, op)
  end
  return values
end

return M
