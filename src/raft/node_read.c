/* Linearizable reads (thesis 6.4). A leader's read waits for a round that left after it arrived; a follower asks the
 * leader, all reads of one turn together. Then the index must be applied here. Whenever leadership moves, what is not
 * confirmed starts over; deadlines bound everything.
 *
 * A follower asks anew when an answer does not come soon, since it may be lost; but the answer to any question that was
 * asked after a read came is good for that read, so a slow one is taken as well. */
#include "raft/node_state.h"

#include <stdlib.h>

#include "base/check.h"

static bool is_overloaded(struct raftnode *node) {
  bool full = node->reads_count >= NODE_READS_MAX;
  node->figures.reads_overloaded += full;
  return full;
}

enum status raftnode_read_index(struct raft_node *base, struct raft_wait *wait) {
  struct raftnode *node = raftnode_of(base);
  if (node->failed || node->closing || node->core.leader == RAFT_NODE_NONE) return STATUS_NO_LEADER;
  if (is_overloaded(node)) return STATUS_OVERLOADED;
  node->reads_count++;
  node->touched = true;
  wait->is_write = false;
  wait->index = 0;
  wait->term = 0;
  list_push_back(&node->reads_new, &wait->link);
  return STATUS_OK;
}

enum status raftnode_wait_applied(struct raft_node *base, struct raft_wait *wait) {
  struct raftnode *node = raftnode_of(base);
  if (node->closing) return STATUS_CLOSED;
  if (is_overloaded(node)) return STATUS_OVERLOADED;
  node->reads_count++;
  node->touched = true;
  wait->is_write = false;
  list_push_back(&node->reads_applying, &wait->link);
  return STATUS_OK;
}

void raftnode_done_read(struct raftnode *node, struct raft_wait *wait, enum status status) {
  list_remove(&wait->link);
  node->reads_count--;
  wait->done(wait, status, NULL);
}

static void move_all(struct list *from, struct list *to) {
  while (!list_empty(from))
    list_push_back(to, list_pop_front(from));
}

static void answer_remote(struct raftnode *node, struct remote_read *read, bool ok) {
  struct raft_message reply = {.type = RAFT_READ_REPLY,
                               .from = node->options.cluster->self,
                               .to = read->from,
                               .term = node->core.hard_state.term,
                               .life = node->core.life};
  reply.as.read_reply = (struct raft_read_reply){read->id, read->to_life, ok, read->index};
  node->transport->ops->reply(node->transport, read->token, &reply);
  list_remove(&read->link);
  node->remote_count--;
  free(read);
}

static void refuse_remote(struct raftnode *node, struct list *reads) {
  while (!list_empty(reads))
    answer_remote(node, (struct remote_read *)(void *)reads->next, false);
}

/* ---- leader ---- */

static void start_round(struct raftnode *node) {
  raftnode_step_plain(node, RAFT_EVENT_READ);
  if (!node->out.accepted) return; /* the term's first entry is not committed yet: once more next turn */
  for (struct list *link = node->reads_new.next; link != &node->reads_new; link = link->next) {
    wait_of(link)->term = node->out.read_round;
    wait_of(link)->index = node->out.read_index;
  }
  for (struct list *link = node->remote_new.next; link != &node->remote_new; link = link->next) {
    ((struct remote_read *)(void *)link)->round = node->out.read_round;
    ((struct remote_read *)(void *)link)->index = node->out.read_index;
  }
  move_all(&node->reads_new, &node->reads_sent);
  move_all(&node->remote_new, &node->remote_sent);
}

void raftnode_confirm_reads(struct raftnode *node) {
  if (node->core.role != RAFT_LEADER) return;
  uint64_t confirmed = node->core.confirmed_round;
  while (!list_empty(&node->reads_sent) && wait_of(node->reads_sent.next)->term <= confirmed)
    list_push_back(&node->reads_applying, list_pop_front(&node->reads_sent));
  while (!list_empty(&node->remote_sent)) {
    struct remote_read *read = (struct remote_read *)(void *)node->remote_sent.next;
    if (read->round > confirmed) break;
    answer_remote(node, read, true);
  }
}

void raftnode_receive_read(struct raftnode *node, const struct raft_message *message, void *token) {
  struct remote_read *read = xcalloc(1, sizeof *read);
  read->token = token;
  read->id = message->as.read.id;
  read->to_life = message->life;
  read->from = message->from;
  node->remote_count++;
  list_push_back(&node->remote_new, &read->link);
  bool leads = !node->failed && node->core.role == RAFT_LEADER && node->remote_count <= NODE_REMOTE_READS_MAX;
  if (!leads) answer_remote(node, read, false);
}

/* ---- follower ---- */

static void ask_leader(struct raftnode *node) {
  struct raft_message message = {.type = RAFT_READ,
                                 .from = node->options.cluster->self,
                                 .to = node->core.leader,
                                 .term = node->core.hard_state.term,
                                 .life = node->core.life};
  message.as.read.id = ++node->read_id;
  for (struct list *link = node->reads_new.next; link != &node->reads_new; link = link->next)
    if (wait_of(link)->term == 0) wait_of(link)->term = node->read_id;
  move_all(&node->reads_new, &node->reads_sent);
  if (node->read_retry_ms == UINT64_MAX) node->read_retry_ms = node->now_ms + node->options.election_min_ms / 2;
  node->transport->ops->send(node->transport, &message, bytes_make(NULL, 0));
}

void raftnode_receive_read_reply(struct raftnode *node, const struct raft_message *message) {
  const struct raft_read_reply *reply = &message->as.read_reply;
  if (node->core.role == RAFT_LEADER || reply->to_life != node->core.life || !reply->ok) return;
  struct raft_event event = {.type = RAFT_EVENT_LEARN, .term = message->term, .index = reply->index};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  struct list *next = node->reads_sent.next;
  while (next != &node->reads_sent) {
    struct list *link = next;
    next = next->next;
    if (reply->id < wait_of(link)->term) continue;
    wait_of(link)->index = reply->index;
    list_remove(link);
    list_push_back(&node->reads_applying, link);
  }
  if (list_empty(&node->reads_sent)) node->read_retry_ms = UINT64_MAX;
}

/* ---- both ---- */

void raftnode_restart_reads(struct raftnode *node) {
  for (struct list *link = node->reads_sent.next; link != &node->reads_sent; link = link->next)
    wait_of(link)->term = 0;
  move_all(&node->reads_sent, &node->reads_new);
  node->read_retry_ms = UINT64_MAX;
  refuse_remote(node, &node->remote_new);
  refuse_remote(node, &node->remote_sent);
}

void raftnode_start_reads(struct raftnode *node) {
  if (node->core.role == RAFT_LEADER) {
    if (!list_empty(&node->reads_new) || !list_empty(&node->remote_new)) start_round(node);
    return;
  }
  if (node->now_ms >= node->read_retry_ms) { /* an answer was lost, or was a refusal */
    move_all(&node->reads_sent, &node->reads_new);
    node->read_retry_ms = UINT64_MAX;
  }
  if (!list_empty(&node->reads_new) && node->core.leader != RAFT_NODE_NONE) ask_leader(node);
}

void raftnode_finish_reads(struct raftnode *node) {
  struct list finished;
  list_init(&finished);
  struct list *next = node->reads_applying.next;
  while (next != &node->reads_applying) {
    struct list *link = next;
    next = next->next;
    if (wait_of(link)->index > node->last_applied) continue;
    list_remove(link);
    list_push_back(&finished, link);
  }
  while (!list_empty(&finished))
    raftnode_done_read(node, wait_of(finished.next), STATUS_OK);
}
