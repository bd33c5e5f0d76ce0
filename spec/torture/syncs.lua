--- Takes away every sync in the code, one at a time, and shows that acknowledged writes are lost without it: on a disk
-- that loses what nobody synced (lossy.lua), in rounds of load and kills (rounds.lua).
--
--     kvserver --script spec/torture/syncs.lua --build DIR [--only NAME] [--seeds N]
--
-- Prints a table; ends with 1 when one could go unnoticed, or when the sources have a call that is not in this list.
local process = require "kvserver.process"
local task = require "kvserver.task"
local trees = require "spec.mutants.tree"

local STORAGE <const> = "src/raft/storage/"
local RUN_TIMEOUT_MS <const> = 120000
-- Plays rounds with the kvserver that runs it; what is lost, is an error.
local PLAY <const> = [[
  local size, rounds, seed = ...
  local ok, why = pcall(require("spec.torture.rounds").run, {
    size = math.tointeger(size), rounds = math.tointeger(rounds), seed = math.tointeger(seed), lossy = true,
  })
  if not ok then print(why) end
  os.exit(ok and 0 or 1, true)
]]

-- `first`: what happens only while a directory is new; then many new ones are made, for a round each.
local syncs <const> = {
  { name = "a batch of the log", edit = { STORAGE .. "wal_job.c",
    "  return status == STATUS_OK ? disk->ops->sync(disk, job->file, &job->err) : status;", "  return status;" } },
  { name = "the head of a segment", edit = { STORAGE .. "wal_files.c",
    "  return status == STATUS_OK ? disk->ops->sync(disk, file, err) : status;", "  return status;" } },
  { name = "the name of a segment", edit = { STORAGE .. "wal_files.c",
    "  if (status == STATUS_OK) status = disk->ops->sync_directory(disk, WAL_DIRECTORY, err);", "" } },
  { name = "a segment's end", edit = { STORAGE .. "wal_job.c",
    "  if (job->status == STATUS_OK) job->status = "
      .. "job->disk->ops->sync_directory(job->disk, WAL_DIRECTORY, &job->err);", "" } },
  { name = "the log's directory", first = true, edit = { STORAGE .. "wal_open.c",
    '  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;', "  return status;" } },
  { name = "a snapshot's content", edit = { STORAGE .. "snapshot_files.c",
    "  return disk->ops->sync(disk, writer->file, err);", "  (void)disk;\n  (void)err;\n  return STATUS_OK;" } },
  { name = "a snapshot's name", edit = { STORAGE .. "snapshot_files.c",
    "  status = disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err);", "" } },
  { name = "names found at a start", edit = { STORAGE .. "snapshot_files.c",
    "  return status == STATUS_OK ? disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err) : status;",
    "  return status;" } },
  { name = "the snapshots' directory", first = true, edit = { STORAGE .. "snapshot_files.c",
    '  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;', "  return status;" } },
  { name = "FORMAT's content", first = true, edit = { "src/server/datadir.c",
    "  if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);", "" } },
  { name = "the data directory", first = true, edit = { "src/io/disk.c",
    '  enum status status = made ? sync_directory_at(fd, "..", err) : STATUS_OK;',
    "  enum status status = STATUS_OK;\n  (void)made;\n  (void)sync_directory_at;" } },
}
-- For speed only (wal_format.h): what a spare holds does not matter before it is a segment, whose head is synced.
local for_speed <const> = {
  STORAGE .. "wal_files.c", "    if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);",
}

local function usage(why)
  io.stderr:write(why, "\nusage: syncs.lua --build DIR [--only NAME] [--seeds N]\n")
  os.exit(2, true)
end

local function read_arguments(arguments)
  local options = { seeds = 40 }
  for i = 1, #arguments, 2 do
    local name <const>, value <const> = arguments[i]:match("^%-%-(%a+)$"), arguments[i + 1]
    if name == "seeds" then
      options.seeds = math.tointeger(value) or usage("--seeds: expected a number")
    elseif name == "build" or name == "only" then
      options[name] = value or usage(arguments[i] .. ": expected a value")
    else
      usage(arguments[i] .. ": unknown option")
    end
  end
  if not options.build then usage("--build is missing") end
  return options
end

-- Calls in the sources, but for the functions that make them, to those that the list has.
local function count_calls()
  local line <const> = "cat src/raft/storage/*.c src/server/*.c | grep -cE 'ops->sync(_directory)?[(]'"
  return math.tointeger((process.run { args = { "/bin/sh", "-c", line } }).stdout)
end

local function play(kvserver, sync, seed)
  local size <const>, rounds <const> = sync.first and 1 or seed % 2 * 2 + 1, sync.first and 1 or 10
  return process.run {
    args = { kvserver, "-", tostring(size), tostring(rounds), tostring(seed) }, stdin = PLAY,
    timeout_ms = RUN_TIMEOUT_MS,
  }
end

-- The seed that shows it, and what was seen; nil: none does.
local function find(kvserver, sync, seeds)
  for seed = 1, seeds do
    local done = play(kvserver, sync, seed)
    if not done then return seed, "it hangs" end
    if done.code ~= 0 then return seed, (done.stdout .. done.stderr):match("[^\n]*") end
  end
end

local function try(tree, sync, seeds)
  local started <const> = task.now_ms()
  tree:plant { sync.edit }
  tree:make()
  local seed, why = find(tree.kvserver, sync, seeds)
  tree:take_back()
  print(("%-26s %-10s %4.0f s  %s"):format(sync.name, seed and "seed " .. seed or "UNNOTICED",
    (task.now_ms() - started) / 1000, why or ""))
  return seed ~= nil
end

local function main(...)
  io.stdout:setvbuf("line")
  local options <const> = read_arguments { ... }
  local tree <const> = trees.copy(options.build, "syncs")
  local unnoticed, in_storage = 0, 1 -- the one that is for speed
  assert(io.open(for_speed[1]):read("a"):find(for_speed[2], 1, true), "the list is out of date")
  for _, sync in ipairs(syncs) do
    in_storage = in_storage + (sync.edit[1] == "src/io/disk.c" and 0 or 1)
    local chosen <const> = not options.only or sync.name:find(options.only, 1, true)
    if chosen and not try(tree, sync, options.seeds) then unnoticed = unnoticed + 1 end
  end
  if in_storage ~= count_calls() then
    print(("the sources have %d syncs, this list %d"):format(count_calls(), in_storage))
    unnoticed = unnoticed + 1
  end
  os.exit(unnoticed == 0 and 0 or 1, true)
end

main(...)
