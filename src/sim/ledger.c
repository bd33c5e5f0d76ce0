#include "sim/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "sim/mix.h"

enum { CHAIN_CAPACITY_MIN = 1024, RING_CAPACITY_MIN = 64 };

struct sim_link sim_link_make(uint64_t chain, uint64_t term, struct bytes command) {
  uint64_t hash = hash128_of(command, 0).low;
  return (struct sim_link){term, hash, sim_mix(sim_mix(chain, term), hash)};
}

static void chain_set(struct sim_chain *log, uint64_t index, struct sim_link link) {
  if (index >= log->capacity) {
    uint64_t capacity = log->capacity == 0 ? CHAIN_CAPACITY_MIN : 2 * log->capacity;
    log->links = xrealloc(log->links, capacity * sizeof log->links[0]);
    log->links[0] = (struct sim_link){0};
    log->capacity = capacity;
  }
  log->links[index] = link;
  log->last = index;
}

static void chain_init(struct sim_chain *log) {
  *log = (struct sim_chain){0};
  chain_set(log, 0, (struct sim_link){0});
}

static void chain_copy(struct sim_chain *to, const struct sim_chain *from) {
  to->links = xrealloc(to->links, from->capacity * sizeof from->links[0]);
  memcpy(to->links, from->links, (from->last + 1) * sizeof from->links[0]);
  to->last = from->last;
  to->capacity = from->capacity;
}

void sim_ledger_init(struct sim_ledger *ledger) {
  *ledger = (struct sim_ledger){.hard_state.voted_for = RAFT_NODE_NONE};
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
}

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
  ledger->changes[ledger->changes_end++ % ledger->changes_capacity] = *change;
}

void sim_ledger_append(struct sim_ledger *ledger, const struct log_entry *entry) {
  struct sim_chain *log = &ledger->log;
  CHECK(entry->index == log->last + 1);
  struct sim_link link = sim_link_make(log->links[log->last].chain, entry->term, entry->command);
  chain_set(log, entry->index, link);
  add_change(ledger, &(struct sim_change){.index = entry->index, .link = link});
}

void sim_ledger_cut(struct sim_ledger *ledger, uint64_t index) {
  CHECK(index >= 1);
  if (index > ledger->log.last) return;
  ledger->log.last = index - 1;
  add_change(ledger, &(struct sim_change){.index = index, .cut = true});
}

void sim_ledger_save(struct sim_ledger *ledger, const struct raft_hard_state *state) {
  add_change(ledger, &(struct sim_change){.hard_state = *state});
}

void sim_ledger_sync(struct sim_ledger *ledger, uint64_t number) {
  ledger->syncs = ring_grow(ledger->syncs, ledger->syncs_first, ledger->syncs_end, &ledger->syncs_capacity,
                            sizeof ledger->syncs[0]);
  ledger->syncs[ledger->syncs_end++ % ledger->syncs_capacity] = (struct sim_pending_sync){number, ledger->changes_end};
}

static void make_durable(struct sim_ledger *ledger, const struct sim_change *change) {
  if (change->index == 0) {
    ledger->hard_state = change->hard_state;
  } else if (change->cut) {
    ledger->durable.last = change->index - 1;
  } else {
    chain_set(&ledger->durable, change->index, change->link);
  }
}

bool sim_ledger_synced(struct sim_ledger *ledger, uint64_t number) {
  if (ledger->syncs_first == ledger->syncs_end) return false;
  const struct sim_pending_sync *sync = &ledger->syncs[ledger->syncs_first % ledger->syncs_capacity];
  if (sync->number != number) return false;
  while (ledger->changes_first < sync->changes)
    make_durable(ledger, &ledger->changes[ledger->changes_first++ % ledger->changes_capacity]);
  ledger->syncs_first++;
  return true;
}

void sim_ledger_crash(struct sim_ledger *ledger) {
  ledger->changes_first = ledger->changes_end;
  ledger->syncs_first = ledger->syncs_end;
  chain_copy(&ledger->log, &ledger->durable);
}

void sim_ledger_wipe(struct sim_ledger *ledger) {
  chain_copy(&ledger->wiped, &ledger->durable);
  ledger->durable.last = 0;
  ledger->hard_state = (struct raft_hard_state){.voted_for = RAFT_NODE_NONE};
  sim_ledger_crash(ledger);
}
