/* The server's side of Raft RPC: what comes to a path under /raft/ becomes a message for the node, its answer an HTTP
 * reply. Every request is answered exactly once; the connection keeps the answers in order. JSON is answered in JSON,
 * the binary body in binary. No Raft logic. The loop's thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_ROUTES_H
#define KV_RAFT_TRANSPORTHTTP_ROUTES_H

#include "cluster/cluster.h"
#include "http/connection.h"
#include "raft/core/message.h"

struct io_loop;
struct raft_routes;

/* Where requests go: `token` comes back with raft_routes_reply, once. Message and entries are borrowed until return. */
struct raft_routes_events {
  void *context;
  void (*request)(void *context, const struct raft_message *message, struct bytes entries, void *token);
};

/* Keeps `loop` and `cluster`. Returns owned. */
struct raft_routes *raft_routes_create(struct io_loop *loop, const struct cluster *cluster,
                                       const struct raft_routes_events *events);
/* Every token must have been answered (CHECKed). */
void raft_routes_destroy(struct raft_routes *routes);

/* Whether raft_routes_handle is to have a request for this path; its effect is then HTTP_EFFECT_WRITE. */
bool raft_routes_match(struct bytes path);
/* Answers now or later. Malformed bodies: 400; another cluster's, a stranger's or somebody else's: 403. */
void raft_routes_handle(struct raft_routes *routes, const struct http_message *request, struct http_exchange *exchange);
/* The node's answer. NULL, it has nothing to say: 204, in JSON 503 not_ready; to timeout_now {"ok":true}. */
void raft_routes_reply(struct raft_routes *routes, void *token, const struct raft_message *reply);

#endif
