/* The HTTP API of CONTRACT.md section 2: routes, bodies, the error mapping. Depends on DistributedKV only; never on
 * Raft, sockets or files. One per node; the loop's thread. */
#ifndef KV_HTTPAPI_HTTPAPI_H
#define KV_HTTPAPI_HTTPAPI_H

#include "distributedkv/distributedkv.h"
#include "http/connection.h"
#include "types/config.h"

struct httpapi; /* opaque */

/* `now_ms` gives the loop's time for deadlines and uptime. Keeps dkv and config until destroy. Returns owned. */
struct httpapi *httpapi_create(struct distributedkv *dkv, const struct config *config,
                               uint64_t (*now_ms)(void *context), void *now_context);
/* Calls in flight are cancelled; their exchanges are answered: a read with 503, a write, whose outcome is unknown then,
 * with 504. Connections must be gone by then: they hold the reads that wait for room. */
void httpapi_destroy(struct httpapi *api);
/* The handler to give to http_connection_create; borrowed from `api`. Whoever serves it adds the clock, and passes on
 * `answered`. */
const struct http_handler *httpapi_handler(struct httpapi *api);

/* The node goes down: /readyz says so from here on. */
void httpapi_set_stopping(struct httpapi *api);

/* What the server knows of itself for GET /metrics: appends its families. Without it there is only the API's own. */
void httpapi_on_metrics(struct httpapi *api, void (*write)(void *context, struct buffer *out), void *context);
/* The API's own: traffic, calls in flight. */
void httpapi_write_metrics(const struct httpapi *api, struct buffer *out);

#endif
