/* A state machine over the events of types/json.h: the message, in it entries, in each a command, in that perhaps items
 * or keys. Tables say which fields each place knows. Strings of a command are copied into scratch->text, which is
 * reserved up front: unescaping and base64 never make text longer, so views into it stay where they are. */
#include "raft/transporthttp/dto_json.h"

#include <stdio.h>

#include "base/base64.h"
#include "raft/storage/entry.h"
#include "types/command.h"
#include "types/json.h"
#include "types/limits.h"

enum {
  PATH_CHARS_MAX = 96,
  CLUSTER_HEX_CHARS = 16,
  PIECE_CHARS_MAX = (RAFT_PIECE_BYTES_MAX + 2) / 3 * 4 /* in base64 */
};

enum place { AT_ROOT, IN_MESSAGE, IN_ENTRIES, IN_ENTRY, IN_COMMAND, IN_ITEMS, IN_ITEM, IN_KEYS, PLACES };

enum kind { KIND_NULL, KIND_FLAG, KIND_NUMBER, KIND_STRING, KIND_OBJECT, KIND_ARRAY };

static const char *const kind_names[] = {"null", "a boolean", "a number", "a string", "an object", "an array"};

/* What a field means. Each is a bit of present[place]. */
enum what {
  SCALAR, /* a field of the type's table */
  SENDER,
  ADDRESS,
  CLUSTER,
  TO,
  ENTRIES,
  DATA,
  INDEX,
  TERM,
  CMD,
  CLIENT_ID,
  SEQ,
  OP,
  KEY,
  VALUE,
  VALUE_BASE64,
  EXPECTED,
  EXPECTED_BASE64,
  ITEMS,
  KEYS
};
#define BIT(what) (1u << (what))

struct known {
  enum place place;
  const char *name;
  enum what what;
  enum kind kind;
};

static const struct known knowns[] = {
    {IN_MESSAGE, "leader_addr", ADDRESS, KIND_STRING},
    {IN_MESSAGE, "cluster", CLUSTER, KIND_STRING},
    {IN_MESSAGE, "to", TO, KIND_STRING},
    {IN_MESSAGE, "entries", ENTRIES, KIND_ARRAY},
    {IN_MESSAGE, "data", DATA, KIND_STRING},
    {IN_ENTRY, "index", INDEX, KIND_NUMBER},
    {IN_ENTRY, "term", TERM, KIND_NUMBER},
    {IN_ENTRY, "cmd", CMD, KIND_OBJECT},
    {IN_COMMAND, "client_id", CLIENT_ID, KIND_STRING},
    {IN_COMMAND, "seq", SEQ, KIND_NUMBER},
    {IN_COMMAND, "op", OP, KIND_STRING},
    {IN_COMMAND, "key", KEY, KIND_STRING},
    {IN_COMMAND, "value", VALUE, KIND_STRING},
    {IN_COMMAND, "value_base64", VALUE_BASE64, KIND_STRING},
    {IN_COMMAND, "expected", EXPECTED, KIND_STRING},
    {IN_COMMAND, "expected_base64", EXPECTED_BASE64, KIND_STRING},
    {IN_COMMAND, "entries", ITEMS, KIND_ARRAY},
    {IN_COMMAND, "keys", KEYS, KIND_ARRAY},
    {IN_ITEM, "key", KEY, KIND_STRING},
    {IN_ITEM, "value", VALUE, KIND_STRING},
    {IN_ITEM, "value_base64", VALUE_BASE64, KIND_STRING},
};
enum { KNOWNS_COUNT = sizeof knowns / sizeof knowns[0] };

struct reader {
  struct dto *dto;
  const struct dto_shape *shape;
  struct dto_json_scratch *scratch;
  enum place place;
  unsigned skipping;              /* open objects and arrays of a value that nobody asked for; 0: none */
  struct known field;             /* in an object: whose value comes next; name NULL: nobody asked for it */
  const struct dto_field *scalar; /* of a SCALAR field */
  unsigned present[PLACES];       /* BIT of each `what` that came, in the object that is open there */
  unsigned scalars_present;       /* bit per row of the type's table */
  uint64_t first_index;           /* of the first entry */
  uint64_t index;                 /* of the entry at hand */
  uint64_t term;
  uint32_t entries_count; /* complete ones */
  struct command command;
  struct bytes item_key;
  struct bytes item_value;
  struct error why; /* what a callback found wrong */
};

/* ---- messages ---- */

static void path_of(const struct reader *r, const char *name, char out[PATH_CHARS_MAX]) {
  unsigned entry = r->entries_count;
  unsigned item = r->command.items_count;
  switch (r->place) {
  case AT_ROOT:
  case IN_MESSAGE:
    snprintf(out, PATH_CHARS_MAX, "%s", name == NULL ? "body" : name);
    return;
  case IN_ENTRIES:
  case IN_ENTRY:
    snprintf(out, PATH_CHARS_MAX, name == NULL ? "entries[%u]" : "entries[%u].%s", entry, name);
    return;
  case IN_COMMAND:
    snprintf(out, PATH_CHARS_MAX, name == NULL ? "entries[%u].cmd" : "entries[%u].cmd.%s", entry, name);
    return;
  case IN_ITEMS:
  case IN_ITEM:
    snprintf(out, PATH_CHARS_MAX, name == NULL ? "entries[%u].cmd.entries[%u]" : "entries[%u].cmd.entries[%u].%s",
             entry, item, name);
    return;
  case IN_KEYS:
    snprintf(out, PATH_CHARS_MAX, "entries[%u].cmd.keys[%u]", entry, item);
    return;
  case PLACES:
    return;
  }
}

/* Ends reading; returns what the JSON reader wants to see. `name` NULL: the place itself is meant. */
static const char *refuse(struct reader *r, const char *name, const char *what) {
  char path[PATH_CHARS_MAX];
  path_of(r, name, path);
  error_set(&r->why, STATUS_INVALID, "%s: %s", path, what);
  return r->why.text;
}

static const char *refuse_kind(struct reader *r, const char *name, enum kind expected, enum kind got) {
  char what[64];
  snprintf(what, sizeof what, "expected %s, got %s", kind_names[expected], kind_names[got]);
  return refuse(r, name, what);
}

static const char *refuse_number(struct reader *r, const char *name, uint64_t max) {
  char what[64];
  snprintf(what, sizeof what, "expected an integer from 0 to %llu", (unsigned long long)max);
  return refuse(r, name, what);
}

static const char *refuse_missing(struct reader *r, const char *name) {
  return refuse(r, name, "missing");
}

/* ---- values ---- */

static bool has(const struct reader *r, enum what what) {
  return (r->present[r->place] & BIT(what)) != 0;
}

static const char *take_number(struct reader *r, const char *name, struct bytes text, uint64_t *out) {
  return json_number_u64(text, DTO_NUMBER_MAX, out) ? NULL : refuse_number(r, name, DTO_NUMBER_MAX);
}

static const char *take_scalar(struct reader *r, enum kind kind, struct bytes text, bool flag) {
  const struct dto_field *field = r->scalar;
  enum kind expected = field->kind == DTO_FLAG ? KIND_FLAG : KIND_NUMBER;
  if (kind != expected) return refuse_kind(r, field->name, expected, kind);
  uint64_t max = field->kind == DTO_WORD ? UINT64_MAX : DTO_NUMBER_MAX;
  uint64_t value = flag;
  if (expected == KIND_NUMBER && !json_number_u64(text, max, &value)) return refuse_number(r, field->name, max);
  dto_set(&r->dto->message, field, value);
  r->scalars_present |= 1u << (field - r->shape->fields);
  return NULL;
}

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *take_cluster(struct reader *r, struct bytes text) {
  uint64_t value = 0;
  bool valid = text.len == CLUSTER_HEX_CHARS;
  for (size_t i = 0; valid && i < text.len; i++) {
    int digit = hex_digit(text.data[i]);
    valid = digit >= 0;
    value = value << 4 | (uint64_t)(digit & 15);
  }
  if (!valid) return refuse(r, r->field.name, "expected 16 hex digits in lower case");
  r->dto->has_cluster = true;
  r->dto->cluster = value;
  return NULL;
}

static const char *take_id(struct reader *r, struct bytes text, char out[NODE_ID_BYTES_MAX + 1]) {
  return dto_set_id(out, text) ? NULL : refuse(r, r->field.name, "expected a node id");
}

static const char *take_op(struct reader *r, struct bytes text) {
  for (enum op_type op = OP_PUT; op <= OP_BATCH_DELETE; op++) {
    if (!bytes_equal(text, bytes_of(op_type_name(op)))) continue;
    r->command.op = op;
    return NULL;
  }
  return refuse(r, r->field.name, "expected put, delete, cas, mput or mdelete");
}

static const char *keep_text(struct reader *r, struct bytes text, struct bytes *out) {
  struct buffer *kept = &r->scratch->text;
  *out = bytes_make(kept->data + kept->len, text.len);
  buffer_append_bytes(kept, text);
  return NULL;
}

static const char *take_base64(struct reader *r, struct bytes text, struct buffer *out) {
  return base64_decode(text, out) == STATUS_OK ? NULL : refuse(r, r->field.name, "expected base64 (RFC 4648, padded)");
}

static const char *keep_base64(struct reader *r, struct bytes text, struct bytes *out) {
  struct buffer *kept = &r->scratch->text;
  size_t start = kept->len;
  const char *fault = take_base64(r, text, kept);
  if (fault == NULL) *out = bytes_make(kept->data + start, kept->len - start);
  return fault;
}

/* Too long a piece is not even decoded. */
static const char *take_data(struct reader *r, struct bytes text) {
  char what[64];
  snprintf(what, sizeof what, "more than %d bytes", RAFT_PIECE_BYTES_MAX);
  if (text.len > PIECE_CHARS_MAX) return refuse(r, r->field.name, what);
  return take_base64(r, text, &r->scratch->entries);
}

/* The value or expected that has come already in the other encoding. */
static bool twin_came(const struct reader *r, enum what what) {
  if (what == VALUE || what == VALUE_BASE64) return has(r, VALUE) || has(r, VALUE_BASE64);
  if (what == EXPECTED || what == EXPECTED_BASE64) return has(r, EXPECTED) || has(r, EXPECTED_BASE64);
  return false;
}

static const char *take_operand(struct reader *r, struct bytes text) {
  bool in_item = r->place == IN_ITEM;
  struct bytes *value = in_item ? &r->item_value : &r->command.value;
  enum what what = r->field.what;
  if (what == KEY) return keep_text(r, text, in_item ? &r->item_key : &r->command.key);
  if (what == CLIENT_ID) return keep_text(r, text, &r->command.client_id);
  if (twin_came(r, what)) return refuse(r, r->field.name, "stands beside its twin; give one of the two");
  if (what == VALUE) return keep_text(r, text, value);
  if (what == VALUE_BASE64) return keep_base64(r, text, value);
  if (what == EXPECTED) return keep_text(r, text, &r->command.expected);
  return keep_base64(r, text, &r->command.expected);
}

/* The value of a known field that is no object or array and no SCALAR; its kind is right. */
static const char *take_value(struct reader *r, struct bytes text) {
  const char *name = r->field.name;
  enum what what = r->field.what;
  if (what == SENDER) return take_id(r, text, r->dto->from);
  if (what == TO) return take_id(r, text, r->dto->to);
  if (what == CLUSTER) return take_cluster(r, text);
  if (what == ADDRESS) return NULL; /* addresses are configured; this one is for people */
  if (what == INDEX) return take_number(r, name, text, &r->index);
  if (what == TERM) return take_number(r, name, text, &r->term);
  if (what == SEQ) return take_number(r, name, text, &r->command.seq);
  if (what == OP) return take_op(r, text);
  if (what == DATA) return take_data(r, text);
  return take_operand(r, text);
}

static const char *take_field(struct reader *r, enum kind kind, struct bytes text, bool flag) {
  const struct known *field = &r->field;
  if (field->name == NULL) return NULL;
  if (field->what == SCALAR) return take_scalar(r, kind, text, flag);
  if (kind == KIND_NULL && field->kind == KIND_ARRAY) return NULL; /* some encoders write an absent list so */
  bool noop = field->what == CMD && kind == KIND_NULL;
  if (kind != field->kind && !noop) return refuse_kind(r, field->name, field->kind, kind);
  const char *message = noop ? NULL : take_value(r, text);
  r->present[r->place] |= BIT(field->what);
  return message;
}

static const char *take_key(struct reader *r, enum kind kind, struct bytes text) {
  if (kind != KIND_STRING) return refuse_kind(r, NULL, KIND_STRING, kind);
  command_append_item(&r->scratch->items, OP_BATCH_DELETE, text, bytes_make(NULL, 0));
  r->command.items_count++;
  return NULL;
}

static const char *take(struct reader *r, enum kind kind, struct bytes text, bool flag) {
  if (r->skipping > 0) return NULL;
  switch (r->place) {
  case IN_MESSAGE:
  case IN_ENTRY:
  case IN_COMMAND:
  case IN_ITEM:
    return take_field(r, kind, text, flag);
  case IN_KEYS:
    return take_key(r, kind, text);
  case AT_ROOT:
  case IN_ENTRIES:
  case IN_ITEMS:
  case PLACES:
    break;
  }
  return refuse_kind(r, NULL, KIND_OBJECT, kind);
}

/* ---- objects and arrays ---- */

/* The place that the value of the field at hand opens. */
static enum place inside_of(const struct known *field) {
  if (field->what == ENTRIES) return IN_ENTRIES;
  if (field->what == CMD) return IN_COMMAND;
  return field->what == ITEMS ? IN_ITEMS : IN_KEYS;
}

static void reset_command(struct reader *r) {
  memset(&r->command, 0, sizeof r->command);
  buffer_clear(&r->scratch->items);
  r->scratch->text.len = 0;
}

static void enter(struct reader *r, enum place place) {
  r->place = place;
  r->present[place] = 0;
  if (place == IN_COMMAND) reset_command(r);
  if (place == IN_ENTRY) buffer_clear(&r->scratch->command);
}

static const char *begin_in_object(struct reader *r, enum kind kind) {
  const struct known *field = &r->field;
  if (field->what == SCALAR) return take_scalar(r, kind, bytes_make(NULL, 0), false);
  if (field->kind != kind) return refuse_kind(r, field->name, field->kind, kind);
  r->present[r->place] |= BIT(field->what);
  if (has(r, ITEMS) && has(r, KEYS)) return refuse(r, field->name, "entries and keys: give one of the two");
  enter(r, inside_of(field));
  return NULL;
}

static const char *begin_in_array(struct reader *r, enum kind kind) {
  static const enum place next[PLACES] = {
      [AT_ROOT] = IN_MESSAGE, [IN_ENTRIES] = IN_ENTRY, [IN_ITEMS] = IN_ITEM, [IN_KEYS] = AT_ROOT};
  enum kind expected = r->place == IN_KEYS ? KIND_STRING : KIND_OBJECT;
  if (kind != expected) return refuse_kind(r, NULL, expected, kind);
  enter(r, next[r->place]);
  return NULL;
}

static const char *begin(struct reader *r, enum kind kind) {
  bool in_object = r->place == IN_MESSAGE || r->place == IN_ENTRY || r->place == IN_COMMAND || r->place == IN_ITEM;
  if (r->skipping > 0 || (in_object && r->field.name == NULL)) {
    r->skipping++;
    return NULL;
  }
  return in_object ? begin_in_object(r, kind) : begin_in_array(r, kind);
}

/* ---- ends ---- */

static const char *end_item(struct reader *r) {
  if (!has(r, KEY)) return refuse_missing(r, "key");
  if (!has(r, VALUE) && !has(r, VALUE_BASE64)) return refuse_missing(r, "value");
  command_append_item(&r->scratch->items, OP_BATCH_PUT, r->item_key, r->item_value);
  r->command.items_count++;
  return NULL;
}

static const char *missing_operand(const struct reader *r) {
  enum op_type op = r->command.op;
  if (!has(r, OP)) return "op";
  if (op == OP_BATCH_PUT) return has(r, ITEMS) ? NULL : "entries";
  if (op == OP_BATCH_DELETE) return has(r, KEYS) ? NULL : "keys";
  if (!has(r, KEY)) return "key";
  if (op == OP_CAS && !has(r, EXPECTED) && !has(r, EXPECTED_BASE64)) return "expected";
  return op == OP_DELETE || has(r, VALUE) || has(r, VALUE_BASE64) ? NULL : "value";
}

static const char *end_command(struct reader *r) {
  const char *missing = missing_operand(r);
  if (missing != NULL) return refuse_missing(r, missing);
  r->command.items = buffer_view(&r->scratch->items);
  const char *rule = command_validate(&r->command);
  if (rule != NULL) {
    error_set(&r->why, STATUS_INVALID, "entries[%u].cmd.%s", (unsigned)r->entries_count, rule);
    return r->why.text;
  }
  command_encode(&r->command, &r->scratch->command);
  return NULL;
}

static const char *end_entry(struct reader *r) {
  if (!has(r, INDEX)) return refuse_missing(r, "index");
  if (!has(r, TERM)) return refuse_missing(r, "term");
  if (!has(r, CMD)) return refuse_missing(r, "cmd");
  if (r->entries_count == 0) r->first_index = r->index;
  if (r->index != r->first_index + r->entries_count) return refuse(r, "index", "not the one after the entry before it");
  log_entry_encode(&r->scratch->entries, r->term, buffer_view(&r->scratch->command));
  r->entries_count++;
  return NULL;
}

static const char *on_end(void *context) {
  static const enum place outside[PLACES] = {
      [IN_ENTRIES] = IN_MESSAGE, [IN_ENTRY] = IN_ENTRIES, [IN_COMMAND] = IN_ENTRY,
      [IN_ITEMS] = IN_COMMAND,   [IN_ITEM] = IN_ITEMS,    [IN_KEYS] = IN_COMMAND};
  struct reader *r = context;
  if (r->skipping > 0) {
    r->skipping--;
    return NULL;
  }
  const char *message = NULL;
  if (r->place == IN_ITEM) message = end_item(r);
  if (r->place == IN_COMMAND) message = end_command(r);
  if (r->place == IN_ENTRY) message = end_entry(r);
  r->place = outside[r->place];
  return message;
}

/* ---- events ---- */

static bool find_scalar(struct reader *r, struct bytes name) {
  for (size_t i = 0; i < r->shape->fields_count; i++) {
    const struct dto_field *field = &r->shape->fields[i];
    if (!bytes_equal(name, bytes_of(field->name))) continue;
    r->scalar = field;
    r->field = (struct known){IN_MESSAGE, field->name, SCALAR, KIND_NUMBER};
    return true;
  }
  return false;
}

static bool belongs(enum what what, enum raft_message_type type) {
  if (what == ENTRIES) return type == RAFT_APPEND;
  return what != DATA || type == RAFT_INSTALL;
}

static const char *on_field(void *context, struct bytes name) {
  struct reader *r = context;
  if (r->skipping > 0) return NULL;
  r->field.name = NULL;
  if (r->place == IN_MESSAGE) {
    const char *sender = r->shape->sender_name;
    if (find_scalar(r, name)) return NULL;
    if (sender == NULL) return NULL;
    if (bytes_equal(name, bytes_of(sender))) r->field = (struct known){IN_MESSAGE, sender, SENDER, KIND_STRING};
  }
  for (size_t i = 0; i < KNOWNS_COUNT && r->field.name == NULL; i++) {
    if (knowns[i].place != r->place || !bytes_equal(name, bytes_of(knowns[i].name))) continue;
    if (belongs(knowns[i].what, r->dto->message.type)) r->field = knowns[i];
  }
  return NULL;
}

static const char *on_null(void *context) {
  return take(context, KIND_NULL, bytes_make(NULL, 0), false);
}

static const char *on_flag(void *context, bool value) {
  return take(context, KIND_FLAG, bytes_make(NULL, 0), value);
}

static const char *on_number(void *context, struct bytes text) {
  return take(context, KIND_NUMBER, text, false);
}

static const char *on_string(void *context, struct bytes value) {
  return take(context, KIND_STRING, value, false);
}

static const char *on_object(void *context) {
  return begin(context, KIND_OBJECT);
}

static const char *on_array(void *context) {
  return begin(context, KIND_ARRAY);
}

static const struct json_events events = {.null = on_null,
                                          .boolean = on_flag,
                                          .number = on_number,
                                          .string = on_string,
                                          .object_begin = on_object,
                                          .field = on_field,
                                          .object_end = on_end,
                                          .array_begin = on_array,
                                          .array_end = on_end};

/* ---- the whole ---- */

void dto_json_scratch_init(struct dto_json_scratch *scratch) {
  memset(scratch, 0, sizeof *scratch);
}

void dto_json_scratch_deinit(struct dto_json_scratch *scratch) {
  buffer_deinit(&scratch->entries);
  buffer_deinit(&scratch->command);
  buffer_deinit(&scratch->items);
  buffer_deinit(&scratch->text);
}

void dto_json_scratch_shrink(struct dto_json_scratch *scratch, size_t keep_bytes) {
  buffer_shrink(&scratch->entries, keep_bytes);
  buffer_shrink(&scratch->command, keep_bytes);
  buffer_shrink(&scratch->items, keep_bytes);
  buffer_shrink(&scratch->text, keep_bytes);
}

static enum status check_whole(struct reader *r, struct error *err) {
  for (size_t i = 0; i < r->shape->fields_count; i++) {
    const struct dto_field *field = &r->shape->fields[i];
    if (field->required && (r->scalars_present & 1u << i) == 0)
      return error_set(err, STATUS_INVALID, "%s: missing", field->name);
  }
  if (r->shape->sender_name != NULL && r->dto->from[0] == '\0')
    return error_set(err, STATUS_INVALID, "%s: missing", r->shape->sender_name);
  if (r->entries_count > 0 && r->first_index != r->dto->message.as.append.prev_index + 1)
    return error_set(err, STATUS_INVALID, "entries[0].index: not the one after prev_log_index");
  if (r->dto->message.type == RAFT_INSTALL && (r->present[IN_MESSAGE] & BIT(DATA)) == 0)
    return error_set(err, STATUS_INVALID, "data: missing");
  if (r->dto->message.type == RAFT_APPEND) r->dto->message.as.append.entries_count = r->entries_count;
  r->dto->entries = buffer_view(&r->scratch->entries);
  return dto_check(r->dto, err);
}

enum status dto_json_decode(struct bytes json, enum raft_message_type type, struct dto_json_scratch *scratch,
                            struct dto *out, struct error *err) {
  struct dto dto;
  memset(&dto, 0, sizeof dto);
  dto.message.type = type;
  struct reader reader = {.dto = &dto, .shape = dto_shape_of(type), .scratch = scratch, .place = AT_ROOT};
  buffer_clear(&scratch->entries);
  buffer_clear(&scratch->text);
  buffer_reserve(&scratch->text, json.len);
  enum status status = json_read(json, &events, &reader, err);
  if (status == STATUS_OK) status = check_whole(&reader, err);
  if (status == STATUS_OK) *out = dto;
  return status;
}
