/* TCP on the loop: listening, connecting, bytes in, bytes out. One thread.
 *
 * A connection's happy path: opened (accepted or connected) -> on_data for each read -> io_tcp_write tries at once and
 * keeps nothing: what the kernel did not take stays with the caller, who is told by on_writable -> io_tcp_close. After
 * io_tcp_close no callback runs. Failure modes: on_closed (once, then the owner must io_tcp_close): reset, FIN after
 * which nothing more is read comes as on_end first. */
#ifndef KV_IO_TCP_H
#define KV_IO_TCP_H

#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"

struct io_tcp;
struct io_listener;

struct io_tcp_events {
  void (*on_data)(void *context, struct bytes data); /* borrowed until return */
  void (*on_end)(void *context);                     /* the peer's FIN */
  void (*on_closed)(void *context, const char *why); /* broken, or connecting failed; static text */
  void (*on_writable)(void *context);                /* after a short write, or when connected */
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
/* Pauses or resumes on_data. */
void io_tcp_read(struct io_tcp *tcp, bool on);
/* Sends what the kernel takes now and returns how much (0 to data.len); if less, on_writable follows. Errors come as
 * on_closed, later. */
size_t io_tcp_write(struct io_tcp *tcp, struct bytes data);
void io_tcp_close(struct io_tcp *tcp); /* takes; sends FIN after what was written */

#endif
