#include "sim/disk.h"

#include <stdlib.h>

#include "base/check.h"

static struct sim_disk *of_stable(struct stable_store *store) {
  return (struct sim_disk *)(void *)((char *)store - offsetof(struct sim_disk, stable));
}

static struct sim_disk *of_log(struct log_store *store) {
  return (struct sim_disk *)(void *)((char *)store - offsetof(struct sim_disk, log));
}

static struct log_store *inner_log(struct log_store *store) {
  return of_log(store)->inner->log;
}

/* ---- stable store ---- */

static void stable_load(struct stable_store *store, struct raft_hard_state *out) {
  struct stable_store *inner = of_stable(store)->inner->stable;
  inner->ops->load(inner, out);
}

static enum status stable_save(struct stable_store *store, const struct raft_hard_state *state) {
  struct sim_disk *disk = of_stable(store);
  struct stable_store *inner = disk->inner->stable;
  enum status status = inner->ops->save(inner, state);
  if (status == STATUS_OK) sim_ledger_save(&disk->ledger, state);
  return status;
}

static const struct stable_store_ops stable_ops = {stable_load, stable_save};

/* ---- log store ---- */

static uint64_t log_first_index(struct log_store *store) {
  struct log_store *inner = inner_log(store);
  return inner->ops->first_index(inner);
}

static uint64_t log_last_index(struct log_store *store) {
  struct log_store *inner = inner_log(store);
  return inner->ops->last_index(inner);
}

static enum status log_term_at(struct log_store *store, uint64_t index, uint64_t *term) {
  struct log_store *inner = inner_log(store);
  return inner->ops->term_at(inner, index, term);
}

static enum status log_append(struct log_store *store, const struct log_entry *entries, size_t count) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  enum status status = inner->ops->append(inner, entries, count);
  if (status != STATUS_OK) return status;
  for (size_t i = 0; i < count; i++) {
    sim_ledger_append(&disk->ledger, &entries[i]);
    disk->listener.appended(disk->listener.context, entries[i].index);
  }
  return STATUS_OK;
}

static enum status log_read_range(struct log_store *store, uint64_t lo, uint64_t hi, log_visit *visit, void *context) {
  struct log_store *inner = inner_log(store);
  return inner->ops->read_range(inner, lo, hi, visit, context);
}

static uint64_t log_batch_end(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  struct log_store *inner = inner_log(store);
  return inner->ops->batch_end(inner, lo, last, bytes_max);
}

static enum status log_delete_from(struct log_store *store, uint64_t index) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  disk->listener.cutting(disk->listener.context, index);
  enum status status = inner->ops->delete_from(inner, index);
  if (status == STATUS_OK) sim_ledger_cut(&disk->ledger, index);
  return status;
}

static enum status log_truncate_prefix(struct log_store *store, uint64_t index) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  disk->listener.truncating(disk->listener.context, index);
  enum status status = inner->ops->truncate_prefix(inner, index);
  if (status == STATUS_OK) sim_ledger_truncate(&disk->ledger, index);
  return status;
}

static enum status log_reset(struct log_store *store, uint64_t index, uint64_t term) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  struct snapshot_mark mark = {index, term};
  struct sim_link *links = disk->listener.resetting(disk->listener.context, mark);
  enum status status = inner->ops->reset(inner, index, term);
  if (status == STATUS_OK && links != NULL) sim_ledger_reset(&disk->ledger, mark, links);
  free(links);
  return status;
}

static const struct log_store_ops log_ops = {log_first_index, log_last_index,      log_term_at,
                                             log_append,      log_read_range,      log_batch_end,
                                             log_delete_from, log_truncate_prefix, log_reset};

/* ---- the storage as a whole ---- */

static struct sim_disk *of_base(struct raft_storage *base) {
  return (struct sim_disk *)(void *)base; /* its first member */
}

/* The ledger first: the job that this begins may be the sync's own. */
static enum status disk_sync(struct raft_storage *base, uint64_t number) {
  struct sim_disk *disk = of_base(base);
  if (disk->inner->ops->failed(disk->inner)) return STATUS_IO;
  sim_ledger_sync(&disk->ledger, number);
  return disk->inner->ops->sync(disk->inner, number);
}

static enum status disk_record_snapshot(struct raft_storage *base, struct snapshot_mark mark) {
  struct sim_disk *disk = of_base(base);
  disk->listener.recording(disk->listener.context, mark);
  enum status status = disk->inner->ops->record_snapshot(disk->inner, mark);
  if (status == STATUS_OK) sim_ledger_snapshot(&disk->ledger, mark);
  return status;
}

static struct snapshot_mark disk_snapshot(struct raft_storage *base) {
  struct sim_disk *disk = of_base(base);
  return disk->inner->ops->snapshot(disk->inner);
}

static uint64_t disk_room(struct raft_storage *base) {
  struct sim_disk *disk = of_base(base);
  return disk->inner->ops->room(disk->inner);
}

static uint64_t disk_room_ahead(struct raft_storage *base) {
  struct sim_disk *disk = of_base(base);
  return disk->inner->ops->room_ahead(disk->inner);
}

static bool disk_full(struct raft_storage *base) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->full(disk->inner);
}

static bool disk_failed(struct raft_storage *base) {
  struct sim_disk *disk = of_base(base);
  return disk->inner->ops->failed(disk->inner);
}

static const struct raft_storage_ops storage_ops = {
    disk_sync, disk_record_snapshot, disk_snapshot, disk_room, disk_room_ahead, disk_full, disk_failed};

/* ---- jobs ---- */

static void on_submit(void *context, struct wal_job *job) {
  struct sim_disk *disk = context;
  disk->log_job = job;
  disk->ran[SIM_JOB_LOG] = false;
  disk->listener.submitted(disk->listener.context, SIM_JOB_LOG);
}

static void on_submit_spare(void *context, struct wal_spare_job *job) {
  struct sim_disk *disk = context;
  disk->spare_job = job;
  disk->ran[SIM_JOB_SPARE] = false;
  disk->listener.submitted(disk->listener.context, SIM_JOB_SPARE);
}

bool sim_disk_busy(const struct sim_disk *disk, enum sim_job job) {
  return job == SIM_JOB_LOG ? disk->log_job != NULL : disk->spare_job != NULL;
}

void sim_disk_run(struct sim_disk *disk, enum sim_job job) {
  CHECK(sim_disk_busy(disk, job) && !disk->ran[job]);
  disk->ran[job] = true;
  if (job == SIM_JOB_LOG) {
    wal_job_run(disk->log_job);
  } else {
    wal_spare_job_run(disk->spare_job);
  }
}

/* The next job may be submitted inside. It may take all that was written by now. */
void sim_disk_done(struct sim_disk *disk, enum sim_job job) {
  CHECK(sim_disk_busy(disk, job) && disk->ran[job]);
  sim_ledger_bound(&disk->ledger);
  if (job == SIM_JOB_LOG) {
    struct wal_job *done = disk->log_job;
    disk->log_job = NULL;
    wal_job_done(disk->wal, done);
  } else {
    struct wal_spare_job *done = disk->spare_job;
    disk->spare_job = NULL;
    wal_spare_job_done(disk->wal, done);
  }
}

bool sim_disk_complete(struct sim_disk *disk, uint64_t *number, uint64_t *last_index) {
  if (!wal_complete(disk->wal, number, last_index)) return false;
  CHECK(sim_ledger_synced(&disk->ledger, *number));
  return true;
}

void sim_disk_note_snapshot(struct sim_disk *disk) {
  struct snapshot_store *store = disk->base.snapshots;
  struct snapshot_mark newest;
  if (store->ops->newest(store, &newest, NULL) == STATUS_OK) sim_ledger_publish(&disk->ledger, newest);
}

/* ---- life ---- */

static struct simdisk *make_files(struct sim_disk *disk) {
  const struct simdisk_config config = {
      .seed = prng_next(&disk->random), .capacity_bytes = SIMDISK_UNLIMITED, .torn_ppm = SIMDISK_TORN_PPM};
  return simdisk_create(&config);
}

void sim_disk_init(struct sim_disk *disk, const struct sim_disk_options *options,
                   const struct sim_disk_listener *listener) {
  *disk = (struct sim_disk){.options = *options, .listener = *listener};
  disk->stable.ops = &stable_ops;
  disk->log.ops = &log_ops;
  disk->base = (struct raft_storage){&storage_ops, &disk->stable, &disk->log, NULL};
  prng_init(&disk->random, options->seed);
  disk->files = make_files(disk);
  sim_ledger_init(&disk->ledger);
}

void sim_disk_deinit(struct sim_disk *disk) {
  simdisk_destroy(disk->files);
  sim_ledger_deinit(&disk->ledger);
}

static enum status open_log(struct sim_disk *disk, struct error *err) {
  const struct wal_options options = {.segment_bytes = disk->options.segment_bytes,
                                      .cache_bytes_max = disk->options.cache_bytes,
                                      .seed = prng_next(&disk->random),
                                      .snapshots = snapshot_files_base(disk->snapshots)};
  const struct wal_owner owner = {disk, on_submit, on_submit_spare};
  enum status status = wal_open(simdisk_base(disk->files), &options, &owner, &disk->wal, err);
  if (status != STATUS_OK) return status;
  disk->inner = wal_base(disk->wal);
  disk->base.snapshots = disk->inner->snapshots;
  return STATUS_OK;
}

enum status sim_disk_open(struct sim_disk *disk, struct error *err) {
  CHECK(disk->wal == NULL);
  enum status status = snapshot_files_open(simdisk_base(disk->files), &disk->snapshots, err);
  return status == STATUS_OK ? open_log(disk, err) : status;
}

void sim_disk_close(struct sim_disk *disk) {
  if (disk->wal != NULL) wal_destroy(disk->wal);
  if (disk->snapshots != NULL) snapshot_files_close(disk->snapshots);
  disk->wal = NULL;
  disk->snapshots = NULL;
  disk->inner = NULL;
  disk->log_job = NULL;
  disk->spare_job = NULL;
  simdisk_heal(disk->files);
  disk->faulty = false;
}

/* ---- what a start found ---- */

static void add_link(void *context, const struct log_entry *entry) {
  struct sim_link link = sim_link_make(0, entry->term, entry->command);
  buffer_append(context, &link, sizeof link);
}

enum status sim_disk_found(struct sim_disk *disk, struct sim_found *out, struct buffer *links) {
  struct log_store *log = disk->inner->log;
  *out = (struct sim_found){.snapshot = disk->inner->ops->snapshot(disk->inner),
                            .first_index = log->ops->first_index(log),
                            .last_index = log->ops->last_index(log)};
  disk->inner->stable->ops->load(disk->inner->stable, &out->hard_state);
  if (out->first_index > 1) CHECK(log->ops->term_at(log, out->first_index - 1, &out->base_term) == STATUS_OK);
  if (out->first_index > out->last_index) return STATUS_OK;
  enum status status = log->ops->read_range(log, out->first_index, out->last_index, add_link, links);
  out->links = (const struct sim_link *)(void *)links->data;
  return status;
}

/* ---- what happens to a closed one ---- */

void sim_disk_power_cut(struct sim_disk *disk) {
  CHECK(disk->wal == NULL);
  simdisk_crash(disk->files, prng_next(&disk->random));
}

void sim_disk_wipe(struct sim_disk *disk) {
  CHECK(disk->wal == NULL);
  simdisk_destroy(disk->files);
  disk->files = make_files(disk);
  disk->crowded = false;
  disk->damaged = false;
  sim_ledger_wipe(&disk->ledger);
}

/* ---- faults ---- */

void sim_disk_fail(struct sim_disk *disk, const struct simdisk_fault *fault) {
  simdisk_fail(disk->files, fault);
  disk->faulty = true;
}

void sim_disk_leave_room(struct sim_disk *disk, uint64_t bytes) {
  uint64_t used = simdisk_used_bytes(disk->files);
  disk->crowded = bytes < SIMDISK_UNLIMITED - used;
  simdisk_set_capacity(disk->files, disk->crowded ? used + bytes : SIMDISK_UNLIMITED);
}

bool sim_disk_is_full(const struct sim_disk *disk) {
  return disk->wal != NULL && wal_disk_full(disk->wal);
}
