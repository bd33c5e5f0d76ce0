/* Snapshots as files on a disk: the SnapshotStore of storage.h that survives a power cut.
 *
 * Files, in the directory snap/:
 *   INDEX-TERM.snap  a whole, durable snapshot of all entries up to INDEX, whose term is TERM; 16 lower-case hex digits
 *                    each, from 1 to 2^63-1. The content is what was written, byte for byte, and nothing else: of a
 *                    node, the lines of its state machine (kvsm/kvsm_snapshot.c), whose trailer has counts and digest
 *   writing-N.tmp    one that is being written, or was when the process ended; opening removes it
 *   other names      refused: somebody else's directory
 * The newest is the one of the highest INDEX. An index has one term: two files of one index are damage. An entry that a
 * snapshot covers is committed, so any whole snapshot is true, however it came to be there, and a newer one does not
 * need an older one.
 *
 * A snapshot is made like this: create writing-N.tmp, write, with a fdatasync every SNAPSHOT_SYNC_BYTES; then publish:
 * fdatasync, rename to INDEX-TERM.snap, fsync the directory. (The fdatasyncs on the way are for speed: a log on the
 * same disk is not to wait until a whole snapshot is flushed. All else is for safety.)
 *
 * Crash points, and what opening does:
 *   - before the rename: there is a writing-N.tmp, with any part of its bytes. It is removed. Nobody was told of it.
 *   - after the rename, before the directory is durable: a power cut leaves either name, a kill leaves the new one. The
 *     bytes under it are whole, because they were durable before. It counts like any other.
 *   - after that: it is there for good. Only now its owner may build on it: record it in the log, drop a prefix.
 *   - while old ones are removed: some of them are still there, or again. They are older than the newest and do no
 * harm; the next removal finds them.
 *   - a name that opening finds may be in the system's memory only, after a kill in the middle of publish. So opening
 *     fsyncs the directory before anybody builds on what it found; and its parent, which a kill may have kept from it.
 *
 * What fails: a write, a fdatasync or a full disk ends this one snapshot; its file is removed, never renamed, and the
 * store goes on with the next. If the directory's fsync fails, the file is whole, but nobody knows for how long; so it
 * is removed again, unless one of the same mark was there before, durably: either is as good.
 *
 * Opening only reads names. Damaged bytes show when the snapshot is restored; there is no falling back on an older one,
 * because the log in between may be gone. */
#ifndef KV_RAFT_STORAGE_SNAPSHOT_FILES_H
#define KV_RAFT_STORAGE_SNAPSHOT_FILES_H

#include "raft/storage/disk.h"
#include "raft/storage/storage.h"

#define SNAPSHOT_DIRECTORY "snap"

enum {
  SNAPSHOT_SYNC_BYTES = 4 << 20 /* at most so much of a snapshot waits for one fdatasync, and one call of write */
};

struct snapshot_files;

/* Makes snap/, durably, if it is not there, and removes what an earlier process left unfinished. Keeps `disk`. Returns
 * owned in *out. STATUS_CORRUPT for a foreign file or two snapshots of one index (`err` names file and advice); else
 * what the disk says. */
enum status snapshot_files_open(struct disk *disk, struct snapshot_files **out, struct error *err);
/* Every writer and reader must be gone. No word to the disk. */
void snapshot_files_close(struct snapshot_files *files);
struct snapshot_store *snapshot_files_base(struct snapshot_files *files);

/* ---- names, for who looks at a directory without changing it ---- */

enum snapshot_file_kind { SNAPSHOT_FILE_WHOLE, SNAPSHOT_FILE_WRITING, SNAPSHOT_FILE_FOREIGN };

struct snapshot_name {
  char text[48]; /* relative to the disk's root */
};

struct snapshot_name snapshot_name_of(struct snapshot_mark mark);
/* `name` as in the directory, without its path. Sets *mark for a whole one. */
enum snapshot_file_kind snapshot_name_parse(const char *name, struct snapshot_mark *mark);

#endif
