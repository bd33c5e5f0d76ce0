/* The asynchronous writes that this start of the node has taken on, and what became of them (seed: Cache): number ->
 * result. In memory, of this node alone: nothing of it is replicated, and nothing survives the process.
 *
 * An operation is pending from opcache_reserve until opcache_finish, however long that takes: whoever waits for its
 * outcome has a deadline. Then its result is kept for ttl_ms, to the millisecond as far as anybody can see; its memory
 * goes a little later, two at a time with each new operation, or in opcache_expire. Pure: time comes in with the call,
 * and never goes back. A mutex guards it, so any thread may call; in a node only the loop does. */
#ifndef KV_OPCACHE_OPCACHE_H
#define KV_OPCACHE_OPCACHE_H

#include "base/status.h"
#include "types/operation.h"

struct opcache_limits {
  uint64_t ops_max;   /* pending ones and results that are kept; at least 1 */
  uint64_t bytes_max; /* of memory for them */
  uint64_t ttl_ms;    /* for which a result is kept; at least 1 */
};

struct opcache_stats {
  uint64_t pending;
  uint64_t finished; /* results in memory, those that have expired but are not freed yet too */
  uint64_t bytes;    /* of memory */
  uint64_t taken;    /* operations ever; the newest one's number */
  uint64_t released; /* of these: nobody was told of them */
};

enum opcache_found {
  OPCACHE_FOUND,
  OPCACHE_EXPIRED, /* it was one, but is not kept any more */
  OPCACHE_NEVER    /* no operation has had this number */
};

struct opcache;

struct opcache *opcache_create(const struct opcache_limits *limits); /* returns owned */
void opcache_destroy(struct opcache *cache);

/* Takes on a new operation, pending, and gives it a number. STATUS_OVERLOADED: there is no room, which passes when
 * results expire; nothing was done. */
enum status opcache_reserve(struct opcache *cache, uint64_t now_ms, uint64_t *number);
/* Gives the place of a pending operation back: nobody was told of it. */
void opcache_release(struct opcache *cache, uint64_t number);
/* The outcome of a pending operation is known. */
void opcache_finish(struct opcache *cache, uint64_t number, const struct apply_result *result, uint64_t index,
                    uint64_t now_ms);
/* `out` is set with OPCACHE_FOUND only. */
enum opcache_found opcache_find(struct opcache *cache, uint64_t number, uint64_t now_ms, struct op_result *out);
/* Frees up to `steps` results that have expired. */
void opcache_expire(struct opcache *cache, uint64_t now_ms, uint64_t steps);
void opcache_stats(struct opcache *cache, struct opcache_stats *out);

#endif
