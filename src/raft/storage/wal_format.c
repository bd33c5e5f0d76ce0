#include "raft/storage/wal_format.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/little_endian.h"

static const uint8_t magic[8] = {'K', 'V', 'W', 'A', 'L', 0, 0, WAL_VERSION};

enum {
  HEAD_CHECK_AT = WAL_HEAD_BYTES - 8,
  CHECKED_AT = 8 /* in a batch: what its check covers */
};

bool wal_state_equal(const struct wal_state *a, const struct wal_state *b) {
  return a->last_index == b->last_index && a->last_term == b->last_term && a->snapshot_index == b->snapshot_index &&
         a->snapshot_term == b->snapshot_term && a->hard_state.term == b->hard_state.term &&
         a->hard_state.voted_for == b->hard_state.voted_for && a->hard_state.proven == b->hard_state.proven;
}

/* ---- heads ---- */

uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check) {
  uint8_t unique[24];
  le_store(unique, random, 8);
  le_store(unique + 8, sequence, 8);
  le_store(unique + 16, previous_check, 8);
  uint64_t life = hash64_of(bytes_make(unique, sizeof unique), 0);
  return (uint32_t)life == 0 ? life | 1 : life;
}

static void store_hard_state(uint8_t *at, const struct raft_hard_state *state) {
  le_store(at, state->term, 8);
  at[8] = state->voted_for;
  at[9] = state->proven ? 1 : 0;
}

static bool load_hard_state(const uint8_t *at, struct raft_hard_state *state) {
  *state = (struct raft_hard_state){.term = le_load(at, 8), .voted_for = at[8], .proven = at[9] == 1};
  return at[9] <= 1 && (at[8] < RAFT_NODES_MAX || at[8] == RAFT_NODE_NONE) && state->term <= RAFT_TERM_MAX;
}

void wal_head_encode(struct wal_head *head, uint8_t out[WAL_HEAD_BYTES]) {
  const uint64_t fields[] = {head->life,
                             head->sequence,
                             head->previous_check,
                             head->start.last_index,
                             head->start.last_term,
                             head->start.snapshot_index,
                             head->start.snapshot_term};
  memset(out, 0, WAL_HEAD_BYTES);
  memcpy(out, magic, sizeof magic);
  size_t at = sizeof magic;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++, at += 8)
    le_store(out + at, fields[i], 8);
  store_hard_state(out + at, &head->start.hard_state);
  head->check = hash64_of(bytes_make(out, HEAD_CHECK_AT), 0);
  le_store(out + HEAD_CHECK_AT, head->check, 8);
}

bool wal_head_decode(const uint8_t in[WAL_HEAD_BYTES], struct wal_head *head) {
  uint64_t check = hash64_of(bytes_make(in, HEAD_CHECK_AT), 0);
  if (memcmp(in, magic, sizeof magic) != 0 || le_load(in + HEAD_CHECK_AT, 8) != check) return false;
  uint64_t fields[7];
  const uint8_t *at = in + sizeof magic;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++, at += 8)
    fields[i] = le_load(at, 8);
  *head = (struct wal_head){.life = fields[0],
                            .sequence = fields[1],
                            .previous_check = fields[2],
                            .start = {.last_index = fields[3],
                                      .last_term = fields[4],
                                      .snapshot_index = fields[5],
                                      .snapshot_term = fields[6]},
                            .check = check};
  return load_hard_state(at, &head->start.hard_state) && (uint32_t)head->life != 0 && head->sequence != 0 &&
         head->start.snapshot_index <= head->start.last_index && head->start.last_index < UINT64_MAX;
}

/* ---- batches ---- */

void wal_batch_open(struct buffer *batch) {
  buffer_clear(batch);
  memset(buffer_reserve(batch, WAL_BATCH_HEAD_BYTES), 0, WAL_BATCH_HEAD_BYTES);
  batch->len = WAL_BATCH_HEAD_BYTES;
}

uint32_t wal_batch_pad(struct buffer *batch) {
  size_t payload_bytes = batch->len - WAL_BATCH_HEAD_BYTES;
  CHECK(payload_bytes > 0 && payload_bytes <= UINT32_MAX);
  while (batch->len % WAL_ALIGN != 0)
    buffer_append_byte(batch, 0);
  return (uint32_t)payload_bytes;
}

uint64_t wal_batch_close(struct buffer *batch, uint32_t payload_bytes, uint64_t life, uint64_t previous) {
  CHECK(batch->len == wal_align(WAL_BATCH_HEAD_BYTES + (uint64_t)payload_bytes));
  le_store(batch->data + 8, payload_bytes, 4);
  le_store(batch->data + 12, life, 4);
  le_store(batch->data + 16, previous, 8);
  size_t checked = WAL_BATCH_HEAD_BYTES - CHECKED_AT + (size_t)payload_bytes;
  uint64_t check = hash64_of(bytes_make(batch->data + CHECKED_AT, checked), life);
  le_store(batch->data, check, 8);
  return check;
}

uint64_t wal_batch_bytes(const uint8_t head[WAL_BATCH_HEAD_BYTES], uint64_t life) {
  uint64_t payload_bytes = le_load(head + 8, 4);
  bool ours = le_load(head + 12, 4) == (uint32_t)life && payload_bytes > 0;
  return ours ? WAL_BATCH_HEAD_BYTES + payload_bytes : 0;
}

bool wal_batch_decode(struct bytes at, uint64_t life, struct wal_batch_head *out) {
  if (at.len < WAL_BATCH_HEAD_BYTES) return false;
  uint64_t bytes = wal_batch_bytes(at.data, life);
  if (bytes == 0 || bytes > at.len) return false;
  size_t payload_bytes = (size_t)bytes - WAL_BATCH_HEAD_BYTES;
  size_t checked = WAL_BATCH_HEAD_BYTES - CHECKED_AT + payload_bytes;
  uint64_t check = le_load(at.data, 8);
  if (check != hash64_of(bytes_make(at.data + CHECKED_AT, checked), life)) return false;
  *out = (struct wal_batch_head){.check = check,
                                 .previous = le_load(at.data + 16, 8),
                                 .payload = bytes_make(at.data + WAL_BATCH_HEAD_BYTES, payload_bytes)};
  return true;
}

uint64_t wal_batch_claims(struct bytes at, uint64_t life, uint64_t previous) {
  if (at.len < WAL_BATCH_HEAD_BYTES) return 0;
  bool ours = le_load(at.data + 12, 4) == (uint32_t)life || le_load(at.data + 16, 8) == previous;
  if (!ours) return 0;
  return wal_align(WAL_BATCH_HEAD_BYTES + le_load(at.data + 8, 4));
}

/* ---- records ---- */

void wal_put_hard_state(struct buffer *batch, const struct raft_hard_state *state) {
  buffer_append_le(batch, WAL_HARD_STATE, 1);
  store_hard_state(buffer_reserve(batch, 10), state);
  batch->len += 10;
}

void wal_put_entries_head(struct buffer *batch, uint64_t first, uint64_t term_before, uint32_t count) {
  buffer_append_le(batch, WAL_ENTRIES, 1);
  buffer_append_le(batch, first, 8);
  buffer_append_le(batch, term_before, 8);
  buffer_append_le(batch, count, 4);
}

void wal_put_mark(struct buffer *batch, enum wal_record_type type, uint64_t index, uint64_t term) {
  buffer_append_le(batch, type, 1);
  buffer_append_le(batch, index, 8);
  buffer_append_le(batch, term, 8);
}

void wal_put_seal(struct buffer *batch) {
  buffer_append_le(batch, WAL_SEAL, 1);
}

static void take(struct bytes *payload, size_t len) {
  *payload = bytes_make(payload->data + len, payload->len - len);
}

static bool next_entries(struct bytes *rest, struct wal_record *record) {
  if (rest->len < 20) return false;
  record->index = le_load(rest->data, 8);
  record->term = le_load(rest->data + 8, 8);
  record->count = (uint32_t)le_load(rest->data + 16, 4);
  take(rest, 20);
  struct bytes start = *rest;
  struct log_entry entry;
  for (uint32_t i = 0; i < record->count; i++) {
    if (!log_entry_next(rest, &entry)) return false;
  }
  record->entries = bytes_make(start.data, start.len - rest->len);
  return true;
}

static bool next_fields(struct bytes *rest, struct wal_record *record) {
  switch (record->type) {
  case WAL_HARD_STATE:
    if (rest->len < 10 || !load_hard_state(rest->data, &record->hard_state)) return false;
    take(rest, 10);
    return true;
  case WAL_ENTRIES:
    return next_entries(rest, record);
  case WAL_SNAPSHOT:
  case WAL_RESET:
    if (rest->len < 16) return false;
    record->index = le_load(rest->data, 8);
    record->term = le_load(rest->data + 8, 8);
    take(rest, 16);
    return true;
  case WAL_SEAL:
    return true;
  }
  return false;
}

bool wal_record_next(struct bytes *payload, struct wal_record *record) {
  if (payload->len == 0 || payload->data[0] < WAL_HARD_STATE || payload->data[0] > WAL_SEAL) return false;
  struct bytes rest = *payload;
  *record = (struct wal_record){.type = (enum wal_record_type)rest.data[0]};
  take(&rest, 1);
  if (!next_fields(&rest, record)) return false;
  *payload = rest;
  return true;
}

/* ---- replay ---- */

static const char *apply_entries(struct wal_state *state, const struct wal_record *record) {
  if (record->index == 0 || record->index > state->last_index + 1) return "entries leave a gap in the log";
  uint64_t before = record->index - 1;
  if (before < state->snapshot_index) return "the log is cut below a snapshot";
  if (before == state->snapshot_index && record->term != state->snapshot_term) return "entries contradict a snapshot";
  if (before == state->last_index && record->term != state->last_term) return "entries do not follow the log";
  if (before < state->last_index && record->term > state->last_term) return "a cut goes to a later term";
  if (record->count > UINT64_MAX - 1 - before) return "entries beyond the last index there is";
  state->last_index = before;
  state->last_term = record->term;
  struct bytes encoded = record->entries;
  struct log_entry entry;
  while (log_entry_next(&encoded, &entry)) {
    if (entry.term < state->last_term || entry.term > RAFT_TERM_MAX) return "the terms of the log go back";
    state->last_term = entry.term;
    state->last_index++;
  }
  return NULL;
}

static const char *apply_snapshot(struct wal_state *state, const struct wal_record *record) {
  if (record->index <= state->snapshot_index) return "a snapshot takes the place of a newer one";
  if (record->index > state->last_index) return "a snapshot covers entries that do not exist";
  if (record->index == state->last_index && record->term != state->last_term) return "a snapshot contradicts the log";
  state->snapshot_index = record->index;
  state->snapshot_term = record->term;
  return NULL;
}

static const char *apply_reset(struct wal_state *state, const struct wal_record *record) {
  if (record->index <= state->snapshot_index) return "a snapshot takes the place of a newer one";
  if (record->index == UINT64_MAX || record->term > RAFT_TERM_MAX) return "a snapshot beyond the last index there is";
  state->last_index = state->snapshot_index = record->index;
  state->last_term = state->snapshot_term = record->term;
  return NULL;
}

const char *wal_state_apply(struct wal_state *state, const struct wal_record *record) {
  switch (record->type) {
  case WAL_HARD_STATE:
    if (record->hard_state.term < state->hard_state.term) return "the term goes back";
    state->hard_state = record->hard_state;
    return NULL;
  case WAL_ENTRIES:
    return apply_entries(state, record);
  case WAL_SNAPSHOT:
    return apply_snapshot(state, record);
  case WAL_RESET:
    return apply_reset(state, record);
  case WAL_SEAL:
    return NULL;
  }
  return "a record of an unknown type";
}
