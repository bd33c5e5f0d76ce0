/* A transport with faults, between the Raft node and its real transport: it acts on what this node sends, requests and
 * answers alike, per direction this node -> peer. So a one-way cut is set at its sender alone. Nothing of it exists
 * unless the configuration says enable_faults.
 *
 * What is lost is lost in silence: the node is not told, nor is a link. An answer that is lost by chance, by count or
 * for want of room leaves as "nothing to say" (204), which the peer's link swallows and its node never hears of: if it
 * did not leave, HTTP would hold back all later answers on the connection. Under a cut nothing leaves at all: the
 * answers are owed, and the peer's link times out, as it would without a network; they are settled as "nothing to say"
 * when the cut is over. What the node itself has nothing to say to passes at once: it is no message.
 *
 * Answers of one connection arrive in their order whatever happens to them here, since HTTP keeps it: so only requests
 * are doubled, and only they can overtake each other. The loop's thread. */
#ifndef KV_SERVER_FAULT_TRANSPORT_H
#define KV_SERVER_FAULT_TRANSPORT_H

#include "cluster/cluster.h"
#include "raft/transport.h"

struct io_loop;
struct fault_transport;

enum {
  FAULT_MILLION = 1000000,    /* chances are parts of it */
  FAULT_DELAY_MS_MAX = 60000, /* of delay and of jitter */
  FAULT_WAITING_MAX = 1024,   /* messages of one direction that are delayed or held; beyond: the oldest is lost */
  FAULT_WAITING_BYTES_MAX = 1 << 26, /* the same of their entries, but one message always fits */
  FAULT_OWED_MAX = 256, /* answers owed to one peer under a cut: more than its live connections can bring */
  FAULT_TYPES = RAFT_INSTALL_REPLY + 1 /* kinds of messages; as a kind: any */
};

/* The state of one direction; all zero: no faults. */
struct fault_link {
  bool cut;             /* nothing leaves, what waits included */
  uint32_t delay_ms;    /* up to FAULT_DELAY_MS_MAX */
  uint32_t jitter_ms;   /* up to so much more, drawn; up to FAULT_DELAY_MS_MAX */
  uint32_t drop_ppm;    /* up to FAULT_MILLION, as the two below */
  uint32_t dup_ppm;     /* requests are sent twice */
  uint32_t reorder_ppm; /* requests go by their own draw of the jitter, and may overtake others; else order is kept */
};

/* What can be seen of a direction. */
struct fault_link_view {
  struct fault_link link;
  bool held;
  uint32_t waiting;                    /* messages, delayed or held */
  uint32_t owed;                       /* answers, under a cut */
  uint32_t drop_next[FAULT_TYPES + 1]; /* how many of each kind, of any one the last */
};

/* Messages of all directions, since the node started. */
struct fault_counts {
  uint64_t dropped;
  uint64_t delayed;
  uint64_t duplicated;
  uint64_t overtaking; /* went ahead of others */
  uint64_t held;
};

/* Keeps `loop`, `cluster` and `inner`. `seed`: of all chances. Returns owned. */
struct fault_transport *fault_transport_create(struct io_loop *loop, const struct cluster *cluster,
                                               struct raft_transport *inner, uint64_t seed);
/* Takes; after the node is gone, and before `inner` is: what waits is dropped, every answer that is owed is settled. */
void fault_transport_destroy(struct fault_transport *transport);
struct raft_transport *fault_transport_base(struct fault_transport *transport);
const struct cluster *fault_transport_cluster(const struct fault_transport *transport);

/* In all that follows, `peer` is the number of another member.
 *
 * Sets the whole state of the direction; what waits already waits no longer than under the new one. NULL: the direction
 * is as without faults; what is held is released, and what was to be dropped next is not. */
void fault_transport_link(struct fault_transport *transport, uint8_t peer, const struct fault_link *link);
/* The next `count` messages of this kind are lost (FAULT_TYPES: of any kind); 0 takes it back. */
void fault_transport_drop_next(struct fault_transport *transport, uint8_t peer, unsigned kind, uint32_t count);
/* Messages are kept, until they are released: then they leave in order, the delayed ones when their time has come. */
void fault_transport_hold(struct fault_transport *transport, uint8_t peer);
void fault_transport_release(struct fault_transport *transport, uint8_t peer);

void fault_transport_view(const struct fault_transport *transport, uint8_t peer, struct fault_link_view *out);
struct fault_counts fault_transport_counts(const struct fault_transport *transport);

#endif
