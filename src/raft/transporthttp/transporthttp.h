/* The node's transport over HTTP (seed: HTTPTransport, RaftHTTPServer): links to the peers, routes for what they send.
 *
 * The node is told by `events`, whose shape is that of raftnode_receive and raftnode_peer_down; it is created with the
 * transport and given to it before the first message can come: create, raftnode_create(transporthttp_base()), start;
 * and the other way round: raftnode_destroy, then transporthttp_destroy. The loop's thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_TRANSPORTHTTP_H
#define KV_RAFT_TRANSPORTHTTP_TRANSPORTHTTP_H

#include "cluster/cluster.h"
#include "http/connection.h"
#include "raft/transport.h"

struct io_loop;
struct transporthttp;

struct transporthttp_options {
  struct io_loop *loop;          /* kept */
  const struct cluster *cluster; /* kept */
  bool json;                     /* speak JSON to the peers; what they send is understood in either form */
  uint32_t timeout_ms;           /* of one request to a peer: longer than its disk may take */
  uint64_t seed;                 /* of the jitter */
};

/* Called from the loop's callbacks, never inside `send`. All is borrowed until return. */
struct transporthttp_events {
  void *context;
  /* token NULL: a reply. */
  void (*receive)(void *context, const struct raft_message *message, struct bytes entries, void *token,
                  uint64_t now_ms);
  void (*peer_down)(void *context, uint8_t peer, uint64_t now_ms);
};

struct transporthttp *transporthttp_create(const struct transporthttp_options *options); /* returns owned */
/* Every token must have been answered. */
void transporthttp_destroy(struct transporthttp *transport);
struct raft_transport *transporthttp_base(struct transporthttp *transport);

/* From now on messages go in and out; until then what is sent is dropped and what comes is answered with nothing. */
void transporthttp_start(struct transporthttp *transport, const struct transporthttp_events *events);

/* What was sent leaves now: for the end of a turn, after raftnode_turn. */
void transporthttp_flush(struct transporthttp *transport);

/* The part of an http_handler for the paths that raft_routes_match (routes.h) says are ours. */
void transporthttp_handle(struct transporthttp *transport, const struct http_message *request,
                          struct http_exchange *exchange);

#endif
