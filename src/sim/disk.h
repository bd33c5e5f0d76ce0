/* The disk of one simulated node: memory stores behind a shim that keeps the ledger, tells the checks what changes, and
 * asks the world when a sync is to be done. One thread. */
#ifndef KV_SIM_DISK_H
#define KV_SIM_DISK_H

#include "raft/storage/memory.h"
#include "sim/ledger.h"

struct sim_disk;
struct sim_disk_listener {
  void *context;
  void (*appended)(void *context, uint64_t index);
  void (*cutting)(void *context, uint64_t index); /* entries from `index` on are about to go */
  void (*sync_asked)(void *context);              /* call sim_disk_complete once for each, later */
};

struct sim_disk {
  struct raft_storage base; /* what the node sees */
  struct stable_store stable;
  struct log_store log;
  struct mem_storage *memory; /* owned */
  struct raft_storage *inner;
  struct sim_ledger ledger;
  bool failed; /* whether the node knows or not */
  struct sim_disk_listener listener;
};

void sim_disk_init(struct sim_disk *disk, const struct sim_disk_listener *listener);
void sim_disk_deinit(struct sim_disk *disk);
/* The oldest sync is done. False when there is none any more, or the disk failed. */
bool sim_disk_complete(struct sim_disk *disk, uint64_t *number, uint64_t *last_index);
/* What no completed sync covers is lost; a failed disk works again. */
void sim_disk_crash(struct sim_disk *disk);
void sim_disk_wipe(struct sim_disk *disk);
/* From now on; or from the next sync on, which fails. */
void sim_disk_fail(struct sim_disk *disk, bool at_sync);
/* True when the store holds exactly what the ledger says must have survived. */
bool sim_disk_agrees(struct sim_disk *disk);

#endif
