/* Writes: queued during a turn, appended in one piece at its end, answered when their (index, term) is applied or
 * another is. What the disk has no room for yet waits in the queue; what it has no room for at all is refused. */
#include "raft/node_state.h"

#include "base/check.h"

static enum status not_leading(const struct raftnode *node) {
  bool known = node->core.leader != RAFT_NODE_NONE && node->core.leader != node->options.cluster->self;
  return known ? STATUS_NOT_LEADER : STATUS_NO_LEADER;
}

/* A leader that cannot commit, whose clients come and go, would gather entries without end. */
static bool has_room(struct raftnode *node, struct bytes command) {
  if (node->queued.len > 0 && node->queued.len + command.len > NODE_PROPOSAL_BYTES_MAX) return false;
  uint64_t queued = node->queued.len + (uint64_t)node->queued_count * NODE_ENTRY_BYTES;
  return raftnode_uncommitted_bytes(node) + queued + command.len <= NODE_UNCOMMITTED_BYTES_MAX;
}

static enum status admit(struct raftnode *node, struct bytes command) {
  if (node->failed || node->closing) return STATUS_NO_LEADER;
  if (node->core.role != RAFT_LEADER || node->core.transfer_to != RAFT_NODE_NONE) return not_leading(node);
  if (!raft_has_room(&node->core)) return STATUS_DISK_FULL;
  if (node->proposals_count >= NODE_PROPOSALS_MAX || !has_room(node, command)) return STATUS_OVERLOADED;
  return STATUS_OK;
}

static void count_refused(struct raftnode *node, enum status status, uint64_t count) {
  if (status == STATUS_OVERLOADED) node->figures.proposals_overloaded += count;
  if (status == STATUS_DISK_FULL) node->figures.proposals_disk_full += count;
}

enum status raftnode_propose(struct raft_node *base, struct bytes command, struct raft_wait *wait) {
  struct raftnode *node = raftnode_of(base);
  CHECK(command.len > 0 && command.len <= UINT32_MAX);
  enum status status = admit(node, command);
  if (status != STATUS_OK) {
    count_refused(node, status, 1);
    return status;
  }
  log_entry_encode(&node->queued, 0, command);
  buffer_append(&node->queued_waits, &wait, sizeof wait);
  list_init(&wait->link);
  wait->index = 0;
  wait->term = node->queued_count; /* until it is appended: where it stands */
  wait->is_write = true;
  node->queued_count++;
  node->proposals_count++;
  node->figures.proposals++;
  node->touched = true;
  return STATUS_OK;
}

static struct raft_wait **queued_waits(struct raftnode *node) {
  return (struct raft_wait **)(void *)node->queued_waits.data;
}

bool raftnode_forget_queued(struct raftnode *node, const struct raft_wait *wait) {
  if (!wait->is_write || wait->term >= node->queued_count || queued_waits(node)[wait->term] != wait) return false;
  queued_waits(node)[wait->term] = NULL;
  return true;
}

void raftnode_done_write(struct raftnode *node, struct raft_wait *wait, enum status status,
                         const struct apply_result *result) {
  list_remove(&wait->link);
  node->proposals_count--;
  wait->done(wait, status, result);
}

static void clear_queued(struct raftnode *node) {
  node->queued_count = 0;
  buffer_clear(&node->queued_waits);
  buffer_clear(&node->queued);
  buffer_shrink(&node->queued, 1 << 20);
}

void raftnode_refuse_queued(struct raftnode *node, enum status status) {
  count_refused(node, status, node->queued_count);
  for (uint32_t i = 0; i < node->queued_count; i++) {
    struct raft_wait *wait = queued_waits(node)[i];
    if (wait != NULL) raftnode_done_write(node, wait, status, NULL);
  }
  clear_queued(node);
}

/* Returns the bytes that they took in the queue. */
static size_t append_entries(struct raftnode *node) {
  struct log_entry entry = {.index = node->out.append_index};
  struct bytes queued = buffer_view(&node->queued);
  buffer_clear(&node->batch);
  for (uint32_t i = 0; i < node->out.append_count; i++) {
    CHECK(log_entry_next(&queued, &entry));
    entry.term = node->out.append_term;
    buffer_append(&node->batch, &entry, sizeof entry);
    entry.index++;
  }
  raftnode_append_batch(node);
  return node->queued.len - queued.len;
}

static void number_waits(struct raftnode *node) {
  for (uint32_t i = 0; i < node->out.append_count; i++) {
    struct raft_wait *wait = queued_waits(node)[i];
    if (wait == NULL) continue; /* cancelled: the entry goes its way without a listener */
    wait->term = node->out.append_term;
    wait->index = node->out.append_index + i;
    list_push_back(&node->proposed, &wait->link);
  }
}

/* The first `count`, of `bytes`, have gone. */
static void drop_queued(struct raftnode *node, uint32_t count, size_t bytes) {
  if (count == node->queued_count) {
    clear_queued(node);
    return;
  }
  node->queued_count -= count;
  buffer_consume(&node->queued, bytes);
  buffer_consume(&node->queued_waits, count * sizeof(struct raft_wait *));
  for (uint32_t i = 0; i < node->queued_count; i++) {
    struct raft_wait *wait = queued_waits(node)[i];
    if (wait != NULL) wait->term = i;
  }
}

/* How many of the queued ones encode to at most so many bytes. */
static uint32_t count_within(const struct raftnode *node, uint64_t bytes) {
  if (node->queued.len <= bytes) return node->queued_count;
  struct bytes rest = buffer_view(&node->queued);
  struct log_entry entry;
  uint32_t count = 0;
  while (log_entry_next(&rest, &entry) && node->queued.len - rest.len <= bytes)
    count++;
  return count;
}

/* How many of the queued ones find room on the disk. When that is none, although the disk is not full, room is being
 * made, or it shows that there is none; what was appended before could not be refused any more. But one that is larger
 * than what is made ahead gets its room only once it is in the log. */
static uint32_t count_with_room(struct raftnode *node) {
  const struct raft_storage_ops *ops = node->storage->ops;
  uint32_t count = count_within(node, ops->room(node->storage));
  if (count > 0 || ops->full(node->storage)) return count;
  bool idle = node->core.synced + 1 == node->core.sync_next;
  return idle && count_within(node, ops->room_ahead(node->storage)) == 0 ? 1 : 0;
}

void raftnode_append_queued(struct raftnode *node) {
  if (node->queued_count == 0) return;
  uint32_t count = count_with_room(node);
  if (count == 0) {
    if (node->storage->ops->full(node->storage)) raftnode_refuse_queued(node, STATUS_DISK_FULL);
    return;
  }
  struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .count = count};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  if (!node->out.accepted) {
    /* Leadership went between queueing and the end of the turn. */
    raftnode_refuse_queued(node, not_leading(node));
    return;
  }
  size_t bytes = append_entries(node);
  number_waits(node);
  raftnode_count_append(node, node->out.append_index + node->out.append_count - 1, node->out.append_count);
  drop_queued(node, count, bytes);
}

void raftnode_sweep_queued(struct raftnode *node) {
  for (uint32_t i = 0; i < node->queued_count; i++) {
    struct raft_wait *wait = queued_waits(node)[i];
    if (wait == NULL || wait->deadline_ms > node->now_ms) continue;
    queued_waits(node)[i] = NULL;
    raftnode_done_write(node, wait, STATUS_TIMEOUT, NULL);
  }
}

/* Both lists are rising, so what is moved is merged from the back. */
void raftnode_orphan_from(struct raftnode *node, uint64_t index) {
  struct list *behind = &node->orphans;
  while (!list_empty(&node->proposed) && wait_of(node->proposed.prev)->index >= index) {
    struct list *link = node->proposed.prev;
    list_remove(link);
    while (behind->prev != &node->orphans && wait_of(behind->prev)->index > wait_of(link)->index)
      behind = behind->prev;
    list_push_back(behind, link);
    behind = link;
  }
}

static void skip(struct raftnode *node, struct list *waits, uint64_t index) {
  while (!list_empty(waits) && wait_of(waits->next)->index <= index)
    raftnode_done_write(node, wait_of(waits->next), STATUS_TIMEOUT, NULL);
}

void raftnode_skip_writes(struct raftnode *node, uint64_t index) {
  skip(node, &node->orphans, index);
  skip(node, &node->proposed, index);
}

/* Entries are applied in order, so those who wait for this one stand in front. */
static void collect(struct list *waits, uint64_t index, struct list *finished) {
  while (!list_empty(waits) && wait_of(waits->next)->index == index)
    list_push_back(finished, list_pop_front(waits));
}

void raftnode_finish_writes(struct raftnode *node, uint64_t index, uint64_t term, const struct apply_result *result) {
  struct list finished;
  list_init(&finished);
  collect(&node->orphans, index, &finished);
  collect(&node->proposed, index, &finished);
  while (!list_empty(&finished)) {
    struct raft_wait *wait = wait_of(finished.next);
    bool applied = wait->term == term;
    raftnode_done_write(node, wait, applied ? STATUS_OK : STATUS_NOT_LEADER, applied ? result : NULL);
  }
}
