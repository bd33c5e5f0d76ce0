/* Unsigned integers of 1 to 8 bytes, least significant byte first: the order of everything binary that is stored or
 * sent. Pure, any thread; `at` need not be aligned. */
#ifndef KV_BASE_LITTLE_ENDIAN_H
#define KV_BASE_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/* Higher bytes of `value` are dropped. Returns the address behind what was stored. */
static inline uint8_t *le_store(uint8_t *at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    at[i] = (uint8_t)(value >> (8 * i));
  return at + bytes;
}

static inline uint64_t le_load(const uint8_t *at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++)
    value |= (uint64_t)at[i] << (8 * i);
  return value;
}

#endif
