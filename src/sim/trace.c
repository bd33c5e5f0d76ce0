#include "sim/trace.h"

#include <stdlib.h>

#include "base/check.h"
#include "sim/fault.h"
#include "sim/mix.h"

/* What the numbers of a record are called; NULL: not used. */
struct labels {
  const char *name;
  const char *numbers[4];
};

static const struct labels kinds[] = {
    [SIM_TRACE_MESSAGE] = {"message", {NULL}},
    [SIM_TRACE_SYNCED] = {"synced", {"number", "last"}},
    [SIM_TRACE_TURN] = {"turn", {NULL}},
    [SIM_TRACE_PEER_DOWN] = {"peer_down", {NULL}},
    [SIM_TRACE_REQUEST] = {"request", {"client", "seq", "key", "attempt"}},
    [SIM_TRACE_RESPONSE] = {"response", {"client", "seq", "status", "index"}},
    [SIM_TRACE_STATE] = {"state", {"role", "term", "last", "commit"}},
    [SIM_TRACE_COMMIT] = {"commit", {"index", "term", "last"}},
    [SIM_TRACE_FAULT] = {"fault", {"value"}},
};

static const struct labels messages[] = {
    [RAFT_APPEND] = {"append", {"term", "prev", "entries", "commit"}},
    [RAFT_APPEND_REPLY] = {"append_reply", {"term", "success", "match", "conflict"}},
    [RAFT_VOTE] = {"vote", {"term", "pre", "last", "last_term"}},
    [RAFT_VOTE_REPLY] = {"vote_reply", {"term", "pre", "granted", "vote_term"}},
    [RAFT_TIMEOUT_NOW] = {"timeout_now", {"term"}},
    [RAFT_READ] = {"read", {"term", "id"}},
    [RAFT_READ_REPLY] = {"read_reply", {"term", "id", "ok", "index"}},
    [RAFT_INSTALL] = {"install", {"term", "index", "offset", "done"}},
    [RAFT_INSTALL_REPLY] = {"install_reply", {"term", "index", "offset", "done"}},
};

void sim_trace_init(struct sim_trace *trace) {
  *trace = (struct sim_trace){.records = xcalloc(SIM_TRACE_RECORDS, sizeof trace->records[0]),
                              .capacity = SIM_TRACE_RECORDS};
}

void sim_trace_deinit(struct sim_trace *trace) {
  free(trace->records);
}

uint64_t sim_trace_kept(const struct sim_trace *trace) {
  return trace->count < trace->capacity ? trace->count : trace->capacity;
}

void sim_trace_keep(struct sim_trace *trace, size_t records) {
  CHECK(records >= trace->capacity && records <= SIM_TRACE_RECORDS_MAX);
  struct sim_trace_record *ring = xcalloc(records, sizeof ring[0]);
  for (uint64_t i = trace->count - sim_trace_kept(trace); i < trace->count; i++)
    ring[i % records] = trace->records[i % trace->capacity];
  free(trace->records);
  trace->records = ring;
  trace->capacity = records;
}

void sim_trace_fold(struct sim_trace *trace, uint64_t a, uint64_t b) {
  trace->low = sim_mix(trace->low, a);
  trace->high = sim_mix(trace->high + trace->low, b);
}

void sim_trace_add(struct sim_trace *trace, const struct sim_trace_record *record) {
  uint64_t head =
      (uint64_t)record->kind << 24 | (uint64_t)record->what << 16 | (uint64_t)record->node << 8 | record->peer;
  sim_trace_fold(trace, record->at_us, head);
  sim_trace_fold(trace, record->numbers[0] << 32 ^ record->numbers[1], record->numbers[2] << 32 ^ record->numbers[3]);
  struct sim_trace_record *place = &trace->records[trace->count++ % trace->capacity];
  *place = *record;
  place->event = trace->event;
}

const char *sim_message_name(uint32_t type) {
  CHECK(type < SIM_MESSAGE_TYPES);
  return messages[type].name;
}

static void message_numbers(const struct raft_message *message, uint64_t numbers[4]) {
  numbers[0] = message->term;
  switch (message->type) {
  case RAFT_APPEND:
    numbers[1] = message->as.append.prev_index;
    numbers[2] = message->as.append.entries_count;
    numbers[3] = message->as.append.commit_index;
    break;
  case RAFT_APPEND_REPLY:
    numbers[1] = message->as.append_reply.success;
    numbers[2] = message->as.append_reply.match_index;
    numbers[3] = message->as.append_reply.conflict_index;
    break;
  case RAFT_VOTE:
    numbers[1] = message->as.vote.pre;
    numbers[2] = message->as.vote.last_index;
    numbers[3] = message->as.vote.last_term;
    break;
  case RAFT_VOTE_REPLY:
    numbers[1] = message->as.vote_reply.pre;
    numbers[2] = message->as.vote_reply.granted;
    numbers[3] = message->as.vote_reply.vote_term;
    break;
  case RAFT_READ:
    numbers[1] = message->as.read.id;
    break;
  case RAFT_READ_REPLY:
    numbers[1] = message->as.read_reply.id;
    numbers[2] = message->as.read_reply.ok;
    numbers[3] = message->as.read_reply.index;
    break;
  case RAFT_INSTALL:
    numbers[1] = message->as.install.index;
    numbers[2] = message->as.install.offset;
    numbers[3] = message->as.install.done;
    break;
  case RAFT_INSTALL_REPLY:
    numbers[1] = message->as.install_reply.index;
    numbers[2] = message->as.install_reply.offset;
    numbers[3] = message->as.install_reply.done;
    break;
  case RAFT_TIMEOUT_NOW:
    break;
  }
}

struct sim_trace_record sim_trace_message(uint64_t at_us, const struct raft_message *message) {
  struct sim_trace_record record = {.at_us = at_us,
                                    .kind = SIM_TRACE_MESSAGE,
                                    .what = (uint8_t)message->type,
                                    .node = message->to,
                                    .peer = message->from};
  message_numbers(message, record.numbers);
  return record;
}

/* True when the record's number is a type of message. */
static bool is_about_a_type(const struct sim_trace_record *record) {
  return record->kind == SIM_TRACE_FAULT && (record->what == SIM_FAULT_DROPPED || record->what == SIM_FAULT_HELD);
}

static const struct labels *labels_of(const struct sim_trace_record *record) {
  return record->kind == SIM_TRACE_MESSAGE ? &messages[record->what] : &kinds[record->kind];
}

const char *sim_trace_record_name(const struct sim_trace_record *record) {
  if (record->kind == SIM_TRACE_FAULT) return sim_fault_name((enum sim_fault)record->what);
  return labels_of(record)->name;
}

void sim_trace_record_text(const struct sim_trace_record *record, struct buffer *out) {
  if (record->node != RAFT_NODE_NONE) buffer_append_format(out, "n%u ", record->node + 1u);
  if (record->peer != RAFT_NODE_NONE) buffer_append_format(out, "<- n%u ", record->peer + 1u);
  buffer_append_format(out, "%s", sim_trace_record_name(record));
  if (is_about_a_type(record)) {
    buffer_append_format(out, " %s", messages[record->numbers[0]].name);
    return;
  }
  const struct labels *labels = labels_of(record);
  for (int i = 0; i < 4 && labels->numbers[i] != NULL; i++) {
    buffer_append_format(out, " %s=%llu", labels->numbers[i], (unsigned long long)record->numbers[i]);
  }
}

static void append_line(const struct sim_trace_record *record, struct buffer *out) {
  buffer_append_format(out, "%6llu.%06llu ", (unsigned long long)(record->at_us / 1000000),
                       (unsigned long long)(record->at_us % 1000000));
  sim_trace_record_text(record, out);
  buffer_append_byte(out, '\n');
}

const struct sim_trace_record *sim_trace_record_at(const struct sim_trace *trace, uint64_t number) {
  if (number > trace->count || number + sim_trace_kept(trace) <= trace->count) return NULL;
  return &trace->records[(number - 1) % trace->capacity];
}

void sim_trace_text(const struct sim_trace *trace, size_t records_max, struct buffer *out) {
  uint64_t kept = sim_trace_kept(trace);
  if (kept > records_max) kept = records_max;
  for (uint64_t i = trace->count - kept; i < trace->count; i++)
    append_line(&trace->records[i % trace->capacity], out);
}
