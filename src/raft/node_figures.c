/* Counting what the core decided, from outside of it, and how long entries take to be committed: batches that were
 * appended and are not committed yet stand in a ring with the time of their append. */
#include "raft/node_state.h"

uint64_t raftnode_clock_us(const struct raftnode *node) {
  return node->options.clock_us != NULL ? node->options.clock_us() : 0;
}

void raftnode_count_step(struct raftnode *node, enum raft_role role_before, uint64_t term_before) {
  const struct raft *core = &node->core;
  struct raftnode_figures *figures = &node->figures;
  bool elects = core->config.fixed_leader == RAFT_NODE_NONE;
  bool stands = core->role == RAFT_CANDIDATE || core->role == RAFT_LEADER;
  if (elects && stands && core->hard_state.term > term_before) figures->elections_started++;
  if (elects && core->role == RAFT_LEADER && role_before != RAFT_LEADER) figures->elections_won++;
  if (core->leader == RAFT_NODE_NONE || core->leader == node->leader_counted) return;
  node->leader_counted = core->leader;
  figures->leader_changes++;
}

void raftnode_count_append(struct raftnode *node, uint64_t last_index, uint32_t count) {
  struct uncommitted_times *times = &node->uncommitted_times;
  if (node->options.clock_us == NULL || times->count == NODE_TIMED_BATCHES_MAX) return;
  size_t at = (times->first + times->count++) % NODE_TIMED_BATCHES_MAX;
  times->batches[at] = (struct timed_batch){last_index, count, raftnode_clock_us(node)};
}

/* One look at the clock for all that this turn committed. Who does not lead any more knows nothing of what it
 * appended. */
void raftnode_count_commits(struct raftnode *node) {
  struct uncommitted_times *times = &node->uncommitted_times;
  if (times->count == 0) return;
  if (node->core.role != RAFT_LEADER) times->count = 0;
  uint64_t now_us = 0;
  while (times->count > 0) {
    const struct timed_batch *oldest = &times->batches[times->first];
    if (oldest->last_index > node->core.commit_index) return;
    if (now_us == 0) now_us = raftnode_clock_us(node);
    histogram_add_times(&node->figures.commit, now_us - oldest->appended_us, oldest->count);
    times->first = (times->first + 1) % NODE_TIMED_BATCHES_MAX;
    times->count--;
  }
}

void raftnode_add_duration(const struct raftnode *node, struct histogram *histogram, uint64_t since_us) {
  if (node->options.clock_us != NULL) histogram_add(histogram, raftnode_clock_us(node) - since_us);
}

const struct raftnode_figures *raftnode_figures(const struct raftnode *node) {
  return &node->figures;
}
