/* The store as clients see it (seed: DistributedKV): writes through the log, reads by policy. It knows a RaftNode
 * interface, the state machine's reads and the cache of asynchronous writes, nothing else; HTTP knows only this.
 *
 * All calls on the node's loop. As with the node: STATUS_OK means `done` runs exactly once, later; anything else means
 * it never runs and nothing was done. But for an asynchronous write: it never runs `done`; STATUS_OK means that the
 * leader has taken it, and that its outcome is found under request->op_id from now on. */
#ifndef KV_DISTRIBUTEDKV_DISTRIBUTEDKV_H
#define KV_DISTRIBUTEDKV_DISTRIBUTEDKV_H

#include "base/buffer.h"
#include "distributedkv/raft_node.h"
#include "kvsm/kvsm.h"
#include "opcache/opcache.h"
#include "types/policy.h"

/* Seed: Config, and what the ids and the ages of asynchronous writes are made of. */
struct dkv_options {
  enum read_policy read_policy; /* of requests that say nothing of it, as the next */
  enum write_mode write_mode;
  uint32_t async_result_ttl_seconds; /* at least 1: for which the result of an asynchronous write is kept */
  uint32_t async_ops_max;            /* 1 .. ASYNC_OPS_MAX: of those that are pending or kept */
  const char *id;                    /* of this node; kept */
  uint64_t incarnation;              /* of this start of it: no other one may have the same */
  uint64_t (*now_ms)(void *context); /* the loop's time */
  void *now_context;
};

struct distributedkv {
  struct raft_node *node; /* keeps */
  struct kvsm *sm;        /* keeps */
  struct dkv_options options;
  struct opcache *cache;     /* owned */
  struct list async_pending; /* struct async_write, of async.c */
  struct buffer encoded;     /* scratch of one call: the command that is proposed */
};

/* Keeps node and sm until the last request is done; copies the options. */
void dkv_init(struct distributedkv *dkv, struct raft_node *node, struct kvsm *sm, const struct dkv_options *options);
/* No request may be in flight, but for asynchronous writes, which are forgotten; they may still be applied. The node
 * may be gone when it ended all that waited. */
void dkv_deinit(struct distributedkv *dkv);

/* One request, in the caller's memory from the call until `done`. */
struct dkv_request {
  struct raft_wait wait;     /* dkv's; the caller sets wait.deadline_ms before the call */
  struct distributedkv *dkv; /* dkv's */
  uint64_t min_index;        /* reads: the caller sets it; 0 for none */
  bool follows_async;        /* dkv's: a read came while asynchronous writes were pending */
  enum write_mode mode;      /* writes: the caller sets it */
  struct op_id op_id;        /* out: of an asynchronous write that was taken */
  uint64_t index;            /* out: the log index of a write; for a read what the state had applied; 0: unknown */
  /* `result` is set for a write that ended STATUS_OK. For a read STATUS_OK means: read now, inside this callback, with
   * dkv_get, dkv_mget or dkv_scan. */
  void (*done)(struct dkv_request *request, enum status status, const struct apply_result *result);
};

/* Writes. The views are borrowed until the call returns. client_id may be empty and seq 0 (no dedupe). STATUS_INVALID
 * comes with the static message of command_validate in *why; so does STATUS_OVERLOADED when there are async_ops_max
 * asynchronous ones. */
enum status dkv_put(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                    struct bytes key, struct bytes value, const char **why);
enum status dkv_delete(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                       struct bytes key, const char **why);
enum status dkv_cas(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                    struct bytes key, struct bytes expected, struct bytes value, const char **why);
/* `items` are encoded with command_append_item. */
enum status dkv_mput(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                     struct bytes items, uint32_t items_count, const char **why);
enum status dkv_mdelete(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                        struct bytes items, uint32_t items_count, const char **why);

/* What a write that ended without a result, or was refused, tells its client: a code, a static text. `deduped`: it has
 * a client_id and a seq. Not for STATUS_OK. */
struct apply_result dkv_write_failure(enum status status, bool deduped);

enum op_found {
  OP_FOUND,
  OP_EXPIRED,        /* its result is not kept any more */
  OP_NEVER,          /* this start of this node has given no such id */
  OP_OF_OTHER_START, /* of this node: what it knew is lost */
  OP_OF_OTHER_NODE   /* which may know */
};
/* What became of an asynchronous write; `out` is set with OP_FOUND only. */
enum op_found dkv_find_operation(struct distributedkv *dkv, const struct op_id *id, struct op_result *out);
/* Frees some of the results that have expired; now and then. */
void dkv_expire(struct distributedkv *dkv);
/* How many there are. */
void dkv_operations(struct distributedkv *dkv, struct opcache_stats *out);

/* Makes this node's state fit to be read under `policy` (and request->min_index), then runs `done`, which reads. */
enum status dkv_read(struct distributedkv *dkv, struct dkv_request *request, enum read_policy policy);
/* The reads themselves; see kvsm.h. Legal inside a read's `done`. */
bool dkv_get(struct distributedkv *dkv, struct bytes key, struct buffer *out);
void dkv_mget(struct distributedkv *dkv, const struct bytes *keys, size_t keys_count, kvsm_found *found, void *context);
bool dkv_scan(struct distributedkv *dkv, struct bytes prefix, struct bytes after, size_t limit, size_t bytes_max,
              kvsm_found *found, void *context);

/* Forgets a request without running `done`; a write may still be applied. */
void dkv_cancel(struct dkv_request *request);

static inline uint64_t dkv_now_ms(const struct distributedkv *dkv) {
  return dkv->options.now_ms(dkv->options.now_context);
}
bool dkv_is_leader(struct distributedkv *dkv);
void dkv_leader_hint(struct distributedkv *dkv, struct leader_hint *out);
/* What /status, /healthz and /readyz show. */
void dkv_status(struct distributedkv *dkv, struct raft_status *raft, struct kvsm_stats *stats);

#endif
