#include "sim/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "sim/mix.h"

enum { CHAIN_CAPACITY_MIN = 1024, RING_CAPACITY_MIN = 64 };

struct sim_link sim_link_of(uint64_t chain, uint64_t term, uint64_t command) {
  return (struct sim_link){term, command, sim_mix(sim_mix(chain, term), command)};
}

struct sim_link sim_link_make(uint64_t chain, uint64_t term, struct bytes command) {
  return sim_link_of(chain, term, hash128_of(command, 0).low);
}

/* ---- chains ---- */

static void chain_reserve(struct sim_chain *log, uint64_t index) {
  if (index < log->capacity) return;
  uint64_t capacity = log->capacity == 0 ? CHAIN_CAPACITY_MIN : log->capacity;
  while (capacity <= index)
    capacity *= 2;
  log->links = xrealloc(log->links, capacity * sizeof log->links[0]);
  log->capacity = capacity;
}

static void chain_set(struct sim_chain *log, uint64_t index, struct sim_link link) {
  chain_reserve(log, index);
  log->links[index] = link;
  log->last = index;
}

static void chain_init(struct sim_chain *log) {
  *log = (struct sim_chain){0};
  chain_set(log, 0, (struct sim_link){0});
}

/* The log is links[0 .. last]. */
static void chain_take(struct sim_chain *log, const struct sim_link *links, uint64_t last) {
  chain_reserve(log, last);
  memcpy(log->links + 1, links + 1, last * sizeof links[0]);
  log->last = last;
}

/* ---- life ---- */

void sim_ledger_init(struct sim_ledger *ledger) {
  *ledger = (struct sim_ledger){.first_index = 1, .hard_state.voted_for = RAFT_NODE_NONE};
  chain_init(&ledger->log);
  chain_init(&ledger->durable);
  chain_init(&ledger->wiped);
}

void sim_ledger_deinit(struct sim_ledger *ledger) {
  free(ledger->log.links);
  free(ledger->durable.links);
  free(ledger->wiped.links);
  free(ledger->changes);
  free(ledger->syncs);
  free(ledger->bounds);
}

/* ---- changes ---- */

/* Doubles a full ring of `size`-byte items; the place of item i is i modulo the capacity, a power of two. */
static void *ring_grow(void *ring, uint64_t first, uint64_t end, uint64_t *capacity, size_t size) {
  if (end - first < *capacity) return ring;
  uint64_t larger = *capacity == 0 ? RING_CAPACITY_MIN : 2 * *capacity;
  char *grown = xmalloc(larger * size);
  for (uint64_t i = first; i < end; i++)
    memcpy(grown + (i & (larger - 1)) * size, (char *)ring + (i & (*capacity - 1)) * size, size);
  free(ring);
  *capacity = larger;
  return grown;
}

static void add_change(struct sim_ledger *ledger, const struct sim_change *change) {
  ledger->changes = ring_grow(ledger->changes, ledger->changes_first, ledger->changes_end, &ledger->changes_capacity,
                              sizeof ledger->changes[0]);
  ledger->changes[ledger->changes_end++ & (ledger->changes_capacity - 1)] = *change;
}

void sim_ledger_append(struct sim_ledger *ledger, const struct log_entry *entry) {
  struct sim_chain *log = &ledger->log;
  CHECK(entry->index == log->last + 1);
  struct sim_link link = sim_link_make(log->links[log->last].chain, entry->term, entry->command);
  chain_set(log, entry->index, link);
  add_change(ledger, &(struct sim_change){.kind = SIM_CHANGE_ENTRY, .index = entry->index, .link = link});
}

void sim_ledger_cut(struct sim_ledger *ledger, uint64_t index) {
  CHECK(index >= 1);
  if (index > ledger->log.last) return;
  ledger->log.last = index - 1;
  add_change(ledger, &(struct sim_change){.kind = SIM_CHANGE_CUT, .index = index});
}

void sim_ledger_save(struct sim_ledger *ledger, const struct raft_hard_state *state) {
  add_change(ledger, &(struct sim_change){.kind = SIM_CHANGE_STATE, .hard_state = *state});
}

void sim_ledger_snapshot(struct sim_ledger *ledger, struct snapshot_mark mark) {
  ledger->snapshot = mark;
  add_change(ledger, &(struct sim_change){.kind = SIM_CHANGE_SNAPSHOT, .index = mark.index, .term = mark.term});
}

void sim_ledger_reset(struct sim_ledger *ledger, struct snapshot_mark mark, const struct sim_link *links) {
  chain_take(&ledger->log, links, mark.index);
  ledger->first_index = mark.index + 1;
  ledger->snapshot = mark;
  add_change(ledger, &(struct sim_change){.kind = SIM_CHANGE_RESET, .index = mark.index, .term = mark.term});
}

void sim_ledger_truncate(struct sim_ledger *ledger, uint64_t index) {
  if (index >= ledger->first_index) ledger->first_index = index + 1;
}

/* ---- durability ---- */

void sim_ledger_publish(struct sim_ledger *ledger, struct snapshot_mark mark) {
  if (mark.index > ledger->published.index) ledger->published = mark;
}

uint64_t sim_ledger_safe_index(const struct sim_ledger *ledger) {
  uint64_t last = ledger->durable.last, published = ledger->published.index;
  return last > published ? last : published;
}

void sim_ledger_bound(struct sim_ledger *ledger) {
  bool known = ledger->bounds_end > ledger->bounds_first &&
               ledger->bounds[(ledger->bounds_end - 1) & (ledger->bounds_capacity - 1)] == ledger->changes_end;
  if (known || ledger->changes_first == ledger->changes_end) return;
  ledger->bounds = ring_grow(ledger->bounds, ledger->bounds_first, ledger->bounds_end, &ledger->bounds_capacity,
                             sizeof ledger->bounds[0]);
  ledger->bounds[ledger->bounds_end++ & (ledger->bounds_capacity - 1)] = ledger->changes_end;
}

void sim_ledger_sync(struct sim_ledger *ledger, uint64_t number) {
  sim_ledger_bound(ledger);
  ledger->syncs = ring_grow(ledger->syncs, ledger->syncs_first, ledger->syncs_end, &ledger->syncs_capacity,
                            sizeof ledger->syncs[0]);
  ledger->syncs[ledger->syncs_end++ & (ledger->syncs_capacity - 1)] =
      (struct sim_pending_sync){number, ledger->changes_end};
}

/* What a reset brings is committed: nobody has changed it in memory since. */
static void make_durable(struct sim_ledger *ledger, const struct sim_change *change) {
  switch (change->kind) {
  case SIM_CHANGE_STATE:
    ledger->hard_state = change->hard_state;
    return;
  case SIM_CHANGE_ENTRY:
    chain_set(&ledger->durable, change->index, change->link);
    return;
  case SIM_CHANGE_CUT:
    ledger->durable.last = change->index - 1;
    return;
  case SIM_CHANGE_RESET:
    chain_take(&ledger->durable, ledger->log.links, change->index);
    break;
  case SIM_CHANGE_SNAPSHOT:
    break;
  }
  ledger->durable_snapshot = (struct snapshot_mark){change->index, change->term};
}

static void make_durable_until(struct sim_ledger *ledger, uint64_t changes) {
  while (ledger->changes_first < changes)
    make_durable(ledger, &ledger->changes[ledger->changes_first++ & (ledger->changes_capacity - 1)]);
  while (ledger->bounds_first < ledger->bounds_end &&
         ledger->bounds[ledger->bounds_first & (ledger->bounds_capacity - 1)] <= changes)
    ledger->bounds_first++;
}

bool sim_ledger_synced(struct sim_ledger *ledger, uint64_t number) {
  if (ledger->syncs_first == ledger->syncs_end) return false;
  const struct sim_pending_sync *sync = &ledger->syncs[ledger->syncs_first & (ledger->syncs_capacity - 1)];
  if (sync->number != number) return false;
  make_durable_until(ledger, sync->changes);
  ledger->syncs_first++;
  return true;
}

/* ---- starts ---- */

static bool agrees(const struct sim_ledger *ledger, const struct sim_found *found) {
  const struct raft_hard_state *state = &ledger->hard_state;
  const struct sim_chain *log = &ledger->durable;
  if (found->hard_state.term != state->term || found->hard_state.voted_for != state->voted_for ||
      found->hard_state.proven != state->proven) {
    return false;
  }
  if (found->snapshot.index != ledger->durable_snapshot.index || found->snapshot.term != ledger->durable_snapshot.term)
    return false;
  if (found->last_index != log->last || found->first_index > found->snapshot.index + 1) return false;
  if (found->base_term != log->links[found->first_index - 1].term) return false;
  for (uint64_t i = found->last_index; i >= found->first_index; i--) {
    const struct sim_link *link = &found->links[i - found->first_index];
    if (link->term != log->links[i].term || link->command != log->links[i].command) return false;
  }
  return true;
}

/* Memory and disk are the same; nothing is pending. */
static void settle(struct sim_ledger *ledger, uint64_t first_index) {
  ledger->changes_first = ledger->changes_end;
  ledger->syncs_first = ledger->syncs_end;
  ledger->bounds_first = ledger->bounds_end;
  chain_take(&ledger->log, ledger->durable.links, ledger->durable.last);
  ledger->first_index = first_index;
  ledger->snapshot = ledger->durable_snapshot;
}

bool sim_ledger_found(struct sim_ledger *ledger, const struct sim_found *found, bool *more) {
  *more = false;
  while (!agrees(ledger, found)) {
    if (ledger->bounds_first == ledger->bounds_end) return false;
    make_durable_until(ledger, ledger->bounds[ledger->bounds_first & (ledger->bounds_capacity - 1)]);
    *more = true;
  }
  settle(ledger, found->first_index);
  return true;
}

void sim_ledger_wipe(struct sim_ledger *ledger) {
  chain_take(&ledger->wiped, ledger->durable.links, ledger->durable.last);
  ledger->durable.last = 0;
  ledger->durable_snapshot = ledger->published = (struct snapshot_mark){0};
  ledger->hard_state = (struct raft_hard_state){.voted_for = RAFT_NODE_NONE};
  settle(ledger, 1);
}
