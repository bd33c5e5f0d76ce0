/* One request of a client at a node, through DistributedKV, and the checks on its answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/load_state.h"
#include "sim/mix.h"

enum { ANSWER_US = 300, NAME_BYTES_MAX = 16, VALUE_ID_BYTES = 8, LARGE_ONE_IN = 64, SMALL_BYTES = 64 };

struct sim_attempt *sim_attempt_make(struct sim_world *world) {
  struct sim_clients *clients = world->clients;
  struct sim_attempt *attempt = clients->attempts_free;
  if (attempt == NULL) {
    attempt = xcalloc(1, sizeof *attempt);
    attempt->next_all = clients->attempts_all;
    clients->attempts_all = attempt;
    attempt->world = world;
  } else {
    clients->attempts_free = attempt->next_free;
  }
  clients->attempts_count++;
  return attempt;
}

void sim_attempt_free(struct sim_attempt *attempt) {
  struct sim_clients *clients = attempt->world->clients;
  attempt->next_free = clients->attempts_free;
  clients->attempts_free = attempt;
  clients->attempts_count--;
}

void sim_attempt_answer(struct sim_attempt *attempt, enum status status) {
  struct sim_world *world = attempt->world;
  attempt->status = status;
  uint64_t at_us = world->now_us + prng_below(&world->load_random, ANSWER_US);
  sim_push(world, at_us, SIM_RESPONSE, attempt->node, 0, attempt);
}

void sim_load_lost(struct sim_world *world, void *data, bool refused) {
  const struct sim_attempt *attempt = data;
  (void)world;
  bool nothing_done = refused && !attempt->asks; /* what is asked for was taken before */
  sim_attempt_answer(data, nothing_done ? STATUS_OVERLOADED : STATUS_CLOSED);
}

/* ---- keys and values as bytes ---- */

struct name {
  char text[NAME_BYTES_MAX];
};

static struct name name_of(char kind, uint32_t number) {
  struct name name;
  snprintf(name.text, sizeof name.text, "%c%u", kind, number);
  return name;
}

/* A value is its number and a filling; both depend on the number alone, so that a cas can name a value by it. */
static struct bytes value_bytes(struct sim_clients *clients, uint64_t value) {
  buffer_clear(&clients->scratch);
  if (value == 0) return bytes_make(NULL, 0);
  uint64_t hash = sim_mix(0, value);
  uint64_t range = clients->options.value_bytes_max - VALUE_ID_BYTES + 1;
  if (hash % LARGE_ONE_IN != 0 && range > SMALL_BYTES) range = SMALL_BYTES;
  size_t len = VALUE_ID_BYTES + (size_t)((hash >> 8) % range);
  uint8_t *data = buffer_reserve(&clients->scratch, len);
  memset(data, (int)(hash & 0x7f), len);
  memcpy(data, &value, VALUE_ID_BYTES);
  clients->scratch.len = len;
  return buffer_view(&clients->scratch);
}

static uint64_t value_number(struct bytes value) {
  uint64_t number = 0;
  if (value.len >= VALUE_ID_BYTES) memcpy(&number, value.data, VALUE_ID_BYTES);
  return number;
}

/* ---- done ---- */

static void read_keys(struct sim_attempt *attempt) {
  struct buffer *scratch = &attempt->world->clients->scratch;
  for (uint32_t i = 0; i < attempt->operation.keys_count; i++) {
    struct name key = name_of('k', attempt->operation.keys[i]);
    buffer_clear(scratch);
    bool found = dkv_get(attempt->request.dkv, bytes_of(key.text), scratch);
    attempt->saw[i] = found ? value_number(buffer_view(scratch)) : 0;
  }
}

static void check_answer(struct sim_attempt *attempt, const struct apply_result *result) {
  struct sim_check *check = &attempt->world->check;
  const struct dkv_request *request = &attempt->request;
  if (attempt->operation.is_read) {
    read_keys(attempt);
    sim_check_read(check, attempt->node, request->index, attempt->acked_index);
    return;
  }
  attempt->result = *result;
  sim_check_acked(check, attempt->node, request->index, request->wait.term, attempt->command);
}

static void on_done(struct dkv_request *request, enum status status, const struct apply_result *result) {
  struct sim_attempt *attempt = (struct sim_attempt *)(void *)request;
  if (status == STATUS_OK) check_answer(attempt, result);
  sim_attempt_answer(attempt, status);
}

/* ---- asynchronous writes ---- */

static enum status status_of(enum err_code code) {
  static const struct {
    enum err_code code;
    enum status status;
  } ends[] = {{ERR_NONE, STATUS_OK},
              {ERR_CAS_FAILED, STATUS_OK},
              {ERR_NOT_LEADER, STATUS_NOT_LEADER},
              {ERR_NO_LEADER, STATUS_NO_LEADER},
              {ERR_OVERLOADED, STATUS_OVERLOADED},
              {ERR_DISK_FULL, STATUS_DISK_FULL},
              {ERR_TIMEOUT, STATUS_TIMEOUT}};
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    if (ends[i].code == code) return ends[i].status;
  return STATUS_IO;
}

static void take_outcome(struct sim_attempt *attempt, const struct op_result *outcome) {
  enum status status = status_of(outcome->result.err_code);
  attempt->result = outcome->result;
  attempt->request.index = outcome->index;
  if (status == STATUS_OK) sim_check_acked(&attempt->world->check, attempt->node, outcome->index, 0, attempt->command);
  sim_attempt_answer(attempt, status);
}

/* The node knows, or it has forgotten: it was started again, or it is long ago. */
static void find_outcome(struct sim_node *node, struct sim_attempt *attempt) {
  struct op_result outcome;
  if (dkv_find_operation(&node->dkv, &attempt->op_id, &outcome) != OP_FOUND) {
    sim_attempt_answer(attempt, STATUS_CLOSED);
    return;
  }
  attempt->pending = !outcome.ready;
  if (attempt->pending)
    sim_attempt_answer(attempt, STATUS_OK);
  else
    take_outcome(attempt, &outcome);
}

static void taken(struct sim_attempt *attempt) {
  attempt->op_id = attempt->request.op_id;
  attempt->pending = true;
  sim_attempt_answer(attempt, STATUS_OK);
}

/* ---- the call ---- */

static uint64_t hash_of_write(struct sim_clients *clients, struct command *command) {
  buffer_clear(&clients->command);
  command_encode(command, &clients->command);
  return hash128_of(buffer_view(&clients->command), 0).low;
}

/* The expected value, copied, since the scratch holds one value at a time. */
static struct bytes expected_bytes(struct sim_clients *clients, uint64_t value, struct buffer *copy) {
  buffer_append_bytes(copy, value_bytes(clients, value));
  return buffer_view(copy);
}

static enum status call_write(struct sim_node *node, struct sim_attempt *attempt) {
  struct sim_clients *clients = attempt->world->clients;
  const struct sim_operation *operation = &attempt->operation;
  struct name key = name_of('k', operation->keys[0]);
  struct name client = name_of('c', attempt->client);
  struct buffer copy;
  buffer_init(&copy);
  struct command command = {
      .client_id = bytes_of(operation->seq != 0 ? client.text : ""), .seq = operation->seq, .key = bytes_of(key.text)};
  const char *why = NULL;
  enum status status;
  if (operation->kind == LINEAR_CAS) command.expected = expected_bytes(clients, operation->expected, &copy);
  if (operation->kind != LINEAR_DELETE) command.value = value_bytes(clients, operation->value);
  if (operation->kind == LINEAR_PUT) {
    command.op = OP_PUT;
    status = dkv_put(&node->dkv, &attempt->request, command.client_id, command.seq, command.key, command.value, &why);
  } else if (operation->kind == LINEAR_CAS) {
    command.op = OP_CAS;
    status = dkv_cas(&node->dkv, &attempt->request, command.client_id, command.seq, command.key, command.expected,
                     command.value, &why);
  } else {
    command.op = OP_DELETE;
    status = dkv_delete(&node->dkv, &attempt->request, command.client_id, command.seq, command.key, &why);
  }
  attempt->command = hash_of_write(clients, &command);
  buffer_deinit(&copy);
  return status;
}

static uint8_t leader_known_to(struct sim_node *node) {
  struct leader_hint hint;
  dkv_leader_hint(&node->dkv, &hint);
  return hint.leader_id[0] == '\0' ? RAFT_NODE_NONE : cluster_find(&node->cluster, hint.leader_id);
}

static void call(struct sim_node *node, struct sim_attempt *attempt) {
  const struct sim_operation *operation = &attempt->operation;
  attempt->request.mode = operation->mode;
  enum status status =
      operation->is_read ? dkv_read(&node->dkv, &attempt->request, READ_POLICY_READINDEX) : call_write(node, attempt);
  CHECK(status != STATUS_INVALID);
  if (status != STATUS_OK)
    sim_attempt_answer(attempt, status);
  else if (!operation->is_read && operation->mode == WRITE_MODE_ASYNC)
    taken(attempt);
}

void sim_load_request(struct sim_node *node, void *data) {
  struct sim_attempt *attempt = data;
  struct sim_world *world = node->world;
  struct sim_trace_record record = {
      .at_us = world->now_us,
      .kind = SIM_TRACE_REQUEST,
      .node = node->number,
      .peer = RAFT_NODE_NONE,
      .numbers = {attempt->client, attempt->operation.seq, attempt->operation.keys[0], attempt->number}};
  sim_trace_add(&world->trace, &record);
  attempt->request.wait.deadline_ms = sim_node_now_ms(node) + world->clients->options.timeout_ms;
  attempt->request.min_index = 0;
  attempt->request.done = on_done;
  attempt->leader = leader_known_to(node);
  attempt->acked_index = world->check.acked_index;
  if (attempt->asks)
    find_outcome(node, attempt);
  else
    call(node, attempt);
}
