/* The order of one turn, made by the order in which hooks are added: the local node (applies, answers), the HTTP server
 * (one write per connection, parses on), and last the server itself: a step of freeing, and a look at whether the node
 * got work from what was parsed on, which must not wait for a next event. */
#include "server/run.h"

#include "base/check.h"
#include "httpapi/httpapi.h"
#include "io/http_server.h"
#include "server/jobs.h"
#include "server/local_node.h"

#include <stdio.h>
#include <stdlib.h>

/* Pieces of dead state freed per turn: far below a millisecond, and more than one turn of writes leaves behind. */
enum { RECLAIM_STEPS_PER_TURN = 512 };

struct server {
  struct io_loop *loop;
  struct config config;
  struct kvsm *sm;
  struct local_node *local; /* NULL when the node is the caller's */
  struct distributedkv dkv;
  struct httpapi *api;
  struct http_limits limits;
  struct http_server *http; /* NULL when opening failed */
  struct io_hook hook;
  struct jobs jobs;
  void (*stopped)(void *context); /* set while stopping */
  void *stopped_context;
};

static uint64_t loop_now_ms(void *context) {
  return io_loop_now_ms(context);
}

static void on_turn_end(struct io_hook *hook) {
  struct server *server = (struct server *)(void *)((char *)hook - offsetof(struct server, hook));
  bool more = kvsm_reclaim(server->sm, RECLAIM_STEPS_PER_TURN);
  if (more || (server->local != NULL && local_node_pending(server->local))) io_loop_wake(server->loop);
}

static void set_address(struct server *server) {
  char address[sizeof((struct leader_hint *)0)->leader_addr];
  const char *host = server->config.listen_host;
  bool is_ipv6 = strchr(host, ':') != NULL;
  snprintf(address, sizeof address, is_ipv6 ? "[%s]:%u" : "%s:%u", host, (unsigned)server->config.listen_port);
  local_node_set_address(server->local, address);
}

static enum status open_http(struct server *server, struct error *err) {
  const struct config *config = &server->config;
  server->limits = (struct http_limits){.body_bytes_max = config->body_bytes_max,
                                        .request_timeout_ms = config->request_timeout_ms,
                                        .idle_timeout_ms = config->idle_timeout_ms};
  enum status status = http_server_open(server->loop, config->listen_host, config->listen_port, config->connections_max,
                                        httpapi_handler(server->api), &server->limits, &server->http, err);
  if (status == STATUS_OK) server->config.listen_port = http_server_port(server->http);
  return status;
}

enum status server_start(struct io_loop *loop, const struct config *config, struct raft_node *node, struct server **out,
                         struct error *err) {
  struct server *server = xcalloc(1, sizeof *server);
  server->loop = loop;
  server->config = *config;
  server->sm = kvsm_create();
  jobs_init(&server->jobs, loop, server->sm);
  if (node == NULL) {
    server->local = local_node_create(loop, server->sm, config->id);
    node = local_node_base(server->local);
  }
  dkv_init(&server->dkv, node, server->sm, config->read_policy, config->write_mode);
  server->api = httpapi_create(&server->dkv, &server->config, loop_now_ms, loop);
  enum status status = open_http(server, err);
  server->hook.run = on_turn_end;
  io_hook_add(loop, &server->hook);
  if (status != STATUS_OK) {
    server_destroy(server);
    return status;
  }
  if (server->local != NULL) set_address(server);
  *out = server;
  return STATUS_OK;
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

static void on_drained(void *context) {
  struct server *server = context;
  void (*stopped)(void *) = server->stopped;
  server->stopped = NULL;
  stopped(server->stopped_context);
}

void server_stop(struct server *server, uint32_t grace_ms, void (*stopped)(void *context), void *context) {
  CHECK(server->stopped == NULL);
  server->stopped = stopped;
  server->stopped_context = context;
  http_server_drain(server->http, io_loop_now_ms(server->loop) + grace_ms, on_drained, server);
}

static void free_state(void *context) {
  struct server *server = context;
  kvsm_destroy(server->sm);
  free(server);
}

/* Connections first, so that the answers to what is cancelled have nowhere to go; the state last, since a job may still
 * look at it. */
void server_destroy(struct server *server) {
  if (server->http != NULL) http_server_close(server->http);
  httpapi_destroy(server->api);
  io_hook_remove(&server->hook);
  if (server->local != NULL) local_node_destroy(server->local);
  dkv_deinit(&server->dkv);
  if (server->stopped != NULL) on_drained(server);
  jobs_close(&server->jobs, free_state, server);
}

enum status server_snapshot(struct server *server, const char *path, server_job_done *done, void *context) {
  return jobs_snapshot(&server->jobs, path, done, context);
}

enum status server_restore(struct server *server, const char *path, server_job_done *done, void *context) {
  return jobs_restore(&server->jobs, path, done, context);
}
