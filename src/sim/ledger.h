/* What one node's log holds, in memory and for certain on its disk, as chains of hashes: the link at an index stands
 * for the whole log up to it, snapshots included. Kept by the simulated disk from the calls that pass through it,
 * independently of the store itself; read by the checks. One thread. */
#ifndef KV_SIM_LEDGER_H
#define KV_SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raft/core/raft.h"
#include "raft/storage/entry.h"
#include "raft/storage/storage.h"

struct sim_link {
  uint64_t term;
  uint64_t command; /* hash of its bytes */
  uint64_t chain;   /* hash of this entry and the link before */
};

/* The link of `entry` behind the chain so far (0 at the start). */
struct sim_link sim_link_make(uint64_t chain, uint64_t term, struct bytes command);
/* The same of one whose command is hashed already. */
struct sim_link sim_link_of(uint64_t chain, uint64_t term, uint64_t command);

/* A log as links; [0] stands for the empty log. What a snapshot covers is as good as an entry. */
struct sim_chain {
  struct sim_link *links; /* owned */
  uint64_t last;
  uint64_t capacity;
};

/* True when the log holds `chain` at `index` (0: always). */
static inline bool sim_chain_holds(const struct sim_chain *log, uint64_t index, uint64_t chain) {
  return index <= log->last && log->links[index].chain == chain;
}

enum sim_change_kind {
  SIM_CHANGE_STATE,    /* hard_state */
  SIM_CHANGE_ENTRY,    /* index, link */
  SIM_CHANGE_CUT,      /* index of the first that goes */
  SIM_CHANGE_SNAPSHOT, /* index, term */
  SIM_CHANGE_RESET     /* index, term */
};

/* A change that no completed sync covers yet. */
struct sim_change {
  enum sim_change_kind kind;
  uint64_t index;
  uint64_t term;
  struct sim_link link;
  struct raft_hard_state hard_state;
};

struct sim_pending_sync {
  uint64_t number;
  uint64_t changes; /* it covers those below, counted from the ledger's beginning */
};

struct sim_ledger {
  struct sim_chain log;                  /* as in memory */
  uint64_t first_index;                  /* of the entries themselves there */
  struct snapshot_mark snapshot;         /* newest one recorded, as in memory */
  struct sim_chain durable;              /* what a crash leaves at least */
  struct snapshot_mark durable_snapshot; /* newest record */
  struct snapshot_mark published;        /* newest one that is durable, recorded or not */
  struct raft_hard_state hard_state;     /* durable */
  struct sim_chain wiped; /* what was durable before the disk was wiped: promises from then may still be under way */

  struct sim_change *changes; /* owned ring */
  uint64_t changes_first, changes_end;
  uint64_t changes_capacity;      /* a power of two */
  struct sim_pending_sync *syncs; /* owned ring */
  uint64_t syncs_first, syncs_end;
  uint64_t syncs_capacity; /* a power of two */
  uint64_t *bounds;        /* owned ring: what becomes durable at once ends at one of these numbers of changes */
  uint64_t bounds_first, bounds_end;
  uint64_t bounds_capacity; /* a power of two */
};

void sim_ledger_init(struct sim_ledger *ledger);
void sim_ledger_deinit(struct sim_ledger *ledger);
void sim_ledger_append(struct sim_ledger *ledger, const struct log_entry *entry);
void sim_ledger_cut(struct sim_ledger *ledger, uint64_t index);
void sim_ledger_save(struct sim_ledger *ledger, const struct raft_hard_state *state);
void sim_ledger_snapshot(struct sim_ledger *ledger, struct snapshot_mark mark);
/* The log is what a snapshot covers: links[1] .. links[mark.index]. */
void sim_ledger_reset(struct sim_ledger *ledger, struct snapshot_mark mark, const struct sim_link *links);
/* Entries up to `index` go; of what they stand for nothing does. */
void sim_ledger_truncate(struct sim_ledger *ledger, uint64_t index);

/* A snapshot is durable: a start finds it, even if no record of it is left. */
void sim_ledger_publish(struct sim_ledger *ledger, struct snapshot_mark mark);
/* Everything up to there survives a crash: in the log, or in a snapshot. */
uint64_t sim_ledger_safe_index(const struct sim_ledger *ledger);

/* The log may write all changes so far at once, without those to come. */
void sim_ledger_bound(struct sim_ledger *ledger);
/* A sync that covers all changes so far, which is a bound. */
void sim_ledger_sync(struct sim_ledger *ledger, uint64_t number);
/* The oldest sync is durable; false when it is not the one of that number. */
bool sim_ledger_synced(struct sim_ledger *ledger, uint64_t number);

/* What a start found. */
struct sim_found {
  struct raft_hard_state hard_state;
  struct snapshot_mark snapshot;
  uint64_t first_index, last_index;
  uint64_t base_term;           /* of the entry before the first */
  const struct sim_link *links; /* term and command of the entries, the first at [0] */
};
/* True when it is what was durable, with perhaps some of the changes since, all of them up to a bound; that is durable
 * then, and *more tells whether it is more than before. False: the ledger is good for nothing but a wipe. */
bool sim_ledger_found(struct sim_ledger *ledger, const struct sim_found *found, bool *more);
void sim_ledger_wipe(struct sim_ledger *ledger);

#endif
