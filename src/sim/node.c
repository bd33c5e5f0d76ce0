/* One simulated node: the real Raft node, stores, state machine and DistributedKV, with a clock, a disk and a life of
 * its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "raft/restart.h"
#include "sim/world_state.h"

enum {
  DEFERRED_TURN_US = 400,
  WORK_LEFT_US = 20, /* a turn that leaves work behind is followed by another after this */
  SLOWEST_PPM = SIM_MILLION / 2
};

/* ---- the clock ---- */

static uint64_t local_us(const struct sim_node *node) {
  const struct sim_clock *clock = &node->clock;
  return clock->base_local_us + (node->world->now_us - clock->base_us) * clock->rate_ppm / SIM_MILLION;
}

uint64_t sim_node_now_ms(const struct sim_node *node) {
  return local_us(node) / 1000;
}

/* The virtual time at which the clock will say so, or a little later. */
static uint64_t when_local(const struct sim_node *node, uint64_t ms) {
  const struct sim_clock *clock = &node->clock;
  if (ms * 1000 <= clock->base_local_us) return node->world->now_us;
  return clock->base_us + ((ms * 1000 - clock->base_local_us) * SIM_MILLION + clock->rate_ppm - 1) / clock->rate_ppm;
}

static void schedule(struct sim_node *node) {
  uint64_t deadline_ms = raftnode_deadline_ms(node->raft);
  if (deadline_ms == UINT64_MAX) return;
  struct sim_world *world = node->world;
  uint64_t at_us = when_local(node, deadline_ms);
  if (at_us <= world->now_us) at_us = world->now_us + WORK_LEFT_US;
  if (at_us >= node->timer_at_us) return; /* the event under way comes early and looks again */
  struct sim_event event = {.at_us = at_us, .kind = SIM_TIMER, .node = node->number, .number = node->incarnation};
  node->timer_at_us = at_us;
  node->timer_sequence = sim_events_push(&world->events, &event);
}

void sim_node_set_rate(struct sim_node *node, uint64_t rate_ppm) {
  CHECK(rate_ppm >= SLOWEST_PPM);
  uint64_t local = local_us(node);
  node->clock = (struct sim_clock){node->world->now_us, local, rate_ppm};
  node->timer_at_us = UINT64_MAX;
  if (node->up) schedule(node);
}

/* ---- what the disk and the node tell ---- */

static void on_appended(void *context, uint64_t index) {
  struct sim_node *node = context;
  sim_check_appended(&node->world->check, node->number, index);
}

static void on_cutting(void *context, uint64_t index) {
  struct sim_node *node = context;
  sim_check_cutting(&node->world->check, node->number, raftnode_core(node->raft), index);
}

static void on_truncating(void *context, uint64_t index) {
  struct sim_node *node = context;
  sim_check_truncating(&node->world->check, node->number, index);
}

static void on_recording(void *context, struct snapshot_mark mark) {
  struct sim_node *node = context;
  sim_check_recording(&node->world->check, node->number, mark);
}

static struct sim_link *on_resetting(void *context, struct snapshot_mark mark) {
  struct sim_node *node = context;
  return sim_check_resetting(&node->world->check, node->number, mark);
}

static void on_submitted(void *context, enum sim_job job) {
  sim_work_job(context, job);
}

static void on_applied(void *context, const struct log_entry *entry, const struct apply_result *result) {
  struct sim_node *node = context;
  struct sim_check *check = &node->world->check;
  struct kvsm_stats stats;
  kvsm_stats(node->sm, &stats);
  sim_check_stepped(check, node->number, raftnode_core(node->raft));
  sim_check_applied(check, node->number, entry, result, stats.digest);
}

static void on_installed(void *context, struct snapshot_mark mark) {
  struct sim_node *node = context;
  struct sim_check *check = &node->world->check;
  struct kvsm_stats stats;
  kvsm_stats(node->sm, &stats);
  sim_check_stepped(check, node->number, raftnode_core(node->raft));
  sim_check_installed(check, node->number, mark.index, stats.digest);
}

/* ---- life ---- */

static void init_cluster(struct sim_node *node, uint8_t nodes_count) {
  struct cluster_member members[SIM_NODES_MAX];
  memset(members, 0, sizeof members);
  for (uint8_t i = 0; i < nodes_count; i++) {
    snprintf(members[i].id, sizeof members[i].id, "n%u", i + 1u);
    snprintf(members[i].host, sizeof members[i].host, "sim");
    members[i].port = (uint16_t)(i + 1);
  }
  struct error err;
  CHECK(cluster_init(&node->cluster, members, nodes_count, members[node->number].id, &err) == STATUS_OK);
  CHECK(node->cluster.self == node->number);
}

void sim_node_init(struct sim_world *world, uint8_t number) {
  struct sim_node *node = &world->nodes[number];
  node->world = world;
  node->number = number;
  node->transport.ops = &sim_transport_ops;
  node->timer_at_us = UINT64_MAX;
  node->clock = (struct sim_clock){0, prng_below(&world->node_random, 1000000000), SIM_MILLION};
  init_cluster(node, world->config.nodes_count);
  const struct sim_disk_listener listener = {node,         on_appended,  on_cutting,  on_truncating,
                                             on_recording, on_resetting, on_submitted};
  const struct sim_disk_options options = {.segment_bytes = world->config.segment_bytes,
                                           .cache_bytes = world->config.cache_bytes,
                                           .seed = prng_next(&world->disk_random)};
  sim_disk_init(&node->disk, &options, &listener);
}

void sim_node_deinit(struct sim_node *node) {
  if (node->up) sim_node_stop(node, SIM_WORK_NOT_BEGUN);
  sim_disk_deinit(&node->disk);
  free(node->parked);
}

static enum status compare(struct sim_node *node) {
  struct buffer links = {0};
  struct sim_found found;
  bool more = false;
  enum status status = sim_disk_found(&node->disk, &found, &links);
  if (status == STATUS_OK && !sim_ledger_found(&node->disk.ledger, &found, &more)) {
    sim_check_found(&node->world->check, node->number, &found);
    status = STATUS_INVALID;
  }
  if (more && status == STATUS_OK)
    sim_fault_count(node->world, SIM_FAULT_UNTOLD, node->number, RAFT_NODE_NONE, found.last_index);
  buffer_deinit(&links);
  return status;
}

static enum status open_disk(struct sim_node *node, struct error *err) {
  enum status status = sim_disk_open(&node->disk, err);
  if (status != STATUS_OK) return status;
  status = compare(node);
  return status == STATUS_OK ? status : error_set(err, status, "it does not hold what was durable when it stopped");
}

static struct raftnode *make_raft(struct sim_node *node) {
  struct sim_world *world = node->world;
  const struct sim_config *config = &world->config;
  const struct raftnode_options options = {.cluster = &node->cluster,
                                           .fixed_leader = config->fixed_leader,
                                           .heartbeat_ms = config->heartbeat_ms,
                                           .election_min_ms = config->election_min_ms,
                                           .election_max_ms = config->election_max_ms,
                                           .inflight_max = config->inflight_max,
                                           .message_bytes_max = config->message_bytes_max,
                                           .seed = prng_next(&world->node_random),
                                           .life = prng_next(&world->node_random) | 1,
                                           .snapshot_threshold = config->snapshot_threshold,
                                           .snapshot_tail = config->snapshot_tail,
                                           .install_bytes = config->install_bytes,
                                           .worker = {node, sim_work_submit}};
  return raftnode_create(&options, &node->disk.base, &node->transport, node->sm, sim_node_now_ms(node));
}

/* The state as of the newest snapshot, which is at least the one that was durable. */
static enum status restore(struct sim_node *node, struct error *err) {
  struct sim_check *check = &node->world->check;
  struct kvsm_stats stats;
  sim_check_started(check, node->number, &node->disk.ledger);
  enum status status = raft_restart(&node->disk.base, node->sm, err);
  if (status != STATUS_OK) return status;
  kvsm_stats(node->sm, &stats);
  if (stats.last_applied < node->disk.ledger.published.index)
    return error_set(err, STATUS_INVALID, "a snapshot that was durable is not there");
  if (stats.last_applied > 0) sim_check_installed(check, node->number, stats.last_applied, stats.digest);
  sim_disk_note_snapshot(&node->disk);
  return STATUS_OK;
}

static uint64_t now_of(void *context) {
  return sim_node_now_ms(context);
}

static void go_up(struct sim_node *node) {
  node->raft = make_raft(node);
  const struct dkv_options options = {.read_policy = READ_POLICY_READINDEX,
                                      .write_mode = WRITE_MODE_SYNC,
                                      .async_result_ttl_seconds = node->world->config.async_result_ttl_seconds,
                                      .async_ops_max = ASYNC_OPS_MAX,
                                      .id = node->cluster.members[node->number].id,
                                      .incarnation = raftnode_core(node->raft)->life,
                                      .now_ms = now_of,
                                      .now_context = node};
  raftnode_on_applied(node->raft, on_applied, node);
  raftnode_on_installed(node->raft, on_installed, node);
  dkv_init(&node->dkv, raftnode_base(node->raft), node->sm, &options);
  node->up = true;
  node->paused = false;
  node->timer_at_us = UINT64_MAX;
  wal_make_room(node->disk.wal);
  sim_push(node->world, node->world->now_us, SIM_TURN, node->number, node->incarnation, NULL);
}

enum status sim_node_start(struct sim_node *node, struct error *err) {
  node->incarnation++;
  node->sm = kvsm_create();
  enum status status = open_disk(node, err);
  if (status == STATUS_OK) status = restore(node, err);
  if (status == STATUS_OK) {
    go_up(node);
    return STATUS_OK;
  }
  kvsm_destroy(node->sm);
  node->sm = NULL;
  sim_disk_close(&node->disk);
  return status;
}

static void drop_event(struct sim_node *node, const struct sim_event *event, bool refused) {
  if (event->kind == SIM_MESSAGE) sim_packet_free(node->world, event->data);
  if (event->kind == SIM_REQUEST) sim_load_lost(node->world, event->data, refused);
  if (event->kind == SIM_MANUAL) sim_manual_lost(event->data);
}

static void add_counts(struct sim_world *world, const struct raftnode *raft) {
  struct raftnode_snapshot_counts counts;
  raftnode_snapshot_counts(raft, &counts);
  sim_snapshots_add(&world->snapshots, &counts);
}

void sim_node_stop(struct sim_node *node, enum sim_last_work last) {
  CHECK(node->up);
  sim_work_end(node, last);
  node->up = false;
  add_counts(node->world, node->raft);
  raftnode_destroy(node->raft);
  dkv_deinit(&node->dkv);
  kvsm_destroy(node->sm);
  node->raft = NULL;
  node->sm = NULL;
  if (node->tokens != 0) {
    sim_check_fail(&node->world->check, node->number, "it leaves %llu requests without an answer",
                   (unsigned long long)node->tokens);
  }
  node->tokens = 0;
  for (size_t i = 0; i < node->parked_count; i++)
    drop_event(node, &node->parked[i], false);
  node->parked_count = 0;
  sim_disk_close(&node->disk);
}

/* ---- events ---- */

static void trace(struct sim_node *node, enum sim_trace_kind kind, uint8_t peer, uint64_t a, uint64_t b) {
  struct sim_trace_record record = {
      .at_us = node->world->now_us, .kind = (uint8_t)kind, .node = node->number, .peer = peer, .numbers = {a, b}};
  sim_trace_add(&node->world->trace, &record);
}

/* Traces what has become of the node. */
static void trace_state(struct sim_node *node) {
  struct sim_trace *trace_of_world = &node->world->trace;
  const struct raft *core = raftnode_core(node->raft);
  sim_trace_fold(trace_of_world, core->last_index << 32 ^ core->commit_index, raftnode_last_applied(node->raft));
  uint64_t state = core->hard_state.term << 16 | (uint64_t)core->role << 8 | core->leader;
  if (state == node->seen_state) return;
  node->seen_state = state;
  struct sim_trace_record record = {
      .at_us = node->world->now_us,
      .kind = SIM_TRACE_STATE,
      .node = node->number,
      .peer = core->leader,
      .numbers = {core->role, core->hard_state.term, core->last_index, core->commit_index}};
  sim_trace_add(trace_of_world, &record);
}

/* A node whose disk has refused a write is ahead of its log and says nothing any more. */
static void check_now(struct sim_node *node) {
  if (raftnode_failed(node->raft)) {
    if (node->disk.faulty) return;
    const char *why = wal_failure(node->disk.wal);
    sim_check_fail(&node->world->check, node->number, "its storage failed, although its disk did not: %s",
                   why == NULL ? "for want of a word" : why);
    return;
  }
  struct sim_check *check = &node->world->check;
  const struct raft *core = raftnode_core(node->raft);
  sim_check_stepped(check, node->number, core);
  if (core->last_index != node->disk.ledger.log.last) {
    sim_check_fail(check, node->number, "it thinks that its log ends at %llu, but it ends at %llu",
                   (unsigned long long)core->last_index, (unsigned long long)node->disk.ledger.log.last);
  }
}

static void end_turn(struct sim_node *node) {
  raftnode_turn(node->raft, sim_node_now_ms(node));
  sim_work_drain(node); /* a sync that had nothing to do */
  check_now(node);
  trace_state(node);
  schedule(node);
}

void sim_node_turn(struct sim_node *node) {
  struct sim_world *world = node->world;
  if (!sim_chance(&world->node_random, world->config.defer_ppm)) {
    end_turn(node);
    return;
  }
  check_now(node);
  uint64_t at_us = world->now_us + prng_below(&world->node_random, DEFERRED_TURN_US);
  sim_push(world, at_us, SIM_TURN, node->number, node->incarnation, NULL);
}

static void receive(struct sim_node *node, struct sim_packet *packet) {
  struct sim_world *world = node->world;
  const struct raft_message *message = &packet->message;
  struct sim_trace_record record = sim_trace_message(world->now_us, message);
  sim_trace_add(&world->trace, &record);
  world->messages_count++;
  bool is_reply = message->type == RAFT_APPEND_REPLY || message->type == RAFT_VOTE_REPLY ||
                  message->type == RAFT_READ_REPLY || message->type == RAFT_INSTALL_REPLY;
  void *token = is_reply ? NULL : (void *)(uintptr_t)(message->from + 1u);
  if (token != NULL) node->tokens++;
  raftnode_receive(node->raft, message, buffer_view(&packet->entries), token, sim_node_now_ms(node));
  sim_packet_free(world, packet);
}

static void dispatch(struct sim_node *node, const struct sim_event *event) {
  switch (event->kind) {
  case SIM_MESSAGE:
    receive(node, event->data);
    break;
  case SIM_LOG_JOB:
  case SIM_SPARE_JOB:
  case SIM_ROOM:
  case SIM_WORK:
    sim_work_event(node, event);
    break;
  case SIM_TIMER:
  case SIM_TURN:
    trace(node, SIM_TRACE_TURN, RAFT_NODE_NONE, 0, 0);
    end_turn(node);
    return;
  case SIM_PEER_DOWN:
    trace(node, SIM_TRACE_PEER_DOWN, (uint8_t)event->number, 0, 0);
    raftnode_peer_down(node->raft, (uint8_t)event->number, sim_node_now_ms(node));
    break;
  case SIM_REQUEST:
    sim_load_request(node, event->data);
    break;
  case SIM_MANUAL:
    sim_manual_request(node, event->data);
    break;
  case SIM_RESPONSE:
  case SIM_CLIENT:
  case SIM_MANUAL_END:
    CHECK(!"an event of a client");
  }
  sim_node_turn(node);
}

static void park(struct sim_node *node, const struct sim_event *event) {
  if (node->parked_count == node->parked_capacity) {
    node->parked_capacity = node->parked_capacity == 0 ? 64 : 2 * node->parked_capacity;
    node->parked = xrealloc(node->parked, node->parked_capacity * sizeof node->parked[0]);
  }
  node->parked[node->parked_count++] = *event;
}

/* True when the event is not meant for this incarnation, or its deadline has been moved. */
static bool is_void(struct sim_node *node, const struct sim_event *event) {
  bool shared = event->kind == SIM_MESSAGE || event->kind == SIM_PEER_DOWN || event->kind == SIM_REQUEST ||
                event->kind == SIM_MANUAL;
  if (!shared && event->number != node->incarnation) return true;
  if (event->kind != SIM_TIMER) return false;
  if (event->sequence != node->timer_sequence) return true;
  node->timer_at_us = UINT64_MAX;
  if (raftnode_deadline_ms(node->raft) <= sim_node_now_ms(node)) return false;
  schedule(node);
  return true;
}

void sim_node_event(struct sim_node *node, const struct sim_event *event) {
  if (!node->up) {
    drop_event(node, event, true);
    return;
  }
  if (node->paused) {
    park(node, event);
    return;
  }
  if (is_void(node, event)) return;
  sim_event_begin(node->world);
  dispatch(node, event);
}
