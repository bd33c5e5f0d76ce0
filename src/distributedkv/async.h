/* The asynchronous writes of DistributedKV: they wait for their outcome without a client, and leave it in the cache of
 * operations. The loop's thread. */
#ifndef KV_DISTRIBUTEDKV_ASYNC_H
#define KV_DISTRIBUTEDKV_ASYNC_H

#include "distributedkv/distributedkv.h"

/* Proposes a command that is valid. STATUS_OK: request->op_id is set, the request is the caller's again. Else nothing
 * was done, and *why may say more. */
enum status dkv_propose_async(struct distributedkv *dkv, struct dkv_request *request, const struct command *command,
                              struct bytes encoded, const char **why);
/* Cancels those that are pending. */
void dkv_end_async(struct distributedkv *dkv);

#endif
