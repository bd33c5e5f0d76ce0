/* libFuzzer target of the write-ahead log's recovery. The first byte says what the rest is: the bytes of a segment, as
 * they are or behind a valid head; or payloads of batches whose checks are right, so that the records are reached. What
 * is refused is refused with a reason. What is accepted can be read from end to end, and a second start reads the same;
 * then some bytes are changed, and again it is either refused or readable. */
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "raft/storage/wal.h"
#include "raft/storage/wal_files.h"
#include "raft/storage/wal_recover.h"
#include "sim/simdisk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES = 4096, INPUT_BYTES_MAX = 65536, FLIP_BYTES = 4 };

static void ignore_job(void *context, struct wal_job *job) {
  (void)context;
  (void)job;
}

static void ignore_spare_job(void *context, struct wal_spare_job *job) {
  (void)context;
  (void)job;
}

static void put_file(struct disk *disk, enum wal_file_kind kind, uint64_t number, struct bytes content) {
  struct disk_file *file;
  CHECK(disk->ops->open(disk, wal_name_of(kind, number).text, DISK_CREATE, &file, NULL) == STATUS_OK);
  CHECK(disk->ops->write(disk, file, 0, content, NULL) == STATUS_OK);
  disk->ops->close(disk, file);
}

static void put_head(struct buffer *segment, struct wal_head *head) {
  wal_head_encode(head, buffer_reserve(segment, WAL_HEAD_BYTES));
  segment->len += WAL_HEAD_BYTES;
}

static uint8_t next_byte(struct bytes *input) {
  if (input->len == 0) return 0;
  uint8_t byte = input->data[0];
  *input = bytes_make(input->data + 1, input->len - 1);
  return byte;
}

/* Each piece of the input is one payload, behind its length; the last FLIP_BYTES are left. */
static void put_batches(struct buffer *segment, const struct wal_head *head, struct bytes *input) {
  uint64_t check = head->check;
  struct buffer batch = {0};
  while (input->len > FLIP_BYTES + 1) {
    size_t len = 1 + (size_t)next_byte(input);
    if (len > input->len) len = input->len;
    wal_batch_open(&batch);
    buffer_append(&batch, input->data, len);
    *input = bytes_make(input->data + len, input->len - len);
    uint32_t payload_bytes = wal_batch_pad(&batch);
    check = wal_batch_close(&batch, payload_bytes, head->life, check);
    buffer_append_bytes(segment, buffer_view(&batch));
  }
  buffer_deinit(&batch);
}

static void build(struct buffer *segment, struct bytes *input) {
  struct wal_head head = {.life = wal_life(1, 1, 0), .sequence = 1};
  head.start.hard_state.voted_for = RAFT_NODE_NONE;
  uint8_t kind = next_byte(input);
  if (kind % 4 > 0) {
    head.start.last_index = head.start.snapshot_index = kind % 4 == 3 ? 5 : 0;
    head.start.last_term = head.start.snapshot_term = kind % 4 == 3 ? 2 : 0;
    put_head(segment, &head);
  }
  if (kind % 4 > 1) {
    put_batches(segment, &head, input);
  } else {
    buffer_append_bytes(segment, *input);
  }
}

struct walk {
  uint64_t next;
  uint64_t term;
};

static void visit(void *context, const struct log_entry *entry) {
  struct walk *walk = context;
  CHECK(entry->index == walk->next++);
  CHECK(entry->term >= walk->term);
  walk->term = entry->term;
}

/* The newest index, or nothing when it is refused. */
static bool try_open(struct disk *disk, uint64_t *last) {
  struct wal_options options = {.segment_bytes = SEGMENT_BYTES, .cache_bytes_max = 1024};
  struct wal_owner owner = {NULL, ignore_job, ignore_spare_job};
  struct error err = {""};
  struct wal *wal;
  enum status status = wal_open(disk, &options, &owner, &wal, &err);
  if (status != STATUS_OK) {
    CHECK(status == STATUS_CORRUPT && err.text[0] != '\0');
    return false;
  }
  struct log_store *log = wal_base(wal)->log;
  struct walk walk = {.next = log->ops->first_index(log)};
  *last = log->ops->last_index(log);
  if (walk.next <= *last) CHECK(log->ops->read_range(log, walk.next, *last, visit, &walk) == STATUS_OK);
  CHECK(walk.next == *last + 1);
  wal_destroy(wal);
  return true;
}

static void change(struct simdisk *disk, struct bytes input) {
  while (input.len >= FLIP_BYTES) {
    uint64_t sequence = 1 + next_byte(&input) % 3;
    uint64_t offset = next_byte(&input);
    offset = offset * 256 + next_byte(&input);
    (void)simdisk_flip(disk, wal_name_of(WAL_FILE_SEGMENT, sequence).text, offset, next_byte(&input) % 8);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > INPUT_BYTES_MAX) return -1;
  log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
  struct simdisk_config config = {.capacity_bytes = SIMDISK_UNLIMITED};
  struct simdisk *simulated = simdisk_create(&config);
  struct disk *disk = simdisk_base(simulated);
  struct bytes input = bytes_make(data, size);
  struct buffer segment = {0};
  build(&segment, &input);
  CHECK(disk->ops->make_directory(disk, WAL_DIRECTORY, NULL) == STATUS_OK);
  put_file(disk, WAL_FILE_SEGMENT, 1, buffer_view(&segment));
  uint64_t last = 0, again = 0;
  if (try_open(disk, &last)) {
    CHECK(try_open(disk, &again) && again == last);
    change(simulated, input);
    (void)try_open(disk, &again);
  }
  buffer_deinit(&segment);
  simdisk_destroy(simulated);
  return 0;
}
