/* Connections whose owner said its last word: the peer's bytes are read and dropped until its FIN, or a limit. They
 * form a queue by deadline, since all get the same time; one timer of the loop stands on the oldest. */
#include "io/tcp_internal.h"

#include <errno.h>
#include <sys/socket.h>

static struct io_tcp *oldest(struct io_loop *loop) {
  return (struct io_tcp *)((char *)loop->lingering.next - offsetof(struct io_tcp, linger));
}

static void end(struct io_tcp *tcp) {
  list_remove(&tcp->linger);
  tcp->loop->lingering_count--;
  io_tcp_close(tcp);
}

static void on_timeout(void *context) {
  struct io_loop *loop = context;
  uint64_t now = io_loop_now_ms(loop);
  while (!list_empty(&loop->lingering) && oldest(loop)->linger_until_ms <= now)
    end(oldest(loop));
  if (!list_empty(&loop->lingering)) io_timer_arm(loop->linger_timer, oldest(loop)->linger_until_ms - now);
}

struct io_timer *io_linger_timer_create(struct io_loop *loop) {
  struct io_timer *timer = io_timer_create(loop, on_timeout, loop);
  io_timer_unref(timer);
  return timer;
}

void io_linger_begin(struct io_tcp *tcp) {
  struct io_loop *loop = tcp->loop;
  if (loop->lingering_count == LINGERING_MAX) end(oldest(loop));
  if (list_empty(&loop->lingering)) io_timer_arm(loop->linger_timer, LINGER_MS);
  shutdown(tcp->fd, SHUT_WR);
  tcp->state = TCP_LINGERING;
  tcp->linger_until_ms = io_loop_now_ms(loop) + LINGER_MS;
  list_push_back(&loop->lingering, &tcp->linger);
  loop->lingering_count++;
  uv_unref((uv_handle_t *)&tcp->poll);
  io_tcp_update_interest(tcp);
}

void io_linger_readable(struct io_tcp *tcp) {
  ssize_t received = recv(tcp->fd, tcp->loop->read_buffer, IO_READ_BYTES, 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (received > 0) tcp->linger_bytes += (size_t)received;
  if (received <= 0 || tcp->linger_bytes > LINGER_BYTES_MAX) end(tcp);
}

void io_linger_cut_all(struct io_loop *loop) {
  while (!list_empty(&loop->lingering))
    end(oldest(loop));
}
