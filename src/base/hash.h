/* XXH3-64; XXH3-128 and sums of it. The sum is addition modulo 2^128: it does not depend on order, and a part
 * can be taken out again, so a digest of a whole map is kept up to date with each change. */
#ifndef KV_BASE_HASH_H
#define KV_BASE_HASH_H

#include "base/bytes.h"

uint64_t hash64_of(struct bytes view, uint64_t seed);

struct hash128 {
  uint64_t low;
  uint64_t high;
};

enum { HASH128_HEX_CHARS = 32 };

struct hash128 hash128_of(struct bytes view, uint64_t seed);
void hash128_add(struct hash128 *sum, struct hash128 part);
void hash128_sub(struct hash128 *sum, struct hash128 part);
static inline bool hash128_equal(struct hash128 a, struct hash128 b) {
  return a.low == b.low && a.high == b.high;
}
/* 32 lower-case hex digits, high half first, and a NUL. */
void hash128_hex(struct hash128 hash, char out[HASH128_HEX_CHARS + 1]);

#endif
