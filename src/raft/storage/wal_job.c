/* What the jobs do, on threads of their own. The order of the steps, and what a crash between them leaves, is in
 * wal_format.h. */
#include "raft/storage/wal_state.h"

static uint64_t now_us(const struct wal_job *job) {
  return job->clock_us != NULL ? job->clock_us() : 0;
}

static enum status write_batch(struct wal_job *job) {
  struct disk *disk = job->disk;
  if (job->starts_segment) return wal_segment_start(disk, job->spare, &job->head, job->data, &job->file, &job->err);
  return disk->ops->write(disk, job->file, job->offset, job->data, &job->err);
}

static enum status run_steps(struct wal_job *job) {
  uint64_t start_us = now_us(job);
  enum status status = write_batch(job);
  uint64_t written_us = now_us(job);
  job->write_us = written_us - start_us;
  if (status != STATUS_OK || job->starts_segment) return status;
  status = job->disk->ops->sync(job->disk, job->file, &job->err);
  job->sync_us = now_us(job) - written_us;
  return status;
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
