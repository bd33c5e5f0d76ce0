/* TCP on the loop: listening, connecting, bytes in, bytes out. One thread.
 *
 * A connection's happy path: opened (accepted or connected) -> on_data for each read -> io_tcp_write tries at once and
 * keeps nothing: what the kernel did not take stays with the caller, who is told by on_writable -> io_tcp_close. After
 * io_tcp_close no callback runs. Failure modes: on_closed (once, then the owner must io_tcp_close): reset, or
 * connecting failed; bytes that arrived before a reset are delivered first. The peer's FIN, after which nothing more is
 * read, comes as on_end and says nothing about the other direction. */
#ifndef KV_IO_TCP_H
#define KV_IO_TCP_H

#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"
#include "types/limits.h"

struct io_tcp;
struct io_listener;

struct io_tcp_events {
  void (*on_data)(void *context, struct bytes data); /* borrowed until return */
  void (*on_end)(void *context);                     /* the peer's FIN */
  void (*on_closed)(void *context, const char *why); /* static text */
  void (*on_writable)(void *context);                /* after a short write, or when connected */
};

enum {
  LISTEN_BACKLOG = 1024,             /* connections that wait to be accepted */
  ACCEPT_RETRY_MS = 100,             /* pause after accept failed (no descriptors left) */
  LINGER_MS = 2000,                  /* how long a closed connection still reads */
  LINGER_BYTES_MAX = BODY_BYTES_CAP, /* and how much: the rest of a body that was refused */
  LINGERING_MAX = 1024               /* of one loop; beyond, the oldest ends at once */
};

/* Binds and listens. Port 0 picks a free one. `accept` gets each new connection (takes it: must set events or close).
 * STATUS_IO with a message that names the address ("listen 127.0.0.1:7000: address already in use"). Returns owned in
 * *out. */
enum status io_listen(struct io_loop *loop, const char *host, uint16_t port,
                      void (*accept)(void *context, struct io_tcp *tcp), void *context, struct io_listener **out,
                      struct error *err);
uint16_t io_listener_port(const struct io_listener *listener);
void io_listener_close(struct io_listener *listener); /* takes */

/* Starts connecting to a literal address or name; on_writable when connected. Returns owned. */
struct io_tcp *io_connect(struct io_loop *loop, const char *host, uint16_t port, const struct io_tcp_events *events,
                          void *context);
/* Events and context are kept until close. Starts reading. */
void io_tcp_set_events(struct io_tcp *tcp, const struct io_tcp_events *events, void *context);
/* Pauses or resumes on_data and on_end. */
void io_tcp_read(struct io_tcp *tcp, bool on);
/* Sends what the kernel takes now and returns how much (0 to data.len); if less, on_writable follows. Errors come as
 * on_closed, later. */
size_t io_tcp_write(struct io_tcp *tcp, struct bytes data);
/* Half-close: FIN after what was written; reading goes on. */
void io_tcp_shutdown(struct io_tcp *tcp);
void io_tcp_close(struct io_tcp *tcp); /* takes; sends FIN after what was written */
/* For a server that had the last word: as io_tcp_close, but what the peer still sends is read and dropped until its
 * FIN, at most LINGER_MS or LINGER_BYTES_MAX. A socket closed over unread bytes sends a reset, which can overtake the
 * answer (RFC 9112 9.6). Takes; keeps no turn waiting. */
void io_tcp_close_lingering(struct io_tcp *tcp);
void io_tcp_reset(struct io_tcp *tcp); /* takes; the peer gets a reset */

#endif
