/* The event loop (libuv), and the end of each turn: hooks that run after all callbacks of a turn, in the order in which
 * they were added. They are where a node does its work in batches (DESIGN.md section 3). One thread. libuv's types do
 * not appear here; who may use libuv itself takes the uv_loop_t from io_loop_uv. */
#ifndef KV_IO_LOOP_H
#define KV_IO_LOOP_H

#include "base/list.h"
#include "base/status.h"
#include "metrics/histogram.h"

#include <stdbool.h>
#include <stdint.h>

struct io_loop;
struct uv_loop_s;

struct io_loop *io_loop_create(void); /* returns owned */
/* Every handle on it must be closed; CHECKs that. Waits for jobs that a worker still runs. */
void io_loop_destroy(struct io_loop *loop);
struct uv_loop_s *io_loop_uv(struct io_loop *loop);

/* Monotonic milliseconds, the same for the whole turn. */
uint64_t io_loop_now_ms(const struct io_loop *loop);
/* Monotonic nanoseconds, and microseconds, now. Any thread. */
uint64_t io_clock_ns(void);
uint64_t io_clock_us(void);

enum io_turn { IO_TURN_BLOCK, IO_TURN_NOWAIT };
/* One turn: callbacks (waiting for one when IO_TURN_BLOCK), then the hooks. Must not nest (CHECKed). True while there
 * is anything left to wait for. */
bool io_loop_turn(struct io_loop *loop, enum io_turn mode);
/* True inside io_loop_turn. */
bool io_loop_in_turn(const struct io_loop *loop);

/* How long turns took: all but the waiting, and what ran between this one and the one before (scripts). */
const struct histogram *io_loop_turns(const struct io_loop *loop); /* the loop's */
/* From here on a turn that took this long is told to the log, with what took the most of it; 0: none is. */
void io_loop_tell_slow(struct io_loop *loop, uint32_t slow_ms);

struct io_hook {
  struct list link;
  const char *name; /* for the log; static; NULL: none */
  void (*run)(struct io_hook *hook);
  uint64_t turn; /* the loop's: the last turn in which it ran */
};
void io_hook_add(struct io_loop *loop, struct io_hook *hook); /* keeps until removed */
void io_hook_remove(struct io_hook *hook);
/* The next turn must not block (something is left to do at its end). From a callback: this turn's end is meant. */
void io_loop_wake(struct io_loop *loop);
/* The hook has something to do: wakes the loop unless the hook still runs at the end of this turn. */
void io_hook_wake(struct io_loop *loop, const struct io_hook *hook);

/* A one-shot timer. Destroying it needs no callback. */
struct io_timer;
struct io_timer *io_timer_create(struct io_loop *loop, void (*fire)(void *context), void *context);
void io_timer_arm(struct io_timer *timer, uint64_t delay_ms); /* replaces an earlier arming */
void io_timer_disarm(struct io_timer *timer);
void io_timer_destroy(struct io_timer *timer);

/* Runs `work` on a thread of the shared pool, then `done` on the loop, exactly once. The context is lent to the worker
 * in between. */
void io_work(struct io_loop *loop, void (*work)(void *context), void (*done)(void *context), void *context);

#endif
