#include "base/hash.h"

#include <xxhash.h>

uint64_t hash64_of(struct bytes view, uint64_t seed) {
  return XXH3_64bits_withSeed(view.data, view.len, seed);
}

struct hash128 hash128_of(struct bytes view, uint64_t seed) {
  XXH128_hash_t hash = XXH3_128bits_withSeed(view.data, view.len, seed);
  return (struct hash128){.low = hash.low64, .high = hash.high64};
}

void hash128_add(struct hash128 *sum, struct hash128 part) {
  uint64_t low = sum->low + part.low;
  sum->high += part.high + (low < part.low);
  sum->low = low;
}

void hash128_sub(struct hash128 *sum, struct hash128 part) {
  sum->high -= part.high + (sum->low < part.low);
  sum->low -= part.low;
}

void hash128_hex(struct hash128 hash, char out[HASH128_HEX_CHARS + 1]) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    out[i] = digits[hash.high >> (60 - 4 * i) & 15];
    out[16 + i] = digits[hash.low >> (60 - 4 * i) & 15];
  }
  out[HASH128_HEX_CHARS] = '\0';
}
