/* How long things took, in fixed buckets: 1, 2, 5, 10, ... microseconds from 10 microseconds to 10 seconds, and one for
 * what took longer. Integers only; adding is a search among twenty bounds and three additions, without a lock: one
 * thread at a time. All zeros is an empty one. */
#ifndef KV_METRICS_HISTOGRAM_H
#define KV_METRICS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS_COUNT = 19 };

/* The upper bounds of the buckets, inclusive, rising; behind the last one is the bucket of all that took longer. */
extern const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS_COUNT];

struct histogram {
  uint64_t buckets[HISTOGRAM_BOUNDS_COUNT + 1]; /* each counts its own only: what is above the bound before it */
  uint64_t count;                               /* of all buckets */
  uint64_t sum_us;
  uint64_t max_us;
};

void histogram_add(struct histogram *histogram, uint64_t us);
/* The same duration `times` times: of what was done as one batch. */
void histogram_add_times(struct histogram *histogram, uint64_t us, uint64_t times);
/* The duration that `permille` of 1000 did not exceed (0 to 1000): between the bounds of its bucket as if those in it
 * were spread evenly, never above the longest one. 0 when it is empty. */
uint64_t histogram_quantile_us(const struct histogram *histogram, uint32_t permille);

#endif
