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

bool sim_world_crash(struct sim_world *world, uint8_t number, enum sim_last_work last, bool power) {
  struct sim_node *node = node_of(world, number);
  if (!node->up) return false;
  if (sim_world_leader(world) == number) world->faults[SIM_FAULT_LEADER_CRASH]++;
  sim_node_stop(node, last);
  if (power) sim_disk_power_cut(&node->disk);
  notice_crash(world, number);
  sim_fault_count(world, power ? SIM_FAULT_CRASH : SIM_FAULT_KILL, number, RAFT_NODE_NONE, last);
  return true;
}

static bool is_damage(enum status status) {
  return status == STATUS_CORRUPT || status == STATUS_INVALID;
}

/* A start may only fail for what was done to the disk. */
static bool start(struct sim_world *world, struct sim_node *node, struct error *err) {
  bool faulty = node->disk.faulty;
  enum status status = sim_node_start(node, err);
  if (status == STATUS_DISK_FULL && node->disk.crowded) {
    sim_fault_count(world, SIM_FAULT_FULL_START, node->number, RAFT_NODE_NONE, 0);
  } else if (is_damage(status) && node->disk.damaged) {
    sim_fault_count(world, SIM_FAULT_ROT_FOUND, node->number, RAFT_NODE_NONE, 0);
  } else if (status != STATUS_OK && !faulty) {
    sim_check_fail(&world->check, node->number, "its disk does not let it start: %s", err->text);
  }
  if (status == STATUS_OK) sim_fault_count(world, SIM_FAULT_RESTART, node->number, RAFT_NODE_NONE, 0);
  return status == STATUS_OK;
}

bool sim_world_restart(struct sim_world *world, uint8_t number, struct error *why) {
  struct sim_node *node = node_of(world, number);
  if (!node->up) return start(world, node, why);
  error_set(why, STATUS_INVALID, "it is up");
  return false;
}

bool sim_world_cut_start(struct sim_world *world, uint8_t number, uint64_t calls) {
  struct sim_node *node = node_of(world, number);
  if (node->up) return false;
  const struct simdisk_fault fault = {.call = SIMDISK_CALLS, .after = calls, .status = STATUS_IO};
  sim_disk_fail(&node->disk, &fault);
  struct error err;
  if (start(world, node, &err)) sim_node_stop(node, SIM_WORK_NOT_BEGUN);
  sim_disk_power_cut(&node->disk);
  sim_fault_count(world, SIM_FAULT_START_CUT, number, RAFT_NODE_NONE, calls);
  return true;
}

/* The leader that founded the cluster counts those who never had a state to lose; while it leads nobody may lose one.
 */
static bool survives_a_loss(const struct sim_node *node) {
  if (!node->up || !node->disk.ledger.hard_state.proven) return false;
  const struct raft *core = raftnode_core(node->raft);
  return core->role != RAFT_LEADER || core->term_first_index > 1;
}

static bool may_lose_disk(const struct sim_world *world, uint8_t number) {
  if (world->nodes[number].up || world->check.committed_last == 0) return false;
  for (uint8_t i = 0; i < world->config.nodes_count; i++) {
    if (i != number && !survives_a_loss(&world->nodes[i])) return false;
  }
  return true;
}

static void wipe(struct sim_world *world, struct sim_node *node) {
  sim_disk_wipe(&node->disk);
  sim_check_wiped(&world->check, node->number);
}

bool sim_world_wipe(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (!may_lose_disk(world, number)) return false;
  wipe(world, node);
  sim_fault_count(world, SIM_FAULT_WIPE, number, RAFT_NODE_NONE, 0);
  return true;
}

/* Rot in the last batch of a log cannot be told from a torn one: a start that lost something counts as found, too. */
bool sim_world_rot(struct sim_world *world, uint8_t number) {
  struct sim_node *node = node_of(world, number);
  if (!may_lose_disk(world, number) || node->disk.faulty || node->disk.crowded) return false;
  sim_disk_rot(&node->disk);
  sim_fault_count(world, SIM_FAULT_ROT, number, RAFT_NODE_NONE, 0);
  struct error err = {.text = ""};
  enum status status = sim_node_start(node, &err);
  if (is_damage(status)) {
    sim_fault_count(world, SIM_FAULT_ROT_FOUND, number, RAFT_NODE_NONE, 0);
    wipe(world, node);
    return start(world, node, &err);
  }
  if (status != STATUS_OK) sim_check_fail(&world->check, number, "damage ends its start with: %s", err.text);
  if (status == STATUS_OK) sim_fault_count(world, SIM_FAULT_RESTART, number, RAFT_NODE_NONE, 0);
  return status == STATUS_OK;
}

bool sim_world_flip(struct sim_world *world, uint8_t number, const char *name, uint64_t *offset) {
  struct sim_node *node = node_of(world, number);
  if (node->up || !sim_disk_flip(&node->disk, name, offset)) return false;
  sim_fault_count(world, SIM_FAULT_FLIP, number, RAFT_NODE_NONE, *offset);
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

bool sim_world_fail_disk(struct sim_world *world, uint8_t number, const struct simdisk_fault *fault) {
  struct sim_node *node = node_of(world, number);
  if (node->disk.faulty) return false;
  sim_disk_fail(&node->disk, fault);
  enum sim_fault kind = fault->call == SIMDISK_SYNC ? SIM_FAULT_FAIL_SYNC : SIM_FAULT_FAIL_DISK;
  sim_fault_count(world, kind, number, RAFT_NODE_NONE, fault->after);
  return true;
}

void sim_world_leave_room(struct sim_world *world, uint8_t number, uint64_t bytes) {
  sim_disk_leave_room(&node_of(world, number)->disk, bytes);
  if (bytes != SIMDISK_UNLIMITED) sim_fault_count(world, SIM_FAULT_FULL_DISK, number, RAFT_NODE_NONE, bytes);
}

uint64_t sim_world_disk_calls(const struct sim_world *world, uint8_t number) {
  CHECK(number < world->config.nodes_count);
  return simdisk_calls(world->nodes[number].disk.files, SIMDISK_CALLS);
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
    for (uint8_t to = 0; to < world->config.nodes_count; to++) {
      world->directions[from][to].cut = false;
      sim_intercept_end(world, &world->directions[from][to]);
    }
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
