#include "raft/transporthttp/transporthttp.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/prng.h"
#include "io/loop.h"
#include "raft/transporthttp/link.h"
#include "raft/transporthttp/routes.h"

struct transporthttp {
  struct raft_transport base; /* first member */
  struct io_loop *loop;
  const struct cluster *cluster;
  bool started;
  struct transporthttp_events events;
  struct raft_routes *routes;
  struct link *links[RAFT_NODES_MAX]; /* NULL: this node itself */
  /* Pieces of snapshots have a connection of their own: answers come in the order of the requests, and heartbeats must
   * not wait for a disk that takes a piece in. */
  struct link *install_links[RAFT_NODES_MAX];
};

static struct transporthttp *transport_of(struct raft_transport *base) {
  return (struct transporthttp *)(void *)base;
}

/* ---- to the node ---- */

static void on_request(void *context, const struct raft_message *message, struct bytes entries, void *token) {
  struct transporthttp *transport = context;
  if (!transport->started) {
    raft_routes_reply(transport->routes, token, NULL);
    return;
  }
  transport->events.receive(transport->events.context, message, entries, token, io_loop_now_ms(transport->loop));
}

static void on_reply(void *context, const struct raft_message *reply) {
  struct transporthttp *transport = context;
  transport->events.receive(transport->events.context, reply, bytes_make(NULL, 0), NULL,
                            io_loop_now_ms(transport->loop));
}

static void on_down(void *context, uint8_t peer) {
  struct transporthttp *transport = context;
  transport->events.peer_down(transport->events.context, peer, io_loop_now_ms(transport->loop));
}

/* ---- from the node ---- */

static void transport_send(struct raft_transport *base, const struct raft_message *message, struct bytes entries) {
  struct transporthttp *transport = transport_of(base);
  CHECK(message->to < transport->cluster->members_count && message->to != transport->cluster->self);
  if (!transport->started) return;
  struct link **links = message->type == RAFT_INSTALL ? transport->install_links : transport->links;
  link_send(links[message->to], message, entries);
}

static void transport_reply(struct raft_transport *base, void *token, const struct raft_message *message) {
  raft_routes_reply(transport_of(base)->routes, token, message);
}

static const struct raft_transport_ops ops = {.send = transport_send, .reply = transport_reply};

/* ---- life ---- */

static void create_links(struct transporthttp *transport, const struct transporthttp_options *options) {
  struct link_events events = {transport, on_reply, on_down};
  struct link_options link = {
      .loop = options->loop, .cluster = options->cluster, .json = options->json, .timeout_ms = options->timeout_ms};
  struct prng seeds;
  prng_init(&seeds, options->seed);
  for (uint8_t peer = 0; peer < options->cluster->members_count; peer++) {
    if (peer == options->cluster->self) continue;
    link.peer = peer;
    link.seed = prng_next(&seeds);
    transport->links[peer] = link_create(&link, &events);
    link.seed = prng_next(&seeds);
    transport->install_links[peer] = link_create(&link, &events);
  }
}

struct transporthttp *transporthttp_create(const struct transporthttp_options *options) {
  struct transporthttp *transport = xcalloc(1, sizeof *transport);
  struct raft_routes_events events = {transport, on_request};
  transport->base.ops = &ops;
  transport->loop = options->loop;
  transport->cluster = options->cluster;
  transport->routes = raft_routes_create(options->loop, options->cluster, &events);
  create_links(transport, options);
  return transport;
}

void transporthttp_destroy(struct transporthttp *transport) {
  for (uint8_t peer = 0; peer < transport->cluster->members_count; peer++) {
    if (peer == transport->cluster->self) continue;
    link_destroy(transport->links[peer]);
    link_destroy(transport->install_links[peer]);
  }
  raft_routes_destroy(transport->routes);
  free(transport);
}

struct raft_transport *transporthttp_base(struct transporthttp *transport) {
  return &transport->base;
}

void transporthttp_start(struct transporthttp *transport, const struct transporthttp_events *events) {
  transport->events = *events;
  transport->started = true;
}

void transporthttp_flush(struct transporthttp *transport) {
  for (uint8_t peer = 0; peer < transport->cluster->members_count; peer++) {
    if (peer == transport->cluster->self) continue;
    link_flush(transport->links[peer]);
    link_flush(transport->install_links[peer]);
  }
}

void transporthttp_handle(struct transporthttp *transport, const struct http_message *request,
                          struct http_exchange *exchange) {
  raft_routes_handle(transport->routes, request, exchange);
}
