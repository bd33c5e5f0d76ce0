/* A thread of one's own for work that blocks, and must not wait behind that of others: jobs run on it one after the
 * other, in the order in which they came, and each is told to the loop when it is over. */
#ifndef KV_IO_THREAD_H
#define KV_IO_THREAD_H

#include "base/list.h"
#include "io/loop.h"

struct io_thread;

/* In the caller's memory, from io_thread_run until `done`. */
struct io_job {
  struct list link;                 /* the thread's */
  void (*work)(struct io_job *job); /* on the thread */
  void (*done)(struct io_job *job); /* on the loop, later */
};

struct io_thread *io_thread_create(struct io_loop *loop); /* returns owned */
/* Keeps the job until its `done`. The loop's thread. */
void io_thread_run(struct io_thread *thread, struct io_job *job);
/* Waits until the job at work is over. No other begins, no `done` comes any more. Takes. */
void io_thread_destroy(struct io_thread *thread);

#endif
