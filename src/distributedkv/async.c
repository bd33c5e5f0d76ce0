/* Happy path: a place in the cache, the proposal, an operation id for the client; later the node says what became of
 * it, and that takes the place.
 *
 * Failure modes: no place, then nothing is proposed; the node refuses at once, then the place is given back and the
 * client hears of it as of a synchronous write; the node refuses at the end of its turn, or loses its leadership, or
 * the deadline passes, or the node ends: that is the result. */
#include "distributedkv/async.h"

#include <stdlib.h>

#include "base/check.h"

/* A write whose client waits for nothing. */
struct async_write {
  struct raft_wait wait; /* first */
  struct list link;      /* in dkv.async_pending */
  struct distributedkv *dkv;
  uint64_t number; /* in the cache */
  bool deduped;
};

static void end_write(struct async_write *write) {
  list_remove(&write->link);
  free(write);
}

static void on_ended(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  struct async_write *write = (struct async_write *)(void *)wait;
  struct distributedkv *dkv = write->dkv;
  struct apply_result failure = dkv_write_failure(status, write->deduped);
  uint64_t index = status == STATUS_OK ? wait->index : 0;
  opcache_finish(dkv->cache, write->number, status == STATUS_OK ? result : &failure, index, dkv_now_ms(dkv));
  end_write(write);
}

static void name_operation(const struct distributedkv *dkv, uint64_t number, struct op_id *out) {
  memcpy(out->node, dkv->options.id, sizeof out->node);
  out->incarnation = dkv->options.incarnation;
  out->number = number;
}

/* There is no place. But who does not lead has none to offer: the client is better off where the leader is. */
static enum status refuse_full(const struct distributedkv *dkv, const char **why) {
  struct leader_hint hint;
  if (dkv->node->ops->is_leader(dkv->node)) {
    *why = "too many asynchronous writes are pending, or their results kept; nothing was done, try again";
    return STATUS_OVERLOADED;
  }
  dkv->node->ops->leader_hint(dkv->node, &hint);
  return hint.leader_id[0] != '\0' ? STATUS_NOT_LEADER : STATUS_NO_LEADER;
}

enum status dkv_propose_async(struct distributedkv *dkv, struct dkv_request *request, const struct command *command,
                              struct bytes encoded, const char **why) {
  uint64_t number;
  enum status status = opcache_reserve(dkv->cache, dkv_now_ms(dkv), &number);
  if (status != STATUS_OK) return refuse_full(dkv, why);
  struct async_write *write = xcalloc(1, sizeof *write);
  write->wait.deadline_ms = request->wait.deadline_ms;
  write->wait.done = on_ended;
  write->dkv = dkv;
  write->number = number;
  write->deduped = command->client_id.len > 0 && command->seq > 0;
  list_push_back(&dkv->async_pending, &write->link);
  status = dkv->node->ops->propose(dkv->node, encoded, &write->wait);
  if (status == STATUS_OK) {
    name_operation(dkv, number, &request->op_id);
    return STATUS_OK;
  }
  opcache_release(dkv->cache, number);
  end_write(write);
  return status;
}

void dkv_end_async(struct distributedkv *dkv) {
  while (!list_empty(&dkv->async_pending)) {
    struct list *link = dkv->async_pending.next;
    struct async_write *write = (struct async_write *)(void *)((char *)link - offsetof(struct async_write, link));
    dkv->node->ops->cancel(dkv->node, &write->wait);
    end_write(write);
  }
}

enum op_found dkv_find_operation(struct distributedkv *dkv, const struct op_id *id, struct op_result *out) {
  if (strcmp(id->node, dkv->options.id) != 0) return OP_OF_OTHER_NODE;
  if (id->incarnation != dkv->options.incarnation) return OP_OF_OTHER_START;
  switch (opcache_find(dkv->cache, id->number, dkv_now_ms(dkv), out)) {
  case OPCACHE_FOUND:
    return OP_FOUND;
  case OPCACHE_EXPIRED:
    return OP_EXPIRED;
  case OPCACHE_NEVER:
    break;
  }
  return OP_NEVER;
}

void dkv_operations(struct distributedkv *dkv, struct opcache_stats *out) {
  opcache_stats(dkv->cache, out);
}
