/* The writer: batches become jobs, one at a time; segments that are not needed any more become spares. */
#include "raft/storage/wal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "raft/storage/wal_state.h"

enum { US_PER_MS = 1000 };

void wal_fail(struct wal *wal, const struct error *err) {
  if (wal->failed) return;
  wal->failed = true;
  wal->failure = *err;
  LOG_ERROR("wal", "failed", LOG_STR("why", wal->failure.text));
}

static void close_batch(struct wal *wal, struct wal_batch *batch) {
  if (batch->closed) return;
  batch->closed = true;
  batch->after = wal->now;
}

struct buffer *wal_records(struct wal *wal) {
  struct wal_batch *newest = wal_log_newest(&wal->log);
  if (newest != NULL && newest->bytes.len >= WAL_BATCH_BYTES_MAX) close_batch(wal, newest);
  if (newest == NULL || newest->closed) newest = wal_log_begin(&wal->log);
  return &newest->bytes;
}

/* ---- jobs ---- */

static struct wal_spare *smallest_spare(struct wal *wal, uint64_t bytes) {
  struct wal_spare *best = NULL;
  for (size_t i = 0; i < wal->spares_count; i++) {
    struct wal_spare *spare = &wal->spares[i];
    if (spare->bytes >= bytes && (best == NULL || spare->bytes < best->bytes)) best = spare;
  }
  return best;
}

/* A sync waits for this batch, or it is as large as one should be. */
static bool is_due(const struct wal_batch *batch) {
  return batch != NULL && (batch->closed || batch->syncs.len > 0);
}

struct wal_head wal_next_head(struct wal *wal) {
  uint64_t sequence = wal->sequence + 1;
  return (struct wal_head){.life = wal_life(prng_next(&wal->prng), sequence, wal->check),
                           .sequence = sequence,
                           .previous_check = wal->check,
                           .start = wal->given};
}

/* The next segment takes the spare's place; the job makes it so on the disk. */
static void enter_spare(struct wal *wal, struct wal_spare *spare) {
  struct wal_job *job = &wal->job;
  job->starts_segment = true;
  job->spare = spare->number;
  job->head = wal_next_head(wal);
  uint8_t encoded[WAL_HEAD_BYTES];
  wal_head_encode(&job->head, encoded); /* for its check */
  wal->life = job->head.life;
  wal->sequence = job->head.sequence;
  wal->check = job->head.check;
  wal->offset = WAL_HEAD_BYTES;
  wal->bytes = spare->bytes;
  *spare = wal->spares[--wal->spares_count];
}

static void fill_job(struct wal *wal, struct wal_batch *batch) {
  struct wal_job *job = &wal->job;
  uint32_t payload_bytes = wal_batch_pad(&batch->bytes);
  wal->check = wal_batch_close(&batch->bytes, payload_bytes, wal->life, wal->check);
  batch->sequence = wal->sequence;
  batch->offset = wal->offset;
  job->offset = wal->offset;
  job->data = buffer_view(&batch->bytes);
  wal->offset += batch->bytes.len;
  wal->given = batch->after;
  wal->job_busy = true;
}

/* False when the oldest batch must wait for a spare. */
static bool prepare_job(struct wal *wal, struct wal_batch *batch) {
  uint64_t need = wal_align(batch->bytes.len);
  bool fits = wal->offset + need <= wal->bytes;
  struct wal_spare *spare = fits ? NULL : smallest_spare(wal, WAL_HEAD_BYTES + need);
  if (!fits && spare == NULL) return false;
  wal->job = (struct wal_job){.disk = wal->disk, .file = wal->writer, .clock_us = wal->options.clock_us};
  if (!fits) enter_spare(wal, spare);
  fill_job(wal, batch);
  return true;
}

void wal_pump(struct wal *wal) {
  struct wal_batch *batch = wal_log_oldest(&wal->log);
  if (wal->failed || wal->job_busy || !is_due(batch)) return;
  close_batch(wal, batch); /* also when it must wait: the spare that is made for it must be large enough */
  bool ready = prepare_job(wal, batch);
  if (ready) wal->owner.submit(wal->owner.context, &wal->job);
  if (!ready || wal->job.starts_segment) wal_keep_spares(wal);
}

static void enter_segment(struct wal *wal) {
  wal->disk->ops->close(wal->disk, wal->writer);
  wal->writer = wal->job.file;
  wal_add_segment(wal, wal->sequence, wal->bytes, wal->job.head.start.last_index);
}

/* A disk that is this slow holds up every write of the cluster, so somebody should look at it. */
static void tell_slow(const struct wal *wal, const struct wal_batch *batch) {
  const struct wal_job *job = &wal->job;
  if (job->write_us + job->sync_us < (uint64_t)WAL_SLOW_MS * US_PER_MS) return;
  uint64_t entries =
      batch->after.last_index > wal->durable.last_index ? batch->after.last_index - wal->durable.last_index : 0;
  LOG_WARN("wal", "slow_write", LOG_U64("ms", (job->write_us + job->sync_us) / US_PER_MS),
           LOG_U64("sync_ms", job->sync_us / US_PER_MS), LOG_U64("bytes", job->data.len), LOG_U64("entries", entries),
           LOG_U64("starts_segment", job->starts_segment));
}

static void count_job(struct wal *wal) {
  const struct wal_job *job = &wal->job;
  struct wal_figures *figures = &wal->figures;
  figures->batches++;
  figures->bytes += job->data.len;
  figures->segments += job->starts_segment;
  if (job->clock_us == NULL) return;
  histogram_add(&figures->append, job->write_us + job->sync_us);
  if (!job->starts_segment) histogram_add(&figures->sync, job->sync_us);
}

/* The job is over: its batch is durable, or all is lost. */
static void finish_job(struct wal *wal) {
  CHECK(wal->job_busy);
  wal->job_busy = false;
  if (wal->job.status != STATUS_OK) {
    wal_fail(wal, &wal->job.err);
    return;
  }
  if (wal->job.starts_segment) enter_segment(wal);
  struct wal_batch *batch = wal_log_oldest(&wal->log);
  count_job(wal);
  tell_slow(wal, batch);
  wal->durable = batch->after;
  buffer_append_bytes(&wal->completed, buffer_view(&batch->syncs));
  wal_log_durable(&wal->log);
  wal_log_evict(&wal->log, wal->options.cache_bytes_max);
}

void wal_job_done(struct wal *wal, struct wal_job *job) {
  CHECK(job == &wal->job);
  finish_job(wal);
  wal_pump(wal);
  wal_keep_spares(wal);
}

bool wal_complete(struct wal *wal, uint64_t *number, uint64_t *last_index) {
  if (wal->failed || wal->completed_given * sizeof(struct wal_sync) == wal->completed.len) return false;
  struct wal_sync sync;
  memcpy(&sync, wal->completed.data + wal->completed_given * sizeof sync, sizeof sync);
  *number = sync.number;
  *last_index = sync.last_index;
  if (++wal->completed_given * sizeof sync == wal->completed.len) {
    buffer_clear(&wal->completed);
    wal->completed_given = 0;
  }
  return true;
}

/* ---- spares ---- */

/* The oldest segment is not needed: nothing in it is in the log, and a durable word says that a snapshot has it. */
static bool oldest_is_old(const struct wal *wal) {
  if (wal->segments_count < 2) return false;
  uint64_t end = wal->segments[1].start_last_index;
  return end <= wal->log.base_index && end <= wal->durable.snapshot_index;
}

static void retire_oldest(struct wal *wal, struct wal_spare_job *job) {
  struct wal_segment *oldest = &wal->segments[0];
  if (oldest->reader != NULL) wal->disk->ops->close(wal->disk, oldest->reader);
  bool keep = oldest->bytes >= wal->options.segment_bytes && wal->spares_count < WAL_SPARES_MAX;
  job->kind = keep ? WAL_SPARE_RECYCLE : WAL_SPARE_REMOVE;
  job->bytes = oldest->bytes;
  job->sequence = oldest->sequence;
  wal->segments_count--;
  memmove(wal->segments, wal->segments + 1, wal->segments_count * sizeof wal->segments[0]);
}

/* What the next segment should have: more than usual when a batch waits that needs it. Not for one that still grows, or
 * has room where it is: a spare that is made beyond WAL_SPARES_MAX must be used at once. */
static uint64_t spare_bytes(const struct wal *wal) {
  const struct wal_batch *batch = wal_log_oldest(&wal->log);
  if (batch == NULL || wal->job_busy || !batch->closed) return wal->options.segment_bytes;
  uint64_t bytes = wal_align(batch->bytes.len);
  uint64_t need = WAL_HEAD_BYTES + bytes;
  CHECK(need <= WAL_SEGMENT_BYTES_MAX);
  bool waits = wal->offset + bytes > wal->bytes;
  return waits && need > wal->options.segment_bytes ? need : wal->options.segment_bytes;
}

/* A disk that was full is only asked again when the owner says so: each try writes all that it has room for. */
static void want_spare(struct wal *wal, bool though_full) {
  if (wal->failed || wal->spare_job_busy) return;
  struct wal_spare_job *job = &wal->spare_job;
  uint64_t bytes = spare_bytes(wal);
  *job = (struct wal_spare_job){.disk = wal->disk, .spare = wal->next_spare, .bytes = bytes};
  bool lacks = wal->spares_count <= WAL_SPARES_MAX && smallest_spare(wal, bytes) == NULL;
  if (oldest_is_old(wal)) {
    retire_oldest(wal, job);
  } else if (lacks && (though_full || !wal->disk_full)) {
    job->kind = WAL_SPARE_MAKE;
  } else {
    return;
  }
  wal->next_spare++;
  wal->spare_job_busy = true;
  wal->owner.submit_spare(wal->owner.context, job);
}

void wal_keep_spares(struct wal *wal) {
  want_spare(wal, false);
}

void wal_make_room(struct wal *wal) {
  want_spare(wal, true);
}

void wal_spare_job_done(struct wal *wal, struct wal_spare_job *job) {
  CHECK(job == &wal->spare_job && wal->spare_job_busy);
  wal->spare_job_busy = false;
  bool was_full = wal->disk_full;
  wal->disk_full = job->kind == WAL_SPARE_MAKE && job->status == STATUS_DISK_FULL;
  if (wal->disk_full) {
    if (!was_full) LOG_WARN("wal", "disk_full", LOG_STR("why", job->err.text));
    return;
  }
  if (job->status != STATUS_OK) {
    wal_fail(wal, &job->err);
    return;
  }
  if (job->kind != WAL_SPARE_REMOVE) wal->spares[wal->spares_count++] = (struct wal_spare){job->spare, job->bytes};
  wal_pump(wal);
  wal_keep_spares(wal);
}

bool wal_disk_full(const struct wal *wal) {
  return wal->disk_full;
}

/* Of so many bytes of a segment, with `waiting` ones before. */
static uint64_t room_of(const struct wal *wal, uint64_t bytes, uint64_t waiting) {
  uint64_t reserve = wal->options.segment_bytes / 8;
  if (reserve > WAL_RESERVE_BYTES) reserve = WAL_RESERVE_BYTES;
  /* The heads of one batch and record, and of more for each so many bytes. */
  uint64_t heads = UINT64_C(2) * (WAL_BATCH_HEAD_BYTES + WAL_ENTRIES_HEAD_BYTES + WAL_ALIGN) + bytes / 32768;
  uint64_t taken = waiting + reserve + heads;
  return bytes > taken ? bytes - taken : 0;
}

/* What waits goes into the current segment or a spare as a whole, at worst. */
uint64_t wal_room(const struct wal *wal) {
  if (wal->failed) return 0;
  uint64_t best = wal->bytes - wal->offset;
  for (size_t i = 0; i < wal->spares_count; i++) {
    uint64_t bytes = wal->spares[i].bytes - WAL_HEAD_BYTES;
    if (bytes > best) best = bytes;
  }
  uint64_t waiting = wal_log_waiting_bytes(&wal->log);
  if (wal->job_busy) waiting -= wal->job.data.len;
  return room_of(wal, best, waiting);
}

uint64_t wal_room_ahead(const struct wal *wal) {
  return room_of(wal, wal->options.segment_bytes - WAL_HEAD_BYTES, 0);
}

struct raft_storage *wal_base(struct wal *wal) {
  return &wal->base;
}

const struct wal_figures *wal_figures(const struct wal *wal) {
  return &wal->figures;
}

const char *wal_failure(const struct wal *wal) {
  return wal->failed ? wal->failure.text : NULL;
}

/* ---- the end ---- */

static bool run_now(struct wal *wal, struct wal_batch *batch) {
  close_batch(wal, batch);
  if (!prepare_job(wal, batch)) return false;
  wal_job_run(&wal->job);
  finish_job(wal);
  return !wal->failed;
}

static enum status seal(struct wal *wal, struct error *err) {
  struct wal_batch *batch;
  bool ok = !wal->failed;
  while (ok && (batch = wal_log_oldest(&wal->log)) != NULL)
    ok = run_now(wal, batch);
  if (ok) {
    wal_put_seal(wal_records(wal));
    ok = run_now(wal, wal_log_oldest(&wal->log));
  }
  if (ok) return STATUS_OK;
  if (wal->failed) return error_set(err, STATUS_IO, "%s", wal->failure.text);
  return error_set(err, STATUS_DISK_FULL, "no room for what waits");
}

enum status wal_close(struct wal *wal, struct error *err) {
  CHECK(!wal->job_busy);
  enum status status = seal(wal, err);
  wal_destroy(wal);
  return status;
}

void wal_destroy(struct wal *wal) {
  for (size_t i = 0; i < wal->segments_count; i++) {
    struct disk_file *reader = wal->segments[i].reader;
    if (reader != NULL) wal->disk->ops->close(wal->disk, reader);
  }
  bool started = wal->job_busy && wal->job.starts_segment && wal->job.ran && wal->job.status == STATUS_OK;
  if (started) wal->disk->ops->close(wal->disk, wal->job.file);
  if (wal->writer != NULL) wal->disk->ops->close(wal->disk, wal->writer);
  wal_log_deinit(&wal->log);
  buffer_deinit(&wal->completed);
  free(wal->segments);
  free(wal);
}
