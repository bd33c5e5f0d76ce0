/* A node of one that keeps no log: what is proposed in a turn is applied at its end, in order, and is committed by
 * that. It leads itself in term 1 for ever. An implementation of distributedkv/raft_node.h; the loop's thread. */
#ifndef KV_SERVER_LOCAL_NODE_H
#define KV_SERVER_LOCAL_NODE_H

#include "distributedkv/raft_node.h"
#include "io/loop.h"
#include "kvsm/kvsm.h"

struct local_node;

/* Adds its end-of-turn hook to the loop: create it before whoever sends answers. Keeps loop and sm; copies id. Returns
 * owned. */
struct local_node *local_node_create(struct io_loop *loop, struct kvsm *sm, const char *id);
/* Waits that are left are forgotten: their `done` never runs. */
void local_node_destroy(struct local_node *node);
/* Where it can be reached (HOST:PORT), for the leader hint. Copied. */
void local_node_set_address(struct local_node *node, const char *address);
struct raft_node *local_node_base(struct local_node *node);
/* True when calls came after the hook of this turn: the next turn must not block. */
bool local_node_pending(const struct local_node *node);

#endif
