/* One simulated node: the real Raft node, stores, state machine and DistributedKV, with a clock, a disk and a life of
 * its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
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

static void on_sync_asked(void *context) {
  struct sim_node *node = context;
  struct sim_world *world = node->world;
  uint64_t bound_us = (uint64_t)world->config.sync_us + node->slow_disk_us;
  uint64_t at_us = world->now_us + sim_below(&world->disk_random, bound_us);
  if (at_us < node->synced_at_us) at_us = node->synced_at_us;
  node->synced_at_us = at_us;
  sim_push(world, at_us, SIM_SYNCED, node->number, node->incarnation, NULL);
}

static void on_applied(void *context, const struct log_entry *entry, const struct apply_result *result) {
  struct sim_node *node = context;
  struct sim_check *check = &node->world->check;
  struct kvsm_stats stats;
  kvsm_stats(node->sm, &stats);
  sim_check_stepped(check, node->number, raftnode_core(node->raft));
  sim_check_applied(check, node->number, entry, result, stats.digest);
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
  struct sim_disk_listener listener = {node, on_appended, on_cutting, on_sync_asked};
  sim_disk_init(&node->disk, &listener);
}

void sim_node_deinit(struct sim_node *node) {
  if (node->up) sim_node_stop(node);
  sim_disk_deinit(&node->disk);
  free(node->parked);
}

void sim_node_start(struct sim_node *node) {
  struct sim_world *world = node->world;
  const struct sim_config *config = &world->config;
  struct raftnode_options options = {.cluster = &node->cluster,
                                     .fixed_leader = config->fixed_leader,
                                     .heartbeat_ms = config->heartbeat_ms,
                                     .election_min_ms = config->election_min_ms,
                                     .election_max_ms = config->election_max_ms,
                                     .inflight_max = config->inflight_max,
                                     .message_bytes_max = config->message_bytes_max,
                                     .seed = prng_next(&world->node_random),
                                     .life = prng_next(&world->node_random) | 1};
  node->incarnation++;
  if (!sim_disk_agrees(&node->disk)) {
    sim_check_fail(&world->check, node->number, "its disk does not hold what was durable when it stopped");
  }
  sim_check_started(&world->check, node->number, &node->disk.ledger);
  node->sm = kvsm_create();
  node->raft = raftnode_create(&options, &node->disk.base, &node->transport, node->sm, sim_node_now_ms(node));
  raftnode_on_applied(node->raft, on_applied, node);
  dkv_init(&node->dkv, raftnode_base(node->raft), node->sm, READ_POLICY_READINDEX, WRITE_MODE_SYNC);
  node->up = true;
  node->paused = false;
  node->timer_at_us = UINT64_MAX;
  sim_push(world, world->now_us, SIM_TURN, node->number, node->incarnation, NULL);
}

static void drop_event(struct sim_node *node, const struct sim_event *event, bool refused) {
  if (event->kind == SIM_MESSAGE) sim_packet_free(node->world, event->data);
  if (event->kind == SIM_REQUEST) sim_load_lost(node->world, event->data, refused);
}

void sim_node_stop(struct sim_node *node) {
  CHECK(node->up);
  node->up = false;
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
  sim_disk_crash(&node->disk);
  node->synced_at_us = 0;
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
  if (raftnode_failed(node->raft)) return;
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

static void synced(struct sim_node *node) {
  uint64_t number, last_index;
  if (!sim_disk_complete(&node->disk, &number, &last_index)) return; /* it failed meanwhile */
  trace(node, SIM_TRACE_SYNCED, RAFT_NODE_NONE, number, last_index);
  raftnode_synced(node->raft, number, last_index, sim_node_now_ms(node));
}

static void dispatch(struct sim_node *node, const struct sim_event *event) {
  switch (event->kind) {
  case SIM_MESSAGE:
    receive(node, event->data);
    break;
  case SIM_SYNCED:
    synced(node);
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
  case SIM_RESPONSE:
  case SIM_CLIENT:
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
  bool personal = event->kind == SIM_SYNCED || event->kind == SIM_TIMER || event->kind == SIM_TURN;
  if (personal && event->number != node->incarnation) return true;
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
  node->world->events_count++;
  dispatch(node, event);
}
