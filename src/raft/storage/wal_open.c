/* From what recovery read to a log that goes on: the index of its entries, the last batch made certain, a fresh
 * segment. See the end of the page in wal_format.h for the reasons and the crash points. */
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "raft/storage/wal_recover.h"
#include "raft/storage/wal_state.h"

void wal_add_segment(struct wal *wal, uint64_t sequence, uint64_t bytes, uint64_t start_last_index) {
  wal->segments = xrealloc(wal->segments, (wal->segments_count + 1) * sizeof wal->segments[0]);
  wal->segments[wal->segments_count++] =
      (struct wal_segment){.sequence = sequence, .bytes = bytes, .start_last_index = start_last_index};
}

/* ---- replay ---- */

static void on_head(void *context, const struct wal_name *file, uint64_t file_bytes, const struct wal_head *head) {
  struct wal *wal = context;
  (void)file;
  if (wal->segments_count == 0) wal_log_reset(&wal->log, head->start.last_index, head->start.last_term);
  wal_add_segment(wal, head->sequence, file_bytes, head->start.last_index);
}

static void index_entries(struct wal *wal, uint64_t sequence, uint64_t offset, const struct wal_record *record) {
  wal_log_cut(&wal->log, record->index, record->term);
  struct bytes rest = record->entries;
  const uint8_t *start = rest.data;
  struct log_entry entry;
  while (true) {
    const uint8_t *at = rest.data;
    if (!log_entry_next(&rest, &entry)) return;
    uint64_t entry_offset = offset + WAL_ENTRIES_HEAD_BYTES + (uint64_t)(at - start);
    wal_log_append(&wal->log, false, (uint32_t)sequence, (uint32_t)entry_offset,
                   bytes_make(at, (size_t)(rest.data - at)));
  }
}

static void on_record(void *context, uint64_t sequence, uint64_t offset, const struct wal_record *record,
                      const struct wal_state *state) {
  struct wal *wal = context;
  if (record->type == WAL_ENTRIES) index_entries(wal, sequence, offset, record);
  if (record->type == WAL_RESET) wal_log_reset(&wal->log, record->index, record->term);
  CHECK(wal_log_last(&wal->log) == state->last_index);
}

/* ---- what was read becomes the truth ---- */

/* Removes what is good for nothing: half made spares, and spares that are too small, too many, or were about to become
 * a segment: perhaps the process ended because a fdatasync of it failed, and another one could lie. */
static enum status sort_spares(struct wal *wal, const struct wal_scan *scan, struct error *err) {
  struct disk *disk = wal->disk;
  enum status status = STATUS_OK;
  for (size_t i = 0; i < scan->fillings_count && status == STATUS_OK; i++) {
    status = disk->ops->remove(disk, wal_name_of(WAL_FILE_FILLING, scan->fillings[i]).text, err);
    if (scan->fillings[i] >= wal->next_spare) wal->next_spare = scan->fillings[i] + 1;
  }
  for (size_t i = 0; i < scan->spares_count && status == STATUS_OK; i++) {
    struct wal_spare spare = {scan->spares[i].number, scan->spares[i].bytes};
    if (spare.number >= wal->next_spare) wal->next_spare = spare.number + 1;
    bool bad = spare.bytes < wal->options.segment_bytes || scan->spares[i].sequence > wal->sequence;
    if (bad || wal->spares_count == WAL_SPARES_MAX)
      status = disk->ops->remove(disk, wal_name_of(WAL_FILE_SPARE, spare.number).text, err);
    else
      wal->spares[wal->spares_count++] = spare;
  }
  return status;
}

/* One that holds `need` bytes. */
static enum status take_spare(struct wal *wal, uint64_t need, struct wal_spare *spare, struct error *err) {
  for (size_t i = 0; i < wal->spares_count; i++) {
    if (wal->spares[i].bytes < need) continue;
    *spare = wal->spares[i];
    wal->spares[i] = wal->spares[--wal->spares_count];
    return STATUS_OK;
  }
  uint64_t bytes = wal->options.segment_bytes;
  if (bytes > WAL_FIRST_BYTES_MAX) bytes = WAL_FIRST_BYTES_MAX;
  if (bytes < need) bytes = need;
  *spare = (struct wal_spare){wal->next_spare++, bytes};
  return wal_spare_make(wal->disk, spare->number, bytes, err);
}

/* A copy of the last batch, as the first one behind `head`; empty when there is none. Returns the check that the next
 * batch names. */
static uint64_t copy_tail(const struct wal_scan *scan, const struct wal_head *head, struct buffer *batch) {
  if (scan->tail.len == 0) return head->check;
  wal_batch_open(batch);
  buffer_append_bytes(batch, buffer_view(&scan->tail));
  uint32_t payload_bytes = wal_batch_pad(batch);
  return wal_batch_close(batch, payload_bytes, head->life, head->check);
}

static void enter_fresh(struct wal *wal, const struct wal_scan *scan, const struct wal_head *head, uint64_t bytes) {
  wal_log_move(&wal->log, (uint32_t)wal->sequence, (uint32_t)scan->settled.offset, (uint32_t)head->sequence,
               WAL_HEAD_BYTES - (int64_t)scan->settled.offset);
  wal->life = head->life;
  wal->sequence = head->sequence;
  wal->bytes = bytes;
  wal_add_segment(wal, head->sequence, bytes, head->start.last_index);
}

static enum status start_fresh(struct wal *wal, const struct wal_scan *scan, struct error *err) {
  struct buffer batch = {0};
  struct wal_spare spare;
  struct wal_head head = wal_next_head(wal);
  uint8_t encoded[WAL_HEAD_BYTES];
  wal_head_encode(&head, encoded); /* for its check */
  wal->check = copy_tail(scan, &head, &batch);
  wal->given = scan->end.state;
  wal->offset = WAL_HEAD_BYTES + batch.len;
  enum status status = take_spare(wal, wal->offset, &spare, err);
  if (status == STATUS_OK)
    status = wal_segment_start(wal->disk, spare.number, &head, buffer_view(&batch), &wal->writer, err);
  buffer_deinit(&batch);
  if (status == STATUS_OK) enter_fresh(wal, scan, &head, spare.bytes);
  return status;
}

/* The last of those that were found. */
static enum status truncate_last(struct wal *wal, const struct wal_scan *scan, struct error *err) {
  if (scan->segments_count == 0) return STATUS_OK;
  struct wal_segment *last = &wal->segments[scan->segments_count - 1];
  if (last->bytes <= scan->settled.offset) return STATUS_OK;
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, last->sequence);
  struct disk_file *file;
  enum status status = wal->disk->ops->open(wal->disk, name.text, DISK_OPEN_WRITE, &file, err);
  if (status != STATUS_OK) return status;
  status = wal->disk->ops->truncate(wal->disk, file, scan->settled.offset, err);
  wal->disk->ops->close(wal->disk, file);
  last->bytes = scan->settled.offset;
  return status;
}

/* ---- opening ---- */

static void tell(const struct wal_scan *scan) {
  if (scan->verdict != WAL_TORN) return;
  LOG_WARN("wal", "torn_batch_cut", LOG_STR("file", scan->file.text), LOG_U64("offset", scan->offset),
           LOG_U64("bytes", scan->cut_bytes));
}

static void take_state(struct wal *wal, const struct wal_scan *scan) {
  wal->now = wal->durable = scan->end.state;
  wal->given = scan->settled.state; /* the fresh segment starts there */
  wal->check = scan->settled.check;
  if (scan->segments_count > 0) wal->sequence = scan->segments[scan->segments_count - 1].sequence;
}

static enum status recover(struct wal *wal, struct wal_scan *scan, struct error *err) {
  const struct wal_visitor visitor = {.context = wal, .head = on_head, .record = on_record};
  enum status status = wal_scan_run(wal->disk, &visitor, scan, err);
  if (status != STATUS_OK) return status;
  tell(scan);
  take_state(wal, scan);
  /* A spare may have its name in the system's memory only, and on the disk still be the segment that it was. */
  status = wal->disk->ops->sync_directory(wal->disk, WAL_DIRECTORY, err);
  if (status == STATUS_OK) status = sort_spares(wal, scan, err);
  if (status == STATUS_OK) status = start_fresh(wal, scan, err);
  if (status == STATUS_OK) status = truncate_last(wal, scan, err);
  return status;
}

static enum status make_directory(struct disk *disk, struct error *err) {
  enum status status = disk->ops->make_directory(disk, WAL_DIRECTORY, err);
  return status == STATUS_OK ? disk->ops->sync_directory(disk, ".", err) : status;
}

enum status wal_open(struct disk *disk, const struct wal_options *options, const struct wal_owner *owner,
                     struct wal **out, struct error *err) {
  if (options->segment_bytes < WAL_SEGMENT_BYTES_MIN || options->segment_bytes > WAL_SEGMENT_BYTES_MAX)
    return error_set(err, STATUS_INVALID, "a segment has %d to %d bytes", WAL_SEGMENT_BYTES_MIN, WAL_SEGMENT_BYTES_MAX);
  enum status status = make_directory(disk, err);
  if (status != STATUS_OK) return status;
  struct wal *wal = xcalloc(1, sizeof *wal);
  wal->disk = disk;
  wal->options = *options;
  wal->owner = *owner;
  prng_init(&wal->prng, options->seed);
  wal_log_init(&wal->log);
  wal_store_init(wal);
  struct wal_scan scan;
  status = recover(wal, &scan, err);
  wal_scan_deinit(&scan);
  if (status == STATUS_OK)
    *out = wal;
  else
    wal_destroy(wal);
  return status;
}
