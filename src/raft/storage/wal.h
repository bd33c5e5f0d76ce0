/* The storage that survives a power cut: log and hard state over one ordered stream on a disk (wal_format.h), behind
 * the interface of storage.h.
 *
 * The happy path: the node's calls change what reads see, and add records to a batch in memory; `sync` numbers what is
 * there. When no job is under way, the oldest batch becomes one: the owner's `submit` gets it, runs wal_job_run on its
 * WAL thread (a simulator: when its time says), and then wal_job_done on the loop. wal_complete gives the numbers that
 * are durable by then. What gathers meanwhile is the next batch, so there is one job at a time at most, and one write
 * and one fdatasync for all that came during the one before.
 *
 * When a segment is full, the job goes on in a spare, a file of zeros that was made ahead of time. Spares are made, and
 * old segments turned into them, by spare jobs: `submit_spare`, wal_spare_job_run on a worker, wal_spare_job_done on
 * the loop; one at a time, too.
 *
 * What goes wrong: a job that fails is the end, whatever failed; the storage says STATUS_IO to everything, and no sync
 * completes any more (a failed fsync leaves nothing to try again with). A full disk shows in a spare job only: then
 * batches wait, and nothing is lost, until wal_make_room finds room. wal_room says how much can still come without
 * that; who admits no more never waits.
 *
 * Confined to the loop; a job touches nothing but its own bytes and files. */
#ifndef KV_RAFT_STORAGE_WAL_H
#define KV_RAFT_STORAGE_WAL_H

#include "metrics/histogram.h"
#include "raft/storage/disk.h"
#include "raft/storage/storage.h"

struct wal;
struct wal_job;
struct wal_spare_job;

enum {
  WAL_SEGMENT_BYTES_MIN = 4096,
  WAL_FIRST_BYTES_MAX = 1 << 22,   /* a start that finds no spare makes one of at most so much itself */
  WAL_BATCH_BYTES_MAX = 1 << 22,   /* what waits is cut into batches of about so much; a larger command still fits */
  WAL_COMMAND_BYTES_MAX = 1 << 29, /* of one entry; beyond: STATUS_TOO_LARGE */
  WAL_SPARES_MAX = 2,              /* beyond, old segments are removed */
  WAL_RESERVE_BYTES = 65536,       /* at most; hard states and no-ops always find room */
  WAL_SLOW_MS = 100                /* a batch that took so long is told to the log */
};

struct wal_options {
  uint64_t segment_bytes;           /* WAL_SEGMENT_BYTES_MIN .. WAL_SEGMENT_BYTES_MAX */
  uint64_t cache_bytes_max;         /* of durable entries in memory */
  uint64_t seed;                    /* of what makes segments tell their lives apart; better never the same twice */
  struct snapshot_store *snapshots; /* kept, for who sees the log through wal_base; may be NULL */
  uint64_t (*clock_us)(void);       /* monotonic, any thread, for figures only; NULL: no durations are measured */
};

/* What it has written, for whoever watches it; nothing depends on it. */
struct wal_figures {
  uint64_t batches;
  uint64_t bytes;    /* of them, padding included */
  uint64_t segments; /* started */
  /* Durations; empty without a clock. */
  struct histogram append; /* of a batch: its write and its fdatasync; for the first of a segment whatever that takes */
  struct histogram sync;   /* its fdatasync alone; not of the first of a segment */
};

struct wal_owner {
  void *context;
  /* Run it elsewhere, then call wal_job_done. Called from inside the node's sync, wal_job_done and others; must not run
   * the job there. */
  void (*submit)(void *context, struct wal_job *job);
  void (*submit_spare)(void *context, struct wal_spare_job *job);
};

/* Recovers what is there, on the calling thread, and starts a fresh segment. Keeps `disk` until the end. Returns owned.
 * STATUS_CORRUPT for damage (`err` names file, offset, reason and advice), STATUS_INVALID for options out of range,
 * STATUS_DISK_FULL, STATUS_IO. */
enum status wal_open(struct disk *disk, const struct wal_options *options, const struct wal_owner *owner,
                     struct wal **out, struct error *err);
/* A clean stop, with no job under way: writes what waits, and a seal, on the calling thread; then destroys. A spare job
 * that was submitted may have run or not, but must not run any more. An error only means that there is no seal, or that
 * what no sync has completed may be lost. */
enum status wal_close(struct wal *wal, struct error *err);
/* Ends without a word to the disk. No job may be running; one that was submitted must not run any more. */
void wal_destroy(struct wal *wal);

/* Log, hard state and snapshot mark are as the last batch on the disk says. Reads of entries that are not in memory
 * block for the disk; STATUS_IO or STATUS_CORRUPT then fails the storage. */
struct raft_storage *wal_base(struct wal *wal);

void wal_job_run(struct wal_job *job);
void wal_job_done(struct wal *wal, struct wal_job *job);
/* The oldest number that has become durable and was not given out yet, and the log's last index when it was asked for.
 * Ask after sync and after wal_job_done. */
bool wal_complete(struct wal *wal, uint64_t *number, uint64_t *last_index);

void wal_spare_job_run(struct wal_spare_job *job);
void wal_spare_job_done(struct wal *wal, struct wal_spare_job *job);
/* Makes a spare, if one is missing: call it after wal_open, and now and then while wal_disk_full. */
void wal_make_room(struct wal *wal);
/* The last try to make a spare found no room. */
bool wal_disk_full(const struct wal *wal);
/* Bytes of encoded entries (raft/storage/entry.h) that can be appended until the next sync and find room for certain,
 * with a reserve left over for hard states and no-ops. 0 when it failed. */
uint64_t wal_room(const struct wal *wal);
/* What wal_room comes to when a spare of the usual size is there and nothing waits. */
uint64_t wal_room_ahead(const struct wal *wal);
const struct wal_figures *wal_figures(const struct wal *wal); /* the log's; the loop's thread */
/* Why it failed; NULL when it did not. */
const char *wal_failure(const struct wal *wal);

#endif
