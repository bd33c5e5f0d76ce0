/* Reads what kvsm_snapshot.c writes (see there for the format), and nothing else: any other form, order, count or
 * digest is STATUS_CORRUPT. Lines are read where they lie; only one that is cut by the border of two chunks is put
 * together in `partial`. The new state is private until the trailer has agreed with it; then it is handed over whole.
 */
#include "kvsm/kvsm.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "kvsm/kvsm_line.h"
#include "kvsm/kvsm_state.h"

enum {
  SNAPSHOT_VERSION = 1,
  ESCAPED_BYTES_MAX = 6, /* a control character: \u0000 */
  LINE_FRAME_BYTES = 64, /* braces and names around key and value */
  LINE_BYTES_MAX = ESCAPED_BYTES_MAX * (KEY_BYTES_CAP + VALUE_BYTES_CAP) + LINE_FRAME_BYTES,
  KEEP_BYTES = 1048576, /* of a scratch buffer, after an unusually long line */
};

enum phase { PHASE_HEADER, PHASE_ENTRIES, PHASE_CLIENTS, PHASE_COMPLETE };

struct kvsm_restore {
  struct kvsm_state *state; /* owned */
  enum phase phase;
  bool failed;
  uint64_t line_number;  /* of the last complete line */
  size_t cold_bytes;     /* read since memory was last warmed */
  struct buffer partial; /* the beginning of a line whose end has not come yet */
  struct buffer key;     /* scratch for a string with escapes */
  struct buffer value;   /* the same, and for base64 */
};

/* The readers of lines return NULL, or what is wrong with the line: a static message. */

static const char *read_header(struct kvsm_restore *restore, struct line *line) {
  uint64_t version;
  if (!line_take_text(line, "{\"format\":\"kvserver-snapshot\",\"version\":")) return "not the header of a snapshot";
  if (!line_take_number(line, UINT32_MAX, &version)) return "version: expected a number";
  if (version != SNAPSHOT_VERSION) return "version: expected 1";
  if (!line_take_text(line, ",\"last_index\":") || !line_take_number(line, INT64_MAX, &restore->state->last_applied) ||
      !line_take_text(line, "}") || !line_at_end(line)) {
    return "last_index: expected a number";
  }
  restore->phase = PHASE_ENTRIES;
  return NULL;
}

static const char *read_value(struct kvsm_restore *restore, struct line *line, struct bytes *value) {
  if (line_take_text(line, ",\"value\":")) {
    if (!line_take_string(line, &restore->value, value)) return "value: not a string in canonical form";
  } else if (line_take_text(line, ",\"value_base64\":")) {
    if (!line_take_base64(line, &restore->value, value)) return "value_base64: not base64 of bytes that are not UTF-8";
  } else {
    return "value: missing";
  }
  return value->len > VALUE_BYTES_CAP ? "value: too long" : NULL;
}

/* Whether `key` is greater than the last one of the table. */
static bool is_next(const struct kvmap *table, struct bytes key) {
  struct bytes last_key, last_value;
  return !kvmap_last(table, &last_key, &last_value) || bytes_compare(last_key, key) < 0;
}

/* Behind `{"key":`. */
static const char *read_entry(struct kvsm_restore *restore, struct line *line) {
  struct bytes key, value;
  if (restore->phase != PHASE_ENTRIES) return "key: stands behind the clients";
  if (!line_take_string(line, &restore->key, &key)) return "key: not a string in canonical form";
  const char *fault = key_validate(key);
  if (fault != NULL) return fault;
  if (!is_next(restore->state->entries, key)) return "key: not greater than the one before";
  fault = read_value(restore, line, &value);
  if (fault != NULL) return fault;
  if (!line_take_text(line, "}") || !line_at_end(line)) return "value: followed by something";
  kvsm_state_append(restore->state, STATE_ENTRIES, key, value);
  return NULL;
}

static bool take_reply(struct line *line, struct client_record *record) {
  record->deleted = 0;
  if (line_take_text(line, "{\"ok\":true}")) {
    record->reply = CLIENT_REPLY_OK;
    return true;
  }
  if (line_take_text(line, "{\"ok\":false,\"err_code\":\"cas_failed\"}")) {
    record->reply = CLIENT_REPLY_CAS_FAILED;
    return true;
  }
  record->reply = CLIENT_REPLY_DELETED;
  return line_take_text(line, "{\"ok\":true,\"deleted\":") && line_take_number(line, UINT32_MAX, &record->deleted) &&
         line_take_text(line, "}");
}

static const char *read_record(struct line *line, uint64_t index_max, struct client_record *record) {
  if (!line_take_text(line, ",\"last_seq\":") || !line_take_number(line, INT64_MAX, &record->last_seq) ||
      record->last_seq == 0) {
    return "last_seq: expected a number from 1 to 2^63-1";
  }
  if (!line_take_text(line, ",\"last_index\":") || !line_take_number(line, index_max, &record->last_index) ||
      record->last_index == 0) {
    return "last_index: expected a number from 1 to that of the header";
  }
  if (!line_take_text(line, ",\"reply\":") || !take_reply(line, record)) return "reply: not one of the known forms";
  return line_take_text(line, "}") && line_at_end(line) ? NULL : "reply: followed by something";
}

/* False when another client has that index. */
static bool add_index(struct kvsm_state *state, uint64_t index, struct bytes client_id) {
  uint8_t encoded[INDEX_KEY_BYTES];
  struct bytes key = kvsm_index_key(index, encoded);
  struct kvmap_cursor cursor;
  struct bytes other;
  if (kvmap_find(state->by_index, key, &cursor, &other)) return false;
  kvmap_put_at(state->by_index, &cursor, key, client_id);
  return true;
}

/* Behind `{"client_id":`. */
static const char *read_client(struct kvsm_restore *restore, struct line *line) {
  struct kvsm_state *state = restore->state;
  struct client_record record;
  struct bytes client_id;
  restore->phase = PHASE_CLIENTS;
  if (!line_take_string(line, &restore->key, &client_id)) return "client_id: not a string in canonical form";
  if (client_id.len == 0 || client_id.len > CLIENT_ID_BYTES_MAX) return "client_id: expected 1 to 256 bytes";
  if (!is_next(state->clients, client_id)) return "client_id: not greater than the one before";
  const char *fault = read_record(line, state->last_applied, &record);
  if (fault != NULL) return fault;
  if (kvmap_count(state->clients) == DEDUPE_CLIENTS_MAX) return "client_id: more than 1000000 clients";
  if (!add_index(state, record.last_index, client_id)) return "last_index: another client has the same";
  uint8_t encoded[CLIENT_RECORD_BYTES];
  client_record_encode(&record, encoded);
  kvsm_state_append(state, STATE_CLIENTS, client_id, bytes_make(encoded, sizeof(encoded)));
  return NULL;
}

static bool take_exactly(struct line *line, const char *text, uint64_t expected) {
  uint64_t number;
  return line_take_text(line, text) && line_take_number(line, UINT64_MAX, &number) && number == expected;
}

static const char *read_trailer(struct kvsm_restore *restore, struct line *line) {
  const struct kvsm_state *state = restore->state;
  char digest[HASH128_HEX_CHARS + 1];
  hash128_hex(state->digest, digest);
  if (!take_exactly(line, "{\"keys\":", kvmap_count(state->entries))) return "keys: not the number of keys above";
  if (!take_exactly(line, ",\"clients\":", kvmap_count(state->clients))) {
    return "clients: not the number of clients above";
  }
  if (!take_exactly(line, ",\"last_index\":", state->last_applied)) return "last_index: not that of the header";
  if (!line_take_text(line, ",\"digest\":\"") || !line_take_text(line, digest)) {
    return "digest: not that of the lines above";
  }
  if (!line_take_text(line, "\"}") || !line_at_end(line)) return "digest: followed by something";
  restore->phase = PHASE_COMPLETE;
  return NULL;
}

static const char *read_line(struct kvsm_restore *restore, struct bytes text) {
  struct line line = {text.data, text.data + text.len};
  if (restore->phase == PHASE_HEADER) return read_header(restore, &line);
  if (line_take_text(&line, "{\"key\":")) return read_entry(restore, &line);
  if (line_take_text(&line, "{\"client_id\":")) return read_client(restore, &line);
  return read_trailer(restore, &line);
}

/* ---- chunks ---- */

static enum status refuse(struct kvsm_restore *restore, uint64_t line_number, const char *what, struct error *err) {
  restore->failed = true;
  return error_set(err, STATUS_CORRUPT, "line %llu: %s", (unsigned long long)line_number, what);
}

static void shrink_scratch(struct buffer *scratch) {
  if (scratch->capacity > KEEP_BYTES) buffer_shrink(scratch, KEEP_BYTES);
}

/* Takes the bytes up to the first newline of the chunk, or all of them. Returns NULL, or what is wrong. */
static const char *feed_line(struct kvsm_restore *restore, struct bytes *chunk) {
  const uint8_t *newline = memchr(chunk->data, '\n', chunk->len);
  struct bytes text = bytes_make(chunk->data, newline == NULL ? chunk->len : (size_t)(newline - chunk->data));
  size_t used = text.len + (newline == NULL ? 0 : 1);
  *chunk = bytes_make(chunk->data + used, chunk->len - used);
  if (restore->phase == PHASE_COMPLETE) return "stands behind the trailer";
  if (text.len > LINE_BYTES_MAX - restore->partial.len) return "too long";
  if (newline == NULL || restore->partial.len > 0) {
    buffer_append_bytes(&restore->partial, text);
    if (newline == NULL) return NULL;
    text = buffer_view(&restore->partial);
  }
  const char *fault = read_line(restore, text);
  if (fault != NULL) return fault;
  restore->line_number++;
  buffer_clear(&restore->partial);
  shrink_scratch(&restore->partial);
  shrink_scratch(&restore->key);
  shrink_scratch(&restore->value);
  return NULL;
}

/* Line by line, so that a large chunk is warmed as it is read. An entry needs about as much memory as its line. */
static void warm_for(struct kvsm_restore *restore, size_t bytes) {
  restore->cold_bytes += bytes;
  if (restore->cold_bytes < MEMORY_WARM_BYTES) return;
  restore->cold_bytes = 0;
  memory_warm();
}

/* ---- public ---- */

struct kvsm_restore *kvsm_restore_begin(void) {
  struct kvsm_restore *restore = xcalloc(1, sizeof(*restore));
  restore->state = kvsm_state_create();
  return restore;
}

enum status kvsm_restore_feed(struct kvsm_restore *restore, struct bytes chunk, struct error *err) {
  CHECK(!restore->failed);
  while (chunk.len > 0) {
    size_t left = chunk.len;
    const char *fault = feed_line(restore, &chunk);
    if (fault != NULL) return refuse(restore, restore->line_number + 1, fault, err);
    warm_for(restore, left - chunk.len);
  }
  return STATUS_OK;
}

enum status kvsm_restore_finish(struct kvsm_restore *restore, struct kvsm *sm, struct error *err) {
  CHECK(!restore->failed);
  enum status status = STATUS_OK;
  if (restore->phase == PHASE_COMPLETE) {
    kvsm_replace_state(sm, restore->state);
    restore->state = NULL;
  } else {
    status = refuse(restore, restore->line_number + 1, "ends before the trailer is complete", err);
  }
  kvsm_restore_abort(restore);
  return status;
}

void kvsm_restore_abort(struct kvsm_restore *restore) {
  if (restore->state != NULL) kvsm_state_destroy(restore->state);
  buffer_deinit(&restore->partial);
  buffer_deinit(&restore->key);
  buffer_deinit(&restore->value);
  free(restore);
}

bool kvsm_restore_complete(const struct kvsm_restore *restore) {
  return restore->phase == PHASE_COMPLETE && !restore->failed;
}

uint64_t kvsm_restore_index(const struct kvsm_restore *restore) {
  return restore->state->last_applied;
}
