/* What DistributedKV needs of a Raft node (seed: RaftNodeIface). It belongs to its user, distributedkv;
 * implementations: the Raft node (raft/node.h), and a fake in spec/.
 *
 * All calls on the node's loop. A call that returns STATUS_OK runs the wait's `done` exactly once, later, never inside
 * the call; a call that returns anything else never runs it. */
#ifndef KV_DISTRIBUTEDKV_RAFT_NODE_H
#define KV_DISTRIBUTEDKV_RAFT_NODE_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/status.h"
#include "types/limits.h"
#include "types/result.h"

struct leader_hint {
  char leader_id[NODE_ID_BYTES_MAX + 1]; /* "" when no leader is known */
  char leader_addr[264];                 /* HOST:PORT, "" when unknown */
};

/* One waiting call, in the caller's memory from the call until `done`. */
struct raft_wait {
  struct list link;     /* the node's */
  uint64_t deadline_ms; /* set by the caller: loop time at which it ends with STATUS_TIMEOUT */
  uint64_t index;       /* out: the log index of the write, or the read index; 0 when there is none */
  uint64_t term;        /* the node's */
  bool is_write;        /* the node's */
  /* STATUS_OK: `result` is set for a proposal. NOT_LEADER: known never to be applied. TIMEOUT: unknown. */
  void (*done)(struct raft_wait *wait, enum status status, const struct apply_result *result);
};

struct raft_peer_status {
  char id[NODE_ID_BYTES_MAX + 1];
  uint64_t match_index;
  uint64_t next_index;
  uint64_t inflight;
  uint64_t last_contact_ms;
};

enum { RAFT_PEERS_MAX = 16 };

struct raft_status {
  const char *role; /* "leader", "follower", "candidate"; static */
  uint64_t term;
  char voted_for[NODE_ID_BYTES_MAX + 1];
  uint64_t commit_index;
  uint64_t last_applied;
  uint64_t first_index;
  uint64_t last_index;
  uint64_t last_term;
  uint64_t snapshot_index;
  uint64_t snapshot_term;
  uint32_t peers_count; /* the others, not itself; filled by a leader */
  struct raft_peer_status peers[RAFT_PEERS_MAX];
  const char *not_ready; /* NULL when ready, else why not; static */
  /* Timers: since when a follower has not heard of its leader (0 when it knows none), and in how long it campaigns
   * unless it does; both 0 at a leader. */
  uint64_t leader_silent_ms;
  uint64_t campaign_in_ms;
  /* Who granted a candidate or leader its vote in this term, itself included; of a candidate also those who said that
   * they would. */
  uint32_t granted_count;
  char granted[RAFT_PEERS_MAX][NODE_ID_BYTES_MAX + 1];
};

struct raft_node;
struct raft_node_ops {
  /* Puts an encoded command (borrowed until the call returns) into the log. Done with its result once it is applied
   * here. */
  enum status (*propose)(struct raft_node *node, struct bytes command, struct raft_wait *wait);
  /* Done once this node knows an index that a linearizable read must see, and has applied it. */
  enum status (*read_index)(struct raft_node *node, struct raft_wait *wait);
  /* Done once `wait->index` (set by the caller) is applied. */
  enum status (*wait_applied)(struct raft_node *node, struct raft_wait *wait);
  /* Forgets a wait without running `done`. A proposal may still be applied. */
  void (*cancel)(struct raft_node *node, struct raft_wait *wait);
  bool (*is_leader)(struct raft_node *node);
  void (*leader_hint)(struct raft_node *node, struct leader_hint *out);
  void (*status)(struct raft_node *node, struct raft_status *out);
};

/* The head of every implementation. */
struct raft_node {
  const struct raft_node_ops *ops;
};

#endif
