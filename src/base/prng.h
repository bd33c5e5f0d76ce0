/* A small seeded generator (xoshiro256**, seeded by splitmix64): equal seeds give equal sequences. Not for secrets. One
 * thread. */
#ifndef KV_BASE_PRNG_H
#define KV_BASE_PRNG_H

#include <stdint.h>

struct prng {
  uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* Uniform in 0 .. bound-1; bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);

#endif
