/* The server side of one connection as a function of bytes and time: pipelining, order, 100-continue, limits,
 * deadlines. No sockets: the owner moves bytes (io/http_server.c, or a spec).
 *
 * The way of a request: feed() parses; the handler's `classify` says whether it reads or writes; when the requests
 * before it allow it, `handle` is called with an exchange; somebody answers with http_exchange_reply, now or later, a
 * large answer only when there is room for it (http_exchange_wait_for_room); answers leave in order, all that are ready
 * in one piece of output.
 *
 * Order of effects (CONTRACT.md, Order): a run of writes goes on without waiting (the log keeps its order); a read
 * waits for the writes before it, a write for the reads before it. While a request must wait, or HTTP_PIPELINE_MAX are
 * in flight, or HTTP_OUTPUT_BYTES_MAX are unsent, nothing more is parsed and http_connection_wants_input is false: the
 * owner stops reading. What is in flight by then is not answered either as long as it waits for room, so a pipeline of
 * large answers does not pile up: there are HTTP_OUTPUT_BYTES_MAX and at most two answers more (one is in line, one is
 * held back).
 *
 * Failure modes: a parse error is answered in its turn, then the connection closes; the answer to a request whose
 * connection is gone is dropped, its exchange freed; a deadline that passes while a request arrives is answered 408.
 * Thread: the loop's. */
#ifndef KV_HTTP_CONNECTION_H
#define KV_HTTP_CONNECTION_H

#include "http/parser.h"

struct http_connection;
struct http_exchange;

/* What a connection beyond the limit hears, with status 503. */
#define HTTP_TOO_MANY_CONNECTIONS "too many connections"
#define HTTP_RETRY_AFTER          "Retry-After: 1\r\n"

enum http_effect { HTTP_EFFECT_READ, HTTP_EFFECT_WRITE };
enum { HTTP_EFFECTS_COUNT = HTTP_EFFECT_WRITE + 1 };

struct http_handler {
  void *context;
  enum http_effect (*classify)(void *context, const struct http_message *request);
  /* Must reply exactly once, inside the call or later. `request` is borrowed until the call returns. */
  void (*handle)(void *context, const struct http_message *request, struct http_exchange *exchange);
  /* Makes the body of an error that the connection itself answers (400, 408, 413, ...): appends JSON to `out`. */
  void (*error_body)(void *context, int status, const char *text, struct buffer *out);
  /* The limits of a request to this path (as sent, without the query), kept like those of the connection, which count
   * when this, or what it says, is NULL. Until the path is known those of the request before count. */
  const struct http_limits *(*limits_of)(void *context, struct bytes path);
  /* NULL, or both are there: a clock, and who hears of each answer, its own ones included, how long it was in the
   * making; not of those whose client is gone. `route`: as http_exchange_set_route said, else 0. */
  uint64_t (*clock_us)(void *context);
  void (*answered)(void *context, uint32_t route, int status, uint64_t duration_us);
};

struct http_limits {
  uint64_t body_bytes_max;
  uint32_t request_timeout_ms; /* from the first byte of a request to its last */
  uint32_t idle_timeout_ms;    /* between requests */
  bool is_member;              /* the request may use a connection that is for members only */
};

/* `handler` and `limits` are kept (borrowed until destroy). With `members_only`, which is for a connection beyond the
 * limit of connections, anything but a request whose limits say is_member is answered 503 before its body has come, and
 * the first request must come within the request timeout. Returns owned. */
struct http_connection *http_connection_create(const struct http_handler *handler, const struct http_limits *limits,
                                               bool members_only, uint64_t now_ms);
/* Exchanges in flight stay valid until they are answered; the answers are dropped. */
void http_connection_destroy(struct http_connection *connection);

/* Bytes from the client. May call the handler. Keeps what cannot be parsed yet (bounded by what one read brings, when
 * the owner reads only while http_connection_wants_input). None of these calls, nor destroy, is legal inside one of the
 * handler's calls; replies and drain are. */
void http_connection_feed(struct http_connection *connection, struct bytes in, uint64_t now_ms);
/* The client sent its FIN: requests that are complete are still answered, then the connection closes. */
void http_connection_end(struct http_connection *connection, uint64_t now_ms);
/* Goes on with what waits, after answers, or output that was sent, made room; call once per loop turn before
 * http_connection_output is asked, and once more when sending turned http_connection_wants_input true or left
 * http_connection_wants_resume true. May call the handler. */
void http_connection_resume(struct http_connection *connection, uint64_t now_ms);
/* When a deadline passed: answers 408 if a request has begun, closes without a word if none has. A client that does
 * not take its output is the owner's to cut. */
void http_connection_tick(struct http_connection *connection, uint64_t now_ms);
/* Loop time of the next deadline; UINT64_MAX when there is none. */
uint64_t http_connection_deadline_ms(const struct http_connection *connection);
/* No new requests: idle connections close now, others after the answers to what is in flight (with "Connection:
 * close"). */
void http_connection_drain(struct http_connection *connection);

/* Output that is ready; the owner sends a prefix and says how much with _sent. */
struct bytes http_connection_output(const struct http_connection *connection);
void http_connection_sent(struct http_connection *connection, size_t len);
/* There is room: for more bytes of the client, or to resume with those that wait here. */
bool http_connection_wants_input(const struct http_connection *connection);
/* There is room for an answer that waits for it. */
bool http_connection_wants_resume(const struct http_connection *connection);
/* True when all is answered and sent and the connection must be closed by the owner: FIN first, then, unless the
 * client's came already, reading and dropping for a bounded time, since a socket closed over unread bytes sends a reset
 * that can overtake the answer (RFC 9112 9.6). */
bool http_connection_finished(const struct http_connection *connection);
/* Requests handled but not answered. */
size_t http_connection_inflight(const struct http_connection *connection);

/* Called (once per change from "nothing ready" to "something ready") when an answer made output outside of feed, so
 * that the owner puts the connection on its list for the end of the turn. */
void http_connection_on_ready(struct http_connection *connection, void (*ready)(void *context), void *context);

/* What the handler's `answered` is told. */
void http_exchange_set_route(struct http_exchange *exchange, uint32_t route);

/* Answers. Views are borrowed until the call returns. `extra`: complete header lines, or empty; the caller vouches that
 * no client's bytes in them can hold CR or LF. The exchange is gone afterwards. */
void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type, struct bytes extra,
                         struct bytes body);
/* For answers that may be large. False: reply now. True: there is no room, and `answer` will run once, when there is or
 * when the client is gone, inside one of the owner's calls (destroy, too); it must reply. Among those that wait,
 * answers are made in the order of these calls, but for the one that all the others are held back by. */
bool http_exchange_wait_for_room(struct http_exchange *exchange, void (*answer)(void *context), void *context);
/* False when the client is gone: work for it can stop. */
bool http_exchange_alive(const struct http_exchange *exchange);

#endif
