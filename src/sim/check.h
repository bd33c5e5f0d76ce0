/* The invariants of DESIGN.md section 5, watched from outside the nodes, after every event, at a constant cost per
 * event and per entry. The first violation is kept in plain words; nothing is checked after it. One thread.
 *
 *   election safety       one leader per term, over all nodes and incarnations
 *   votes                 one vote per node and term, over all incarnations up to a loss of its disk; none leaves
 *                         before it is durable
 *   terms                 what a node has said of its term is durable, and never goes back
 *   leader append-only    a leader cuts nothing from its log; nobody cuts what it knows to be committed
 *   log matching          logs that agree on (index, term) agree on everything before
 *   commitment            an entry becomes committed only in its own term, or with a later one of the leader's term,
 *                         and when a majority has it on disk
 *   leader completeness   a new leader holds whatever was committed in earlier terms
 *   state machine safety  equal index, equal entry, equal result, equal state, on every node
 *   progress              commit and applied index never go back, nor what a leader knows of a life of its peer
 *   exactly once          a (client, seq) is applied once
 *   acknowledged writes   stand in the committed log at the index and term they were answered with
 *   reads                 see every write that was acknowledged before they began
 *   snapshots             stand for what is committed, and for the state behind it; the log gives way to one only where
 *                         it does not hold the same, and entries go only when one covers them
 *   damage                may cost a node what it has, but never shows it what nobody wrote */
#ifndef KV_SIM_CHECK_H
#define KV_SIM_CHECK_H

#include "base/hash.h"
#include "raft/core/raft.h"
#include "sim/ledger.h"
#include "sim/mix.h"
#include "sim/table.h"
#include "types/result.h"

enum { SIM_NODES_MAX = 7, SIM_VIOLATION_BYTES_MAX = 512, SIM_ELECTIONS_KEPT = 1000 };

/* A number per term; terms are small and dense in a simulation. */
struct sim_terms {
  uint64_t *values; /* owned */
  uint64_t capacity;
};

/* A node began to lead. */
struct sim_election {
  uint64_t term;
  uint64_t at_us;
  uint8_t node;
};

/* What is known of a committed index. */
struct sim_committed {
  struct sim_link link;
  uint64_t in_term; /* the committing leader's */
  uint64_t result;  /* packed; valid up to applied_last */
  struct hash128 state;
};

/* A node as of its last event. */
struct sim_checked_node {
  const struct sim_ledger *ledger;
  uint64_t incarnation;
  uint64_t term;
  bool leads;
  uint64_t commit_index;
  uint64_t applied;
  uint64_t applied_chain;
  uint64_t said_term; /* highest that it sent where only a durable one may be */
  struct {
    uint64_t life;
    uint64_t match_index;
  } peers[SIM_NODES_MAX]; /* of a leader, in this term */
};

/* Of sim_check.matching. */
static inline uint64_t sim_check_matching_key(uint64_t index, uint64_t term) {
  return sim_mix(sim_mix(0, index), term) | 1;
}

struct sim_check {
  char violation[SIM_VIOLATION_BYTES_MAX]; /* "": none */
  uint64_t now_us;                         /* the world keeps it up to date */
  uint8_t nodes_count;
  struct sim_checked_node nodes[SIM_NODES_MAX];
  struct sim_terms leaders;              /* 1 + node + incarnation * SIM_NODES_MAX; 0: nobody */
  struct sim_terms votes[SIM_NODES_MAX]; /* 1 + for whom; 0: not voted */
  struct sim_table matching;             /* (index, term) -> chain */
  struct sim_table seqs;                 /* client id -> newest applied seq */
  struct sim_committed *committed;       /* owned; [1 .. committed_last] */
  uint64_t committed_last;
  uint64_t committed_capacity;
  uint64_t applied_last;                 /* by any node */
  uint64_t acked_index;                  /* newest acknowledged write */
  uint64_t elections;                    /* leaders ever elected */
  struct sim_election *newest_elections; /* owned; a ring of SIM_ELECTIONS_KEPT, the n-th at n % it, from 0 */
  uint64_t leader_changes;               /* elections of another node than the last leader */
  uint64_t last_leader;
};

void sim_check_init(struct sim_check *check, uint8_t nodes_count);
void sim_check_deinit(struct sim_check *check);
bool sim_check_failed(const struct sim_check *check);
/* For what others find out; `node` RAFT_NODE_NONE: no node in particular. */
void sim_check_fail(struct sim_check *check, uint8_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A new incarnation of a node begins with an empty state machine. Keeps the ledger. */
void sim_check_started(struct sim_check *check, uint8_t node, const struct sim_ledger *ledger);
/* Its disk was wiped: it does not know what it has said and whom it voted for; nobody may be led astray by that, which
 * is what election safety is about. */
void sim_check_wiped(struct sim_check *check, uint8_t node);
void sim_check_appended(struct sim_check *check, uint8_t node, uint64_t index);
void sim_check_cutting(struct sim_check *check, uint8_t node, const struct raft *core, uint64_t index);
/* A snapshot is about to be recorded; entries up to `index` are about to go. */
void sim_check_recording(struct sim_check *check, uint8_t node, struct snapshot_mark mark);
void sim_check_truncating(struct sim_check *check, uint8_t node, uint64_t index);
/* The log is about to give way to a snapshot. Returns owned: the links [0 .. mark.index] that it stands for; NULL when
 * that is wrong. */
struct sim_link *sim_check_resetting(struct sim_check *check, uint8_t node, struct snapshot_mark mark);
/* The state is that of a snapshot, from a leader or found at the start. */
void sim_check_installed(struct sim_check *check, uint8_t node, uint64_t index, struct hash128 state);
/* A start found something else than it should have. */
void sim_check_found(struct sim_check *check, uint8_t node, const struct sim_found *found);
/* A message leaves. */
void sim_check_sent(struct sim_check *check, const struct raft_message *message);
/* An event is over. */
void sim_check_stepped(struct sim_check *check, uint8_t node, const struct raft *core);
/* `state`: the state machine's digest behind this entry. */
void sim_check_applied(struct sim_check *check, uint8_t node, const struct log_entry *entry,
                       const struct apply_result *result, struct hash128 state);
/* A write was answered, or its outcome told; `command` is the hash of its bytes. Term, command: 0 when not known. */
void sim_check_acked(struct sim_check *check, uint8_t node, uint64_t index, uint64_t term, uint64_t command);
/* A read was answered from a state that has applied `index`; `acked_index` was known when it began. */
void sim_check_read(struct sim_check *check, uint8_t node, uint64_t index, uint64_t acked_index);

#endif
