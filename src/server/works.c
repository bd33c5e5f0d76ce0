/* What was given to the pool cannot be taken back: it comes to its turn there, and back to the loop, in any case. So
 * the book of it outlives its owner, until the last one has come back; what finds the book closed does nothing. */
#include "server/works.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

struct works {
  struct io_loop *loop;
  size_t given; /* to the pool, and not back yet; the loop's */

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t idle;   /* nothing runs any more */
  size_t running;
  bool closed;
};

struct item {
  struct works *works;
  void (*work)(void *subject);
  void (*done)(void *owner, void *subject);
  void *owner;
  void *subject;
};

static void lock(struct works *works) {
  CHECK(pthread_mutex_lock(&works->mutex) == 0);
}

static void unlock(struct works *works) {
  CHECK(pthread_mutex_unlock(&works->mutex) == 0);
}

static void free_if_over(struct works *works) {
  if (!works->closed || works->given > 0) return;
  CHECK(pthread_mutex_destroy(&works->mutex) == 0);
  CHECK(pthread_cond_destroy(&works->idle) == 0);
  free(works);
}

static bool begin(struct works *works) {
  lock(works);
  bool open = !works->closed;
  if (open) works->running++;
  unlock(works);
  return open;
}

static void end(struct works *works) {
  lock(works);
  if (--works->running == 0) CHECK(pthread_cond_signal(&works->idle) == 0);
  unlock(works);
}

static void on_worker(void *context) {
  struct item *item = context;
  if (!begin(item->works)) return;
  item->work(item->subject);
  end(item->works);
}

static void on_loop(void *context) {
  struct item *item = context;
  struct works *works = item->works;
  works->given--;
  if (works->closed)
    free_if_over(works);
  else
    item->done(item->owner, item->subject);
  free(item);
}

struct works *works_create(struct io_loop *loop) {
  struct works *works = xcalloc(1, sizeof *works);
  works->loop = loop;
  CHECK(pthread_mutex_init(&works->mutex, NULL) == 0);
  CHECK(pthread_cond_init(&works->idle, NULL) == 0);
  return works;
}

void works_submit(struct works *works, void (*work)(void *subject), void (*done)(void *owner, void *subject),
                  void *owner, void *subject) {
  struct item *item = xcalloc(1, sizeof *item);
  *item = (struct item){works, work, done, owner, subject};
  works->given++;
  io_work(works->loop, on_worker, on_loop, item);
}

void works_close(struct works *works) {
  lock(works);
  works->closed = true;
  while (works->running > 0)
    CHECK(pthread_cond_wait(&works->idle, &works->mutex) == 0);
  unlock(works);
  free_if_over(works);
}
