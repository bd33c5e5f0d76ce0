--- Checks of a scenario: each passes, or ends the scenario with an explanation.
--
--     local check = require "kvserver.check"
--     kv.always("raft safety", check.raft(c))
--     check.linearizable(load.history)
local linear = require "kvserver.linear"
local operations = require "kvserver.scenario.history"
local safety = require "kvserver.scenario.safety"
local story = require "kvserver.scenario.story"
local duration = require "kvserver.scenario.duration"
local timeline = require "kvserver.scenario.timeline"

local M = {}

local SAME_STATE_WITHIN <const> = "30s"

local function fail(text, ...)
  error({ failed = text:format(...) }, 0)
end

local function passed(text, ...)
  story.say("check: " .. text, ...)
end

-- ---- histories ----

local US_PER_MS <const> = 1000

local function us(ms)
  return ms and ms * US_PER_MS // 1 | 0
end

-- As kvserver.linear wants them: without stale reads, and a delete of which is not known what it found as a write of
-- nothing. `original` is the operation.
local function registers(history)
  local ops = {}
  for _, op in ipairs(history) do
    if not op.stale then
      ops[#ops + 1] = {
        kind = op.saw_any and "put" or op.kind, key = op.key, client = op.client, value = op.value,
        expected = op.expected, saw = op.saw, outcome = op.outcome, called = us(op.called), returned = us(op.returned),
        original = op,
      }
    end
  end
  return ops
end

-- The operation that wrote a value, if any; no value is written twice.
local function writer_of(history, key, value)
  for _, op in ipairs(history) do
    if value and op.key == key and op.value == value and op.outcome ~= "fail" then return op end
  end
  return nil
end

local function values_text(states, count)
  local list = {}
  for i = 1, count do list[i] = states[i] == nil and "nothing" or tostring(states[i]) end
  return table.concat(list, " or ")
end

local function explain_register(history, report)
  local op <const> = report.op.original
  local around = { op }
  local lines = {
    ("not linearizable: no order of the operations on %s explains this one:"):format(op.key),
    "  " .. timeline.sentence(op),
    ("  at that place %s could only hold %s"):format(op.key, values_text(report.states, report.count)),
  }
  around[#around + 1] = op.kind == "get" and writer_of(history, op.key, op.saw) or nil
  if op.kind == "get" and op.saw then
    local writer <const> = writer_of(history, op.key, op.saw)
    lines[#lines + 1] = writer and "  what it saw was written by " .. timeline.sentence(writer)
      or "  nobody ever wrote what it saw"
  end
  for i = 1, report.count do
    local writer <const> = writer_of(history, op.key, report.states[i])
    if writer then
      lines[#lines + 1] = ("  %s was written by %s"):format(report.states[i], timeline.sentence(writer))
      around[#around + 1] = writer
    end
  end
  lines[#lines + 1] = timeline.draw(history, around)
  return table.concat(lines, "\n")
end

--- Every operation looks as if it had happened at one moment between its call and its return (Herlihy and Wing, 1990),
-- per key. Stale reads are left out.
-- @verb check.linearizable(history)
-- @tparam table history of a load or cluster
function M.linearizable(history)
  local verdict, _, report = linear.check(registers(history))
  if verdict == "fail" then fail("%s", explain_register(history, report)) end
  if verdict == "undecided" then return story.undecided "the history is too entangled to be checked in time" end
  passed("%d operations are linearizable", #history)
end

-- Per key, the reads by the time of their return.
local function reads_by_key(history)
  local keys, lists = {}, {}
  for _, op in ipairs(history) do
    if op.kind == "get" and op.outcome == "ok" and not op.stale then
      if not lists[op.key] then
        keys[#keys + 1] = op.key
        lists[op.key] = {}
      end
      table.insert(lists[op.key], op)
    end
  end
  for _, key in ipairs(keys) do table.sort(lists[key], function(a, b) return a.called < b.called end) end
  return keys, lists
end

-- A value that was seen, then another one, and then the first one again, reads that do not overlap: it was written
-- twice. The three reads.
local function find_return(list)
  local last_seen, current = {}, nil
  for _, op in ipairs(list) do
    local value <const> = op.saw or ""
    if current and (current.saw or "") ~= value then
      local before <const> = last_seen[value]
      if value ~= "" and before and before.returned < current.called and current.returned < op.called then
        return before, current, op
      end
    end
    if not current or op.called > current.returned then
      current = op
      last_seen[value] = op
    end
  end
  return nil
end

local function place(key, value)
  return key .. "\0" .. (value or "")
end

-- A cas and a read that do not go together, if each write is done once. Either the cas was refused, though what it
-- would have written was seen: it was done, and then done again, when it was no longer what the client wanted. Or it
-- took the place of a value that was seen behind it. What of the two it is, in words.
local function find_odd_cas(history)
  local refused, replaced = {}, {}
  for _, op in ipairs(history) do
    local answered <const> = op.kind == "cas" and op.outcome == "ok"
    if answered and op.saw then replaced[place(op.key, op.expected)] = op end
    if answered and not op.saw then refused[place(op.key, op.value)] = op end
  end
  for _, op in ipairs(history) do
    local seen <const> = op.kind == "get" and op.outcome == "ok" and not op.stale and op.saw and place(op.key, op.saw)
    local cas <const> = seen and replaced[seen]
    if refused[seen] then return refused[seen], op, "was refused, though what it wrote was seen" end
    if cas and cas.returned < op.called then return cas, op, "took the place of what was seen behind it" end
  end
  return nil
end

--- No write took effect twice: what was overwritten does not come back by itself, and what was refused was not done.
-- For histories in which no value is written twice, as those of c:load.
-- @verb check.exactly_once(history)
-- @tparam table history
function M.exactly_once(history)
  local keys, lists = reads_by_key(history)
  for _, key in ipairs(keys) do
    local before, between, again = find_return(lists[key])
    if before then
      local writer <const> = writer_of(history, key, again.saw)
      fail("a write took effect twice: %s held %s, then %s, and then %s again\n  %s\n%s", key, before.saw,
        between.saw or "nothing", again.saw, writer and timeline.sentence(writer) or "nobody wrote it",
        timeline.draw(history, { again, between, before, writer }))
    end
  end
  local cas, seen, why = find_odd_cas(history)
  if cas then
    fail("a write took effect twice: %s %s\n  %s\n  seen: %s\n%s", timeline.what(cas), why, timeline.sentence(cas),
      timeline.sentence(seen), timeline.draw(history, { cas, seen }))
  end
  passed "no write took effect twice"
end

-- What must not be lost: per key, the acknowledged writes behind which no other write can have come.
local function last_writes(history)
  local by_key, keys = {}, {}
  for _, op in ipairs(history) do
    local writes <const> = op.kind == "put" or op.kind == "delete" or op.kind == "cas" and op.saw ~= false
    if writes and op.outcome ~= "fail" then
      if not by_key[op.key] then
        keys[#keys + 1] = op.key
        by_key[op.key] = {}
      end
      table.insert(by_key[op.key], op)
    end
  end
  table.sort(keys)
  return keys, by_key
end

-- The acknowledged write that another one, whose value is there, cannot have come behind; nil: all is well.
local function lost_write(writes, value)
  local newest
  for _, op in ipairs(writes) do
    if op.outcome == "ok" and (not newest or op.called > newest.called) then newest = op end
  end
  for _, op in ipairs(writes) do
    local wrote = op.kind ~= "delete" and op.value or nil
    local could_be_last <const> = not newest or op.outcome == "unknown" or op.returned >= newest.called
    if wrote == value and could_be_last then return nil end
  end
  return newest
end

local function check_key(history, reader, key, writes)
  local answer <const> = reader:get(key)
  if answer.outcome ~= "ok" then fail("%s cannot be read in the end: %s", key, tostring(answer.err_code)) end
  local lost <const> = lost_write(writes, answer.value)
  if not lost then return end
  local there <const> = writer_of(history, key, answer.value)
  fail("an acknowledged write is lost: %s holds %s in the end\n  lost: %s\n%s%s", key, answer.value or "nothing",
    timeline.sentence(lost), there and "  there: " .. timeline.sentence(there) .. "\n" or "",
    timeline.draw(history, { lost, there }))
end

--- What was acknowledged is there: reads every key that was written, and finds the last write, or one that could have
-- come behind it.
-- @verb check.no_acked_write_lost(history)
-- @tparam table history
function M.no_acked_write_lost(history)
  local keys, by_key = last_writes(history)
  local reader = history.cluster:client { id = false, timeout = "10s" }
  for _, key in ipairs(keys) do check_key(history, reader, key, by_key[key]) end
  passed("what was acknowledged of %d keys is there", #keys)
end

--- The longest time without an answered operation is not too long.
-- @verb check.availability(history, {max_gap="2s"})
-- @tparam table history
-- @tparam table options max_gap; kind ("put": only of these operations)
-- @treturn number the longest gap in milliseconds
function M.availability(history, options)
  local limit <const> = duration.ms(options.max_gap)
  local longest, at = operations.longest_gap(history, options.kind)
  if not longest then fail "availability: hardly anything was answered" end
  if longest > limit then
    fail("no operation was answered for %.0f ms, from %.1f ms on; at most %s is allowed", longest, at, options.max_gap)
  end
  passed("the longest time without an answer was %.0f ms", longest)
  return longest
end

-- ---- clusters ----

-- The nodes that answer with what they say, when all of them have applied the same; else nil.
local function settled(cluster)
  local list = {}
  for _, node in ipairs(cluster:nodes()) do
    local status <const> = node:status()
    if node:state() == "up" and not status then return nil end
    if status then list[#list + 1] = { node = node, index = status.last_applied, digest = status.state_digest } end
    if status and status.last_applied ~= list[1].index then return nil end
  end
  return #list > 0 and list or nil
end

--- All nodes that run come to the same index, and to the same state there. For clusters without load.
-- @verb check.same_state(c, {within="30s"})
function M.same_state(cluster, options)
  local within <const> = options and options.within or SAME_STATE_WITHIN
  local list
  cluster:await(within, function() return "the nodes do not come to the same index" end, function()
    list = settled(cluster)
    return list
  end)
  for _, one in ipairs(list) do
    if one.digest ~= list[1].digest then
      fail("%s and %s have applied the same %d entries and are in different states: %s and %s", list[1].node.id,
        one.node.id, one.index, list[1].digest, one.digest)
    end
  end
  passed("%d nodes are in the same state, at index %d", #list, list[1].index)
end

--- What Raft promises, as a condition for kv.always. In sim all of it, after every event (at most one leader per term,
-- append-only leaders, matching logs, complete leaders, one command per index, nothing goes back, what was said is
-- durable, each acknowledged write is kept and applied once); elsewhere what nodes show of it, sampled.
-- @verb check.raft(c)
-- @treturn function
M.raft = safety.watch

return M
