#include "types/command.h"

#include "base/check.h"
#include "base/little_endian.h"
#include "base/utf8.h"

enum {
  COMMAND_VERSION = 1,
  COMMAND_HEAD_BYTES = 12, /* version, op, client_id bytes, seq */
};

/* ---- writing ---- */

static void append_counted(struct buffer *out, struct bytes view) {
  CHECK(view.len <= UINT32_MAX);
  buffer_append_le(out, view.len, 4);
  buffer_append_bytes(out, view);
}

static void append_head(struct buffer *out, const struct command *command) {
  CHECK(command->op >= OP_PUT && command->op <= OP_BATCH_DELETE);
  CHECK(command->client_id.len <= UINT16_MAX);
  uint8_t *to = buffer_reserve(out, COMMAND_HEAD_BYTES);
  to = le_store(to, COMMAND_VERSION, 1);
  to = le_store(to, (uint64_t)command->op, 1);
  to = le_store(to, command->client_id.len, 2);
  le_store(to, command->seq, 8);
  out->len += COMMAND_HEAD_BYTES;
  buffer_append_bytes(out, command->client_id);
}

/* ---- reading ---- */

/* Each take_* moves the cursor over what it read; false, and the cursor anywhere, when too little is left. */

static bool take(struct bytes *cursor, size_t len, struct bytes *out) {
  if (len > cursor->len) return false;
  *out = bytes_make(cursor->data, len);
  cursor->data += len;
  cursor->len -= len;
  return true;
}

static bool take_u32(struct bytes *cursor, uint32_t *out) {
  struct bytes raw;
  if (!take(cursor, 4, &raw)) return false;
  *out = (uint32_t)le_load(raw.data, 4);
  return true;
}

static bool take_counted(struct bytes *cursor, struct bytes *out) {
  uint32_t len;
  return take_u32(cursor, &len) && take(cursor, len, out);
}

static bool take_head(struct bytes *cursor, struct command *command) {
  struct bytes head;
  if (!take(cursor, COMMAND_HEAD_BYTES, &head)) return false;
  if (head.data[0] != COMMAND_VERSION) return false;
  if (head.data[1] < OP_PUT || head.data[1] > OP_BATCH_DELETE) return false;
  command->op = (enum op_type)head.data[1];
  command->seq = le_load(head.data + 4, 8);
  return take(cursor, (size_t)le_load(head.data + 2, 2), &command->client_id);
}

/* All that is left must be exactly items_count items. */
static bool take_items(struct bytes *cursor, struct command *command) {
  if (!take_u32(cursor, &command->items_count)) return false;
  command->items = *cursor;
  struct bytes key;
  struct bytes value;
  uint32_t count = 0;
  while (command_next_item(command->op, cursor, &key, &value))
    count++;
  return count == command->items_count;
}

static bool take_operands(struct bytes *cursor, struct command *command) {
  switch (command->op) {
  case OP_PUT:
    return take_counted(cursor, &command->key) && take_counted(cursor, &command->value);
  case OP_DELETE:
    return take_counted(cursor, &command->key);
  case OP_CAS:
    return take_counted(cursor, &command->key) && take_counted(cursor, &command->expected) &&
           take_counted(cursor, &command->value);
  case OP_BATCH_PUT:
  case OP_BATCH_DELETE:
    return take_items(cursor, command);
  }
  return false;
}

/* ---- rules ---- */

enum key_fault { KEY_FINE, KEY_EMPTY, KEY_TOO_LONG, KEY_NOT_UTF8, KEY_HOLDS_NUL };

static enum key_fault key_fault(struct bytes key) {
  if (key.len == 0) return KEY_EMPTY;
  if (key.len > KEY_BYTES_CAP) return KEY_TOO_LONG;
  if (memchr(key.data, 0, key.len) != NULL) return KEY_HOLDS_NUL;
  return utf8_valid(key) ? KEY_FINE : KEY_NOT_UTF8;
}

/* What to say depends on the field in which the key stands. */
enum key_place { IN_KEY, IN_ENTRIES, IN_KEYS };

static const char *key_message(struct bytes key, enum key_place place) {
  static const char *const messages[][5] = {
      [IN_KEY] = {NULL, "key: must not be empty", "key: longer than 65535 bytes", "key: not valid UTF-8",
                  "key: must not hold NUL"},
      [IN_ENTRIES] = {NULL, "entries: a key must not be empty", "entries: a key is longer than 65535 bytes",
                      "entries: a key is not valid UTF-8", "entries: a key must not hold NUL"},
      [IN_KEYS] = {NULL, "keys: a key must not be empty", "keys: a key is longer than 65535 bytes",
                   "keys: a key is not valid UTF-8", "keys: a key must not hold NUL"},
  };
  return messages[place][key_fault(key)];
}

static const char *items_fault(const struct command *command) {
  bool put = command->op == OP_BATCH_PUT;
  if (command->items_count == 0) return put ? "entries: must not be empty" : "keys: must not be empty";
  if (command->items_count > BATCH_ITEMS_MAX) return put ? "entries: more than 100000" : "keys: more than 100000";
  struct bytes cursor = command->items;
  struct bytes key;
  struct bytes value = {0};
  uint32_t count = 0;
  for (; command_next_item(command->op, &cursor, &key, &value); count++) {
    const char *fault = key_message(key, put ? IN_ENTRIES : IN_KEYS);
    if (fault != NULL) return fault;
    if (value.len > VALUE_BYTES_CAP) return "entries: a value is longer than 16777215 bytes";
  }
  if (count != command->items_count || cursor.len > 0) return put ? "entries: malformed" : "keys: malformed";
  return NULL;
}

static const char *single_fault(const struct command *command) {
  const char *fault = key_validate(command->key);
  if (fault != NULL) return fault;
  if (command->op == OP_CAS && command->expected.len > VALUE_BYTES_CAP) {
    return "expected: longer than 16777215 bytes";
  }
  if (command->op != OP_DELETE && command->value.len > VALUE_BYTES_CAP) return "value: longer than 16777215 bytes";
  return NULL;
}

/* ---- public ---- */

const char *op_type_name(enum op_type op) {
  switch (op) {
  case OP_PUT:
    return "put";
  case OP_DELETE:
    return "delete";
  case OP_CAS:
    return "cas";
  case OP_BATCH_PUT:
    return "mput";
  case OP_BATCH_DELETE:
    return "mdelete";
  }
  return "unknown";
}

void command_encode(const struct command *command, struct buffer *out) {
  append_head(out, command);
  switch (command->op) {
  case OP_PUT:
    append_counted(out, command->key);
    append_counted(out, command->value);
    return;
  case OP_DELETE:
    append_counted(out, command->key);
    return;
  case OP_CAS:
    append_counted(out, command->key);
    append_counted(out, command->expected);
    append_counted(out, command->value);
    return;
  case OP_BATCH_PUT:
  case OP_BATCH_DELETE:
    buffer_append_le(out, command->items_count, 4);
    buffer_append_bytes(out, command->items);
    return;
  }
}

void command_append_item(struct buffer *items, enum op_type op, struct bytes key, struct bytes value) {
  CHECK(op == OP_BATCH_PUT || op == OP_BATCH_DELETE);
  append_counted(items, key);
  if (op == OP_BATCH_PUT) append_counted(items, value);
}

enum status command_decode(struct bytes encoded, struct command *out) {
  struct command command = {0};
  struct bytes cursor = encoded;
  if (!take_head(&cursor, &command) || !take_operands(&cursor, &command) || cursor.len > 0) return STATUS_INVALID;
  *out = command;
  return STATUS_OK;
}

bool command_next_item(enum op_type op, struct bytes *cursor, struct bytes *key, struct bytes *value) {
  struct bytes ahead = *cursor;
  if (!take_counted(&ahead, key)) return false;
  if (op == OP_BATCH_PUT && !take_counted(&ahead, value)) return false;
  *cursor = ahead; /* so that a malformed item leaves something behind for the caller to see */
  return true;
}

const char *command_validate(const struct command *command) {
  if (command->client_id.len > CLIENT_ID_BYTES_MAX) return "client_id: longer than 256 bytes";
  if (!utf8_valid(command->client_id)) return "client_id: not valid UTF-8";
  if (command->seq > INT64_MAX) return "seq: more than 9223372036854775807";
  switch (command->op) {
  case OP_PUT:
  case OP_DELETE:
  case OP_CAS:
    return single_fault(command);
  case OP_BATCH_PUT:
  case OP_BATCH_DELETE:
    return items_fault(command);
  }
  return "op: unknown";
}

const char *key_validate(struct bytes key) {
  return key_message(key, IN_KEY);
}
