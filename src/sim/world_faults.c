/* Faults: each is counted and traced. */
#include "base/check.h"
#include "sim/world_state.h"

enum {
  CRASH_NOTICED_PPM = 500000, /* whether another node notices that one went */
  CRASH_NOTICED_US = 20000,   /* and how soon */
  TIME_FIRST_PPM = 500000     /* a resumed node looks at its clock before it reads what has come */
};

void sim_fault_count(struct sim_world *world, enum sim_fault fault, uint8_t node, uint8_t peer, uint64_t value) {
  world->faults[fault]++;
  struct sim_trace_record record = {.at_us = world->now_us,
                                    .kind = SIM_TRACE_FAULT,
                                    .what = (uint8_t)fault,
                                    .node = node,
                                    .peer = peer,
                                    .numbers = {value}};
  sim_trace_add(&world->trace, &record);
}

static struct sim_node *node_of(struct sim_world *world, uint8_t number) {
  CHECK(number < world->config.nodes_count);
  return &world->nodes[number];
}

static void notice_crash(struct sim_world *world, uint8_t number) {
  for (uint8_t i = 0; i < world->config.nodes_count; i++) {
    if (i == number || !sim_chance(&world->net_random, CRASH_NOTICED_PPM)) continue;
    uint64_t at_us = world->now_us + prng_below(&world->net_random, CRASH_NOTICED_US);
    sim_push(world, at_us, SIM_PEER_DOWN, i, number, NULL);
  }
}

static void finish_syncs(struct sim_world *world, struct sim_node *node, uint32_t untold_max) {
  uint64_t sync, last_index;
  for (uint32_t i = 0; i < untold_max && sim_disk_complete(&node->disk, &sync, &last_index); i++)
    sim_fault_count(world, SIM_FAULT_UNTOLD, node->number, RAFT_NODE_NONE, sync);
}

bool sim_world_crash(struct sim_world *world, uint8_t number, uint32_t untold_max) {
  struct sim_node *node = node_of(world, number);
  if (!node->up) return false;
  if (sim_world_leader(world) == number) world->faults[SIM_FAULT_LEADER_CRASH]++;
  finish_syncs(world, node, untold_max);
  sim_node_stop(node);
  notice_crash(world, number);
  sim_fault_count(world, SIM_FAULT_CRASH, number, RAFT_NODE_NONE, 0);
  return true;
}

bool sim_world_restart(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (node->up) return false;
  sim_node_start(node);
  sim_fault_count(world, SIM_FAULT_RESTART, number, RAFT_NODE_NONE, 0);
  return true;
}

/* The leader that founded the cluster counts those who never had a state to lose; while it leads nobody may lose one.
 */
static bool survives_a_loss(const struct sim_node *node) {
  if (!node->up || !node->disk.ledger.hard_state.proven) return false;
  const struct raft *core = raftnode_core(node->raft);
  return core->role != RAFT_LEADER || core->term_first_index > 1;
}

bool sim_world_wipe(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (node->up || world->check.committed_last == 0) return false;
  for (uint8_t i = 0; i < world->config.nodes_count; i++) {
    if (i != number && !survives_a_loss(&world->nodes[i])) return false;
  }
  sim_disk_wipe(&node->disk);
  sim_check_wiped(&world->check, number);
  sim_fault_count(world, SIM_FAULT_WIPE, number, RAFT_NODE_NONE, 0);
  return true;
}

bool sim_world_pause(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (!node->up || node->paused) return false;
  node->paused = true;
  sim_fault_count(world, SIM_FAULT_PAUSE, number, RAFT_NODE_NONE, 0);
  return true;
}

static void push_turn(struct sim_world *world, const struct sim_node *node) {
  sim_push(world, world->now_us, SIM_TURN, node->number, node->incarnation, NULL);
}

/* What has queued up comes all at once, in its order, before or after the node sees what time it is. The deadline's
 * event keeps its number, so it is pushed anew by the first turn. */
bool sim_world_resume(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (!node->up || !node->paused) return false;
  node->paused = false;
  node->timer_at_us = UINT64_MAX;
  bool time_first = sim_chance(&world->node_random, TIME_FIRST_PPM);
  if (time_first) push_turn(world, node);
  for (size_t i = 0; i < node->parked_count; i++) {
    const struct sim_event *event = &node->parked[i];
    if (event->kind != SIM_TIMER) sim_push(world, world->now_us, event->kind, number, event->number, event->data);
  }
  node->parked_count = 0;
  if (!time_first) push_turn(world, node);
  sim_fault_count(world, SIM_FAULT_RESUME, number, RAFT_NODE_NONE, 0);
  return true;
}

bool sim_world_transfer(struct sim_world *world, uint8_t number, uint8_t to) {
  struct sim_node *node = node_of(world, number);
  if (!node->up || node->paused || raftnode_failed(node->raft)) return false;
  bool accepted = raftnode_transfer(node->raft, to, sim_node_now_ms(node)) == STATUS_OK;
  push_turn(world, node);
  if (accepted) sim_fault_count(world, SIM_FAULT_TRANSFER, number, to, 0);
  return accepted;
}

void sim_world_slow_disk(struct sim_world *world, uint8_t number, uint32_t us) {
  node_of(world, number)->slow_disk_us = us;
  if (us > 0) sim_fault_count(world, SIM_FAULT_SLOW_DISK, number, RAFT_NODE_NONE, us);
}

bool sim_world_fail_disk(struct sim_world *world, uint8_t number, bool at_sync) {
  struct sim_node *node = node_of(world, number);
  if (!node->up || node->disk.failed) return false;
  sim_disk_fail(&node->disk, at_sync);
  sim_fault_count(world, at_sync ? SIM_FAULT_FAIL_SYNC : SIM_FAULT_FAIL_DISK, number, RAFT_NODE_NONE, 0);
  return true;
}

void sim_world_clock_rate(struct sim_world *world, uint8_t number, uint32_t ppm) {
  sim_node_set_rate(node_of(world, number), ppm);
  sim_fault_count(world, SIM_FAULT_CLOCK_RATE, number, RAFT_NODE_NONE, ppm);
}

void sim_world_cut(struct sim_world *world, uint8_t from, uint8_t to) {
  CHECK(from < world->config.nodes_count && to < world->config.nodes_count);
  world->directions[from][to].cut = true;
  sim_fault_count(world, SIM_FAULT_CUT, to, from, 0);
}

void sim_world_mend(struct sim_world *world, uint8_t from, uint8_t to) {
  CHECK(from < world->config.nodes_count && to < world->config.nodes_count);
  world->directions[from][to].cut = false;
}

void sim_world_heal(struct sim_world *world) {
  for (uint8_t from = 0; from < world->config.nodes_count; from++) {
    for (uint8_t to = 0; to < world->config.nodes_count; to++)
      world->directions[from][to].cut = false;
  }
  sim_fault_count(world, SIM_FAULT_HEAL, RAFT_NODE_NONE, RAFT_NODE_NONE, 0);
}

bool sim_world_link_down(struct sim_world *world, uint8_t number, uint8_t peer) {
  CHECK(peer < world->config.nodes_count);
  if (!node_of(world, number)->up || number == peer) return false;
  sim_push(world, world->now_us, SIM_PEER_DOWN, number, peer, NULL);
  sim_fault_count(world, SIM_FAULT_LINK_DOWN, number, peer, 0);
  return true;
}

void sim_world_net(struct sim_world *world, uint8_t from, uint8_t to, const struct sim_net *net) {
  CHECK(from < world->config.nodes_count && to < world->config.nodes_count);
  world->directions[from][to].net = *net;
}
