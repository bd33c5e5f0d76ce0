/* Writes: validate, encode once, propose; the node answers when the command is applied here. Asynchronous ones go the
 * same way, but for who waits (async.c).
 *
 * Reads by policy: `readindex` asks the node for an index that a linearizable read must see; `stale` waits for index 0,
 * which is always applied, so it ends at the end of this turn like everything else. Either waits on when the caller
 * wants to see a larger index. */
#include "distributedkv/distributedkv.h"

#include "base/check.h"
#include "distributedkv/async.h"

enum {
  ENCODED_KEEP_BYTES = 1 << 20, /* a burst of large batches must not pin its memory for ever */
  EXPIRED_AT_A_TIME = 512,
  MS_PER_SECOND = 1000
};

void dkv_init(struct distributedkv *dkv, struct raft_node *node, struct kvsm *sm, const struct dkv_options *options) {
  const struct opcache_limits limits = {.ops_max = options->async_ops_max,
                                        .bytes_max = ASYNC_BYTES_MAX,
                                        .ttl_ms = (uint64_t)options->async_result_ttl_seconds * MS_PER_SECOND};
  dkv->node = node;
  dkv->sm = sm;
  dkv->options = *options;
  dkv->cache = opcache_create(&limits);
  list_init(&dkv->async_pending);
  buffer_init(&dkv->encoded);
}

void dkv_deinit(struct distributedkv *dkv) {
  dkv_end_async(dkv);
  opcache_destroy(dkv->cache);
  buffer_deinit(&dkv->encoded);
}

/* `wait` is the first member of a request. */
static struct dkv_request *request_of(struct raft_wait *wait) {
  return (struct dkv_request *)(void *)wait;
}

static void on_applied(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  struct dkv_request *request = request_of(wait);
  CHECK(status != STATUS_OK || result != NULL);
  request->index = wait->index;
  request->done(request, status, result);
}

static enum status propose(struct distributedkv *dkv, struct dkv_request *request, const struct command *command,
                           const char **why) {
  const char *fault = command_validate(command);
  if (fault != NULL) {
    *why = fault;
    return STATUS_INVALID;
  }
  request->dkv = dkv;
  request->index = 0;
  request->wait.index = 0;
  request->wait.done = on_applied;
  buffer_clear(&dkv->encoded);
  command_encode(command, &dkv->encoded);
  struct bytes encoded = buffer_view(&dkv->encoded);
  enum status status = request->mode == WRITE_MODE_ASYNC ? dkv_propose_async(dkv, request, command, encoded, why)
                                                         : dkv->node->ops->propose(dkv->node, encoded, &request->wait);
  buffer_shrink(&dkv->encoded, ENCODED_KEEP_BYTES);
  return status;
}

enum status dkv_put(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                    struct bytes key, struct bytes value, const char **why) {
  struct command command = {.client_id = client_id, .seq = seq, .op = OP_PUT, .key = key, .value = value};
  return propose(dkv, request, &command, why);
}

enum status dkv_delete(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                       struct bytes key, const char **why) {
  struct command command = {.client_id = client_id, .seq = seq, .op = OP_DELETE, .key = key};
  return propose(dkv, request, &command, why);
}

enum status dkv_cas(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                    struct bytes key, struct bytes expected, struct bytes value, const char **why) {
  struct command command = {
      .client_id = client_id, .seq = seq, .op = OP_CAS, .key = key, .expected = expected, .value = value};
  return propose(dkv, request, &command, why);
}

enum status dkv_mput(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                     struct bytes items, uint32_t items_count, const char **why) {
  struct command command = {
      .client_id = client_id, .seq = seq, .op = OP_BATCH_PUT, .items = items, .items_count = items_count};
  return propose(dkv, request, &command, why);
}

enum status dkv_mdelete(struct distributedkv *dkv, struct dkv_request *request, struct bytes client_id, uint64_t seq,
                        struct bytes items, uint32_t items_count, const char **why) {
  struct command command = {
      .client_id = client_id, .seq = seq, .op = OP_BATCH_DELETE, .items = items, .items_count = items_count};
  return propose(dkv, request, &command, why);
}

/* The state is fit to be read. What it has applied by now is at least the index that was waited for, and it is what a
 * client can pass on as min_index to see no less elsewhere. */
static void on_readable(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  struct dkv_request *request = request_of(wait);
  (void)result;
  if (status == STATUS_OK) {
    struct kvsm_stats stats;
    kvsm_stats(request->dkv->sm, &stats);
    request->index = stats.last_applied;
  }
  request->done(request, status, NULL);
}

static enum status wait_for(struct dkv_request *request, uint64_t index) {
  struct raft_node *node = request->dkv->node;
  request->wait.index = index;
  request->wait.done = on_readable;
  return node->ops->wait_applied(node, &request->wait);
}

/* What a linearizable read must see beyond what is committed: asynchronous writes that came before it, which are in the
 * leader's log by now. A node that leads no more cannot tell what becomes of them. */
static uint64_t index_of_writes_before(const struct dkv_request *request) {
  struct distributedkv *dkv = request->dkv;
  struct raft_status status;
  if (!request->follows_async || !dkv_is_leader(dkv)) return 0;
  dkv->node->ops->status(dkv->node, &status);
  return status.last_index;
}

static void on_read_index(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  struct dkv_request *request = request_of(wait);
  uint64_t index = request->min_index;
  if (status == STATUS_OK) {
    uint64_t writes = index_of_writes_before(request);
    if (writes > index) index = writes;
  }
  if (status != STATUS_OK || index <= wait->index) {
    on_readable(wait, status, result);
    return;
  }
  status = wait_for(request, index);
  if (status != STATUS_OK) request->done(request, status, NULL);
}

enum status dkv_read(struct distributedkv *dkv, struct dkv_request *request, enum read_policy policy) {
  request->dkv = dkv;
  request->index = 0;
  if (policy == READ_POLICY_STALE) return wait_for(request, request->min_index);
  request->follows_async = !list_empty(&dkv->async_pending);
  request->wait.index = 0;
  request->wait.done = on_read_index;
  return dkv->node->ops->read_index(dkv->node, &request->wait);
}

bool dkv_get(struct distributedkv *dkv, struct bytes key, struct buffer *out) {
  return kvsm_get(dkv->sm, key, out);
}

void dkv_mget(struct distributedkv *dkv, const struct bytes *keys, size_t keys_count, kvsm_found *found,
              void *context) {
  kvsm_mget(dkv->sm, keys, keys_count, found, context);
}

bool dkv_scan(struct distributedkv *dkv, struct bytes prefix, struct bytes after, size_t limit, size_t bytes_max,
              kvsm_found *found, void *context) {
  return kvsm_scan(dkv->sm, prefix, after, limit, bytes_max, found, context);
}

void dkv_cancel(struct dkv_request *request) {
  struct raft_node *node = request->dkv->node;
  node->ops->cancel(node, &request->wait);
}

void dkv_expire(struct distributedkv *dkv) {
  opcache_expire(dkv->cache, dkv_now_ms(dkv), EXPIRED_AT_A_TIME);
}

bool dkv_is_leader(struct distributedkv *dkv) {
  return dkv->node->ops->is_leader(dkv->node);
}

void dkv_leader_hint(struct distributedkv *dkv, struct leader_hint *out) {
  dkv->node->ops->leader_hint(dkv->node, out);
}

void dkv_status(struct distributedkv *dkv, struct raft_status *raft, struct kvsm_stats *stats) {
  dkv->node->ops->status(dkv->node, raft);
  kvsm_stats(dkv->sm, stats);
}
