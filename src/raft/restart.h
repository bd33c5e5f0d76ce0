/* What a start does with what recovery found, before there is a node: the newest snapshot becomes the state, and the
 * log is brought behind it. */
#ifndef KV_RAFT_RESTART_H
#define KV_RAFT_RESTART_H

#include "kvsm/kvsm.h"
#include "raft/storage/storage.h"

/* `sm` is empty, and becomes the state as of the newest snapshot; it stays empty when there is none. The storage knows
 * of that snapshot then: a crash may have come between its publishing and the storage's record of it, of an own one or
 * of a leader's, which the log need not match. What is written here is durable with the node's first sync. Any
 * thread that owns both.
 *
 * STATUS_CORRUPT when a snapshot is damaged, or the storage relies on one that is not there; `err` says which and what
 * to do. Else what the store says. */
enum status raft_restart(struct raft_storage *storage, struct kvsm *sm, struct error *err);

#endif
