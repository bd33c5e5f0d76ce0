/* A node's storage in a data directory, put together: directory, snapshot files, write-ahead log, and who does their
 * work: a thread of its own for the log, the shared pool for spare segments. */
#ifndef KV_SERVER_DURABLE_H
#define KV_SERVER_DURABLE_H

#include "io/loop.h"
#include "kvsm/kvsm.h"
#include "raft/storage/storage.h"
#include "raft/storage/wal.h"
#include "server/fault_disk.h"
#include "types/config.h"

struct durable;

struct durable *durable_create(void); /* returns owned */

/* Opens the directory that `config` names, recovers the log, and restores the newest snapshot into `sm`, which is
 * empty. Blocks, for as long as that takes; any thread, to which all of it belongs meanwhile. STATUS_INVALID: refused,
 * STATUS_CORRUPT: damaged; `err` names the file in the directory and says what to do. Afterwards, in every case: start
 * or close. */
enum status durable_open(struct durable *durable, const struct config *config, struct kvsm *sm, struct error *err);
/* From another thread, while it is being opened: that ends soon, with STATUS_CLOSED; bytes read so far. */
void durable_stop_opening(struct durable *durable);
uint64_t durable_opening_bytes(const struct durable *durable);

/* The loop's thread from here on. Once; after durable_open succeeded. */
void durable_start(struct durable *durable, struct io_loop *loop);
struct raft_storage *durable_base(struct durable *durable);
/* The oldest sync that is done and was not told yet. Ask at the end of each turn. */
bool durable_complete(struct durable *durable, uint64_t *number, uint64_t *last_index);
const struct wal_figures *durable_figures(const struct durable *durable); /* once it is open */
/* Why it failed for good; NULL when it did not. */
const char *durable_failure(const struct durable *durable);

/* What makes its disk fail; NULL unless the configuration says enable_faults, and before it is open. */
struct fault_disk *durable_fault_disk(struct durable *durable);

/* Takes. Waits for what is being written. `clean`: what waits is written, too, and the log is sealed. */
void durable_close(struct durable *durable, bool clean);

#endif
