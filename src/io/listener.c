/* Listening. When accept fails because descriptors or memory ran out, the waiting connection keeps the socket readable:
 * so the listener is not watched for a moment instead of spinning. The last descriptors are for others: a disk's files
 * must be opened however many connections there are. */
#include "io/tcp_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  ACCEPTS_PER_TURN_MAX = 128, /* so that a flood of connections leaves time for the others */
  KEPT_FILES = 64,            /* descriptors that no accepted connection takes; */
  KEPT_FRACTION = 3           /* of few, one in so many */
};

struct io_listener {
  uv_poll_t poll; /* first member: its address is the listener's */
  struct io_loop *loop;
  void (*accept)(void *context, struct io_tcp *tcp);
  void *context;
  int fd; /* owned; -1 when closed */
  uint16_t port;
  struct io_timer *retry; /* owned; armed while accepting pauses */
  bool warned;            /* since the last success */
};

static void on_connections(uv_poll_t *poll, int status, int events);

static void watch(struct io_listener *listener) {
  CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_connections) == 0);
}

static void on_retry(void *context) {
  watch(context);
}

static void pause_accepting(struct io_listener *listener, int error) {
  if (!listener->warned) {
    LOG_WARN("io", "accept_failed", LOG_STR("why", io_error_text(error)), LOG_U64("retry_ms", ACCEPT_RETRY_MS));
  }
  listener->warned = true;
  uv_poll_stop(&listener->poll);
  io_timer_arm(listener->retry, ACCEPT_RETRY_MS);
}

/* The system gives the lowest number that is free, so a high one says that few are left. */
static bool has_descriptors(const struct io_listener *listener) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  rlim_t kept = limit.rlim_cur / KEPT_FRACTION < KEPT_FILES ? limit.rlim_cur / KEPT_FRACTION : KEPT_FILES;
  int next = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
  if (next < 0) return false;
  close(next);
  return (rlim_t)next < limit.rlim_cur - kept;
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct io_listener *listener) {
  if (!has_descriptors(listener)) {
    pause_accepting(listener, EMFILE);
    return false;
  }
  int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) return true;
    if (errno != EAGAIN) pause_accepting(listener, errno);
    return false;
  }
  listener->warned = false;
  struct io_tcp *tcp = io_tcp_create(listener->loop);
  tcp->state = TCP_OPEN;
  if (!io_tcp_set_fd(tcp, fd)) {
    io_tcp_close(tcp);
    pause_accepting(listener, ENOMEM);
    return false;
  }
  listener->accept(listener->context, tcp);
  return listener->fd >= 0;
}

static void on_connections(uv_poll_t *poll, int status, int events) {
  (void)status; /* accept meets the error */
  (void)events;
  struct io_listener *listener = (struct io_listener *)poll;
  for (int i = 0; i < ACCEPTS_PER_TURN_MAX && accept_one(listener); i++)
    continue;
}

/* A listening socket, or -1 with errno. TCP_NODELAY is inherited by what it accepts. */
static int listen_at(const struct addrinfo *address) {
  int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static enum status listen_failed(const char *host, uint16_t port, const char *why, struct error *err) {
  bool ipv6 = strchr(host, ':') != NULL;
  return error_set(err, STATUS_IO, "listen %s%s%s:%u: %s", ipv6 ? "[" : "", host, ipv6 ? "]" : "", (unsigned)port, why);
}

/* Returns the descriptor, or -1 with `err` set. */
static int open_socket(const char *host, uint16_t port, struct error *err) {
  char service[8];
  snprintf(service, sizeof service, "%u", (unsigned)port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  struct addrinfo *addresses = NULL;
  int failed = getaddrinfo(host, service, &hints, &addresses);
  if (failed != 0) {
    listen_failed(host, port, gai_strerror(failed), err);
    return -1;
  }
  int fd = -1;
  for (const struct addrinfo *address = addresses; address != NULL && fd < 0; address = address->ai_next) {
    fd = listen_at(address);
  }
  int error = errno;
  freeaddrinfo(addresses);
  if (fd < 0) listen_failed(host, port, io_error_text(error), err);
  return fd;
}

static uint16_t bound_port(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = {.any.sa_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  CHECK(getsockname(fd, &address.any, &size) == 0);
  return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

enum status io_listen(struct io_loop *loop, const char *host, uint16_t port,
                      void (*accept)(void *context, struct io_tcp *tcp), void *context, struct io_listener **out,
                      struct error *err) {
  int fd = open_socket(host, port, err);
  if (fd < 0) return STATUS_IO;
  struct io_listener *listener = xcalloc(1, sizeof *listener);
  if (uv_poll_init(loop->uv, &listener->poll, fd) != 0) {
    close(fd);
    free(listener);
    return listen_failed(host, port, "cannot be polled", err);
  }
  listener->loop = loop;
  listener->accept = accept;
  listener->context = context;
  listener->fd = fd;
  listener->port = bound_port(fd);
  listener->retry = io_timer_create(loop, on_retry, listener);
  watch(listener);
  *out = listener;
  return STATUS_OK;
}

uint16_t io_listener_port(const struct io_listener *listener) {
  return listener->port;
}

static void on_poll_closed(uv_handle_t *handle) {
  free(handle);
}

void io_listener_close(struct io_listener *listener) {
  io_timer_destroy(listener->retry);
  uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
  close(listener->fd);
  listener->fd = -1;
}
