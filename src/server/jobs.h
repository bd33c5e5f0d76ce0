/* Snapshot and restore of a node's state as jobs in the background. A job lives on by itself: it keeps the state
 * machine from being destroyed, so whoever owns that asks jobs_close when it may go. The loop's thread. */
#ifndef KV_SERVER_JOBS_H
#define KV_SERVER_JOBS_H

#include "io/loop.h"
#include "kvsm/kvsm.h"
#include "server/run.h"

enum { JOBS_MAX = 4 }; /* at once; beyond: STATUS_OVERLOADED */

struct jobs {
  struct io_loop *loop; /* keeps */
  struct kvsm *sm;      /* keeps */
  unsigned running;
  void (*idle)(void *context); /* set by jobs_close */
  void *idle_context;
};

void jobs_init(struct jobs *jobs, struct io_loop *loop, struct kvsm *sm);
/* See server_snapshot and server_restore. */
enum status jobs_snapshot(struct jobs *jobs, const char *path, server_job_done *done, void *context);
enum status jobs_restore(struct jobs *jobs, const char *path, server_job_done *done, void *context);
/* No new jobs. `idle` runs once: inside the call when no job runs, else after the `done` of the last one. A restore
 * that ends after this replaces nothing (STATUS_CLOSED). */
void jobs_close(struct jobs *jobs, void (*idle)(void *context), void *context);

#endif
