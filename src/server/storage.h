/* What a member writes to, as its configuration says: a data directory (server/durable.h), or memory, whose syncs are
 * done as soon as they are asked for. */
#ifndef KV_SERVER_STORAGE_H
#define KV_SERVER_STORAGE_H

#include "server/durable.h"

struct storage;

struct storage *storage_create(const struct config *config); /* returns owned */
/* As in server/durable.h; with memory, they do nothing. */
enum status storage_open(struct storage *storage, const struct config *config, struct kvsm *sm, struct error *err);
void storage_stop_opening(struct storage *storage);
uint64_t storage_opening_bytes(const struct storage *storage);
void storage_start(struct storage *storage, struct io_loop *loop);
struct raft_storage *storage_base(struct storage *storage);
bool storage_complete(struct storage *storage, uint64_t *number, uint64_t *last_index);
/* As durable_fault_disk; with memory: NULL. */
struct fault_disk *storage_fault_disk(struct storage *storage);
/* Of its log; with memory: NULL. */
const struct wal_figures *storage_figures(const struct storage *storage);
const char *storage_failure(const struct storage *storage);
void storage_close(struct storage *storage, bool clean); /* takes */

#endif
