/* Whether this node is fit for work, and why not. A node that is ready counts: it may vote on all it should know, and
 * whoever leads may be lost.
 *
 * Who follows is caught up once it has applied all that its leader said to be committed; from then on it may lag by
 * what is under way at any moment, else it would not be ready half of the time under load. The core knows nothing of
 * what lies beyond its own log, so the leader's word is noted here. */
#include "raft/node_state.h"

static const struct raft_unready storage_failed = {
    "storage_failed", "its storage failed",
    "its log says why; restart it when the disk is mended, or let a new member take its place"};
static const struct raft_unready disk_full = {"disk_full", "its disk is full",
                                              "free some space, writes come back by themselves; reads go on"};
static const struct raft_unready no_leader = {
    "no_leader", "no leader is known", "if this lasts, less than a majority of the members runs and can be reached"};
static const struct raft_unready not_committed = {"not_committed", "it leads, but has not committed anything yet",
                                                  "if this lasts, the others do not answer, or a disk is slow"};
static const struct raft_unready unproven = {
    "unproven", "it has not been brought up to date since it lost its state",
    "its leader does that; if this lasts, look whether the two can reach each other"};
static const struct raft_unready catching_up = {"catching_up", "it is catching up", "this passes by itself"};

void raftnode_hear_commit(struct raftnode *node, const struct raft_message *message) {
  bool follows = node->core.role == RAFT_FOLLOWER && node->core.leader == message->from;
  if (message->type != RAFT_APPEND || !follows || message->term != node->core.hard_state.term) return;
  node->heard_term = message->term;
  if (message->as.append.commit_index > node->heard_commit) node->heard_commit = message->as.append.commit_index;
}

/* Entries that are known to be committed, and are not applied here. */
static uint64_t entries_behind(const struct raftnode *node) {
  uint64_t commit = node->heard_commit > node->core.commit_index ? node->heard_commit : node->core.commit_index;
  return commit > node->last_applied ? commit - node->last_applied : 0;
}

/* A leader knows what is committed once something of its own term is. */
static bool knows_commit(const struct raftnode *node) {
  const struct raft *core = &node->core;
  if (core->role == RAFT_LEADER) return core->commit_index >= core->term_first_index;
  return node->heard_term == core->hard_state.term;
}

void raftnode_look_caught_up(struct raftnode *node) {
  uint64_t behind = entries_behind(node);
  if (behind == 0 && knows_commit(node)) node->caught_up = true;
  if (behind > NODE_READY_LAG_MAX) node->caught_up = false;
}

const struct raft_unready *raftnode_unready(const struct raftnode *node, uint64_t *behind) {
  const struct raft *core = &node->core;
  *behind = 0;
  if (node->failed) return &storage_failed;
  if (core->disk_full) return &disk_full;
  if (core->leader == RAFT_NODE_NONE) return &no_leader;
  if (core->role == RAFT_LEADER && core->commit_index < core->term_first_index) return &not_committed;
  if (!core->hard_state.proven) return &unproven;
  if (node->caught_up) return NULL;
  *behind = entries_behind(node);
  return &catching_up;
}
