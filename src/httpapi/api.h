/* What the files of httpapi share: the API's state, one call in flight, and the only ways in which a request body is
 * decoded and a reply is made (seed: decodeJSON, writeJSON, writeError). The loop's thread.
 *
 * The way of a call: a route begins it, decodes, and either refuses it (call_refuse) or hands it to DistributedKV
 * (call_read, call_write); when that is done the call is answered and goes back to the free list. Scratch buffers of
 * struct httpapi are free at the start of every callback and hold nothing after it. */
#ifndef KV_HTTPAPI_API_H
#define KV_HTTPAPI_API_H

#include "httpapi/body.h"
#include "httpapi/httpapi.h"
#include "httpapi/traffic.h"

enum {
  CALLS_IDLE_MAX = 1024,        /* calls kept for reuse */
  CALL_TEXT_KEEP_BYTES = 4096,  /* memory that an idle call keeps */
  SCRATCH_KEEP_BYTES = 1 << 20, /* memory that a scratch buffer keeps between calls */
  MGET_BYTES_MAX = 33554432,    /* keys and values of one mget reply; 413 beyond. Any single value fits */
};

struct httpapi {
  struct distributedkv *dkv;
  const struct config *config;
  uint64_t (*now_ms)(void *context);
  void *now_context;
  uint64_t started_ms;
  struct http_handler handler;
  bool stopping;                                            /* /readyz says so */
  void (*write_metrics)(void *context, struct buffer *out); /* of the server; NULL: none */
  void *metrics_context;
  struct traffic traffic;
  size_t calls_count;   /* begun and not ended */
  struct list inflight; /* call.link: with DistributedKV */
  struct list idle;     /* call.link: for reuse */
  size_t idle_count;
  struct body body;    /* scratch: a decoded request body */
  struct buffer key;   /* scratch: the key of a write, the keys of an mget, the last key of a scan */
  struct buffer value; /* scratch: a value that was read */
  struct buffer reply; /* scratch: the body of a reply */
  struct buffer extra; /* scratch: header lines of a reply */
};

/* Why a request is refused before anything was done. */
struct fault {
  enum err_code code;
  struct error why;
};
/* Returns false, so that callers can `return fault_set(...)`. */
bool fault_set(struct fault *fault, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct call {
  struct dkv_request request; /* first */
  struct list link;           /* in httpapi.inflight or .idle; in neither while the answer waits for room */
  struct httpapi *api;
  struct http_exchange *exchange;
  void (*finish)(struct call *call); /* a read: reads and answers; NULL: a write */
  struct buffer text;                /* a read: key, keys or prefix and after; a write: its raw path and query */
  size_t prefix_bytes;               /* a scan: the part of `text` that is the prefix; `after` follows */
  size_t limit;                      /* a scan */
  bool raw;                          /* a get: answer the bytes of the value */
  bool deduped;                      /* a write: has client_id and seq */
};

typedef void api_route(struct httpapi *api, const struct http_message *request, struct http_exchange *exchange);

/* ---- httpapi.c: calls ---- */

struct call *call_begin(struct httpapi *api, struct http_exchange *exchange);
/* Gives the call back; it was answered. */
void call_end(struct call *call);
/* Answers a call that went no further and ends it. */
void call_refuse(struct call *call, const struct fault *fault);
/* Hands a read to DistributedKV; call->finish runs when the state may be read, and must answer. */
void call_read(struct call *call, enum read_policy policy);
/* What a write needs before it is handed to DistributedKV: its deadline and what its answers may need. */
void call_prepare_write(struct call *call, const struct http_message *request, bool deduped);
/* Takes note of how DistributedKV took a write: when it refused, or needs the call no longer, answers and ends it. */
void call_write(struct call *call, enum status status, const char *why);

/* ---- params.c: query parameters and headers ---- */

/* ?read= and ?min_index= */
bool params_read(const struct httpapi *api, const struct http_message *request, enum read_policy *policy,
                 uint64_t *min_index, struct fault *fault);
/* ?mode= */
bool params_write(struct call *call, const struct http_message *request, struct fault *fault);
/* ?prefix=, ?after= (appended to call->text) and ?limit= */
bool params_scan(struct call *call, const struct http_message *request, struct fault *fault);
/* X-Client-Id and X-Seq, into the decoded `body`, which must have neither of its own then. */
bool params_client(const struct http_message *request, struct body *body, struct fault *fault);
/* The key in the path, decoded and appended to the empty `out`; not validated but for its limit. */
bool params_key(const struct httpapi *api, const struct http_message *request, struct buffer *out, struct fault *fault);
/* Whether the body is a raw value. */
bool params_body_is_raw(const struct http_message *request, bool *raw, struct fault *fault);
bool params_wants_raw(const struct http_message *request);

/* ---- reply.c ---- */

/* `index` of 0 is left out; `extra` holds complete header lines. */
void api_write_json(struct httpapi *api, struct http_exchange *exchange, int status, uint64_t index, const char *extra,
                    struct bytes body);
void api_write_raw(struct httpapi *api, struct http_exchange *exchange, uint64_t index, struct bytes body);
void api_write_text(struct http_exchange *exchange, const char *content_type, struct bytes body);
/* The error reply of the contract. `hint` may be NULL. `target` (path and query as sent) makes the Location of a
 * not_leader; NULL elsewhere. */
void api_write_error(struct httpapi *api, struct http_exchange *exchange, enum err_code code, const char *text,
                     uint64_t index, const struct leader_hint *hint, const struct buffer *target);
/* An error whose answer is elsewhere: `location` is a URI that holds no CR and no LF. */
void api_write_redirect(struct httpapi *api, struct http_exchange *exchange, enum err_code code, const char *text,
                        struct bytes location);
/* 503 not_ready: reason, how many entries it is behind by (0: says nothing), and what to do. */
void api_write_not_ready(struct httpapi *api, struct http_exchange *exchange, const struct raft_unready *unready,
                         uint64_t behind);
/* 405; `allow` lists the methods that the path has. */
void api_write_not_allowed(struct httpapi *api, struct http_exchange *exchange, struct bytes allow);
/* Answers a call that DistributedKV refused or that ended without a result. `why` may be NULL. */
void api_write_status(struct call *call, enum status status, const char *why);
/* Appends what a write gave, as JSON. */
void api_append_result(struct httpapi *api, const struct apply_result *result, struct buffer *out);
/* The header line of a reply that was given before; "" for any other. Static. */
const char *api_replay_header(enum replay replay);
/* Answers a write with what applying it gave. */
void api_write_result(struct call *call, const struct apply_result *result);
/* Answers an asynchronous write that was taken. */
void api_write_accepted(struct call *call);
/* The body of an error that the connection itself answers. */
void api_connection_error(void *context, int status, const char *text, struct buffer *out);

/* ---- routes_kv.c, routes_ops.c, routes_node.c ---- */

api_route route_kv_get, route_kv_put, route_kv_delete, route_kv_scan;
api_route route_kv_cas, route_kv_mget, route_kv_mput, route_kv_mdelete;
api_route route_ops_get;
api_route route_healthz, route_readyz, route_status, route_metrics;

#endif
