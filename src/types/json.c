/* Reading: yajl tokenizes, this file makes it strict.
 *
 * Before yajl sees the text, one pass each looks for what yajl would let through: UTF-8 that is malformed, escapes that
 * are not JSON or are half a surrogate pair (yajl turns those into "?"), vertical tabs and form feeds between tokens.
 * Afterwards, that only white space follows the value (yajl overlooks a string there that does not end).
 *
 * While yajl reads, its callbacks pass through here: nesting is counted, and the names of the fields of all open
 * objects are kept to find duplicates. The names of small objects are compared as they come, those of big ones hashed
 * when the object ends, and sorted when they collide so often that somebody must have chosen them to.
 *
 * All memory of one call is an arena on the stack, which spills to the heap. */
#include "types/json.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "types/limits.h"

enum {
  ARENA_BYTES = 6144,         /* yajl's state, 2 KiB of unescaped text, and a few names */
  NAMES_CAPACITY_MIN = 16,    /* grows by doubling */
  NAMES_COMPARED_MAX = 16,    /* fields of one object up to which each new one is compared with all others */
  NAME_SHOWN_BYTES_MAX = 64,  /* of a duplicate name in its message */
  PROBES_PER_NAME_MAX = 4,    /* on average, in the hash table; chance makes it less than 2 */
  SURROGATE_ESCAPE_CHARS = 6, /* \uXXXX */
};

struct name {
  struct bytes text;
  size_t end;    /* offset behind it in the text */
  uint64_t hash; /* set for big objects only */
};

struct reader {
  const struct json_events *events;
  void *context;
  struct bytes text;
  struct error *err;
  yajl_handle yajl;
  struct arena arena;
  struct name *names; /* of the fields of all open objects, outermost first */
  size_t names_count;
  size_t names_capacity;
  size_t value_end;                  /* offset behind the outermost value; 0: it has not ended */
  bool at_end;                       /* yajl has seen the whole text */
  size_t depth;                      /* objects and arrays that are open */
  size_t first_name[JSON_DEPTH_MAX]; /* per open object: its first in `names` */
};

/* ---- messages ---- */

/* Lines and columns count from 1; columns count characters. */
static enum status fail_at(const struct reader *reader, size_t offset, const char *what) {
  size_t line = 1;
  size_t column = 1;
  for (size_t i = 0; i < offset; i++) {
    if (reader->text.data[i] == '\n') {
      line++;
      column = 1;
    } else if ((reader->text.data[i] & 0xC0) != 0x80) {
      column++;
    }
  }
  return error_set(reader->err, STATUS_INVALID, "line %zu, column %zu: %s", line, column, what);
}

/* ---- before yajl ---- */

static int hex_value(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The code unit of the \uXXXX at `at`; -1 when there is none. */
static int code_unit(struct bytes text, size_t at) {
  if (text.len - at < SURROGATE_ESCAPE_CHARS || text.data[at] != '\\' || text.data[at + 1] != 'u') return -1;
  int unit = 0;
  for (size_t i = 2; i < SURROGATE_ESCAPE_CHARS; i++) {
    int digit = hex_value(text.data[at + i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/* Length of the escape that begins at `at`, and 0 with a message when it is not one. */
static size_t escape_len(struct bytes text, size_t at, const char **why) {
  *why = "invalid escape";
  if (text.len - at < 2) return 0;
  if (text.data[at + 1] != 'u') {
    return text.data[at + 1] != 0 && strchr("\"\\/bfnrt", text.data[at + 1]) != NULL ? 2 : 0;
  }
  int unit = code_unit(text, at);
  if (unit < 0) return 0;
  if (unit < 0xD800 || unit > 0xDFFF) return SURROGATE_ESCAPE_CHARS;
  *why = "lone surrogate";
  if (unit > 0xDBFF) return 0;
  int low = code_unit(text, at + SURROGATE_ESCAPE_CHARS);
  return low >= 0xDC00 && low <= 0xDFFF ? (size_t)SURROGATE_ESCAPE_CHARS * 2 : 0;
}

/* Checks what follows each backslash. One outside of a string makes yajl fail, whatever this makes of it. */
static enum status check_escapes(const struct reader *reader) {
  struct bytes text = reader->text;
  size_t at = 0;
  while (at < text.len) {
    const uint8_t *backslash = memchr(text.data + at, '\\', text.len - at);
    if (backslash == NULL) return STATUS_OK;
    at = (size_t)(backslash - text.data);
    const char *why;
    size_t len = escape_len(text, at, &why);
    if (len == 0) return fail_at(reader, at, why);
    at += len;
  }
  return STATUS_OK;
}

/* yajl takes these for white space; it refuses all other control characters itself. */
static enum status check_white_space(const struct reader *reader) {
  for (const char *refused = "\v\f"; *refused != '\0'; refused++) {
    const uint8_t *found = memchr(reader->text.data, *refused, reader->text.len);
    if (found != NULL) return fail_at(reader, (size_t)(found - reader->text.data), "invalid control character");
  }
  return STATUS_OK;
}

static enum status check_text(const struct reader *reader) {
  size_t valid = utf8_valid_prefix(reader->text);
  if (valid < reader->text.len) return fail_at(reader, valid, "invalid UTF-8");
  enum status status = check_white_space(reader);
  return status == STATUS_OK ? check_escapes(reader) : status;
}

/* ---- duplicates ---- */

static int fail_duplicate(struct reader *reader, const struct name *name) {
  char what[NAME_SHOWN_BYTES_MAX + 32];
  size_t shown = name->text.len;
  if (shown > NAME_SHOWN_BYTES_MAX) {
    shown = NAME_SHOWN_BYTES_MAX;
    while (shown > 0 && (name->text.data[shown] & 0xC0) == 0x80)
      shown--;
  }
  snprintf(what, sizeof what, "duplicate field \"%.*s\"", (int)shown, (const char *)name->text.data);
  fail_at(reader, name->end - 1, what);
  return 0;
}

static bool lies_in(struct bytes text, const uint8_t *at) {
  return (uintptr_t)at >= (uintptr_t)text.data && (uintptr_t)at < (uintptr_t)text.data + text.len;
}

/* A name without escapes is a view of the text; others lie in a buffer that yajl uses again. */
static struct bytes keep_name(struct reader *reader, struct bytes name) {
  if (name.len == 0 || lies_in(reader->text, name.data)) return name;
  return bytes_make(memcpy(arena_alloc(&reader->arena, name.len), name.data, name.len), name.len);
}

static void push_name(struct reader *reader, struct name name) {
  if (reader->names_count == reader->names_capacity) {
    size_t capacity = reader->names_capacity == 0 ? NAMES_CAPACITY_MIN : reader->names_capacity * 2;
    reader->names = arena_realloc(&reader->arena, reader->names, capacity * sizeof *reader->names);
    reader->names_capacity = capacity;
  }
  reader->names[reader->names_count++] = name;
}

static int add_name(struct reader *reader, struct bytes text) {
  struct name name = {.text = keep_name(reader, text), .end = yajl_get_bytes_consumed(reader->yajl)};
  if (reader->names_count == JSON_FIELDS_MAX) {
    fail_at(reader, name.end - 1, "too many fields");
    return 0;
  }
  size_t first = reader->first_name[reader->depth - 1];
  if (reader->names_count - first <= NAMES_COMPARED_MAX) {
    for (size_t i = first; i < reader->names_count; i++) {
      if (bytes_equal(reader->names[i].text, name.text)) return fail_duplicate(reader, &name);
    }
  }
  push_name(reader, name);
  return 1;
}

static int compare_names(const void *left, const void *right) {
  const struct name *a = left;
  const struct name *b = right;
  int order = bytes_compare(a->text, b->text);
  return order != 0 ? order : (a->end > b->end) - (a->end < b->end);
}

/* The first name in the text that stands there a second time; NULL when there is none. Changes the order. */
static const struct name *find_by_sorting(struct name *names, size_t count) {
  const struct name *found = NULL;
  qsort(names, count, sizeof *names, compare_names);
  for (size_t i = 1; i < count; i++) {
    if (!bytes_equal(names[i - 1].text, names[i].text)) continue;
    if (found == NULL || names[i].end < found->end) found = &names[i];
  }
  return found;
}

/* The same, in open addressing: a slot holds the place of a name, counted from 1. False when it took too many probes.
 */
static bool find_by_hash(struct name *names, size_t count, uint32_t *slots, size_t slots_count,
                         const struct name **found) {
  size_t probes_left = count * PROBES_PER_NAME_MAX;
  for (size_t i = 0; i < count; i++) {
    names[i].hash = hash128_of(names[i].text, 0).low;
    size_t slot = names[i].hash & (slots_count - 1);
    for (; slots[slot] != 0; slot = (slot + 1) & (slots_count - 1)) {
      const struct name *other = &names[slots[slot] - 1];
      if (other->hash == names[i].hash && bytes_equal(other->text, names[i].text)) {
        *found = &names[i];
        return true;
      }
      if (probes_left-- == 0) return false;
    }
    slots[slot] = (uint32_t)i + 1;
  }
  *found = NULL;
  return true;
}

static const struct name *find_duplicate(struct reader *reader, struct name *names, size_t count) {
  size_t slots_count = 1;
  while (slots_count < 2 * count)
    slots_count *= 2;
  uint32_t *slots = arena_alloc(&reader->arena, slots_count * sizeof *slots);
  memset(slots, 0, slots_count * sizeof *slots);
  const struct name *found;
  bool hashed = find_by_hash(names, count, slots, slots_count, &found);
  arena_free(&reader->arena, slots);
  return hashed ? found : find_by_sorting(names, count);
}

/* The names of the object that ends are forgotten. */
static int close_names(struct reader *reader) {
  size_t first = reader->first_name[reader->depth - 1];
  size_t count = reader->names_count - first;
  reader->names_count = first;
  if (count <= NAMES_COMPARED_MAX + 1) return 1; /* each was compared with all others */
  const struct name *duplicate = find_duplicate(reader, reader->names + first, count);
  return duplicate == NULL || fail_duplicate(reader, duplicate);
}

/* ---- yajl's callbacks: 1 goes on, 0 ends, with the message already in reader->err ---- */

static int go_on(struct reader *reader, const char *message) {
  if (message == NULL) return 1;
  error_set(reader->err, STATUS_INVALID, "%s", message);
  return 0;
}

static void end_value(struct reader *reader) {
  if (reader->depth > 0) return;
  reader->value_end = reader->at_end ? reader->text.len : yajl_get_bytes_consumed(reader->yajl);
}

static int descend(struct reader *reader) {
  if (reader->depth == JSON_DEPTH_MAX) {
    fail_at(reader, yajl_get_bytes_consumed(reader->yajl) - 1, "nested too deeply");
    return 0;
  }
  reader->first_name[reader->depth++] = reader->names_count;
  return 1;
}

static int on_null(void *context) {
  struct reader *reader = context;
  end_value(reader);
  return reader->events->null == NULL || go_on(reader, reader->events->null(reader->context));
}

static int on_boolean(void *context, int value) {
  struct reader *reader = context;
  end_value(reader);
  return reader->events->boolean == NULL || go_on(reader, reader->events->boolean(reader->context, value != 0));
}

static int on_number(void *context, const char *text, size_t len) {
  struct reader *reader = context;
  end_value(reader);
  if (reader->events->number == NULL) return 1;
  return go_on(reader, reader->events->number(reader->context, bytes_make(text, len)));
}

static int on_string(void *context, const unsigned char *text, size_t len) {
  struct reader *reader = context;
  end_value(reader);
  if (reader->events->string == NULL) return 1;
  return go_on(reader, reader->events->string(reader->context, bytes_make(text, len)));
}

static int on_object_begin(void *context) {
  struct reader *reader = context;
  if (!descend(reader)) return 0;
  return reader->events->object_begin == NULL || go_on(reader, reader->events->object_begin(reader->context));
}

static int on_field(void *context, const unsigned char *text, size_t len) {
  struct reader *reader = context;
  struct bytes name = bytes_make(text, len);
  if (!add_name(reader, name)) return 0;
  return reader->events->field == NULL || go_on(reader, reader->events->field(reader->context, name));
}

static int on_object_end(void *context) {
  struct reader *reader = context;
  if (!close_names(reader)) return 0;
  reader->depth--;
  end_value(reader);
  return reader->events->object_end == NULL || go_on(reader, reader->events->object_end(reader->context));
}

static int on_array_begin(void *context) {
  struct reader *reader = context;
  if (!descend(reader)) return 0;
  return reader->events->array_begin == NULL || go_on(reader, reader->events->array_begin(reader->context));
}

static int on_array_end(void *context) {
  struct reader *reader = context;
  reader->depth--;
  end_value(reader);
  return reader->events->array_end == NULL || go_on(reader, reader->events->array_end(reader->context));
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object_begin,
    .yajl_map_key = on_field,
    .yajl_end_map = on_object_end,
    .yajl_start_array = on_array_begin,
    .yajl_end_array = on_array_end,
};

/* ---- yajl ---- */

static void *yajl_arena_alloc(void *arena, size_t bytes) {
  return arena_alloc(arena, bytes);
}

static void *yajl_arena_realloc(void *arena, void *memory, size_t bytes) {
  return arena_realloc(arena, memory, bytes);
}

static void yajl_arena_free(void *arena, void *memory) {
  arena_free(arena, memory);
}

/* "parse error: trailing garbage\n" becomes "trailing garbage". */
static enum status fail_by_yajl(struct reader *reader, size_t offset) {
  char what[ERROR_TEXT_MAX];
  unsigned char *text = yajl_get_error(reader->yajl, 0, NULL, 0);
  const char *start = strstr((const char *)text, ": ");
  snprintf(what, sizeof what, "%s", start != NULL ? start + 2 : (const char *)text);
  what[strcspn(what, "\n")] = '\0';
  yajl_free_error(reader->yajl, text);
  return fail_at(reader, offset, what);
}

static size_t skip_white_space(struct bytes text, size_t at) {
  while (at < text.len && text.data[at] != 0 && strchr(" \t\n\r", text.data[at]) != NULL)
    at++;
  return at;
}

static enum status parse(struct reader *reader) {
  yajl_status status = yajl_parse(reader->yajl, reader->text.data, reader->text.len);
  size_t consumed = yajl_get_bytes_consumed(reader->yajl); /* on error mostly with the byte or token that is wrong */
  size_t wrong = consumed > 0 ? consumed - 1 : 0;
  if (status == yajl_status_ok) {
    reader->at_end = true;
    status = yajl_complete_parse(reader->yajl);
    wrong = reader->text.len;
  }
  if (status == yajl_status_client_canceled) return STATUS_INVALID;
  size_t behind = skip_white_space(reader->text, reader->value_end);
  if (reader->value_end > 0 && behind < reader->text.len) return fail_at(reader, behind, "trailing garbage");
  return status == yajl_status_error ? fail_by_yajl(reader, wrong) : STATUS_OK;
}

enum status json_read(struct bytes text, const struct json_events *events, void *context, struct error *err) {
  struct reader reader;
  alignas(max_align_t) uint8_t block[ARENA_BYTES];
  reader.events = events;
  reader.context = context;
  reader.text = text.len > 0 ? text : bytes_of("");
  reader.err = err;
  reader.names = NULL;
  reader.names_count = 0;
  reader.names_capacity = 0;
  reader.value_end = 0;
  reader.at_end = false;
  reader.depth = 0;
  enum status status = check_text(&reader);
  if (status != STATUS_OK) return status;
  arena_init(&reader.arena, block, sizeof block);
  yajl_alloc_funcs allocator = {yajl_arena_alloc, yajl_arena_realloc, yajl_arena_free, &reader.arena};
  reader.yajl = yajl_alloc(&callbacks, &allocator, &reader);
  yajl_config(reader.yajl, yajl_dont_validate_strings, 1); /* checked above, and more strictly */
  status = parse(&reader);
  yajl_free(reader.yajl);
  arena_deinit(&reader.arena);
  return status;
}
