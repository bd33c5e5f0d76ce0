/* What a disk must take back when its power goes: what happened to bytes and names and is not covered by a sync yet.
 *
 * Before a file is written or cut, what is lost by that is noted with the file; before a name goes, the file gets a
 * second one (lost-N.tmp, in the disk's root), under which it waits until the change is durable. undo_all takes back
 * what is noted, the last change first. A note is dropped by the sync that covers it: of what was there when the sync
 * began, which is what a mark says. Memory is bounded by what is not synced.
 *
 * A file is known by its name; whoever has it open says so, since it may lose its name. Not thread-safe: the user locks
 * (fault_disk.c), one call at a time, together with the change that it is about. Works on an io/disk.h disk. */
#ifndef KV_SERVER_FAULT_UNDO_H
#define KV_SERVER_FAULT_UNDO_H

#include "base/prng.h"
#include "raft/storage/disk.h"

struct undo;
struct undo_file; /* a file that is open or has something to take back */

/* Keeps `disk`. Returns owned. */
struct undo *undo_create(struct disk *disk);
/* Takes; what was not taken back stays as it is. Every file must have been closed. */
void undo_destroy(struct undo *undo);
/* Removes what a process that was killed has left of files that wait. */
enum status undo_clean(struct undo *undo, struct error *err);
/* Whether this is the name of a file that waits. */
bool undo_is_hidden(const char *name);

/* What is noted from here on is not covered by a sync that has begun before. */
uint64_t undo_mark(const struct undo *undo);
/* Changes that are noted. */
size_t undo_count(const struct undo *undo);

/* ---- bytes; errors: what the disk says, then nothing is noted ---- */

struct undo_file *undo_open(struct undo *undo, const char *name);
void undo_close(struct undo *undo, struct undo_file *file);
/* Before `len` bytes are written at `offset`; `open`: the file on the disk. */
enum status undo_write(struct undo *undo, struct undo_file *file, struct disk_file *open, uint64_t offset, size_t len,
                       struct error *err);
/* Before its size becomes `size`. */
enum status undo_truncate(struct undo *undo, struct undo_file *file, struct disk_file *open, uint64_t size,
                          struct error *err);
void undo_synced(struct undo *undo, struct undo_file *file, uint64_t mark);

/* ---- names: these make the change, too, and note it when it was made ---- */

void undo_created(struct undo *undo, const char *name); /* a file, a moment ago */
void undo_made(struct undo *undo, const char *name);    /* the same of a directory that was not there */
enum status undo_rename(struct undo *undo, const char *from, const char *to, struct error *err);
enum status undo_remove(struct undo *undo, const char *name, struct error *err);
void undo_directory_synced(struct undo *undo, const char *directory, uint64_t mark);

/* Takes everything back; with `torn`, but for a part of the last write to a file that stays: its bytes up to one that
 * is drawn. Nothing is noted afterwards. The first error ends it. */
enum status undo_all(struct undo *undo, bool torn, struct prng *prng, struct error *err);

#endif
