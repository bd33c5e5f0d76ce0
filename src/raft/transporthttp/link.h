/* The way to one peer: a persistent connection on which requests are pipelined. It never blocks and never grows: what
 * does not fit, or comes while the peer is not reachable, is dropped, as a network may. After a failure it waits before
 * it tries again (doubling, with jitter). One thread. */
#ifndef KV_RAFT_TRANSPORTHTTP_LINK_H
#define KV_RAFT_TRANSPORTHTTP_LINK_H

#include "base/bytes.h"
#include "cluster/cluster.h"
#include "raft/core/message.h"

#include <stdbool.h>

struct io_loop;
struct link;

enum {
  LINK_INFLIGHT_BYTES_MAX = 33554432, /* bodies not yet answered; beyond: dropped, but one always fits */
  LINK_BYTES_PER_MS_MIN = 1024,       /* each of them gets so much more time: a slow disk is not a broken link */
  LINK_BACKOFF_MIN_MS = 10,
  LINK_BACKOFF_MAX_MS = 320
};

struct link_options {
  struct io_loop *loop;          /* kept */
  const struct cluster *cluster; /* kept */
  uint8_t peer;
  bool json;           /* speak JSON, for people who watch the wire; else the binary body */
  uint32_t timeout_ms; /* of one request; the connection is given up when an answer is later */
  uint64_t seed;       /* of the jitter */
};

/* What a link tells, never inside link_send. */
struct link_events {
  void *context;
  /* From the peer that the link leads to. Borrowed until return. */
  void (*reply)(void *context, const struct raft_message *reply);
  /* What was sent may be lost. Once per failure. */
  void (*down)(void *context, uint8_t peer);
};

struct link *link_create(const struct link_options *options, const struct link_events *events); /* returns owned */
void link_destroy(struct link *link); /* without a word to the events */
/* Sends or drops. Borrows both until it returns. */
void link_send(struct link *link, const struct raft_message *message, struct bytes entries);
/* What was sent leaves now, in one piece: for the end of a turn. */
void link_flush(struct link *link);

#endif
