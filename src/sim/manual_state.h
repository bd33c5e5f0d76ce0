/* The inside of operations by hand, for manual.c (their life) and manual_call.c (what they ask of a node). */
#ifndef KV_SIM_MANUAL_STATE_H
#define KV_SIM_MANUAL_STATE_H

#include "base/list.h"
#include "sim/world_state.h"

enum { SIM_LENGTH_BYTES = 4 }; /* in front of each thing in `body` and `found` */

struct sim_manual_request {
  struct dkv_request request; /* first */
  struct list all;
  struct list ended;               /* among those whose end nobody was told yet */
  struct sim_manual_request *next; /* in its bucket */
  struct sim_world *world;
  uint64_t number;
  uint8_t node;
  uint64_t incarnation; /* of the node that it was sent to */
  bool held;            /* its node is at it, or it is on its way there */
  bool has_ended;       /* for whoever submitted it */
  bool forgotten;       /* not in the table any more */
  enum read_policy policy;
  uint64_t deadline_ms;
  uint64_t acked_index; /* what was acknowledged when it was submitted */
  size_t limit;
  struct buffer body;  /* of a write, the command; of a read, the keys: each its length and its bytes */
  struct buffer found; /* as in sim_outcome */
  struct sim_outcome outcome;
};

/* Copies what the request says. */
void sim_manual_keep(struct sim_manual_request *request, const struct sim_request *from);
/* Asks the node. STATUS_OK: sim_manual_done comes later, or was called. Else nothing was done, and outcome->why may say
 * more. */
enum status sim_manual_call(struct sim_node *node, struct sim_manual_request *request);
/* The node's answer becomes the outcome. */
void sim_manual_answer(struct sim_manual_request *request, enum status status, const struct apply_result *result);
/* The request is over for its node. */
void sim_manual_done(struct dkv_request *request, enum status status, const struct apply_result *result);

#endif
