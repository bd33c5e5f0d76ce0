/* What a Raft node counts beside its work, for whoever watches it: since it was created, by raft/node*.c. Nothing
 * depends on it, and the core, which is pure, knows nothing of it. */
#ifndef KV_RAFT_FIGURES_H
#define KV_RAFT_FIGURES_H

#include "metrics/histogram.h"

struct raftnode_figures {
  uint64_t elections_started; /* by this node; not those that only asked whether it could win */
  uint64_t elections_won;
  uint64_t leader_changes;       /* another leader than the last one became known */
  uint64_t proposals;            /* taken */
  uint64_t proposals_overloaded; /* refused */
  uint64_t proposals_disk_full;
  uint64_t reads_overloaded;
  uint64_t applied; /* entries */
  uint64_t snapshot_sent_bytes;
  uint64_t snapshot_received_bytes;
  /* Durations; empty without a clock. */
  struct histogram commit;   /* leader: from an entry's append to its commit, each entry */
  struct histogram apply;    /* one batch of committed entries, read and applied */
  struct histogram snapshot; /* an own snapshot, from its view of the state to the file on disk */
};

#endif
