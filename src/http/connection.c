/* The happy path: feed() -> parse() straight from the bytes that came -> take_message() -> dispatch() -> the handler ->
 * http_exchange_reply(), which writes into `output` when its exchange is first in line, else into the exchange, whence
 * retire() moves it when its turn comes.
 *
 * What cannot be parsed yet waits in `backlog`; a message that is complete but must wait for the effects before it
 * stays in the parser (message_waits) and nothing more is parsed; an exchange whose answer waits for room is in
 * `waiting`, and in the line like any other. Every way in (feed, end, resume, tick) ends in leave(), the one place that
 * looks at the end of input, the deadline and memory; answers alone (no time at hand) only make output and tell the
 * owner, who comes back with resume().
 *
 * `closing` is the one way to the end: nothing is parsed any more, what is in line is answered, then finished. It is
 * set by a message that does not keep the connection, a refusal, the end of input, an idle deadline and drain(). */
#include "http/connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "types/limits.h"

enum {
  KEEP_BYTES = 4096, /* of each buffer of an idle connection */
  REFUSAL_TEXT_MAX = 128
};

struct http_exchange {
  struct list link;                   /* in connection->line; first member: its address is the exchange's */
  struct http_connection *connection; /* NULL when the client is gone */
  enum http_effect effect;
  uint32_t route;      /* as the handler says */
  uint64_t started_us; /* by the handler's clock */
  bool answered;
  bool head_only;                /* the request was HEAD */
  bool close;                    /* the answer is the last one */
  bool says_keep_alive;          /* HTTP/1.0 clients want to be told (RFC 9112 C.2.2) */
  struct buffer held;            /* the answer, when it came before its turn */
  struct list waiting;           /* in connection->waiting while the answer waits for room */
  void (*answer)(void *context); /* makes it then */
  void *answer_context;
};

/* Whom we wait for. */
enum wait {
  WAIT_NOBODY,  /* but ourselves: no deadline */
  WAIT_REQUEST, /* the rest of a request */
  WAIT_IDLE     /* a request, when there is nothing else to do */
};

struct http_connection {
  const struct http_handler *handler;
  const struct http_limits *limits;
  const struct http_limits *request_limits; /* of the request that arrives, or came last */
  bool members_only;
  bool turned_away; /* by that: a client's request is arriving */
  struct http_parser *parser;

  struct list line; /* struct http_exchange in the order of the requests: handled, answer not yet in `output` */
  size_t line_count;
  size_t inflight[HTTP_EFFECTS_COUNT]; /* of these: not answered, by effect; only one is ever above 0 */
  size_t held_bytes;                   /* of these: answers that wait for their turn */
  struct list waiting;                 /* of these: http_exchange.waiting, in the order in which they began to wait */

  struct buffer output;
  size_t output_sent;    /* the first bytes of `output`, already gone */
  struct buffer backlog; /* input that waits until there is room */

  bool message_waits;     /* the parser holds a message that must not take effect yet */
  enum http_effect waits; /* its effect */
  bool owes_continue;     /* a 100 Continue, when the answers before it are out */
  bool closing;
  bool input_ended; /* the client's FIN */
  bool entered;     /* inside a call of the owner's, who looks at the output himself */

  enum wait wait;
  uint64_t wait_since_ms;
  uint64_t deadline_ms; /* of `wait`; UINT64_MAX for WAIT_NOBODY */

  void (*ready)(void *context);
  void *ready_context;
};

static size_t unsent_bytes(const struct http_connection *connection) {
  return connection->output.len - connection->output_sent;
}

static bool has_room(const struct http_connection *connection) {
  return !connection->closing && !connection->message_waits && connection->line_count < HTTP_PIPELINE_MAX &&
         unsent_bytes(connection) + connection->held_bytes < HTTP_OUTPUT_BYTES_MAX;
}

/* ---- answers ---- */

static bool is_first(const struct http_exchange *exchange) {
  return exchange->connection->line.next == &exchange->link;
}

static struct http_exchange *exchange_of_waiting(struct list *waiting) {
  return (struct http_exchange *)(void *)((char *)waiting - offsetof(struct http_exchange, waiting));
}

/* What is held back leaves only behind the first in line, so that one must not wait for it. */
static bool may_answer(const struct http_exchange *exchange) {
  const struct http_connection *connection = exchange->connection;
  size_t held = is_first(exchange) ? 0 : connection->held_bytes;
  return unsent_bytes(connection) + held < HTTP_OUTPUT_BYTES_MAX;
}

static struct http_exchange *exchange_create(struct http_connection *connection, enum http_effect effect) {
  struct http_exchange *exchange = xcalloc(1, sizeof *exchange);
  exchange->connection = connection;
  exchange->effect = effect;
  exchange->close = connection->closing;
  list_push_back(&connection->line, &exchange->link);
  connection->line_count++;
  connection->inflight[effect]++;
  list_init(&exchange->waiting);
  const struct http_handler *handler = connection->handler;
  if (handler->answered != NULL) exchange->started_us = handler->clock_us(handler->context);
  return exchange;
}

static void exchange_destroy(struct http_exchange *exchange) {
  buffer_deinit(&exchange->held);
  free(exchange);
}

static void pay_continue(struct http_connection *connection) {
  if (!connection->owes_continue || connection->line_count > 0) return;
  connection->owes_continue = false;
  buffer_append_text(&connection->output, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The first in line is answered, its bytes are in `output`: it leaves, and so do those behind it that were only held
 * back by it. */
static void retire(struct http_connection *connection) {
  for (;;) {
    struct http_exchange *first = (struct http_exchange *)list_pop_front(&connection->line);
    connection->line_count--;
    exchange_destroy(first);
    if (list_empty(&connection->line)) return;
    first = (struct http_exchange *)connection->line.next;
    if (!first->answered) return;
    connection->held_bytes -= first->held.len;
    buffer_append_bytes(&connection->output, buffer_view(&first->held));
  }
}

static void encode_answer(const struct http_exchange *exchange, struct buffer *out, int status,
                          const char *content_type, struct bytes extra, struct bytes body) {
  if (!exchange->says_keep_alive || exchange->close) {
    http_encode_response(out, status, content_type, extra, body, exchange->head_only, exchange->close);
    return;
  }
  struct buffer lines;
  buffer_init(&lines);
  buffer_append_text(&lines, "Connection: keep-alive\r\n");
  buffer_append_bytes(&lines, extra);
  http_encode_response(out, status, content_type, buffer_view(&lines), body, exchange->head_only, false);
  buffer_deinit(&lines);
}

static void tell_answered(const struct http_exchange *exchange, int status) {
  const struct http_handler *handler = exchange->connection->handler;
  if (handler->answered == NULL) return;
  uint64_t duration_us = handler->clock_us(handler->context) - exchange->started_us;
  handler->answered(handler->context, exchange->route, status, duration_us);
}

void http_exchange_set_route(struct http_exchange *exchange, uint32_t route) {
  exchange->route = route;
}

void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type, struct bytes extra,
                         struct bytes body) {
  struct http_connection *connection = exchange->connection;
  if (connection == NULL) {
    exchange_destroy(exchange);
    return;
  }
  CHECK(!exchange->answered);
  exchange->answered = true;
  list_remove(&exchange->waiting);
  connection->inflight[exchange->effect]--;
  tell_answered(exchange, status);
  if (!is_first(exchange)) {
    encode_answer(exchange, &exchange->held, status, content_type, extra, body);
    connection->held_bytes += exchange->held.len;
    return;
  }
  bool was_empty = unsent_bytes(connection) == 0;
  encode_answer(exchange, &connection->output, status, content_type, extra, body);
  retire(connection);
  pay_continue(connection);
  if (was_empty && !connection->entered && connection->ready != NULL) connection->ready(connection->ready_context);
}

/* The one to be answered next of those that wait for room, if there is room for it. */
static struct http_exchange *next_with_room(const struct http_connection *connection) {
  if (list_empty(&connection->waiting)) return NULL;
  struct http_exchange *next = (struct http_exchange *)connection->line.next;
  if (list_empty(&next->waiting)) next = exchange_of_waiting(connection->waiting.next);
  return may_answer(next) ? next : NULL;
}

static void run_answer(struct http_exchange *exchange) {
  list_remove(&exchange->waiting);
  exchange->answer(exchange->answer_context);
}

bool http_exchange_wait_for_room(struct http_exchange *exchange, void (*answer)(void *context), void *context) {
  struct http_connection *connection = exchange->connection;
  if (connection == NULL) return false;
  CHECK(list_empty(&exchange->waiting));
  bool overtakes = !list_empty(&connection->waiting) && !is_first(exchange);
  if (!overtakes && may_answer(exchange)) return false;
  exchange->answer = answer;
  exchange->answer_context = context;
  list_push_back(&connection->waiting, &exchange->waiting);
  return true;
}

bool http_exchange_alive(const struct http_exchange *exchange) {
  return exchange->connection != NULL;
}

/* ---- requests ---- */

/* The connection's own answer, in its turn, and the last one. */
static void refuse_with(struct http_connection *connection, int status, const char *text, struct bytes extra) {
  struct buffer body;
  buffer_init(&body);
  connection->handler->error_body(connection->handler->context, status, text, &body);
  connection->closing = true;
  connection->owes_continue = false;
  struct http_exchange *exchange = exchange_create(connection, HTTP_EFFECT_READ);
  http_exchange_reply(exchange, status, "application/json", extra, buffer_view(&body));
  buffer_deinit(&body);
}

static void refuse(struct http_connection *connection, int status, const char *text) {
  refuse_with(connection, status, text, (struct bytes){0});
}

static void turn_away(struct http_connection *connection) {
  refuse_with(connection, 503, HTTP_TOO_MANY_CONNECTIONS, bytes_of(HTTP_RETRY_AFTER));
}

/* The path of the request that arrives is known. */
static uint64_t on_path(void *context, struct bytes path) {
  struct http_connection *connection = context;
  const struct http_handler *handler = connection->handler;
  const struct http_limits *limits = handler->limits_of == NULL ? NULL : handler->limits_of(handler->context, path);
  connection->request_limits = limits == NULL ? connection->limits : limits;
  connection->turned_away = connection->members_only && !connection->request_limits->is_member;
  return connection->request_limits->body_bytes_max;
}

/* Only the same effect may be in flight before that of the parser's message. */
static bool may_take_effect(const struct http_connection *connection) {
  return http_connection_inflight(connection) == connection->inflight[connection->waits];
}

/* Hands the parser's message over, unless effects before it must come first. */
static void dispatch(struct http_connection *connection) {
  if (!may_take_effect(connection)) return;
  connection->message_waits = false;
  const struct http_message *request = http_parser_message(connection->parser);
  if (!request->keep_alive) connection->closing = true;
  struct http_exchange *exchange = exchange_create(connection, connection->waits);
  exchange->head_only = request->method == HTTP_METHOD_HEAD;
  exchange->says_keep_alive = request->http_1_0;
  connection->handler->handle(connection->handler->context, request, exchange);
}

static void take_message(struct http_connection *connection) {
  const struct http_handler *handler = connection->handler;
  connection->owes_continue = false; /* the body came without */
  connection->wait = WAIT_NOBODY;    /* the next request has a deadline of its own */
  connection->waits = handler->classify(handler->context, http_parser_message(connection->parser));
  connection->message_waits = true;
  dispatch(connection);
}

/* Parses until the input is used up or something must wait; returns the bytes used. */
static size_t parse(struct http_connection *connection, struct bytes in) {
  size_t at = 0;
  while (at < in.len && has_room(connection)) {
    size_t used;
    enum http_progress progress = http_parser_feed(connection->parser, bytes_make(in.data + at, in.len - at), &used);
    at += used;
    if (connection->turned_away) {
      turn_away(connection);
    } else if (progress == HTTP_MESSAGE) {
      take_message(connection);
    } else if (progress == HTTP_HEAD_COMPLETE) {
      connection->owes_continue = at == in.len; /* who sends the body at once needs no permission */
    } else if (progress == HTTP_FAILED) {
      refuse(connection, http_parser_fail_status(connection->parser), http_parser_fail_text(connection->parser));
    }
  }
  return at;
}

static void go_on(struct http_connection *connection) {
  for (struct http_exchange *exchange; (exchange = next_with_room(connection)) != NULL;)
    run_answer(exchange);
  if (connection->message_waits) dispatch(connection);
  size_t used = parse(connection, buffer_view(&connection->backlog));
  buffer_consume(&connection->backlog, used);
}

/* All complete requests are handled, and no byte will follow. */
static void finish_input(struct http_connection *connection) {
  if (connection->closing || connection->message_waits || connection->backlog.len > 0) return;
  if (http_parser_finish(connection->parser) == HTTP_FAILED) {
    refuse(connection, http_parser_fail_status(connection->parser), http_parser_fail_text(connection->parser));
  }
  connection->closing = true;
}

static enum wait whom_to_wait_for(const struct http_connection *connection) {
  if (connection->input_ended || connection->owes_continue || !has_room(connection)) return WAIT_NOBODY;
  if (http_parser_in_message(connection->parser)) return WAIT_REQUEST;
  return connection->line_count == 0 ? WAIT_IDLE : WAIT_NOBODY;
}

static uint32_t timeout_of(const struct http_connection *connection, enum wait wait) {
  if (wait == WAIT_REQUEST) return connection->request_limits->request_timeout_ms;
  bool owes_proof = connection->members_only && !connection->request_limits->is_member;
  return owes_proof ? connection->limits->request_timeout_ms : connection->request_limits->idle_timeout_ms;
}

/* A deadline stands until what it waits for has come: bytes alone do not move it, but the path can, by its limits. */
static void set_deadline(struct http_connection *connection, uint64_t now_ms) {
  enum wait wait = whom_to_wait_for(connection);
  if (wait != connection->wait) connection->wait_since_ms = now_ms;
  connection->wait = wait;
  connection->deadline_ms = wait == WAIT_NOBODY ? UINT64_MAX : connection->wait_since_ms + timeout_of(connection, wait);
}

static void trim(struct http_connection *connection) {
  if (connection->line_count > 0 || connection->message_waits || connection->backlog.len > 0) return;
  http_parser_trim(connection->parser);
  buffer_shrink(&connection->backlog, 0);
}

static void enter(struct http_connection *connection) {
  CHECK(!connection->entered);
  connection->entered = true;
}

static void leave(struct http_connection *connection, uint64_t now_ms) {
  if (connection->input_ended) finish_input(connection);
  pay_continue(connection);
  set_deadline(connection, now_ms);
  trim(connection);
  connection->entered = false;
}

/* ---- the owner's calls ---- */

struct http_connection *http_connection_create(const struct http_handler *handler, const struct http_limits *limits,
                                               bool members_only, uint64_t now_ms) {
  struct http_connection *connection = xcalloc(1, sizeof *connection);
  connection->handler = handler;
  connection->limits = limits;
  connection->request_limits = limits;
  connection->members_only = members_only;
  connection->parser = http_parser_create(HTTP_REQUESTS, limits->body_bytes_max);
  http_parser_limit_by_path(connection->parser, on_path, connection);
  list_init(&connection->line);
  list_init(&connection->waiting);
  buffer_init(&connection->output);
  buffer_init(&connection->backlog);
  set_deadline(connection, now_ms);
  return connection;
}

void http_connection_destroy(struct http_connection *connection) {
  if (connection == NULL) return;
  CHECK(!connection->entered);
  for (struct list *item; (item = list_pop_front(&connection->line)) != NULL;) {
    struct http_exchange *exchange = (struct http_exchange *)item;
    bool waits = !list_empty(&exchange->waiting);
    exchange->connection = NULL;
    if (exchange->answered)
      exchange_destroy(exchange);
    else if (waits)
      run_answer(exchange);
  }
  http_parser_destroy(connection->parser);
  buffer_deinit(&connection->output);
  buffer_deinit(&connection->backlog);
  free(connection);
}

void http_connection_feed(struct http_connection *connection, struct bytes in, uint64_t now_ms) {
  enter(connection);
  if (connection->backlog.len == 0) {
    size_t used = parse(connection, in);
    in = bytes_make(in.data + used, in.len - used);
  }
  if (!connection->closing && in.len > 0) {
    buffer_append_bytes(&connection->backlog, in);
    go_on(connection);
  }
  leave(connection, now_ms);
}

void http_connection_end(struct http_connection *connection, uint64_t now_ms) {
  enter(connection);
  connection->input_ended = true;
  leave(connection, now_ms);
}

void http_connection_resume(struct http_connection *connection, uint64_t now_ms) {
  enter(connection);
  go_on(connection);
  leave(connection, now_ms);
}

void http_connection_tick(struct http_connection *connection, uint64_t now_ms) {
  if (connection->deadline_ms > now_ms) return;
  enter(connection);
  if (connection->wait == WAIT_REQUEST) {
    char text[REFUSAL_TEXT_MAX];
    snprintf(text, sizeof text, "the request did not arrive within --request-timeout-ms %" PRIu32,
             connection->request_limits->request_timeout_ms);
    refuse(connection, 408, text);
  } else if (unsent_bytes(connection) == 0) {
    connection->closing = true;
  } else {
    connection->wait = WAIT_NOBODY; /* the client still takes its last answer: idle from now on */
  }
  leave(connection, now_ms);
}

uint64_t http_connection_deadline_ms(const struct http_connection *connection) {
  return connection->deadline_ms;
}

void http_connection_drain(struct http_connection *connection) {
  if (connection->closing) return;
  connection->closing = true;
  connection->owes_continue = false;
  connection->deadline_ms = UINT64_MAX;
  if (connection->message_waits || list_empty(&connection->line)) return;
  ((struct http_exchange *)connection->line.prev)->close = true;
}

struct bytes http_connection_output(const struct http_connection *connection) {
  if (connection->output.len == 0) return (struct bytes){0};
  return bytes_make(connection->output.data + connection->output_sent, unsent_bytes(connection));
}

void http_connection_sent(struct http_connection *connection, size_t len) {
  CHECK(len <= unsent_bytes(connection));
  connection->output_sent += len;
  if (unsent_bytes(connection) == 0) {
    buffer_shrink(&connection->output, KEEP_BYTES);
    connection->output_sent = 0;
  } else if (connection->output_sent > connection->output.len / 2) { /* each byte is moved at most once */
    buffer_consume(&connection->output, connection->output_sent);
    connection->output_sent = 0;
  }
}

bool http_connection_wants_input(const struct http_connection *connection) {
  return has_room(connection) && !(connection->input_ended && connection->backlog.len == 0);
}

bool http_connection_wants_resume(const struct http_connection *connection) {
  return next_with_room(connection) != NULL;
}

bool http_connection_finished(const struct http_connection *connection) {
  return connection->closing && connection->line_count == 0 && !connection->message_waits &&
         unsent_bytes(connection) == 0;
}

size_t http_connection_inflight(const struct http_connection *connection) {
  size_t count = 0;
  for (size_t effect = 0; effect < HTTP_EFFECTS_COUNT; effect++)
    count += connection->inflight[effect];
  return count;
}

void http_connection_on_ready(struct http_connection *connection, void (*ready)(void *context), void *context) {
  connection->ready = ready;
  connection->ready_context = context;
}
