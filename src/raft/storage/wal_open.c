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

static enum status rewrite(struct wal *wal, struct disk_file *file, uint64_t offset, size_t len, struct error *err) {
  struct disk *disk = wal->disk;
  struct buffer bytes = {0};
  size_t got = 0;
  enum status status = disk->ops->read(disk, file, offset, buffer_reserve(&bytes, len), len, &got, err);
  if (status == STATUS_OK && got < len) status = error_set(err, STATUS_IO, "a batch that was there is cut short");
  bytes.len = len;
  if (status == STATUS_OK) status = disk->ops->write(disk, file, offset, buffer_view(&bytes), err);
  if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);
  buffer_deinit(&bytes);
  return status;
}

static enum status make_certain(struct wal *wal, const struct wal_scan *scan, struct error *err) {
  if (scan->last_batch_offset == 0) return STATUS_OK;
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, wal->sequence);
  struct disk_file *file;
  enum status status = wal->disk->ops->open(wal->disk, name.text, DISK_OPEN_WRITE, &file, err);
  if (status != STATUS_OK) return status;
  uint64_t len = scan->end_offset - scan->last_batch_offset;
  status = rewrite(wal, file, scan->last_batch_offset, (size_t)len, err);
  wal->disk->ops->close(wal->disk, file);
  return status;
}

/* Files that no start needs: half made spares, and spares of another size or number. */
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
    if (spare.bytes < wal->options.segment_bytes || wal->spares_count == WAL_SPARES_MAX)
      status = disk->ops->remove(disk, wal_name_of(WAL_FILE_SPARE, spare.number).text, err);
    else
      wal->spares[wal->spares_count++] = spare;
  }
  return status;
}

static enum status take_spare(struct wal *wal, struct wal_spare *spare, struct error *err) {
  if (wal->spares_count > 0) {
    *spare = wal->spares[--wal->spares_count];
    return STATUS_OK;
  }
  uint64_t bytes = wal->options.segment_bytes;
  if (bytes > WAL_FIRST_BYTES_MAX) bytes = WAL_FIRST_BYTES_MAX;
  *spare = (struct wal_spare){wal->next_spare++, bytes};
  return wal_spare_make(wal->disk, spare->number, bytes, err);
}

static enum status start_fresh(struct wal *wal, struct error *err) {
  struct wal_spare spare;
  enum status status = take_spare(wal, &spare, err);
  if (status != STATUS_OK) return status;
  struct wal_head head = wal_next_head(wal);
  status = wal_segment_start(wal->disk, spare.number, &head, &wal->writer, err);
  if (status != STATUS_OK) return status;
  wal->life = head.life;
  wal->sequence = head.sequence;
  wal->check = head.check;
  wal->offset = WAL_HEAD_BYTES;
  wal->bytes = spare.bytes;
  wal_add_segment(wal, wal->sequence, wal->bytes, wal->now.last_index);
  return STATUS_OK;
}

/* The last of those that were found. */
static enum status truncate_last(struct wal *wal, const struct wal_scan *scan, struct error *err) {
  if (scan->segments_count == 0) return STATUS_OK;
  struct wal_segment *last = &wal->segments[scan->segments_count - 1];
  if (last->bytes <= scan->end_offset) return STATUS_OK;
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, last->sequence);
  struct disk_file *file;
  enum status status = wal->disk->ops->open(wal->disk, name.text, DISK_OPEN_WRITE, &file, err);
  if (status != STATUS_OK) return status;
  status = wal->disk->ops->truncate(wal->disk, file, scan->end_offset, err);
  wal->disk->ops->close(wal->disk, file);
  last->bytes = scan->end_offset;
  return status;
}

/* ---- opening ---- */

static void tell(const struct wal_scan *scan) {
  if (scan->verdict != WAL_TORN) return;
  LOG_WARN("wal", "torn_batch_cut", LOG_STR("file", scan->file.text), LOG_U64("offset", scan->offset),
           LOG_U64("bytes", scan->cut_bytes));
}

static void take_state(struct wal *wal, const struct wal_scan *scan) {
  wal->now = wal->given = wal->durable = scan->state;
  wal->check = scan->check;
  if (scan->segments_count > 0) wal->sequence = scan->segments[scan->segments_count - 1].sequence;
}

static enum status recover(struct wal *wal, struct wal_scan *scan, struct error *err) {
  const struct wal_visitor visitor = {.context = wal, .head = on_head, .record = on_record};
  enum status status = wal_scan_run(wal->disk, &visitor, scan, err);
  if (status != STATUS_OK) return status;
  tell(scan);
  take_state(wal, scan);
  status = make_certain(wal, scan, err);
  if (status == STATUS_OK) status = sort_spares(wal, scan, err);
  if (status == STATUS_OK) status = start_fresh(wal, err);
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
