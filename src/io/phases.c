/* Where the time of a turn goes. libuv says how long it has waited in all; what is left of uv_run are callbacks. */
#include "io/loop_internal.h"

#include "base/log.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000 };

void io_phases_init(struct io_loop *loop) {
  (void)uv_loop_configure(loop->uv, UV_METRICS_IDLE_TIME); /* older than that: waiting counts as callbacks */
}

static void add(struct io_phases *phases, const char *name, uint64_t ns) {
  phases->sum_ns += ns;
  if (ns <= phases->longest_ns) return;
  phases->longest_ns = ns;
  phases->longest = name;
}

void io_phases_cut(struct io_loop *loop, const char *name) {
  struct io_phases *phases = &loop->phases;
  uint64_t now_ns = uv_hrtime();
  if (phases->last_ns != 0) add(phases, name, now_ns - phases->last_ns);
  phases->last_ns = now_ns;
}

void io_phases_begin(struct io_loop *loop) {
  struct io_phases *phases = &loop->phases;
  phases->sum_ns = 0;
  phases->longest_ns = 0;
  phases->longest = "nothing";
  io_phases_cut(loop, "scripts");
  phases->idle_ns = uv_metrics_idle_time(loop->uv);
}

void io_phases_after_callbacks(struct io_loop *loop) {
  struct io_phases *phases = &loop->phases;
  phases->last_ns += uv_metrics_idle_time(loop->uv) - phases->idle_ns;
  io_phases_cut(loop, "callbacks");
}

static void tell_slow(const struct io_phases *phases) {
  if (phases->slow_ms == 0 || phases->sum_ns < (uint64_t)phases->slow_ms * NS_PER_MS) return;
  LOG_WARN("loop", "slow_turn", LOG_U64("ms", phases->sum_ns / NS_PER_MS), LOG_STR("longest", phases->longest),
           LOG_U64("longest_ms", phases->longest_ns / NS_PER_MS));
}

void io_phases_end(struct io_loop *loop) {
  struct io_phases *phases = &loop->phases;
  histogram_add(&phases->turns, phases->sum_ns / NS_PER_US);
  tell_slow(phases);
}

const struct histogram *io_loop_turns(const struct io_loop *loop) {
  return &loop->phases.turns;
}

void io_loop_tell_slow(struct io_loop *loop, uint32_t slow_ms) {
  loop->phases.slow_ms = slow_ms;
}
