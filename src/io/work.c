#include "io/loop_internal.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WORKER_NICENESS = 10 };

struct job {
  uv_work_t uv; /* first member: its address is the job's */
  void (*work)(void *context);
  void (*done)(void *context);
  void *context;
};

/* With few cores, work in the background must not take the loop's turn. On Linux niceness belongs to the thread, and
 * anybody may raise it. */
static void step_back(void) {
  static _Thread_local bool is_nice;
  if (is_nice) return;
  is_nice = true;
  (void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORKER_NICENESS);
}

static void on_worker(uv_work_t *uv) {
  step_back();
  struct job *job = (struct job *)uv;
  job->work(job->context);
}

static void on_loop(uv_work_t *uv, int status) {
  CHECK(status == 0); /* nobody cancels */
  struct job *job = (struct job *)uv;
  job->done(job->context);
  free(job);
}

void io_work(struct io_loop *loop, void (*work)(void *context), void (*done)(void *context), void *context) {
  struct job *job = xcalloc(1, sizeof *job);
  job->work = work;
  job->done = done;
  job->context = context;
  CHECK(uv_queue_work(loop->uv, &job->uv, on_worker, on_loop) == 0);
}
