/* A simulated world: nodes of the real code (Raft node, stores, state machine, DistributedKV) in virtual time, over a
 * simulated network, disks and clocks, with clients that put load on them and checks after every event. The same
 * (config, seed, calls) give the same world, to the last bit of its digest.
 *
 * Nothing moves but inside sim_world_run. A violated check stops the world for good: sim_world_violation. Faults are
 * calls, made between runs; their policy is somebody else's. One thread; nothing of the world outside is touched. */
#ifndef KV_SIM_WORLD_H
#define KV_SIM_WORLD_H

#include "base/buffer.h"
#include "base/hash.h"
#include "distributedkv/distributedkv.h"
#include "raft/node.h"
#include "sim/check.h"
#include "sim/fault.h"
#include "sim/linear.h"
#include "sim/load.h"
#include "sim/manual.h"
#include "sim/simdisk.h"
#include "sim/trace.h"

enum { SIM_MILLION = 1000000 }; /* rates and probabilities are in parts of it */

/* How one direction between two nodes behaves. Probabilities per message. */
struct sim_net {
  uint32_t delay_us;
  uint32_t jitter_us; /* 0 .. jitter_us - 1 more */
  uint32_t tail_us;   /* with tail_ppm: up to so much more */
  uint32_t tail_ppm;
  uint32_t loss_ppm;
  uint32_t duplicate_ppm;
  uint32_t reorder_ppm; /* may overtake; else a link keeps its order */
};

struct sim_config {
  uint8_t nodes_count; /* 1 .. SIM_NODES_MAX */
  uint64_t seed;
  uint8_t fixed_leader; /* RAFT_NODE_NONE: elections */
  uint32_t heartbeat_ms;
  uint32_t election_min_ms;
  uint32_t election_max_ms;
  uint32_t inflight_max;
  uint64_t message_bytes_max;
  uint32_t defer_ppm; /* how often a node puts off the end of a turn, so that several events share one */
  uint32_t sync_us;   /* a sync takes 0 .. sync_us - 1, and what slow disks take on top; other work somewhat longer */
  uint32_t segment_bytes;      /* of the log: WAL_SEGMENT_BYTES_MIN .. WAL_SEGMENT_BYTES_MAX */
  uint32_t cache_bytes;        /* of its entries in memory */
  uint64_t snapshot_threshold; /* these three: as in raft/node.h */
  uint64_t snapshot_tail;
  uint32_t install_bytes;
  uint32_t async_result_ttl_seconds; /* at least 1 */
  struct sim_net net;
};

struct sim_config sim_config_default(void);

struct sim_stats {
  uint64_t events;
  uint64_t messages; /* delivered */
  uint64_t commits;  /* entries ever committed */
  uint64_t elections;
  uint64_t leader_changes;
  uint64_t acked_writes; /* of the load */
  uint64_t async_writes; /* of those, asynchronous ones whose outcome was told */
  uint64_t answered_reads;
  uint64_t operations;                       /* of the load, ended in any way */
  uint64_t unanswered;                       /* requests of the load that are under way */
  struct raftnode_snapshot_counts snapshots; /* of all nodes, all their lives */
  uint64_t faults[SIM_FAULTS];
};

struct sim_world;
struct sim_world *sim_world_create(const struct sim_config *config); /* returns owned; all nodes are up */
void sim_world_destroy(struct sim_world *world);

/* Goes on for so much virtual time, or up to its mark (sim_world_stop_at). False once a check was violated. */
bool sim_world_run(struct sim_world *world, uint64_t us);
/* The same, but no further than to where an operation that was submitted ends; not at all when one did since the last
 * run and sim_world_answered has not told of it. Says whether one did. */
bool sim_world_run_to_answer(struct sim_world *world, uint64_t us, bool *answered);
/* From now on runs stop in front of the event with this number, as sim_stats.events counts them from 1; 0: nowhere. */
void sim_world_stop_at(struct sim_world *world, uint64_t event);
/* True while the world stands at its mark, or behind it: runs do nothing then. */
bool sim_world_stopped(const struct sim_world *world);
/* So many events happen, marks or not. Returns how many did: fewer once a check was violated, or when a minute of
 * virtual time has brought none. */
uint64_t sim_world_step(struct sim_world *world, uint64_t events);
uint8_t sim_world_nodes_count(const struct sim_world *world);
uint64_t sim_world_now_us(const struct sim_world *world);
const char *sim_world_violation(const struct sim_world *world); /* NULL: none */
/* The policy's random numbers: 0 .. bound-1. */
uint64_t sim_world_random(struct sim_world *world, uint64_t bound);

/* ---- what one may see ---- */

struct sim_node_view {
  bool up;
  bool paused;
  bool faulty;               /* calls of its disk fail, or will */
  bool failed;               /* they have, and that was the end of it */
  bool disk_full;            /* as its log found */
  uint64_t disk_bytes;       /* in files */
  bool proven;               /* on its disk */
  struct raft_status status; /* of an up node */
  uint64_t life;
  struct hash128 state;
  struct leader_hint hint;
  uint64_t keys;
  uint64_t clients;
};
void sim_world_node(struct sim_world *world, uint8_t number, struct sim_node_view *out);
enum sim_state { SIM_DOWN, SIM_UP, SIM_PAUSED, SIM_FAILED };
enum sim_state sim_world_state(const struct sim_world *world, uint8_t number);
/* The up, not paused leader of the highest term; RAFT_NODE_NONE: nobody leads. */
uint8_t sim_world_leader(const struct sim_world *world);
/* Visits entries lo .. hi, as far as the log of an up node holds them. */
void sim_world_log(struct sim_world *world, uint8_t number, uint64_t lo, uint64_t hi, log_visit *visit, void *context);
/* Visits the files on its disk, whether it is up or down; in no order. */
void sim_world_files(const struct sim_world *world, uint8_t number, simdisk_visit *visit, void *context);
void sim_world_stats(const struct sim_world *world, struct sim_stats *out);
struct hash128 sim_world_digest(const struct sim_world *world);
void sim_world_trace(const struct sim_world *world, size_t records_max, struct buffer *out);
/* How many records there were. The newest SIM_TRACE_RECORDS of them are kept, or as many as keep_records has said. */
uint64_t sim_world_records(const struct sim_world *world);
uint64_t sim_world_records_kept(const struct sim_world *world);
void sim_world_keep_records(struct sim_world *world, size_t records); /* as sim_trace_keep; less than now: as now */
/* Record `number`, from 1; borrowed until the next run or fault. NULL: it is gone, or there is none yet. */
const struct sim_trace_record *sim_world_record(const struct sim_world *world, uint64_t number);
/* Election `number`, from 1, of sim_stats.elections; borrowed as above. NULL: it is gone (SIM_ELECTIONS_KEPT stay), or
 * there is none yet. */
const struct sim_election *sim_world_election(const struct sim_world *world, uint64_t number);

/* ---- faults of the node `number`; false when the node is not in a state for it ---- */

/* What becomes of the disk's work that is under way when a node goes down. */
enum sim_last_work {
  SIM_WORK_NOT_BEGUN,
  SIM_WORK_DONE,     /* only, nobody was told */
  SIM_WORK_CUT_SHORT /* at some call of the disk */
};
/* `power`: what was not synced is lost, or is not, as luck has it. Else the process alone ends. */
bool sim_world_crash(struct sim_world *world, uint8_t number, enum sim_last_work last, bool power);
/* A node that is down. False also when its disk is full, was made to fail or was damaged, and it does not start for
 * that: *why says so. */
bool sim_world_restart(struct sim_world *world, uint8_t number, struct error *why);
/* A node that is down starts, and loses power at that call of the disk or right behind its start. */
bool sim_world_cut_start(struct sim_world *world, uint8_t number, uint64_t calls);
/* Loses the disk of a node that is down. Only while that can be survived: everybody else is up and proven, and
 * something is committed. */
bool sim_world_wipe(struct sim_world *world, uint8_t number);
/* Bits flip on the disk of a node that is down, and it starts; if it refuses to, or lost something, its disk is wiped
 * first. Only while that can be survived. */
bool sim_world_rot(struct sim_world *world, uint8_t number);
/* A bit of this file of a node that is down flips, at *offset; nothing else happens. A start that finds it is refused
 * from then on, until the disk is wiped. False when there is no such bit. */
bool sim_world_flip(struct sim_world *world, uint8_t number, const char *name, uint64_t *offset);
bool sim_world_pause(struct sim_world *world, uint8_t number); /* what reaches it waits */
bool sim_world_resume(struct sim_world *world, uint8_t number);
bool sim_world_transfer(struct sim_world *world, uint8_t number, uint8_t to);
void sim_world_slow_disk(struct sim_world *world, uint8_t number,
                         uint32_t us); /* 0 .. us - 1 more per sync; 0: as usual */
/* Until the node goes down, or its start has failed. */
bool sim_world_fail_disk(struct sim_world *world, uint8_t number, const struct simdisk_fault *fault);
/* There is room for so many bytes more on its disk; SIMDISK_UNLIMITED ends that. */
void sim_world_leave_room(struct sim_world *world, uint8_t number, uint64_t bytes);
uint64_t sim_world_disk_calls(const struct sim_world *world, uint8_t number);     /* so far, of its disk */
void sim_world_clock_rate(struct sim_world *world, uint8_t number, uint32_t ppm); /* of its clock to virtual time */
void sim_world_cut(struct sim_world *world, uint8_t from, uint8_t to);            /* one direction */
void sim_world_mend(struct sim_world *world, uint8_t from, uint8_t to);
/* The next message of this type (SIM_MESSAGE_TYPES: of any) that leaves in this direction is lost, and nobody notices;
 * one more for each call. A message that a cut blocks does not count. */
void sim_world_drop_next(struct sim_world *world, uint8_t from, uint8_t to, uint32_t type);
/* From now on messages of this type (SIM_MESSAGE_TYPES: of any) that leave in this direction are kept; others pass them
 * by. */
void sim_world_hold(struct sim_world *world, uint8_t from, uint8_t to, uint32_t type);
/* Ends that. What was kept goes on its way, in its order; no loss and no cut touches it any more. */
void sim_world_release(struct sim_world *world, uint8_t from, uint8_t to);
/* Of all directions: cuts, messages to be dropped, and holds. */
void sim_world_heal(struct sim_world *world);
bool sim_world_link_down(struct sim_world *world, uint8_t number,
                         uint8_t peer); /* node `number` is told that the link broke */
void sim_world_net(struct sim_world *world, uint8_t from, uint8_t to, const struct sim_net *net);

/* ---- clients ---- */

/* False when there is a load already. */
bool sim_world_load(struct sim_world *world, const struct sim_load_options *options);
/* No client begins another operation; those under way go on. False when there is no load. */
bool sim_world_stop_load(struct sim_world *world);
/* Every operation of the load so far, those under way as unknown; borrowed until the next run. */
const struct linear_op *sim_world_history(struct sim_world *world, size_t *count);

/* One operation by hand, at that node, without retries. Returns its number, from 1. */
uint64_t sim_world_submit(struct sim_world *world, uint8_t number, const struct sim_request *request);
/* How many there were. */
uint64_t sim_world_submitted(const struct sim_world *world);
/* False while it is under way, and once it was forgotten. Views in `out` are borrowed until then. */
bool sim_world_outcome(const struct sim_world *world, uint64_t number, struct sim_outcome *out);
/* Its outcome will not be asked for any more, whether it has ended or not: it is neither kept nor told. */
void sim_world_forget(struct sim_world *world, uint64_t number);
/* The next one, in the order of their ends, of those that have ended and were neither returned nor forgotten; 0: none.
 */
uint64_t sim_world_answered(struct sim_world *world);

#endif
