/* An open connection. Every failure, wherever it is met, takes one way: io_tcp_fail defers, on_failed tells the owner
 * at the end of the turn's callbacks. So no callback runs inside a call of the owner, and after any callback a
 * connection is at worst closed, its memory there until libuv has run the close callback. */
#include "io/tcp_internal.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REST_READS_MAX = 16 }; /* reads of IO_READ_BYTES after a failed write */

const char *io_error_text(int error) {
  return error == 0 ? "connection broken" : uv_strerror(uv_translate_sys_error(error));
}

int io_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static ssize_t receive(struct io_tcp *tcp) {
  ssize_t received;
  do
    received = recv(tcp->fd, tcp->loop->read_buffer, IO_READ_BYTES, 0);
  while (received < 0 && errno == EINTR);
  return received;
}

static void deliver(struct io_tcp *tcp, ssize_t received) {
  tcp->events->on_data(tcp->context, bytes_make(tcp->loop->read_buffer, (size_t)received));
}

/* A peer that answers, closes and thereby resets us while we write: its answer still lies in the kernel. */
static void on_failed(struct io_hook *hook) {
  struct io_tcp *tcp = (struct io_tcp *)((char *)hook - offsetof(struct io_tcp, failed));
  for (int i = 0; i < REST_READS_MAX && tcp->fd >= 0 && tcp->reading && !tcp->ended; i++) {
    ssize_t received = receive(tcp);
    if (received <= 0) break;
    deliver(tcp, received);
    if (tcp->state == TCP_CLOSED) return;
  }
  tcp->events->on_closed(tcp->context, tcp->why);
}

struct io_tcp *io_tcp_create(struct io_loop *loop) {
  struct io_tcp *tcp = xcalloc(1, sizeof *tcp);
  tcp->loop = loop;
  tcp->state = TCP_CONNECTING;
  tcp->fd = -1;
  tcp->failed.run = on_failed;
  list_init(&tcp->failed.link);
  list_init(&tcp->linger);
  return tcp;
}

bool io_tcp_set_fd(struct io_tcp *tcp, int fd) {
  if (uv_poll_init(tcp->loop->uv, &tcp->poll, fd) != 0) {
    close(fd);
    return false;
  }
  tcp->fd = fd;
  return true;
}

static void read_once(struct io_tcp *tcp) {
  ssize_t received = receive(tcp);
  if (received > 0) {
    deliver(tcp, received);
  } else if (received == 0) {
    tcp->ended = true;
    io_tcp_update_interest(tcp);
    tcp->events->on_end(tcp->context);
  } else if (errno != EAGAIN) {
    io_tcp_fail(tcp, errno);
  }
}

static void open_progress(struct io_tcp *tcp, int status, int events) {
  if (status < 0 && (!tcp->reading || tcp->ended)) {
    io_tcp_fail(tcp, io_socket_error(tcp->fd));
    return;
  }
  if (status < 0 || (events & UV_READABLE) != 0) read_once(tcp); /* an error of the socket comes out of the read */
  if (tcp->state == TCP_OPEN && (events & UV_WRITABLE) != 0) {
    tcp->short_write = false;
    tcp->events->on_writable(tcp->context);
  }
  if (tcp->state == TCP_OPEN) io_tcp_update_interest(tcp);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct io_tcp *tcp = (struct io_tcp *)poll;
  if (status < 0) tcp->interest = 0; /* the socket has an error; libuv stopped watching it */
  if (tcp->state == TCP_CONNECTING)
    io_dial_progress(tcp);
  else if (tcp->state == TCP_OPEN)
    open_progress(tcp, status, events);
  else if (tcp->state == TCP_LINGERING)
    io_linger_readable(tcp);
}

static int wanted_interest(const struct io_tcp *tcp) {
  switch (tcp->state) {
  case TCP_CONNECTING:
    return UV_WRITABLE;
  case TCP_OPEN:
    return (tcp->reading && !tcp->ended ? UV_READABLE : 0) | (tcp->short_write ? UV_WRITABLE : 0);
  case TCP_LINGERING:
    return UV_READABLE;
  case TCP_FAILED:
  case TCP_CLOSED:
    break;
  }
  return 0;
}

void io_tcp_update_interest(struct io_tcp *tcp) {
  int wanted = tcp->fd < 0 ? 0 : wanted_interest(tcp);
  if (wanted == tcp->interest) return;
  tcp->interest = wanted;
  CHECK(wanted == 0 ? uv_poll_stop(&tcp->poll) == 0 : uv_poll_start(&tcp->poll, wanted, on_poll) == 0);
}

void io_tcp_fail(struct io_tcp *tcp, int error) {
  if (tcp->state == TCP_FAILED) return;
  tcp->state = TCP_FAILED;
  tcp->why = io_error_text(error);
  io_tcp_update_interest(tcp);
  io_defer(tcp->loop, &tcp->failed);
}

void io_tcp_set_events(struct io_tcp *tcp, const struct io_tcp_events *events, void *context) {
  tcp->events = events;
  tcp->context = context;
  tcp->reading = true;
  io_tcp_update_interest(tcp);
}

void io_tcp_read(struct io_tcp *tcp, bool on) {
  tcp->reading = on;
  io_tcp_update_interest(tcp);
}

size_t io_tcp_write(struct io_tcp *tcp, struct bytes data) {
  if (tcp->state != TCP_OPEN || tcp->short_write || data.len == 0) return 0;
  ssize_t sent;
  do
    sent = send(tcp->fd, data.data, data.len, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN) {
    io_tcp_fail(tcp, errno);
    return 0;
  }
  size_t taken = sent < 0 ? 0 : (size_t)sent;
  tcp->short_write = taken < data.len;
  io_tcp_update_interest(tcp);
  return taken;
}

void io_tcp_shutdown(struct io_tcp *tcp) {
  if (tcp->state == TCP_OPEN) shutdown(tcp->fd, SHUT_WR);
}

static void on_poll_closed(uv_handle_t *handle) {
  free(handle);
}

void io_tcp_close(struct io_tcp *tcp) {
  list_remove(&tcp->failed.link);
  io_dial_end(tcp);
  tcp->state = TCP_CLOSED;
  if (tcp->fd < 0) {
    free(tcp);
    return;
  }
  uv_close((uv_handle_t *)&tcp->poll, on_poll_closed);
  close(tcp->fd);
  tcp->fd = -1;
}

void io_tcp_close_lingering(struct io_tcp *tcp) {
  if (tcp->state == TCP_OPEN && !tcp->ended)
    io_linger_begin(tcp);
  else
    io_tcp_close(tcp);
}

void io_tcp_reset(struct io_tcp *tcp) {
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (tcp->fd >= 0) setsockopt(tcp->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  io_tcp_close(tcp);
}
