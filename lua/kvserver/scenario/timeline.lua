--- Operations in words, and as a small picture of who did what when.
local printable = require "kvserver.scenario.printable"

local M = {}

local WIDTH <const> = 44
local VALUE_BYTES_MAX <const> = 24 -- of a value that is shown
local OPERATIONS_MAX <const> = 14
local MARGIN <const> = 0.15 -- of the time shown, on both sides

local function shown(value)
  if value == nil then return "nothing" end
  return printable.short(value, VALUE_BYTES_MAX, VALUE_BYTES_MAX - 3)
end

--- What an operation did.
-- @treturn string such as "put k3 = c1-7"
function M.what(op)
  if op.kind == "put" then return ("put %s = %s"):format(op.key, shown(op.value)) end
  if op.kind == "cas" then return ("cas %s: %s -> %s"):format(op.key, shown(op.expected), shown(op.value)) end
  return ("%s %s"):format(op.kind, op.key)
end

--- What came of it.
-- @treturn string such as "saw c1-7 at n2", "not done", "unknown"
function M.outcome(op)
  local at <const> = op.node and " at " .. op.node or ""
  if op.outcome == "fail" then return "not done" end
  if op.outcome == "unknown" then return "unknown whether it was done" end
  if op.kind == "get" then return "saw " .. shown(op.saw) .. at end
  if op.kind == "cas" then return (op.saw and "done" or "refused") .. at end
  if op.kind == "delete" then return (op.saw and "removed it" or "found nothing") .. at end
  return "acknowledged" .. at
end

--- When it was.
-- @treturn string such as "1201.3 to 1204.0 ms"
function M.when(op)
  if not op.returned then return ("from %.1f ms on"):format(op.called) end
  return ("%.1f to %.1f ms"):format(op.called, op.returned)
end

--- One sentence about an operation, requests that were repeated included.
function M.sentence(op)
  local tries = {}
  for _, attempt in ipairs(op.attempts or {}) do
    tries[#tries + 1] = ("%s: %s"):format(attempt.node, attempt.answer or "no answer yet")
  end
  local asked <const> = #tries > 1 and ("; asked %s"):format(table.concat(tries, ", ")) or ""
  return ("%s by %s, %s: %s%s"):format(M.what(op), op.client, M.when(op), M.outcome(op), asked)
end

local function overlaps(op, from, to)
  return op.called <= to and (op.returned or math.huge) >= from
end

-- The chosen ones, and the last that overlap with the time, up to a number, by their beginnings.
local function choose(history, key, from, to, chosen)
  local list, has = {}, {}
  for _, op in ipairs(chosen) do
    if not has[op] then list[#list + 1] = op end
    has[op] = true
  end
  for i = #history, 1, -1 do
    local op <const> = history[i]
    local fits <const> = op.key == key and op.outcome ~= "fail" and overlaps(op, from, to)
    if #list < OPERATIONS_MAX and fits and not has[op] then list[#list + 1] = op end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

local function bar(op, from, to)
  local function column(time)
    return math.max(0, math.min(WIDTH - 1, (time - from) / (to - from) * (WIDTH - 1) // 1 | 0))
  end
  local first <const> = column(op.called)
  if not op.returned then return (" "):rep(first) .. "|" .. ("-"):rep(WIDTH - first - 2) .. ">" end
  local last <const> = math.max(column(op.returned), first + 1)
  return (" "):rep(first) .. "|" .. ("-"):rep(last - first - 1) .. "|" .. (" "):rep(WIDTH - last - 1)
end

--- A picture of the operations on a key around some of them.
-- @tparam table history
-- @tparam table chosen operations of one key that must be in it, the one that it is about first: that is marked
-- @treturn string lines
function M.draw(history, chosen)
  local from, to = math.huge, -math.huge
  for _, op in ipairs(chosen) do
    from, to = math.min(from, op.called), math.max(to, op.returned or op.called)
  end
  local margin <const> = math.max(1, (to - from) * MARGIN)
  from, to = math.max(0, from - margin), to + margin
  local lines = { ("  %-10.1f%s%10.1f ms"):format(from, (" "):rep(WIDTH - 20), to) }
  for _, op in ipairs(choose(history, chosen[1].key, from, to, chosen)) do
    lines[#lines + 1] = ("%s %s  %-4s %s: %s"):format(op == chosen[1] and ">" or " ", bar(op, from, to), op.client,
      M.what(op), M.outcome(op))
  end
  return table.concat(lines, "\n")
end

return M
