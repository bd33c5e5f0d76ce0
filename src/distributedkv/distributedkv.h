/* The store as clients see it (seed: DistributedKV): writes through the log, reads by policy. It knows a RaftNode
 * interface and the state machine's reads, nothing else; HTTP knows only this.
 *
 * All calls on the node's loop. As with the node: STATUS_OK means `done` runs exactly once, later; anything else means
 * it never runs and nothing was done. */
#ifndef KV_DISTRIBUTEDKV_DISTRIBUTEDKV_H
#define KV_DISTRIBUTEDKV_DISTRIBUTEDKV_H

#include "base/buffer.h"
#include "distributedkv/raft_node.h"
#include "kvsm/kvsm.h"
#include "types/policy.h"

struct distributedkv {
  struct raft_node *node; /* keeps */
  struct kvsm *sm;        /* keeps */
  enum read_policy read_policy;
  enum write_mode write_mode;
  struct buffer encoded; /* scratch of one call: the command that is proposed */
};

/* Keeps node and sm until the last request is done. */
void dkv_init(struct distributedkv *dkv, struct raft_node *node, struct kvsm *sm, enum read_policy read_policy,
              enum write_mode write_mode);
/* No request may be in flight. */
void dkv_deinit(struct distributedkv *dkv);

/* One request, in the caller's memory from the call until `done`. */
struct dkv_request {
  struct raft_wait wait;     /* dkv's; the caller sets wait.deadline_ms before the call */
  struct distributedkv *dkv; /* dkv's */
  uint64_t min_index;        /* reads: the caller sets it; 0 for none */
  uint64_t index;            /* out: the log index of a write; for a read what the state had applied; 0: unknown */
  /* `result` is set for a write that ended STATUS_OK. For a read STATUS_OK means: read now, inside this callback, with
   * dkv_get, dkv_mget or dkv_scan. */
  void (*done)(struct dkv_request *request, enum status status, const struct apply_result *result);
};

/* Writes. The views are borrowed until the call returns. client_id may be empty and seq 0 (no dedupe). STATUS_INVALID
 * comes with the static message of command_validate in *why. */
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

/* Makes this node's state fit to be read under `policy` (and request->min_index), then runs `done`, which reads. */
enum status dkv_read(struct distributedkv *dkv, struct dkv_request *request, enum read_policy policy);
/* The reads themselves; see kvsm.h. Legal inside a read's `done`. */
bool dkv_get(struct distributedkv *dkv, struct bytes key, struct buffer *out);
void dkv_mget(struct distributedkv *dkv, const struct bytes *keys, size_t keys_count, kvsm_found *found, void *context);
bool dkv_scan(struct distributedkv *dkv, struct bytes prefix, struct bytes after, size_t limit, size_t bytes_max,
              kvsm_found *found, void *context);

/* Forgets a request without running `done`; a write may still be applied. */
void dkv_cancel(struct dkv_request *request);

bool dkv_is_leader(struct distributedkv *dkv);
void dkv_leader_hint(struct distributedkv *dkv, struct leader_hint *out);
/* What /status, /healthz and /readyz show. */
void dkv_status(struct distributedkv *dkv, struct raft_status *raft, struct kvsm_stats *stats);

#endif
