/* Operations by hand, for scripted scenarios. One that is submitted reaches its node at once, or when the node is no
 * longer paused. It ends with the node's answer, with the node, or when nobody waits any longer: the node may then
 * still be at it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/little_endian.h"
#include "sim/world_state.h"

enum { LENGTH_BYTES = 4, US_PER_MS = 1000 };

struct manual_request {
  struct dkv_request request; /* first */
  struct sim_world *world;
  uint64_t number;
  uint8_t node;
  bool is_read;
  bool in_node;   /* the node is at it */
  bool has_ended; /* for whoever submitted it */
  bool forgotten;
  enum read_policy policy;
  uint64_t deadline_ms;
  uint64_t acked_index;
  uint32_t keys_count;
  struct buffer body;   /* of a write, the command; of a read, the keys: each a u32 length and its bytes */
  struct buffer values; /* of a read: as in sim_outcome */
  struct sim_outcome outcome;
};

struct sim_manual {
  struct manual_request **requests; /* owned, each owned; NULL: forgotten */
  size_t count, capacity;
  uint64_t *ended; /* owned; numbers, in the order of their ends */
  size_t ended_count, ended_capacity;
  size_t told_count; /* of those */
};

/* ---- the table ---- */

static struct manual_request *add_request(struct sim_world *world) {
  if (world->manual == NULL) world->manual = xcalloc(1, sizeof *world->manual);
  struct sim_manual *manual = world->manual;
  if (manual->count == manual->capacity) {
    manual->capacity = manual->capacity == 0 ? 16 : 2 * manual->capacity;
    manual->requests = xrealloc(manual->requests, manual->capacity * sizeof manual->requests[0]);
  }
  struct manual_request *request = xcalloc(1, sizeof *request);
  request->world = world;
  manual->requests[manual->count++] = request;
  request->number = manual->count;
  return request;
}

static void free_request(struct sim_manual *manual, struct manual_request *request) {
  manual->requests[request->number - 1] = NULL;
  buffer_deinit(&request->body);
  buffer_deinit(&request->values);
  free(request);
}

static struct manual_request *find(const struct sim_world *world, uint64_t number) {
  CHECK(number >= 1 && number <= sim_world_submitted(world));
  return world->manual->requests[number - 1];
}

/* The first end is the one that counts. */
static void end(struct manual_request *request) {
  struct sim_manual *manual = request->world->manual;
  if (request->has_ended) return;
  request->has_ended = true;
  if (manual->ended_count == manual->ended_capacity) {
    manual->ended_capacity = manual->ended_capacity == 0 ? 16 : 2 * manual->ended_capacity;
    manual->ended = xrealloc(manual->ended, manual->ended_capacity * sizeof manual->ended[0]);
  }
  manual->ended[manual->ended_count++] = request->number;
}

static void end_without_answer(struct manual_request *request, enum sim_silence silence) {
  if (request->has_ended) return;
  request->outcome.silence = silence;
  request->outcome.status = silence == SIM_LATE ? STATUS_TIMEOUT : STATUS_CLOSED;
  end(request);
}

/* ---- the answer ---- */

static void read_keys(struct manual_request *request) {
  struct bytes rest = buffer_view(&request->body);
  for (uint32_t i = 0; i < request->keys_count; i++) {
    uint32_t len = (uint32_t)le_load(rest.data, LENGTH_BYTES);
    struct bytes key = bytes_make(rest.data + LENGTH_BYTES, len);
    size_t at = request->values.len;
    buffer_append_le(&request->values, 0, LENGTH_BYTES);
    if (dkv_get(request->request.dkv, key, &request->values))
      le_store(request->values.data + at, request->values.len - at - LENGTH_BYTES + 1, LENGTH_BYTES);
    rest = bytes_make(key.data + len, rest.len - LENGTH_BYTES - len);
  }
}

static void keep_answer(struct manual_request *request, enum status status, const struct apply_result *result) {
  struct sim_outcome *outcome = &request->outcome;
  outcome->status = status;
  outcome->index = request->request.index;
  if (status == STATUS_CLOSED) outcome->silence = SIM_BROKEN;
  if (status == STATUS_NOT_LEADER) dkv_leader_hint(request->request.dkv, &outcome->hint);
  if (status != STATUS_OK) return;
  if (!request->is_read) {
    outcome->result = *result;
    return;
  }
  read_keys(request);
  if (request->policy == READ_POLICY_READINDEX)
    sim_check_read(&request->world->check, request->node, request->request.index, request->acked_index);
}

static void on_done(struct dkv_request *dkv_request, enum status status, const struct apply_result *result) {
  struct manual_request *request = (struct manual_request *)(void *)dkv_request;
  request->in_node = false;
  if (!request->has_ended) keep_answer(request, status, result);
  end(request);
  if (request->forgotten) free_request(request->world->manual, request);
}

/* ---- the call ---- */

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

static enum status call(struct sim_node *node, struct manual_request *request) {
  if (request->is_read) return dkv_read(&node->dkv, &request->request, request->policy);
  struct command command;
  CHECK(command_decode(buffer_view(&request->body), &command) == STATUS_OK);
  return call_write(&node->dkv, &request->request, &command);
}

static void reach(struct sim_node *node, struct manual_request *request) {
  if (request->has_ended) return;
  request->request.done = on_done;
  request->request.wait.deadline_ms = sim_node_now_ms(node) + request->deadline_ms;
  request->in_node = true;
  enum status status = call(node, request);
  if (status == STATUS_OK) return;
  request->in_node = false;
  request->outcome.status = status;
  if (status == STATUS_NOT_LEADER) dkv_leader_hint(&node->dkv, &request->outcome.hint);
  end(request);
}

static void keep_body(struct manual_request *request, const struct sim_request *from) {
  if (!from->is_read) {
    command_encode(&from->command, &request->body);
    return;
  }
  for (size_t i = 0; i < from->keys_count; i++) {
    buffer_append_le(&request->body, from->keys[i].len, LENGTH_BYTES);
    buffer_append_bytes(&request->body, from->keys[i]);
  }
}

uint64_t sim_world_submit(struct sim_world *world, uint8_t number, const struct sim_request *request) {
  CHECK(number < world->config.nodes_count);
  struct sim_node *node = &world->nodes[number];
  struct manual_request *manual = add_request(world);
  manual->node = number;
  manual->is_read = manual->outcome.is_read = request->is_read;
  manual->outcome.is_mget = request->is_mget;
  manual->policy = request->policy;
  manual->request.min_index = request->min_index;
  manual->deadline_ms = request->deadline_ms;
  manual->keys_count = (uint32_t)request->keys_count;
  manual->acked_index = world->check.acked_index;
  keep_body(manual, request);
  sim_push(world, world->now_us + request->deadline_ms * US_PER_MS, SIM_MANUAL_END, number, manual->number, NULL);
  if (!node->up) {
    end_without_answer(manual, SIM_REFUSED);
  } else if (node->paused) {
    sim_push(world, world->now_us, SIM_MANUAL, number, manual->number, NULL);
  } else {
    reach(node, manual);
    sim_push(world, world->now_us, SIM_TURN, number, node->incarnation, NULL);
  }
  return manual->number;
}

/* ---- events ---- */

void sim_manual_request(struct sim_node *node, uint64_t number) {
  struct manual_request *request = find(node->world, number);
  if (request != NULL) reach(node, request);
}

void sim_manual_lost(struct sim_world *world, uint64_t number) {
  struct manual_request *request = find(world, number);
  if (request != NULL) end_without_answer(request, SIM_BROKEN);
}

void sim_manual_end(struct sim_world *world, uint64_t number) {
  struct manual_request *request = find(world, number);
  if (request != NULL) end_without_answer(request, SIM_LATE);
}

/* ---- for whoever submitted ---- */

uint64_t sim_world_submitted(const struct sim_world *world) {
  return world->manual == NULL ? 0 : world->manual->count;
}

uint64_t sim_manual_ended(const struct sim_world *world) {
  return world->manual == NULL ? 0 : world->manual->ended_count;
}

bool sim_world_outcome(const struct sim_world *world, uint64_t number, struct sim_outcome *out) {
  const struct manual_request *request = find(world, number);
  if (request == NULL || !request->has_ended) return false;
  *out = request->outcome;
  out->values = buffer_view(&request->values);
  return true;
}

void sim_world_forget(struct sim_world *world, uint64_t number) {
  struct manual_request *request = find(world, number);
  if (request == NULL) return;
  request->forgotten = true;
  if (request->has_ended && !request->in_node) free_request(world->manual, request);
}

uint64_t sim_world_answered(struct sim_world *world) {
  struct sim_manual *manual = world->manual;
  if (manual == NULL || manual->told_count == manual->ended_count) return 0;
  return manual->ended[manual->told_count++];
}

void sim_manual_destroy(struct sim_manual *manual) {
  if (manual == NULL) return;
  for (size_t i = 0; i < manual->count; i++) {
    if (manual->requests[i] != NULL) free_request(manual, manual->requests[i]);
  }
  free(manual->requests);
  free(manual->ended);
  free(manual);
}
