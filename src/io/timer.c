#include "io/loop_internal.h"

#include "base/check.h"

#include <stdlib.h>

struct io_timer {
  uv_timer_t uv; /* first member: its address is the timer's */
  struct io_loop *loop;
  void (*fire)(void *context);
  void *context;
};

struct io_timer *io_timer_create(struct io_loop *loop, void (*fire)(void *context), void *context) {
  struct io_timer *timer = xcalloc(1, sizeof *timer);
  timer->loop = loop;
  timer->fire = fire;
  timer->context = context;
  CHECK(uv_timer_init(loop->uv, &timer->uv) == 0);
  return timer;
}

static void on_timeout(uv_timer_t *uv) {
  struct io_timer *timer = (struct io_timer *)uv;
  uv_stop(timer->loop->uv); /* UV_RUN_ONCE runs what is due and then still waits: the turn must end here */
  timer->fire(timer->context);
}

void io_timer_arm(struct io_timer *timer, uint64_t delay_ms) {
  if (!timer->loop->in_turn) uv_update_time(timer->loop->uv); /* the delay counts from now, not from the last turn */
  CHECK(uv_timer_start(&timer->uv, on_timeout, delay_ms, 0) == 0);
}

void io_timer_disarm(struct io_timer *timer) {
  CHECK(uv_timer_stop(&timer->uv) == 0);
}

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

void io_timer_destroy(struct io_timer *timer) {
  uv_close((uv_handle_t *)&timer->uv, on_closed);
}

void io_timer_unref(struct io_timer *timer) {
  uv_unref((uv_handle_t *)&timer->uv);
}
