#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/little_endian.h"

enum { BUFFER_CAPACITY_MIN = 64, U64_DECIMAL_CHARS_MAX = 20 };

void buffer_init(struct buffer *b) {
  *b = (struct buffer){0};
}

void buffer_deinit(struct buffer *b) {
  free(b->data);
  buffer_init(b);
}

void buffer_clear(struct buffer *b) {
  b->len = 0;
}

void buffer_shrink(struct buffer *b, size_t keep_bytes) {
  b->len = 0;
  if (b->capacity <= keep_bytes) return;
  free(b->data);
  b->data = keep_bytes > 0 ? xmalloc(keep_bytes) : NULL;
  b->capacity = keep_bytes;
}

/* Doubling keeps the cost per appended byte constant. */
static void grow(struct buffer *b, size_t extra) {
  CHECK(extra <= SIZE_MAX / 2 - b->len);
  size_t needed = b->len + extra;
  size_t capacity = b->capacity < BUFFER_CAPACITY_MIN ? BUFFER_CAPACITY_MIN : b->capacity;
  while (capacity < needed)
    capacity *= 2;
  b->data = xrealloc(b->data, capacity);
  b->capacity = capacity;
}

uint8_t *buffer_reserve(struct buffer *b, size_t extra) {
  if (extra > b->capacity - b->len || b->data == NULL) grow(b, extra);
  return b->data + b->len;
}

void buffer_append(struct buffer *b, const void *data, size_t len) {
  if (len == 0) return;
  memcpy(buffer_reserve(b, len), data, len);
  b->len += len;
}

void buffer_append_bytes(struct buffer *b, struct bytes view) {
  buffer_append(b, view.data, view.len);
}

void buffer_append_text(struct buffer *b, const char *text) {
  buffer_append(b, text, strlen(text));
}

void buffer_append_byte(struct buffer *b, uint8_t byte) {
  *buffer_reserve(b, 1) = byte;
  b->len++;
}

void buffer_append_le(struct buffer *b, uint64_t value, size_t bytes) {
  le_store(buffer_reserve(b, bytes), value, bytes);
  b->len += bytes;
}

void buffer_append_u64_decimal(struct buffer *b, uint64_t value) {
  char digits[U64_DECIMAL_CHARS_MAX];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  buffer_append(b, digits + at, sizeof digits - at);
}

void buffer_append_format(struct buffer *b, const char *format, ...) {
  va_list arguments;
  va_list again;
  va_start(arguments, format);
  va_copy(again, arguments);
  size_t room = b->capacity - b->len;
  int len = vsnprintf(room > 0 ? (char *)b->data + b->len : NULL, room, format, arguments);
  va_end(arguments);
  CHECK(len >= 0);
  if ((size_t)len >= room) { /* vsnprintf wants room for a NUL, which then does not count */
    buffer_reserve(b, (size_t)len + 1);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, again);
  }
  va_end(again);
  b->len += (size_t)len;
}

void buffer_consume(struct buffer *b, size_t len) {
  CHECK(len <= b->len);
  if (len == 0) return;
  b->len -= len;
  memmove(b->data, b->data + len, b->len);
}
