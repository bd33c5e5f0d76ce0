/* The Raft core: consensus as a pure function of its events (Ongaro's thesis; sections are cited where they are
 * implemented).
 *
 * It touches no clock, file, socket, allocator or global. Time and randomness come in with each event; the log is read
 * through a view that the owner keeps; what must happen outside comes out as a `struct raft_output`. The same (config,
 * hard state, log, events) give the same outputs.
 *
 * The owner's contract, in this order for each step:
 *   1. carry out `truncate_from` or `install`, then append what `append` says to the log view (in memory), and remember
 * the new hard state;
 *   2. hand both to the disk under the number `sync`, in order; when everything up to a number is durable, step
 * RAFT_EVENT_SYNCED;
 *   3. send the messages: at once when `after_sync` is 0, else not before that number is durable;
 *   4. apply committed entries up to `commit_index`, whenever it likes, in order.
 * Snapshots are the owner's business: it takes them, and cuts the log's prefix behind them, when it likes; it sends
 * pieces of the newest one to peers in RAFT_PEER_SNAPSHOT (RAFT_INSTALL; the replies go through here), and answers
 * those that it is told to take. The core says when that is, and what becomes of the log.
 *
 * AppendEntries leave only on RAFT_EVENT_FLUSH, which the owner steps once at the end of each turn: so a turn's
 * proposals, acknowledgements and read rounds travel in one message per peer, while the own disk still writes
 * (thesis 10.2.1).
 *
 * What must be durable before what (each has a spec of its own):
 *   - a vote request or reply: term, vote and every entry appended before it;
 *   - an acknowledgement of entries: those entries and the term; a heartbeat's acknowledgement: the term only, and it
 * claims no entry that is not durable;
 *   - the leader's own match: its own disk's word.
 *
 * Threads: one owner. Memory: sizeof(struct raft), nothing else. */
#ifndef KV_RAFT_CORE_RAFT_H
#define KV_RAFT_CORE_RAFT_H

#include "raft/core/message.h"

enum {
  RAFT_INFLIGHT_MAX = 64, /* unacknowledged AppendEntries with entries per peer */
  RAFT_MESSAGES_MAX = 64  /* messages of one output; what does not fit goes with the next flush */
};

/* A message of a later term is no message: terms never wrap around. */
#define RAFT_TERM_MAX (UINT64_MAX / 2)
/* Nor is one of a term so far above the own: elections do not lead there, and one such word, which every node would
 * take over for good, would leave no terms to elect in. A node without state joins any cluster up to this term. */
#define RAFT_TERM_JUMP_MAX (UINT64_C(1) << 32)

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* ---- what the owner gives ---- */

/* The log, read-only: entries first_index .. last_index. */
struct raft_log_view {
  void *context;
  /* 1, or more when a snapshot covers what is before it. It may rise between steps, up to the newest snapshot. */
  uint64_t (*first_index)(void *context);
  /* The term of an existing entry, or of the one before first_index. */
  uint64_t (*term_at)(void *context, uint64_t index);
  /* The largest hi <= last such that entries lo..hi have at most bytes_max bytes; at least lo. */
  uint64_t (*batch_end)(void *context, uint64_t lo, uint64_t last, uint64_t bytes_max);
};

struct raft_config {
  uint8_t self;
  uint8_t nodes_count;        /* 1 .. RAFT_NODES_MAX */
  uint8_t fixed_leader;       /* RAFT_NODE_NONE: elections; else that node leads, in a new term at each start */
  uint32_t heartbeat_ms;      /* > 0 */
  uint32_t election_min_ms;   /* > heartbeat_ms */
  uint32_t election_max_ms;   /* > election_min_ms; timeouts are drawn from [min, max) */
  uint32_t inflight_max;      /* 1 .. RAFT_INFLIGHT_MAX */
  uint64_t message_bytes_max; /* entry bytes of one AppendEntries; a single larger entry still travels */
  struct raft_log_view log;
};

/* One durable record (DESIGN.md, Durable first). */
struct raft_hard_state {
  uint64_t term;
  uint8_t voted_for; /* RAFT_NODE_NONE: nobody in this term */
  /* A node that lost, or never had, its state may have acknowledged entries, and given votes, that it no longer knows
   * of. Until a leader has matched it up to an entry of that leader's term which is committed (by then it holds
   * whatever was ever committed), it counts for less: raft_can_decide. */
  bool proven;
};

/* Where a start begins: what recovery found. */
struct raft_start {
  struct raft_hard_state hard_state;
  uint64_t snapshot_index; /* of the newest snapshot, which is within the log or its end; 0: none */
  uint64_t last_index;     /* of the durable log; 0: empty */
  uint64_t last_term;
  bool unsynced; /* term and vote are not known to be durable: disk work number 1, which the owner begins, makes them so
                  */
  uint64_t life; /* not 0; no two starts of a node have the same: what one of them says is not taken for another's */
};

/* ---- events ---- */

enum raft_event_type {
  RAFT_EVENT_TIMEOUT,   /* the deadline of the last output passed (early or late does no harm) */
  RAFT_EVENT_MESSAGE,   /* `message`, valid in form, from another member of this cluster */
  RAFT_EVENT_PROPOSE,   /* `count` new entries; accepted only by a leader that is not handing over */
  RAFT_EVENT_READ,      /* a read (or several, of one turn) asks for its index */
  RAFT_EVENT_FLUSH,     /* end of turn: AppendEntries leave */
  RAFT_EVENT_SYNCED,    /* all disk work up to `sync` is durable; the log then ended at `index` */
  RAFT_EVENT_PEER_DOWN, /* the link to `peer` broke: what was in flight is lost */
  RAFT_EVENT_TRANSFER,  /* hand leadership to `peer` (thesis 3.10) */
  RAFT_EVENT_LEARN,     /* the leader of `term` answered a read: `index` is committed there */
  RAFT_EVENT_SNAPSHOT,  /* a snapshot up to (`index`, `term`), own or a leader's, is durable here */
  RAFT_EVENT_DISK       /* whether there is room for entries: `disk_full` */
};

struct raft_event {
  enum raft_event_type type;
  uint64_t now_ms; /* monotonic, never below the last event's */
  uint64_t random; /* 64 fresh random bits */
  const struct raft_message *message;
  uint32_t count;
  uint8_t peer;
  uint64_t sync;
  uint64_t index;
  uint64_t term;
  bool disk_full;
};

/* ---- outputs ---- */

enum raft_append_source { RAFT_APPEND_NONE, RAFT_APPEND_NOOP, RAFT_APPEND_PROPOSED, RAFT_APPEND_RECEIVED };

enum raft_install_action {
  RAFT_INSTALL_NONE,
  RAFT_INSTALL_TAKE, /* the message's piece of a snapshot is to be taken, and answered by the owner */
  RAFT_INSTALL_KEEP, /* SNAPSHOT: the log holds (index, term); the state up to there is the snapshot's */
  RAFT_INSTALL_RESET /* SNAPSHOT: the log is to be empty and end at (index, term); the state is the snapshot's */
};

struct raft_output {
  uint64_t sync; /* the number of this step's disk work; 0: none */
  bool hard_state_changed;
  struct raft_hard_state hard_state;
  uint64_t truncate_from;         /* entries from here on go; 0: none */
  enum raft_append_source append; /* what to append, behind the truncation */
  uint64_t append_index;          /* index of the first appended entry */
  uint32_t append_count;
  uint32_t append_skip; /* RECEIVED: the message's first entries that are already there */
  uint64_t append_term; /* NOOP, PROPOSED */
  enum raft_install_action install;

  uint32_t messages_count;
  struct raft_message messages[RAFT_MESSAGES_MAX];

  uint64_t commit_index;    /* never goes back */
  bool accepted;            /* PROPOSE: appended. READ: `read_*` are set */
  uint64_t read_round;      /* READ: confirmed once confirmed_round reaches it in the same term */
  uint64_t read_index;      /* READ: the index that the read must see */
  uint64_t confirmed_round; /* leader: newest round that a quorum answered */
  bool leader_changed;      /* role, term or known leader changed: waiting reads start over */
  uint64_t deadline_ms;     /* when to step TIMEOUT at the latest */
};

/* ---- state: read it for status and checkers; only the core writes it ---- */

enum raft_peer_state {
  RAFT_PEER_PROBE,
  RAFT_PEER_REPLICATE,
  RAFT_PEER_SNAPSHOT /* what it lacks is not in the log any more: the owner sends pieces of a snapshot */
};

struct raft_peer {
  enum raft_peer_state state;
  uint64_t match_index; /* known durable there; monotonic within a term */
  uint64_t next_index;  /* > match_index */
  uint64_t contact_ms;  /* last reply of this term */
  uint64_t acked_round; /* newest read round it answered */
  uint64_t sent_round;  /* newest read round it was told */
  uint64_t life;        /* the one that match_index speaks of; 0: none yet */
  uint64_t life_round;  /* rounds from this one on were begun after that life was heard of */
  bool proven;          /* the mark of that life */
  uint64_t early_life;  /* the last one heard of before this leader took office; 0: none */
  bool probe_sent;      /* PROBE: one message at a time, until a reply or the next heartbeat */
  bool heartbeat_due;
  bool disk_full;          /* as it last said */
  uint32_t inflight_count; /* REPLICATE: ring of the last indices in flight */
  uint32_t inflight_first;
  uint64_t inflight[RAFT_INFLIGHT_MAX];
};

struct raft {
  struct raft_config config;
  uint64_t life;
  enum raft_role role;
  struct raft_hard_state hard_state;
  uint8_t leader; /* of this term, RAFT_NODE_NONE when unknown */
  uint64_t last_index;
  uint64_t last_term;
  uint64_t commit_index;
  uint64_t verified_index; /* follower: the log up to here equals the leader's of this term */

  uint64_t sync_next;     /* number of the next disk work */
  uint64_t synced;        /* all up to here is durable */
  uint64_t term_sync;     /* the work that carries the current term and vote */
  uint64_t truncate_sync; /* the work that carries the newest truncation */
  uint64_t truncate_low;  /* lowest truncation not yet durable; 0: none */
  uint64_t durable_index; /* the own log is durable up to here */

  uint64_t election_deadline_ms;
  uint64_t leader_contact_ms; /* follower: last word from the leader; 0: never */
  uint64_t heartbeat_deadline_ms;
  uint64_t votes;        /* bit per node that granted, candidate or pre-candidate */
  uint64_t proven_votes; /* those of them that are proven */

  uint64_t term_first_index; /* leader: index of the no-op of its term */
  uint64_t round;            /* leader: newest read round */
  uint64_t confirmed_round;
  uint8_t transfer_to;
  bool transfer_sent;
  bool disk_full; /* this node has no room for entries worth mentioning */
  uint64_t transfer_deadline_ms;
  uint64_t now_ms; /* of the last event */
  uint64_t random; /* of the last event */
  struct raft_peer peers[RAFT_NODES_MAX];
};

/* Starts a node. Config and start are copied. The first output (deadline, and for a fixed leader its new term) comes
 * from a TIMEOUT event. */
void raft_init(struct raft *raft, const struct raft_config *config, const struct raft_start *start, uint64_t now_ms,
               uint64_t random);

/* One event. `out` is overwritten as a whole. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_output *out);

/* Whether this leader, and a majority with it, have room for more entries; as far as they said. */
bool raft_has_room(const struct raft *raft);
/* Members needed for a decision: n/2 + 1. */
uint32_t raft_quorum(uint32_t nodes_count);
const char *raft_role_name(enum raft_role role); /* "leader", "follower", "candidate" (also for a pre-candidate) */

#endif
