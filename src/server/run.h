/* One node, put together: state machine, storage, node, DistributedKV, HTTP API, listener. Its life: created, opened,
 * serving, stopped, destroyed. The loop's thread, but for server_open.
 *
 * The order of one loop turn (DESIGN.md section 3): callbacks only step and queue; then the member's hook appends,
 * sends, applies and completes, then the HTTP server's hook flushes every connection with answers, one write each. */
#ifndef KV_SERVER_RUN_H
#define KV_SERVER_RUN_H

#include "distributedkv/raft_node.h"
#include "io/loop.h"
#include "kvsm/kvsm.h"
#include "metrics/histogram.h"
#include "raft/storage/storage.h"
#include "server/fault_disk.h"
#include "server/fault_transport.h"
#include "types/config.h"

struct server;

/* `config` is copied. `node` NULL: the member of a cluster (server/member.h) that the configuration says, owned by the
 * server; else a node of the caller (specs), kept. Touches nothing but memory. Returns owned. */
struct server *server_create(struct io_loop *loop, const struct config *config, struct raft_node *node);

/* Opens the data directory, if there is one: recovery and restoring take their time, so this may run on any thread, to
 * which the server belongs meanwhile; without a data directory it does not block. Statuses as durable_open. Afterwards
 * serve, or destroy. */
enum status server_open(struct server *server, struct error *err);
/* While server_open runs on another thread: it ends soon, with STATUS_CLOSED; bytes read so far. */
void server_stop_opening(struct server *server);
uint64_t server_opening_bytes(const struct server *server);

/* Starts serving. STATUS_INVALID with a message when the members make no cluster, STATUS_IO when the address cannot be
 * bound; then only server_destroy is legal. */
enum status server_serve(struct server *server, struct error *err);
uint16_t server_port(const struct server *server);
struct kvsm *server_kvsm(struct server *server);
const struct config *server_config(const struct server *server);
void server_status(const struct server *server, struct raft_status *status, struct leader_hint *leader);

/* How long things took since it serves; borrowed, the server's. Empty where it does no such thing. */
struct server_durations {
  const struct histogram *fsync;  /* of the log */
  const struct histogram *commit; /* leader: from the append of an entry to its commit */
  const struct histogram *apply;  /* a batch of committed entries */
  const struct histogram *turn;   /* of the loop, since the loop began */
};
void server_durations(const struct server *server, struct server_durations *out);

/* Begins a snapshot of what is applied, whatever the threshold says; server_status shows when it is done.
 * STATUS_OVERLOADED while one is being taken, STATUS_INVALID when the newest one covers it all (or the node is the
 * caller's), STATUS_IO when the storage failed. */
enum status server_create_snapshot(struct server *server);
/* Asks the member of this id to lead in this node's place; server_status shows what becomes of it. STATUS_NOT_FOUND: no
 * such member (or the node is the caller's), STATUS_NOT_LEADER, STATUS_INVALID: it is this node, or cannot lead yet. */
enum status server_transfer(struct server *server, const char *id);
/* What makes its messages fail; NULL unless the configuration says enable_faults. The server's. */
struct fault_transport *server_fault_transport(struct server *server);
/* What makes its disk fail; NULL as above, and for a node in memory. The server's. */
struct fault_disk *server_fault_disk(struct server *server);
/* Entries of the log, from `from` on up to `to`, as many as there are and as encode to at most bytes_max (one in any
 * case), visited in order, borrowed until the visitor returns. May read them from disk. STATUS_NOT_FOUND: there is no
 * entry in this range (or the node is the caller's); else what the log says. */
enum status server_read_log(struct server *server, uint64_t from, uint64_t to, uint64_t bytes_max, log_visit *visit,
                            void *context);
/* Why its storage failed, which is the end of it; NULL while it works. */
const char *server_failure(const struct server *server);
/* `failed` runs once, at the end of the turn in which that shows; NULL: nobody wants to know any more. */
void server_on_failed(struct server *server, void (*failed)(void *context), void *context);

/* A leader hands over first, for at most one election timeout. Then: no new requests; answers to those in flight leave
 * for at most `grace_ms`; then `stopped` runs once, later. Afterwards only server_destroy is legal. */
void server_stop(struct server *server, uint32_t grace_ms, void (*stopped)(void *context), void *context);
/* Takes; after (not inside) `stopped`: then the log is sealed; or at any other time for an abrupt end, but not while
 * server_open runs: connections are cut, a `stopped` that is still owed runs inside this call. Waits for what is being
 * written. */
void server_destroy(struct server *server);

#endif
