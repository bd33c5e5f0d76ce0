/* HTTP connections on a listener: moves bytes between sockets and http/connection.h, enforces the connection limit,
 * ticks deadlines, flushes each connection once at the end of a turn. A client that takes no byte of its answer for an
 * idle timeout is cut. One thread. */
#ifndef KV_IO_HTTP_SERVER_H
#define KV_IO_HTTP_SERVER_H

#include "http/connection.h"
#include "io/tcp.h"

struct http_server;

enum { HTTP_MEMBER_CONNECTIONS = 64 }; /* four for each possible member */

/* Listens and serves `handler` (kept, as are `limits`). Beyond `connections_max` a new connection is answered 503
 * overloaded and closed; if the handler tells limits by path, HTTP_MEMBER_CONNECTIONS more are let in, which only serve
 * members of the cluster, so that clients cannot keep those out; the process's limit of open files is raised to fit, as
 * far as it may. Returns owned in *out. Its end-of-turn hook is added to the loop when this is called: whoever must act
 * before answers leave adds its hook first. */
enum status http_server_open(struct io_loop *loop, const char *host, uint16_t port, uint32_t connections_max,
                             const struct http_handler *handler, const struct http_limits *limits,
                             struct http_server **out, struct error *err);
uint16_t http_server_port(const struct http_server *server);
size_t http_server_connections(const struct http_server *server);
/* Since it was opened: connections that were let in, and those that were answered 503 at once. */
uint64_t http_server_accepted(const struct http_server *server);
uint64_t http_server_refused(const struct http_server *server);
/* Stops listening, drains the connections; `drained` runs once, later, when the last is gone or `deadline_ms` (loop
 * time) passed and the rest was cut. */
void http_server_drain(struct http_server *server, uint64_t deadline_ms, void (*drained)(void *context), void *context);
void http_server_close(struct http_server *server); /* takes; cuts what is left */

#endif
