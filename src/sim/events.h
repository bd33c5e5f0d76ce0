/* What is still to happen in a simulated world, in order of virtual time; of two things at one time, the one that was
 * put in first comes first. A binary heap. One thread. */
#ifndef KV_SIM_EVENTS_H
#define KV_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_event_kind {
  SIM_MESSAGE,   /* `data`: a packet reaches `node` */
  SIM_LOG_JOB,   /* the job of the log of `node` is done */
  SIM_SPARE_JOB, /* its spare job is done */
  SIM_WORK,      /* `data`: a work of `node` is done */
  SIM_ROOM,      /* `node` looks whether its full disk has room again */
  SIM_TIMER,     /* the deadline of `node` */
  SIM_TURN,      /* a turn that `node` had put off */
  SIM_PEER_DOWN, /* `node` notices that its link to `number` broke */
  SIM_REQUEST,   /* `data`: an attempt reaches `node` */
  SIM_RESPONSE,  /* `data`: an attempt's answer reaches its client */
  SIM_CLIENT,    /* client `number` wakes up */
  SIM_MANUAL,    /* `data`: an operation by hand reaches `node`, which was paused */
  SIM_MANUAL_END /* whoever submitted the operation `number` waits no longer */
};

struct sim_event {
  uint64_t at_us;
  uint64_t sequence; /* the queue's */
  enum sim_event_kind kind;
  uint32_t node;
  uint64_t number; /* LOG_JOB .. TURN: the incarnation it is meant for; else see above */
  void *data;
};

struct sim_events {
  struct sim_event *heap; /* owned */
  size_t count;
  size_t capacity;
  uint64_t sequence; /* of the newest event */
};

void sim_events_init(struct sim_events *events);
void sim_events_deinit(struct sim_events *events); /* what events point to is the caller's */
/* Returns its sequence number, which no other event has. */
uint64_t sim_events_push(struct sim_events *events, const struct sim_event *event);
/* The next one, still inside; NULL when there is none. */
const struct sim_event *sim_events_first(const struct sim_events *events);
/* Takes it out. There must be one. */
struct sim_event sim_events_pop(struct sim_events *events);

#endif
