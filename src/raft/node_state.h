/* The Raft node's inside, shared by the raft/node*.c files and nobody else. */
#ifndef KV_RAFT_NODE_STATE_H
#define KV_RAFT_NODE_STATE_H

#include "base/buffer.h"
#include "base/prng.h"
#include "raft/node.h"

#include "types/limits.h"
#include <stdatomic.h>

enum {
  NODE_PROPOSALS_MAX = 65536, /* waiting writes; beyond: overloaded */
  NODE_PROPOSAL_BYTES_MAX =
      67108864, /* bytes of one turn's commands; beyond: overloaded, but one command always fits */
  NODE_UNCOMMITTED_BYTES_MAX = 2 * BODY_BYTES_CAP, /* entries that a leader could not commit yet; beyond: overloaded */
  NODE_ENTRY_BYTES = 64,          /* what an entry takes beside its command, so their number is limited as well */
  NODE_READS_MAX = 65536,         /* waiting reads; beyond: overloaded */
  NODE_REMOTE_READS_MAX = 1024,   /* followers' reads waiting at the leader; beyond: refused */
  NODE_HELD_MAX = 4096,           /* messages that wait for the disk; beyond: dropped, as a network may */
  NODE_APPLY_BYTES_MAX = 1 << 20, /* entry bytes applied per turn, so that a long log does not stop the loop */
  NODE_SWEEP_MS = 20,             /* how late a deadline may be noticed */
  NODE_SNAPSHOT_RETRY_MS = 1000,  /* after one that failed, taken or received */
  NODE_ROOM_MIN = 1 << 20,        /* a full disk with less room than this for entries is said to be full */
  NODE_TIMED_BATCHES_MAX = 1024,  /* appended and not committed; what comes beyond is not timed */
  NODE_READY_LAG_MAX = 4096       /* entries; who was caught up and is behind by more is so no longer */
};

_Static_assert((int)NODE_UNCOMMITTED_BYTES_MAX > (int)BODY_BYTES_CAP + (int)NODE_ENTRY_BYTES,
               "the largest command fits beside what a leader writes itself");

/* An upper bound of what this process has appended and does not know to be committed, at a constant cost: entries up to
 * `mark`, and those behind it. When the mark is committed, the second become the first. */
struct uncommitted {
  uint64_t mark;
  uint64_t older_bytes;
  uint64_t newer_bytes;
};

/* A message that may not leave before `message.after_sync` is durable. */
struct held_message {
  struct raft_message message;
  void *token; /* of the request that it answers; NULL for requests */
};

/* A follower's read at the leader, or a batch of own reads at a follower. */
struct remote_read {
  struct list link;
  void *token;
  uint64_t id;
  uint64_t to_life;
  uint8_t from;
  uint64_t round;
  uint64_t index;
};

/* What was appended in one turn, for its time until it is committed. */
struct timed_batch {
  uint64_t last_index;
  uint32_t count; /* of entries */
  uint64_t appended_us;
};
struct uncommitted_times {
  struct timed_batch batches[NODE_TIMED_BATCHES_MAX]; /* a ring, by index, rising */
  size_t first;
  size_t count;
};

struct raftnode {
  struct raft_node base; /* first */
  struct raftnode_options options;
  struct raft_storage *storage;
  struct raft_transport *transport;
  struct kvsm *sm;
  struct prng prng;
  struct raft core;
  struct raft_output out; /* of the step at hand */
  uint64_t now_ms;
  uint64_t core_deadline_ms;
  uint64_t sync_wanted; /* newest disk work not yet handed to a sync; 0: none */
  uint64_t last_applied;
  uint64_t heard_commit; /* the highest index that a leader said to be committed */
  uint64_t heard_term;   /* of the last leader that said so; 0: none yet */
  bool caught_up;        /* node_ready.c */
  bool touched;          /* something came since the last turn: it must not wait for a deadline */
  bool failed;
  bool closing; /* in raftnode_destroy: whoever hears that it is over is not taken on again */

  struct held_message *held; /* ring-free FIFO: held_first .. held_count */
  uint32_t held_first;
  uint32_t held_count;

  struct buffer scratch; /* entries of an outgoing message */
  struct buffer terms;   /* uint64_t of an incoming one's entries */
  struct buffer batch;   /* struct log_entry of one append */

  struct buffer queued;       /* commands of this turn, encoded as log entries without term */
  struct buffer queued_waits; /* struct raft_wait * in the order of `queued`; NULL: cancelled */
  uint32_t queued_count;
  uint32_t proposals_count; /* all waiting writes */
  struct list proposed;     /* raft_wait by index, rising */
  struct uncommitted uncommitted;
  struct list orphans; /* by index, rising: cut here; their entries may still come back from elsewhere */

  uint32_t reads_count;   /* all waiting reads */
  struct list reads_new;  /* no round yet, or to be asked for (again); wait->term: 0 or as below */
  struct list reads_sent; /* wait->term: the round (leader), or the first question that was asked for it (follower) */
  struct list reads_applying; /* wait->index is known, to be applied */
  uint64_t read_id;           /* follower: newest question */
  uint64_t read_retry_ms;     /* follower: when to ask anew; UINT64_MAX: nothing asked */
  uint32_t remote_count;
  struct list remote_new;
  struct list remote_sent;
  uint64_t sweep_ms; /* next look for passed deadlines */

  struct snapshot_mark snapshot;             /* the newest that the storage knows of */
  uint64_t snapshot_bytes;                   /* of it */
  uint64_t applied_bytes;                    /* of the entries applied since */
  uint64_t snapshot_retry_ms;                /* none is taken before */
  atomic_bool stop_work;                     /* works look at it */
  struct list works_done;                    /* struct raft_work */
  struct taking *taking;                     /* NULL: none is being taken */
  struct incoming *incoming;                 /* NULL: none is being received */
  struct outgoing *outgoing[RAFT_NODES_MAX]; /* NULL: none is being sent there */
  struct raftnode_snapshot_counts counts;
  struct raftnode_figures figures;
  uint8_t leader_counted; /* the last one known; RAFT_NODE_NONE: none yet */
  struct uncommitted_times uncommitted_times;

  raftnode_applied *applied;
  void *applied_context;
  raftnode_installed *installed;
  void *installed_context;
};

static inline struct raftnode *raftnode_of(struct raft_node *base) {
  return (struct raftnode *)(void *)base;
}

static inline struct raft_wait *wait_of(struct list *link) {
  return (struct raft_wait *)(void *)link;
}

/* ---- node_step.c ---- */

/* Steps the core and carries out what it says. `entries` and `token` go with an incoming message; `type` events without
 * more are made by raftnode_event. */
void raftnode_step(struct raftnode *node, struct raft_event *event, struct bytes entries, void *token);
void raftnode_step_plain(struct raftnode *node, enum raft_event_type type);
void raftnode_release_held(struct raftnode *node);
/* Bytes of the entries behind the commit index, or somewhat more. */
uint64_t raftnode_uncommitted_bytes(struct raftnode *node);
/* Appends what stands in node->batch to the log, and clears it. */
void raftnode_append_batch(struct raftnode *node);
void raftnode_fail(struct raftnode *node);

/* Answers the request of `token`, once `message.after_sync` is durable. */
void raftnode_reply(struct raftnode *node, const struct raft_message *message, void *token);

/* ---- node_figures.c ---- */

uint64_t raftnode_clock_us(const struct raftnode *node); /* 0 when there is none */
/* After a step of the core, which had this role and term before. */
void raftnode_count_step(struct raftnode *node, enum raft_role role_before, uint64_t term_before);
/* The leader appended `count` proposals up to `last_index`. */
void raftnode_count_append(struct raftnode *node, uint64_t last_index, uint32_t count);
void raftnode_count_commits(struct raftnode *node);
/* From raftnode_clock_us() at its start until now; nothing when there is no clock. */
void raftnode_add_duration(const struct raftnode *node, struct histogram *histogram, uint64_t since_us);

/* ---- node_ready.c ---- */

/* After the core has seen a message. */
void raftnode_hear_commit(struct raftnode *node, const struct raft_message *message);
/* After what is committed was applied. */
void raftnode_look_caught_up(struct raftnode *node);
/* NULL when it is ready; *behind: entries that it still has to apply before it is, 0 when that is not why. */
const struct raft_unready *raftnode_unready(const struct raftnode *node, uint64_t *behind);

/* ---- node_write.c ---- */

enum status raftnode_propose(struct raft_node *base, struct bytes command, struct raft_wait *wait);
/* False when the wait is not among this turn's queued ones. */
bool raftnode_forget_queued(struct raftnode *node, const struct raft_wait *wait);
/* Nothing was done for what is queued; its clients are told so. */
void raftnode_refuse_queued(struct raftnode *node, enum status status);
/* One append of all that is queued. */
void raftnode_append_queued(struct raftnode *node);
/* Entries from `index` on are gone. */
void raftnode_orphan_from(struct raftnode *node, uint64_t index);
/* The entry (index, term) was applied with this result. */
void raftnode_finish_writes(struct raftnode *node, uint64_t index, uint64_t term, const struct apply_result *result);
void raftnode_done_write(struct raftnode *node, struct raft_wait *wait, enum status status,
                         const struct apply_result *result);

/* Entries up to `index` will not be applied here: what became of those who wait for them stays unknown. */
void raftnode_skip_writes(struct raftnode *node, uint64_t index);
/* Queued writes whose deadline has passed. */
void raftnode_sweep_queued(struct raftnode *node);

/* ---- node_read.c ---- */

enum status raftnode_read_index(struct raft_node *base, struct raft_wait *wait);
enum status raftnode_wait_applied(struct raft_node *base, struct raft_wait *wait);
/* New reads get a round (leader) or are asked for (follower). */
void raftnode_start_reads(struct raftnode *node);
/* Rounds up to core.confirmed_round are confirmed. */
void raftnode_confirm_reads(struct raftnode *node);
/* Leader, term or role changed: every unconfirmed read starts over. */
void raftnode_restart_reads(struct raftnode *node);
void raftnode_finish_reads(struct raftnode *node);
void raftnode_receive_read(struct raftnode *node, const struct raft_message *message, void *token);
void raftnode_receive_read_reply(struct raftnode *node, const struct raft_message *message);
void raftnode_done_read(struct raftnode *node, struct raft_wait *wait, enum status status);

/* Encoded entries of the log into node->scratch. STATUS_NOT_FOUND when the first one has been cut. */
enum status raftnode_read_entries(struct raftnode *node, uint64_t first, uint64_t last);

/* ---- node_apply.c ---- */

/* Applies committed entries, a bounded amount. */
void raftnode_apply(struct raftnode *node);

/* ---- node_snapshot.c ---- */

/* The start: from the newest snapshot, and with no more log behind it than there should be. */
void raftnode_start_snapshots(struct raftnode *node);
/* Takes one when it is time. */
void raftnode_take_snapshots(struct raftnode *node);
/* Disk work of a newer snapshot that is durable, and whose (index, term) the log holds. */
void raftnode_record_snapshot(struct raftnode *node, struct snapshot_mark mark, uint64_t bytes);
/* The log's prefix goes, but for a tail behind the newest snapshot. */
void raftnode_cut_prefix(struct raftnode *node);
void raftnode_submit(struct raftnode *node, struct raft_work *work);
void raftnode_finish_works(struct raftnode *node);
void raftnode_end_taking(struct raftnode *node); /* in raftnode_destroy */

/* ---- node_install.c ---- */

/* A piece that the core says to take; the token is answered when it is done. */
void raftnode_take_piece(struct raftnode *node, const struct raft_message *message, struct bytes piece, void *token);
/* The state becomes that of the received snapshot; the log is kept, or reset. */
void raftnode_install(struct raftnode *node, enum raft_install_action action);
/* What was received of a snapshot goes when nobody needs it any more. */
void raftnode_drop_incoming(struct raftnode *node);
void raftnode_end_incoming(struct raftnode *node);

/* ---- node_transfer.c ---- */

/* Starts, goes on with and ends what is sent to members who lack more than the log has. */
void raftnode_send_snapshots(struct raftnode *node);
void raftnode_receive_install_reply(struct raftnode *node, const struct raft_message *message);
void raftnode_transfer_link_down(struct raftnode *node, uint8_t peer);
/* When something is to be sent again; UINT64_MAX: nothing. */
uint64_t raftnode_transfers_deadline_ms(const struct raftnode *node);
void raftnode_end_outgoing(struct raftnode *node);

#endif
