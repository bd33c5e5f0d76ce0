#include "kvsm/kvsm_state.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/little_endian.h"

/* ---- records of clients ---- */

void client_record_encode(const struct client_record *record, uint8_t out[CLIENT_RECORD_BYTES]) {
  uint8_t *at = le_store(le_store(out, record->last_seq, 8), record->last_index, 8);
  *at++ = (uint8_t)record->reply;
  le_store(at, record->deleted, 8);
}

struct client_record client_record_decode(struct bytes encoded) {
  CHECK(encoded.len == CLIENT_RECORD_BYTES);
  return (struct client_record){
      .last_seq = le_load(encoded.data, 8),
      .last_index = le_load(encoded.data + 8, 8),
      .reply = (enum client_reply)encoded.data[16],
      .deleted = le_load(encoded.data + 17, 8),
  };
}

enum client_reply client_reply_of(const struct apply_result *result) {
  if (result->ok) return result->has_deleted ? CLIENT_REPLY_DELETED : CLIENT_REPLY_OK;
  CHECK(result->err_code == ERR_CAS_FAILED); /* a bad_request does not use up its seq */
  return CLIENT_REPLY_CAS_FAILED;
}

struct apply_result client_reply_result(enum client_reply reply, uint64_t deleted) {
  switch (reply) {
  case CLIENT_REPLY_OK:
    return (struct apply_result){.ok = true, .err_msg = ""};
  case CLIENT_REPLY_DELETED:
    return (struct apply_result){.ok = true, .has_deleted = true, .deleted = deleted, .err_msg = ""};
  case CLIENT_REPLY_CAS_FAILED:
    break;
  }
  return (struct apply_result){.err_code = ERR_CAS_FAILED, .err_msg = "expected: differs from the current value"};
}

/* ---- states ---- */

struct kvsm_state *kvsm_state_create(void) {
  struct kvsm_state *state = xcalloc(1, sizeof(*state));
  list_init(&state->link);
  state->entries = kvmap_create();
  state->clients = kvmap_create();
  state->by_index = kvmap_create();
  return state;
}

void kvsm_state_destroy(struct kvsm_state *state) {
  CHECK(state->snapshots_count == 0);
  kvmap_destroy(state->entries);
  kvmap_destroy(state->clients);
  kvmap_destroy(state->by_index);
  free(state);
}

bool kvsm_state_reclaim(struct kvsm_state *state, bool retired, size_t steps_max) {
  struct kvmap *maps[] = {state->entries, state->clients, state->by_index};
  for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
    if (!kvmap_reclaimable(maps[i])) continue;
    if (kvmap_reclaim(maps[i], steps_max)) return true;
  }
  if (!retired || state->snapshots_count > 0) return false;
  for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
    if (kvmap_dismantle(maps[i], steps_max)) return true;
  }
  return false;
}

static struct kvmap *table_map(struct kvsm_state *state, enum state_table table) {
  return table == STATE_ENTRIES ? state->entries : state->clients;
}

static struct hash128 content_hash(enum state_table table, size_t key_bytes, struct bytes value) {
  return hash128_of(kvmap_content(key_bytes, value), (uint64_t)table << 32 | key_bytes);
}

void kvsm_state_put(struct kvsm_state *state, enum state_table table, struct kvmap_cursor *cursor, struct bytes old,
                    struct bytes key, struct bytes value) {
  if (cursor->found) hash128_sub(&state->digest, content_hash(table, key.len, old));
  struct bytes stored = kvmap_put_at(table_map(state, table), cursor, key, value);
  hash128_add(&state->digest, content_hash(table, key.len, stored));
}

void kvsm_state_delete(struct kvsm_state *state, enum state_table table, struct kvmap_cursor *cursor, struct bytes old,
                       struct bytes key) {
  hash128_sub(&state->digest, content_hash(table, key.len, old));
  kvmap_delete_at(table_map(state, table), cursor);
}

void kvsm_state_append(struct kvsm_state *state, enum state_table table, struct bytes key, struct bytes value) {
  struct bytes stored = kvmap_append(table_map(state, table), key, value);
  hash128_add(&state->digest, content_hash(table, key.len, stored));
}

struct bytes kvsm_index_key(uint64_t index, uint8_t out[INDEX_KEY_BYTES]) {
  for (int i = 0; i < INDEX_KEY_BYTES; i++)
    out[i] = (uint8_t)(index >> (8 * (INDEX_KEY_BYTES - 1 - i)));
  return bytes_make(out, INDEX_KEY_BYTES);
}
