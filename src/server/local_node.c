/* The happy path: propose, read_index and wait_applied queue in one FIFO; the hook takes the whole queue, applies the
 * commands and ends the waits in that order, so a read sees exactly the writes that were queued before it. What the
 * `done` callbacks queue meanwhile belongs to the next turn.
 *
 * Failure modes: a full queue refuses with STATUS_OVERLOADED; a wait for an index that does not come ends with
 * STATUS_TIMEOUT, for which a timer brings a turn about. */
#include "server/local_node.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  QUEUE_WAITS_MAX = 65536,    /* calls of one turn; beyond: overloaded */
  QUEUE_BYTES_MAX = 67108864, /* commands of one turn; beyond: overloaded, but one command always fits */
  QUEUE_WAITS_KEEP = 4096,    /* memory that a queue keeps between turns */
  QUEUE_BYTES_KEEP = 1 << 20, /* the same */
  LOCAL_TERM = 1
};

struct queued {
  struct raft_wait *wait; /* NULL: cancelled */
  size_t command_bytes;   /* its part of `commands`; 0: not a command but a wait for wait->index */
};

struct queue {
  struct queued *items; /* owned */
  size_t count;
  size_t capacity;
  struct buffer commands; /* back to back, in the order of the items */
};

struct local_node {
  struct raft_node base; /* first */
  struct io_loop *loop;
  struct kvsm *sm;
  struct leader_hint self;
  struct io_hook hook;
  struct io_timer *timer; /* brings a turn when the first of `waiting` times out */
  struct queue incoming;  /* what came since the last hook */
  struct queue running;   /* what the hook works on */
  struct list waiting;    /* raft_wait.link: for indices to come */
  uint64_t wake_index;    /* the smallest index in `waiting` */
  uint64_t wake_ms;       /* the earliest deadline in `waiting` */
};

static struct local_node *node_of(struct raft_node *base) {
  return (struct local_node *)(void *)base;
}

static void queue_init(struct queue *queue) {
  queue->items = NULL;
  queue->count = 0;
  queue->capacity = 0;
  buffer_init(&queue->commands);
}

static void queue_deinit(struct queue *queue) {
  free(queue->items);
  buffer_deinit(&queue->commands);
}

static void queue_add(struct queue *queue, struct raft_wait *wait, struct bytes command) {
  if (queue->count == queue->capacity) {
    queue->capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
    queue->items = xrealloc(queue->items, queue->capacity * sizeof *queue->items);
  }
  list_init(&wait->link);
  wait->term = queue->count; /* until it ends: where it stands */
  queue->items[queue->count++] = (struct queued){.wait = wait, .command_bytes = command.len};
  buffer_append_bytes(&queue->commands, command);
}

static void queue_empty(struct queue *queue) {
  queue->count = 0;
  buffer_clear(&queue->commands);
  buffer_shrink(&queue->commands, QUEUE_BYTES_KEEP);
  if (queue->capacity <= QUEUE_WAITS_KEEP) return;
  free(queue->items);
  queue->items = NULL;
  queue->capacity = 0;
}

static void queue_forget(struct queue *queue, const struct raft_wait *wait) {
  if (wait->term < queue->count && queue->items[wait->term].wait == wait) queue->items[wait->term].wait = NULL;
}

static uint64_t applied_index(const struct local_node *node) {
  struct kvsm_stats stats;
  kvsm_stats(node->sm, &stats);
  return stats.last_applied;
}

static void apply(struct local_node *node, struct raft_wait *wait, uint64_t index, struct bytes encoded) {
  struct command command;
  CHECK(command_decode(encoded, &command) == STATUS_OK);
  struct apply_result result = kvsm_apply(node->sm, index, &command);
  wait->index = index;
  wait->term = LOCAL_TERM;
  wait->done(wait, STATUS_OK, &result);
}

static void end_or_keep(struct local_node *node, struct raft_wait *wait, uint64_t applied) {
  if (wait->index <= applied) {
    wait->done(wait, STATUS_OK, NULL);
    return;
  }
  list_push_back(&node->waiting, &wait->link);
  if (wait->index < node->wake_index) node->wake_index = wait->index;
  if (wait->deadline_ms < node->wake_ms) node->wake_ms = wait->deadline_ms;
}

/* Returns the index applied last. */
static uint64_t run_queue(struct local_node *node) {
  uint64_t applied = applied_index(node);
  struct queue *queue = &node->running;
  size_t at = 0;
  for (size_t i = 0; i < queue->count; i++) {
    const struct queued *item = &queue->items[i];
    struct bytes command = bytes_make(queue->commands.data + at, item->command_bytes);
    at += command.len;
    if (item->wait == NULL) continue;
    if (command.len > 0)
      apply(node, item->wait, ++applied, command);
    else
      end_or_keep(node, item->wait, applied);
  }
  queue_empty(queue);
  return applied;
}

/* Ends what is applied or too late, and finds out anew when to look again. */
static void check_waiting(struct local_node *node, uint64_t applied, uint64_t now_ms) {
  struct list checked = node->waiting;
  if (list_empty(&node->waiting)) return;
  checked.next->prev = &checked;
  checked.prev->next = &checked;
  list_init(&node->waiting);
  node->wake_index = UINT64_MAX;
  node->wake_ms = UINT64_MAX;
  for (struct list *link = list_pop_front(&checked); link != NULL; link = list_pop_front(&checked)) {
    struct raft_wait *wait = (struct raft_wait *)(void *)link;
    if (wait->index > applied && wait->deadline_ms <= now_ms)
      wait->done(wait, STATUS_TIMEOUT, NULL);
    else
      end_or_keep(node, wait, applied);
  }
  if (list_empty(&node->waiting))
    io_timer_disarm(node->timer);
  else
    io_timer_arm(node->timer, node->wake_ms > now_ms ? node->wake_ms - now_ms : 0);
}

static void on_turn_end(struct io_hook *hook) {
  struct local_node *node = (struct local_node *)(void *)((char *)hook - offsetof(struct local_node, hook));
  if (node->incoming.count == 0 && list_empty(&node->waiting)) return;
  struct queue taken = node->incoming;
  node->incoming = node->running;
  node->running = taken;
  uint64_t wake_ms = node->wake_ms;
  uint64_t applied = run_queue(node);
  uint64_t now_ms = io_loop_now_ms(node->loop);
  if (node->wake_index <= applied || node->wake_ms <= now_ms || node->wake_ms != wake_ms)
    check_waiting(node, applied, now_ms);
}

/* The hook of this turn looks at everything and arms the timer anew, even if it fired early. */
static void on_timer(void *context) {
  struct local_node *node = context;
  node->wake_ms = 0;
}

static enum status local_propose(struct raft_node *base, struct bytes command, struct raft_wait *wait) {
  struct queue *queue = &node_of(base)->incoming;
  CHECK(command.len > 0);
  if (queue->count >= QUEUE_WAITS_MAX) return STATUS_OVERLOADED;
  if (queue->commands.len > 0 && queue->commands.len + command.len > QUEUE_BYTES_MAX) return STATUS_OVERLOADED;
  queue_add(queue, wait, command);
  return STATUS_OK;
}

static enum status local_wait_applied(struct raft_node *base, struct raft_wait *wait) {
  struct local_node *node = node_of(base);
  if (node->incoming.count >= QUEUE_WAITS_MAX) return STATUS_OVERLOADED;
  queue_add(&node->incoming, wait, bytes_make(NULL, 0));
  return STATUS_OK;
}

/* Nobody else writes: what is applied when its turn in the queue comes is all there is to see. */
static enum status local_read_index(struct raft_node *base, struct raft_wait *wait) {
  wait->index = 0;
  return local_wait_applied(base, wait);
}

static void local_cancel(struct raft_node *base, struct raft_wait *wait) {
  struct local_node *node = node_of(base);
  list_remove(&wait->link);
  queue_forget(&node->incoming, wait);
  queue_forget(&node->running, wait);
}

static bool local_is_leader(struct raft_node *base) {
  (void)base;
  return true;
}

static void local_leader_hint(struct raft_node *base, struct leader_hint *out) {
  *out = node_of(base)->self;
}

static void local_status(struct raft_node *base, struct raft_status *out) {
  const struct local_node *node = node_of(base);
  uint64_t applied = applied_index(node);
  *out = (struct raft_status){.role = "leader",
                              .term = LOCAL_TERM,
                              .commit_index = applied,
                              .last_applied = applied,
                              .first_index = applied + 1, /* no entry is kept */
                              .last_index = applied,
                              .last_term = applied > 0 ? LOCAL_TERM : 0};
  memcpy(out->voted_for, node->self.leader_id, sizeof out->voted_for);
}

static const struct raft_node_ops local_node_ops = {.propose = local_propose,
                                                    .read_index = local_read_index,
                                                    .wait_applied = local_wait_applied,
                                                    .cancel = local_cancel,
                                                    .is_leader = local_is_leader,
                                                    .leader_hint = local_leader_hint,
                                                    .status = local_status};

struct local_node *local_node_create(struct io_loop *loop, struct kvsm *sm, const char *id) {
  struct local_node *node = xcalloc(1, sizeof *node);
  node->base.ops = &local_node_ops;
  node->loop = loop;
  node->sm = sm;
  snprintf(node->self.leader_id, sizeof node->self.leader_id, "%s", id);
  queue_init(&node->incoming);
  queue_init(&node->running);
  list_init(&node->waiting);
  node->wake_index = UINT64_MAX;
  node->wake_ms = UINT64_MAX;
  node->timer = io_timer_create(loop, on_timer, node);
  node->hook.run = on_turn_end;
  io_hook_add(loop, &node->hook);
  return node;
}

void local_node_destroy(struct local_node *node) {
  io_hook_remove(&node->hook);
  io_timer_destroy(node->timer);
  queue_deinit(&node->incoming);
  queue_deinit(&node->running);
  free(node);
}

void local_node_set_address(struct local_node *node, const char *address) {
  snprintf(node->self.leader_addr, sizeof node->self.leader_addr, "%s", address);
}

struct raft_node *local_node_base(struct local_node *node) {
  return &node->base;
}

bool local_node_pending(const struct local_node *node) {
  return node->incoming.count > 0;
}
