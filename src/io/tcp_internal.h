/* The inside of a TCP connection, for the files of src/io only: tcp.c (an open connection), connect.c (one on its way),
 * listener.c, linger.c (one whose owner is gone).
 *
 * Sockets are plain descriptors watched by uv_poll_t, not uv_tcp_t: a uv_tcp_t can tell that it is writable only by
 * queueing memory, and accepts and drops connections when descriptors run out. */
#ifndef KV_IO_TCP_INTERNAL_H
#define KV_IO_TCP_INTERNAL_H

#include "io/loop_internal.h"
#include "io/tcp.h"

enum tcp_state { TCP_CONNECTING, TCP_OPEN, TCP_FAILED, TCP_LINGERING, TCP_CLOSED };

struct io_tcp {
  uv_poll_t poll; /* first member: its address is the connection's; in use when fd >= 0 */
  struct io_loop *loop;
  const struct io_tcp_events *events; /* the owner's; NULL between accept and io_tcp_set_events */
  void *context;
  enum tcp_state state;
  int fd;                /* owned; -1 before the first address is tried */
  int interest;          /* what `poll` waits for: UV_READABLE | UV_WRITABLE */
  bool reading;          /* the owner wants on_data */
  bool ended;            /* the peer's FIN was read */
  bool short_write;      /* the kernel is full: on_writable is owed */
  struct io_hook failed; /* deferred while on_closed is owed */
  const char *why;       /* TCP_FAILED: static text */
  struct dial *dial;     /* TCP_CONNECTING: owned (connect.c) */
  struct list linger;    /* TCP_LINGERING: in loop->lingering */
  uint64_t linger_until_ms;
  size_t linger_bytes; /* dropped so far */
};

/* A connection without a socket: TCP_CONNECTING, nothing to poll. Returns owned. */
struct io_tcp *io_tcp_create(struct io_loop *loop);
/* Gives it its first socket (takes `fd`, also on failure). False when libuv cannot poll it. */
bool io_tcp_set_fd(struct io_tcp *tcp, int fd);
/* Brings what `poll` waits for in line with the state. */
void io_tcp_update_interest(struct io_tcp *tcp);
/* on_closed follows, later. `error`: an errno, 0 for unknown. */
void io_tcp_fail(struct io_tcp *tcp, int error);

/* The socket of a connection on its way became writable, or broke. */
void io_dial_progress(struct io_tcp *tcp);
/* Forgets addresses and a resolution on its way. */
void io_dial_end(struct io_tcp *tcp);

struct io_timer *io_linger_timer_create(struct io_loop *loop);
/* Takes a connection in TCP_OPEN: see io_tcp_close_lingering. */
void io_linger_begin(struct io_tcp *tcp);
void io_linger_readable(struct io_tcp *tcp);
void io_linger_cut_all(struct io_loop *loop);

/* The static text of an errno. */
const char *io_error_text(int error);
/* The errno that the socket holds; 0 for none. */
int io_socket_error(int fd);

#endif
