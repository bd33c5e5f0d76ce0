/* What an operation by hand asks of its node, through DistributedKV, and what it makes of the answer. */
#include "base/check.h"
#include "base/little_endian.h"
#include "base/utf8.h"
#include "sim/manual_state.h"

#include <string.h>

/* ---- bytes with a length in front ---- */

static void append_sized(struct buffer *out, struct bytes view) {
  buffer_append_le(out, view.len, SIM_LENGTH_BYTES);
  buffer_append_bytes(out, view);
}

static struct bytes next_sized(struct bytes *cursor) {
  struct bytes view = bytes_make(cursor->data + SIM_LENGTH_BYTES, (size_t)le_load(cursor->data, SIM_LENGTH_BYTES));
  *cursor = bytes_make(view.data + view.len, cursor->len - SIM_LENGTH_BYTES - view.len);
  return view;
}

/* ---- the call ---- */

void sim_manual_keep(struct sim_manual_request *request, const struct sim_request *from) {
  request->outcome.kind = from->kind;
  request->outcome.op_id = from->op_id;
  request->outcome.mode = from->mode;
  request->policy = from->policy;
  request->request.min_index = from->min_index;
  request->deadline_ms = from->deadline_ms;
  request->limit = from->limit;
  if (from->kind == SIM_WRITE) {
    command_encode(&from->command, &request->body);
    return;
  }
  for (size_t i = 0; i < from->keys_count; i++)
    append_sized(&request->body, from->keys[i]);
}

static enum status call_write(struct distributedkv *dkv, struct dkv_request *request, const struct command *command,
                              const char **why) {
  struct bytes client_id = command->client_id;
  uint64_t seq = command->seq;
  switch (command->op) {
  case OP_PUT:
    return dkv_put(dkv, request, client_id, seq, command->key, command->value, why);
  case OP_DELETE:
    return dkv_delete(dkv, request, client_id, seq, command->key, why);
  case OP_CAS:
    return dkv_cas(dkv, request, client_id, seq, command->key, command->expected, command->value, why);
  case OP_BATCH_PUT:
    return dkv_mput(dkv, request, client_id, seq, command->items, command->items_count, why);
  case OP_BATCH_DELETE:
    return dkv_mdelete(dkv, request, client_id, seq, command->items, command->items_count, why);
  }
  return STATUS_INVALID;
}

/* As the HTTP API has it: behind it nobody looks at what a read asks for. NULL when all is well. */
static const char *validate_read(const struct sim_manual_request *request) {
  const char *why = NULL;
  struct bytes rest = buffer_view(&request->body);
  while (why == NULL && rest.len > 0) {
    struct bytes text = next_sized(&rest);
    if (request->outcome.kind != SIM_SCAN) {
      why = key_validate(text);
    } else if (text.len > 0 && (!utf8_valid(text) || memchr(text.data, '\0', text.len) != NULL)) {
      why = "prefix, after: expected UTF-8 without NUL";
    }
  }
  return why;
}

/* What is known as soon as it is asked. */
static enum status end_at_once(struct sim_manual_request *request) {
  struct apply_result none = {.err_msg = ""};
  sim_manual_done(&request->request, STATUS_OK, &none);
  return STATUS_OK;
}

static enum status find_operation(struct sim_node *node, struct sim_manual_request *request) {
  struct sim_outcome *outcome = &request->outcome;
  outcome->op_found = dkv_find_operation(&node->dkv, &outcome->op_id, &outcome->operation);
  return end_at_once(request);
}

static enum status begin_write(struct sim_node *node, struct sim_manual_request *request) {
  struct command command;
  CHECK(command_decode(buffer_view(&request->body), &command) == STATUS_OK);
  request->request.mode = request->outcome.mode;
  enum status status = call_write(&node->dkv, &request->request, &command, &request->outcome.why);
  return status == STATUS_OK && request->outcome.mode == WRITE_MODE_ASYNC ? end_at_once(request) : status;
}

enum status sim_manual_call(struct sim_node *node, struct sim_manual_request *request) {
  const char **why = &request->outcome.why;
  request->request.done = sim_manual_done;
  request->request.wait.deadline_ms = sim_node_now_ms(node) + request->deadline_ms;
  request->request.dkv = &node->dkv;
  if (request->outcome.kind == SIM_WRITE) return begin_write(node, request);
  if (request->outcome.kind == SIM_OPERATION) return find_operation(node, request);
  *why = validate_read(request);
  return *why != NULL ? STATUS_INVALID : dkv_read(&node->dkv, &request->request, request->policy);
}

/* ---- the answer ---- */

static void find_keys(struct sim_manual_request *request) {
  struct buffer *found = &request->found;
  struct bytes rest = buffer_view(&request->body);
  while (rest.len > 0) {
    struct bytes key = next_sized(&rest);
    size_t at = found->len;
    buffer_append_le(found, 0, SIM_LENGTH_BYTES);
    if (dkv_get(request->request.dkv, key, found))
      le_store(found->data + at, found->len - at - SIM_LENGTH_BYTES + 1, SIM_LENGTH_BYTES);
  }
}

static void add_entry(void *context, struct bytes key, struct bytes value) {
  append_sized(context, key);
  append_sized(context, value);
}

static void find_entries(struct sim_manual_request *request) {
  struct bytes rest = buffer_view(&request->body);
  struct bytes prefix = next_sized(&rest);
  struct bytes after = next_sized(&rest);
  request->outcome.more =
      dkv_scan(request->request.dkv, prefix, after, request->limit, SCAN_BYTES_MAX, add_entry, &request->found);
}

static void read_state(struct sim_manual_request *request) {
  if (request->outcome.kind == SIM_SCAN) {
    find_entries(request);
  } else {
    find_keys(request);
  }
  if (request->policy != READ_POLICY_READINDEX) return;
  sim_check_read(&request->world->check, request->node, request->outcome.index, request->acked_index);
}

/* One that was taken is not acknowledged by that. */
static void answer_write(struct sim_manual_request *request, const struct apply_result *result) {
  struct sim_outcome *outcome = &request->outcome;
  if (outcome->mode == WRITE_MODE_ASYNC) {
    outcome->op_id = request->request.op_id;
    return;
  }
  outcome->result = *result;
  uint64_t command = hash128_of(buffer_view(&request->body), 0).low;
  sim_check_acked(&request->world->check, request->node, outcome->index, request->request.wait.term, command);
}

/* One that was applied is acknowledged by that. */
static void answer_operation(struct sim_manual_request *request) {
  struct sim_outcome *outcome = &request->outcome;
  outcome->index = outcome->op_found == OP_FOUND ? outcome->operation.index : 0;
  if (outcome->index > 0) sim_check_acked(&request->world->check, request->node, outcome->index, 0, 0);
}

void sim_manual_answer(struct sim_manual_request *request, enum status status, const struct apply_result *result) {
  struct sim_outcome *outcome = &request->outcome;
  outcome->status = status;
  outcome->index = request->request.index;
  if (status == STATUS_CLOSED) outcome->silence = SIM_BROKEN;
  if (status == STATUS_NOT_LEADER) dkv_leader_hint(request->request.dkv, &outcome->hint);
  if (status != STATUS_OK) return;
  switch (outcome->kind) {
  case SIM_WRITE:
    answer_write(request, result);
    break;
  case SIM_OPERATION:
    answer_operation(request);
    break;
  case SIM_GET:
  case SIM_MGET:
  case SIM_SCAN:
    read_state(request);
    break;
  }
}
