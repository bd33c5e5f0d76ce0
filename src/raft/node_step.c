/* From the core's outputs to disk work and messages. The order is the core's contract (raft/core/raft.h): first the log
 * and the hard state, then the messages. */
#include "raft/node_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

void raftnode_fail(struct raftnode *node) {
  if (node->failed) return;
  node->failed = true;
  LOG_ERROR("raft", "storage_failed", LOG_STR("effect", "this node acknowledges nothing any more"));
}

static void must_store(struct raftnode *node, enum status status) {
  if (status != STATUS_OK) raftnode_fail(node);
}

static void batch_add(struct raftnode *node, const struct log_entry *entry) {
  buffer_append(&node->batch, entry, sizeof *entry);
}

/* What was cut is counted until the mark is committed, which stays within the log. */
uint64_t raftnode_uncommitted_bytes(struct raftnode *node) {
  struct uncommitted *uncommitted = &node->uncommitted;
  if (uncommitted->mark > node->core.last_index) uncommitted->mark = node->core.last_index;
  for (int i = 0; i < 2 && node->core.commit_index >= uncommitted->mark; i++) {
    uncommitted->older_bytes = uncommitted->newer_bytes;
    uncommitted->newer_bytes = 0;
    uncommitted->mark = node->core.last_index;
  }
  return uncommitted->older_bytes + uncommitted->newer_bytes;
}

void raftnode_append_batch(struct raftnode *node) {
  raftnode_uncommitted_bytes(node); /* before it grows: forgets what is committed */
  struct log_store *log = node->storage->log;
  const struct log_entry *entries = (const struct log_entry *)(void *)node->batch.data;
  size_t count = node->batch.len / sizeof *entries;
  must_store(node, log->ops->append(log, entries, count));
  for (size_t i = 0; i < count; i++)
    node->uncommitted.newer_bytes += NODE_ENTRY_BYTES + entries[i].command.len;
  buffer_clear(&node->batch);
}

/* The message's entries behind the first append_skip, or the no-op. What is proposed comes from raftnode_append_queued.
 */
static void carry_out_append(struct raftnode *node, struct bytes entries) {
  const struct raft_output *out = &node->out;
  struct log_entry entry = {.index = out->append_index, .term = out->append_term};
  if (out->append == RAFT_APPEND_NOOP) {
    batch_add(node, &entry);
  } else if (out->append == RAFT_APPEND_RECEIVED) {
    uint32_t skip = out->append_skip;
    for (uint32_t i = 0; i < skip + out->append_count; i++) {
      CHECK(log_entry_next(&entries, &entry)); /* parsed before the core saw the message */
      if (i < skip) continue;
      batch_add(node, &entry);
      entry.index++;
    }
  } else {
    return;
  }
  raftnode_append_batch(node);
}

/* Entries of a snapshot that was taken here are in the log; of a leader's, the state is replaced as well. */
static void carry_out_disk(struct raftnode *node, struct bytes entries) {
  const struct raft_output *out = &node->out;
  if (out->sync == 0) return;
  struct log_store *log = node->storage->log;
  if (out->truncate_from != 0) {
    must_store(node, log->ops->delete_from(log, out->truncate_from));
    raftnode_orphan_from(node, out->truncate_from);
  }
  if (out->install == RAFT_INSTALL_KEEP || out->install == RAFT_INSTALL_RESET) raftnode_install(node, out->install);
  carry_out_append(node, entries);
  if (out->hard_state_changed)
    must_store(node, node->storage->stable->ops->save(node->storage->stable, &out->hard_state));
  node->sync_wanted = out->sync;
}

static void encode_visited(void *context, const struct log_entry *entry) {
  log_entry_encode(context, entry->term, entry->command);
}

static bool is_request(const struct raft_message *message) {
  return message->type == RAFT_APPEND || message->type == RAFT_VOTE || message->type == RAFT_TIMEOUT_NOW ||
         message->type == RAFT_READ || message->type == RAFT_INSTALL;
}

enum status raftnode_read_entries(struct raftnode *node, uint64_t first, uint64_t last) {
  struct log_store *log = node->storage->log;
  buffer_clear(&node->scratch);
  return log->ops->read_range(log, first, last, encode_visited, &node->scratch);
}

/* A message that waited for the disk may find that its entries have been cut meanwhile; then the peer gets a snapshot.
 */
static enum status read_entries_of(struct raftnode *node, const struct raft_message *message) {
  const struct raft_append *append = &message->as.append;
  if (message->type == RAFT_APPEND && append->entries_count > 0)
    return raftnode_read_entries(node, append->prev_index + 1, append->prev_index + append->entries_count);
  buffer_clear(&node->scratch);
  return STATUS_OK;
}

static void send_request(struct raftnode *node, const struct raft_message *message) {
  enum status status = read_entries_of(node, message);
  if (status == STATUS_NOT_FOUND) return;
  must_store(node, status);
  if (node->failed) return;
  node->transport->ops->send(node->transport, message, buffer_view(&node->scratch));
}

static void hold(struct raftnode *node, const struct raft_message *message, void *token) {
  if (node->held_count == NODE_HELD_MAX) {
    if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
    return;
  }
  node->held[(node->held_first + node->held_count++) % NODE_HELD_MAX] = (struct held_message){*message, token};
}

static void deliver(struct raftnode *node, const struct raft_message *message, void *token) {
  if (is_request(message)) {
    send_request(node, message);
  } else {
    node->transport->ops->reply(node->transport, token, message);
  }
}

void raftnode_reply(struct raftnode *node, const struct raft_message *message, void *token) {
  if (node->failed) {
    if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
  } else if (message->after_sync > node->core.synced) {
    hold(node, message, token);
  } else {
    node->transport->ops->reply(node->transport, token, message);
  }
}

/* Entries of a held AppendEntries are read from the log when it leaves, so it leaves only while they are still this
 * leader's. */
static bool still_true(const struct raftnode *node, const struct raft_message *message) {
  if (message->type != RAFT_APPEND) return true;
  return node->core.role == RAFT_LEADER && message->term == node->core.hard_state.term;
}

void raftnode_release_held(struct raftnode *node) {
  while (node->held_count > 0 && !node->failed) {
    struct held_message *held = &node->held[node->held_first];
    if (held->message.after_sync > node->core.synced) return;
    node->held_first = (node->held_first + 1) % NODE_HELD_MAX;
    node->held_count--;
    if (still_true(node, &held->message)) deliver(node, &held->message, held->token);
  }
}

/* The step's reply, when there is one, answers the request at hand. */
static void carry_out_messages(struct raftnode *node, void *token) {
  for (uint32_t i = 0; i < node->out.messages_count && !node->failed; i++) {
    struct raft_message *message = &node->out.messages[i];
    void *answers = is_request(message) ? NULL : token;
    if (answers != NULL) token = NULL;
    if (message->after_sync > node->core.synced) {
      hold(node, message, answers);
    } else {
      deliver(node, message, answers);
    }
  }
  if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
}

void raftnode_step(struct raftnode *node, struct raft_event *event, struct bytes entries, void *token) {
  event->now_ms = node->now_ms;
  event->random = prng_next(&node->prng);
  enum raft_role role_before = node->core.role;
  uint64_t term_before = node->core.hard_state.term;
  raft_step(&node->core, event, &node->out);
  raftnode_count_step(node, role_before, term_before);
  node->core_deadline_ms = node->out.deadline_ms;
  bool restart_reads = node->out.leader_changed;
  carry_out_disk(node, entries);
  if (node->out.install == RAFT_INSTALL_TAKE && !node->failed) {
    raftnode_take_piece(node, event->message, entries, token);
    token = NULL;
  }
  carry_out_messages(node, token);
  if (restart_reads) raftnode_restart_reads(node);
}

void raftnode_step_plain(struct raftnode *node, enum raft_event_type type) {
  struct raft_event event = {.type = type};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
}
