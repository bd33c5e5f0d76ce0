#include "http/guard.h"

#include "base/check.h"
#include "http/byte_class.h"
#include "types/limits.h"

enum { CHUNK_SIZE_DIGITS_MAX = 16, VERSION_BYTES = 8 };
_Static_assert(HTTP_HEAD_BYTES_MAX == 32768 && HTTP_HEADERS_MAX == 100, "the texts below name these limits");

static const uint8_t *fail(struct http_guard *guard, const uint8_t *at, int status, const char *text) {
  guard->state = HTTP_GUARD_FAILED;
  guard->fail_status = status;
  guard->fail_text = text;
  return at;
}

static void enter(struct http_guard *guard, enum http_guard_state state) {
  guard->state = state;
  guard->token_bytes = 0;
}

/* One byte that can only be `wanted`. */
static const uint8_t *step_exact(struct http_guard *guard, const uint8_t *at, uint8_t wanted,
                                 enum http_guard_state next, const char *text) {
  if (*at != wanted) return fail(guard, at, 400, text);
  enter(guard, next);
  return at + 1;
}

static const uint8_t *step_start(struct http_guard *guard, const uint8_t *at) {
  if (*at == '\r') {
    guard->state = HTTP_GUARD_START_LF;
    return at + 1;
  }
  enter(guard, guard->requests ? HTTP_GUARD_METHOD : HTTP_GUARD_STATUS_LINE);
  return at;
}

static const uint8_t *step_method(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  const uint8_t *from = at;
  at = http_skip_bytes(at, end, HTTP_BYTE_TOKEN);
  guard->token_bytes += (uint32_t)(at - from);
  if (at == end) return at;
  if (*at != ' ' || guard->token_bytes == 0) return fail(guard, at, 400, "request line: not a method and one blank");
  enter(guard, HTTP_GUARD_METHOD_END);
  return at + 1;
}

static const uint8_t *step_target(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  const uint8_t *from = at;
  at = http_skip_bytes(at, end, HTTP_BYTE_TARGET);
  guard->token_bytes += (uint32_t)(at - from);
  if (at == end) return at;
  if (*at == '\r' || *at == '\n') return fail(guard, at, 400, "request line: no HTTP version");
  if (*at != ' ' || guard->token_bytes == 0) return fail(guard, at, 400, "request line: not a target and one blank");
  enter(guard, HTTP_GUARD_VERSION);
  return at + 1;
}

/* "HTTP/1.0" or "HTTP/1.1"; another digit is a version that exists somewhere else: 505. */
static const uint8_t *step_version(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  static const char wanted[VERSION_BYTES + 1] = "HTTP/1.1";
  for (; at < end && guard->token_bytes < VERSION_BYTES; at++, guard->token_bytes++) {
    uint32_t position = guard->token_bytes;
    if (*at == (uint8_t)wanted[position] || (*at == '0' && position == VERSION_BYTES - 1)) continue;
    bool version = (position == 5 || position == 7) && *at >= '0' && *at <= '9';
    if (version) return fail(guard, at, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return fail(guard, at, 400, "request line: expected HTTP/1.1 behind the target");
  }
  if (at == end) return at;
  return step_exact(guard, at, '\r', HTTP_GUARD_LINE_LF, "request line: no CRLF behind the version");
}

/* The rest of a line, up to its CR. */
static const uint8_t *step_text(struct http_guard *guard, const uint8_t *at, const uint8_t *end,
                                enum http_guard_state next, const char *text) {
  at = http_skip_bytes(at, end, HTTP_BYTE_TEXT);
  if (at == end) return at;
  return step_exact(guard, at, '\r', next, text);
}

static const uint8_t *step_field(struct http_guard *guard, const uint8_t *at) {
  if (*at == '\r') {
    guard->state = HTTP_GUARD_END_LF;
    return at + 1;
  }
  if (*at == ' ' || *at == '\t') return fail(guard, at, 400, "header: a line that begins with a blank (obs-fold)");
  if (guard->fields_count == HTTP_HEADERS_MAX) return fail(guard, at, 431, "more than 100 header fields");
  guard->fields_count++;
  enter(guard, HTTP_GUARD_NAME);
  return at;
}

static const uint8_t *step_name(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  const uint8_t *from = at;
  at = http_skip_bytes(at, end, HTTP_BYTE_TOKEN);
  guard->token_bytes += (uint32_t)(at - from);
  if (at == end) return at;
  if (*at == ' ' || *at == '\t') return fail(guard, at, 400, "header: a blank before the colon");
  if (*at != ':') return fail(guard, at, 400, "header: a byte that no name may hold");
  if (guard->token_bytes == 0) return fail(guard, at, 400, "header: no name before the colon");
  enter(guard, HTTP_GUARD_VALUE);
  return at + 1;
}

static const uint8_t *step_end(struct http_guard *guard, const uint8_t *at) {
  enum http_guard_state next = guard->in_trailer ? HTTP_GUARD_MESSAGE_END : HTTP_GUARD_HEAD_END;
  return step_exact(guard, at, '\n', next, "header: CR without LF");
}

static const uint8_t *step_chunk_size(struct http_guard *guard, const uint8_t *at) {
  int digit = http_hex_digit(*at);
  if (digit >= 0) {
    if (guard->token_bytes == CHUNK_SIZE_DIGITS_MAX) return fail(guard, at, 400, "chunk size: more than 16 digits");
    guard->token_bytes++;
    guard->body_left = guard->body_left << 4 | (uint64_t)digit;
    return at + 1;
  }
  if (guard->token_bytes == 0 || (*at != '\r' && *at != ';'))
    return fail(guard, at, 400, "chunk size: not hexadecimal");
  if (guard->body_left > guard->body_bytes_max - guard->body_bytes) {
    bool overflow = guard->body_left > UINT64_MAX - guard->body_bytes;
    guard->body_bytes = overflow ? UINT64_MAX : guard->body_bytes + guard->body_left;
    return fail(guard, at, 413, NULL);
  }
  guard->body_bytes += guard->body_left;
  enter(guard, *at == '\r' ? HTTP_GUARD_CHUNK_SIZE_LF : HTTP_GUARD_CHUNK_EXTENSION);
  return at + 1;
}

static const uint8_t *step_chunk_size_lf(struct http_guard *guard, const uint8_t *at) {
  bool last = guard->body_left == 0;
  if (last) guard->in_trailer = true;
  return step_exact(guard, at, '\n', last ? HTTP_GUARD_FIELD : HTTP_GUARD_CHUNK_DATA, "chunk size: CR without LF");
}

static const uint8_t *step_data(struct http_guard *guard, const uint8_t *at, const uint8_t *end,
                                enum http_guard_state next) {
  uint64_t have = (uint64_t)(end - at);
  uint64_t taken = have < guard->body_left ? have : guard->body_left;
  guard->body_left -= taken;
  if (guard->body_left == 0) enter(guard, next);
  return at + taken;
}

static const uint8_t *step_body_open(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  uint64_t have = (uint64_t)(end - at);
  uint64_t room = guard->body_bytes_max - guard->body_bytes;
  if (have <= room) {
    guard->body_bytes += have;
    return end;
  }
  guard->body_bytes = guard->body_bytes_max + 1;
  return fail(guard, at + room, 413, NULL);
}

/* One step: at least one byte, or a change of state. */
static const uint8_t *step(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  switch (guard->state) {
  case HTTP_GUARD_START:
    return step_start(guard, at);
  case HTTP_GUARD_START_LF:
    return step_exact(guard, at, '\n', HTTP_GUARD_START, "blank line: CR without LF");
  case HTTP_GUARD_METHOD:
    return step_method(guard, at, end);
  case HTTP_GUARD_TARGET:
    return step_target(guard, at, end);
  case HTTP_GUARD_VERSION:
    return step_version(guard, at, end);
  case HTTP_GUARD_STATUS_LINE:
    return step_text(guard, at, end, HTTP_GUARD_LINE_LF, "status line: a control byte, or LF without CR");
  case HTTP_GUARD_LINE_LF:
    return step_exact(guard, at, '\n', HTTP_GUARD_FIELD, "header: CR without LF");
  case HTTP_GUARD_FIELD:
    return step_field(guard, at);
  case HTTP_GUARD_NAME:
    return step_name(guard, at, end);
  case HTTP_GUARD_VALUE:
    return step_text(guard, at, end, HTTP_GUARD_LINE_LF, "header: a control byte, or LF without CR, in a value");
  case HTTP_GUARD_END_LF:
    return step_end(guard, at);
  case HTTP_GUARD_CHUNK_EXTENSION:
    return step_text(guard, at, end, HTTP_GUARD_CHUNK_SIZE_LF, "chunk extension: a control byte, or LF without CR");
  case HTTP_GUARD_CHUNK_SIZE:
    return step_chunk_size(guard, at);
  case HTTP_GUARD_CHUNK_SIZE_LF:
    return step_chunk_size_lf(guard, at);
  case HTTP_GUARD_CHUNK_DATA:
    return step_data(guard, at, end, HTTP_GUARD_CHUNK_DATA_CR);
  case HTTP_GUARD_CHUNK_DATA_CR:
    return step_exact(guard, at, '\r', HTTP_GUARD_CHUNK_DATA_LF, "chunk: longer than its size");
  case HTTP_GUARD_CHUNK_DATA_LF:
    return step_exact(guard, at, '\n', HTTP_GUARD_CHUNK_SIZE, "chunk: CR without LF behind it");
  case HTTP_GUARD_BODY:
    return step_data(guard, at, end, HTTP_GUARD_MESSAGE_END);
  case HTTP_GUARD_BODY_OPEN:
    return step_body_open(guard, at, end);
  case HTTP_GUARD_METHOD_END:
  case HTTP_GUARD_HEAD_END:
  case HTTP_GUARD_MESSAGE_END:
  case HTTP_GUARD_FAILED:
    break;
  }
  CHECK(guard->state < HTTP_GUARD_METHOD_END);
  return at;
}

/* Steps through states whose bytes count, up to the state `last`. */
static const uint8_t *run_counted(struct http_guard *guard, const uint8_t *at, const uint8_t *end,
                                  enum http_guard_state last) {
  size_t room = HTTP_HEAD_BYTES_MAX - guard->counted_bytes;
  if (room == 0) return fail(guard, at, 431, "head, trailer or chunk extensions over 32768 bytes");
  const uint8_t *stop = (size_t)(end - at) > room ? at + room : end;
  const uint8_t *from = at;
  while (at < stop && guard->state <= last)
    at = step(guard, at, stop);
  guard->counted_bytes += (uint32_t)(at - from);
  return at;
}

void http_guard_init(struct http_guard *guard, bool requests, uint64_t body_bytes_max) {
  *guard = (struct http_guard){.requests = requests, .body_bytes_max = body_bytes_max};
}

void http_guard_begin(struct http_guard *guard) {
  http_guard_init(guard, guard->requests, guard->body_bytes_max);
}

const uint8_t *http_guard_skip_blank_lines(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  return run_counted(guard, at, end, HTTP_GUARD_START_LF);
}

const uint8_t *http_guard_run(struct http_guard *guard, const uint8_t *at, const uint8_t *end) {
  if (guard->state == HTTP_GUARD_METHOD_END) enter(guard, HTTP_GUARD_TARGET);
  while (at < end && guard->state < HTTP_GUARD_METHOD_END) {
    at = guard->state <= HTTP_GUARD_CHUNK_EXTENSION ? run_counted(guard, at, end, HTTP_GUARD_CHUNK_EXTENSION)
                                                    : step(guard, at, end);
  }
  return at;
}

void http_guard_expect_body(struct http_guard *guard, enum http_body_kind kind, uint64_t length) {
  static const enum http_guard_state next[] = {[HTTP_BODY_NONE] = HTTP_GUARD_MESSAGE_END,
                                               [HTTP_BODY_LENGTH] = HTTP_GUARD_BODY,
                                               [HTTP_BODY_CHUNKED] = HTTP_GUARD_CHUNK_SIZE,
                                               [HTTP_BODY_OPEN] = HTTP_GUARD_BODY_OPEN};
  CHECK(guard->state == HTTP_GUARD_HEAD_END);
  bool empty = kind == HTTP_BODY_LENGTH && length == 0;
  guard->counted_bytes = 0;
  guard->fields_count = 0;
  guard->body_left = kind == HTTP_BODY_LENGTH ? length : 0;
  guard->body_bytes = guard->body_left;
  enter(guard, empty ? HTTP_GUARD_MESSAGE_END : next[kind]);
}
