#include "io/loop_internal.h"

#include "base/check.h"

#include <stdlib.h>

struct job {
  uv_work_t uv; /* first member: its address is the job's */
  void (*work)(void *context);
  void (*done)(void *context);
  void *context;
};

static void on_worker(uv_work_t *uv) {
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
