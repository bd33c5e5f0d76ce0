/* A growable byte buffer. Its owner is one thread at a time. Memory comes from xmalloc, so appending
 * cannot fail; whoever feeds it from outside limits the size first. */
#ifndef KV_BASE_BUFFER_H
#define KV_BASE_BUFFER_H

#include "base/bytes.h"

struct buffer {
  uint8_t *data;   /* owned */
  size_t len;      /* bytes in use */
  size_t capacity; /* bytes allocated */
};

void buffer_init(struct buffer *b);   /* empty, no allocation */
void buffer_deinit(struct buffer *b); /* frees; the buffer is then as after init */
void buffer_clear(struct buffer *b);  /* empty, keeps the allocation */
/* Gives memory back when more than `keep_bytes` are allocated. Content is lost. */
void buffer_shrink(struct buffer *b, size_t keep_bytes);
/* Room for `extra` more bytes behind len; returns the address of that room. */
uint8_t *buffer_reserve(struct buffer *b, size_t extra);
void buffer_append(struct buffer *b, const void *data, size_t len);
void buffer_append_bytes(struct buffer *b, struct bytes view);
void buffer_append_text(struct buffer *b, const char *text);
void buffer_append_byte(struct buffer *b, uint8_t byte);
/* As base/little_endian.h stores it. */
void buffer_append_le(struct buffer *b, uint64_t value, size_t bytes);
void buffer_append_u64_decimal(struct buffer *b, uint64_t value);
void buffer_append_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first `len` bytes (moves the rest to the front). */
void buffer_consume(struct buffer *b, size_t len);

static inline struct bytes buffer_view(const struct buffer *b) {
  return (struct bytes){b->data, b->len};
}

#endif
