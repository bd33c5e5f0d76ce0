--- Every place where a file or a directory is made durable, taken away, one at a time: processes that are killed on a
-- disk that loses what was not synced (scenarios/torture.lua) must show each. As in list.lua, otherwise.
--
-- Not here: the fdatasyncs while a spare is filled, and those in the middle of a snapshot, which are for speed
-- (wal_format.h, snapshot_files.h).

local WAL <const> = "src/raft/storage/"

-- A sync that is not made is one that succeeds.
local function without(name, path, from, to)
  return {
    name = "no-" .. name, seen = "etcd#6368", bug = "not synced: " .. name, torture = true,
    edits = { { path, from, to } },
  }
end

return {
  without("sync-of-batch", WAL .. "wal_job.c",
    "  status = job->disk->ops->sync(job->disk, job->file, &job->err);\n", ""),
  without("sync-of-segment-start", WAL .. "wal_files.c",
    "  return status == STATUS_OK ? disk->ops->sync(disk, file, err) : status;", "  return status;"),
  without("sync-of-segment-name", WAL .. "wal_files.c",
    "  if (status == STATUS_OK) status = disk->ops->sync_directory(disk, WAL_DIRECTORY, err);\n", ""),
  without("sync-of-recycled-name", WAL .. "wal_job.c",
    "job->status = job->disk->ops->sync_directory(job->disk, WAL_DIRECTORY, &job->err);", "job->status = STATUS_OK;"),
  without("sync-of-wal-directory", WAL .. "wal_open.c",
    [[  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;]], "  return status;"),
  without("sync-of-names-found", WAL .. "wal_open.c",
    "  status = wal->disk->ops->sync_directory(wal->disk, WAL_DIRECTORY, err);\n", ""),
  without("sync-of-snapshot", WAL .. "snapshot_files.c",
    "  return disk->ops->sync(disk, writer->file, err);", "  (void)disk;\n  (void)err;\n  return STATUS_OK;"),
  without("sync-of-snapshot-name", WAL .. "snapshot_files.c",
    "  status = disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err);\n", ""),
  without("sync-of-snapshots-found", WAL .. "snapshot_files.c",
    "  return status == STATUS_OK ? disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err) : status;",
    "  return status;"),
  without("sync-of-format", "src/server/datadir.c",
    "  if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);\n", ""),
  without("sync-of-data-directory", "src/io/disk.c",
    [[made ? sync_directory_at(fd, "..", err) : STATUS_OK;]], "made ? STATUS_OK : STATUS_OK;"),
  without("fdatasync", "src/io/disk.c", "    result = fdatasync(file->fd);", "    result = file->fd < 0 ? -1 : 0;"),
  without("fsync", "src/io/disk.c", "    result = fsync(fd);", "    result = fd < 0 ? -1 : 0;"),
  -- A start of a node makes wal/ behind it, which covers it; the store alone has no such luck.
  {
    name = "no-sync-of-snapshot-directory", seen = "etcd#6368", bug = "not synced: that snap/ was made",
    spec = "spec/raft/storage/snapshot_files_spec.lua",
    expect = { "hold after a power cut at any call of the disk the old snapshot or the new one" },
    edits = { { WAL .. "snapshot_files.c",
      [[  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;]], "  return status;" } },
  },
}
