/* Snapshots in memory (seed: MemSnapshotStore). A published one is as durable as this process: a crash of the storage
 * that it belongs to leaves it. A mutex guards it. */
#ifndef KV_RAFT_STORAGE_MEMORY_SNAPSHOTS_H
#define KV_RAFT_STORAGE_MEMORY_SNAPSHOTS_H

#include "raft/storage/storage.h"

struct mem_snapshots;

struct mem_snapshots *mem_snapshots_create(void); /* returns owned */
/* Every writer and reader must be gone. */
void mem_snapshots_destroy(struct mem_snapshots *snapshots);
struct snapshot_store *mem_snapshots_base(struct mem_snapshots *snapshots);
void mem_snapshots_wipe(struct mem_snapshots *snapshots); /* as created; readers go on */

#endif
