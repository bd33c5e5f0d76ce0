/* A connection on its way: a literal address, or the addresses of a name, tried one after the other until one accepts.
 * The socket of the next try takes over the descriptor number of the last (dup2), so that one uv_poll_t serves them
 * all. */
#include "io/tcp_internal.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct dial {
  uv_getaddrinfo_t resolve; /* first member: its address is the dial's */
  struct io_tcp *tcp;       /* NULL when closed during the resolution */
  bool resolving;
  struct addrinfo *addresses;  /* owned, libuv's */
  const struct addrinfo *next; /* to try; NULL: none left */
};

static void dial_free(struct dial *dial) {
  uv_freeaddrinfo(dial->addresses);
  free(dial);
}

/* A socket that connects to `address`, or -1 with errno. */
static int start_socket(const struct addrinfo *address) {
  int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* Puts the new socket in the place of the last one. errno on failure. */
static bool use_socket(struct io_tcp *tcp, int fd) {
  if (tcp->fd < 0) return io_tcp_set_fd(tcp, fd);
  uv_poll_stop(&tcp->poll);
  tcp->interest = 0;
  int moved = dup3(fd, tcp->fd, O_CLOEXEC);
  close(fd);
  return moved >= 0;
}

/* Starts on the next address that can be started on. `error` of the last one if there is none. */
static void try_next(struct io_tcp *tcp, int error) {
  struct dial *dial = tcp->dial;
  while (dial->next != NULL) {
    const struct addrinfo *address = dial->next;
    dial->next = address->ai_next;
    int fd = start_socket(address);
    if (fd >= 0 && use_socket(tcp, fd)) {
      io_tcp_update_interest(tcp);
      return;
    }
    error = errno;
  }
  io_tcp_fail(tcp, error);
}

void io_dial_progress(struct io_tcp *tcp) {
  int error = io_socket_error(tcp->fd);
  if (error != 0) {
    try_next(tcp, error);
    return;
  }
  io_dial_end(tcp);
  tcp->state = TCP_OPEN;
  tcp->reading = true;
  io_tcp_update_interest(tcp);
  tcp->events->on_writable(tcp->context);
}

void io_dial_end(struct io_tcp *tcp) {
  struct dial *dial = tcp->dial;
  if (dial == NULL) return;
  tcp->dial = NULL;
  dial->tcp = NULL;
  if (dial->resolving)
    uv_cancel((uv_req_t *)&dial->resolve); /* the callback frees it */
  else
    dial_free(dial);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
  struct dial *dial = (struct dial *)request;
  dial->resolving = false;
  dial->addresses = addresses;
  dial->next = addresses;
  if (dial->tcp == NULL) {
    dial_free(dial);
  } else if (status != 0) {
    io_tcp_fail(dial->tcp, 0);
    dial->tcp->why = uv_strerror(status);
  } else {
    try_next(dial->tcp, EADDRNOTAVAIL);
  }
}

struct io_tcp *io_connect(struct io_loop *loop, const char *host, uint16_t port, const struct io_tcp_events *events,
                          void *context) {
  struct io_tcp *tcp = io_tcp_create(loop);
  tcp->events = events;
  tcp->context = context;
  struct dial *dial = xcalloc(1, sizeof *dial);
  dial->tcp = tcp;
  tcp->dial = dial;
  char service[8];
  snprintf(service, sizeof service, "%u", (unsigned)port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  if (getaddrinfo(host, service, &hints, &dial->addresses) == 0) { /* a literal: no question, no waiting */
    dial->next = dial->addresses;
    try_next(tcp, EADDRNOTAVAIL);
    return tcp;
  }
  hints.ai_flags = AI_NUMERICSERV;
  int status = uv_getaddrinfo(loop->uv, &dial->resolve, on_resolved, host, service, &hints);
  dial->resolving = status == 0;
  if (status != 0) io_tcp_fail(tcp, EINVAL); /* a name that cannot be one */
  return tcp;
}
