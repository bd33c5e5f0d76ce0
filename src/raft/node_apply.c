/* The applier: committed entries in order, each once, a bounded amount per turn. Entries are copied out of the store
 * first, since what their listeners do must not happen under its lock. */
#include "raft/node_state.h"

#include "base/check.h"

static void apply_entry(struct raftnode *node, const struct log_entry *entry) {
  struct apply_result result = {.ok = true, .err_msg = ""};
  if (entry->command.len == 0) {
    kvsm_apply_noop(node->sm, entry->index);
  } else {
    struct command command;
    CHECK(command_decode(entry->command, &command) == STATUS_OK); /* checked when it was proposed or received */
    result = kvsm_apply(node->sm, entry->index, &command);
  }
  node->last_applied = entry->index;
  node->figures.applied++;
  node->applied_bytes += LOG_ENTRY_HEAD_BYTES + entry->command.len;
  if (node->applied != NULL) node->applied(node->applied_context, entry, &result);
  raftnode_finish_writes(node, entry->index, entry->term, &result);
}

void raftnode_apply(struct raftnode *node) {
  uint64_t commit = node->core.commit_index;
  raftnode_count_commits(node);
  if (node->last_applied >= commit) return;
  uint64_t start_us = raftnode_clock_us(node);
  struct log_store *log = node->storage->log;
  uint64_t first = node->last_applied + 1;
  uint64_t last = log->ops->batch_end(log, first, commit, NODE_APPLY_BYTES_MAX);
  if (raftnode_read_entries(node, first, last) != STATUS_OK) {
    raftnode_fail(node);
    return;
  }
  struct bytes encoded = buffer_view(&node->scratch);
  struct log_entry entry;
  for (entry.index = first; log_entry_next(&encoded, &entry); entry.index++)
    apply_entry(node, &entry);
  CHECK(node->last_applied == last);
  raftnode_add_duration(node, &node->figures.apply, start_us);
  buffer_shrink(&node->scratch, (size_t)NODE_APPLY_BYTES_MAX * 4);
}
