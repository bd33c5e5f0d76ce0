/* The inside of a loop, for the files of src/io only. */
#ifndef KV_IO_LOOP_INTERNAL_H
#define KV_IO_LOOP_INTERNAL_H

#include "io/loop.h"

#include <uv.h>

enum { IO_READ_BYTES = 65536 }; /* most that one read takes from a socket */

/* Where the time of a turn goes: it is cut into phases, one after the other (phases.c). */
struct io_phases {
  uint64_t last_ns; /* when the last phase ended; 0: none has */
  uint64_t idle_ns; /* what libuv had waited in all when the turn began */
  uint64_t sum_ns;  /* of the phases of this turn */
  uint64_t longest_ns;
  const char *longest; /* its name */
  uint32_t slow_ms;    /* 0: nobody wants to know */
  struct histogram turns;
};

struct io_loop {
  uv_loop_t *uv;        /* owned */
  struct list hooks;    /* struct io_hook: the end of each turn */
  struct list deferred; /* struct io_hook, each runs once: what must not happen inside the call that caused it */
  uint64_t turn;        /* counts from 1 */
  bool in_turn;
  bool wake; /* the next turn must not block */
  struct io_phases phases;
  uint8_t *read_buffer; /* IO_READ_BYTES, owned; shared by all connections, in use during one on_data */

  struct list lingering;         /* struct io_tcp whose owner is gone, oldest first (linger.c) */
  size_t lingering_count;        /* at most LINGERING_MAX */
  struct io_timer *linger_timer; /* owned; armed for the oldest while there is one */
};

/* ---- phases.c ---- */

void io_phases_init(struct io_loop *loop);
/* The turn begins; what ran since the last one was its first phase. */
void io_phases_begin(struct io_loop *loop);
/* The callbacks have run: all that was not waiting is a phase. */
void io_phases_after_callbacks(struct io_loop *loop);
/* What ran since the last phase is one of this name, which is static. */
void io_phases_cut(struct io_loop *loop, const char *name);
void io_phases_end(struct io_loop *loop);

/* Runs `hook` once, after the callbacks of this turn or the next and before the hooks. To forget it: list_remove. */
void io_defer(struct io_loop *loop, struct io_hook *hook);

/* The timer no longer counts as something to wait for. */
void io_timer_unref(struct io_timer *timer);

#endif
