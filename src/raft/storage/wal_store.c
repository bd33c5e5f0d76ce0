/* The interfaces of storage.h: each write changes what is read, and puts a record into the batch at hand. */
#include "raft/storage/wal_state.h"

#include <inttypes.h>

#include "base/check.h"

static struct wal *of_stable(struct stable_store *store) {
  return (struct wal *)(void *)((char *)store - offsetof(struct wal, stable));
}

static struct wal *of_log(struct log_store *store) {
  return (struct wal *)(void *)((char *)store - offsetof(struct wal, log_store));
}

/* ---- stable store ---- */

static void stable_load(struct stable_store *store, struct raft_hard_state *out) {
  *out = of_stable(store)->now.hard_state;
}

static enum status stable_save(struct stable_store *store, const struct raft_hard_state *state) {
  struct wal *wal = of_stable(store);
  if (wal->failed) return STATUS_IO;
  if (state->term < wal->now.hard_state.term || state->term > RAFT_TERM_MAX) return STATUS_INVALID;
  wal_put_hard_state(wal_records(wal), state);
  wal->now.hard_state = *state;
  return STATUS_OK;
}

static const struct stable_store_ops stable_ops = {stable_load, stable_save};

/* ---- log store: reading ---- */

static uint64_t log_first_index(struct log_store *store) {
  return of_log(store)->log.base_index + 1;
}

static uint64_t log_last_index(struct log_store *store) {
  return of_log(store)->now.last_index;
}

static enum status log_term_at(struct log_store *store, uint64_t index, uint64_t *term) {
  return wal_log_term(&of_log(store)->log, index, term) ? STATUS_OK : STATUS_NOT_FOUND;
}

static struct wal_segment *find_segment(struct wal *wal, uint32_t low) {
  uint32_t at = low - (uint32_t)wal->segments[0].sequence;
  CHECK(at < wal->segments_count);
  return &wal->segments[at];
}

/* The error is kept in wal->failure. */
static enum status read_stored(void *context, uint32_t low, uint64_t offset, size_t len, uint8_t *out) {
  struct wal *wal = context;
  struct wal_segment *segment = find_segment(wal, low);
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, segment->sequence);
  enum status status = STATUS_OK;
  if (segment->reader == NULL)
    status = wal->disk->ops->open(wal->disk, name.text, DISK_OPEN_READ, &segment->reader, &wal->failure);
  size_t got = 0;
  if (status == STATUS_OK)
    status = wal->disk->ops->read(wal->disk, segment->reader, offset, out, len, &got, &wal->failure);
  if (status != STATUS_OK) return STATUS_IO;
  return got == len ? STATUS_OK : STATUS_CORRUPT;
}

static void fail_read(struct wal *wal, enum status status, uint64_t lo, uint64_t hi) {
  struct error failure = wal->failure;
  if (status == STATUS_CORRUPT)
    error_set(&failure, status, "entries %" PRIu64 " to %" PRIu64 ": one of them is not what was written", lo, hi);
  wal_fail(wal, &failure);
}

static enum status log_read_range(struct log_store *store, uint64_t lo, uint64_t hi, log_visit *visit, void *context) {
  struct wal *wal = of_log(store);
  if (lo <= wal->log.base_index || hi > wal->now.last_index) return STATUS_NOT_FOUND;
  if (wal->failed && lo < wal->log.cached_from) return STATUS_IO;
  enum status status = wal_log_visit(&wal->log, lo, hi, read_stored, wal, visit, context);
  if (status != STATUS_OK) fail_read(wal, status, lo, hi);
  return status;
}

static uint64_t log_batch_end(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  return wal_log_batch_end(&of_log(store)->log, lo, last, bytes_max);
}

/* ---- log store: writing ---- */

static enum status check_entries(const struct wal *wal, const struct log_entry *entries, size_t count) {
  uint64_t term = wal->now.last_term;
  for (size_t i = 0; i < count; i++) {
    if (entries[i].index != wal->now.last_index + 1 + i || entries[i].term < term) return STATUS_INVALID;
    if (entries[i].command.len > WAL_COMMAND_BYTES_MAX) return STATUS_TOO_LARGE;
    term = entries[i].term;
  }
  return term <= RAFT_TERM_MAX ? STATUS_OK : STATUS_INVALID;
}

static void append_one(struct wal *wal, struct buffer *records, const struct log_entry *entry) {
  size_t offset = records->len;
  log_entry_encode(records, entry->term, entry->command);
  wal_log_append(&wal->log, true, wal_log_newest_number(&wal->log), (uint32_t)offset,
                 bytes_make(records->data + offset, records->len - offset));
  wal->now.last_index = entry->index;
  wal->now.last_term = entry->term;
}

/* How many of the entries go into one record: as many as a batch should hold, at least one. */
static size_t record_count(const struct log_entry *entries, size_t count) {
  size_t bytes = 0, taken = 0;
  while (taken < count && taken < UINT32_MAX) {
    bytes += LOG_ENTRY_HEAD_BYTES + entries[taken].command.len;
    if (taken > 0 && bytes > WAL_BATCH_BYTES_MAX) break;
    taken++;
  }
  return taken;
}

static enum status log_append(struct log_store *store, const struct log_entry *entries, size_t count) {
  struct wal *wal = of_log(store);
  if (wal->failed) return STATUS_IO;
  enum status status = check_entries(wal, entries, count);
  if (status != STATUS_OK) return status;
  while (count > 0) {
    size_t taken = record_count(entries, count);
    struct buffer *records = wal_records(wal);
    wal_put_entries_head(records, wal->now.last_index + 1, wal->now.last_term, (uint32_t)taken);
    for (size_t i = 0; i < taken; i++)
      append_one(wal, records, &entries[i]);
    entries += taken;
    count -= taken;
  }
  return STATUS_OK;
}

static enum status log_delete_from(struct log_store *store, uint64_t index) {
  struct wal *wal = of_log(store);
  if (wal->failed) return STATUS_IO;
  if (index > wal->now.last_index) return STATUS_OK;
  if (index <= wal->log.base_index || index <= wal->now.snapshot_index) return STATUS_INVALID;
  uint64_t term = 0;
  if (index > 1) CHECK(wal_log_term(&wal->log, index - 1, &term));
  wal_put_entries_head(wal_records(wal), index, term, 0);
  wal_log_cut(&wal->log, index, term);
  wal->now.last_index = index - 1;
  wal->now.last_term = term;
  return STATUS_OK;
}

static enum status log_truncate_prefix(struct log_store *store, uint64_t index) {
  struct wal *wal = of_log(store);
  if (wal->failed) return STATUS_IO;
  if (index > wal->now.last_index) return STATUS_NOT_FOUND;
  wal_log_drop(&wal->log, index);
  wal_keep_spares(wal);
  return STATUS_OK;
}

static enum status log_reset(struct log_store *store, uint64_t index, uint64_t term) {
  struct wal *wal = of_log(store);
  if (wal->failed) return STATUS_IO;
  if (index <= wal->now.snapshot_index || index == UINT64_MAX || term > RAFT_TERM_MAX) return STATUS_INVALID;
  wal_put_mark(wal_records(wal), WAL_RESET, index, term);
  wal_log_reset(&wal->log, index, term);
  wal->now.last_index = wal->now.snapshot_index = index;
  wal->now.last_term = wal->now.snapshot_term = term;
  return STATUS_OK;
}

static const struct log_store_ops log_ops = {log_first_index, log_last_index,      log_term_at,
                                             log_append,      log_read_range,      log_batch_end,
                                             log_delete_from, log_truncate_prefix, log_reset};

/* ---- both ---- */

static enum status storage_sync(struct raft_storage *base, uint64_t number) {
  struct wal *wal = wal_of(base);
  if (wal->failed) return STATUS_IO;
  struct wal_sync sync = {number, wal->now.last_index};
  struct wal_batch *newest = wal_log_newest(&wal->log);
  buffer_append(newest != NULL ? &newest->syncs : &wal->completed, &sync, sizeof sync);
  wal_pump(wal);
  return STATUS_OK;
}

static enum status storage_record_snapshot(struct raft_storage *base, struct snapshot_mark mark) {
  struct wal *wal = wal_of(base);
  uint64_t term;
  if (wal->failed) return STATUS_IO;
  if (mark.index <= wal->now.snapshot_index || mark.index > wal->now.last_index) return STATUS_INVALID;
  if (wal_log_term(&wal->log, mark.index, &term) && term != mark.term) return STATUS_INVALID;
  wal_put_mark(wal_records(wal), WAL_SNAPSHOT, mark.index, mark.term);
  wal->now.snapshot_index = mark.index;
  wal->now.snapshot_term = mark.term;
  return STATUS_OK;
}

static struct snapshot_mark storage_snapshot(struct raft_storage *base) {
  const struct wal *wal = wal_of(base);
  return (struct snapshot_mark){wal->now.snapshot_index, wal->now.snapshot_term};
}

static uint64_t storage_room(struct raft_storage *base) {
  return wal_room(wal_of(base));
}

static uint64_t storage_room_ahead(struct raft_storage *base) {
  return wal_room_ahead(wal_of(base));
}

static bool storage_full(struct raft_storage *base) {
  return wal_of(base)->disk_full;
}

static bool storage_failed(struct raft_storage *base) {
  return wal_of(base)->failed;
}

static const struct raft_storage_ops storage_ops = {storage_sync,  storage_record_snapshot, storage_snapshot,
                                                    storage_room,  storage_room_ahead,      storage_full,
                                                    storage_failed};

void wal_store_init(struct wal *wal) {
  wal->stable.ops = &stable_ops;
  wal->log_store.ops = &log_ops;
  wal->base = (struct raft_storage){&storage_ops, &wal->stable, &wal->log_store, wal->options.snapshots};
}
