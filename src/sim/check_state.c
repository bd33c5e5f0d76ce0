/* What is applied and what is answered. */
#include "sim/check.h"

#include "base/check.h"
#include "types/command.h"

static uint64_t pack_result(const struct apply_result *result) {
  uint64_t bits = (uint64_t)result->ok | (uint64_t)result->has_deleted << 1 | (uint64_t)result->err_code << 2 |
                  (uint64_t)result->replay << 8;
  return bits | result->deleted << 16;
}

/* The first node to apply an entry decides what it gives; `result` must fit what the client had done before. */
static void check_once(struct sim_check *check, uint8_t node, const struct log_entry *entry,
                       const struct apply_result *result) {
  struct command command;
  if (entry->command.len == 0) return;
  CHECK(command_decode(entry->command, &command) == STATUS_OK);
  if (command.client_id.len == 0 || command.seq == 0 || result->err_code == ERR_BAD_REQUEST) return;
  uint64_t *newest = sim_table_at(&check->seqs, hash128_of(command.client_id, 0).low | 1);
  bool applied = result->replay == REPLAY_NONE;
  if (applied == (command.seq > *newest)) {
    if (applied) *newest = command.seq;
    return;
  }
  sim_check_fail(check, node, "exactly once: seq %llu of client %.*s is %s at index %llu, its newest was %llu",
                 (unsigned long long)command.seq, (int)command.client_id.len, (const char *)command.client_id.data,
                 applied ? "applied again" : "taken for a duplicate", (unsigned long long)entry->index,
                 (unsigned long long)*newest);
}

static void check_entry(struct sim_check *check, struct sim_checked_node *seen, uint8_t node,
                        const struct log_entry *entry) {
  if (entry->index != seen->applied + 1) {
    sim_check_fail(check, node, "it applies index %llu after index %llu", (unsigned long long)entry->index,
                   (unsigned long long)seen->applied);
  }
  if (entry->index > check->committed_last) {
    sim_check_fail(check, node, "it applies index %llu, which is not committed", (unsigned long long)entry->index);
    return;
  }
  seen->applied = entry->index;
  seen->applied_chain = sim_link_make(seen->applied_chain, entry->term, entry->command).chain;
  if (seen->applied_chain == check->committed[entry->index].link.chain) return;
  sim_check_fail(check, node, "state machine safety: it applies another entry at index %llu than was committed",
                 (unsigned long long)entry->index);
}

void sim_check_applied(struct sim_check *check, uint8_t node, const struct log_entry *entry,
                       const struct apply_result *result, struct hash128 state) {
  if (sim_check_failed(check)) return;
  check_entry(check, &check->nodes[node], node, entry);
  if (sim_check_failed(check)) return;
  struct sim_committed *committed = &check->committed[entry->index];
  if (entry->index > check->applied_last) {
    check->applied_last = entry->index;
    committed->result = pack_result(result);
    committed->state = state;
    check_once(check, node, entry, result);
    return;
  }
  if (committed->result != pack_result(result)) {
    sim_check_fail(check, node, "state machine safety: index %llu gives another result than on other nodes",
                   (unsigned long long)entry->index);
  }
  if (!hash128_equal(committed->state, state)) {
    sim_check_fail(check, node, "state machine safety: its state at index %llu is not that of other nodes",
                   (unsigned long long)entry->index);
  }
}

static bool is_write(const struct sim_link *link, uint64_t term, uint64_t command) {
  return (term == 0 || link->term == term) && (command == 0 || link->command == command);
}

void sim_check_acked(struct sim_check *check, uint8_t node, uint64_t index, uint64_t term, uint64_t command) {
  if (sim_check_failed(check)) return;
  bool known = index >= 1 && index <= check->committed_last;
  if (known && index > check->acked_index) check->acked_index = index;
  if (known && is_write(&check->committed[index].link, term, command)) return;
  sim_check_fail(check, node, "it acknowledges a write at index %llu of term %llu, which is not in the committed log",
                 (unsigned long long)index, (unsigned long long)term);
}

void sim_check_read(struct sim_check *check, uint8_t node, uint64_t index, uint64_t acked_index) {
  if (sim_check_failed(check) || index >= acked_index) return;
  sim_check_fail(check, node,
                 "stale read: it answers from index %llu, although index %llu was acknowledged before the "
                 "read began",
                 (unsigned long long)index, (unsigned long long)acked_index);
}
