--- A data directory's report (kvserver.inspect) for people.
--
--     io.write(require("kvserver.inspect_text").report(report, lines))
local M = {}

local function count_of(number, what, many)
  return ("%d %s"):format(number, number == 1 and what or many or what .. "s")
end

local function hard_state_text(state)
  local mark = state.proven and "" or ", not proven"
  return ("term %d, voted for %s%s"):format(state.term, state.voted_for or "nobody", mark)
end

local function range_text(first, last)
  return first == last and ("%d"):format(first) or ("%d to %d"):format(first, last)
end

--- A record of the log as a line.
-- @tparam table item
-- @treturn string
function M.record(item)
  local what
  if item.type == "hard_state" then
    what = hard_state_text(item.hard_state)
  elseif item.type == "entries" and item.count == 0 then
    what = ("the log is cut before %d"):format(item.first_index)
  elseif item.type == "entries" then
    what = ("%s, term %s, %s"):format(range_text(item.first_index, item.last_index),
      range_text(item.first_term, item.last_term), count_of(item.bytes, "byte"))
  else
    what = item.index and ("index %d, term %d"):format(item.index, item.term) or ""
  end
  return (("  %x:%-8d %-10s %s"):format(item.sequence, item.offset, item.type, what):gsub("%s+$", ""))
end

local function segment_text(segment)
  return ("  %s: %s, life %s, from index %d (before it term %d), %s; %s, %s, %s"):format(segment.file,
    count_of(segment.bytes, "byte"), segment.life, segment.first_index, segment.previous_term,
    hard_state_text(segment.hard_state), count_of(segment.batches, "batch", "batches"),
    count_of(segment.records, "record"), count_of(segment.entries, "entry", "entries"))
end

local function verdict_text(report)
  local log = report.log
  if log.verdict == "torn" then
    return ("torn: %s at offset %d; a start cuts %s%s"):format(log.file, log.offset, count_of(log.cut_bytes, "byte"),
      report.in_use_by and ", or they are being written" or "")
  end
  return log.verdict
end

local function log_lines(report, add)
  local log = report.log
  add("log: %s", verdict_text(report))
  if log.hard_state then
    local none = log.last_index < log.first_index
    add("  %s; %s; snapshot %d, term %d",
      none and ("no entries behind %d"):format(log.last_index)
        or ("entries %s, last term %d"):format(range_text(log.first_index, log.last_index), log.last_term),
      hard_state_text(log.hard_state), log.snapshot_index, log.snapshot_term)
  end
  for _, segment in ipairs(log.segments) do add("%s", segment_text(segment)) end
  if (log.spares or 0) > 0 then add("  %s", count_of(log.spares, "spare")) end
end

local function snapshot_lines(report, add)
  add("snapshots: %s", #report.snapshots == 0 and "none" or #report.snapshots)
  for _, snapshot in ipairs(report.snapshots) do
    add("  %s: %s, index %d, term %d, %s", snapshot.file, count_of(snapshot.bytes, "byte"), snapshot.index,
      snapshot.term, snapshot.valid and ("%s, %s, digest %s valid"):format(count_of(snapshot.keys, "key"),
        count_of(snapshot.clients, "client"), snapshot.digest) or "damaged")
  end
end

local function whose_text(report)
  local format = report.format
  if not format then return report.empty and "empty: no node has started here" or "no data directory" end
  local text = ("format %d, node %s of %s"):format(format.format, format.id, table.concat(format.peers, ", "))
  return (format.fixed_leader or "") == "" and text or ("%s, led by %s"):format(text, format.fixed_leader)
end

local function record_lines(report, records, lines)
  if #records == 0 then return end
  local left_out <const> = report.log.records_left_out
  lines[#lines + 1] = left_out == 0 and "records (segment:offset):"
    or ("records (segment:offset), without the first %d; --records shows all:"):format(left_out)
  table.move(records, 1, #records, #lines + 1, lines)
end

--- All of it.
-- @tparam table report
-- @tparam table records lines
-- @treturn string
function M.report(report, records)
  local lines = {}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  add("%s: %s", report.data, whose_text(report))
  if report.in_use_by then
    add("in use by process %d: what it writes meanwhile may be missing here", report.in_use_by)
  end
  if #report.others > 0 then add("beside it: %s", table.concat(report.others, ", ")) end
  log_lines(report, add)
  record_lines(report, records, lines)
  snapshot_lines(report, add)
  for _, problem in ipairs(report.problems) do add("problem: %s", problem) end
  add("verdict: %s", report.ok and "a node can start from this" or "refused")
  return table.concat(lines, "\n") .. "\n"
end

return M
