#include "base/prng.h"

#include "base/check.h"

static uint64_t splitmix(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

void prng_init(struct prng *prng, uint64_t seed) {
  for (int i = 0; i < 4; i++)
    prng->state[i] = splitmix(&seed);
}

static uint64_t rotate_left(uint64_t x, int bits) {
  return (x << bits) | (x >> (64 - bits));
}

uint64_t prng_next(struct prng *prng) {
  uint64_t *s = prng->state;
  uint64_t result = rotate_left(s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

/* The multiplication method of Lemire; the bias for bounds far below 2^64 is beyond notice. */
uint64_t prng_below(struct prng *prng, uint64_t bound) {
  CHECK(bound > 0);
  __extension__ typedef unsigned __int128 wide;
  return (uint64_t)(((wide)prng_next(prng) * bound) >> 64);
}
