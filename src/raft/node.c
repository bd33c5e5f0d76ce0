/* The node's frame: life, incoming messages, the turn, deadlines, status. */
#include "raft/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "raft/node_state.h"

static void log_entry_term(struct raftnode *node, uint64_t index, uint64_t *term) {
  CHECK(node->storage->log->ops->term_at(node->storage->log, index, term) == STATUS_OK);
}

static uint64_t view_first_index(void *context) {
  struct raftnode *node = context;
  return node->storage->log->ops->first_index(node->storage->log);
}

static uint64_t view_term_at(void *context, uint64_t index) {
  uint64_t term = 0;
  log_entry_term(context, index, &term);
  return term;
}

static uint64_t view_batch_end(void *context, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  struct raftnode *node = context;
  return node->storage->log->ops->batch_end(node->storage->log, lo, last, bytes_max);
}

static void start_core(struct raftnode *node, uint64_t now_ms) {
  const struct raftnode_options *options = &node->options;
  struct raft_config config = {.self = options->cluster->self,
                               .nodes_count = options->cluster->members_count,
                               .fixed_leader = options->fixed_leader,
                               .heartbeat_ms = options->heartbeat_ms,
                               .election_min_ms = options->election_min_ms,
                               .election_max_ms = options->election_max_ms,
                               .inflight_max = options->inflight_max,
                               .message_bytes_max = options->message_bytes_max,
                               .log = {node, view_first_index, view_term_at, view_batch_end}};
  struct raft_start start = {.last_index = node->storage->log->ops->last_index(node->storage->log),
                             .snapshot_index = node->snapshot.index,
                             .unsynced = node->snapshot.index > 0, /* by raft_restart */
                             .life = options->life};
  node->storage->stable->ops->load(node->storage->stable, &start.hard_state);
  if (start.last_index > 0) log_entry_term(node, start.last_index, &start.last_term);
  node->sync_wanted = start.unsynced ? 1 : 0;
  node->touched = start.unsynced;
  raft_init(&node->core, &config, &start, now_ms, prng_next(&node->prng));
}

static void init_lists(struct raftnode *node) {
  list_init(&node->proposed);
  list_init(&node->orphans);
  list_init(&node->reads_new);
  list_init(&node->reads_sent);
  list_init(&node->reads_applying);
  list_init(&node->remote_new);
  list_init(&node->remote_sent);
  list_init(&node->works_done);
}

/* ---- the RaftNode interface ---- */

static void node_cancel(struct raft_node *base, struct raft_wait *wait) {
  struct raftnode *node = raftnode_of(base);
  if (raftnode_forget_queued(node, wait)) {
    node->proposals_count--;
    return;
  }
  list_remove(&wait->link);
  if (wait->is_write) {
    node->proposals_count--;
  } else {
    node->reads_count--;
  }
}

static bool node_is_leader(struct raft_node *base) {
  return raftnode_of(base)->core.role == RAFT_LEADER;
}

static void node_leader_hint(struct raft_node *base, struct leader_hint *out) {
  const struct raftnode *node = raftnode_of(base);
  memset(out, 0, sizeof *out);
  if (node->core.leader == RAFT_NODE_NONE) return;
  memcpy(out->leader_id, node->options.cluster->members[node->core.leader].id, sizeof out->leader_id);
  cluster_address(node->options.cluster, node->core.leader, out->leader_addr, sizeof out->leader_addr);
}

static void fill_peers(const struct raftnode *node, struct raft_status *out) {
  const struct cluster *cluster = node->options.cluster;
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    if (i == cluster->self) continue;
    const struct raft_peer *peer = &node->core.peers[i];
    struct raft_peer_status *row = &out->peers[out->peers_count++];
    memcpy(row->id, cluster->members[i].id, sizeof row->id);
    row->match_index = peer->match_index;
    row->next_index = peer->next_index;
    row->inflight = peer->inflight_count;
    row->last_contact_ms = node->now_ms - peer->contact_ms;
  }
}

static void fill_votes(const struct raftnode *node, struct raft_status *out) {
  const struct cluster *cluster = node->options.cluster;
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    if ((node->core.votes >> i & 1) == 0) continue;
    memcpy(out->granted[out->granted_count++], cluster->members[i].id, sizeof out->granted[0]);
  }
}

static void fill_timers(const struct raftnode *node, struct raft_status *out) {
  const struct raft *core = &node->core;
  if (core->leader != RAFT_NODE_NONE) out->leader_silent_ms = node->now_ms - core->leader_contact_ms;
  if (node->options.fixed_leader != RAFT_NODE_NONE) return; /* there are no campaigns */
  if (core->election_deadline_ms > node->now_ms) out->campaign_in_ms = core->election_deadline_ms - node->now_ms;
}

/* A node that is ready counts: it may vote on all it should know, and whoever leads may be lost. */
static const char *why_not_ready(const struct raftnode *node) {
  const struct raft *core = &node->core;
  bool leads = core->role == RAFT_LEADER;
  if (node->failed) return "its storage failed";
  if (core->disk_full) return "its disk is full";
  if (core->leader == RAFT_NODE_NONE) return "no leader is known";
  if (leads && core->commit_index < core->term_first_index) return "it leads, but has not committed anything yet";
  if (!core->hard_state.proven) return "it has not been brought up to date since it lost its state";
  if (!leads && core->verified_index < core->commit_index) return "it is catching up";
  if (node->last_applied < core->commit_index) return "it is still applying committed entries";
  return NULL;
}

static void node_status(struct raft_node *base, struct raft_status *out) {
  const struct raftnode *node = raftnode_of(base);
  const struct raft *core = &node->core;
  *out = (struct raft_status){.role = raft_role_name(core->role),
                              .term = core->hard_state.term,
                              .commit_index = core->commit_index,
                              .last_applied = node->last_applied,
                              .first_index = node->storage->log->ops->first_index(node->storage->log),
                              .last_index = core->last_index,
                              .last_term = core->last_term,
                              .snapshot_index = node->snapshot.index,
                              .snapshot_term = node->snapshot.term,
                              .not_ready = why_not_ready(node)};
  if (core->hard_state.voted_for != RAFT_NODE_NONE) {
    memcpy(out->voted_for, node->options.cluster->members[core->hard_state.voted_for].id, sizeof out->voted_for);
  }
  if (core->role == RAFT_LEADER) {
    fill_peers(node, out);
  } else {
    fill_timers(node, out);
  }
  if (core->role != RAFT_FOLLOWER) fill_votes(node, out);
}

static const struct raft_node_ops node_ops = {.propose = raftnode_propose,
                                              .read_index = raftnode_read_index,
                                              .wait_applied = raftnode_wait_applied,
                                              .cancel = node_cancel,
                                              .is_leader = node_is_leader,
                                              .leader_hint = node_leader_hint,
                                              .status = node_status};

/* ---- life ---- */

struct raftnode *raftnode_create(const struct raftnode_options *options, struct raft_storage *storage,
                                 struct raft_transport *transport, struct kvsm *sm, uint64_t now_ms) {
  struct raftnode *node = xcalloc(1, sizeof *node);
  node->base.ops = &node_ops;
  node->options = *options;
  node->storage = storage;
  node->transport = transport;
  node->sm = sm;
  node->now_ms = now_ms;
  node->held = xcalloc(NODE_HELD_MAX, sizeof *node->held);
  node->read_retry_ms = UINT64_MAX;
  node->sweep_ms = now_ms;
  prng_init(&node->prng, options->seed);
  init_lists(node);
  raftnode_start_snapshots(node);
  start_core(node, now_ms);
  return node;
}

static void close_waits(struct list *waits, struct raftnode *node, bool writes) {
  while (!list_empty(waits)) {
    if (writes) {
      raftnode_done_write(node, wait_of(waits->next), STATUS_CLOSED, NULL);
    } else {
      raftnode_done_read(node, wait_of(waits->next), STATUS_CLOSED);
    }
  }
}

static void drop_held(struct raftnode *node) {
  for (; node->held_count > 0; node->held_count--) {
    void *token = node->held[node->held_first].token;
    node->held_first = (node->held_first + 1) % NODE_HELD_MAX;
    if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
  }
}

void raftnode_destroy(struct raftnode *node) {
  node->closing = true;
  for (uint32_t i = 0; i < node->queued_count; i++) {
    struct raft_wait *wait = ((struct raft_wait **)(void *)node->queued_waits.data)[i];
    if (wait != NULL) raftnode_done_write(node, wait, STATUS_CLOSED, NULL);
  }
  close_waits(&node->proposed, node, true);
  close_waits(&node->orphans, node, true);
  raftnode_restart_reads(node);
  close_waits(&node->reads_new, node, false);
  close_waits(&node->reads_applying, node, false);
  drop_held(node);
  raftnode_end_taking(node);
  raftnode_end_incoming(node);
  raftnode_end_outgoing(node);
  buffer_deinit(&node->scratch);
  buffer_deinit(&node->terms);
  buffer_deinit(&node->batch);
  buffer_deinit(&node->queued);
  buffer_deinit(&node->queued_waits);
  free(node->held);
  free(node);
}

struct raft_node *raftnode_base(struct raftnode *node) {
  return &node->base;
}

/* ---- incoming ---- */

static bool parse_entries(struct raftnode *node, uint32_t count, struct bytes entries) {
  buffer_clear(&node->terms);
  struct log_entry entry;
  for (uint32_t i = 0; i < count; i++) {
    struct command command;
    if (!log_entry_next(&entries, &entry)) return false;
    if (entry.command.len > 0 && command_decode(entry.command, &command) != STATUS_OK) return false;
    buffer_append(&node->terms, &entry.term, sizeof entry.term);
  }
  return entries.len == 0;
}

static void set_disk_full(struct raftnode *node, bool full) {
  if (full == node->core.disk_full) return;
  if (full)
    LOG_WARN("raft", "disk_full", LOG_STR("effect", "no writes, until there is room"));
  else
    LOG_INFO("raft", "disk_has_room", LOG_STR("effect", "writes go on"));
  struct raft_event event = {.type = RAFT_EVENT_DISK, .disk_full = full};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
}

/* What comes to a full disk is a heartbeat: the leader hears that there is no room, and sends the entries again. */
static bool is_beyond_room(struct raftnode *node, struct bytes entries) {
  const struct raft_storage_ops *ops = node->storage->ops;
  return entries.len > 0 && ops->full(node->storage) && entries.len > ops->room(node->storage);
}

static void receive_core(struct raftnode *node, const struct raft_message *message, struct bytes entries, void *token) {
  struct raft_message parsed = *message;
  if (message->type == RAFT_APPEND) {
    if (!parse_entries(node, message->as.append.entries_count, entries)) {
      if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
      return;
    }
    parsed.as.append.terms = (const uint64_t *)(void *)node->terms.data;
    if (is_beyond_room(node, entries)) {
      set_disk_full(node, true); /* the answer must say so */
      parsed.as.append.entries_count = 0;
      entries = bytes_make(NULL, 0);
    }
  }
  struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = &parsed};
  raftnode_step(node, &event, entries, token);
  if (message->type == RAFT_INSTALL_REPLY) raftnode_receive_install_reply(node, message);
}

void raftnode_receive(struct raftnode *node, const struct raft_message *message, struct bytes entries, void *token,
                      uint64_t now_ms) {
  node->now_ms = now_ms;
  node->touched = true;
  if (message->type == RAFT_READ) {
    raftnode_receive_read(node, message, token);
  } else if (node->failed) {
    if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
  } else if (message->type == RAFT_READ_REPLY) {
    raftnode_receive_read_reply(node, message);
  } else {
    receive_core(node, message, entries, token);
  }
}

void raftnode_peer_down(struct raftnode *node, uint8_t peer, uint64_t now_ms) {
  if (node->failed) return;
  node->now_ms = now_ms;
  node->touched = true;
  struct raft_event event = {.type = RAFT_EVENT_PEER_DOWN, .peer = peer};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  raftnode_transfer_link_down(node, peer);
}

void raftnode_synced(struct raftnode *node, uint64_t number, uint64_t last_index, uint64_t now_ms) {
  if (node->failed) return;
  node->now_ms = now_ms;
  node->touched = true;
  struct raft_event event = {.type = RAFT_EVENT_SYNCED, .sync = number, .index = last_index};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  raftnode_release_held(node);
}

enum status raftnode_transfer(struct raftnode *node, uint8_t peer, uint64_t now_ms) {
  if (peer >= node->options.cluster->members_count || peer == node->options.cluster->self) return STATUS_INVALID;
  if (node->failed) return STATUS_NOT_LEADER;
  node->now_ms = now_ms;
  node->touched = true;
  struct raft_event event = {.type = RAFT_EVENT_TRANSFER, .peer = peer};
  raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  return node->out.accepted ? STATUS_OK : STATUS_NOT_LEADER;
}

/* ---- the turn ---- */

static void collect_late(struct raftnode *node, struct list *waits, struct list *late) {
  struct list *next = waits->next;
  while (next != waits) {
    struct list *link = next;
    next = next->next;
    if (wait_of(link)->deadline_ms > node->now_ms) continue;
    list_remove(link);
    list_push_back(late, link);
  }
}

static void sweep_deadlines(struct raftnode *node) {
  if (node->now_ms < node->sweep_ms) return;
  node->sweep_ms = node->now_ms + NODE_SWEEP_MS;
  struct list late;
  list_init(&late);
  collect_late(node, &node->proposed, &late);
  collect_late(node, &node->orphans, &late);
  while (!list_empty(&late))
    raftnode_done_write(node, wait_of(late.next), STATUS_TIMEOUT, NULL);
  raftnode_sweep_queued(node);
  collect_late(node, &node->reads_new, &late);
  collect_late(node, &node->reads_sent, &late);
  collect_late(node, &node->reads_applying, &late);
  while (!list_empty(&late))
    raftnode_done_read(node, wait_of(late.next), STATUS_TIMEOUT);
}

static void sync_storage(struct raftnode *node) {
  if (node->sync_wanted == 0 || node->failed) return;
  uint64_t number = node->sync_wanted;
  node->sync_wanted = 0;
  if (node->storage->ops->sync(node->storage, number) != STATUS_OK) raftnode_fail(node);
}

static void look_at_room(struct raftnode *node) {
  const struct raft_storage_ops *ops = node->storage->ops;
  set_disk_full(node, ops->full(node->storage) && ops->room(node->storage) < NODE_ROOM_MIN);
}

static void send_turn(struct raftnode *node) {
  raftnode_start_reads(node);
  raftnode_step_plain(node, RAFT_EVENT_FLUSH);
}

void raftnode_turn(struct raftnode *node, uint64_t now_ms) {
  node->now_ms = now_ms;
  node->touched = false;
  if (node->storage->ops->failed(node->storage)) raftnode_fail(node);
  raftnode_finish_works(node);
  /* Storage may fail at each write; the core is then ahead of the log and must not be stepped any more. */
  if (!node->failed) look_at_room(node);
  if (!node->failed && now_ms >= node->core_deadline_ms) raftnode_step_plain(node, RAFT_EVENT_TIMEOUT);
  if (!node->failed) raftnode_append_queued(node);
  if (!node->failed) send_turn(node);
  raftnode_send_snapshots(node);
  sync_storage(node);
  if (node->failed) {
    raftnode_refuse_queued(node, STATUS_NO_LEADER);
    raftnode_restart_reads(node);
    drop_held(node);
  } else {
    raftnode_apply(node);
    if (!node->failed) raftnode_take_snapshots(node);
    if (!node->failed) raftnode_drop_incoming(node);
    raftnode_confirm_reads(node);
  }
  raftnode_finish_reads(node);
  sweep_deadlines(node);
}

uint64_t raftnode_deadline_ms(const struct raftnode *node) {
  uint64_t deadline = UINT64_MAX;
  if (node->touched) return node->now_ms;
  if (!node->failed) {
    if (node->last_applied < node->core.commit_index) return node->now_ms;
    deadline = node->core_deadline_ms;
    if (node->read_retry_ms < deadline) deadline = node->read_retry_ms;
    if (raftnode_transfers_deadline_ms(node) < deadline) deadline = raftnode_transfers_deadline_ms(node);
  }
  bool waiting = node->proposals_count > 0 || node->reads_count > 0;
  return waiting && node->sweep_ms < deadline ? node->sweep_ms : deadline;
}

size_t raftnode_writes_waiting(const struct raftnode *node) {
  return node->proposals_count;
}

bool raftnode_failed(const struct raftnode *node) {
  return node->failed;
}

const struct raft *raftnode_core(const struct raftnode *node) {
  return &node->core;
}

uint64_t raftnode_last_applied(const struct raftnode *node) {
  return node->last_applied;
}

void raftnode_on_applied(struct raftnode *node, raftnode_applied *applied, void *context) {
  node->applied = applied;
  node->applied_context = context;
}
