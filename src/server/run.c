/* The order of one turn, made by the order in which hooks are added: the member (appends, sends, applies, answers), the
 * HTTP server (one write per connection, parses on), and last the server itself: a step of freeing, and a look at
 * whether the node got work from what was parsed on, which must not wait for a next event. */
#include "server/run.h"

#include "base/check.h"
#include "httpapi/httpapi.h"
#include "io/http_server.h"
#include "raft/transporthttp/link.h"
#include "raft/transporthttp/routes.h"
#include "server/jobs.h"
#include "server/member.h"

#include <stdlib.h>

/* Pieces of dead state freed per turn: far below a millisecond, and more than one turn of writes leaves behind. */
enum { RECLAIM_STEPS_PER_TURN = 512 };

struct server {
  struct io_loop *loop;
  struct config config;
  struct kvsm *sm;
  struct member *member; /* NULL when the node is the caller's */
  struct distributedkv dkv;
  struct httpapi *api;
  struct http_handler handler;      /* the API's, and the member's for what comes from other members */
  struct http_limits limits;        /* of clients */
  struct http_limits member_limits; /* of other members */
  struct http_server *http;         /* NULL when opening failed */
  struct io_hook hook;
  struct jobs jobs;
  void (*stopped)(void *context); /* set while stopping */
  void *stopped_context;
  uint32_t grace_ms; /* of server_stop */
};

static uint64_t loop_now_ms(void *context) {
  return io_loop_now_ms(context);
}

static void on_turn_end(struct io_hook *hook) {
  struct server *server = (struct server *)(void *)((char *)hook - offsetof(struct server, hook));
  bool more = kvsm_reclaim(server->sm, RECLAIM_STEPS_PER_TURN);
  if (more || (server->member != NULL && member_pending(server->member))) io_loop_wake(server->loop);
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
  if (is_for_member(server, request->path))
    member_handle(server->member, request, exchange);
  else
    api->handle(api->context, request, exchange);
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

static void init_server(struct server *server, struct io_loop *loop, const struct config *config) {
  server->loop = loop;
  server->config = *config;
  server->handler = (struct http_handler){.context = server,
                                          .classify = classify,
                                          .handle = handle,
                                          .error_body = error_body,
                                          .limits_of = config->members_count > 1 ? limits_of : NULL};
  server->hook.run = on_turn_end;
  server->sm = kvsm_create();
  jobs_init(&server->jobs, loop, server->sm);
}

static void free_state(void *context) {
  struct server *server = context;
  kvsm_destroy(server->sm);
  free(server);
}

/* What needs the node, in the order in which hooks must be added. */
static enum status open_server(struct server *server, struct raft_node *node, struct error *err) {
  const struct config *config = &server->config;
  dkv_init(&server->dkv, node, server->sm, config->read_policy, config->write_mode);
  server->api = httpapi_create(&server->dkv, config, loop_now_ms, server->loop);
  enum status status = open_http(server, err);
  io_hook_add(server->loop, &server->hook);
  return status;
}

enum status server_start(struct io_loop *loop, const struct config *config, struct raft_node *node, struct server **out,
                         struct error *err) {
  struct server *server = xcalloc(1, sizeof *server);
  init_server(server, loop, config);
  if (node == NULL) {
    enum status status = member_create(loop, &server->config, server->sm, &server->member, err);
    if (status != STATUS_OK) {
      jobs_close(&server->jobs, free_state, server);
      return status;
    }
    node = member_base(server->member);
  }
  enum status status = open_server(server, node, err);
  if (status == STATUS_OK)
    *out = server;
  else
    server_destroy(server);
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

static void on_drained(void *context) {
  struct server *server = context;
  void (*stopped)(void *) = server->stopped;
  server->stopped = NULL;
  stopped(server->stopped_context);
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
  if (server->member == NULL || !member_leave(server->member, drain, server)) drain(server);
}

/* Connections first, so that the answers to what is cancelled have nowhere to go; the state last, since a job may still
 * look at it. */
void server_destroy(struct server *server) {
  if (server->http != NULL) http_server_close(server->http);
  httpapi_destroy(server->api);
  io_hook_remove(&server->hook);
  if (server->member != NULL) member_destroy(server->member);
  dkv_deinit(&server->dkv);
  if (server->stopped != NULL) on_drained(server);
  jobs_close(&server->jobs, free_state, server);
}

enum status server_snapshot(struct server *server, const char *path, server_job_done *done, void *context) {
  return jobs_snapshot(&server->jobs, path, done, context);
}

enum status server_restore(struct server *server, const char *path, server_job_done *done, void *context) {
  if (server->member != NULL) return STATUS_INVALID;
  return jobs_restore(&server->jobs, path, done, context);
}
