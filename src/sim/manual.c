/* Operations by hand, for scripted scenarios. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/world_state.h"

struct manual_request {
  struct dkv_request request; /* first */
  struct sim_world *world;
  uint8_t node;
  bool is_read;
  bool linearizable;
  bool is_done;
  uint64_t acked_index;
  struct buffer key;
  struct buffer value; /* of a read */
  struct sim_outcome outcome;
};

struct sim_manual {
  struct manual_request **requests; /* owned, each owned */
  size_t count, capacity;
};

static void on_done(struct dkv_request *request, enum status status, const struct apply_result *result) {
  struct manual_request *manual = (struct manual_request *)(void *)request;
  struct sim_outcome *outcome = &manual->outcome;
  manual->is_done = true;
  outcome->is_read = manual->is_read;
  outcome->status = status;
  outcome->index = request->index;
  if (status != STATUS_OK) return;
  if (!manual->is_read) {
    outcome->result = *result;
    return;
  }
  outcome->found = dkv_get(request->dkv, buffer_view(&manual->key), &manual->value);
  outcome->value = buffer_view(&manual->value);
  if (manual->linearizable) {
    sim_check_read(&manual->world->check, manual->node, request->index, manual->acked_index);
  }
}

static struct manual_request *add_request(struct sim_world *world) {
  if (world->manual == NULL) world->manual = xcalloc(1, sizeof *world->manual);
  struct sim_manual *manual = world->manual;
  if (manual->count == manual->capacity) {
    manual->capacity = manual->capacity == 0 ? 16 : 2 * manual->capacity;
    manual->requests = xrealloc(manual->requests, manual->capacity * sizeof manual->requests[0]);
  }
  manual->requests[manual->count] = xcalloc(1, sizeof *manual->requests[0]);
  return manual->requests[manual->count++];
}

static enum status call_write(struct distributedkv *dkv, struct dkv_request *request, const struct command *command) {
  const char *why = NULL;
  struct bytes client_id = command->client_id;
  uint64_t seq = command->seq;
  switch (command->op) {
  case OP_PUT:
    return dkv_put(dkv, request, client_id, seq, command->key, command->value, &why);
  case OP_DELETE:
    return dkv_delete(dkv, request, client_id, seq, command->key, &why);
  case OP_CAS:
    return dkv_cas(dkv, request, client_id, seq, command->key, command->expected, command->value, &why);
  case OP_BATCH_PUT:
    return dkv_mput(dkv, request, client_id, seq, command->items, command->items_count, &why);
  case OP_BATCH_DELETE:
    return dkv_mdelete(dkv, request, client_id, seq, command->items, command->items_count, &why);
  }
  return STATUS_INVALID;
}

static enum status call(struct sim_node *node, struct manual_request *manual, const struct sim_request *request) {
  if (request->is_read) return dkv_read(&node->dkv, &manual->request, request->policy);
  return call_write(&node->dkv, &manual->request, &request->command);
}

uint64_t sim_world_submit(struct sim_world *world, uint8_t number, const struct sim_request *request) {
  CHECK(number < world->config.nodes_count);
  struct sim_node *node = &world->nodes[number];
  struct manual_request *manual = add_request(world);
  manual->world = world;
  manual->node = number;
  manual->is_read = request->is_read;
  manual->linearizable = request->policy == READ_POLICY_READINDEX;
  manual->acked_index = world->check.acked_index;
  buffer_append_bytes(&manual->key, request->key);
  manual->request.done = on_done;
  enum status status = STATUS_CLOSED;
  if (node->up) {
    manual->request.wait.deadline_ms = sim_node_now_ms(node) + request->deadline_ms;
    status = call(node, manual, request);
    sim_push(world, world->now_us, SIM_TURN, number, node->incarnation, NULL);
  }
  if (status != STATUS_OK) {
    manual->is_done = true;
    manual->outcome.status = status;
  }
  return world->manual->count;
}

uint64_t sim_world_submitted(const struct sim_world *world) {
  return world->manual == NULL ? 0 : world->manual->count;
}

bool sim_world_outcome(const struct sim_world *world, uint64_t number, struct sim_outcome *out) {
  CHECK(number >= 1 && number <= sim_world_submitted(world));
  const struct manual_request *manual = world->manual->requests[number - 1];
  if (!manual->is_done) return false;
  *out = manual->outcome;
  return true;
}

void sim_manual_destroy(struct sim_manual *manual) {
  if (manual == NULL) return;
  for (size_t i = 0; i < manual->count; i++) {
    buffer_deinit(&manual->requests[i]->key);
    buffer_deinit(&manual->requests[i]->value);
    free(manual->requests[i]);
  }
  free(manual->requests);
  free(manual);
}
