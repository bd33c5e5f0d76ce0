/* A turn is one uv_run, which waits and runs the callbacks, and then, outside of libuv: first what callbacks deferred
 * (failures that must not surface inside the call that met them), then the hooks. The hooks do not stand in a uv_check
 * handle because uv_run(UV_RUN_ONCE) runs timers after those. */
#include "io/loop_internal.h"

#include "base/check.h"
#include "io/tcp_internal.h"

#include <signal.h>
#include <stdlib.h>

struct io_loop *io_loop_create(void) {
  struct io_loop *loop = xcalloc(1, sizeof *loop);
  loop->uv = xmalloc(sizeof *loop->uv);
  CHECK(uv_loop_init(loop->uv) == 0);
  list_init(&loop->hooks);
  list_init(&loop->deferred);
  list_init(&loop->lingering);
  loop->read_buffer = xmalloc(IO_READ_BYTES);
  loop->linger_timer = io_linger_timer_create(loop);
  io_phases_init(loop);
  signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write, not the end of the process */
  return loop;
}

static void check_closing(uv_handle_t *handle, void *context) {
  (void)context;
  CHECK(uv_is_closing(handle));
}

void io_loop_destroy(struct io_loop *loop) {
  io_linger_cut_all(loop);
  io_timer_destroy(loop->linger_timer);
  CHECK(list_empty(&loop->hooks));
  CHECK(list_empty(&loop->deferred));
  uv_walk(loop->uv, check_closing, NULL);
  CHECK(uv_run(loop->uv, UV_RUN_DEFAULT) == 0); /* close callbacks, and jobs that a worker still runs */
  CHECK(uv_loop_close(loop->uv) == 0);
  free(loop->read_buffer);
  free(loop->uv);
  free(loop);
}

struct uv_loop_s *io_loop_uv(struct io_loop *loop) {
  return loop->uv;
}

uint64_t io_loop_now_ms(const struct io_loop *loop) {
  if (!loop->in_turn) uv_update_time(loop->uv); /* libuv's clock stands still between turns */
  return uv_now(loop->uv);
}

uint64_t io_clock_ns(void) {
  return uv_hrtime();
}

uint64_t io_clock_us(void) {
  return uv_hrtime() / 1000;
}

static void run_deferred(struct io_loop *loop) {
  struct list *item;
  while ((item = list_pop_front(&loop->deferred)) != NULL) {
    struct io_hook *hook = (struct io_hook *)item;
    hook->run(hook);
  }
}

static void run_hooks(struct io_loop *loop) {
  struct list cursor; /* stands in the list behind the running hook: any hook may be removed meanwhile */
  list_push_back(loop->hooks.next, &cursor);
  while (cursor.next != &loop->hooks) {
    struct io_hook *hook = (struct io_hook *)cursor.next;
    list_remove(&cursor);
    list_push_back(hook->link.next, &cursor);
    hook->turn = loop->turn;
    const char *name = hook->name != NULL ? hook->name : "hook";
    hook->run(hook);
    io_phases_cut(loop, name);
  }
  list_remove(&cursor);
}

bool io_loop_turn(struct io_loop *loop, enum io_turn mode) {
  CHECK(!loop->in_turn);
  loop->in_turn = true;
  loop->turn++;
  bool block = mode == IO_TURN_BLOCK && !loop->wake;
  io_phases_begin(loop);
  uv_run(loop->uv, block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  io_phases_after_callbacks(loop);
  loop->wake = false; /* what callbacks asked for is done below; what the hooks leave sets it again */
  run_deferred(loop);
  run_hooks(loop);
  io_phases_end(loop);
  loop->in_turn = false;
  return loop->wake || uv_loop_alive(loop->uv) != 0;
}

bool io_loop_in_turn(const struct io_loop *loop) {
  return loop->in_turn;
}

void io_hook_add(struct io_loop *loop, struct io_hook *hook) {
  hook->turn = 0;
  list_push_back(&loop->hooks, &hook->link);
}

void io_hook_remove(struct io_hook *hook) {
  list_remove(&hook->link);
}

void io_loop_wake(struct io_loop *loop) {
  loop->wake = true;
}

void io_hook_wake(struct io_loop *loop, const struct io_hook *hook) {
  if (!loop->in_turn || hook->turn == loop->turn) loop->wake = true;
}

void io_defer(struct io_loop *loop, struct io_hook *hook) {
  list_push_back(&loop->deferred, &hook->link);
  io_loop_wake(loop);
}
