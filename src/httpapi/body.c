/* A state machine over the events of types/json.h: the body object, in it `keys` (strings) or `entries` (objects), and
 * values that are skipped because nobody asked for their field. Strings are copied once, into body->text, which is
 * reserved up front: unescaping and base64 never make text longer, so views into it stay where they are. */
#include "httpapi/body.h"

#include "base/base64.h"
#include "httpapi/api.h"
#include "types/json.h"

#include <stdio.h>

enum kind { KIND_NULL, KIND_BOOLEAN, KIND_NUMBER, KIND_STRING, KIND_OBJECT, KIND_ARRAY, KIND_BASE64 };

static const char *const kind_names[] = {"null",      "a boolean", "a number",          "a string",
                                         "an object", "an array",  "a string of base64"};

enum { CLIENT_SEQ_BITS = 63 };

/* What each field holds. A twin carries the same thing in the other encoding. */
static const struct field_rule {
  const char *name;
  enum kind kind;
  enum body_field twin; /* BODY_UNKNOWN: none */
} rules[BODY_FIELDS_COUNT] = {
    [BODY_CLIENT_ID] = {"client_id", KIND_STRING, BODY_UNKNOWN},
    [BODY_SEQ] = {"seq", KIND_NUMBER, BODY_UNKNOWN},
    [BODY_KEY] = {"key", KIND_STRING, BODY_UNKNOWN},
    [BODY_VALUE] = {"value", KIND_STRING, BODY_VALUE_BASE64},
    [BODY_VALUE_BASE64] = {"value_base64", KIND_BASE64, BODY_VALUE},
    [BODY_EXPECTED] = {"expected", KIND_STRING, BODY_EXPECTED_BASE64},
    [BODY_EXPECTED_BASE64] = {"expected_base64", KIND_BASE64, BODY_EXPECTED},
    [BODY_KEYS] = {"keys", KIND_ARRAY, BODY_UNKNOWN},
    [BODY_ENTRIES] = {"entries", KIND_ARRAY, BODY_UNKNOWN},
};

enum {
  ENTRY_KNOWN = BODY_BIT(BODY_KEY) | BODY_BIT(BODY_VALUE) | BODY_BIT(BODY_VALUE_BASE64),
  ENTRY_REQUIRED = BODY_BIT(BODY_KEY) | BODY_BIT(BODY_VALUE)
};

enum place { PLACE_ROOT, PLACE_BODY, PLACE_KEYS, PLACE_ENTRIES, PLACE_ENTRY };

struct decoder {
  struct body *body;
  const struct config *config;
  unsigned known;
  enum place place;
  unsigned skipping;      /* open objects and arrays of a value that is ignored; 0: none */
  enum body_field field;  /* in PLACE_BODY and PLACE_ENTRY: whose value comes next */
  unsigned entry_present; /* PLACE_ENTRY: as body.present */
  struct bytes entry_key;
  struct bytes entry_value;
  size_t entry_text; /* bytes of body.text before the entry's; its strings are needed no longer than it */
  struct fault *fault;
};

/* Where the decoder is, for messages: "entries[3].value", "keys[0]", "seq", "body". `name` NULL: the item itself. */
static void path_of(const struct decoder *d, const char *name, char *out, size_t out_bytes) {
  unsigned item = d->body->items_count;
  if (d->place == PLACE_KEYS)
    snprintf(out, out_bytes, "keys[%u]", item);
  else if (d->place == PLACE_ENTRIES || (d->place == PLACE_ENTRY && name == NULL))
    snprintf(out, out_bytes, "entries[%u]", item);
  else if (d->place == PLACE_ENTRY)
    snprintf(out, out_bytes, "entries[%u].%s", item, name);
  else
    snprintf(out, out_bytes, "%s", name == NULL ? "body" : name);
}

/* Ends decoding with a fault; returns what the JSON reader wants to see. */
static const char *refuse(struct decoder *d, enum err_code code, const char *name, const char *what) {
  char path[64];
  path_of(d, name, path, sizeof path);
  fault_set(d->fault, code, "%s: %s", path, what);
  return d->fault->why.text;
}

static const char *refuse_kind(struct decoder *d, const char *name, enum kind expected, enum kind got) {
  char what[96];
  snprintf(what, sizeof what, "expected %s, got %s", kind_names[expected], kind_names[got]);
  return refuse(d, ERR_BAD_REQUEST, name, what);
}

static const char *refuse_size(struct decoder *d, const char *name, size_t bytes, uint64_t max, const char *option) {
  char what[128];
  snprintf(what, sizeof what, "%zu bytes exceed the limit of %llu (%s)", bytes, (unsigned long long)max, option);
  return refuse(d, ERR_TOO_LARGE, name, what);
}

static struct bytes keep_text(struct body *body, struct bytes text) {
  uint8_t *start = body->text.data + body->text.len;
  buffer_append_bytes(&body->text, text);
  return bytes_make(start, text.len);
}

static const char *check_key(struct decoder *d, const char *name, struct bytes key) {
  if (key.len > d->config->key_bytes_max)
    return refuse_size(d, name, key.len, d->config->key_bytes_max, "--max-key-bytes");
  return NULL;
}

static const char *check_value(struct decoder *d, const char *name, struct bytes value) {
  if (value.len > d->config->value_bytes_max)
    return refuse_size(d, name, value.len, d->config->value_bytes_max, "--max-value-bytes");
  return NULL;
}

/* The rules of a key in a batch, where the message must say which of them. */
static const char *check_item_key(struct decoder *d, const char *name, struct bytes key) {
  static const char prefix[] = "key: ";
  const char *message = check_key(d, name, key);
  if (message != NULL) return message;
  message = key_validate(key);
  if (message == NULL) return NULL;
  bool prefixed = strncmp(message, prefix, sizeof prefix - 1) == 0;
  return refuse(d, ERR_BAD_REQUEST, name, message + (prefixed ? sizeof prefix - 1 : 0));
}

static const char *check_room(struct decoder *d) {
  if (d->body->items_count < BATCH_ITEMS_MAX) return NULL;
  fault_set(d->fault, ERR_BAD_REQUEST, "%s: more than the %d that one request may hold",
            d->place == PLACE_KEYS ? "keys" : "entries", BATCH_ITEMS_MAX);
  return d->fault->why.text;
}

static const char *take_key_item(struct decoder *d, enum kind kind, struct bytes text) {
  if (kind != KIND_STRING) return refuse_kind(d, NULL, KIND_STRING, kind);
  const char *message = check_room(d);
  if (message == NULL) message = check_item_key(d, NULL, text);
  if (message != NULL) return message;
  command_append_item(&d->body->items, OP_BATCH_DELETE, text, bytes_make(NULL, 0));
  d->body->items_count++;
  return NULL;
}

static const char *take_seq(struct decoder *d, struct bytes text) {
  uint64_t max = (1ull << CLIENT_SEQ_BITS) - 1;
  if (json_number_u64(text, max, &d->body->seq)) return NULL;
  return refuse(d, ERR_BAD_REQUEST, rules[BODY_SEQ].name, "expected an integer from 0 to 9223372036854775807");
}

static const char *take_string(struct decoder *d, const struct field_rule *rule, struct bytes text, struct bytes *out) {
  if (rule->kind == KIND_STRING) {
    *out = keep_text(d->body, text);
    return NULL;
  }
  size_t start = d->body->text.len;
  if (base64_decode(text, &d->body->text) != STATUS_OK)
    return refuse(d, ERR_BAD_REQUEST, rule->name, "expected base64 (RFC 4648, padded)");
  *out = bytes_make(d->body->text.data + start, d->body->text.len - start);
  return NULL;
}

/* A field of a scalar kind, of the body or of an entry: where its value goes. */
static const char *take_field(struct decoder *d, enum kind kind, struct bytes text) {
  const struct field_rule *rule = &rules[d->field];
  bool in_entry = d->place == PLACE_ENTRY;
  unsigned *present = in_entry ? &d->entry_present : &d->body->present;
  if (kind != (rule->kind == KIND_BASE64 ? KIND_STRING : rule->kind))
    return refuse_kind(d, rule->name, rule->kind, kind);
  if (rule->twin != BODY_UNKNOWN && (*present & BODY_BIT(rule->twin)) != 0)
    return refuse(d, ERR_BAD_REQUEST, rule->name, "stands beside its twin; give one of the two");
  *present |= BODY_BIT(d->field);
  if (d->field == BODY_SEQ) return take_seq(d, text);
  struct bytes view = {0};
  const char *message = take_string(d, rule, text, &view);
  if (message != NULL) return message;
  if (d->field == BODY_CLIENT_ID) {
    d->body->client_id = view;
  } else if (d->field == BODY_KEY) {
    *(in_entry ? &d->entry_key : &d->body->key) = view;
    return in_entry ? check_item_key(d, rule->name, view) : check_key(d, rule->name, view);
  } else {
    bool is_expected = d->field == BODY_EXPECTED || d->field == BODY_EXPECTED_BASE64;
    *(is_expected ? &d->body->expected : in_entry ? &d->entry_value : &d->body->value) = view;
    return check_value(d, rule->name, view);
  }
  return NULL;
}

static const char *scalar(struct decoder *d, enum kind kind, struct bytes text) {
  if (d->skipping > 0) return NULL;
  switch (d->place) {
  case PLACE_ROOT:
    return refuse_kind(d, NULL, KIND_OBJECT, kind);
  case PLACE_KEYS:
    return take_key_item(d, kind, text);
  case PLACE_ENTRIES:
    return refuse_kind(d, NULL, KIND_OBJECT, kind);
  case PLACE_BODY:
  case PLACE_ENTRY:
    return d->field == BODY_UNKNOWN ? NULL : take_field(d, kind, text);
  }
  return NULL;
}

static const char *on_null(void *context) {
  return scalar(context, KIND_NULL, bytes_make(NULL, 0));
}

static const char *on_boolean(void *context, bool value) {
  (void)value;
  return scalar(context, KIND_BOOLEAN, bytes_make(NULL, 0));
}

static const char *on_number(void *context, struct bytes text) {
  return scalar(context, KIND_NUMBER, text);
}

static const char *on_string(void *context, struct bytes value) {
  return scalar(context, KIND_STRING, value);
}

static const char *begin_entry(struct decoder *d) {
  const char *message = check_room(d);
  if (message != NULL) return message;
  d->place = PLACE_ENTRY;
  d->entry_present = 0;
  d->entry_text = d->body->text.len;
  return NULL;
}

static const char *begin_in_body(struct decoder *d, enum kind kind) {
  const struct field_rule *rule = &rules[d->field];
  if (rule->kind != KIND_ARRAY || kind != KIND_ARRAY) return refuse_kind(d, rule->name, rule->kind, kind);
  d->body->present |= BODY_BIT(d->field);
  d->place = d->field == BODY_KEYS ? PLACE_KEYS : PLACE_ENTRIES;
  return NULL;
}

static const char *begin(struct decoder *d, enum kind kind) {
  bool in_object = d->place == PLACE_BODY || d->place == PLACE_ENTRY;
  if (d->skipping > 0 || (in_object && d->field == BODY_UNKNOWN)) {
    d->skipping++;
    return NULL;
  }
  switch (d->place) {
  case PLACE_ROOT:
    if (kind != KIND_OBJECT) return refuse_kind(d, NULL, KIND_OBJECT, kind);
    d->place = PLACE_BODY;
    return NULL;
  case PLACE_BODY:
    return begin_in_body(d, kind);
  case PLACE_KEYS:
    return refuse_kind(d, NULL, KIND_STRING, kind);
  case PLACE_ENTRIES:
    return kind == KIND_OBJECT ? begin_entry(d) : refuse_kind(d, NULL, KIND_OBJECT, kind);
  case PLACE_ENTRY:
    return refuse_kind(d, rules[d->field].name, rules[d->field].kind, kind);
  }
  return NULL;
}

static const char *on_object_begin(void *context) {
  return begin(context, KIND_OBJECT);
}

static const char *on_array_begin(void *context) {
  return begin(context, KIND_ARRAY);
}

/* The first field of `required` that is not in `present`, a twin counting for both; BODY_UNKNOWN when all are there. */
static enum body_field missing_field(unsigned required, unsigned present) {
  for (enum body_field field = 0; field < BODY_FIELDS_COUNT; field++) {
    if ((required & BODY_BIT(field)) == 0 || (present & BODY_BIT(field)) != 0) continue;
    enum body_field twin = rules[field].twin;
    if (twin == BODY_UNKNOWN || (present & BODY_BIT(twin)) == 0) return field;
  }
  return BODY_UNKNOWN;
}

static const char *refuse_missing(struct decoder *d, enum body_field field) {
  const struct field_rule *rule = &rules[field];
  char what[96];
  if (rule->twin == BODY_UNKNOWN)
    snprintf(what, sizeof what, "missing, expected %s", kind_names[rule->kind]);
  else
    snprintf(what, sizeof what, "missing, expected %s (or %s)", kind_names[rule->kind], rules[rule->twin].name);
  return refuse(d, ERR_BAD_REQUEST, rule->name, what);
}

static const char *end_entry(struct decoder *d) {
  enum body_field missing = missing_field(ENTRY_REQUIRED, d->entry_present);
  if (missing != BODY_UNKNOWN) return refuse_missing(d, missing);
  command_append_item(&d->body->items, OP_BATCH_PUT, d->entry_key, d->entry_value);
  d->body->items_count++;
  d->body->text.len = d->entry_text;
  d->place = PLACE_ENTRIES;
  return NULL;
}

static const char *on_end(void *context) {
  struct decoder *d = context;
  if (d->skipping > 0) {
    d->skipping--;
    return NULL;
  }
  if (d->place == PLACE_ENTRY) return end_entry(d);
  d->place = d->place == PLACE_BODY ? PLACE_ROOT : PLACE_BODY;
  return NULL;
}

static const char *on_field(void *context, struct bytes name) {
  struct decoder *d = context;
  if (d->skipping > 0) return NULL;
  unsigned known = d->place == PLACE_ENTRY ? ENTRY_KNOWN : d->known;
  d->field = BODY_UNKNOWN;
  for (enum body_field field = 0; field < BODY_FIELDS_COUNT; field++) {
    if ((known & BODY_BIT(field)) == 0 || !bytes_equal(name, bytes_of(rules[field].name))) continue;
    d->field = field;
    break;
  }
  return NULL;
}

static const struct json_events events = {.null = on_null,
                                          .boolean = on_boolean,
                                          .number = on_number,
                                          .string = on_string,
                                          .object_begin = on_object_begin,
                                          .field = on_field,
                                          .object_end = on_end,
                                          .array_begin = on_array_begin,
                                          .array_end = on_end};

void body_init(struct body *body) {
  memset(body, 0, sizeof *body);
  buffer_init(&body->items);
  buffer_init(&body->text);
}

void body_deinit(struct body *body) {
  buffer_deinit(&body->items);
  buffer_deinit(&body->text);
}

void body_clear(struct body *body) {
  body->present = 0;
  body->client_id = bytes_make(NULL, 0);
  body->seq = 0;
  body->items_count = 0;
  buffer_clear(&body->items);
  buffer_clear(&body->text);
}

void body_shrink(struct body *body, size_t keep_bytes) {
  buffer_shrink(&body->items, keep_bytes);
  buffer_shrink(&body->text, keep_bytes);
}

bool api_decode_json(struct body *body, struct bytes json, unsigned known, unsigned required,
                     const struct config *config, struct fault *fault) {
  struct error err;
  struct decoder decoder = {.body = body, .config = config, .known = known, .place = PLACE_ROOT, .fault = fault};
  fault->code = ERR_NONE;
  if (json.len == 0) return fault_set(fault, ERR_BAD_REQUEST, "body: empty, expected a JSON object");
  body_clear(body);
  buffer_reserve(&body->text, json.len);
  if (json_read(json, &events, &decoder, &err) != STATUS_OK)
    return fault->code == ERR_NONE ? fault_set(fault, ERR_BAD_REQUEST, "body: %s", err.text) : false;
  enum body_field missing = missing_field(required, body->present);
  if (missing == BODY_UNKNOWN) return true;
  refuse_missing(&decoder, missing);
  return false;
}
