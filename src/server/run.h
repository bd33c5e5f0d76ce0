/* One node, put together: state machine, node, DistributedKV, HTTP API, listener; started and stopped. The loop's
 * thread.
 *
 * The order of one loop turn (DESIGN.md section 3): callbacks only step and queue; then the member's hook appends,
 * sends, applies and completes, then the HTTP server's hook flushes every connection with answers, one write each. */
#ifndef KV_SERVER_RUN_H
#define KV_SERVER_RUN_H

#include "distributedkv/raft_node.h"
#include "io/loop.h"
#include "kvsm/kvsm.h"
#include "types/config.h"

struct server;

/* Starts serving. `config` is copied. `node` NULL: the member of a cluster (server/member.h) that the
 * configuration says, owned by the server; else a node of the caller (specs), kept. STATUS_INVALID with a message when
 * the members make no cluster, STATUS_IO when the address cannot be bound. Returns owned in *out. */
enum status server_start(struct io_loop *loop, const struct config *config, struct raft_node *node, struct server **out,
                         struct error *err);
uint16_t server_port(const struct server *server);
struct kvsm *server_kvsm(struct server *server);
const struct config *server_config(const struct server *server);
void server_status(const struct server *server, struct raft_status *status, struct leader_hint *leader);

/* A leader hands over first, for at most one election timeout. Then: no new requests; answers to those in flight leave
 * for at most `grace_ms`; then `stopped` runs once, later. Afterwards only server_destroy is legal. */
void server_stop(struct server *server, uint32_t grace_ms, void (*stopped)(void *context), void *context);
/* Takes; after (not inside) `stopped`, or at once for an abrupt end: connections are cut, a `stopped` that is still
 * owed runs inside this call. Jobs in flight end with their `done` while the loop's owner goes on turning it; the
 * memory they need goes with the last one. */
void server_destroy(struct server *server);

/* Writes a snapshot of this moment to `path` on a worker (temporary file, fsync, rename) while the node serves. `done`
 * runs once on the loop, with the size and index of the snapshot, or with a text that says why not (borrowed).
 * STATUS_OVERLOADED when too many jobs run. */
typedef void server_job_done(void *context, enum status status, uint64_t bytes, uint64_t index, const char *why);
enum status server_snapshot(struct server *server, const char *path, server_job_done *done, void *context);
/* Reads the snapshot file at `path` on a worker into a new state, then replaces the node's state whole. STATUS_INVALID
 * for a member of a cluster, even of one: its state is what its log says. */
enum status server_restore(struct server *server, const char *path, server_job_done *done, void *context);

#endif
