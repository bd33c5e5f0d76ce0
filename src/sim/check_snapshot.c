/* What snapshots stand for, and what a damaged disk may still hold. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/check.h"

static bool is_committed(const struct sim_check *check, struct snapshot_mark mark) {
  return mark.index >= 1 && mark.index <= check->committed_last && check->committed[mark.index].link.term == mark.term;
}

void sim_check_recording(struct sim_check *check, uint8_t node, struct snapshot_mark mark) {
  if (sim_check_failed(check) || is_committed(check, mark)) return;
  sim_check_fail(check, node, "snapshots: it records one of index %llu and term %llu, which are not committed",
                 (unsigned long long)mark.index, (unsigned long long)mark.term);
}

void sim_check_truncating(struct sim_check *check, uint8_t node, uint64_t index) {
  const struct sim_ledger *ledger = check->nodes[node].ledger;
  if (sim_check_failed(check) || index <= ledger->snapshot.index) return;
  sim_check_fail(check, node, "snapshots: entries up to %llu go, but its newest one covers those up to %llu",
                 (unsigned long long)index, (unsigned long long)ledger->snapshot.index);
}

static const char *why_not_reset(const struct sim_check *check, uint8_t node, struct snapshot_mark mark) {
  const struct sim_checked_node *seen = &check->nodes[node];
  if (!is_committed(check, mark)) return "is not committed";
  if (seen->leads) return "comes to a leader";
  if (mark.index <= seen->commit_index) return "is behind what it knows to be committed";
  uint64_t chain = check->committed[mark.index].link.chain;
  return sim_chain_holds(&seen->ledger->log, mark.index, chain) ? "matches its log" : NULL;
}

struct sim_link *sim_check_resetting(struct sim_check *check, uint8_t node, struct snapshot_mark mark) {
  if (sim_check_failed(check)) return NULL;
  const char *why = why_not_reset(check, node, mark);
  if (why != NULL) {
    sim_check_fail(check, node, "snapshots: its log gives way to one of index %llu, which %s",
                   (unsigned long long)mark.index, why);
    return NULL;
  }
  struct sim_link *links = xcalloc(mark.index + 1, sizeof links[0]);
  for (uint64_t i = 1; i <= mark.index; i++)
    links[i] = check->committed[i].link;
  return links;
}

void sim_check_installed(struct sim_check *check, uint8_t node, uint64_t index, struct hash128 state) {
  if (sim_check_failed(check)) return;
  struct sim_checked_node *seen = &check->nodes[node];
  if (index > check->applied_last) {
    sim_check_fail(check, node, "snapshots: it has the state of index %llu, which nobody has applied",
                   (unsigned long long)index);
  } else if (index < seen->applied) {
    sim_check_fail(check, node, "snapshots: its applied index goes back from %llu to %llu",
                   (unsigned long long)seen->applied, (unsigned long long)index);
  } else if (!hash128_equal(check->committed[index].state, state)) {
    sim_check_fail(check, node, "state machine safety: its snapshot's state at index %llu is not that of other nodes",
                   (unsigned long long)index);
  } else {
    seen->applied = index;
    seen->applied_chain = check->committed[index].link.chain;
  }
}

void sim_check_found(struct sim_check *check, uint8_t node, const struct sim_found *found) {
  if (sim_check_failed(check)) return;
  uint64_t before = found->first_index - 1;
  if (before > check->committed_last) {
    sim_check_fail(check, node, "damage: it starts with a log behind index %llu, which is not committed",
                   (unsigned long long)before);
    return;
  }
  uint64_t chain = before == 0 ? 0 : check->committed[before].link.chain;
  for (uint64_t i = found->first_index; i <= found->last_index; i++) {
    const struct sim_link *link = &found->links[i - found->first_index];
    chain = sim_link_of(chain, link->term, link->command).chain;
    if (*sim_table_at(&check->matching, sim_check_matching_key(i, link->term)) == chain) continue;
    sim_check_fail(check, node, "damage: it starts with an entry at index %llu that nobody has written",
                   (unsigned long long)i);
    return;
  }
}
