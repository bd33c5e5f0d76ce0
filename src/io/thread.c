/* Two lists under one mutex: jobs on their way to the thread, and on their way back. The loop hears of the second by a
 * uv_async_t, which may stand for several jobs; its memory goes when libuv has closed it, after the thread's end. */
#include "io/thread.h"

#include "base/check.h"
#include "io/loop_internal.h"

#include <pthread.h>
#include <stdlib.h>

struct io_thread {
  uv_async_t finished; /* first member: its address is the thread's */
  pthread_t pthread;
  pthread_mutex_t mutex;  /* guards all below */
  pthread_cond_t arrived; /* a job, or the end */
  struct list waiting;    /* struct io_job */
  struct list over;       /* struct io_job */
  bool ending;
};

static void lock(struct io_thread *thread) {
  CHECK(pthread_mutex_lock(&thread->mutex) == 0);
}

static void unlock(struct io_thread *thread) {
  CHECK(pthread_mutex_unlock(&thread->mutex) == 0);
}

/* ---- on the thread ---- */

/* NULL: it ends. */
static struct io_job *next_job(struct io_thread *thread) {
  while (list_empty(&thread->waiting) && !thread->ending)
    CHECK(pthread_cond_wait(&thread->arrived, &thread->mutex) == 0);
  return thread->ending ? NULL : (struct io_job *)list_pop_front(&thread->waiting);
}

static void *run_jobs(void *context) {
  struct io_thread *thread = context;
  struct io_job *job;
  lock(thread);
  while ((job = next_job(thread)) != NULL) {
    unlock(thread);
    job->work(job);
    lock(thread);
    list_push_back(&thread->over, &job->link);
    CHECK(uv_async_send(&thread->finished) == 0);
  }
  unlock(thread);
  return NULL;
}

/* ---- on the loop ---- */

/* NULL: there is none, or nobody is to be told any more. */
static struct io_job *next_over(struct io_thread *thread) {
  lock(thread);
  struct io_job *job = thread->ending ? NULL : (struct io_job *)list_pop_front(&thread->over);
  unlock(thread);
  return job;
}

/* `done` may destroy the thread, whose memory lives on until libuv has closed the handle. */
static void on_finished(uv_async_t *uv) {
  struct io_thread *thread = (struct io_thread *)uv;
  struct io_job *job;
  while ((job = next_over(thread)) != NULL)
    job->done(job);
}

struct io_thread *io_thread_create(struct io_loop *loop) {
  struct io_thread *thread = xcalloc(1, sizeof *thread);
  list_init(&thread->waiting);
  list_init(&thread->over);
  CHECK(pthread_mutex_init(&thread->mutex, NULL) == 0);
  CHECK(pthread_cond_init(&thread->arrived, NULL) == 0);
  CHECK(uv_async_init(loop->uv, &thread->finished, on_finished) == 0);
  CHECK(pthread_create(&thread->pthread, NULL, run_jobs, thread) == 0);
  return thread;
}

void io_thread_run(struct io_thread *thread, struct io_job *job) {
  lock(thread);
  list_push_back(&thread->waiting, &job->link);
  CHECK(pthread_cond_signal(&thread->arrived) == 0);
  unlock(thread);
}

static void on_closed(uv_handle_t *handle) {
  struct io_thread *thread = (struct io_thread *)handle;
  CHECK(pthread_mutex_destroy(&thread->mutex) == 0);
  CHECK(pthread_cond_destroy(&thread->arrived) == 0);
  free(thread);
}

void io_thread_destroy(struct io_thread *thread) {
  lock(thread);
  thread->ending = true;
  CHECK(pthread_cond_signal(&thread->arrived) == 0);
  unlock(thread);
  CHECK(pthread_join(thread->pthread, NULL) == 0);
  uv_close((uv_handle_t *)&thread->finished, on_closed);
}
