/* What a node has others do: jobs of its log and works of its own. Each takes its time, and is then done at once: all
 * that its calls of the disk change changes in one moment, unless the node goes down before, or in the middle. */
#include "base/check.h"
#include "sim/world_state.h"

enum {
  SPARE_SLOWER = 3,    /* than a sync, at most */
  WORK_SLOWER = 2,     /* than a sync, at most */
  ROOM_US = 300000,    /* how often a full disk is asked for room */
  CUT_SHORT_CALLS = 16 /* of the disk; the work under way gets no further */
};

/* ---- what is under way ---- */

static uint64_t when_done(struct sim_node *node, uint64_t slower) {
  struct sim_world *world = node->world;
  uint64_t bound_us = ((uint64_t)world->config.sync_us + node->slow_disk_us) * slower;
  return world->now_us + sim_below(&world->disk_random, bound_us);
}

void sim_work_job(struct sim_node *node, enum sim_job job) {
  bool log = job == SIM_JOB_LOG;
  uint64_t at_us = when_done(node, log ? 1 : SPARE_SLOWER);
  sim_push(node->world, at_us, log ? SIM_LOG_JOB : SIM_SPARE_JOB, node->number, node->incarnation, NULL);
}

void sim_work_submit(void *context, struct raft_work *work) {
  struct sim_node *node = context;
  CHECK(node->works_count < SIM_WORKS_MAX);
  node->works[node->works_count++] = work;
  sim_push(node->world, when_done(node, WORK_SLOWER), SIM_WORK, node->number, node->incarnation, work);
}

static void forget(struct sim_node *node, const struct raft_work *work) {
  uint32_t place = 0;
  while (node->works[place] != work)
    place++;
  node->works_count--;
  for (; place < node->works_count; place++)
    node->works[place] = node->works[place + 1];
}

/* ---- done ---- */

void sim_work_drain(struct sim_node *node) {
  uint64_t number, last_index;
  while (sim_disk_complete(&node->disk, &number, &last_index)) {
    struct sim_trace_record record = {.at_us = node->world->now_us,
                                      .kind = SIM_TRACE_SYNCED,
                                      .node = node->number,
                                      .peer = RAFT_NODE_NONE,
                                      .numbers = {number, last_index}};
    sim_trace_add(&node->world->trace, &record);
    raftnode_synced(node->raft, number, last_index, sim_node_now_ms(node));
  }
}

/* A full disk is asked again now and then, as a server does. */
static void look_for_room(struct sim_node *node) {
  if (!sim_disk_is_full(&node->disk) || node->looks_for_room) return;
  node->looks_for_room = true;
  sim_push(node->world, node->world->now_us + ROOM_US, SIM_ROOM, node->number, node->incarnation, NULL);
}

static void job_done(struct sim_node *node, enum sim_job job) {
  sim_disk_run(&node->disk, job);
  sim_disk_done(&node->disk, job);
  look_for_room(node);
  sim_work_drain(node);
}

void sim_work_event(struct sim_node *node, const struct sim_event *event) {
  switch (event->kind) {
  case SIM_LOG_JOB:
    job_done(node, SIM_JOB_LOG);
    return;
  case SIM_SPARE_JOB:
    job_done(node, SIM_JOB_SPARE);
    return;
  case SIM_ROOM:
    node->looks_for_room = false;
    wal_make_room(node->disk.wal);
    look_for_room(node);
    return;
  case SIM_WORK: {
    struct raft_work *work = event->data;
    forget(node, work);
    work->run(work);
    sim_disk_note_snapshot(&node->disk);
    raftnode_work_done(node->raft, work);
    return;
  }
  case SIM_MESSAGE:
  case SIM_TIMER:
  case SIM_TURN:
  case SIM_PEER_DOWN:
  case SIM_REQUEST:
  case SIM_RESPONSE:
  case SIM_CLIENT:
  case SIM_MANUAL:
  case SIM_MANUAL_END:
    CHECK(!"no event of a node's work");
  }
}

/* ---- the end of the node ---- */

static void run_job(struct sim_node *node, enum sim_job job) {
  if (sim_disk_busy(&node->disk, job)) sim_disk_run(&node->disk, job);
}

static void run_all(struct sim_node *node) {
  bool log_first = prng_below(&node->world->disk_random, 2) == 0;
  if (log_first) run_job(node, SIM_JOB_LOG);
  run_job(node, SIM_JOB_SPARE);
  for (uint32_t i = 0; i < node->works_count; i++)
    node->works[i]->run(node->works[i]);
  if (!log_first) run_job(node, SIM_JOB_LOG);
}

void sim_work_end(struct sim_node *node, enum sim_last_work last) {
  if (last == SIM_WORK_CUT_SHORT && !node->disk.faulty) {
    struct prng *random = &node->world->disk_random;
    uint64_t after = prng_below(random, 1 + prng_below(random, CUT_SHORT_CALLS)); /* few: most work makes no more */
    struct simdisk_fault fault = {.call = SIMDISK_CALLS, .after = after, .status = STATUS_IO};
    sim_disk_fail(&node->disk, &fault);
    run_all(node);
    if (simdisk_failed(node->disk.files))
      sim_fault_count(node->world, SIM_FAULT_CUT_SHORT, node->number, RAFT_NODE_NONE, fault.after);
  } else if (last == SIM_WORK_DONE) {
    run_all(node);
  }
  node->works_count = 0;
  node->looks_for_room = false;
}
