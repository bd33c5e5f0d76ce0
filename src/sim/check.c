/* Elections, votes, terms, commitment; what is applied and answered stands in check_state.c. */
#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { TERMS_CAPACITY_MIN = 256, COMMITTED_CAPACITY_MIN = 1024 };

void sim_check_init(struct sim_check *check, uint8_t nodes_count) {
  CHECK(nodes_count >= 1 && nodes_count <= SIM_NODES_MAX);
  memset(check, 0, sizeof *check);
  check->nodes_count = nodes_count;
  check->newest_elections = xcalloc(SIM_ELECTIONS_KEPT, sizeof check->newest_elections[0]);
}

void sim_check_deinit(struct sim_check *check) {
  free(check->leaders.values);
  for (int i = 0; i < SIM_NODES_MAX; i++)
    free(check->votes[i].values);
  sim_table_deinit(&check->matching);
  sim_table_deinit(&check->seqs);
  free(check->committed);
  free(check->newest_elections);
}

bool sim_check_failed(const struct sim_check *check) {
  return check->violation[0] != '\0';
}

void sim_check_fail(struct sim_check *check, uint8_t node, const char *format, ...) {
  char what[SIM_VIOLATION_BYTES_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (sim_check_failed(check)) return;
  char name[16] = "";
  if (node != RAFT_NODE_NONE) snprintf(name, sizeof name, "n%u: ", node + 1u);
  snprintf(check->violation, sizeof check->violation, "at %llu.%06llu s: %s%.400s",
           (unsigned long long)(check->now_us / 1000000), (unsigned long long)(check->now_us % 1000000), name, what);
}

static uint64_t *at_term(struct sim_terms *terms, uint64_t term) {
  if (term >= terms->capacity) {
    uint64_t capacity = terms->capacity == 0 ? TERMS_CAPACITY_MIN : terms->capacity;
    while (capacity <= term)
      capacity *= 2;
    terms->values = xrealloc(terms->values, capacity * sizeof terms->values[0]);
    memset(terms->values + terms->capacity, 0, (capacity - terms->capacity) * sizeof terms->values[0]);
    terms->capacity = capacity;
  }
  return &terms->values[term];
}

void sim_check_started(struct sim_check *check, uint8_t node, const struct sim_ledger *ledger) {
  struct sim_checked_node *seen = &check->nodes[node];
  *seen =
      (struct sim_checked_node){.ledger = ledger, .incarnation = seen->incarnation + 1, .said_term = seen->said_term};
}

void sim_check_wiped(struct sim_check *check, uint8_t node) {
  check->nodes[node].said_term = 0;
  struct sim_terms *votes = &check->votes[node];
  if (votes->capacity > 0) memset(votes->values, 0, votes->capacity * sizeof votes->values[0]);
}

/* ---- the log ---- */

void sim_check_appended(struct sim_check *check, uint8_t node, uint64_t index) {
  if (sim_check_failed(check)) return;
  const struct sim_link *links = check->nodes[node].ledger->log.links;
  const struct sim_link *link = &links[index];
  if (link->term < links[index - 1].term) {
    sim_check_fail(check, node, "the term falls from %llu to %llu at index %llu of its log",
                   (unsigned long long)links[index - 1].term, (unsigned long long)link->term,
                   (unsigned long long)index);
  }
  uint64_t *chain = sim_table_at(&check->matching, sim_check_matching_key(index, link->term));
  if (*chain == 0) *chain = link->chain;
  if (*chain == link->chain) return;
  sim_check_fail(check, node,
                 "log matching: its entry at index %llu has term %llu like another node's, but differs "
                 "from it or has another log in front of it",
                 (unsigned long long)index, (unsigned long long)link->term);
}

void sim_check_cutting(struct sim_check *check, uint8_t node, const struct raft *core, uint64_t index) {
  if (sim_check_failed(check)) return;
  if (core->role == RAFT_LEADER) {
    sim_check_fail(check, node, "leader append-only: the leader of term %llu cuts its log from index %llu",
                   (unsigned long long)core->hard_state.term, (unsigned long long)index);
  }
  if (index <= check->nodes[node].commit_index) {
    sim_check_fail(check, node, "it cuts its log from index %llu, although it is committed up to %llu",
                   (unsigned long long)index, (unsigned long long)check->nodes[node].commit_index);
  }
}

/* ---- messages ---- */

static uint64_t committed_chain(const struct sim_check *check, uint64_t index) {
  return index == 0 ? 0 : check->committed[index].link.chain;
}

static void voted(struct sim_check *check, uint8_t node, uint64_t term, uint8_t candidate) {
  uint64_t *vote = at_term(&check->votes[node], term);
  if (*vote != 0 && *vote != candidate + 1u) {
    sim_check_fail(check, node, "it votes twice in term %llu: for n%llu and for n%u", (unsigned long long)term,
                   (unsigned long long)*vote, candidate + 1u);
  }
  *vote = candidate + 1u;
  const struct raft_hard_state *durable = &check->nodes[node].ledger->hard_state;
  bool on_disk = durable->term > term || (durable->term == term && durable->voted_for == candidate);
  if (on_disk) return;
  sim_check_fail(check, node, "its vote of term %llu for n%u leaves before it is durable", (unsigned long long)term,
                 candidate + 1u);
}

/* An acknowledgement of entries that a later term has replaced since is no longer on disk, and need not be. */
static void acknowledged(struct sim_check *check, const struct raft_message *message) {
  const struct sim_ledger *ledger = check->nodes[message->from].ledger;
  uint64_t match_index = message->as.append_reply.match_index;
  if (match_index <= sim_ledger_safe_index(ledger) || ledger->hard_state.term > message->term) return;
  sim_check_fail(check, message->from, "it acknowledges entries up to %llu, but only those up to %llu are durable",
                 (unsigned long long)match_index, (unsigned long long)sim_ledger_safe_index(ledger));
}

static void took_snapshot(struct sim_check *check, const struct raft_message *message) {
  uint64_t index = message->as.install_reply.index;
  if (index <= check->committed_last && index <= sim_ledger_safe_index(check->nodes[message->from].ledger)) return;
  sim_check_fail(check, message->from, "it acknowledges a snapshot of index %llu, but that is not durable",
                 (unsigned long long)index);
}

/* A pre-vote changes no state, and what concerns reads claims nothing of the sender. */
static bool speaks_of_durable_term(const struct raft_message *message) {
  switch (message->type) {
  case RAFT_APPEND:
  case RAFT_APPEND_REPLY:
  case RAFT_INSTALL:
  case RAFT_INSTALL_REPLY:
    return true;
  case RAFT_VOTE:
    return !message->as.vote.pre;
  case RAFT_VOTE_REPLY:
    return !message->as.vote_reply.pre;
  case RAFT_TIMEOUT_NOW:
  case RAFT_READ:
  case RAFT_READ_REPLY:
    break;
  }
  return false;
}

static void said_term(struct sim_check *check, uint8_t node, uint64_t term) {
  struct sim_checked_node *seen = &check->nodes[node];
  if (term > seen->ledger->hard_state.term) {
    sim_check_fail(check, node, "it speaks of term %llu before that is durable", (unsigned long long)term);
  }
  if (term < seen->said_term) {
    sim_check_fail(check, node, "it speaks of term %llu after it spoke of term %llu", (unsigned long long)term,
                   (unsigned long long)seen->said_term);
  }
  seen->said_term = term;
}

void sim_check_sent(struct sim_check *check, const struct raft_message *message) {
  if (sim_check_failed(check) || !speaks_of_durable_term(message)) return;
  said_term(check, message->from, message->term);
  if (message->type == RAFT_VOTE) voted(check, message->from, message->term, message->from);
  if (message->type == RAFT_VOTE_REPLY && message->as.vote_reply.granted) {
    voted(check, message->from, message->as.vote_reply.vote_term, message->to);
  }
  if (message->type == RAFT_APPEND_REPLY && message->as.append_reply.success) acknowledged(check, message);
  if (message->type == RAFT_INSTALL_REPLY && message->as.install_reply.done) took_snapshot(check, message);
}

/* ---- commitment ---- */

static uint64_t holders(const struct sim_check *check, uint64_t index, uint64_t chain) {
  uint64_t count = 0;
  for (uint8_t i = 0; i < check->nodes_count; i++) {
    const struct sim_ledger *ledger = check->nodes[i].ledger;
    count += sim_chain_holds(&ledger->durable, index, chain) || sim_chain_holds(&ledger->wiped, index, chain);
  }
  return count;
}

static void add_committed(struct sim_check *check, struct sim_link link, uint64_t in_term) {
  if (check->committed_last + 1 >= check->committed_capacity) {
    check->committed_capacity = check->committed_capacity == 0 ? COMMITTED_CAPACITY_MIN : 2 * check->committed_capacity;
    check->committed = xrealloc(check->committed, check->committed_capacity * sizeof check->committed[0]);
    check->committed[0] = (struct sim_committed){0};
  }
  check->committed[++check->committed_last] = (struct sim_committed){.link = link, .in_term = in_term};
}

static void extend_committed(struct sim_check *check, uint8_t node, const struct raft *core) {
  const struct sim_chain *log = &check->nodes[node].ledger->log;
  const struct sim_link *link = &log->links[core->commit_index];
  if (link->term != core->hard_state.term) {
    sim_check_fail(check, node, "it commits index %llu of term %llu by counting, in term %llu",
                   (unsigned long long)core->commit_index, (unsigned long long)link->term,
                   (unsigned long long)core->hard_state.term);
  }
  uint64_t count = holders(check, core->commit_index, link->chain);
  if (count < check->nodes_count / 2u + 1) {
    sim_check_fail(check, node, "it commits index %llu in term %llu, which only %llu of %u nodes have on disk",
                   (unsigned long long)core->commit_index, (unsigned long long)core->hard_state.term,
                   (unsigned long long)count, check->nodes_count);
  }
  while (check->committed_last < core->commit_index)
    add_committed(check, log->links[check->committed_last + 1], core->hard_state.term);
}

static void check_commit(struct sim_check *check, uint8_t node, const struct raft *core) {
  struct sim_checked_node *seen = &check->nodes[node];
  uint64_t commit = core->commit_index;
  if (commit == seen->commit_index) return;
  const struct sim_chain *log = &seen->ledger->log;
  if (commit < seen->commit_index || commit > log->last) {
    sim_check_fail(check, node, "its commit index goes from %llu to %llu, with a log up to %llu",
                   (unsigned long long)seen->commit_index, (unsigned long long)commit, (unsigned long long)log->last);
    return;
  }
  seen->commit_index = commit;
  uint64_t known = commit < check->committed_last ? commit : check->committed_last;
  if (!sim_chain_holds(log, known, committed_chain(check, known))) {
    sim_check_fail(check, node,
                   "state machine safety: it commits another entry at or before index %llu than was "
                   "committed before",
                   (unsigned long long)known);
    return;
  }
  if (commit > check->committed_last) extend_committed(check, node, core);
}

/* ---- elections ---- */

static void check_completeness(struct sim_check *check, uint8_t node, uint64_t term) {
  uint64_t index = check->committed_last;
  while (index > 0 && check->committed[index].in_term >= term)
    index--; /* a late leader of an old term need not know of what came after it */
  if (sim_chain_holds(&check->nodes[node].ledger->log, index, committed_chain(check, index))) return;
  sim_check_fail(check, node,
                 "leader completeness: the new leader of term %llu lacks what was committed up to index "
                 "%llu",
                 (unsigned long long)term, (unsigned long long)index);
}

static void elected(struct sim_check *check, uint8_t node, uint64_t term) {
  uint64_t *leader = at_term(&check->leaders, term);
  uint64_t self = 1u + node + check->nodes[node].incarnation * SIM_NODES_MAX;
  if (*leader != 0 && *leader != self) {
    sim_check_fail(check, node, "election safety: it leads in term %llu, which n%llu has led", (unsigned long long)term,
                   (unsigned long long)((*leader - 1) % SIM_NODES_MAX + 1));
    return;
  }
  if (*leader == self) return;
  *leader = self;
  check->newest_elections[check->elections++ % SIM_ELECTIONS_KEPT] =
      (struct sim_election){.term = term, .at_us = check->now_us, .node = node};
  if (check->last_leader != 0 && check->last_leader != node + 1u) check->leader_changes++;
  check->last_leader = node + 1u;
  check_completeness(check, node, term);
}

/* In one life a peer loses nothing, so a late or doubled answer must not take back what a newer one has told. */
static void check_peers(struct sim_check *check, uint8_t node, const struct raft *core) {
  struct sim_checked_node *seen = &check->nodes[node];
  for (uint8_t i = 0; i < check->nodes_count; i++) {
    const struct raft_peer *peer = &core->peers[i];
    if (seen->peers[i].life == peer->life && peer->match_index < seen->peers[i].match_index) {
      sim_check_fail(check, node, "its match index of n%u goes back from %llu to %llu", i + 1u,
                     (unsigned long long)seen->peers[i].match_index, (unsigned long long)peer->match_index);
    }
    seen->peers[i].life = peer->life;
    seen->peers[i].match_index = peer->match_index;
  }
}

void sim_check_stepped(struct sim_check *check, uint8_t node, const struct raft *core) {
  if (sim_check_failed(check)) return;
  struct sim_checked_node *seen = &check->nodes[node];
  bool leads = core->role == RAFT_LEADER;
  uint64_t term = core->hard_state.term;
  if (term < seen->term) {
    sim_check_fail(check, node, "its term goes back from %llu to %llu", (unsigned long long)seen->term,
                   (unsigned long long)term);
  }
  if (leads && (!seen->leads || term != seen->term)) {
    memset(seen->peers, 0, sizeof seen->peers);
    elected(check, node, term);
  }
  if (leads) check_peers(check, node, core);
  seen->leads = leads;
  seen->term = term;
  check_commit(check, node, core);
}
