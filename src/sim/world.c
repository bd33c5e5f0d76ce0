/* The world's frame: life, the run, what may be seen. */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/world_state.h"

enum { QUIET_US = 60000000 }; /* so long a step waits for an event */

struct sim_config sim_config_default(void) {
  return (struct sim_config){.nodes_count = 3,
                             .seed = 1,
                             .fixed_leader = RAFT_NODE_NONE,
                             .heartbeat_ms = 50,
                             .election_min_ms = 300,
                             .election_max_ms = 600,
                             .inflight_max = 8,
                             .message_bytes_max = 4096,
                             .defer_ppm = 100000,
                             .sync_us = 2000,
                             .segment_bytes = 65536,
                             .cache_bytes = 16384,
                             .snapshot_tail = 64,
                             .install_bytes = 4096,
                             .async_result_ttl_seconds = 60,
                             .net = {.delay_us = 200, .jitter_us = 800}};
}

static void init_randoms(struct sim_world *world) {
  struct prng seeds;
  prng_init(&seeds, world->config.seed);
  prng_init(&world->net_random, prng_next(&seeds));
  prng_init(&world->disk_random, prng_next(&seeds));
  prng_init(&world->node_random, prng_next(&seeds));
  prng_init(&world->load_random, prng_next(&seeds));
  prng_init(&world->policy_random, prng_next(&seeds));
}

struct sim_world *sim_world_create(const struct sim_config *config) {
  struct sim_world *world = xcalloc(1, sizeof *world);
  world->config = *config;
  init_randoms(world);
  sim_events_init(&world->events);
  sim_trace_init(&world->trace);
  sim_check_init(&world->check, config->nodes_count);
  sim_net_init(world);
  for (uint8_t i = 0; i < config->nodes_count; i++)
    sim_node_init(world, i);
  for (uint8_t i = 0; i < config->nodes_count; i++)
    CHECK(sim_node_start(&world->nodes[i], NULL) == STATUS_OK);
  return world;
}

void sim_world_destroy(struct sim_world *world) {
  for (uint8_t i = 0; i < world->config.nodes_count; i++)
    sim_node_deinit(&world->nodes[i]);
  sim_load_destroy(world->clients);
  sim_manual_destroy(world->manual);
  sim_net_deinit(world);
  sim_check_deinit(&world->check);
  sim_trace_deinit(&world->trace);
  sim_events_deinit(&world->events);
  free(world);
}

void sim_push(struct sim_world *world, uint64_t at_us, enum sim_event_kind kind, uint8_t node, uint64_t number,
              void *data) {
  struct sim_event event = {.at_us = at_us, .kind = kind, .node = node, .number = number, .data = data};
  sim_events_push(&world->events, &event);
}

/* ---- the run ---- */

static void happen(struct sim_world *world, const struct sim_event *event) {
  if (event->kind == SIM_RESPONSE) {
    sim_event_begin(world);
    sim_load_response(world, event->data);
  } else if (event->kind == SIM_CLIENT) {
    sim_load_wake(world, event);
  } else if (event->kind == SIM_MANUAL_END) {
    sim_manual_end(world, event->number);
  } else {
    sim_node_event(&world->nodes[event->node], event);
  }
}

/* False when there is nothing up to that time, which it is then. */
static bool happen_next(struct sim_world *world, uint64_t end_us) {
  const struct sim_event *first = sim_events_first(&world->events);
  if (first == NULL || first->at_us > end_us) {
    world->now_us = end_us;
    return false;
  }
  struct sim_event event = sim_events_pop(&world->events);
  world->now_us = event.at_us;
  world->check.now_us = event.at_us;
  happen(world, &event);
  return true;
}

static void run(struct sim_world *world, uint64_t us, bool to_answer) {
  uint64_t end_us = world->now_us + us;
  while (!sim_check_failed(&world->check)) {
    if (to_answer && sim_manual_news(world)) break;
    if (sim_world_stopped(world) || !happen_next(world, end_us)) break;
  }
}

bool sim_world_run(struct sim_world *world, uint64_t us) {
  run(world, us, false);
  sim_manual_notice(world);
  return !sim_check_failed(&world->check);
}

bool sim_world_run_to_answer(struct sim_world *world, uint64_t us, bool *answered) {
  run(world, us, true);
  *answered = sim_manual_news(world);
  sim_manual_notice(world);
  return !sim_check_failed(&world->check);
}

void sim_world_stop_at(struct sim_world *world, uint64_t event) {
  world->stop_at = event;
}

bool sim_world_stopped(const struct sim_world *world) {
  return world->stop_at != 0 && world->events_count + 1 >= world->stop_at;
}

/* What reaches a node that is down or paused is no event, and may go on for ever: hence the limit. */
uint64_t sim_world_step(struct sim_world *world, uint64_t events) {
  uint64_t before = world->events_count, seen = before, end_us = world->now_us + QUIET_US;
  while (!sim_check_failed(&world->check) && world->events_count - before < events) {
    if (!happen_next(world, end_us)) break;
    if (world->events_count != seen) end_us = world->now_us + QUIET_US;
    seen = world->events_count;
  }
  return world->events_count - before;
}

uint8_t sim_world_nodes_count(const struct sim_world *world) {
  return world->config.nodes_count;
}

uint64_t sim_world_now_us(const struct sim_world *world) {
  return world->now_us;
}

const char *sim_world_violation(const struct sim_world *world) {
  return sim_check_failed(&world->check) ? world->check.violation : NULL;
}

uint64_t sim_world_random(struct sim_world *world, uint64_t bound) {
  return prng_below(&world->policy_random, bound);
}

/* ---- what one may see ---- */

void sim_world_node(struct sim_world *world, uint8_t number, struct sim_node_view *out) {
  CHECK(number < world->config.nodes_count);
  struct sim_node *node = &world->nodes[number];
  *out = (struct sim_node_view){.up = node->up,
                                .paused = node->paused,
                                .faulty = node->disk.faulty,
                                .disk_full = sim_disk_is_full(&node->disk),
                                .disk_bytes = simdisk_used_bytes(node->disk.files),
                                .proven = node->disk.ledger.hard_state.proven};
  if (!node->up) return;
  out->failed = raftnode_failed(node->raft);
  struct kvsm_stats stats;
  dkv_status(&node->dkv, &out->status, &stats);
  out->life = raftnode_core(node->raft)->life;
  out->state = stats.digest;
  out->keys = stats.keys;
  out->clients = stats.clients;
  dkv_leader_hint(&node->dkv, &out->hint);
}

enum sim_state sim_world_state(const struct sim_world *world, uint8_t number) {
  CHECK(number < world->config.nodes_count);
  const struct sim_node *node = &world->nodes[number];
  if (!node->up) return SIM_DOWN;
  if (raftnode_failed(node->raft)) return SIM_FAILED;
  return node->paused ? SIM_PAUSED : SIM_UP;
}

uint8_t sim_world_leader(const struct sim_world *world) {
  uint8_t leader = RAFT_NODE_NONE;
  uint64_t term = 0;
  for (uint8_t i = 0; i < world->config.nodes_count; i++) {
    const struct sim_node *node = &world->nodes[i];
    if (!node->up || node->paused || raftnode_failed(node->raft)) continue;
    const struct raft *core = raftnode_core(node->raft);
    if (core->role != RAFT_LEADER || core->hard_state.term < term) continue;
    leader = i;
    term = core->hard_state.term;
  }
  return leader;
}

void sim_world_log(struct sim_world *world, uint8_t number, uint64_t lo, uint64_t hi, log_visit *visit, void *context) {
  if (!world->nodes[number].up) return;
  struct log_store *log = &world->nodes[number].disk.log;
  uint64_t first = log->ops->first_index(log), last = log->ops->last_index(log);
  if (lo < first) lo = first;
  if (hi > last) hi = last;
  if (lo <= hi) (void)log->ops->read_range(log, lo, hi, visit, context); /* a disk that fails shows nothing */
}

void sim_world_files(const struct sim_world *world, uint8_t number, simdisk_visit *visit, void *context) {
  CHECK(number < world->config.nodes_count);
  simdisk_files(world->nodes[number].disk.files, visit, context);
}

void sim_snapshots_add(struct raftnode_snapshot_counts *sum, const struct raftnode_snapshot_counts *counts) {
  sum->taken += counts->taken;
  sum->installed += counts->installed;
  sum->sent += counts->sent;
  sum->resumed += counts->resumed;
  sum->cut += counts->cut;
}

static struct raftnode_snapshot_counts count_snapshots(const struct sim_world *world) {
  struct raftnode_snapshot_counts sum = world->snapshots, counts;
  for (uint8_t i = 0; i < world->config.nodes_count; i++) {
    if (!world->nodes[i].up) continue;
    raftnode_snapshot_counts(world->nodes[i].raft, &counts);
    sim_snapshots_add(&sum, &counts);
  }
  return sum;
}

void sim_world_stats(const struct sim_world *world, struct sim_stats *out) {
  *out = (struct sim_stats){.events = world->events_count,
                            .messages = world->messages_count,
                            .commits = world->check.committed_last,
                            .elections = world->check.elections,
                            .leader_changes = world->check.leader_changes,
                            .snapshots = count_snapshots(world)};
  memcpy(out->faults, world->faults, sizeof out->faults);
  if (world->clients != NULL) sim_load_stats(world->clients, out);
}

struct hash128 sim_world_digest(const struct sim_world *world) {
  return (struct hash128){world->trace.low, world->trace.high};
}

void sim_world_trace(const struct sim_world *world, size_t records_max, struct buffer *out) {
  sim_trace_text(&world->trace, records_max, out);
}

uint64_t sim_world_records(const struct sim_world *world) {
  return world->trace.count;
}

uint64_t sim_world_records_kept(const struct sim_world *world) {
  return sim_trace_kept(&world->trace);
}

void sim_world_keep_records(struct sim_world *world, size_t records) {
  if (records > world->trace.capacity) sim_trace_keep(&world->trace, records);
}

const struct sim_trace_record *sim_world_record(const struct sim_world *world, uint64_t number) {
  return sim_trace_record_at(&world->trace, number);
}

const struct sim_election *sim_world_election(const struct sim_world *world, uint64_t number) {
  uint64_t count = world->check.elections;
  if (number == 0 || number > count || number + SIM_ELECTIONS_KEPT <= count) return NULL;
  return &world->check.newest_elections[(number - 1) % SIM_ELECTIONS_KEPT];
}
