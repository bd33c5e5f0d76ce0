/* Dispatch: raw path and method to a route; and the life of a call.
 *
 * Failure modes: a call that is refused is answered inside the handler; one whose client went away while it waited is
 * ended without reading; one that is still with DistributedKV when the API goes is cancelled and answered. */
#include "httpapi/httpapi.h"

#include "base/check.h"
#include "httpapi/api.h"
#include "metrics/text.h"

#include <stdlib.h>

/* ---- calls ---- */

static struct call *call_of_link(struct list *link) {
  return (struct call *)(void *)((char *)link - offsetof(struct call, link));
}

struct call *call_begin(struct httpapi *api, struct http_exchange *exchange) {
  struct call *call;
  if (!list_empty(&api->idle)) {
    call = call_of_link(api->idle.prev); /* the one used last is the warmest */
    list_remove(&call->link);
    api->idle_count--;
  } else {
    call = xcalloc(1, sizeof *call);
    call->api = api;
    buffer_init(&call->text);
  }
  call->exchange = exchange;
  call->finish = NULL;
  call->request.mode = WRITE_MODE_SYNC;
  call->request.min_index = 0;
  call->request.index = 0;
  buffer_clear(&call->text);
  list_push_back(&api->inflight, &call->link);
  api->calls_count++;
  return call;
}

static void call_free(struct call *call) {
  buffer_deinit(&call->text);
  free(call);
}

void call_end(struct call *call) {
  struct httpapi *api = call->api;
  api->calls_count--;
  list_remove(&call->link);
  if (api->idle_count >= CALLS_IDLE_MAX) {
    call_free(call);
    return;
  }
  buffer_shrink(&call->text, CALL_TEXT_KEEP_BYTES);
  list_push_back(&api->idle, &call->link);
  api->idle_count++;
}

static void shrink_scratch(struct httpapi *api) {
  body_shrink(&api->body, SCRATCH_KEEP_BYTES);
  buffer_shrink(&api->key, SCRATCH_KEEP_BYTES);
  buffer_shrink(&api->value, SCRATCH_KEEP_BYTES);
  buffer_shrink(&api->reply, SCRATCH_KEEP_BYTES);
}

void call_refuse(struct call *call, const struct fault *fault) {
  api_write_error(call->api, call->exchange, fault->code, fault->why.text, 0, NULL, NULL);
  call_end(call);
}

static void call_fail(struct call *call, enum status status, const char *why) {
  api_write_status(call, status, why);
  call_end(call);
}

/* `request` is the first member of a call. */
static struct call *call_of(struct dkv_request *request) {
  return (struct call *)(void *)request;
}

static void answer_read(void *context) {
  struct call *call = context;
  struct httpapi *api = call->api;
  if (!http_exchange_alive(call->exchange)) {
    call_fail(call, STATUS_CLOSED, NULL);
    return;
  }
  call->finish(call);
  call_end(call);
  shrink_scratch(api);
}

/* Reading later than the state became readable is as good: the client has no answer yet. Meanwhile the call is in none
 * of the lists: its connection has it. */
static void on_readable(struct dkv_request *request, enum status status, const struct apply_result *result) {
  struct call *call = call_of(request);
  (void)result;
  if (status != STATUS_OK)
    call_fail(call, status, NULL);
  else if (http_exchange_wait_for_room(call->exchange, answer_read, call))
    list_remove(&call->link);
  else
    answer_read(call);
}

static void on_written(struct dkv_request *request, enum status status, const struct apply_result *result) {
  struct call *call = call_of(request);
  if (status != STATUS_OK) {
    call_fail(call, status, NULL);
    return;
  }
  api_write_result(call, result);
  call_end(call);
}

/* Nobody's connection waits for an asynchronous write. */
static uint64_t patience_ms(const struct call *call) {
  uint64_t timeout_ms = call->api->config->request_timeout_ms;
  bool is_async = call->request.mode == WRITE_MODE_ASYNC;
  return is_async && timeout_ms < ASYNC_WAIT_MS ? ASYNC_WAIT_MS : timeout_ms;
}

static void call_set_deadline(struct call *call) {
  const struct httpapi *api = call->api;
  call->request.wait.deadline_ms = api->now_ms(api->now_context) + patience_ms(call);
}

void call_read(struct call *call, enum read_policy policy) {
  call_set_deadline(call);
  call->request.done = on_readable;
  enum status status = dkv_read(call->api->dkv, &call->request, policy);
  if (status != STATUS_OK) call_fail(call, status, NULL);
}

void call_prepare_write(struct call *call, const struct http_message *request, bool deduped) {
  call_set_deadline(call);
  call->request.done = on_written;
  call->deduped = deduped;
  buffer_append_bytes(&call->text, request->path);
  if (request->query.len == 0) return;
  buffer_append_byte(&call->text, '?');
  buffer_append_bytes(&call->text, request->query);
}

void call_write(struct call *call, enum status status, const char *why) {
  if (status != STATUS_OK) {
    call_fail(call, status, why);
  } else if (call->request.mode == WRITE_MODE_ASYNC) {
    api_write_accepted(call);
    call_end(call);
  }
}

/* ---- dispatch ---- */

enum match { MATCH_EXACT, MATCH_PREFIX };

/* A path may match several rows: its methods are those of all of them. The hot row comes first. */
static const struct route {
  const char *path;
  size_t path_bytes;
  enum match match;
  enum http_method method; /* GET serves HEAD as well */
  const char *allow;
  api_route *handle;
} routes[] = {
#define ROUTE(path, match, method, allow, handle)                                                                      \
  { path, sizeof path - 1, match, method, allow, handle }
    ROUTE("/kv/", MATCH_PREFIX, HTTP_METHOD_GET, "GET, HEAD", route_kv_get),
    ROUTE("/kv/", MATCH_PREFIX, HTTP_METHOD_PUT, "PUT", route_kv_put),
    ROUTE("/kv/", MATCH_PREFIX, HTTP_METHOD_DELETE, "DELETE", route_kv_delete),
    ROUTE("/kv/cas", MATCH_EXACT, HTTP_METHOD_POST, "POST", route_kv_cas),
    ROUTE("/kv/mget", MATCH_EXACT, HTTP_METHOD_POST, "POST", route_kv_mget),
    ROUTE("/kv/mput", MATCH_EXACT, HTTP_METHOD_POST, "POST", route_kv_mput),
    ROUTE("/kv/mdelete", MATCH_EXACT, HTTP_METHOD_POST, "POST", route_kv_mdelete),
    ROUTE("/kv", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_kv_scan),
    ROUTE("/ops/", MATCH_PREFIX, HTTP_METHOD_GET, "GET, HEAD", route_ops_get),
    ROUTE("/healthz", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_healthz),
    ROUTE("/livez", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_healthz),
    ROUTE("/readyz", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_readyz),
    ROUTE("/status", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_status),
    ROUTE("/metrics", MATCH_EXACT, HTTP_METHOD_GET, "GET, HEAD", route_metrics),
#undef ROUTE
};
enum { ROUTES_COUNT = sizeof routes / sizeof routes[0] };
_Static_assert((int)TRAFFIC_FIRST + (int)ROUTES_COUNT <= (int)TRAFFIC_ROUTES, "each route has a place in the figures");

static bool route_matches(const struct route *route, struct bytes path) {
  if (route->match == MATCH_EXACT ? path.len != route->path_bytes : path.len < route->path_bytes) return false;
  return memcmp(path.data, route->path, route->path_bytes) == 0;
}

static void refuse_route(struct httpapi *api, struct bytes path, struct http_exchange *exchange) {
  buffer_clear(&api->value);
  for (size_t i = 0; i < ROUTES_COUNT; i++) {
    if (!route_matches(&routes[i], path)) continue;
    buffer_append_text(&api->value, api->value.len == 0 ? "" : ", ");
    buffer_append_text(&api->value, routes[i].allow);
  }
  if (api->value.len == 0) {
    api_write_error(api, exchange, ERR_NOT_FOUND, "path: no such route", 0, NULL, NULL);
    return;
  }
  api_write_not_allowed(api, exchange, buffer_view(&api->value));
}

static void handle(void *context, const struct http_message *request, struct http_exchange *exchange) {
  struct httpapi *api = context;
  enum http_method method = request->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : request->method;
  for (size_t i = 0; i < ROUTES_COUNT; i++) {
    if (routes[i].method != method || !route_matches(&routes[i], request->path)) continue;
    http_exchange_set_route(exchange, (uint32_t)(TRAFFIC_FIRST + i));
    routes[i].handle(api, request, exchange);
    shrink_scratch(api);
    return;
  }
  refuse_route(api, request->path, exchange);
}

/* An mget is a read although it is a POST. What matches no route is answered at once and may be either. */
static enum http_effect classify(void *context, const struct http_message *request) {
  (void)context;
  switch (request->method) {
  case HTTP_METHOD_PUT:
  case HTTP_METHOD_DELETE:
    return HTTP_EFFECT_WRITE;
  case HTTP_METHOD_POST:
    return bytes_equal(request->path, bytes_of("/kv/mget")) ? HTTP_EFFECT_READ : HTTP_EFFECT_WRITE;
  case HTTP_METHOD_GET:
  case HTTP_METHOD_HEAD:
  case HTTP_METHOD_OTHER:
    return HTTP_EFFECT_READ;
  }
  return HTTP_EFFECT_READ;
}

/* ---- figures ---- */

static void answered(void *context, uint32_t route, int status, uint64_t duration_us) {
  struct httpapi *api = context;
  traffic_count(&api->traffic, route, status, duration_us);
}

static const char *method_label(enum http_method method) {
  switch (method) {
  case HTTP_METHOD_GET:
  case HTTP_METHOD_HEAD:
    return "GET";
  case HTTP_METHOD_PUT:
    return "PUT";
  case HTTP_METHOD_POST:
    return "POST";
  case HTTP_METHOD_DELETE:
    return "DELETE";
  case HTTP_METHOD_OTHER:
    break;
  }
  return "";
}

static const char *path_label(const struct route *route) {
  if (route->match == MATCH_EXACT) return route->path;
  return strcmp(route->path, "/kv/") == 0 ? "/kv/{key}" : "/ops/{op_id}";
}

void httpapi_write_metrics(const struct httpapi *api, struct buffer *out) {
  struct traffic_route labels[TRAFFIC_FIRST + ROUTES_COUNT] = {
      [TRAFFIC_OTHER] = {"", "other"}, [TRAFFIC_MEMBERS] = {"POST", "/raft/{rpc}"}};
  for (size_t i = 0; i < ROUTES_COUNT; i++)
    labels[TRAFFIC_FIRST + i] = (struct traffic_route){method_label(routes[i].method), path_label(&routes[i])};
  traffic_write(&api->traffic, labels, TRAFFIC_FIRST + ROUTES_COUNT, out);
  metrics_gauge(out, "kvserver_http_requests_in_flight", "Requests for keys that are not answered yet.",
                api->calls_count);
}

void httpapi_on_metrics(struct httpapi *api, void (*write)(void *context, struct buffer *out), void *context) {
  api->write_metrics = write;
  api->metrics_context = context;
}

void httpapi_set_stopping(struct httpapi *api) {
  api->stopping = true;
}

/* ---- life ---- */

struct httpapi *httpapi_create(struct distributedkv *dkv, const struct config *config,
                               uint64_t (*now_ms)(void *context), void *now_context) {
  struct httpapi *api = xcalloc(1, sizeof *api);
  api->dkv = dkv;
  api->config = config;
  api->now_ms = now_ms;
  api->now_context = now_context;
  api->started_ms = now_ms(now_context);
  api->handler = (struct http_handler){
      .context = api, .classify = classify, .handle = handle, .error_body = api_connection_error, .answered = answered};
  list_init(&api->inflight);
  list_init(&api->idle);
  body_init(&api->body);
  buffer_init(&api->key);
  buffer_init(&api->value);
  buffer_init(&api->reply);
  buffer_init(&api->extra);
  return api;
}

void httpapi_destroy(struct httpapi *api) {
  while (!list_empty(&api->inflight)) {
    struct call *call = call_of_link(api->inflight.next);
    dkv_cancel(&call->request);
    call_fail(call, STATUS_CLOSED, NULL);
  }
  for (struct list *link = list_pop_front(&api->idle); link != NULL; link = list_pop_front(&api->idle))
    call_free(call_of_link(link));
  body_deinit(&api->body);
  buffer_deinit(&api->key);
  buffer_deinit(&api->value);
  buffer_deinit(&api->reply);
  buffer_deinit(&api->extra);
  free(api);
}

const struct http_handler *httpapi_handler(struct httpapi *api) {
  return &api->handler;
}
