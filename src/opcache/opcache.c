/* A table by number, chained, which doubles; and a list of results in the order in which they expire, which is that in
 * which they came, since all are kept equally long. */
#include "opcache/opcache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"

enum {
  BUCKETS_MIN = 64,
  EXPIRED_PER_RESERVE = 2 /* more than one, so that what has expired does not pile up */
};

struct operation {
  struct list link; /* in `finished`, or to itself while it is pending */
  struct operation *next;
  uint64_t number;
  uint64_t expires_ms; /* of a result */
  struct op_result outcome;
};

struct opcache {
  pthread_mutex_t mutex; /* guards everything below */
  struct opcache_limits limits;
  struct operation **buckets; /* owned */
  uint64_t buckets_count;     /* a power of two */
  uint64_t count;             /* in the buckets */
  uint64_t finished_count;
  uint64_t taken;
  uint64_t released;
  struct list finished; /* the first one expires first */
};

static void lock(struct opcache *cache) {
  CHECK(pthread_mutex_lock(&cache->mutex) == 0);
}

static void unlock(struct opcache *cache) {
  CHECK(pthread_mutex_unlock(&cache->mutex) == 0);
}

/* ---- the table ---- */

static struct operation **bucket_of(const struct opcache *cache, uint64_t number) {
  return &cache->buckets[number & (cache->buckets_count - 1)];
}

/* The link to it, or the one at the end of its chain. */
static struct operation **find_link(const struct opcache *cache, uint64_t number) {
  struct operation **link = bucket_of(cache, number);
  while (*link != NULL && (*link)->number != number)
    link = &(*link)->next;
  return link;
}

static void insert(struct opcache *cache, struct operation *operation) {
  struct operation **bucket = bucket_of(cache, operation->number);
  operation->next = *bucket;
  *bucket = operation;
}

static void grow(struct opcache *cache) {
  struct operation **old = cache->buckets;
  uint64_t old_count = cache->buckets_count;
  cache->buckets_count = 2 * old_count;
  cache->buckets = xcalloc(cache->buckets_count, sizeof cache->buckets[0]);
  for (uint64_t i = 0; i < old_count; i++) {
    while (old[i] != NULL) {
      struct operation *operation = old[i];
      old[i] = operation->next;
      insert(cache, operation);
    }
  }
  free(old);
}

static uint64_t bytes_of_count(uint64_t count, uint64_t buckets_count) {
  return count * sizeof(struct operation) + buckets_count * sizeof(struct operation *);
}

static bool has_room(const struct opcache *cache) {
  uint64_t buckets_count = cache->count == cache->buckets_count ? 2 * cache->buckets_count : cache->buckets_count;
  return cache->count < cache->limits.ops_max &&
         bytes_of_count(cache->count + 1, buckets_count) <= cache->limits.bytes_max;
}

static struct operation *pending(const struct opcache *cache, uint64_t number) {
  struct operation *operation = *find_link(cache, number);
  CHECK(operation != NULL && !operation->outcome.ready);
  return operation;
}

static void drop(struct opcache *cache, struct operation *operation) {
  *find_link(cache, operation->number) = operation->next;
  list_remove(&operation->link);
  cache->count--;
  if (operation->outcome.ready) cache->finished_count--;
  free(operation);
}

/* ---- expiry ---- */

static struct operation *of_link(struct list *link) {
  return (struct operation *)(void *)link;
}

static bool has_expired(const struct operation *operation, uint64_t now_ms) {
  return operation->outcome.ready && operation->expires_ms <= now_ms;
}

static void expire(struct opcache *cache, uint64_t now_ms, uint64_t steps) {
  while (steps-- > 0 && !list_empty(&cache->finished) && has_expired(of_link(cache->finished.next), now_ms))
    drop(cache, of_link(cache->finished.next));
}

/* ---- for whoever has it ---- */

struct opcache *opcache_create(const struct opcache_limits *limits) {
  CHECK(limits->ops_max > 0 && limits->ttl_ms > 0);
  struct opcache *cache = xcalloc(1, sizeof *cache);
  CHECK(pthread_mutex_init(&cache->mutex, NULL) == 0);
  cache->limits = *limits;
  cache->buckets_count = BUCKETS_MIN;
  cache->buckets = xcalloc(cache->buckets_count, sizeof cache->buckets[0]);
  list_init(&cache->finished);
  return cache;
}

void opcache_destroy(struct opcache *cache) {
  for (uint64_t i = 0; i < cache->buckets_count; i++) {
    while (cache->buckets[i] != NULL)
      drop(cache, cache->buckets[i]);
  }
  free(cache->buckets);
  CHECK(pthread_mutex_destroy(&cache->mutex) == 0);
  free(cache);
}

enum status opcache_reserve(struct opcache *cache, uint64_t now_ms, uint64_t *number) {
  lock(cache);
  expire(cache, now_ms, EXPIRED_PER_RESERVE);
  bool room = has_room(cache);
  if (room) {
    if (cache->count == cache->buckets_count) grow(cache);
    struct operation *operation = xcalloc(1, sizeof *operation);
    list_init(&operation->link);
    operation->number = ++cache->taken;
    *number = operation->number;
    insert(cache, operation);
    cache->count++;
  }
  unlock(cache);
  return room ? STATUS_OK : STATUS_OVERLOADED;
}

void opcache_release(struct opcache *cache, uint64_t number) {
  lock(cache);
  drop(cache, pending(cache, number));
  cache->released++;
  unlock(cache);
}

void opcache_finish(struct opcache *cache, uint64_t number, const struct apply_result *result, uint64_t index,
                    uint64_t now_ms) {
  lock(cache);
  struct operation *operation = pending(cache, number);
  operation->outcome = (struct op_result){.ready = true, .result = *result, .index = index};
  operation->expires_ms = now_ms + cache->limits.ttl_ms;
  list_push_back(&cache->finished, &operation->link);
  cache->finished_count++;
  unlock(cache);
}

enum opcache_found opcache_find(struct opcache *cache, uint64_t number, uint64_t now_ms, struct op_result *out) {
  enum opcache_found found = OPCACHE_EXPIRED;
  lock(cache);
  const struct operation *operation = *find_link(cache, number);
  if (number == 0 || number > cache->taken) {
    found = OPCACHE_NEVER;
  } else if (operation != NULL && !has_expired(operation, now_ms)) {
    found = OPCACHE_FOUND;
    *out = operation->outcome;
  }
  unlock(cache);
  return found;
}

void opcache_expire(struct opcache *cache, uint64_t now_ms, uint64_t steps) {
  lock(cache);
  expire(cache, now_ms, steps);
  unlock(cache);
}

void opcache_stats(struct opcache *cache, struct opcache_stats *out) {
  lock(cache);
  out->pending = cache->count - cache->finished_count;
  out->finished = cache->finished_count;
  out->bytes = bytes_of_count(cache->count, cache->buckets_count);
  out->taken = cache->taken;
  out->released = cache->released;
  unlock(cache);
}
