#include "metrics/histogram.h"

__extension__ typedef unsigned __int128 wide; /* a duration times a count */

const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS_COUNT] = {
    10,    20,    50,     100,    200,    500,     1000,    2000,    5000,    10000,
    20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};

static size_t bucket_of(uint64_t us) {
  size_t bucket = 0;
  while (bucket < HISTOGRAM_BOUNDS_COUNT && us > histogram_bounds_us[bucket])
    bucket++;
  return bucket;
}

void histogram_add_times(struct histogram *histogram, uint64_t us, uint64_t times) {
  if (times == 0) return;
  histogram->buckets[bucket_of(us)] += times;
  histogram->count += times;
  histogram->sum_us += us * times;
  if (us > histogram->max_us) histogram->max_us = us;
}

void histogram_add(struct histogram *histogram, uint64_t us) {
  histogram_add_times(histogram, us, 1);
}

/* The value at `rank` (from 1) of the `count` in this bucket. The last bucket ends at the longest one. */
static uint64_t within(const struct histogram *histogram, size_t bucket, uint64_t rank, uint64_t count) {
  uint64_t low = bucket == 0 ? 0 : histogram_bounds_us[bucket - 1];
  uint64_t high = bucket < HISTOGRAM_BOUNDS_COUNT ? histogram_bounds_us[bucket] : histogram->max_us;
  if (high > histogram->max_us) high = histogram->max_us;
  if (low > high) low = high;
  return low + (uint64_t)((wide)(high - low) * rank / count);
}

uint64_t histogram_quantile_us(const struct histogram *histogram, uint32_t permille) {
  uint64_t rank = histogram->count / 1000 * permille + (histogram->count % 1000 * permille + 999) / 1000;
  if (rank == 0) rank = 1;
  for (size_t bucket = 0; bucket <= HISTOGRAM_BOUNDS_COUNT; bucket++) {
    uint64_t count = histogram->buckets[bucket];
    if (rank <= count) return within(histogram, bucket, rank, count);
    rank -= count;
  }
  return 0;
}
