/* What the jobs do, on threads of their own. The order of the steps, and what a crash between them leaves, is in
 * wal_format.h. */
#include "raft/storage/wal_state.h"

static enum status run_steps(struct wal_job *job) {
  struct disk *disk = job->disk;
  if (job->starts_segment) return wal_segment_start(disk, job->spare, &job->head, job->data, &job->file, &job->err);
  enum status status = disk->ops->write(disk, job->file, job->offset, job->data, &job->err);
  return status == STATUS_OK ? disk->ops->sync(disk, job->file, &job->err) : status;
}

void wal_job_run(struct wal_job *job) {
  job->status = run_steps(job);
  job->ran = true;
}

static enum status recycle(struct wal_spare_job *job) {
  struct wal_name from = wal_name_of(WAL_FILE_SEGMENT, job->sequence);
  struct wal_name to = wal_name_of(WAL_FILE_SPARE, job->spare);
  return job->disk->ops->rename(job->disk, from.text, to.text, &job->err);
}

static enum status remove_segment(struct wal_spare_job *job) {
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, job->sequence);
  return job->disk->ops->remove(job->disk, name.text, &job->err);
}

void wal_spare_job_run(struct wal_spare_job *job) {
  if (job->kind == WAL_SPARE_MAKE) {
    job->status = wal_spare_make(job->disk, job->spare, job->bytes, &job->err);
    return;
  }
  job->status = job->kind == WAL_SPARE_RECYCLE ? recycle(job) : remove_segment(job);
  if (job->status == STATUS_OK) job->status = job->disk->ops->sync_directory(job->disk, WAL_DIRECTORY, &job->err);
}
