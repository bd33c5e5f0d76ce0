/* A disk with faults, over the system's files (io/disk.h): it is full, slow, or fails its syncs when told to, and its
 * power can go. Nothing of it exists unless the configuration says enable_faults.
 *
 * The power goes: what no sync covers is undone, bytes and names, the latest first (server/fault_undo.h); from then on
 * every call says STATUS_CLOSED. That is the strictest of what raft/storage/disk.h says a power cut may leave: all of
 * what was not synced is lost. With `torn_next`, a part of the last write survives, too.
 *
 * Meanwhile a removed or replaced file takes its room until its directory is synced. Any thread, as disk.h says; the
 * faults are set, and the power goes, from any thread, too. A call that changes something holds the lock, so one of
 * these is under way at a time; a sync holds it only before and after. */
#ifndef KV_SERVER_FAULT_DISK_H
#define KV_SERVER_FAULT_DISK_H

#include "raft/storage/disk.h"

struct fault_disk;

enum { FAULT_SLOW_MS_MAX = 60000 };

/* All zero: no faults. */
struct fault_disk_state {
  /* As a full file system: what makes a file, or makes one longer, is refused, and nothing is free; what was written
   * before can be overwritten. */
  bool full;
  uint32_t slow_ms; /* every sync takes so much longer, or until this is changed; up to FAULT_SLOW_MS_MAX */
  bool fail_sync;   /* every sync that ends meanwhile fails with STATUS_IO */
  bool torn_next;   /* when the power goes, a part of the last write that is not synced survives */
};

struct fault_disk_view {
  struct fault_disk_state state;
  bool lost;             /* the power is gone */
  uint64_t unsynced;     /* changes that no sync covers */
  uint64_t refused_full; /* calls, since it was opened, as the two below */
  uint64_t slow_syncs;
  uint64_t failed_syncs;
};

/* Keeps `inner`, an io/disk.h disk; removes from it what a process that was killed left behind. `seed`: of what is
 * torn. Returns owned in *out; errors as the disk's. */
enum status fault_disk_open(struct disk *inner, uint64_t seed, struct fault_disk **out, struct error *err);
/* Takes, once all its files are closed; what is not synced stays as it is. `inner` is the caller's to close. */
void fault_disk_close(struct fault_disk *disk);
struct disk *fault_disk_base(struct fault_disk *disk);

/* The whole state. */
void fault_disk_set(struct fault_disk *disk, const struct fault_disk_state *state);
/* No sync waits any longer, whatever the state says: whoever closes waits for them. */
void fault_disk_hurry(struct fault_disk *disk);
/* The power goes. STATUS_CLOSED: it has gone already; STATUS_IO: something could not be undone. */
enum status fault_disk_lose(struct fault_disk *disk, struct error *err);
void fault_disk_view(struct fault_disk *disk, struct fault_disk_view *out);

#endif
