/* Requests are encoded at once and leave together at the end of the turn (deferred), after the turn's callbacks: so a
 * FIN that the server sent between requests is met before the next request is written, and leads to a new connection
 * instead of a lost request. As long as nothing of what is queued was sent, a connection may end without harm. */
#include "io/http_client.h"

#include "base/check.h"
#include "io/loop_internal.h"
#include "types/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  FAIL_TEXT_MAX = 160,
  OUT_BYTES_KEPT = 65536 /* of the output buffer while nothing is to be sent */
};

struct http_client {
  struct io_loop *loop;
  char *host;
  uint16_t port;
  char host_header[288]; /* HOST:PORT */
  uint64_t body_bytes_max;
  struct io_tcp *tcp;         /* NULL: not connected */
  bool connected;             /* tcp is open, not on its way */
  bool proven;                /* tcp has brought an answer */
  struct http_parser *parser; /* owned; NULL before the first connection; of the present or last one */
  struct buffer out;          /* encoded requests that are not wholly sent */
  size_t out_sent;            /* the first bytes of `out`, already gone */
  struct list requests;       /* struct request, oldest first, owned */
  size_t requests_count;
  size_t requests_bytes;  /* encoded bytes of all of them; equal to out.len when nothing was sent */
  struct io_hook flush;   /* deferred while `out` has something new */
  struct io_timer *timer; /* owned; stands on the nearest deadline */
  bool *destroyed;        /* set by destroy for a caller further up the stack; NULL when there is none */
};

struct request {
  struct list link; /* first member */
  http_client_done *done;
  void *context;
  uint64_t deadline_ms;
  size_t bytes; /* encoded */
  bool head;    /* its response has no body */
};

static struct request *first_request(const struct http_client *client) {
  return (struct request *)client->requests.next;
}

static void request_end(struct http_client *client, struct request *request, enum status status,
                        const struct http_message *response, const char *why) {
  list_remove(&request->link);
  client->requests_count--;
  client->requests_bytes -= request->bytes;
  request->done(request->context, status, response, why);
  free(request);
}

static void arm_timer(struct http_client *client) {
  uint64_t nearest = UINT64_MAX;
  for (struct list *item = client->requests.next; item != &client->requests; item = item->next) {
    const struct request *request = (const struct request *)item;
    if (request->deadline_ms < nearest) nearest = request->deadline_ms;
  }
  if (nearest == UINT64_MAX) {
    io_timer_disarm(client->timer);
    return;
  }
  uint64_t now = io_loop_now_ms(client->loop);
  io_timer_arm(client->timer, nearest > now ? nearest - now : 0);
}

static void disconnect(struct http_client *client) {
  if (client->tcp != NULL) io_tcp_close(client->tcp);
  client->tcp = NULL;
  client->connected = false;
  client->proven = false;
}

/* Closes the connection and ends what is in flight; requests that a `done` adds meanwhile are not meant. Overdue ones
 * end with STATUS_TIMEOUT, the others with `status`. The client may be destroyed afterwards. */
static void fail_all(struct http_client *client, enum status status, const char *why) {
  struct list failed;
  uint64_t now = io_loop_now_ms(client->loop);
  disconnect(client);
  buffer_clear(&client->out);
  client->out_sent = 0;
  list_init(&failed);
  struct list *item;
  while ((item = list_pop_front(&client->requests)) != NULL)
    list_push_back(&failed, item);
  client->requests_count = 0;
  client->requests_bytes = 0;
  io_timer_disarm(client->timer);
  while ((item = list_pop_front(&failed)) != NULL) {
    struct request *request = (struct request *)item;
    bool overdue = request->deadline_ms <= now;
    request->done(request->context, overdue ? STATUS_TIMEOUT : status, NULL, overdue ? "deadline passed" : why);
    free(request);
  }
}

static void connect_now(struct http_client *client);

/* The connection is over. If it had worked and nothing of what is queued was sent, that goes on with a new one. */
static void connection_lost(struct http_client *client, enum status status, const char *why) {
  bool untouched = client->proven && client->requests_count > 0 && client->out_sent == 0 &&
                   client->out.len == client->requests_bytes;
  disconnect(client);
  if (untouched)
    connect_now(client);
  else
    fail_all(client, status, why);
}

/* True when the client goes on with this connection. */
static bool take_response(struct http_client *client) {
  const struct http_message *response = http_parser_message(client->parser);
  if (response->status < 200 && response->status != 101) return true; /* 100, 103: the real one follows */
  bool keep_alive = response->keep_alive;
  client->proven = true;
  bool destroyed = false;
  client->destroyed = &destroyed;
  request_end(client, first_request(client), STATUS_OK, response, "");
  if (destroyed) return false;
  client->destroyed = NULL;
  arm_timer(client);
  if (client->tcp == NULL) return false;
  if (keep_alive) return true;
  connection_lost(client, STATUS_CLOSED, "the server closed the connection");
  return false;
}

static void on_data(void *context, struct bytes data) {
  struct http_client *client = context;
  while (data.len > 0) {
    if (list_empty(&client->requests)) { /* nobody asked: a 408 for an idle connection, or worse */
      fail_all(client, STATUS_CLOSED, "");
      return;
    }
    if (first_request(client)->head && !http_parser_in_message(client->parser)) http_parser_expect_head(client->parser);
    size_t consumed = 0;
    enum http_progress progress = http_parser_feed(client->parser, data, &consumed);
    data = bytes_make(data.data + consumed, data.len - consumed);
    if (progress == HTTP_NEED_MORE) return;
    if (progress == HTTP_FAILED) {
      char why[FAIL_TEXT_MAX]; /* the parser goes when a `done` destroys the client */
      snprintf(why, sizeof why, "bad response: %s", http_parser_fail_text(client->parser));
      fail_all(client, STATUS_CLOSED, why);
      return;
    }
    if (!take_response(client)) return;
  }
}

static void on_end(void *context) {
  struct http_client *client = context;
  if (!list_empty(&client->requests) && http_parser_finish(client->parser) == HTTP_MESSAGE) {
    if (!take_response(client)) return;
  }
  connection_lost(client, STATUS_CLOSED, "the server closed the connection");
}

static void on_closed(void *context, const char *why) {
  struct http_client *client = context;
  connection_lost(client, client->connected ? STATUS_CLOSED : STATUS_IO, why);
}

static void send_out(struct http_client *client) {
  struct bytes unsent = bytes_make(client->out.data + client->out_sent, client->out.len - client->out_sent);
  client->out_sent += io_tcp_write(client->tcp, unsent);
  if (client->out_sent * 2 < client->out.len) return; /* moving the rest to the front costs less than was sent */
  buffer_consume(&client->out, client->out_sent);
  client->out_sent = 0;
  if (client->out.len == 0) buffer_shrink(&client->out, OUT_BYTES_KEPT);
}

static void on_writable(void *context) {
  struct http_client *client = context;
  client->connected = true;
  send_out(client);
}

static const struct io_tcp_events events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed, .on_writable = on_writable};

static void connect_now(struct http_client *client) {
  if (client->parser != NULL) http_parser_destroy(client->parser);
  client->parser = http_parser_create(HTTP_RESPONSES, client->body_bytes_max);
  client->tcp = io_connect(client->loop, client->host, client->port, &events, client);
}

static void on_flush(struct io_hook *hook) {
  struct http_client *client = (struct http_client *)((char *)hook - offsetof(struct http_client, flush));
  if (client->out.len == 0) return;
  if (client->tcp == NULL)
    connect_now(client);
  else
    send_out(client);
}

static void on_timeout(void *context) {
  struct http_client *client = context;
  uint64_t now = io_loop_now_ms(client->loop);
  for (struct list *item = client->requests.next; item != &client->requests; item = item->next) {
    if (((const struct request *)item)->deadline_ms > now) continue;
    fail_all(client, STATUS_CLOSED, "closed after the deadline of another request");
    return;
  }
  arm_timer(client);
}

struct http_client *http_client_create(struct io_loop *loop, const char *host, uint16_t port, uint64_t body_bytes_max) {
  struct http_client *client = xcalloc(1, sizeof *client);
  client->loop = loop;
  client->host = xmalloc(strlen(host) + 1);
  memcpy(client->host, host, strlen(host) + 1);
  client->port = port;
  bool ipv6 = strchr(host, ':') != NULL;
  snprintf(client->host_header, sizeof client->host_header, "%s%s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
           (unsigned)port);
  client->body_bytes_max = body_bytes_max;
  buffer_init(&client->out);
  list_init(&client->requests);
  list_init(&client->flush.link);
  client->flush.run = on_flush;
  client->flush.name = "requests";
  client->timer = io_timer_create(loop, on_timeout, client);
  return client;
}

void http_client_destroy(struct http_client *client) {
  if (client->destroyed != NULL) *client->destroyed = true;
  list_remove(&client->flush.link);
  fail_all(client, STATUS_CLOSED, "the client was closed");
  CHECK(list_empty(&client->requests)); /* no `done` sends on a client that goes away */
  if (client->parser != NULL) http_parser_destroy(client->parser);
  io_timer_destroy(client->timer);
  buffer_deinit(&client->out);
  free(client->host);
  free(client);
}

enum status http_client_send(struct http_client *client, const char *method, struct bytes target, struct bytes extra,
                             struct bytes body, uint64_t timeout_ms, http_client_done *done, void *context) {
  if (client->requests_count >= HTTP_PIPELINE_MAX) return STATUS_OVERLOADED;
  struct request *request = xcalloc(1, sizeof *request);
  size_t before = client->out.len;
  http_encode_request(&client->out, method, target, bytes_of(client->host_header), extra, body);
  request->bytes = client->out.len - before;
  request->done = done;
  request->context = context;
  request->deadline_ms = io_loop_now_ms(client->loop) + timeout_ms;
  request->head = strcmp(method, "HEAD") == 0;
  list_push_back(&client->requests, &request->link);
  client->requests_count++;
  client->requests_bytes += request->bytes;
  arm_timer(client);
  if (list_empty(&client->flush.link)) io_defer(client->loop, &client->flush);
  return STATUS_OK;
}

void http_client_flush(struct http_client *client) {
  if (list_empty(&client->flush.link)) return;
  list_remove(&client->flush.link);
  on_flush(&client->flush);
}
