/* The disk of one simulated node: a simdisk with the real write-ahead log and the real snapshot files on it, behind a
 * shim that keeps the ledger and tells the checks what changes. The files outlive the node; the log on them is opened
 * and closed with it.
 *
 * Jobs of the log run when the world says so: the listener hears of each one, and later calls sim_disk_run and
 * sim_disk_done, or closes the log. One thread. */
#ifndef KV_SIM_DISK_H
#define KV_SIM_DISK_H

#include "base/prng.h"
#include "raft/storage/snapshot_files.h"
#include "raft/storage/wal.h"
#include "sim/ledger.h"
#include "sim/simdisk.h"

enum sim_job { SIM_JOB_LOG, SIM_JOB_SPARE, SIM_JOBS };

/* Each is about to happen, but `appended`. */
struct sim_disk_listener {
  void *context;
  void (*appended)(void *context, uint64_t index);
  void (*cutting)(void *context, uint64_t index); /* entries from `index` on go */
  void (*truncating)(void *context, uint64_t index);
  void (*recording)(void *context, struct snapshot_mark mark);
  /* Returns links[0 .. mark.index], owned: what the snapshot stands for; NULL when it stands for nothing. */
  struct sim_link *(*resetting)(void *context, struct snapshot_mark mark);
  void (*submitted)(void *context, enum sim_job job);
};

struct sim_disk_options {
  uint64_t segment_bytes;
  uint64_t cache_bytes;
  uint64_t seed;
};

struct sim_disk {
  struct raft_storage base; /* what the node sees, while it is open */
  struct stable_store stable;
  struct log_store log;
  struct sim_disk_options options;
  struct sim_disk_listener listener;
  struct prng random;
  struct simdisk *files;            /* owned */
  struct snapshot_files *snapshots; /* owned; NULL: closed, as the log */
  struct wal *wal;                  /* owned */
  struct raft_storage *inner;       /* of an open one, like what follows */
  struct wal_job *log_job;          /* NULL: none under way */
  struct wal_spare_job *spare_job;
  bool ran[SIM_JOBS];
  struct sim_ledger ledger;
  bool faulty;  /* calls of it fail, or will */
  bool damaged; /* a bit of it flipped: a start may refuse it */
  bool crowded; /* room is limited */
};

void sim_disk_init(struct sim_disk *disk, const struct sim_disk_options *options,
                   const struct sim_disk_listener *listener);
void sim_disk_deinit(struct sim_disk *disk);

/* ---- starts and ends ---- */

/* What a start does with a closed disk; then compare what it holds with the ledger. On an error it is closed. */
enum status sim_disk_open(struct sim_disk *disk, struct error *err);
/* What the log holds; `links` is the memory of out->links. */
enum status sim_disk_found(struct sim_disk *disk, struct sim_found *out, struct buffer *links);
/* Ends without a word to the disk, as a kill does. What was planted (sim_disk_fail) is over. */
void sim_disk_close(struct sim_disk *disk);
/* Of a closed one: the power goes. */
void sim_disk_power_cut(struct sim_disk *disk);
/* Of a closed one: everything is lost. */
void sim_disk_wipe(struct sim_disk *disk);
/* Of a closed one: some bits of a file flip. */
void sim_disk_rot(struct sim_disk *disk);
/* Of a closed one: a bit of this file flips, at *offset. False when there is no such bit. */
bool sim_disk_flip(struct sim_disk *disk, const char *name, uint64_t *offset);

/* ---- jobs ---- */

bool sim_disk_busy(const struct sim_disk *disk, enum sim_job job);
void sim_disk_run(struct sim_disk *disk, enum sim_job job);
void sim_disk_done(struct sim_disk *disk, enum sim_job job);
/* What is durable by now. False when there is nothing new. */
bool sim_disk_complete(struct sim_disk *disk, uint64_t *number, uint64_t *last_index);

/* A work of the node is over, or a start has read what there is: the ledger hears of the newest snapshot. */
void sim_disk_note_snapshot(struct sim_disk *disk);

/* ---- faults ---- */

/* Until it is closed. */
void sim_disk_fail(struct sim_disk *disk, const struct simdisk_fault *fault);
/* From now on there is room for so many bytes more; SIMDISK_UNLIMITED: for as many as it takes. */
void sim_disk_leave_room(struct sim_disk *disk, uint64_t bytes);
bool sim_disk_is_full(const struct sim_disk *disk); /* as the log found when it last tried */

#endif
