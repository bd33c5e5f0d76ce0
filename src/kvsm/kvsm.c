#include "kvsm/kvsm.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvsm_state.h"

struct kvsm {
  pthread_mutex_t mutex;    /* guards everything below */
  struct kvsm_state *state; /* owned */
  struct list retired;      /* replaced states, owned, oldest first */
  uint64_t clients_max;
};

static void lock(struct kvsm *sm) {
  CHECK(pthread_mutex_lock(&sm->mutex) == 0);
}

static void unlock(struct kvsm *sm) {
  CHECK(pthread_mutex_unlock(&sm->mutex) == 0);
}

static struct kvsm_state *retired_state(struct list *link) {
  return (struct kvsm_state *)link; /* its first member */
}

struct kvsm *kvsm_create(void) {
  struct kvsm *sm = xcalloc(1, sizeof(*sm));
  CHECK(pthread_mutex_init(&sm->mutex, NULL) == 0);
  sm->state = kvsm_state_create();
  list_init(&sm->retired);
  sm->clients_max = DEDUPE_CLIENTS_MAX;
  return sm;
}

void kvsm_destroy(struct kvsm *sm) {
  for (struct list *link; (link = list_pop_front(&sm->retired)) != NULL;)
    kvsm_state_destroy(retired_state(link));
  kvsm_state_destroy(sm->state);
  CHECK(pthread_mutex_destroy(&sm->mutex) == 0);
  free(sm);
}

void kvsm_set_clients_max(struct kvsm *sm, uint64_t clients_max) {
  CHECK(clients_max > 0);
  lock(sm);
  sm->clients_max = clients_max;
  unlock(sm);
}

/* ---- apply ---- */

static void put_key(struct kvsm_state *state, struct bytes key, struct bytes value) {
  struct kvmap_cursor cursor;
  struct bytes old = {0};
  kvmap_find(state->entries, key, &cursor, &old);
  kvsm_state_put(state, STATE_ENTRIES, &cursor, old, key, value);
}

/* 1 when the key was there, else 0. */
static uint64_t delete_key(struct kvsm_state *state, struct bytes key) {
  struct kvmap_cursor cursor;
  struct bytes old;
  if (!kvmap_find(state->entries, key, &cursor, &old)) return 0;
  kvsm_state_delete(state, STATE_ENTRIES, &cursor, old, key);
  return 1;
}

/* False when the current value is another one. A missing key counts as empty. */
static bool compare_and_swap(struct kvsm_state *state, const struct command *command) {
  struct kvmap_cursor cursor;
  struct bytes current = {0};
  kvmap_find(state->entries, command->key, &cursor, &current);
  if (!bytes_equal(current, command->expected)) return false;
  kvsm_state_put(state, STATE_ENTRIES, &cursor, current, command->key, command->value);
  return true;
}

static void put_items(struct kvsm_state *state, const struct command *command) {
  struct bytes items = command->items;
  struct bytes key, value;
  while (command_next_item(command->op, &items, &key, &value))
    put_key(state, key, value);
}

static uint64_t delete_items(struct kvsm_state *state, const struct command *command) {
  struct bytes items = command->items;
  struct bytes key, value;
  uint64_t deleted = 0;
  while (command_next_item(command->op, &items, &key, &value))
    deleted += delete_key(state, key);
  return deleted;
}

static struct apply_result execute(struct kvsm_state *state, const struct command *command) {
  switch (command->op) {
  case OP_PUT:
    put_key(state, command->key, command->value);
    return client_reply_result(CLIENT_REPLY_OK, 0);
  case OP_DELETE:
    return client_reply_result(CLIENT_REPLY_DELETED, delete_key(state, command->key));
  case OP_CAS:
    return client_reply_result(compare_and_swap(state, command) ? CLIENT_REPLY_OK : CLIENT_REPLY_CAS_FAILED, 0);
  case OP_BATCH_PUT:
    put_items(state, command);
    return client_reply_result(CLIENT_REPLY_OK, 0);
  case OP_BATCH_DELETE:
    return client_reply_result(CLIENT_REPLY_DELETED, delete_items(state, command));
  }
  return (struct apply_result){.err_code = ERR_BAD_REQUEST, .err_msg = "op: unknown"};
}

/* ---- dedupe ---- */

static void forget_oldest_client(struct kvsm_state *state) {
  struct kvmap_cursor oldest, client;
  struct bytes index, client_id, record;
  kvmap_seek(state->by_index, bytes_make(NULL, 0), &oldest);
  CHECK(kvmap_next(&oldest, &index, &client_id));
  CHECK(kvmap_find(state->clients, client_id, &client, &record));
  kvsm_state_delete(state, STATE_CLIENTS, &client, record, client_id);
  kvmap_delete(state->by_index, index);
}

/* The client's place in the table stands in `cursor`, its old record (if any) in `old`. */
static void remember(struct kvsm *sm, struct kvmap_cursor *cursor, struct bytes old, const struct command *command,
                     const struct apply_result *result) {
  struct kvsm_state *state = sm->state;
  uint8_t index_key[INDEX_KEY_BYTES];
  if (cursor->found) {
    uint64_t old_index = client_record_decode(old).last_index;
    CHECK(kvmap_delete(state->by_index, kvsm_index_key(old_index, index_key)));
  }
  struct client_record record = {.last_seq = command->seq,
                                 .last_index = state->last_applied,
                                 .reply = client_reply_of(result),
                                 .deleted = result->deleted};
  uint8_t encoded[CLIENT_RECORD_BYTES];
  client_record_encode(&record, encoded);
  kvsm_state_put(state, STATE_CLIENTS, cursor, old, command->client_id, bytes_make(encoded, sizeof(encoded)));
  kvmap_append(state->by_index, kvsm_index_key(record.last_index, index_key), command->client_id);
  while (kvmap_count(state->clients) > sm->clients_max)
    forget_oldest_client(state);
}

static struct apply_result replay(const struct client_record *record, uint64_t seq) {
  struct apply_result result = client_reply_result(record->reply, record->deleted);
  result.replay = seq == record->last_seq ? REPLAY_SAME : REPLAY_OLDER;
  return result;
}

static struct apply_result execute_once(struct kvsm *sm, const struct command *command) {
  struct kvmap_cursor cursor;
  struct bytes old = {0};
  if (kvmap_find(sm->state->clients, command->client_id, &cursor, &old)) {
    struct client_record record = client_record_decode(old);
    if (record.last_seq >= command->seq) return replay(&record, command->seq);
  }
  struct apply_result result = execute(sm->state, command);
  if (result.err_code != ERR_BAD_REQUEST) remember(sm, &cursor, old, command, &result);
  return result;
}

static struct apply_result apply(struct kvsm *sm, const struct command *command) {
  const char *fault = command_validate(command);
  if (fault != NULL) return (struct apply_result){.err_code = ERR_BAD_REQUEST, .err_msg = fault};
  if (command->client_id.len == 0 || command->seq == 0) return execute(sm->state, command);
  return execute_once(sm, command);
}

static void move_last_applied(struct kvsm_state *state, uint64_t index) {
  CHECK(index > state->last_applied);
  state->last_applied = index;
}

struct apply_result kvsm_apply(struct kvsm *sm, uint64_t index, const struct command *command) {
  lock(sm);
  move_last_applied(sm->state, index);
  struct apply_result result = apply(sm, command);
  unlock(sm);
  return result;
}

void kvsm_apply_noop(struct kvsm *sm, uint64_t index) {
  lock(sm);
  move_last_applied(sm->state, index);
  unlock(sm);
}

/* ---- reads ---- */

bool kvsm_get(struct kvsm *sm, struct bytes key, struct buffer *out) {
  struct bytes value;
  lock(sm);
  bool found = kvmap_get(sm->state->entries, key, &value);
  if (found) buffer_append_bytes(out, value);
  unlock(sm);
  return found;
}

void kvsm_mget(struct kvsm *sm, const struct bytes *keys, size_t keys_count, kvsm_found *found, void *context) {
  struct bytes value;
  lock(sm);
  for (size_t i = 0; i < keys_count; i++) {
    if (kvmap_get(sm->state->entries, keys[i], &value)) found(context, keys[i], value);
  }
  unlock(sm);
}

static bool has_prefix(struct bytes key, struct bytes prefix) {
  return key.len >= prefix.len && (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

/* The entry at the cursor, when it is one of the scan's. */
static bool scan_next(struct kvmap_cursor *cursor, struct bytes prefix, struct bytes after, struct bytes *key,
                      struct bytes *value) {
  do {
    if (!kvmap_next(cursor, key, value)) return false;
  } while (after.len > 0 && bytes_compare(*key, after) <= 0);
  return has_prefix(*key, prefix);
}

bool kvsm_scan(struct kvsm *sm, struct bytes prefix, struct bytes after, size_t limit, size_t bytes_max,
               kvsm_found *found, void *context) {
  struct kvmap_cursor cursor;
  struct bytes key, value;
  size_t bytes = 0;
  size_t count = 0;
  lock(sm);
  kvmap_seek(sm->state->entries, bytes_compare(prefix, after) > 0 ? prefix : after, &cursor);
  bool more = scan_next(&cursor, prefix, after, &key, &value);
  for (; more && count < limit; count++) {
    bytes += key.len + value.len;
    if (count > 0 && bytes > bytes_max) break;
    found(context, key, value);
    more = scan_next(&cursor, prefix, after, &key, &value);
  }
  unlock(sm);
  return more;
}

bool kvsm_clients(struct kvsm *sm, struct bytes prefix, size_t limit, kvsm_found_client *found, void *context) {
  const struct bytes start = bytes_make(NULL, 0);
  struct kvmap_cursor cursor;
  struct bytes id, encoded;
  lock(sm);
  kvmap_seek(sm->state->clients, prefix, &cursor);
  bool more = scan_next(&cursor, prefix, start, &id, &encoded);
  for (size_t count = 0; more && count < limit; count++) {
    struct client_record record = client_record_decode(encoded);
    found(context, &(struct kvsm_client){.client_id = id,
                                         .last_seq = record.last_seq,
                                         .last_index = record.last_index,
                                         .reply = client_reply_result(record.reply, record.deleted)});
    more = scan_next(&cursor, prefix, start, &id, &encoded);
  }
  unlock(sm);
  return more;
}

bool kvsm_last_seen(struct kvsm *sm, struct bytes client_id, uint64_t *seq) {
  struct bytes record;
  lock(sm);
  bool found = kvmap_get(sm->state->clients, client_id, &record);
  if (found) *seq = client_record_decode(record).last_seq;
  unlock(sm);
  return found;
}

void kvsm_stats(struct kvsm *sm, struct kvsm_stats *out) {
  lock(sm);
  const struct kvsm_state *state = sm->state;
  *out = (struct kvsm_stats){
      .last_applied = state->last_applied,
      .keys = kvmap_count(state->entries),
      .clients = kvmap_count(state->clients),
      .bytes = kvmap_bytes(state->entries),
      .digest = state->digest,
  };
  unlock(sm);
}

/* ---- snapshots, restores and what they leave behind ---- */

struct kvsm_snapshot *kvsm_snapshot_take(struct kvsm *sm) {
  struct kvsm_snapshot *snapshot = xmalloc(sizeof(*snapshot));
  lock(sm);
  struct kvsm_state *state = sm->state;
  *snapshot = (struct kvsm_snapshot){
      .state = state,
      .entries = kvmap_snapshot_take(state->entries),
      .clients = kvmap_snapshot_take(state->clients),
      .digest = state->digest,
      .index = state->last_applied,
  };
  state->snapshots_count++;
  unlock(sm);
  return snapshot;
}

void kvsm_snapshot_release(struct kvsm *sm, struct kvsm_snapshot *snapshot) {
  lock(sm);
  struct kvsm_state *state = snapshot->state;
  kvmap_snapshot_release(state->entries, snapshot->entries);
  kvmap_snapshot_release(state->clients, snapshot->clients);
  state->snapshots_count--;
  unlock(sm);
  free(snapshot);
}

uint64_t kvsm_snapshot_index(const struct kvsm_snapshot *snapshot) {
  return snapshot->index;
}

void kvsm_replace_state(struct kvsm *sm, struct kvsm_state *state) {
  lock(sm);
  list_push_back(&sm->retired, &sm->state->link);
  sm->state = state;
  unlock(sm);
}

/* One bounded piece of work; true while there is more. A retired state that a snapshot still sees has to wait. */
static bool reclaim(struct kvsm *sm, size_t steps_max) {
  if (kvsm_state_reclaim(sm->state, false, steps_max)) return true;
  for (struct list *link = sm->retired.next; link != &sm->retired; link = link->next) {
    struct kvsm_state *state = retired_state(link);
    if (kvsm_state_reclaim(state, true, steps_max)) return true;
    if (state->snapshots_count > 0) continue;
    list_remove(link);
    kvsm_state_destroy(state);
    return !list_empty(&sm->retired);
  }
  return false;
}

bool kvsm_reclaim(struct kvsm *sm, size_t steps_max) {
  lock(sm);
  bool more = reclaim(sm, steps_max);
  unlock(sm);
  return more;
}
