/* Callbacks only feed: bytes into http_connection_feed, and the connection onto the ready list. The hook at the end of
 * the turn, after the node has applied and answered, gives each connection on the list one resume and one write.
 *
 * Deadlines: one timer for all, which stands on the nearest deadline that the last scan or a flush since then has seen.
 * Deadlines move away far more often than they pass, so it mostly fires early, scans, and finds a later one; scans keep
 * a distance, so that many deadlines that pass one by one do not make a scan each. */
#include "io/http_server.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/resource.h>

enum {
  DRAIN_TURNS = 4,       /* before idle connections close: what their clients have sent by then is still answered */
  SCAN_DISTANCE_MS = 50, /* between two scans of all connections for passed deadlines */
  OTHER_FILES = 256      /* descriptors that the process needs beside those of clients */
};

struct http_server {
  struct io_hook end_of_turn; /* first member: its address is the server's */
  struct io_loop *loop;
  struct io_listener *listener; /* owned; NULL while draining */
  uint16_t port;
  const struct http_handler *handler;
  const struct http_limits *limits;
  struct list connections; /* struct connection by `link`, owned */
  struct list ready;       /* struct connection by `ready`: to be flushed at the end of the turn */
  size_t connections_count;
  size_t connections_max;
  size_t member_connections; /* beyond it, for members of the cluster only */
  uint64_t accepted;
  uint64_t refused;
  bool overload_logged; /* since the last accepted connection */
  bool flushing;        /* end_of_turn goes through the ready list */
  struct io_timer *scan_timer;
  uint64_t scan_at_ms; /* what scan_timer is armed for; UINT64_MAX when it is not */
  uint64_t scanned_at_ms;
  struct io_timer *drain_timer;   /* owned; cuts what is left */
  int drain_turns;                /* until connections are drained; 0: they are, or nobody drains */
  void (*drained)(void *context); /* NULL when not draining, or told */
  void *drained_context;
};

struct connection {
  struct list link;  /* first member: its address is the connection's */
  struct list ready; /* self-linked when not on the ready list */
  struct http_server *server;
  struct io_tcp *tcp;
  struct http_connection *http;
  uint64_t stalled_until_ms; /* the client must have taken some output by then; UINT64_MAX when none waits */
};

static void mark_ready(struct connection *connection) {
  if (list_empty(&connection->ready)) list_push_back(&connection->server->ready, &connection->ready);
}

/* The socket goes its own way before. */
static void connection_free(struct connection *connection) {
  list_remove(&connection->link);
  list_remove(&connection->ready);
  connection->server->connections_count--;
  http_connection_destroy(connection->http);
  free(connection);
}

static void connection_cut(struct connection *connection) {
  io_tcp_close(connection->tcp);
  connection_free(connection);
}

static void on_data(void *context, struct bytes data) {
  struct connection *connection = context;
  http_connection_feed(connection->http, data, io_loop_now_ms(connection->server->loop));
  mark_ready(connection);
}

static void on_end(void *context) {
  struct connection *connection = context;
  http_connection_end(connection->http, io_loop_now_ms(connection->server->loop));
  mark_ready(connection);
}

static void on_closed(void *context, const char *why) {
  (void)why; /* clients come and go */
  connection_cut(context);
}

static void on_writable(void *context) {
  mark_ready(context);
}

/* An answer is ready. It may come from the hook of somebody behind us, or between turns: then the next turn, at once.
 */
static void on_answer(void *context) {
  struct connection *connection = context;
  mark_ready(connection);
  io_loop_wake(connection->server->loop);
}

static uint64_t deadline_of(const struct connection *connection) {
  uint64_t deadline = http_connection_deadline_ms(connection->http);
  return deadline < connection->stalled_until_ms ? deadline : connection->stalled_until_ms;
}

static void scan_no_later_than(struct http_server *server, uint64_t deadline_ms) {
  uint64_t earliest = server->scanned_at_ms + SCAN_DISTANCE_MS;
  uint64_t at = deadline_ms > earliest ? deadline_ms : earliest;
  if (deadline_ms == UINT64_MAX || at >= server->scan_at_ms) return;
  uint64_t now = io_loop_now_ms(server->loop);
  server->scan_at_ms = at;
  io_timer_arm(server->scan_timer, at > now ? at - now : 0);
}

static void scan_deadlines(void *context) {
  struct http_server *server = context;
  uint64_t now = io_loop_now_ms(server->loop);
  uint64_t nearest = UINT64_MAX;
  for (struct list *item = server->connections.next, *next; item != &server->connections; item = next) {
    next = item->next;
    struct connection *connection = (struct connection *)item;
    if (connection->stalled_until_ms <= now) {
      connection_cut(connection);
      continue;
    }
    if (http_connection_deadline_ms(connection->http) <= now) {
      http_connection_tick(connection->http, now);
      mark_ready(connection);
    }
    uint64_t deadline = deadline_of(connection);
    if (deadline < nearest) nearest = deadline;
  }
  server->scanned_at_ms = now;
  server->scan_at_ms = UINT64_MAX;
  scan_no_later_than(server, nearest);
}

static void send_output(struct connection *connection, uint64_t now) {
  struct bytes output = http_connection_output(connection->http);
  if (output.len == 0) return;
  size_t sent = io_tcp_write(connection->tcp, output);
  if (sent > 0) http_connection_sent(connection->http, sent);
  if (sent == output.len)
    connection->stalled_until_ms = UINT64_MAX;
  else if (sent > 0 || connection->stalled_until_ms == UINT64_MAX)
    connection->stalled_until_ms = now + connection->server->limits->idle_timeout_ms;
}

/* One resume and one write. Resuming may answer at once: so it comes first, and its call for a flush is dropped. */
static void flush(struct connection *connection, uint64_t now) {
  struct http_server *server = connection->server;
  http_connection_resume(connection->http, now);
  list_remove(&connection->ready);
  bool was_full = !http_connection_wants_input(connection->http);
  send_output(connection, now);
  if (http_connection_finished(connection->http)) {
    io_tcp_close_lingering(connection->tcp);
    connection_free(connection);
    return;
  }
  bool wants_input = http_connection_wants_input(connection->http);
  if ((was_full && wants_input) || http_connection_wants_resume(connection->http)) {
    mark_ready(connection); /* room again, and maybe requests that arrived long ago */
  }
  io_tcp_read(connection->tcp, wants_input);
  scan_no_later_than(server, deadline_of(connection));
}

static void count_drain_turn(struct http_server *server) {
  if (server->drain_turns == 0) return;
  io_loop_wake(server->loop);
  if (--server->drain_turns > 0) return;
  for (struct list *item = server->connections.next; item != &server->connections; item = item->next) {
    struct connection *connection = (struct connection *)item;
    http_connection_drain(connection->http);
    mark_ready(connection);
  }
}

static void end_of_turn(struct io_hook *hook) {
  struct http_server *server = (struct http_server *)hook;
  count_drain_turn(server);
  uint64_t now = io_loop_now_ms(server->loop);
  struct list end; /* what becomes ready while we flush waits for the next turn */
  list_push_back(&server->ready, &end);
  server->flushing = true;
  while (server->ready.next != &end) {
    flush((struct connection *)((char *)server->ready.next - offsetof(struct connection, ready)), now);
  }
  server->flushing = false;
  list_remove(&end);
  if (!list_empty(&server->ready)) io_loop_wake(server->loop);
  if (server->drained != NULL && server->connections_count == 0) {
    void (*drained)(void *context) = server->drained;
    server->drained = NULL;
    io_timer_disarm(server->drain_timer);
    drained(server->drained_context); /* may close the server */
  }
}

static void log_overload(struct http_server *server) {
  if (!server->overload_logged) {
    LOG_WARN("http", "too_many_connections", LOG_U64("limit", server->connections_max));
  }
  server->overload_logged = true;
}

static void refuse_connection(struct http_server *server, struct io_tcp *tcp) {
  server->refused++;
  struct buffer body;
  struct buffer answer;
  buffer_init(&body);
  buffer_init(&answer);
  server->handler->error_body(server->handler->context, 503, HTTP_TOO_MANY_CONNECTIONS, &body);
  http_encode_response(&answer, 503, "application/json", bytes_of(HTTP_RETRY_AFTER), buffer_view(&body), false, true);
  io_tcp_write(tcp, buffer_view(&answer)); /* fits into the buffer of a fresh socket */
  io_tcp_close_lingering(tcp);
  buffer_deinit(&answer);
  buffer_deinit(&body);
}

static const struct io_tcp_events connection_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed, .on_writable = on_writable};

static void on_accept(void *context, struct io_tcp *tcp) {
  struct http_server *server = context;
  bool members_only = server->connections_count >= server->connections_max;
  if (members_only) log_overload(server);
  if (server->connections_count >= server->connections_max + server->member_connections) {
    refuse_connection(server, tcp);
    return;
  }
  server->accepted++;
  if (!members_only) server->overload_logged = false;
  struct connection *connection = xcalloc(1, sizeof *connection);
  connection->server = server;
  connection->tcp = tcp;
  connection->http =
      http_connection_create(server->handler, server->limits, members_only, io_loop_now_ms(server->loop));
  connection->stalled_until_ms = UINT64_MAX;
  list_init(&connection->ready);
  list_push_back(&server->connections, &connection->link);
  server->connections_count++;
  http_connection_on_ready(connection->http, on_answer, connection);
  io_tcp_set_events(tcp, &connection_events, connection);
  scan_no_later_than(server, deadline_of(connection));
}

static void raise_file_limit(uint64_t connections_max) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)connections_max + LINGERING_MAX + OTHER_FILES;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit); /* refused: the listener copes with running out */
}

enum status http_server_open(struct io_loop *loop, const char *host, uint16_t port, uint32_t connections_max,
                             const struct http_handler *handler, const struct http_limits *limits,
                             struct http_server **out, struct error *err) {
  struct http_server *server = xcalloc(1, sizeof *server);
  enum status status = io_listen(loop, host, port, on_accept, server, &server->listener, err);
  if (status != STATUS_OK) {
    free(server);
    return status;
  }
  if (handler->limits_of != NULL) server->member_connections = HTTP_MEMBER_CONNECTIONS;
  raise_file_limit(connections_max + server->member_connections);
  server->loop = loop;
  server->port = io_listener_port(server->listener);
  server->handler = handler;
  server->limits = limits;
  server->connections_max = connections_max;
  server->scan_at_ms = UINT64_MAX;
  list_init(&server->connections);
  list_init(&server->ready);
  server->scan_timer = io_timer_create(loop, scan_deadlines, server);
  server->end_of_turn.run = end_of_turn;
  server->end_of_turn.name = "answers";
  io_hook_add(loop, &server->end_of_turn);
  *out = server;
  return STATUS_OK;
}

uint16_t http_server_port(const struct http_server *server) {
  return server->port;
}

size_t http_server_connections(const struct http_server *server) {
  return server->connections_count;
}

uint64_t http_server_accepted(const struct http_server *server) {
  return server->accepted;
}

uint64_t http_server_refused(const struct http_server *server) {
  return server->refused;
}

static void cut_all(void *context) {
  struct http_server *server = context;
  while (!list_empty(&server->connections))
    connection_cut((struct connection *)server->connections.next);
}

void http_server_drain(struct http_server *server, uint64_t deadline_ms, void (*drained)(void *context),
                       void *context) {
  CHECK(server->listener != NULL);
  io_listener_close(server->listener);
  server->listener = NULL;
  server->drained = drained;
  server->drained_context = context;
  server->drain_turns = DRAIN_TURNS;
  uint64_t now = io_loop_now_ms(server->loop);
  server->drain_timer = io_timer_create(server->loop, cut_all, server);
  io_timer_arm(server->drain_timer, deadline_ms > now ? deadline_ms - now : 0);
  io_loop_wake(server->loop);
}

void http_server_close(struct http_server *server) {
  io_hook_remove(&server->end_of_turn);
  cut_all(server);
  if (server->listener != NULL) io_listener_close(server->listener);
  if (server->drain_timer != NULL) io_timer_destroy(server->drain_timer);
  io_timer_destroy(server->scan_timer);
  free(server);
}
