/* Mixing of 64-bit words into a hash: fast, not for adversaries. Pure. */
#ifndef KV_SIM_MIX_H
#define KV_SIM_MIX_H

#include <stdint.h>

static inline uint64_t sim_mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
  hash = (hash ^ (hash >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
  return hash ^ (hash >> 29);
}

#endif
