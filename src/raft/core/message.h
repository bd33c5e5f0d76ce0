/* The messages of Raft as values. A request has at most one reply, of the type behind it; RAFT_TIMEOUT_NOW has none.
 * Entries themselves travel beside the message, as bytes that the core never looks at. */
#ifndef KV_RAFT_CORE_MESSAGE_H
#define KV_RAFT_CORE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  RAFT_NODES_MAX = 16, /* members of a cluster; node numbers are 0 .. nodes_count-1, by sorted id */
  RAFT_NODE_NONE = 255 /* no node: not voted, no leader */
};

enum raft_message_type {
  RAFT_APPEND,
  RAFT_APPEND_REPLY,
  RAFT_VOTE,
  RAFT_VOTE_REPLY,
  RAFT_TIMEOUT_NOW, /* leadership transfer: campaign at once */
  RAFT_READ,        /* a follower asks for a read index; the node's business, the core never sees it */
  RAFT_READ_REPLY,
  RAFT_INSTALL, /* a piece of a snapshot (thesis 5); its bytes travel beside the message */
  RAFT_INSTALL_REPLY
};

struct raft_append {
  uint64_t prev_index;
  uint64_t prev_term;
  uint64_t commit_index;  /* the leader's */
  uint64_t to_life;       /* the receiver's life as the leader knows it; 0: unknown */
  uint64_t round;         /* newest read round of this term, echoed (thesis 6.4) */
  uint32_t entries_count; /* entries prev_index+1 .. prev_index+entries_count */
  const uint64_t *terms;  /* incoming only: the entries' terms, entries_count of them, borrowed */
};

struct raft_append_reply {
  bool success;
  bool proven;             /* the sender's mark (raft_hard_state) */
  uint64_t match_index;    /* success: verified by the message and durable */
  uint64_t prev_index;     /* of the message that is answered: tells a late refusal from a fresh one */
  uint64_t conflict_index; /* refusal: where the leader should go on (thesis 3.5, extended by the term) */
  uint64_t conflict_term;  /* refusal: the term there; 0: the log is too short */
  uint64_t round;          /* echoed */
  bool disk_full;          /* the sender has no room for entries worth mentioning */
};

/* Snapshots of the same (index, term) have the same bytes on every node: a transfer may go on with another leader. */
struct raft_install {
  uint64_t index;  /* of the last entry that the snapshot covers */
  uint64_t term;   /* of that entry */
  uint64_t offset; /* of this piece in the snapshot's bytes */
  bool done;       /* it is the last piece */
};

struct raft_install_reply {
  uint64_t index;  /* echoed, like term */
  uint64_t term;   /* of the snapshot */
  uint64_t offset; /* where the leader should go on */
  bool done;       /* durable and installed, or nothing new: everything up to index is there */
};

struct raft_vote {
  bool pre;      /* would you? (thesis 9.6): changes no state */
  bool transfer; /* the leader itself asked for this election: its stickiness does not count */
  uint64_t last_index;
  uint64_t last_term;
};

struct raft_vote_reply {
  bool pre;
  bool granted;
  bool proven;        /* the voter's mark (raft_hard_state) */
  uint64_t vote_term; /* the term that was asked for */
};

struct raft_read {
  uint64_t id; /* never used twice in one life of the sender */
};

struct raft_read_reply {
  uint64_t id;      /* echoed */
  uint64_t to_life; /* the asker's life, echoed */
  bool ok;          /* false: not the leader, or it stopped being one */
  uint64_t index;   /* the read index */
};

struct raft_message {
  enum raft_message_type type;
  uint8_t from;
  uint8_t to;
  uint64_t term;       /* the sender's; of a pre-vote: the term it would campaign in */
  uint64_t life;       /* the sender's: drawn at each start, so that words from before a loss of state are told apart */
  uint64_t after_sync; /* outgoing: not before this number is durable; 0: at once */
  union {
    struct raft_append append;
    struct raft_append_reply append_reply;
    struct raft_vote vote;
    struct raft_vote_reply vote_reply;
    struct raft_read read;
    struct raft_read_reply read_reply;
    struct raft_install install;
    struct raft_install_reply install_reply;
  } as;
};

#endif
