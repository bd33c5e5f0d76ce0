--- `kvserver --inspect DATA [--json] [--records]`: what is in a data directory, and whether a node could start from it.
-- Nothing is written, created or locked; the directory of a running node can be looked at, too.
--
--     local report = assert(require("kvserver.inspect").look("kvdata"))
--     print(report.log.verdict, #report.problems)
local disk = require "kvserver.disk"
local inspect_text = require "kvserver.inspect_text"
local json = require "kvserver.json"
local snapshots = require "kvserver.snapshots"
local task = require "kvserver.task"
local uv = require "luv"
local wal = require "kvserver.wal"

local M = {}

local EXIT_REFUSED <const> = 4
local FORMAT_VERSION <const> = 1
local FORMAT_BYTES_MAX <const> = 65536
local RECORDS_SHOWN <const> = 100 -- the last ones, unless all are asked for
local TRIES <const> = 5 -- of a directory in which a running node writes and renames meanwhile
local RETRY_MS <const> = 20
local ADVICE <const> = "move the data directory away and let the node catch up from the others, or restore a copy"

local OURS <const> = {
  LOCK = true, FORMAT = true, ["FORMAT.tmp"] = true, wal = true, snap = true, ["admin.sock"] = true,
  ["lost+found"] = true,
}

local function list() return setmetatable({}, json.array_mt) end

local function read_file(d, name, bytes_max)
  local file <close>, status, message = d:open(name, "read")
  if not file then return nil, status, message end
  return file:read(0, bytes_max)
end

-- ---- who has it ----

-- The lock is not tried: a node that starts at this moment must not meet ours.
local function holder(path, d)
  local about <const> = uv.fs_stat(path .. "/LOCK")
  local pid <const> = about and (read_file(d, "LOCK", 16) or ""):match("^%d+")
  local locks <close> = about and io.open("/proc/locks")
  if not pid or not locks then return nil end
  for line in locks:lines() do
    local owner, major, minor, inode = line:match("FLOCK%s+%u+%s+%u+%s+(%d+) (%x+):(%x+):(%d+) ")
    local same_device = major and tonumber(major, 16) == about.dev >> 8 & 0xfff and
      tonumber(minor, 16) == (about.dev & 0xff | about.dev >> 12 & 0xfff00)
    if inode and tonumber(inode) == about.ino and (same_device or owner == pid) then return math.tointeger(pid) end
  end
  return nil
end

-- ---- FORMAT ----

local function is_list_of_texts(value)
  if type(value) ~= "table" then return false end
  for _, item in ipairs(value) do
    if type(item) ~= "string" then return false end
  end
  return #value > 0
end

-- The format; or nil and what is wrong.
local function read_format(d)
  local text, status, message = read_file(d, "FORMAT", FORMAT_BYTES_MAX)
  if not text then return nil, status == "not_found" and "FORMAT: missing" or message end
  local format, why = json.decode(text)
  if type(format) ~= "table" then return nil, ("FORMAT: %s; put a copy of it back"):format(why or "not an object") end
  local version = format.format
  if math.type(version) ~= "integer" or type(format.id) ~= "string" or not is_list_of_texts(format.peers) then
    return nil, "FORMAT: it names no format, node or cluster; put a copy of it back"
  end
  if version > FORMAT_VERSION then
    return nil, ("FORMAT: the directory has format %d, this version knows up to %d; use the version that wrote it")
      :format(version, FORMAT_VERSION)
  end
  return format
end

-- ---- the log ----

-- The id of who got the vote, where it is known; else the member's number.
local function hard_state_of(state, peers)
  return { term = state.term, voted_for = peers and peers[state.voted_for] or state.voted_for, proven = state.proven }
end

local function segment_of(head, peers)
  return {
    file = head.file, bytes = head.bytes, life = ("%016x"):format(head.life), sequence = head.sequence,
    first_index = head.state.last_index + 1, previous_term = head.state.last_term,
    snapshot_index = head.state.snapshot_index, snapshot_term = head.state.snapshot_term,
    hard_state = hard_state_of(head.state.hard_state, peers), batches = 0, records = 0, entries = 0, payload_bytes = 0,
  }
end

local function record_of(record, peers)
  local item = { sequence = record.sequence, offset = record.offset, type = record.type }
  if record.type == "entries" then
    item.first_index, item.count, item.bytes = record.index, record.count, record.bytes
    item.previous_term = record.term
    if record.count > 0 then
      item.last_index, item.last_term = record.state.last_index, record.state.last_term
      item.first_term = record.first_term
    end
  elseif record.type == "hard_state" then
    item.hard_state = hard_state_of(record.hard_state, peers)
  elseif record.type ~= "seal" then
    item.index, item.term = record.index, record.term
  end
  return item
end

-- What a scan visits becomes counts per segment, and the last `keep` records as `show` makes them.
-- @tparam table how peers, keep, show
local function collector(how)
  local seen = { segments = list(), first_index = 1 }
  local records, count = {}, 0
  function seen.visit(kind, item)
    local segment = seen.segments[#seen.segments]
    if kind == "head" then
      if not segment then seen.first_index = item.state.last_index + 1 end
      seen.segments[#seen.segments + 1] = segment_of(item, how.peers)
    elseif kind == "batch" then
      segment.batches, segment.payload_bytes = segment.batches + 1, segment.payload_bytes + item.bytes
    else
      segment.records, segment.entries = segment.records + 1, segment.entries + item.count
      if item.type == "reset" then seen.first_index = item.index + 1 end
      records[count % how.keep + 1] = how.show(record_of(item, how.peers))
      count = count + 1
    end
  end
  function seen.records()
    local last = {}
    for place = math.max(0, count - how.keep), count - 1 do last[#last + 1] = records[place % how.keep + 1] end
    return last, count
  end
  return seen
end

-- The log as a report, its records; or nil, status, message.
local function scan(d, how)
  local seen = collector(how)
  local found, status, message = wal.scan(d, seen.visit)
  if not found then
    if status ~= "not_found" or d:list("wal") then return nil, status, message end
    found = { verdict = "empty", spares = {}, fillings = {} }
  end
  local log = {
    verdict = found.verdict, segments = seen.segments, spares = #found.spares, half_made = #found.fillings,
    file = found.file, offset = found.offset, reason = found.what, error = found.error,
  }
  if found.verdict == "torn" then log.cut_bytes = found.cut_bytes end
  if seen.segments[1] then
    local state = found.state
    log.first_index, log.last_index, log.last_term = seen.first_index, state.last_index, state.last_term
    log.snapshot_index, log.snapshot_term = state.snapshot_index, state.snapshot_term
    log.hard_state = hard_state_of(state.hard_state, how.peers)
  end
  local records, count = seen.records()
  log.records, log.records_left_out = count, count - #records
  return log, records
end

-- A running node may be writing a batch, or renaming a file, at this moment.
local function scan_calmly(d, in_use, how)
  for try = 1, TRIES do
    local log, records, message = scan(d, how)
    local calm = log and log.verdict ~= "damaged"
    if calm or not in_use or try == TRIES then return log, records, message end
    task.sleep(RETRY_MS)
  end
end

-- ---- snapshots ----

local function look_at_snapshot(d, file, index, term)
  local found, status, message = snapshots.check(d, file)
  if not found then return nil, status, message end
  local reason = found.what
  if not reason and found.index ~= index then reason = ("its content is of index %d"):format(found.index) end
  return {
    file = file, index = index, term = term, bytes = found.bytes, keys = found.keys, clients = found.clients,
    digest = found.digest, valid = not reason, reason = reason,
  }
end

-- All of them, the oldest first; problems; whether one went while they were read.
local function look_at_snapshots(d)
  local found, problems, gone = list(), {}, false
  for _, name in ipairs(d:list("snap") or {}) do
    local kind, index, term = snapshots.parse(name)
    local file <const> = "snap/" .. name
    if kind == "foreign" then
      problems[#problems + 1] = file .. ": a file of somebody else in the snapshots' directory; move it elsewhere"
    elseif kind == "whole" then
      local snapshot, status, message = look_at_snapshot(d, file, index, term)
      local before <const> = found[#found]
      found[#found + 1] = snapshot
      gone = gone or status == "not_found"
      if not snapshot and status ~= "not_found" then problems[#problems + 1] = message end
      if snapshot and not snapshot.valid then
        problems[#problems + 1] = ("%s: %s; %s"):format(file, snapshot.reason, ADVICE)
      end
      if snapshot and before and before.index == index then
        problems[#problems + 1] = ("%s: there is another snapshot of the same index; %s"):format(file, ADVICE)
      end
    end
  end
  return found, problems, gone
end

-- A running node removes what it has a newer one for.
local function look_at_snapshots_calmly(d)
  for try = 1, TRIES do
    local found, problems, gone = look_at_snapshots(d)
    if not gone or try == TRIES then return found, problems end
  end
end

-- The log may lack what its newest snapshot covers.
local function check_relied_on(log, found)
  local newest <const> = found[#found] or { index = 0, term = 0 }
  local index <const>, term <const> = log.snapshot_index or 0, log.snapshot_term or 0
  if newest.index > index or (newest.index == index and newest.term == term) then return nil end
  return ("the snapshot of index %d, term %d: the log relies on it, but it is not there; %s")
    :format(index, term, ADVICE)
end

-- ---- the whole ----

local function others_of(d)
  local others = list()
  for _, name in ipairs(d:list() or {}) do
    if not OURS[name] then others[#others + 1] = name end
  end
  return others
end

local function is_empty(report)
  return #report.log.segments == 0 and #report.snapshots == 0 and #report.others == 0
end

--- Looks at a data directory.
-- @tparam string path
-- @tparam[opt] table options `records`: keep all of them; `show`: what is kept of one
-- @treturn ?table the report, as --json prints it; nil when there is no such directory
-- @return the list of records, or why
function M.look(path, options)
  options = options or {}
  local d <close>, _, why = disk.open(path)
  if not d then return nil, why end
  local problems = list()
  local report = { data = path, in_use_by = holder(path, d), problems = problems, others = others_of(d) }
  local format, wrong = read_format(d)
  local how = { peers = format and format.peers, keep = options.records and math.maxinteger or RECORDS_SHOWN }
  how.show = options.show or function(record) return record end
  local log, records, message = scan_calmly(d, report.in_use_by, how)
  report.log = log or { verdict = "unreadable", segments = list(), records_left_out = 0 }
  if not log or log.error then problems[1] = log and log.error or message end
  local found, more = look_at_snapshots_calmly(d)
  report.snapshots = found
  table.move(more, 1, #more, #problems + 1, problems)
  if log and not log.error then problems[#problems + 1] = check_relied_on(log, found) end
  report.format, report.empty = format, not format and is_empty(report)
  if not format and not report.empty then table.insert(problems, 1, wrong) end
  report.ok = #problems == 0
  return report, log and records or {}
end

-- Records are encoded one by one as they come: as tables they would need far more memory.
local function json_text(report, records)
  return ('%s,"records":[%s]}\n'):format(json.encode(report):sub(1, -2), table.concat(records, ","))
end

--- What the command does. Ends the process unless all is well.
-- @tparam table given `inspect`: the directory; `json`, `records`: switches
function M.run(given)
  local show <const> = given.json and function(record) return json.encode(record) end or inspect_text.record
  local report <const>, records = M.look(given.inspect, { records = given.records, show = show })
  if not report then
    io.stderr:write("kvserver: ", records, "\n")
    os.exit(EXIT_REFUSED, true)
  end
  io.stdout:write(given.json and json_text(report, records) or inspect_text.report(report, records))
  if not report.ok then os.exit(EXIT_REFUSED, true) end
end

return M
