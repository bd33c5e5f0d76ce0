/* The inside of a simulated world, for the files of sim/ alone. */
#ifndef KV_SIM_WORLD_STATE_H
#define KV_SIM_WORLD_STATE_H

#include "base/prng.h"
#include "cluster/cluster.h"
#include "sim/disk.h"
#include "sim/events.h"
#include "sim/trace.h"
#include "sim/world.h"

/* A message under way. */
struct sim_packet {
  struct sim_packet *next; /* of the free ones, or of those that are held in its direction */
  struct sim_packet *next_all;
  struct raft_message message;
  struct buffer entries;
};

/* A node's monotonic clock: runs at `rate_ppm` of virtual time, from an offset of its own. */
struct sim_clock {
  uint64_t base_us;       /* virtual time at which the rate was set */
  uint64_t base_local_us; /* what the clock said then */
  uint64_t rate_ppm;
};

enum { SIM_WORKS_MAX = 2 * SIM_NODES_MAX }; /* of one node under way */

struct sim_node {
  struct sim_world *world;
  uint8_t number;
  bool up;
  bool paused;
  uint64_t incarnation; /* starts so far */
  struct sim_clock clock;
  struct cluster cluster;
  struct raft_transport transport;
  struct sim_disk disk;
  uint32_t slow_disk_us;
  struct kvsm *sm; /* of an up node, like what follows */
  struct raftnode *raft;
  struct distributedkv dkv;
  uint64_t timer_at_us;    /* the deadline event under way; UINT64_MAX: none */
  uint64_t timer_sequence; /* its number */
  uint64_t tokens;         /* requests not answered yet */
  struct raft_work *works[SIM_WORKS_MAX];
  uint32_t works_count;
  bool looks_for_room;
  struct sim_event *parked; /* owned; what reached it while it is paused */
  size_t parked_count, parked_capacity;
  uint64_t seen_state; /* role, term and leader as last traced */
};

/* What is meant for single messages of a direction. */
struct sim_intercept {
  uint32_t drop_next[SIM_MESSAGE_TYPES + 1]; /* how many by type; the last one: of any type */
  uint32_t held_types;                       /* 1 << type; 1 << SIM_MESSAGE_TYPES: all */
  struct sim_packet *held_first, *held_last; /* of the world; in their order */
};

struct sim_direction {
  struct sim_net net;
  bool cut;
  struct sim_intercept intercept;
  uint64_t ordered_at_us; /* arrival of the newest message that keeps the order */
  uint64_t newest_at_us;  /* latest arrival of all */
};

struct sim_clients; /* load.c */
struct sim_manual;  /* manual.c */

struct sim_world {
  struct sim_config config;
  uint64_t now_us;
  struct sim_events events;
  struct sim_trace trace;
  struct sim_check check;
  struct prng net_random, disk_random, node_random, load_random, policy_random;
  struct sim_node nodes[SIM_NODES_MAX];
  struct sim_direction directions[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
  struct sim_packet *packets_free;
  struct sim_packet *packets_all; /* owned */
  uint64_t events_count;
  uint64_t stop_at; /* runs stop in front of this event; 0: nowhere */
  uint64_t messages_count;
  uint64_t faults[SIM_FAULTS];
  struct raftnode_snapshot_counts snapshots; /* of lives that are over */
  struct sim_clients *clients;               /* owned; NULL: no load */
  struct sim_manual *manual;                 /* owned; NULL: nothing submitted */
};

/* ---- world.c ---- */

void sim_snapshots_add(struct raftnode_snapshot_counts *sum, const struct raftnode_snapshot_counts *counts);
void sim_fault_count(struct sim_world *world, enum sim_fault fault, uint8_t node, uint8_t peer, uint64_t value);
void sim_push(struct sim_world *world, uint64_t at_us, enum sim_event_kind kind, uint8_t node, uint64_t number,
              void *data);
/* Another event begins. */
static inline void sim_event_begin(struct sim_world *world) {
  world->trace.event = ++world->events_count;
}
static inline bool sim_chance(struct prng *random, uint32_t ppm) {
  return ppm > 0 && prng_below(random, SIM_MILLION) < ppm;
}
/* 0 .. bound - 1; 0 for a bound of 0. */
static inline uint64_t sim_below(struct prng *random, uint64_t bound) {
  return bound == 0 ? 0 : prng_below(random, bound);
}

/* ---- node.c ---- */

void sim_node_init(struct sim_world *world, uint8_t number);
void sim_node_deinit(struct sim_node *node);
/* Of a node that is down. STATUS_INVALID: its disk holds something else than it should; else as wal_open and
 * raft_restart say. It is still down then. */
enum status sim_node_start(struct sim_node *node, struct error *err);
void sim_node_stop(struct sim_node *node, enum sim_last_work last);
uint64_t sim_node_now_ms(const struct sim_node *node);
/* An event for a node: it may be down or paused. */
void sim_node_event(struct sim_node *node, const struct sim_event *event);
/* Ends the turn now, or soon. */
void sim_node_turn(struct sim_node *node);
void sim_node_set_rate(struct sim_node *node, uint64_t rate_ppm);

/* ---- work.c ---- */

void sim_work_job(struct sim_node *node, enum sim_job job);  /* has been submitted */
void sim_work_submit(void *context, struct raft_work *work); /* of the node `context` */
void sim_work_event(struct sim_node *node, const struct sim_event *event);
/* What is durable is told to the node. */
void sim_work_drain(struct sim_node *node);
/* What becomes of the work under way when the node goes down. */
void sim_work_end(struct sim_node *node, enum sim_last_work last);

/* ---- net.c ---- */

void sim_net_init(struct sim_world *world);
void sim_net_deinit(struct sim_world *world);
extern const struct raft_transport_ops sim_transport_ops;
struct sim_packet *sim_packet_make(struct sim_world *world, const struct raft_message *message, struct bytes entries);
void sim_packet_free(struct sim_world *world, struct sim_packet *packet);
/* Puts a packet on its way; an `ordered` one overtakes none that keeps the order. */
void sim_packet_post(struct sim_world *world, struct sim_packet *packet, bool ordered);

/* ---- intercept.c ---- */

/* True when the message goes nowhere, or not yet. */
bool sim_intercepted(struct sim_world *world, const struct raft_message *message, struct bytes entries);
/* Nothing is dropped or held any more; what was held goes on its way. */
void sim_intercept_end(struct sim_world *world, struct sim_direction *direction);

/* ---- load.c ---- */

void sim_load_destroy(struct sim_clients *clients);
/* `data`: an attempt. It reaches an up node; or is refused by one that is down; or lost with one that goes down. */
void sim_load_request(struct sim_node *node, void *data);
void sim_load_lost(struct sim_world *world, void *data, bool refused);
void sim_load_response(struct sim_world *world, void *data);
void sim_load_wake(struct sim_world *world, const struct sim_event *event);
void sim_load_stats(const struct sim_clients *clients, struct sim_stats *out);

/* ---- manual.c ---- */

void sim_manual_destroy(struct sim_manual *manual);
/* `data`: an operation. It reaches a node that was paused; or never will, for that went down. */
void sim_manual_request(struct sim_node *node, void *data);
void sim_manual_lost(void *data);
/* Nobody waits for it any longer. */
void sim_manual_end(struct sim_world *world, uint64_t number);
/* Whether any ended since sim_manual_notice was called last. */
bool sim_manual_news(const struct sim_world *world);
void sim_manual_notice(struct sim_world *world);

#endif
