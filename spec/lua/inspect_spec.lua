local child = require "spec.support.child"
local disk = require "kvserver.disk"
local inspector = require "kvserver.inspect"
local json = require "kvserver.json"
local kvsm = require "kvserver.kvsm"
local snapshots = require "kvserver.snapshots"
local uv = require "luv"
local wal = require "kvserver.wal"

local FORMAT <const> = '{"format":1,"id":"n2","peers":["n1","n2","n3"],"fixed_leader":""}\n'
local SEGMENT_BYTES <const> = 4096

-- ---- a directory as nodes leave them ----

local directory, d

local function put(name, bytes)
  local file <close> = assert(d:open(name, "create"))
  assert(file:write(0, bytes))
end

local function overwrite(name, offset, bytes)
  local file <close> = assert(d:open(name, "write"))
  assert(file:write(offset, bytes))
end

local function commands(term, first, count, bytes)
  local entries = {}
  for place = 1, count do
    entries[place] = { index = first + place - 1, term = term, command = ("x"):rep(bytes) }
  end
  return entries
end

local function write_log(jobs)
  local w <close> = assert(wal.open(d, { segment_bytes = SEGMENT_BYTES }))
  for number, job in ipairs(jobs) do
    job(w)
    assert(w:sync(number))
    while w:step() or w:step_spare() do end
  end
  assert.is_nil(w:failure())
end

-- Two segments: a hard state and entries 1 to 3, then 4 and 5.
local function small_log()
  write_log {
    function(w)
      assert(w:save { term = 2, voted_for = 3, proven = true })
      assert(w:append(commands(1, 1, 2, 600)))
      assert(w:append(commands(2, 3, 1, 600)))
    end,
    function(w) assert(w:append(commands(2, 4, 2, 1000))) end,
  }
end

local function snapshot_of(index, keys)
  local sm <close> = kvsm.new()
  for place = 1, keys do
    sm:apply(place, { op = "put", client_id = "c", seq = place, key = ("k%03d"):format(place), value = "v" })
  end
  sm:apply_noop(index)
  return sm:snapshot()
end

local function save_snapshot(index, term, keys)
  local store <close> = assert(snapshots.open(d))
  assert(store:save(index, term, snapshot_of(index, keys)))
end

before_each(function()
  directory = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/kvserver-spec-XXXXXX"))
  d = assert(disk.open(directory))
  put("FORMAT", FORMAT)
end)
after_each(function()
  d:close()
  os.execute(("rm -rf '%s'"):format(directory))
end)

-- ---- looking ----

local function inspect(...)
  return child.run { "--inspect", directory, ... }
end

local function report(code)
  local result = inspect "--json"
  assert.equal(code, result.code, result.stderr)
  assert.equal("", result.stderr)
  local decoded = assert(json.decode(result.stdout))
  assert.equal(code == 0, decoded.ok)
  return decoded
end

-- The report without a process of its own, in which everything is checked that does not need one.
local function look()
  return (assert(inspector.look(directory)))
end

-- The only problem that is reported.
local function problem()
  local problems = look().problems
  assert.equal(1, #problems, table.concat(problems, "\n"))
  return problems[1]
end

describe("kvserver --inspect", function()
  it("shows the log of a directory: segments, records, the state at the end", function()
    small_log()
    local found = report(0)
    assert.same({ "n2", 3 }, { found.format.id, #found.format.peers })
    local log = found.log
    assert.same({ "whole", 1, 5, 2, 0 },
      { log.verdict, log.first_index, log.last_index, log.last_term, log.snapshot_index })
    assert.same({ term = 2, voted_for = "n3", proven = true }, log.hard_state)
    assert.equal(2, #log.segments)
    local first, second = log.segments[1], log.segments[2]
    assert.same({ "wal/0000000000000001.wal", 1, 1, 0, 1, 3, 3 }, { first.file, first.sequence, first.first_index,
      first.previous_term, first.batches, first.records, first.entries })
    assert.same({ "wal/0000000000000002.wal", 4, 2, 1, 2 },
      { second.file, second.first_index, second.previous_term, second.batches, second.entries })
    assert.same({ term = 2, voted_for = "n3", proven = true }, second.hard_state)
    assert.matches("^" .. ("%x"):rep(16) .. "$", first.life)
    assert.not_equal(first.life, second.life)
    local kinds = {}
    for place, record in ipairs(found.records) do kinds[place] = record.type end
    assert.same({ "hard_state", "entries", "entries", "entries" }, kinds)
    local entries = found.records[4]
    assert.same({ 2, 4, 5, 2, 2, 2 }, { entries.sequence, entries.first_index, entries.last_index, entries.first_term,
      entries.last_term, entries.count })
    assert.is_true(entries.bytes > 2000)
    assert.same({ 0, 0 }, { #found.problems, #found.snapshots })
  end)

  it("shows them as text", function()
    small_log()
    save_snapshot(3, 2, 2)
    local result = inspect()
    assert.same({ 0, "" }, { result.code, result.stderr })
    for _, text in ipairs {
      "format 1, node n2 of n1, n2, n3\n", "log: whole\n", "entries 1 to 5, last term 2; term 2, voted for n3;",
      "wal/0000000000000001.wal: 4096 bytes, life ", "1 batch, 3 records, 3 entries\n",
      "hard_state term 2, voted for n3\n", "entries    3, term 2, ", "entries    4 to 5, term 2, ", "snapshots: 1\n",
      "index 3, term 2, 2 keys, 1 client, digest ", "verdict: a node can start from this\n",
    } do
      assert.matches(text, result.stdout, 1, true)
    end
  end)

  it("shows every kind of record", function()
    write_log {
      function(w)
        assert(w:append(commands(1, 1, 3, 10)))
        assert(w:delete_from(3))
        assert(w:record_snapshot(2, 1))
        assert(w:reset(40, 5))
      end,
    }
    local w = assert(wal.open(d, { segment_bytes = SEGMENT_BYTES }))
    assert(w:seal())
    save_snapshot(40, 5, 1)
    local found = report(0)
    local log, kinds = found.log, {}
    for place, record in ipairs(found.records) do kinds[place] = record.type end
    assert.equal("sealed", log.verdict)
    assert.same({ 41, 40, 40, 5 }, { log.first_index, log.last_index, log.snapshot_index, log.snapshot_term })
    assert.same({ "seal", "reset" }, { kinds[#kinds], kinds[#kinds - 1] })
    local text = inspect().stdout
    for _, line in ipairs {
      "the log is cut before 3\n", "snapshot   index 2, term 1\n", "reset      index 40, term 5\n", "seal\n",
      "no entries behind 40;",
    } do
      assert.matches(line, text, 1, true)
    end
  end)

  it("shows the last records of a long log, and all of them when told to", function()
    write_log {
      function(w)
        for number = 1, 75 do
          assert(w:append(commands(1, number, 1, 10)))
          assert(w:save { term = number })
        end
      end,
    }
    local found = report(0)
    assert.same({ 100, 50, 150 }, { #found.records, found.log.records_left_out, found.log.records })
    assert.equal(75, found.records[100].hard_state.term)
    assert.equal(26, found.records[1].first_index)
    assert.matches("without the first 50; --records shows all", inspect().stdout, 1, true)
    local all = json.decode(inspect("--json", "--records").stdout)
    assert.same({ 150, 0 }, { #all.records, all.log.records_left_out })
    assert.equal(1, all.records[1].first_index)
  end)

  it("shows snapshots with what is in them", function()
    save_snapshot(20, 2, 4)
    save_snapshot(30, 3, 7)
    local found = look().snapshots
    assert.same({ "snap/0000000000000014-0000000000000002.snap", 20, 2, 4, 1, true },
      { found[1].file, found[1].index, found[1].term, found[1].keys, found[1].clients, found[1].valid })
    assert.same({ 30, 3, 7 }, { found[2].index, found[2].term, found[2].keys })
    assert.matches(('"digest":"%s"}'):format(found[2].digest), snapshot_of(30, 7), 1, true)
    assert.not_equal(found[1].digest, found[2].digest)
  end)

  it("writes nothing, takes no lock, and leaves what is half made", function()
    small_log()
    save_snapshot(3, 2, 2)
    put("snap/writing-7.tmp", "x")
    put("wal/filling-9.tmp", "x")
    local function all()
      local seen = {}
      for _, folder in ipairs { ".", "wal", "snap" } do
        for _, name in ipairs(d:list(folder)) do
          local about = uv.fs_stat(("%s/%s/%s"):format(directory, folder, name))
          seen[folder .. "/" .. name] = ("%d %d %d"):format(about.size, about.mtime.sec, about.mtime.nsec)
        end
      end
      return seen
    end
    local before = all()
    assert.equal(0, inspect().code)
    assert.same(before, all())
    assert.is_nil(before["./LOCK"])
  end)

  it("says of a running node's directory whose it is", function()
    small_log()
    assert.is_nil(look().in_use_by)
    assert(d:lock())
    assert.equal(uv.os_getpid(), report(0).in_use_by)
    assert.matches(("in use by process %d"):format(uv.os_getpid()), inspect().stdout, 1, true)
    d:close()
    d = assert(disk.open(directory))
    assert.is_nil(look().in_use_by)
  end)
end)

describe("kvserver --inspect of a damaged directory", function()
  it("says what a start would cut of a torn batch, and that this is well", function()
    small_log()
    local whole, records = inspector.look(directory)
    local last = records[#records]
    overwrite(whole.log.segments[2].file, last.offset + 100, "?")
    local log = report(0).log
    assert.same({ "torn", "wal/0000000000000002.wal", last.offset - 24 }, { log.verdict, log.file, log.offset })
    assert.is_true(log.cut_bytes > 2000)
    assert.equal(3, log.last_index)
    assert.matches(("log: torn: wal/0000000000000002.wal at offset %d; a start cuts"):format(last.offset - 24),
      inspect().stdout, 1, true)
  end)

  it("names file, offset, reason and advice, shows what is before the damage, and ends with 4", function()
    small_log()
    overwrite("wal/0000000000000001.wal", 700, "?")
    local found = report(4)
    assert.same({ "damaged", "wal/0000000000000001.wal", 512 }, { found.log.verdict, found.log.file, found.log.offset })
    assert.equal("a batch is damaged, and later ones exist", found.log.reason)
    assert.matches("^wal/0000000000000001%.wal at offset 512: a batch is damaged, .*: restore the data directory",
      found.problems[1])
    assert.equal(1, #found.log.segments)
    local result = inspect()
    assert.equal(4, result.code)
    assert.matches("problem: wal/0000000000000001.wal at offset 512: ", result.stdout, 1, true)
    assert.matches("verdict: refused\n$", result.stdout)
  end)

  it("refuses a missing segment, and files of somebody else", function()
    small_log()
    put("wal/notes.txt", "x")
    assert.matches("^wal/notes.txt at offset 0: a file of somebody else", problem())
    d:remove("wal/notes.txt")
    assert(d:make_directory("snap"))
    put("snap/notes.txt", "x")
    assert.equal("snap/notes.txt: a file of somebody else in the snapshots' directory; move it elsewhere", problem())
    d:remove("snap/notes.txt")
    d:remove("wal/0000000000000001.wal")
    assert.matches("^wal/0000000000000002.wal at offset 0: the log starts behind what its snapshot covers", problem())
  end)

  it("refuses a snapshot whose content is damaged, cut, or of another index", function()
    local name <const> = "snap/000000000000001e-0000000000000003.snap"
    local text <const> = snapshot_of(30, 7)
    assert(d:make_directory("snap"))
    for _, case in ipairs {
      { (text:gsub('"k004","value":"v"', '"k004","value":"w"', 1)), "line 10: digest: not that of the lines above" },
      { text:sub(1, -2), "line %d+: ends before the trailer is complete" },
      { text:sub(1, 100), "line %d+: ends before the trailer is complete" },
      { "", "line 1: ends before the trailer is complete" },
      { snapshot_of(29, 7), "its content is of index 29" },
    } do
      put(name, case[1])
      assert.matches(("^snap/000000000000001e%%-0000000000000003%%.snap: %s; move the data"):format(case[2]), problem())
      local snapshot = look().snapshots[1]
      assert.is_false(snapshot.valid)
      d:remove(name)
    end
  end)

  it("refuses two snapshots of one index", function()
    assert(d:make_directory("snap"))
    for term = 2, 3 do put(("snap/%016x-%016x.snap"):format(9, term), snapshot_of(9, 1)) end
    assert.matches("^snap/0000000000000009%-0000000000000003.snap: there is another snapshot of the same", problem())
  end)

  it("refuses a log whose snapshot is missing", function()
    small_log()
    save_snapshot(3, 2, 2)
    write_log { function(w) assert(w:record_snapshot(4, 2)) end }
    assert.matches("^the snapshot of index 4, term 2: the log relies on it, but it is not there", problem())
    save_snapshot(4, 2, 2)
    assert.is_true(look().ok)
  end)

  it("refuses a FORMAT that is missing, damaged or newer", function()
    small_log()
    d:remove("FORMAT")
    assert.equal("FORMAT: missing", report(4).problems[1])
    for _, case in ipairs {
      { "{", "^FORMAT: line 1" }, { "[]", "^FORMAT: " }, { '{"format":1}', "^FORMAT: it names no format" },
      { '{"format":1,"id":"n1","peers":[]}', "^FORMAT: it names no format" },
      { '{"format":1,"id":"n1","peers":[7]}', "^FORMAT: it names no format" },
      { '{"format":2,"id":"n1","peers":["n1"]}', "^FORMAT: the directory has format 2, this version knows up to 1" },
    } do
      put("FORMAT", case[1])
      assert.matches(case[2], problem())
      d:remove("FORMAT")
    end
  end)

  it("ends with 4 where there is no directory, or not a data directory", function()
    for _, path in ipairs { directory .. "/nothing", directory .. "/FORMAT" } do
      local result = child.run { "--inspect", path, "--json" }
      assert.same({ 4, "" }, { result.code, result.stdout })
      assert.matches("^kvserver: open .*: %a", result.stderr)
    end
    d:remove("FORMAT")
    put("holiday.jpg", "x")
    assert.equal("FORMAT: missing", problem())
    d:remove("holiday.jpg")
    assert.is_true(look().empty)
    assert.matches(": empty: no node has started here\n", inspect().stdout, 1, true)
  end)
end)

describe("--json and --records", function()
  it("are usage errors without --inspect", function()
    for _, flag in ipairs { "--json", "--records" } do
      local result = child.run { flag }
      assert.equal(2, result.code)
      assert.matches(flag .. ": expected together with --inspect", result.stderr, 1, true)
    end
  end)
end)
