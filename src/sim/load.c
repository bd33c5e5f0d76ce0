/* The clients. Happy path: a pause, an operation, one attempt at the leader (writes) or anywhere (reads), the answer,
 * the history. The client's patience ends an attempt, too; what its node still answers later is not heard. */
#include "sim/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/load_state.h"

enum {
  REQUEST_US = 400, /* to the node */
  LATE_PPM = 4000,  /* a request that is held up on its way */
  LATE_US = 1500000,
  BACKOFF_MIN_US = 5000,
  BACKOFF_US = 60000,
  FOLLOW_HINT_PPM = 800000,
  FOLLOWED_AFTER_US = 2000, /* a redirect is followed without a pause */
  ASK_US = 20000,           /* before the outcome of an asynchronous write is asked for, again */
  BLIND_CAS_PPM = 100000,   /* a cas that expects no value, whatever the client knows */
  HISTORY_CAPACITY_MIN = 1024
};

struct sim_load_options sim_load_default(void) {
  return (struct sim_load_options){.clients_count = 8,
                                   .nameless_count = 1,
                                   .keys_count = 8,
                                   .think_us = 100000,
                                   .timeout_ms = 2000,
                                   .value_bytes_max = 256,
                                   .mix = {.put = 30, .get = 30, .cas = 20, .del = 10, .mget = 10}};
}

/* ---- helpers ---- */

static struct sim_client *client_of(struct sim_world *world, uint64_t number) {
  return &world->clients->clients[number];
}

static void wake_in(struct sim_world *world, uint32_t number, uint64_t us) {
  struct sim_event event = {.at_us = world->now_us + us, .kind = SIM_CLIENT, .number = number};
  client_of(world, number)->wake = sim_events_push(&world->events, &event);
}

static uint8_t any_node(struct sim_world *world) {
  return (uint8_t)prng_below(&world->load_random, world->config.nodes_count);
}

static struct linear_op *add_history(struct sim_clients *clients) {
  if (clients->history_count == clients->history_capacity) {
    clients->history_capacity = clients->history_capacity == 0 ? HISTORY_CAPACITY_MIN : 2 * clients->history_capacity;
    clients->history = xrealloc(clients->history, clients->history_capacity * sizeof clients->history[0]);
  }
  return &clients->history[clients->history_count++];
}

/* ---- the end of an operation ---- */

static void record(struct sim_world *world, uint32_t number, uint32_t key, enum linear_outcome outcome, uint64_t saw) {
  const struct sim_client *client = client_of(world, number);
  const struct sim_operation *operation = &client->operation;
  *add_history(world->clients) = (struct linear_op){.client = number,
                                                    .key = key,
                                                    .kind = operation->kind,
                                                    .outcome = outcome,
                                                    .value = operation->value,
                                                    .expected = operation->expected,
                                                    .saw = saw,
                                                    .called = client->called_us,
                                                    .returned = world->now_us};
}

static void rest(struct sim_world *world, uint32_t number) {
  client_of(world, number)->busy = false;
  client_of(world, number)->asking = false;
  world->clients->operations++;
  wake_in(world, number, sim_below(&world->load_random, 2 * (uint64_t)world->clients->options.think_us + 1));
}

static void end_unknown(struct sim_world *world, uint32_t number) {
  const struct sim_operation *operation = &client_of(world, number)->operation;
  if (!operation->is_read) record(world, number, operation->keys[0], LINEAR_UNKNOWN, 0);
  rest(world, number);
}

static void end_read(struct sim_world *world, const struct sim_attempt *attempt) {
  struct sim_client *client = client_of(world, attempt->client);
  for (uint32_t i = 0; i < attempt->operation.keys_count; i++) {
    uint32_t key = attempt->operation.keys[i];
    record(world, attempt->client, key, LINEAR_OK, attempt->saw[i]);
    client->seen[key] = attempt->saw[i];
  }
  world->clients->answered_reads++;
  rest(world, attempt->client);
}

static void end_write(struct sim_world *world, const struct sim_attempt *attempt) {
  struct sim_client *client = client_of(world, attempt->client);
  const struct sim_operation *operation = &attempt->operation;
  const struct apply_result *result = &attempt->result;
  uint32_t key = operation->keys[0];
  if (result->replay == REPLAY_OLDER) {
    sim_check_fail(&world->check, attempt->node, "client c%u's newest request, seq %llu, is answered as an older one",
                   attempt->client, (unsigned long long)operation->seq);
  }
  record(world, attempt->client, key, LINEAR_OK, operation->kind == LINEAR_DELETE ? result->deleted : result->ok);
  if (result->ok) client->seen[key] = operation->kind == LINEAR_DELETE ? 0 : operation->value;
  world->clients->acked_writes++;
  if (operation->mode == WRITE_MODE_ASYNC) world->clients->async_writes++;
  rest(world, attempt->client);
}

/* ---- attempts ---- */

/* At the node the request has timeout_ms; the client may give up sooner, or wait for longer than that. */
static uint64_t patience_us(struct sim_world *world) {
  uint64_t timeout_us = (uint64_t)world->clients->options.timeout_ms * 1000;
  return timeout_us / 2 + prng_below(&world->load_random, timeout_us * 3 / 2 + 1);
}

static void send_attempt(struct sim_world *world, uint32_t number) {
  struct sim_client *client = client_of(world, number);
  struct sim_attempt *attempt = sim_attempt_make(world);
  struct prng *random = &world->load_random;
  bool to_leader = !client->operation.is_read && client->leader != RAFT_NODE_NONE;
  attempt->client = number;
  attempt->number = ++client->attempt;
  attempt->operation = client->operation;
  attempt->asks = client->asking;
  attempt->pending = false;
  attempt->op_id = client->op_id;
  attempt->command = client->command;
  attempt->node = client->asking ? client->asked : to_leader ? client->leader : any_node(world);
  client->waiting = true;
  uint64_t us = prng_below(random, REQUEST_US);
  if (sim_chance(random, LATE_PPM)) us += prng_below(random, LATE_US);
  sim_push(world, world->now_us + us, SIM_REQUEST, attempt->node, 0, attempt);
  wake_in(world, number, patience_us(world));
}

static void try_again(struct sim_world *world, uint32_t number, uint8_t leader) {
  struct sim_client *client = client_of(world, number);
  struct prng *random = &world->load_random;
  bool follow = leader != RAFT_NODE_NONE && sim_chance(random, FOLLOW_HINT_PPM);
  client->leader = follow ? leader : any_node(world);
  client->waiting = false;
  client->asking = false;
  wake_in(world, number, follow ? FOLLOWED_AFTER_US : BACKOFF_MIN_US + prng_below(random, BACKOFF_US));
}

/* Nobody knows whether the attempt took effect, or will. */
static void unknown(struct sim_world *world, uint32_t number) {
  struct sim_client *client = client_of(world, number);
  if (client->operation.is_read || !client->nameless) {
    try_again(world, number, RAFT_NODE_NONE);
  } else {
    client->leader = RAFT_NODE_NONE;
    end_unknown(world, number);
  }
}

/* The node that the attempt was at has taken the write. */
static void ask_later(struct sim_world *world, const struct sim_attempt *attempt) {
  struct sim_client *client = client_of(world, attempt->client);
  client->asking = true;
  client->op_id = attempt->op_id;
  client->asked = attempt->node;
  client->command = attempt->command;
  client->waiting = false;
  wake_in(world, attempt->client, prng_below(&world->load_random, ASK_US));
}

static void answered(struct sim_world *world, const struct sim_attempt *attempt) {
  switch (attempt->status) {
  case STATUS_OK:
    if (attempt->operation.is_read) {
      end_read(world, attempt);
    } else if (attempt->pending) {
      ask_later(world, attempt);
    } else {
      client_of(world, attempt->client)->leader = attempt->node;
      end_write(world, attempt);
    }
    break;
  case STATUS_NOT_LEADER:
    try_again(world, attempt->client, attempt->leader);
    break;
  case STATUS_DISK_FULL:
    world->faults[SIM_FAULT_NO_ROOM]++;
    try_again(world, attempt->client, RAFT_NODE_NONE);
    break;
  case STATUS_NO_LEADER:
  case STATUS_OVERLOADED:
    try_again(world, attempt->client, RAFT_NODE_NONE);
    break;
  case STATUS_TIMEOUT:
  case STATUS_CLOSED:
    unknown(world, attempt->client);
    break;
  case STATUS_INVALID:
  case STATUS_TOO_LARGE:
  case STATUS_NOT_FOUND:
  case STATUS_CORRUPT:
  case STATUS_IO:
    sim_check_fail(&world->check, attempt->node, "a request ends as %s", status_name(attempt->status));
    break;
  }
}

void sim_load_response(struct sim_world *world, void *data) {
  struct sim_attempt *attempt = data;
  struct sim_trace_record trace = {
      .at_us = world->now_us,
      .kind = SIM_TRACE_RESPONSE,
      .node = attempt->node,
      .peer = RAFT_NODE_NONE,
      .numbers = {attempt->client, attempt->operation.seq, attempt->status, attempt->request.index}};
  sim_trace_add(&world->trace, &trace);
  struct sim_client *client = client_of(world, attempt->client);
  bool heard = client->busy && client->waiting && attempt->number == client->attempt;
  if (heard) answered(world, attempt);
  sim_attempt_free(attempt);
}

/* ---- operations ---- */

static enum linear_kind draw_kind(struct sim_world *world, bool *is_mget) {
  const struct sim_mix_weights *mix = &world->clients->options.mix;
  uint64_t draw = prng_below(&world->load_random, (uint64_t)mix->put + mix->get + mix->cas + mix->del + mix->mget);
  *is_mget = false;
  if (draw < mix->put) return LINEAR_PUT;
  draw -= mix->put;
  if (draw < mix->cas) return LINEAR_CAS;
  draw -= mix->cas;
  if (draw < mix->del) return LINEAR_DELETE;
  draw -= mix->del;
  *is_mget = draw < mix->mget;
  return LINEAR_GET;
}

static void begin(struct sim_world *world, uint32_t number) {
  struct sim_clients *clients = world->clients;
  struct sim_client *client = client_of(world, number);
  struct prng *random = &world->load_random;
  bool is_mget;
  struct sim_operation *operation = &client->operation;
  *operation = (struct sim_operation){.kind = draw_kind(world, &is_mget), .keys_count = is_mget ? SIM_MGET_MAX : 1};
  operation->is_read = operation->kind == LINEAR_GET;
  for (uint32_t i = 0; i < operation->keys_count; i++)
    operation->keys[i] = (uint32_t)prng_below(random, clients->options.keys_count);
  if (operation->kind == LINEAR_PUT || operation->kind == LINEAR_CAS) operation->value = ++clients->next_value;
  if (operation->kind == LINEAR_CAS && !sim_chance(random, BLIND_CAS_PPM)) {
    operation->expected = client->seen[operation->keys[0]];
  }
  if (!operation->is_read && !client->nameless) operation->seq = ++client->next_seq;
  if (!operation->is_read && sim_chance(random, clients->options.async_ppm)) operation->mode = WRITE_MODE_ASYNC;
  client->busy = true;
  client->called_us = world->now_us;
  send_attempt(world, number);
}

void sim_load_wake(struct sim_world *world, const struct sim_event *event) {
  uint32_t number = (uint32_t)event->number;
  struct sim_client *client = client_of(world, number);
  if (event->sequence != client->wake) return;
  world->events_count++;
  if (!client->busy) {
    if (!world->clients->stopped) begin(world, number);
  } else if (client->waiting) {
    unknown(world, number);
  } else {
    send_attempt(world, number);
  }
}

/* ---- the load as a whole ---- */

static void check_options(const struct sim_load_options *options) {
  CHECK(options->clients_count >= 1 && options->clients_count <= SIM_CLIENTS_MAX);
  CHECK(options->nameless_count <= options->clients_count);
  CHECK(options->keys_count >= 1 && options->keys_count <= SIM_KEYS_MAX);
  CHECK(options->value_bytes_max >= 8 && options->value_bytes_max <= SIM_VALUE_BYTES_MAX);
  CHECK(options->timeout_ms > 0);
  CHECK(options->async_ppm <= SIM_MILLION);
}

bool sim_world_load(struct sim_world *world, const struct sim_load_options *options) {
  if (world->clients != NULL) return false;
  check_options(options);
  struct sim_clients *clients = xcalloc(1, sizeof *clients);
  clients->options = *options;
  world->clients = clients;
  for (uint32_t i = 0; i < options->clients_count; i++) {
    clients->clients[i].nameless = i < options->nameless_count;
    clients->clients[i].leader = RAFT_NODE_NONE;
    wake_in(world, i, sim_below(&world->load_random, options->think_us + UINT64_C(1)));
  }
  return true;
}

bool sim_world_stop_load(struct sim_world *world) {
  if (world->clients == NULL) return false;
  world->clients->stopped = true;
  return true;
}

/* What is under way is shown as unknown, without ending it. */
const struct linear_op *sim_world_history(struct sim_world *world, size_t *count) {
  struct sim_clients *clients = world->clients;
  *count = 0;
  if (clients == NULL) return NULL;
  size_t ended = clients->history_count;
  for (uint32_t i = 0; i < clients->options.clients_count; i++) {
    const struct sim_client *client = &clients->clients[i];
    if (client->busy && !client->operation.is_read) record(world, i, client->operation.keys[0], LINEAR_UNKNOWN, 0);
  }
  *count = clients->history_count;
  clients->history_count = ended;
  return clients->history;
}

void sim_load_stats(const struct sim_clients *clients, struct sim_stats *out) {
  out->acked_writes = clients->acked_writes;
  out->async_writes = clients->async_writes;
  out->answered_reads = clients->answered_reads;
  out->operations = clients->operations;
  out->unanswered = clients->attempts_count;
}

void sim_load_destroy(struct sim_clients *clients) {
  if (clients == NULL) return;
  while (clients->attempts_all != NULL) {
    struct sim_attempt *attempt = clients->attempts_all;
    clients->attempts_all = attempt->next_all;
    free(attempt);
  }
  buffer_deinit(&clients->scratch);
  buffer_deinit(&clients->command);
  free(clients->history);
  free(clients);
}
