/* The Raft node: runs the core over storage, transport and state machine (seed: Node). It turns the core's outputs into
 * disk work, messages and applied commands, and keeps everybody who waits: proposals until their (index, term) is
 * applied or known to be lost, reads until their index is confirmed and applied.
 *
 * One turn (DESIGN.md section 3): raftnode_receive, raftnode_synced and the RaftNode calls only step or queue;
 * raftnode_turn, once at the end of the loop's turn, does the timeout, one append of all queued commands, the sending,
 * the sync, the applying and the answers, in this order, and says when it wants the next turn at the latest. `done`
 * callbacks run inside raftnode_turn only.
 *
 * A write that lost its leader waits on until its deadline: OK when its (index, term) is applied here, NOT_LEADER when
 * another term is applied at its index, else TIMEOUT (unknown). A storage error is terminal: raftnode_failed is true,
 * nothing is acknowledged any more. Confined to its loop: no lock. */
#ifndef KV_RAFT_NODE_H
#define KV_RAFT_NODE_H

#include "cluster/cluster.h"
#include "distributedkv/raft_node.h"
#include "kvsm/kvsm.h"
#include "raft/core/raft.h"
#include "raft/figures.h"
#include "raft/storage/storage.h"
#include "raft/transport.h"

struct raftnode;

/* Work that takes long: writing a snapshot, taking in pieces of one, reading them. It touches nothing of the node's
 * that the loop touches meanwhile. */
struct raft_work {
  struct list link; /* the node's, once it is done */
  /* Once, on any thread; then raftnode_work_done, on the loop. */
  void (*run)(struct raft_work *work);
  void (*done)(struct raftnode *node, struct raft_work *work); /* the node's */
};
struct raft_worker {
  void *context;
  /* Never runs it inside the call. Keeps the work until it is done. */
  void (*submit)(void *context, struct raft_work *work);
};

struct raftnode_options {
  const struct cluster *cluster; /* kept */
  uint8_t fixed_leader;          /* a member's number, or RAFT_NODE_NONE */
  uint32_t heartbeat_ms;
  uint32_t election_min_ms;
  uint32_t election_max_ms;
  uint32_t inflight_max;      /* 1 .. RAFT_INFLIGHT_MAX */
  uint64_t message_bytes_max; /* entries of one AppendEntries */
  uint64_t seed;              /* of every random choice of this node */
  uint64_t life;              /* not 0, drawn anew at each start, whatever the seed is: raft/core/raft.h */
  /* A snapshot is taken when so many entries were applied since the last one, and they are at least as large as that
   * one is; 0: never. */
  uint64_t snapshot_threshold;
  uint64_t snapshot_tail;     /* so many entries stay in the log behind a snapshot */
  uint32_t install_bytes;     /* of one piece of a snapshot on its way to another member */
  struct raft_worker worker;  /* does what takes long */
  uint64_t (*clock_us)(void); /* monotonic, for figures only; NULL: no durations are measured */
};

/* Starts from what `storage` holds. Keeps all four until destroy; the state machine holds the state as of the newest
 * snapshot of the storage, or is empty when there is none. Returns owned. */
struct raftnode *raftnode_create(const struct raftnode_options *options, struct raft_storage *storage,
                                 struct raft_transport *transport, struct kvsm *sm, uint64_t now_ms);
/* Waits end with STATUS_CLOSED, and nothing new is taken on; tokens are answered with nothing. No work may be running:
 * what was submitted has either ended or will never be run. */
void raftnode_destroy(struct raftnode *node);
/* Work under way ends soon, in vain; none is submitted any more. Before waiting for a worker. */
void raftnode_stop_work(struct raftnode *node);
/* The work has been run; what comes of it happens in the next turn. */
void raftnode_work_done(struct raftnode *node, struct raft_work *work);
/* The RaftNode interface for DistributedKV: propose, read_index, wait_applied, cancel, is_leader, leader_hint, status.
 */
struct raft_node *raftnode_base(struct raftnode *node);

/* A message from message->from, checked in form by the transport. `entries` as in raft/transport.h; malformed ones make
 * the message be ignored. `token` goes with a request and comes back with raft_transport_ops.reply; NULL with a reply.
 * Borrowed until return. */
void raftnode_receive(struct raftnode *node, const struct raft_message *message, struct bytes entries, void *token,
                      uint64_t now_ms);
/* The link to `peer` broke: what was sent may be lost. */
void raftnode_peer_down(struct raftnode *node, uint8_t peer, uint64_t now_ms);
/* The sync `number` is done; the log ended at `last_index` when it was asked for. */
void raftnode_synced(struct raftnode *node, uint64_t number, uint64_t last_index, uint64_t now_ms);
/* The end of a turn. */
void raftnode_turn(struct raftnode *node, uint64_t now_ms);
/* When the next turn must come at the latest; <= now when there is work left. */
uint64_t raftnode_deadline_ms(const struct raftnode *node);
/* Hands leadership to `peer`; STATUS_NOT_LEADER or STATUS_INVALID. It is over when leadership has changed or an
 * election timeout has passed. */
enum status raftnode_transfer(struct raftnode *node, uint8_t peer, uint64_t now_ms);

/* Takes a snapshot of what is applied, whatever the threshold says (seed: CreateSnapshot). STATUS_OVERLOADED while one
 * is being taken, STATUS_INVALID when the newest one covers it all, STATUS_IO when the node failed. */
enum status raftnode_create_snapshot(struct raftnode *node, uint64_t now_ms);

/* Proposals whose outcome is still owed, and reads that wait. */
size_t raftnode_writes_waiting(const struct raftnode *node);
size_t raftnode_reads_waiting(const struct raftnode *node);
/* A storage error stopped this node for good. */
bool raftnode_failed(const struct raftnode *node);
/* The core's state, for status and checkers. */
const struct raft *raftnode_core(const struct raftnode *node);
uint64_t raftnode_last_applied(const struct raftnode *node);
/* A checker's ear: called after each applied entry with what it gave (sim). NULL to stop. */
typedef void raftnode_applied(void *context, const struct log_entry *entry, const struct apply_result *result);
void raftnode_on_applied(struct raftnode *node, raftnode_applied *applied, void *context);
/* And after the state was replaced by that of a snapshot from a leader. */
typedef void raftnode_installed(void *context, struct snapshot_mark mark);
void raftnode_on_installed(struct raftnode *node, raftnode_installed *installed, void *context);

struct raftnode_snapshot_counts {
  uint64_t taken;     /* own snapshots */
  uint64_t installed; /* of leaders */
  uint64_t sent;      /* to members, whole */
  uint64_t resumed;   /* transfers that went on in the middle */
  uint64_t cut;       /* times that the log's prefix went */
};
void raftnode_snapshot_counts(const struct raftnode *node, struct raftnode_snapshot_counts *out);
/* Bytes of the newest snapshot; 0 when there is none. */
uint64_t raftnode_snapshot_bytes(const struct raftnode *node);
const struct raftnode_figures *raftnode_figures(const struct raftnode *node); /* the node's */

#endif
