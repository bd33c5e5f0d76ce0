/* One member of a cluster, put together: the table of members, the way to the others, and the Raft node that runs on
 * them and on its storage, as one hook at the end of the loop's turn. A node alone is a cluster of one. The loop's
 * thread. */
#ifndef KV_SERVER_MEMBER_H
#define KV_SERVER_MEMBER_H

#include "distributedkv/raft_node.h"
#include "http/connection.h"
#include "io/loop.h"
#include "kvsm/kvsm.h"
#include "server/fault_transport.h"
#include "server/storage.h"
#include "types/config.h"

struct member;

/* Keeps loop, sm, and storage, which is open and has put its snapshot into sm; starts it. Adds its hook: create it
 * before whoever sends answers. STATUS_INVALID with a message when the members of the configuration make no cluster;
 * the storage is not started then. Returns owned in *out. */
enum status member_create(struct io_loop *loop, const struct config *config, struct storage *storage, struct kvsm *sm,
                          struct member **out, struct error *err);
/* Messages get their last answers before this; waits that are left end with STATUS_CLOSED inside this call. Waits for
 * work that runs, which ends soon. Afterwards the storage may be closed. */
void member_destroy(struct member *member);
/* Where a node alone is reached, once the system has picked its port; before the first turn. */
void member_set_port(struct member *member, uint16_t port);
struct raft_node *member_base(struct member *member);

/* What came to a path that raft_routes_match (raft/transporthttp/routes.h) says is ours. */
void member_handle(struct member *member, const struct http_message *request, struct http_exchange *exchange);
/* True when something came after the hook of this turn: the next turn must not block. */
bool member_pending(const struct member *member);

/* As raftnode_create_snapshot (raft/node.h). */
enum status member_create_snapshot(struct member *member);
/* As raftnode_transfer (raft/node.h), to the member of this id; STATUS_NOT_FOUND when there is none. */
enum status member_transfer(struct member *member, const char *id);
/* What makes its messages fail; NULL unless the configuration says enable_faults. The member's. */
struct fault_transport *member_fault_transport(struct member *member);
const struct raftnode *member_node(const struct member *member);
/* Why its storage failed for good: it acknowledges nothing any more. NULL while it works. */
const char *member_failure(const struct member *member);

/* Before a clean stop: hands leadership to the member that is best prepared, and waits for what becomes of the writes
 * that are under way; at most one election timeout. False: there is nothing to hand over, `left` never runs. Else it
 * runs once, later. */
bool member_leave(struct member *member, void (*left)(void *context), void *context);

#endif
