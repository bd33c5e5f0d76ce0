/* An HTTP/1.1 client on one connection: keep-alive, pipelining, a deadline per request. It connects when the first
 * request needs it, and again after the connection ended between requests. One thread.
 *
 * Failure: when it cannot connect, every request ends with STATUS_IO (nothing was sent); when the connection breaks,
 * every request in flight ends with STATUS_CLOSED (sent: the outcome is unknown); when a deadline passes, that request
 * ends with STATUS_TIMEOUT and all others with STATUS_CLOSED, since their answers can no longer be told apart: the
 * connection is closed. Redirects are the caller's business. */
#ifndef KV_IO_HTTP_CLIENT_H
#define KV_IO_HTTP_CLIENT_H

#include "http/parser.h"
#include "io/tcp.h"

struct http_client;

struct http_client *http_client_create(struct io_loop *loop, const char *host, uint16_t port,
                                       uint64_t body_bytes_max); /* returns owned */
/* Requests in flight end with STATUS_CLOSED inside this call. */
void http_client_destroy(struct http_client *client);

/* Runs exactly once, never inside http_client_send; may send, may destroy the client. `response` and `why` are borrowed
 * until return; `response` is NULL unless STATUS_OK. */
typedef void http_client_done(void *context, enum status status, const struct http_message *response, const char *why);

/* Queues a request (views borrowed until return); at most HTTP_PIPELINE_MAX in flight, beyond: STATUS_OVERLOADED.
 * `extra`: complete header lines. */
enum status http_client_send(struct http_client *client, const char *method, struct bytes target, struct bytes extra,
                             struct bytes body, uint64_t timeout_ms, http_client_done *done, void *context);

/* Sends what is queued now, not at the end of the next turn's callbacks. For a hook, before which they have all run. */
void http_client_flush(struct http_client *client);

#endif
