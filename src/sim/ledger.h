/* What one node's log holds, in memory and for certain on its disk, as chains of hashes: the link at an index stands
 * for the whole log up to it. Kept by the simulated disk from the calls that pass through it, independently of the
 * store itself; read by the checks. One thread. */
#ifndef KV_SIM_LEDGER_H
#define KV_SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raft/core/raft.h"
#include "raft/storage/entry.h"

struct sim_link {
  uint64_t term;
  uint64_t command; /* hash of its bytes */
  uint64_t chain;   /* hash of this entry and the link before */
};

/* The link of `entry` behind the chain so far (0 at the start). */
struct sim_link sim_link_make(uint64_t chain, uint64_t term, struct bytes command);

/* A log as links; [0] stands for the empty log. */
struct sim_chain {
  struct sim_link *links; /* owned */
  uint64_t last;
  uint64_t capacity;
};

/* True when the log holds `chain` at `index` (0: always). */
static inline bool sim_chain_holds(const struct sim_chain *log, uint64_t index, uint64_t chain) {
  return index <= log->last && log->links[index].chain == chain;
}

/* A change that no completed sync covers yet. */
struct sim_change {
  uint64_t index; /* of the entry; of the first that was cut; 0: hard state */
  bool cut;
  struct sim_link link;
  struct raft_hard_state hard_state;
};

struct sim_pending_sync {
  uint64_t number;
  uint64_t changes; /* it covers those below, counted from the start of this incarnation */
};

struct sim_ledger {
  struct sim_chain log;     /* as in memory */
  struct sim_chain durable; /* what a crash leaves */
  struct sim_chain wiped;   /* what was durable before the disk was wiped: promises from then may still be under way */
  struct raft_hard_state hard_state; /* durable */
  struct sim_change *changes;        /* owned ring */
  uint64_t changes_first, changes_end;
  uint64_t changes_capacity;      /* a power of two */
  struct sim_pending_sync *syncs; /* owned ring */
  uint64_t syncs_first, syncs_end;
  uint64_t syncs_capacity; /* a power of two */
};

void sim_ledger_init(struct sim_ledger *ledger);
void sim_ledger_deinit(struct sim_ledger *ledger);
void sim_ledger_append(struct sim_ledger *ledger, const struct log_entry *entry);
void sim_ledger_cut(struct sim_ledger *ledger, uint64_t index);
void sim_ledger_save(struct sim_ledger *ledger, const struct raft_hard_state *state);
void sim_ledger_sync(struct sim_ledger *ledger, uint64_t number);
/* The oldest sync is durable; false when it is not the one of that number. */
bool sim_ledger_synced(struct sim_ledger *ledger, uint64_t number);
void sim_ledger_crash(struct sim_ledger *ledger);
void sim_ledger_wipe(struct sim_ledger *ledger);

#endif
