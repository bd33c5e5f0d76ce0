/* Stores in memory (seed: MemStableStore, MemLogStore), with a mutex each, and with the truth about durability: what no
 * completed sync covers is lost by mem_storage_crash, exactly as a power cut would lose it, truncations and overwritten
 * entries included. */
#ifndef KV_RAFT_STORAGE_MEMORY_H
#define KV_RAFT_STORAGE_MEMORY_H

#include "raft/storage/storage.h"

struct mem_storage;

/* `on_sync` hears of each sync that is asked for (inside that call); whoever created the storage completes it later
 * with mem_storage_complete. Returns owned. */
struct mem_storage *mem_storage_create(void (*on_sync)(void *context, uint64_t number), void *context);
void mem_storage_destroy(struct mem_storage *storage);
struct raft_storage *mem_storage_base(struct mem_storage *storage);

/* The oldest outstanding sync has reached the disk: its number and the log's last index as of then. False when there is
 * none. */
bool mem_storage_complete(struct mem_storage *storage, uint64_t *number, uint64_t *last_index);
/* Power is gone: back to the last completed sync; outstanding syncs never complete. A failed storage works again: its
 * next user starts from what is durable. */
void mem_storage_crash(struct mem_storage *storage);
/* Everything is lost (a wiped disk): as created. */
void mem_storage_wipe(struct mem_storage *storage);
/* How much room the storage says that it has, and makes ahead, and whether that is all: for specs, nothing else depends
 * on it. */
void mem_storage_set_room(struct mem_storage *storage, uint64_t bytes, uint64_t ahead, bool full);
/* From now on every call says STATUS_IO and no sync completes. */
void mem_storage_fail(struct mem_storage *storage);
/* The same from the next sync on, which fails: the disk has taken the writes, but not kept them. */
void mem_storage_fail_sync(struct mem_storage *storage);

#endif
