/* The happy path: the log has a batch to write -> its job runs on the thread -> back on the loop, wal_job_done may
 * submit the next one -> at the end of that turn the member asks which syncs are done. Spare segments are made by works
 * on the pool, since they take long and nobody waits for them in good times.
 *
 * A full disk: a spare could not be made. Once in a while the log is told to try again. A failure: the log says so to
 * whoever uses it, and no job is submitted any more.
 *
 * The end: the thread ends, with the job that it is at; works end, too, at their next write; only then the log, the
 * snapshots and the directory. */
#include "server/durable.h"

#include "base/check.h"
#include "base/log.h"
#include "io/disk.h"
#include "io/thread.h"
#include "raft/restart.h"
#include "raft/storage/snapshot_files.h"
#include "server/datadir.h"
#include "server/works.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
  CACHE_BYTES_MAX = 64 << 20, /* of durable entries in memory; others are read back */
  ROOM_RETRY_MS = 200         /* how often a full disk is asked again */
};

struct durable {
  struct io_disk_watch watch;
  struct disk *system;       /* NULL: not open, as the four below it */
  struct fault_disk *faults; /* NULL as well: not enabled */
  struct disk *disk;         /* which of the two is used */
  struct snapshot_files *snapshots;
  struct wal *wal;

  struct io_loop *loop; /* NULL: not started, as the three below it */
  struct io_thread *thread;
  struct works *works;
  struct io_timer *room_timer;

  struct io_job job;       /* of wal_job */
  struct wal_job *wal_job; /* NULL: none */
  bool wal_job_ran;        /* the thread's, while it is there */
  bool closing;            /* jobs wait for durable_close */
};

/* ---- the log's jobs ---- */

static struct durable *of_job(struct io_job *job) {
  return (struct durable *)(void *)((char *)job - offsetof(struct durable, job));
}

static void run_job(struct io_job *job) {
  struct durable *durable = of_job(job);
  wal_job_run(durable->wal_job);
  durable->wal_job_ran = true;
}

static void finish_job(struct durable *durable) {
  struct wal_job *job = durable->wal_job;
  durable->wal_job = NULL;
  wal_job_done(durable->wal, job);
}

static void on_job_done(struct io_job *job) {
  finish_job(of_job(job));
}

static void submit(void *context, struct wal_job *job) {
  struct durable *durable = context;
  CHECK(durable->wal_job == NULL && durable->thread != NULL);
  durable->wal_job = job;
  durable->wal_job_ran = false;
  durable->job = (struct io_job){.work = run_job, .done = on_job_done};
  if (!durable->closing) io_thread_run(durable->thread, &durable->job);
}

/* ---- spare segments ---- */

static void watch_room(struct durable *durable) {
  if (wal_disk_full(durable->wal)) io_timer_arm(durable->room_timer, ROOM_RETRY_MS);
}

static void on_room_timer(void *context) {
  struct durable *durable = context;
  wal_make_room(durable->wal);
  watch_room(durable);
}

static void run_spare(void *subject) {
  wal_spare_job_run(subject);
}

static void on_spare_done(void *owner, void *subject) {
  struct durable *durable = owner;
  wal_spare_job_done(durable->wal, subject);
  watch_room(durable);
}

static void submit_spare(void *context, struct wal_spare_job *job) {
  struct durable *durable = context;
  if (!durable->closing) works_submit(durable->works, run_spare, on_spare_done, durable, job);
}

/* ---- opening ---- */

static enum status open_log(struct durable *durable, const struct config *config, struct error *err) {
  struct wal_options options = {.segment_bytes = config->segment_bytes,
                                .cache_bytes_max = CACHE_BYTES_MAX,
                                .snapshots = snapshot_files_base(durable->snapshots),
                                .clock_us = io_clock_us};
  struct wal_owner owner = {durable, submit, submit_spare};
  CHECK(getrandom(&options.seed, sizeof options.seed, 0) == (ssize_t)sizeof options.seed);
  return wal_open(durable->disk, &options, &owner, &durable->wal, err);
}

static enum status open_disk(struct durable *durable, const struct config *config, struct error *err) {
  enum status status = datadir_open(config, &durable->watch, &durable->system, err);
  if (status == STATUS_OK && config->enable_faults)
    status = fault_disk_open(durable->system, config->seed, &durable->faults, err);
  if (status != STATUS_OK) return status;
  durable->disk = durable->faults != NULL ? fault_disk_base(durable->faults) : durable->system;
  return STATUS_OK;
}

enum status durable_open(struct durable *durable, const struct config *config, struct kvsm *sm, struct error *err) {
  enum status status = open_disk(durable, config, err);
  if (status == STATUS_OK) status = snapshot_files_open(durable->disk, &durable->snapshots, err);
  if (status == STATUS_OK) status = open_log(durable, config, err);
  if (status == STATUS_OK) status = raft_restart(wal_base(durable->wal), sm, err);
  return status;
}

void durable_stop_opening(struct durable *durable) {
  atomic_store(&durable->watch.stop, true);
}

uint64_t durable_opening_bytes(const struct durable *durable) {
  return atomic_load(&durable->watch.got_bytes);
}

/* ---- life ---- */

struct durable *durable_create(void) {
  return xcalloc(1, sizeof(struct durable));
}

void durable_start(struct durable *durable, struct io_loop *loop) {
  durable->loop = loop;
  durable->thread = io_thread_create(loop);
  durable->works = works_create(loop);
  durable->room_timer = io_timer_create(loop, on_room_timer, durable);
  wal_make_room(durable->wal);
}

struct raft_storage *durable_base(struct durable *durable) {
  return wal_base(durable->wal);
}

bool durable_complete(struct durable *durable, uint64_t *number, uint64_t *last_index) {
  return wal_complete(durable->wal, number, last_index);
}

const struct wal_figures *durable_figures(const struct durable *durable) {
  return wal_figures(durable->wal);
}

const char *durable_failure(const struct durable *durable) {
  return wal_failure(durable->wal);
}

struct fault_disk *durable_fault_disk(struct durable *durable) {
  return durable->faults;
}

/* What each job that is done submits, too. */
static void finish_jobs(struct durable *durable) {
  while (durable->wal_job != NULL) {
    if (!durable->wal_job_ran) wal_job_run(durable->wal_job);
    finish_job(durable);
  }
}

static void stop(struct durable *durable) {
  durable->closing = true;
  if (durable->faults != NULL) fault_disk_hurry(durable->faults);
  io_thread_destroy(durable->thread);
  atomic_store(&durable->watch.stop, true);
  works_close(durable->works);
  atomic_store(&durable->watch.stop, false);
  io_timer_destroy(durable->room_timer);
}

static void close_log(struct durable *durable, bool clean) {
  struct error err;
  if (!clean) {
    wal_destroy(durable->wal);
    return;
  }
  finish_jobs(durable);
  if (wal_close(durable->wal, &err) != STATUS_OK) LOG_WARN("server", "log_not_sealed", LOG_STR("why", err.text));
}

void durable_close(struct durable *durable, bool clean) {
  if (durable->loop != NULL) stop(durable);
  if (durable->wal != NULL) close_log(durable, clean && durable->loop != NULL);
  if (durable->snapshots != NULL) snapshot_files_close(durable->snapshots);
  if (durable->faults != NULL) fault_disk_close(durable->faults);
  if (durable->system != NULL) io_disk_close(durable->system);
  free(durable);
}
