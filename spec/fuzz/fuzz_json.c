/* libFuzzer target of the JSON reader. Three things are checked on every input:
 *
 *   - json_read accepts exactly what the grammar of RFC 8259 allows, by a second reader that is written down here as
 *     plainly as possible (duplicate fields, depth and count of fields are left to json_read);
 *   - what was accepted is written again in canonical form, and reading that gives the same events;
 *   - json_number_u64 agrees with the text of each number. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/utf8.h"
#include "types/json.h"
#include "types/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the grammar ---- */

struct cursor {
  const uint8_t *at;
  const uint8_t *end;
};

static int peek(const struct cursor *c) {
  return c->at < c->end ? *c->at : -1;
}

static bool accept(struct cursor *c, const char *text) {
  size_t len = strlen(text);
  if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0) return false;
  c->at += len;
  return true;
}

static void skip_space(struct cursor *c) {
  while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r')
    c->at++;
}

static bool digits(struct cursor *c) {
  const uint8_t *start = c->at;
  while (peek(c) >= '0' && peek(c) <= '9')
    c->at++;
  return c->at > start;
}

static bool number(struct cursor *c) {
  accept(c, "-");
  if (!accept(c, "0") && !digits(c)) return false;
  if (accept(c, ".") && !digits(c)) return false;
  if (!accept(c, "e") && !accept(c, "E")) return true;
  if (!accept(c, "+")) accept(c, "-");
  return digits(c);
}

static bool hex4(struct cursor *c, unsigned *unit) {
  char text[5] = {0};
  for (int i = 0; i < 4; i++) {
    if (peek(c) < 0 || strchr("0123456789abcdefABCDEF", peek(c)) == NULL || peek(c) == 0) return false;
    text[i] = (char)*c->at++;
  }
  *unit = (unsigned)strtoul(text, NULL, 16);
  return true;
}

static bool escape(struct cursor *c) {
  int letter = peek(c);
  if (letter <= 0) return false;
  c->at++;
  if (letter != 'u') return strchr("\"\\/bfnrt", letter) != NULL;
  unsigned unit;
  if (!hex4(c, &unit)) return false;
  if (unit < 0xD800 || unit > 0xDFFF) return true;
  unsigned low;
  return unit < 0xDC00 && accept(c, "\\u") && hex4(c, &low) && low >= 0xDC00 && low <= 0xDFFF;
}

static bool string(struct cursor *c) {
  if (!accept(c, "\"")) return false;
  while (!accept(c, "\"")) {
    if (peek(c) < 0x20) return false;
    if (*c->at++ == '\\' && !escape(c)) return false;
  }
  return true;
}

static bool value(struct cursor *c, unsigned depth);

static bool element(struct cursor *c, bool named, unsigned depth) {
  skip_space(c);
  if (named) {
    if (!string(c)) return false;
    skip_space(c);
    if (!accept(c, ":")) return false;
  }
  return value(c, depth);
}

static bool elements(struct cursor *c, const char *end, unsigned depth) {
  skip_space(c);
  if (accept(c, end)) return true;
  do {
    if (!element(c, end[0] == '}', depth)) return false;
  } while (accept(c, ","));
  return accept(c, end);
}

/* With the white space around it. */
static bool value(struct cursor *c, unsigned depth) {
  if (depth > JSON_DEPTH_MAX) return false;
  skip_space(c);
  bool ok;
  if (accept(c, "{")) {
    ok = elements(c, "}", depth + 1);
  } else if (accept(c, "[")) {
    ok = elements(c, "]", depth + 1);
  } else if (peek(c) == '"') {
    ok = string(c);
  } else {
    ok = accept(c, "null") || accept(c, "true") || accept(c, "false") || number(c);
  }
  skip_space(c);
  return ok;
}

static bool grammar_allows(struct bytes text) {
  struct cursor c = {text.data, text.data + text.len};
  return utf8_valid(text) && value(&c, 0) && c.at == c.end;
}

/* ---- the events, written as canonical JSON ---- */

struct writer {
  struct buffer out;
  bool comma; /* due before the next value or field */
};

static void separate(struct writer *w) {
  if (w->comma) buffer_append_byte(&w->out, ',');
  w->comma = true;
}

static const char *write_text(struct writer *w, const char *text) {
  separate(w);
  buffer_append_text(&w->out, text);
  return NULL;
}

static const char *on_null(void *w) {
  return write_text(w, "null");
}

static const char *on_boolean(void *w, bool is_true) {
  return write_text(w, is_true ? "true" : "false");
}

static void check_number(struct bytes text) {
  bool plain = true;
  for (size_t i = 0; i < text.len; i++)
    plain = plain && text.data[i] >= '0' && text.data[i] <= '9';
  uint64_t read = 0;
  if (!json_number_u64(text, UINT64_MAX, &read)) {
    CHECK(!plain || text.len >= 20);
    return;
  }
  char again[24];
  int len = snprintf(again, sizeof again, "%" PRIu64, read);
  CHECK(bytes_equal(text, bytes_make(again, (size_t)len)));
}

static const char *on_number(void *context, struct bytes text) {
  struct writer *w = context;
  check_number(text);
  separate(w);
  buffer_append_bytes(&w->out, text);
  return NULL;
}

static const char *on_string(void *context, struct bytes text) {
  struct writer *w = context;
  CHECK(utf8_valid(text));
  separate(w);
  json_write_string(&w->out, text);
  return NULL;
}

static const char *on_field(void *context, struct bytes name) {
  struct writer *w = context;
  on_string(w, name);
  buffer_append_byte(&w->out, ':');
  w->comma = false;
  return NULL;
}

static const char *begin(struct writer *w, uint8_t bracket) {
  separate(w);
  buffer_append_byte(&w->out, bracket);
  w->comma = false;
  return NULL;
}

static const char *end(struct writer *w, uint8_t bracket) {
  buffer_append_byte(&w->out, bracket);
  w->comma = true;
  return NULL;
}

static const char *on_object_begin(void *w) {
  return begin(w, '{');
}

static const char *on_object_end(void *w) {
  return end(w, '}');
}

static const char *on_array_begin(void *w) {
  return begin(w, '[');
}

static const char *on_array_end(void *w) {
  return end(w, ']');
}

static const struct json_events events = {
    .null = on_null,
    .boolean = on_boolean,
    .number = on_number,
    .string = on_string,
    .object_begin = on_object_begin,
    .field = on_field,
    .object_end = on_object_end,
    .array_begin = on_array_begin,
    .array_end = on_array_end,
};

/* What json_read refuses although the grammar allows it. */
static bool refused_by_rule(const char *message) {
  return strstr(message, ": duplicate field \"") != NULL || strstr(message, ": too many fields") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct bytes text = bytes_make(data, size);
  struct writer first = {0};
  struct error err = {""};
  bool accepted = json_read(text, &events, &first, &err) == STATUS_OK;
  bool allowed = grammar_allows(text);
  if (accepted) {
    struct writer second = {0};
    CHECK(allowed);
    CHECK(json_read(buffer_view(&first.out), &events, &second, &err) == STATUS_OK);
    CHECK(bytes_equal(buffer_view(&first.out), buffer_view(&second.out)));
    buffer_deinit(&second.out);
  } else {
    CHECK(!allowed || refused_by_rule(err.text));
    CHECK(utf8_valid(bytes_of(err.text)) && err.text[0] != '\0');
  }
  buffer_deinit(&first.out);
  return 0;
}
