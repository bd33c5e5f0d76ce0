/* The way of a snapshot: an immutable view is taken on the loop (O(1)); a worker writes it to a temporary file beside
 * the target, syncs it, renames it over the target and syncs the directory, so that the target is either the old file
 * or the complete new one, whatever happens; back on the loop the view is released.
 *
 * The way of a restore: a worker reads the file piece by piece into a state that nobody sees; on the loop it replaces
 * the node's state as a whole. A damaged file leaves that as it was.
 *
 * While a job is with the worker, the loop does not touch it. */
#include "server/jobs.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_PIECE_BYTES = 256 * 1024 };

struct job {
  struct jobs *jobs;
  char *path;                     /* owned */
  struct kvsm_snapshot *snapshot; /* a snapshot job's view */
  struct kvsm_restore *restore;   /* a restore job's state under construction; NULL once it is gone */
  int fd;                         /* the worker's open file */
  uint64_t bytes;                 /* written or read so far */
  enum status status;             /* how the worker ended */
  struct error why;
  server_job_done *done;
  void *context;
};

static enum status job_fail(struct job *job, const char *what, const char *path) {
  char reason[128];
  int code = errno;
  return error_set(&job->why, code == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s %s: %s", what, path,
                   strerror_r(code, reason, sizeof reason));
}

static struct job *job_create(struct jobs *jobs, const char *path, server_job_done *done, void *context) {
  struct job *job = xcalloc(1, sizeof *job);
  job->jobs = jobs;
  size_t path_bytes = strlen(path) + 1;
  job->path = memcpy(xmalloc(path_bytes), path, path_bytes);
  job->fd = -1;
  job->done = done;
  job->context = context;
  jobs->running++;
  return job;
}

static void job_end(struct job *job, uint64_t index) {
  struct jobs *jobs = job->jobs;
  bool ok = job->status == STATUS_OK;
  job->done(job->context, job->status, ok ? job->bytes : 0, ok ? index : 0, ok ? "" : job->why.text);
  free(job->path);
  free(job);
  jobs->running--;
  if (jobs->running == 0 && jobs->idle != NULL) jobs->idle(jobs->idle_context);
}

static enum status write_chunk(void *context, struct bytes chunk) {
  struct job *job = context;
  while (chunk.len > 0) {
    ssize_t written = write(job->fd, chunk.data, chunk.len);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return job_fail(job, "write", job->path);
    chunk = bytes_make(chunk.data + written, chunk.len - (size_t)written);
    job->bytes += (uint64_t)written;
  }
  return STATUS_OK;
}

/* Makes a rename in the directory of job->path durable. */
static enum status sync_directory(struct job *job) {
  const char *slash = strrchr(job->path, '/');
  struct buffer directory;
  buffer_init(&directory);
  buffer_append(&directory, slash == NULL ? "." : job->path, slash == NULL ? 1 : (size_t)(slash - job->path) + 1);
  buffer_append_byte(&directory, '\0');
  const char *name = (const char *)directory.data;
  enum status status = STATUS_OK;
  int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0) status = job_fail(job, "sync", name);
  if (fd >= 0) close(fd);
  buffer_deinit(&directory);
  return status;
}

static enum status write_file(struct job *job) {
  enum status status = kvsm_snapshot_write(job->snapshot, write_chunk, job);
  if (status == STATUS_OK && fsync(job->fd) != 0) status = job_fail(job, "sync", job->path);
  if (close(job->fd) != 0 && status == STATUS_OK) status = job_fail(job, "close", job->path);
  job->fd = -1;
  return status;
}

/* A rename would put a file in the place of a device or a socket. */
static bool is_replaceable(struct job *job) {
  struct stat found;
  if (lstat(job->path, &found) != 0 || S_ISREG(found.st_mode)) return true;
  job->status = error_set(&job->why, STATUS_INVALID, "snapshot to %s: it is there and not a regular file", job->path);
  return false;
}

static void work_snapshot(void *context) {
  struct job *job = context;
  if (!is_replaceable(job)) return;
  size_t bytes = strlen(job->path) + sizeof ".XXXXXX";
  char *temporary = xmalloc(bytes);
  snprintf(temporary, bytes, "%s.XXXXXX", job->path);
  job->fd = mkostemp(temporary, O_CLOEXEC);
  if (job->fd < 0) {
    job->status = job_fail(job, "create", temporary);
  } else {
    job->status = write_file(job);
    if (job->status == STATUS_OK && rename(temporary, job->path) != 0)
      job->status = job_fail(job, "rename to", job->path);
    if (job->status == STATUS_OK)
      job->status = sync_directory(job);
    else
      unlink(temporary);
  }
  free(temporary);
}

static void on_snapshot_written(void *context) {
  struct job *job = context;
  uint64_t index = kvsm_snapshot_index(job->snapshot);
  kvsm_snapshot_release(job->jobs->sm, job->snapshot);
  job_end(job, index);
}

static enum status read_file(struct job *job, uint8_t *piece) {
  for (;;) {
    ssize_t got = read(job->fd, piece, READ_PIECE_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return job_fail(job, "read", job->path);
    if (got == 0) return STATUS_OK;
    job->bytes += (uint64_t)got;
    enum status status = kvsm_restore_feed(job->restore, bytes_make(piece, (size_t)got), &job->why);
    if (status != STATUS_OK) return status;
  }
}

static void work_restore(void *context) {
  struct job *job = context;
  /* Without O_NONBLOCK a pipe could hold the worker, and with it the end of the process, for ever. */
  job->fd = open(job->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (job->fd < 0) {
    job->status = job_fail(job, "open", job->path);
    return;
  }
  uint8_t *piece = xmalloc(READ_PIECE_BYTES);
  job->status = read_file(job, piece);
  free(piece);
  close(job->fd);
}

static void on_restore_read(void *context) {
  struct job *job = context;
  struct jobs *jobs = job->jobs;
  if (job->status == STATUS_OK && jobs->idle != NULL)
    job->status = error_set(&job->why, STATUS_CLOSED, "restore %s: the server is closed", job->path);
  if (job->status == STATUS_OK)
    job->status = kvsm_restore_finish(job->restore, jobs->sm, &job->why);
  else
    kvsm_restore_abort(job->restore);
  struct kvsm_stats stats;
  kvsm_stats(jobs->sm, &stats);
  job_end(job, stats.last_applied);
}

void jobs_init(struct jobs *jobs, struct io_loop *loop, struct kvsm *sm) {
  *jobs = (struct jobs){.loop = loop, .sm = sm};
}

static bool jobs_full(const struct jobs *jobs) {
  CHECK(jobs->idle == NULL);
  return jobs->running >= JOBS_MAX;
}

enum status jobs_snapshot(struct jobs *jobs, const char *path, server_job_done *done, void *context) {
  if (jobs_full(jobs)) return STATUS_OVERLOADED;
  struct job *job = job_create(jobs, path, done, context);
  job->snapshot = kvsm_snapshot_take(jobs->sm);
  io_work(jobs->loop, work_snapshot, on_snapshot_written, job);
  return STATUS_OK;
}

enum status jobs_restore(struct jobs *jobs, const char *path, server_job_done *done, void *context) {
  if (jobs_full(jobs)) return STATUS_OVERLOADED;
  struct job *job = job_create(jobs, path, done, context);
  job->restore = kvsm_restore_begin();
  io_work(jobs->loop, work_restore, on_restore_read, job);
  return STATUS_OK;
}

void jobs_close(struct jobs *jobs, void (*idle)(void *context), void *context) {
  CHECK(jobs->idle == NULL);
  if (jobs->running == 0) {
    idle(context);
    return;
  }
  jobs->idle = idle;
  jobs->idle_context = context;
}
