/* A view of bytes that somebody else owns. Counted, never NUL-terminated, may hold NUL.
 * Pure values, any thread, valid as long as the owner keeps the bytes where they are. */
#ifndef KV_BASE_BYTES_H
#define KV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
  const uint8_t *data; /* may be NULL only when len is 0 */
  size_t len;          /* bytes */
};

/* A view of a C string, without its NUL. */
static inline struct bytes bytes_of(const char *text) {
  return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline struct bytes bytes_make(const void *data, size_t len) {
  return (struct bytes){(const uint8_t *)data, len};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte order (unsigned, shorter first on a tie): < 0, 0 or > 0 as memcmp. */
static inline int bytes_compare(struct bytes a, struct bytes b) {
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
  if (order != 0) return order;
  return (a.len > b.len) - (a.len < b.len);
}

#endif
