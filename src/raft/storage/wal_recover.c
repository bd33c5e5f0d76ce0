/* First the names, which give the segments in order; then one segment after the other: its head, which must follow from
 * the one before, then its batches, up to the one that the next head names, or in the last segment to the end. Behind
 * that end nothing valid may be left. */
#include "raft/storage/wal_recover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { WINDOW_BYTES = 1 << 18 }; /* what is read at once; more for a larger batch. Small enough for the cache */

struct reader {
  struct disk *disk;
  const struct wal_visitor *visitor;
  struct wal_scan *scan;
  struct error *err;
  struct wal_head head;   /* of the segment at hand */
  struct disk_file *file; /* it, open */
  uint64_t file_bytes;
  struct buffer window; /* a part of it */
  uint64_t window_offset;
  bool sealed; /* the last batch in it so far is a seal */
};

const char *wal_verdict_name(enum wal_verdict verdict) {
  static const char *const names[] = {"empty", "whole", "sealed", "torn", "damaged"};
  CHECK(verdict <= WAL_DAMAGED);
  return names[verdict];
}

/* ---- damage ---- */

static enum status damaged_file(struct reader *reader, const struct wal_name *file, uint64_t offset, const char *what) {
  struct wal_scan *scan = reader->scan;
  scan->verdict = WAL_DAMAGED;
  scan->file = *file;
  scan->offset = offset;
  scan->what = what;
  return error_set(reader->err, STATUS_CORRUPT,
                   "%s at offset %" PRIu64 ": %s. This is no torn write, and going on could lose acknowledged writes: "
                   "restore the data directory from a copy, or, if the other members are well, remove it and let this "
                   "node catch up from them",
                   file->text, offset, what);
}

static enum status damaged(struct reader *reader, uint64_t sequence, uint64_t offset, const char *what) {
  struct wal_name file = wal_name_of(WAL_FILE_SEGMENT, sequence);
  return damaged_file(reader, &file, offset, what);
}

/* ---- names ---- */

static void add_segment(struct wal_scan *scan, uint64_t sequence) {
  scan->segments = xrealloc(scan->segments, (scan->segments_count + 1) * sizeof scan->segments[0]);
  scan->segments[scan->segments_count++] = (struct wal_segment_found){.sequence = sequence};
}

static void add_spare(struct wal_scan *scan, uint64_t number) {
  scan->spares = xrealloc(scan->spares, (scan->spares_count + 1) * sizeof scan->spares[0]);
  scan->spares[scan->spares_count++] = (struct wal_spare_found){.number = number};
}

static void add_filling(struct wal_scan *scan, uint64_t number) {
  scan->fillings = xrealloc(scan->fillings, (scan->fillings_count + 1) * sizeof scan->fillings[0]);
  scan->fillings[scan->fillings_count++] = number;
}

static void visit_name(void *context, const char *name) {
  struct wal_scan *scan = context;
  uint64_t number = 0;
  switch (wal_name_parse(name, &number)) {
  case WAL_FILE_SEGMENT:
    add_segment(scan, number);
    break;
  case WAL_FILE_SPARE:
    add_spare(scan, number);
    break;
  case WAL_FILE_FILLING:
    add_filling(scan, number);
    break;
  case WAL_FILE_FOREIGN:
    snprintf(scan->file.text, sizeof scan->file.text, WAL_DIRECTORY "/%.*s",
             (int)(sizeof scan->file.text - sizeof WAL_DIRECTORY - 1), name);
    break;
  }
}

static int by_sequence(const void *a, const void *b) {
  uint64_t left = ((const struct wal_segment_found *)a)->sequence;
  uint64_t right = ((const struct wal_segment_found *)b)->sequence;
  return (left > right) - (left < right);
}

static int by_number(const void *a, const void *b) {
  uint64_t left = ((const struct wal_spare_found *)a)->number;
  uint64_t right = ((const struct wal_spare_found *)b)->number;
  return (left > right) - (left < right);
}

/* The size of a file and its head, if it has one; else a head of sequence 0. */
static enum status peek(struct reader *reader, const struct wal_name *file, uint64_t *bytes, struct wal_head *head) {
  struct disk *disk = reader->disk;
  struct disk_file *open;
  enum status status = disk->ops->open(disk, file->text, DISK_OPEN_READ, &open, reader->err);
  if (status != STATUS_OK) return status;
  uint8_t encoded[WAL_HEAD_BYTES];
  size_t got = 0;
  status = disk->ops->size(disk, open, bytes, reader->err);
  if (status == STATUS_OK) status = disk->ops->read(disk, open, 0, encoded, sizeof encoded, &got, reader->err);
  disk->ops->close(disk, open);
  if (status != STATUS_OK) return status;
  if (got < sizeof encoded || !wal_head_decode(encoded, head)) *head = (struct wal_head){0};
  return STATUS_OK;
}

static enum status peek_spares(struct reader *reader) {
  struct wal_scan *scan = reader->scan;
  for (size_t i = 0; i < scan->spares_count; i++) {
    struct wal_spare_found *found = &scan->spares[i];
    struct wal_name file = wal_name_of(WAL_FILE_SPARE, found->number);
    struct wal_head head;
    enum status status = peek(reader, &file, &found->bytes, &head);
    if (status != STATUS_OK) return status;
    found->sequence = head.sequence;
  }
  return STATUS_OK;
}

/* In an order of their own: a directory has none. */
static enum status find_files(struct reader *reader) {
  struct wal_scan *scan = reader->scan;
  enum status status = reader->disk->ops->list(reader->disk, WAL_DIRECTORY, visit_name, scan, reader->err);
  if (status != STATUS_OK) return status;
  if (scan->file.text[0] != '\0') {
    struct wal_name foreign = scan->file;
    return damaged_file(reader, &foreign, 0, "a file of somebody else in the log's directory");
  }
  if (scan->segments_count > 0) qsort(scan->segments, scan->segments_count, sizeof scan->segments[0], by_sequence);
  if (scan->spares_count > 0) qsort(scan->spares, scan->spares_count, sizeof scan->spares[0], by_number);
  for (size_t i = 1; i < scan->segments_count; i++) {
    uint64_t due = scan->segments[i - 1].sequence + 1;
    if (scan->segments[i].sequence != due) return damaged(reader, due, 0, "the segment is missing, later ones exist");
  }
  return peek_spares(reader);
}

/* ---- a window of the segment ---- */

static enum status move_window(struct reader *reader, uint64_t offset, size_t len) {
  size_t got = 0;
  buffer_clear(&reader->window);
  uint8_t *room = buffer_reserve(&reader->window, len);
  enum status status = reader->disk->ops->read(reader->disk, reader->file, offset, room, len, &got, reader->err);
  if (status != STATUS_OK) return status;
  reader->window.len = got;
  reader->window_offset = offset;
  return STATUS_OK;
}

/* `len` bytes at `offset`, or what there is up to the end of the file. Valid until the next call. */
static enum status view(struct reader *reader, uint64_t offset, uint64_t len, struct bytes *out) {
  *out = bytes_make(NULL, 0);
  uint64_t left = offset < reader->file_bytes ? reader->file_bytes - offset : 0;
  if (len > left) len = left;
  if (len == 0) return STATUS_OK;
  uint64_t end = reader->window_offset + reader->window.len;
  if (offset < reader->window_offset || offset + len > end) {
    uint64_t more = len > WINDOW_BYTES ? len : WINDOW_BYTES;
    enum status status = move_window(reader, offset, (size_t)(more < left ? more : left));
    if (status != STATUS_OK) return status;
    if (reader->window.len < len) return error_set(reader->err, STATUS_IO, "a segment became shorter");
  }
  *out = bytes_make(reader->window.data + (offset - reader->window_offset), (size_t)len);
  return STATUS_OK;
}

/* All that the head at `offset` claims to be a batch; its head, at least, if the file has so much. */
static enum status view_batch(struct reader *reader, uint64_t offset, struct bytes *out) {
  enum status status = view(reader, offset, WAL_BATCH_HEAD_BYTES, out);
  if (status != STATUS_OK || out->len < WAL_BATCH_HEAD_BYTES) return status;
  uint64_t bytes = wal_batch_bytes(out->data, reader->head.life);
  return bytes > out->len ? view(reader, offset, bytes, out) : STATUS_OK;
}

/* ---- one segment ---- */

static enum status open_segment(struct reader *reader, struct wal_segment_found *found) {
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, found->sequence);
  struct disk *disk = reader->disk;
  enum status status = disk->ops->open(disk, name.text, DISK_OPEN_READ, &reader->file, reader->err);
  if (status != STATUS_OK) return status;
  status = disk->ops->size(disk, reader->file, &found->bytes, reader->err);
  if (status != STATUS_OK) return status;
  if (found->bytes > WAL_SEGMENT_BYTES_MAX)
    return damaged(reader, found->sequence, WAL_SEGMENT_BYTES_MAX, "it is larger than any segment");
  reader->file_bytes = found->bytes;
  reader->window_offset = 0;
  buffer_clear(&reader->window);
  struct bytes head;
  status = view(reader, 0, WAL_HEAD_BYTES, &head);
  if (status != STATUS_OK) return status;
  if (head.len < WAL_HEAD_BYTES || !wal_head_decode(head.data, &reader->head))
    return damaged(reader, found->sequence, 0, "its head is damaged");
  return STATUS_OK;
}

static void close_segment(struct reader *reader) {
  if (reader->file != NULL) reader->disk->ops->close(reader->disk, reader->file);
  reader->file = NULL;
}

/* The head must follow from the segment before. */
static enum status enter_segment(struct reader *reader, size_t at) {
  struct wal_scan *scan = reader->scan;
  struct wal_segment_found *found = &scan->segments[at];
  const struct wal_head *head = &reader->head;
  if (head->sequence != found->sequence) return damaged(reader, found->sequence, 0, "its head is of another segment");
  if (at == 0) {
    scan->start = head->start;
  } else if (head->previous_check != scan->end.check || !wal_state_equal(&head->start, &scan->end.state)) {
    return damaged(reader, found->sequence, 0, "it does not go on where the segment before ends");
  }
  found->start_last_index = head->start.last_index;
  scan->end = scan->settled = (struct wal_place){head->check, WAL_HEAD_BYTES, head->start};
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, found->sequence);
  const struct wal_visitor *visitor = reader->visitor;
  if (visitor->head != NULL) visitor->head(visitor->context, &name, found->bytes, head);
  return STATUS_OK;
}

static enum status replay(struct reader *reader, uint64_t offset, struct bytes payload) {
  const struct wal_visitor *visitor = reader->visitor;
  const struct bytes whole = payload;
  struct wal_record record;
  while (payload.len > 0) {
    uint64_t at = offset + WAL_BATCH_HEAD_BYTES + (uint64_t)(payload.data - whole.data);
    if (!wal_record_next(&payload, &record))
      return damaged(reader, reader->head.sequence, at, "a malformed record in a valid batch");
    const char *wrong = wal_state_apply(&reader->scan->end.state, &record);
    if (wrong != NULL) return damaged(reader, reader->head.sequence, at, wrong);
    if (record.type == WAL_SEAL && payload.data != whole.data + whole.len)
      return damaged(reader, reader->head.sequence, at, "a record behind the seal");
    reader->sealed = record.type == WAL_SEAL;
    if (visitor->record != NULL)
      visitor->record(visitor->context, reader->head.sequence, at, &record, &reader->scan->end.state);
  }
  return STATUS_OK;
}

/* Batches from where the scan stands, up to the one whose check is `until`, or to the last that is valid. */
static enum status walk_batches(struct reader *reader, const uint64_t *until) {
  struct wal_scan *scan = reader->scan;
  const struct wal_visitor *visitor = reader->visitor;
  while (until == NULL || scan->end.check != *until) {
    uint64_t offset = scan->end.offset;
    struct bytes bytes;
    struct wal_batch_head batch;
    enum status status = view_batch(reader, offset, &bytes);
    if (status != STATUS_OK) return status;
    if (!wal_batch_decode(bytes, reader->head.life, &batch) || batch.previous != scan->end.check) return STATUS_OK;
    if (reader->sealed) return damaged(reader, reader->head.sequence, offset, "a batch behind the seal");
    if (visitor->batch != NULL) visitor->batch(visitor->context, reader->head.sequence, offset, &batch);
    scan->settled = scan->end;
    status = replay(reader, offset, batch.payload);
    if (status != STATUS_OK) return status;
    scan->end.check = batch.check;
    scan->end.offset = offset + wal_align(bytes.len);
  }
  return STATUS_OK;
}

/* The first place in `bytes` where the head of a batch of this life may be; their end without its last few bytes if
 * there is none. */
static size_t find_tag(struct bytes bytes, uint64_t life) {
  size_t at = 0;
  while (at + WAL_BATCH_HEAD_BYTES <= bytes.len && wal_batch_bytes(bytes.data + at, life) == 0)
    at += WAL_ALIGN;
  return at;
}

/* Whether a valid batch of this life stands at the end of the log or anywhere behind it. */
static enum status look_behind(struct reader *reader, bool *found) {
  struct wal_batch_head batch;
  struct bytes bytes;
  uint64_t offset = reader->scan->end.offset;
  *found = false;
  while (!*found) {
    enum status status = view(reader, offset, WINDOW_BYTES, &bytes);
    if (status != STATUS_OK || bytes.len < WAL_BATCH_HEAD_BYTES) return status;
    size_t at = find_tag(bytes, reader->head.life);
    offset += at;
    if (at + WAL_BATCH_HEAD_BYTES > bytes.len) continue;
    status = view_batch(reader, offset, &bytes);
    if (status != STATUS_OK) return status;
    *found = wal_batch_decode(bytes, reader->head.life, &batch);
    offset += WAL_ALIGN;
  }
  return STATUS_OK;
}

static enum status keep_tail(struct reader *reader) {
  struct wal_scan *scan = reader->scan;
  struct wal_batch_head batch;
  struct bytes bytes;
  if (reader->sealed || scan->settled.offset == scan->end.offset) return STATUS_OK;
  enum status status = view_batch(reader, scan->settled.offset, &bytes);
  if (status != STATUS_OK) return status;
  if (!wal_batch_decode(bytes, reader->head.life, &batch))
    return error_set(reader->err, STATUS_IO, "a batch reads differently the second time");
  buffer_append_bytes(&scan->tail, batch.payload);
  return STATUS_OK;
}

/* Behind the end of the last segment: damage, a torn batch, or nothing. */
static enum status judge_end(struct reader *reader) {
  struct wal_scan *scan = reader->scan;
  uint64_t sequence = reader->head.sequence;
  bool found;
  enum status status = look_behind(reader, &found);
  if (status != STATUS_OK) return status;
  if (found) return damaged(reader, sequence, scan->end.offset, "a batch is damaged, and a later one is valid");
  struct bytes head;
  status = view(reader, scan->end.offset, WAL_BATCH_HEAD_BYTES, &head);
  if (status != STATUS_OK) return status;
  scan->cut_bytes = wal_batch_claims(head, reader->head.life, scan->end.check);
  if (head.len > 0 && scan->cut_bytes > reader->file_bytes - scan->end.offset)
    scan->cut_bytes = reader->file_bytes - scan->end.offset;
  scan->verdict = scan->cut_bytes > 0 ? WAL_TORN : reader->sealed ? WAL_SEALED : WAL_WHOLE;
  scan->file = wal_name_of(WAL_FILE_SEGMENT, sequence);
  scan->offset = scan->end.offset;
  return keep_tail(reader);
}

/* The check that the next segment's head says this one ends with. */
static enum status peek_previous_check(struct reader *reader, uint64_t sequence, uint64_t *check) {
  struct wal_name name = wal_name_of(WAL_FILE_SEGMENT, sequence);
  struct wal_head head;
  uint64_t bytes;
  enum status status = peek(reader, &name, &bytes, &head);
  if (status != STATUS_OK) return status;
  if (head.sequence == 0) return damaged(reader, sequence, 0, "its head is damaged");
  *check = head.previous_check;
  return STATUS_OK;
}

static enum status walk_last(struct reader *reader) {
  enum status status = walk_batches(reader, NULL);
  return status == STATUS_OK ? judge_end(reader) : status;
}

static enum status walk_whole(struct reader *reader, size_t at) {
  struct wal_scan *scan = reader->scan;
  uint64_t until = 0;
  enum status status = peek_previous_check(reader, scan->segments[at + 1].sequence, &until);
  if (status == STATUS_OK) status = walk_batches(reader, &until);
  if (status == STATUS_OK && scan->end.check != until)
    return damaged(reader, scan->segments[at].sequence, scan->end.offset, "a batch is damaged, and later ones exist");
  return status;
}

static enum status scan_segment(struct reader *reader, size_t at) {
  struct wal_scan *scan = reader->scan;
  enum status status = open_segment(reader, &scan->segments[at]);
  if (status == STATUS_OK) status = enter_segment(reader, at);
  reader->sealed = false;
  if (status == STATUS_OK) status = at + 1 == scan->segments_count ? walk_last(reader) : walk_whole(reader, at);
  close_segment(reader);
  return status;
}

static enum status scan_segments(struct reader *reader) {
  struct wal_scan *scan = reader->scan;
  for (size_t i = 0; i < scan->segments_count; i++) {
    enum status status = scan_segment(reader, i);
    if (status != STATUS_OK) return status;
  }
  if (scan->segments_count > 0 && scan->start.last_index > scan->end.state.snapshot_index)
    return damaged(reader, scan->segments[0].sequence, 0, "the log starts behind what its snapshot covers");
  return STATUS_OK;
}

enum status wal_scan_run(struct disk *disk, const struct wal_visitor *visitor, struct wal_scan *scan,
                         struct error *err) {
  static const struct wal_visitor deaf;
  *scan = (struct wal_scan){.verdict = WAL_EMPTY, .end.state.hard_state.voted_for = RAFT_NODE_NONE};
  scan->settled = scan->end;
  struct reader reader = {.disk = disk, .visitor = visitor == NULL ? &deaf : visitor, .scan = scan, .err = err};
  enum status status = find_files(&reader);
  if (status == STATUS_OK) status = scan_segments(&reader);
  buffer_deinit(&reader.window);
  return status;
}

void wal_scan_deinit(struct wal_scan *scan) {
  free(scan->segments);
  free(scan->spares);
  free(scan->fillings);
  buffer_deinit(&scan->tail);
  *scan = (struct wal_scan){0};
}
