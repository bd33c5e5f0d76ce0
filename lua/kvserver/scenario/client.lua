--- A client in a scenario: it goes where the leader is, retries as it is told, and writes down what it saw.
local duration = require "kvserver.scenario.duration"

local M = {}

local Client = {}
Client.__index = Client

local TIMEOUT <const> = "5s"
local ATTEMPT_MS <const> = 1000 -- of the first request, when there may be another
local PAUSE_MS <const> = 20 -- before a node is asked again
local OUTCOME_WITHIN <const> = "10s" -- of an asynchronous write
local MODES <const> = { sync = true, async = true }
local RETRY <const> = { none = true, same_seq = true }

--- A client that asks as it is told, and writes what it saw into the history of the cluster.
-- @verb c:client{id=, via=, read=, timeout="5s", retry="same_seq"}
-- @tparam table cluster
-- @tparam[opt] table options id (its client_id, one that nobody else has; false: it has none, and its writes are not
-- told from each other), via (a node that it asks first, each time; else the last that did what it asked), read
-- ("readindex" or "stale"), timeout (of an operation, retries included), retry ("same_seq": a request whose outcome is
-- unknown is asked again with its seq; "none": once)
-- @return the client
function M.new(cluster, options)
  options = options or {}
  local retry <const> = options.retry or "same_seq"
  if not RETRY[retry] then error('retry: expected "same_seq" or "none", got ' .. tostring(retry), 3) end
  cluster.clients_count = (cluster.clients_count or 0) + 1
  local name <const> = options.id or "c" .. cluster.clients_count
  return setmetatable({
    cluster = cluster, world = cluster.world, history = cluster.history, name = name,
    client_id = options.id ~= false and name or nil, via = options.via, read = options.read,
    timeout_ms = duration.ms(options.timeout, TIMEOUT), retry = retry, seq = 0, sent = {},
    taken = setmetatable({}, { __mode = "k" }), -- result of an asynchronous write -> what is needed to settle it
    next_node = cluster.clients_count,
  }, Client)
end

-- ---- one operation ----

-- Answers that say that nothing was done, by anyone, because of this request.
local NOT_DONE <const> = {
  not_leader = true, no_leader = true, overloaded = true, disk_full = true, bad_request = true, too_large = true,
}
-- Such answers that another node, or a later moment, may better.
local MAY_PASS <const> = { not_leader = true, no_leader = true, overloaded = true, disk_full = true }

local function choose_node(self)
  if self.target then return self.target end
  if self.via then return self.via.id end
  self.next_node = self.next_node + 1
  local ids <const> = self.world.ids
  return ids[self.next_node % #ids + 1]
end

local function hint_of(answer)
  local id = answer.leader_hint and answer.leader_hint.leader_id
  return id and id ~= "" and id or nil
end

-- How long the next attempt may take: twice as long as the one before that got no answer, for it may be the answer
-- that takes long.
local function patience_ms(attempts)
  local ms = ATTEMPT_MS
  for _, tried in ipairs(attempts) do
    if tried.answer == "timeout" then ms = 2 * ms end
  end
  return ms
end

-- Asks one node; what came of it: "done", "not_done" (by this attempt), "unknown".
local function attempt(self, request, deadline, attempts)
  local node <const> = choose_node(self)
  local left <const> = deadline - self.world:now()
  local limit <const> = self.retry ~= "none" and math.min(left, patience_ms(attempts)) or left
  local tried = { node = node, at = self.world:now() }
  attempts[#attempts + 1] = tried
  local answer, why = self.world:operate(node, request, math.max(1, limit))
  tried.answer = answer and (answer.err_code or "ok") or why
  self.target = nil
  if not answer then return why == "connect" and "not_done" or "unknown", nil, why end
  if answer.err_code == "timeout" then return request.is_read and "not_done" or "unknown", answer end
  if NOT_DONE[answer.err_code] then
    self.target = hint_of(answer)
    return "not_done", answer
  end
  self.target = not self.via and node or nil
  return "done", answer, node
end

-- Whether it is worth asking again.
local function may_retry(self, state, answer, redirected)
  if state == "not_done" and answer and answer.err_code == "not_leader" and redirected < #self.world.ids then
    return true
  end
  if self.retry == "none" then return false end
  return state == "unknown" or not answer or MAY_PASS[answer.err_code] or answer.err_code == "timeout"
end

-- Until there is an answer, the time is over, or it must not be asked again. What is known then, the answer, the
-- attempts, the node that gave it, why there is none, and whether one of the attempts may have done it unheard.
local function ask(self, request)
  local deadline <const> = self.world:now() + self.timeout_ms
  local attempts, unsure, redirected = {}, false, 0
  while true do
    local state, answer, detail = attempt(self, request, deadline, attempts)
    if state == "done" then return "ok", answer, attempts, detail, nil, unsure end
    unsure = unsure or state == "unknown"
    redirected = redirected + 1
    local again <const> = may_retry(self, state, answer, redirected)
    if not again or self.world:now() + PAUSE_MS >= deadline then
      return unsure and not request.is_read and "unknown" or "fail", answer, attempts, nil, detail, unsure
    end
    if not self.target then self.world:sleep(PAUSE_MS) end
  end
end

local function finish(self, ops, outcome, node, attempts)
  for _, op in ipairs(ops) do
    op.outcome, op.node, op.attempts = outcome, node, attempts
    op.returned = outcome ~= "unknown" and self.world:now() or nil
  end
end

-- What the caller gets: the answer's fields and what became of the operation.
local function result_of(outcome, answer, node, attempts, detail)
  local result = {}
  for name, value in pairs(answer or {}) do result[name] = value end
  result.outcome, result.node, result.attempts = outcome, node, attempts
  if not answer then result.ok, result.err_code = false, detail end
  return result
end

-- A node has taken it: what became of it is not known yet.
local function taken(self, ops, see, answer, node, attempts, unsure)
  for _, op in ipairs(ops) do op.op_id = answer.op_id end
  finish(self, ops, "unknown", node, attempts)
  local result = result_of("unknown", answer, node, attempts)
  self.taken[result] = { ops = ops, see = see, unsure = unsure }
  return result
end

local function run(self, request, ops, see)
  local outcome, answer, attempts, node, detail, unsure = ask(self, request)
  if outcome == "ok" and answer.op_id then return taken(self, ops, see, answer, node, attempts, unsure) end
  if outcome == "ok" then see(answer) end
  finish(self, ops, outcome, node, attempts)
  return result_of(outcome, answer, node, attempts, detail)
end

-- ---- the verbs ----

local function begin(self, kind, key, fields)
  local op = fields or {}
  op.client, op.kind, op.key = self.name, kind, key
  return self.history:begin(op)
end

local function write_request(self, fields)
  if self.client_id then
    self.seq = self.seq + 1
    fields.client_id, fields.seq = self.client_id, self.seq
  end
  return fields
end

-- Asks a write, and remembers what it was.
local function write(self, request, ops, see, options)
  local mode <const> = options and options.mode or "sync"
  if not MODES[mode] then error('mode: expected "sync" or "async", got ' .. tostring(mode), 3) end
  if request.seq then self.sent[request.seq] = { request = request, ops = ops, see = see } end
  request.mode = mode
  local result <const> = run(self, request, ops, see)
  request.mode = nil -- who asks again wants to know
  return result
end

local function read_request(self, fields, options)
  fields.is_read = true
  fields.read = options and options.read or self.read
  fields.min_index = options and options.min_index
  return fields
end

--- Reads a key: `value`, nil when there is none.
-- @verb client:get(key, {read=, min_index=})
-- @treturn table outcome ("ok": it was answered; "fail": it was not done; "unknown"), ok, err_code, value, node (that
-- answered), attempts ({{node=, at=, answer=}, ...}, each request: "ok", an err_code, "connect", "closed" or "timeout")
function Client:get(key, options)
  local request <const> = read_request(self, { op = "get", key = key }, options)
  local op = begin(self, "get", key, { stale = request.read == "stale" or nil })
  return run(self, request, { op }, function(answer) op.saw = answer.value end)
end

--- Writes a key. Every write takes as its last argument {mode="async"}: it is answered as soon as a node has taken it,
-- with an op_id, and is unknown until client:outcome tells more.
-- @verb client:put(key, value, {mode="sync"})
function Client:put(key, value, options)
  local request <const> = write_request(self, { op = "put", key = key, value = value })
  local op = begin(self, "put", key, { value = value, seq = request.seq })
  return write(self, request, { op }, function() end, options)
end

--- Writes a key if it has the expected value ("": none).
-- @verb client:cas(key, expected, value, {mode="sync"})
-- @treturn table ok is false and err_code "cas_failed" when it has another one; the outcome is "ok" then, too
function Client:cas(key, expected, value, options)
  local request <const> = write_request(self, { op = "cas", key = key, expected = expected, value = value })
  local op = begin(self, "cas", key, {
    expected = expected ~= "" and expected or nil, value = value, seq = request.seq,
  })
  return write(self, request, { op }, function(answer) op.saw = answer.ok end, options)
end

--- Removes a key: `deleted` is 1 or 0.
-- @verb client:delete(key, {mode="sync"})
function Client:delete(key, options)
  local request <const> = write_request(self, { op = "delete", key = key })
  local op = begin(self, "delete", key, { seq = request.seq })
  return write(self, request, { op }, function(answer) op.saw = answer.deleted == 1 end, options)
end

local function begin_batch(self, kind, list, fields_of)
  local number <const>, ops = self.history:batch(), {}
  for i, item in ipairs(list) do
    local key <const>, fields = fields_of(item)
    fields.batch = number
    ops[i] = begin(self, kind, key, fields)
  end
  return ops
end

--- Writes several keys, all or nothing.
-- @verb client:mput({{key=, value=}, ...}, {mode="sync"})
function Client:mput(entries, options)
  local request <const> = write_request(self, { op = "mput", entries = entries })
  local ops = begin_batch(self, "put", entries, function(entry)
    return entry.key, { value = entry.value, seq = request.seq }
  end)
  return write(self, request, ops, function() end, options)
end

--- Reads several keys: `values`.
-- @verb client:mget({key, ...}, {read=})
function Client:mget(keys, options)
  local request <const> = read_request(self, { op = "mget", keys = keys }, options)
  local ops = begin_batch(self, "get", keys, function(key)
    return key, { stale = request.read == "stale" or nil }
  end)
  return run(self, request, ops, function(answer)
    for _, op in ipairs(ops) do op.saw = answer.values[op.key] end
  end)
end

--- Removes several keys: `deleted` is how many there were.
-- @verb client:mdelete({key, ...}, {mode="sync"})
function Client:mdelete(keys, options)
  local request <const> = write_request(self, { op = "mdelete", keys = keys })
  local ops = begin_batch(self, "delete", keys, function(key) return key, { seq = request.seq } end)
  return write(self, request, ops, function(answer)
    local all <const> = answer.deleted == #keys or answer.deleted == 0
    for _, op in ipairs(ops) do
      if all then op.saw = answer.deleted > 0 else op.saw_any = true end
    end
  end, options)
end

-- What the node that took a write knows of it: its answer, once the outcome is known or will not be; nil and why when
-- there is none in time.
local function await_outcome(self, result, deadline)
  local request <const> = { op = "operation", op_id = result.op_id, is_read = true }
  local why
  repeat
    local left <const> = math.max(1, math.min(ATTEMPT_MS, deadline - self.world:now()))
    local answer
    answer, why = self.world:operate(result.node, request, left)
    if answer and answer.ready ~= false then return answer end
    why = why or "pending"
    self.world:sleep(PAUSE_MS)
  until self.world:now() >= deadline
  return nil, why
end

-- What that says of the operation.
local function judge(entry, answer)
  local told <const> = answer and answer.result
  if not told or told.err_code == "timeout" or answer.replay == "older" then return "unknown" end
  if NOT_DONE[told.err_code] then return entry.unsure and "unknown" or "fail" end
  return "ok"
end

--- What became of an asynchronous write of this client: asks the node that took it, until that knows, or never will.
-- What comes of it counts for the operation in the history, which ends now.
-- @verb client:outcome(written, {within="10s"})
-- @tparam table written what the write has returned
-- @tparam[opt] table options within (how long the node is asked)
-- @treturn table as of the write, had it waited: outcome, ok, err_code, ..., replay; still unknown, err_code says why:
-- "timeout" (the node does not know), "not_found" (any more), "pending", "connect", "closed" (it did not tell in time)
function Client:outcome(written, options)
  local entry <const> = self.taken[written] or error("client:outcome: expected what an asynchronous write returned", 2)
  local deadline <const> = self.world:now() + duration.ms(options and options.within, OUTCOME_WITHIN)
  local answer, why = await_outcome(self, written, deadline)
  local outcome <const> = judge(entry, answer)
  local told <const> = answer and answer.result or answer
  if outcome == "ok" and entry.ops[1].outcome ~= "ok" then entry.see(told) end
  if entry.ops[1].outcome == "unknown" then finish(self, entry.ops, outcome, written.node, written.attempts) end
  local result = result_of(outcome, told, written.node, written.attempts, why)
  result.replay, result.index = answer and answer.replay, answer and answer.index
  return result
end

--- Asks a write of this client once more, with its seq: what one does who is in doubt. It is no operation of its own in
-- the history; if it was not known to be done before, what comes of it now counts.
-- @verb client:again(seq)
-- @tparam[opt] integer seq of which write, counted from 1 (the last)
-- @treturn table as of get; replay ("same": it was done before; "older": so was a later one, whose answer this is)
function Client:again(seq)
  local sent <const> = self.sent[seq or self.seq] or error("client:again: no such write", 2)
  local outcome, answer, attempts, node, detail = ask(self, sent.request)
  local is_its_answer <const> = outcome == "ok" and answer.replay ~= "older"
  if sent.ops[1].outcome ~= "ok" and (is_its_answer or outcome == "unknown") then
    if is_its_answer then sent.see(answer) end
    finish(self, sent.ops, outcome, node, attempts)
  end
  return result_of(outcome, answer, node, attempts, detail)
end

return M
