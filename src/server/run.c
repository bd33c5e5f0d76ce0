/* The order of one turn, made by the order in which hooks are added: the member (appends, sends, applies, answers), the
 * HTTP server (one write per connection, parses on), and last the server itself: a step of freeing, and a look at
 * whether the node got work from what was parsed on, which must not wait for a next event. */
#include "server/run.h"

#include "base/check.h"
#include "httpapi/httpapi.h"
#include "httpapi/traffic.h"
#include "io/http_server.h"
#include "raft/node.h"
#include "raft/transporthttp/link.h"
#include "raft/transporthttp/routes.h"
#include "server/fresh.h"
#include "server/member.h"
#include "server/scrape.h"

#include <stdlib.h>

/* Pieces of dead state freed per turn: far below a millisecond, and more than one turn of writes leaves behind. */
enum { RECLAIM_STEPS_PER_TURN = 512 };

/* A turn that takes this long delays everybody, heartbeats too, and the log says so. */
enum { SLOW_TURN_MS = 50 };

struct server {
  struct io_loop *loop;
  struct config config;
  struct kvsm *sm;
  struct raft_node *node;  /* the caller's, or the member's */
  struct storage *storage; /* NULL when the node is the caller's */
  struct member *member;   /* NULL when the node is the caller's, or nothing is served yet */
  struct distributedkv dkv;
  struct httpapi *api;              /* NULL: nothing is served yet */
  struct http_handler handler;      /* the API's, and the member's for what comes from other members */
  struct http_limits limits;        /* of clients */
  struct http_limits member_limits; /* of other members */
  struct http_server *http;         /* NULL when opening failed */
  struct io_hook hook;
  void (*failed)(void *context); /* NULL: nobody wants to know, or was told */
  void *failed_context;
  void (*stopped)(void *context); /* set while stopping */
  void *stopped_context;
  uint32_t grace_ms; /* of server_stop */
  bool clean;        /* it was stopped, and that is over */
};

static uint64_t loop_now_ms(void *context) {
  return io_loop_now_ms(context);
}

static void tell_failure(struct server *server) {
  if (server->failed == NULL || server_failure(server) == NULL) return;
  void (*failed)(void *) = server->failed;
  server->failed = NULL;
  failed(server->failed_context);
}

static void on_turn_end(struct io_hook *hook) {
  struct server *server = (struct server *)(void *)((char *)hook - offsetof(struct server, hook));
  dkv_expire(&server->dkv);
  bool more = kvsm_reclaim(server->sm, RECLAIM_STEPS_PER_TURN);
  if (more || (server->member != NULL && member_pending(server->member))) io_loop_wake(server->loop);
  tell_failure(server);
}

/* ---- requests: from clients, or from other members ---- */

static bool is_for_member(const struct server *server, struct bytes path) {
  return server->member != NULL && raft_routes_match(path);
}

static enum http_effect classify(void *context, const struct http_message *request) {
  struct server *server = context;
  const struct http_handler *api = httpapi_handler(server->api);
  return is_for_member(server, request->path) ? HTTP_EFFECT_WRITE : api->classify(api->context, request);
}

static void handle(void *context, const struct http_message *request, struct http_exchange *exchange) {
  struct server *server = context;
  const struct http_handler *api = httpapi_handler(server->api);
  if (is_for_member(server, request->path)) {
    http_exchange_set_route(exchange, TRAFFIC_MEMBERS);
    member_handle(server->member, request, exchange);
  } else {
    api->handle(api->context, request, exchange);
  }
}

static uint64_t clock_us(void *context) {
  (void)context;
  return io_clock_us();
}

static void answered(void *context, uint32_t route, int status, uint64_t duration_us) {
  struct server *server = context;
  const struct http_handler *api = httpapi_handler(server->api);
  api->answered(api->context, route, status, duration_us);
}

static void error_body(void *context, int status, const char *text, struct buffer *out) {
  struct server *server = context;
  const struct http_handler *api = httpapi_handler(server->api);
  api->error_body(api->context, status, text, out);
}

/* Clients' limits act at admission only: what one member has admitted must reach every other, and in its own time. */
static const struct http_limits *limits_of(void *context, struct bytes path) {
  struct server *server = context;
  return is_for_member(server, path) ? &server->member_limits : &server->limits;
}

/* ---- life ---- */

static enum status open_http(struct server *server, struct error *err) {
  const struct config *config = &server->config;
  server->limits = (struct http_limits){.body_bytes_max = config->body_bytes_max,
                                        .request_timeout_ms = config->request_timeout_ms,
                                        .idle_timeout_ms = config->idle_timeout_ms};
  server->member_limits = (struct http_limits){.body_bytes_max = RAFT_BODY_BYTES_MAX,
                                               .request_timeout_ms = RAFT_BODY_BYTES_MAX / LINK_BYTES_PER_MS_MIN,
                                               .idle_timeout_ms = config->idle_timeout_ms,
                                               .is_member = true};
  enum status status = http_server_open(server->loop, config->listen_host, config->listen_port, config->connections_max,
                                        &server->handler, &server->limits, &server->http, err);
  if (status != STATUS_OK) return status;
  server->config.listen_port = http_server_port(server->http);
  if (server->member != NULL && config->members_count == 1) member_set_port(server->member, config->listen_port);
  return STATUS_OK;
}

struct server *server_create(struct io_loop *loop, const struct config *config, struct raft_node *node) {
  struct server *server = xcalloc(1, sizeof *server);
  server->loop = loop;
  server->config = *config;
  server->node = node;
  server->handler = (struct http_handler){.context = server,
                                          .classify = classify,
                                          .handle = handle,
                                          .error_body = error_body,
                                          .limits_of = config->members_count > 1 ? limits_of : NULL,
                                          .clock_us = clock_us,
                                          .answered = answered};
  server->hook.run = on_turn_end;
  server->hook.name = "reclaim";
  server->sm = kvsm_create();
  if (node == NULL) server->storage = storage_create(&server->config);
  return server;
}

enum status server_open(struct server *server, struct error *err) {
  return server->storage != NULL ? storage_open(server->storage, &server->config, server->sm, err) : STATUS_OK;
}

void server_stop_opening(struct server *server) {
  storage_stop_opening(server->storage);
}

uint64_t server_opening_bytes(const struct server *server) {
  return storage_opening_bytes(server->storage);
}

static enum status create_member(struct server *server, struct error *err) {
  enum status status = member_create(server->loop, &server->config, server->storage, server->sm, &server->member, err);
  if (status == STATUS_OK) server->node = member_base(server->member);
  return status;
}

static void write_metrics(void *context, struct buffer *out) {
  struct server *server = context;
  struct scrape scrape = {.config = &server->config,
                          .loop = server->loop,
                          .dkv = &server->dkv,
                          .http = server->http,
                          .member = server->member,
                          .storage = server->storage,
                          .stopping = server->stopped != NULL};
  scrape_write(&scrape, out);
}

static void init_dkv(struct server *server) {
  const struct config *config = &server->config;
  const struct dkv_options options = {.read_policy = config->read_policy,
                                      .write_mode = config->write_mode,
                                      .async_result_ttl_seconds = config->async_result_ttl_seconds,
                                      .async_ops_max = config->async_ops_max,
                                      .id = config->id,
                                      .incarnation = fresh_number(),
                                      .now_ms = loop_now_ms,
                                      .now_context = server->loop};
  dkv_init(&server->dkv, server->node, server->sm, &options);
}

/* In the order in which hooks must be added. */
enum status server_serve(struct server *server, struct error *err) {
  const struct config *config = &server->config;
  enum status status = server->node == NULL ? create_member(server, err) : STATUS_OK;
  if (status != STATUS_OK) return status;
  init_dkv(server);
  server->api = httpapi_create(&server->dkv, config, loop_now_ms, server->loop);
  httpapi_on_metrics(server->api, write_metrics, server);
  status = open_http(server, err);
  io_loop_tell_slow(server->loop, SLOW_TURN_MS);
  io_hook_add(server->loop, &server->hook);
  return status;
}

uint16_t server_port(const struct server *server) {
  return server->config.listen_port;
}

struct kvsm *server_kvsm(struct server *server) {
  return server->sm;
}

const struct config *server_config(const struct server *server) {
  return &server->config;
}

void server_status(const struct server *server, struct raft_status *status, struct leader_hint *leader) {
  struct raft_node *node = server->dkv.node;
  node->ops->status(node, status);
  node->ops->leader_hint(node, leader);
}

void server_durations(const struct server *server, struct server_durations *out) {
  static const struct histogram none;
  const struct wal_figures *log = server->storage != NULL ? storage_figures(server->storage) : NULL;
  const struct raftnode_figures *raft = server->member != NULL ? raftnode_figures(member_node(server->member)) : NULL;
  *out = (struct server_durations){.fsync = log != NULL ? &log->sync : &none,
                                   .commit = raft != NULL ? &raft->commit : &none,
                                   .apply = raft != NULL ? &raft->apply : &none,
                                   .turn = io_loop_turns(server->loop)};
}

enum status server_create_snapshot(struct server *server) {
  return server->member != NULL ? member_create_snapshot(server->member) : STATUS_INVALID;
}

enum status server_transfer(struct server *server, const char *id) {
  return server->member != NULL ? member_transfer(server->member, id) : STATUS_NOT_FOUND;
}

struct fault_transport *server_fault_transport(struct server *server) {
  return server->member != NULL ? member_fault_transport(server->member) : NULL;
}

struct fault_disk *server_fault_disk(struct server *server) {
  return server->storage != NULL ? storage_fault_disk(server->storage) : NULL;
}

enum status server_read_log(struct server *server, uint64_t from, uint64_t to, uint64_t bytes_max, log_visit *visit,
                            void *context) {
  if (server->member == NULL) return STATUS_NOT_FOUND;
  struct log_store *log = storage_base(server->storage)->log;
  uint64_t first = log->ops->first_index(log);
  uint64_t last = log->ops->last_index(log);
  if (from < first) from = first;
  if (to > last) to = last;
  if (from > to) return STATUS_NOT_FOUND;
  return log->ops->read_range(log, from, log->ops->batch_end(log, from, to, bytes_max), visit, context);
}

const char *server_failure(const struct server *server) {
  return server->member != NULL ? member_failure(server->member) : NULL;
}

void server_on_failed(struct server *server, void (*failed)(void *context), void *context) {
  server->failed = failed;
  server->failed_context = context;
}

static void end_stop(struct server *server) {
  void (*stopped)(void *) = server->stopped;
  server->stopped = NULL;
  stopped(server->stopped_context);
}

static void on_drained(void *context) {
  struct server *server = context;
  server->clean = true;
  end_stop(server);
}

static void drain(void *context) {
  struct server *server = context;
  http_server_drain(server->http, io_loop_now_ms(server->loop) + server->grace_ms, on_drained, server);
}

void server_stop(struct server *server, uint32_t grace_ms, void (*stopped)(void *context), void *context) {
  CHECK(server->stopped == NULL);
  server->stopped = stopped;
  server->stopped_context = context;
  server->grace_ms = grace_ms;
  httpapi_set_stopping(server->api); /* before it hands over: whoever balances load has that long to look elsewhere */
  if (server->member == NULL || !member_leave(server->member, drain, server)) drain(server);
}

/* Connections first, so that the answers to what is cancelled have nowhere to go. */
static void stop_serving(struct server *server) {
  if (server->http != NULL) http_server_close(server->http);
  httpapi_destroy(server->api);
  io_hook_remove(&server->hook);
  if (server->member != NULL) member_destroy(server->member);
  dkv_deinit(&server->dkv);
  if (server->stopped != NULL) end_stop(server);
}

void server_destroy(struct server *server) {
  if (server->api != NULL) stop_serving(server);
  if (server->storage != NULL) storage_close(server->storage, server->clean);
  kvsm_destroy(server->sm);
  free(server);
}
