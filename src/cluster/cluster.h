/* The static membership: who is in the cluster, where they listen, how many decide. Numbers are places in the list
 * sorted by id, equal on every node; `identity` is the hash of those ids, which every RPC carries. Immutable after
 * init; any thread. */
#ifndef KV_CLUSTER_CLUSTER_H
#define KV_CLUSTER_CLUSTER_H

#include "base/status.h"
#include "raft/core/message.h"
#include "types/limits.h"

#include <stdint.h>

struct cluster_member {
  char id[NODE_ID_BYTES_MAX + 1];
  char host[256];
  uint16_t port;
};

struct cluster {
  struct cluster_member members[RAFT_NODES_MAX]; /* sorted by id, byte order */
  uint8_t members_count;
  uint8_t self;
  uint64_t identity; /* of the sorted ids; addresses may change */
};

/* Copies and sorts. STATUS_INVALID with a message that names the member for a bad or doubled id, too many members, or a
 * list without `self_id`. */
enum status cluster_init(struct cluster *cluster, const struct cluster_member *members, size_t members_count,
                         const char *self_id, struct error *err);
/* The number of a member; RAFT_NODE_NONE when there is none of that id. */
uint8_t cluster_find(const struct cluster *cluster, const char *id);
/* HOST:PORT (with brackets around an IPv6 literal); `out` has room for 264 bytes. */
void cluster_address(const struct cluster *cluster, uint8_t number, char *out, size_t out_bytes);
uint32_t cluster_quorum(const struct cluster *cluster);

#endif
