#include "raft/storage/wal_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

/* One piece of a spare and its fdatasync: what a journal commit of the system has to wait for at most. */
enum { FILL_BYTES = 1 << 20 };

struct wal_name wal_name_of(enum wal_file_kind kind, uint64_t number) {
  struct wal_name name;
  switch (kind) {
  case WAL_FILE_SEGMENT:
    snprintf(name.text, sizeof name.text, WAL_DIRECTORY "/%016" PRIx64 ".wal", number);
    return name;
  case WAL_FILE_SPARE:
    snprintf(name.text, sizeof name.text, WAL_DIRECTORY "/spare-%" PRIu64 ".wal", number);
    return name;
  case WAL_FILE_FILLING:
    snprintf(name.text, sizeof name.text, WAL_DIRECTORY "/filling-%" PRIu64 ".tmp", number);
    return name;
  case WAL_FILE_FOREIGN:
    break;
  }
  CHECK(!"a foreign file has no name of ours");
}

/* The number in `text` up to `end`, in its one spelling. */
static bool parse_number(const char *text, int base, const char *end, uint64_t *number) {
  static const char digits[] = "0123456789abcdef";
  uint64_t value = 0;
  const char *at = text;
  for (; *at != '\0' && strcmp(at, end) != 0; at++) {
    const char *digit = memchr(digits, *at, (size_t)base);
    if (digit == NULL || value > (UINT64_MAX - 15) / (uint64_t)base) return false;
    value = value * (uint64_t)base + (uint64_t)(digit - digits);
  }
  if (at == text || *at == '\0') return false;
  if (base == 10 && text[0] == '0' && at - text > 1) return false;
  if (base == 16 && at - text != 16) return false;
  *number = value;
  return true;
}

enum wal_file_kind wal_name_parse(const char *name, uint64_t *number) {
  static const char spare[] = "spare-", filling[] = "filling-";
  if (strncmp(name, spare, sizeof spare - 1) == 0 && parse_number(name + sizeof spare - 1, 10, ".wal", number))
    return WAL_FILE_SPARE;
  if (strncmp(name, filling, sizeof filling - 1) == 0 && parse_number(name + sizeof filling - 1, 10, ".tmp", number))
    return WAL_FILE_FILLING;
  return parse_number(name, 16, ".wal", number) ? WAL_FILE_SEGMENT : WAL_FILE_FOREIGN;
}

static enum status fill(struct disk *disk, struct disk_file *file, uint64_t bytes, struct error *err) {
  const uint64_t piece = bytes < FILL_BYTES ? bytes : FILL_BYTES;
  uint8_t *zeros = xcalloc(1, (size_t)piece);
  enum status status = STATUS_OK;
  for (uint64_t at = 0; at < bytes && status == STATUS_OK; at += piece) {
    uint64_t len = bytes - at < piece ? bytes - at : piece;
    status = disk->ops->write(disk, file, at, bytes_make(zeros, (size_t)len), err);
    if (status == STATUS_OK) status = disk->ops->sync(disk, file, err);
  }
  free(zeros);
  return status;
}

/* Asked before anything is written: a full disk is tried again and again, and others may need what is left of it. */
static enum status check_room(struct disk *disk, uint64_t bytes, struct error *err) {
  uint64_t free_bytes;
  if (disk->ops->free_bytes(disk, &free_bytes, NULL) != STATUS_OK || free_bytes >= bytes) return STATUS_OK;
  return error_set(err, STATUS_DISK_FULL, "a segment of %" PRIu64 " bytes does not find room, %" PRIu64 " are free",
                   bytes, free_bytes);
}

enum status wal_spare_make(struct disk *disk, uint64_t number, uint64_t bytes, struct error *err) {
  struct wal_name filling = wal_name_of(WAL_FILE_FILLING, number);
  struct wal_name spare = wal_name_of(WAL_FILE_SPARE, number);
  struct disk_file *file;
  enum status status = check_room(disk, bytes, err);
  if (status == STATUS_OK) status = disk->ops->open(disk, filling.text, DISK_CREATE, &file, err);
  if (status != STATUS_OK) return status;
  status = fill(disk, file, bytes, err);
  disk->ops->close(disk, file);
  if (status == STATUS_OK) status = disk->ops->rename(disk, filling.text, spare.text, err);
  /* What is left of it would keep others from the little room there is; recovery removes it in any case. */
  if (status != STATUS_OK) (void)disk->ops->remove(disk, filling.text, NULL);
  return status;
}

static enum status put_start(struct disk *disk, struct disk_file *file, struct wal_head *head, struct bytes batch,
                             struct error *err) {
  uint8_t encoded[WAL_HEAD_BYTES];
  wal_head_encode(head, encoded);
  enum status status = disk->ops->write(disk, file, 0, bytes_make(encoded, sizeof encoded), err);
  if (status == STATUS_OK && batch.len > 0) status = disk->ops->write(disk, file, WAL_HEAD_BYTES, batch, err);
  return status == STATUS_OK ? disk->ops->sync(disk, file, err) : status;
}

enum status wal_segment_start(struct disk *disk, uint64_t spare, struct wal_head *head, struct bytes batch,
                              struct disk_file **out, struct error *err) {
  struct wal_name from = wal_name_of(WAL_FILE_SPARE, spare);
  struct wal_name to = wal_name_of(WAL_FILE_SEGMENT, head->sequence);
  struct disk_file *file;
  enum status status = disk->ops->open(disk, from.text, DISK_OPEN_WRITE, &file, err);
  if (status != STATUS_OK) return status;
  status = put_start(disk, file, head, batch, err);
  if (status == STATUS_OK) status = disk->ops->rename(disk, from.text, to.text, err);
  if (status == STATUS_OK) status = disk->ops->sync_directory(disk, WAL_DIRECTORY, err);
  if (status == STATUS_OK)
    *out = file;
  else
    disk->ops->close(disk, file);
  return status;
}
