#include "raft/storage/wal_log.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

enum {
  READ_BYTES_MAX = 1 << 18, /* of one read of neighbours; a single larger entry is still read at once */
  SLACK_MIN = 64
};

void wal_log_init(struct wal_log *log) {
  *log = (struct wal_log){.cached_from = 1};
}

static void free_batch(struct wal_batch *batch) {
  buffer_deinit(&batch->bytes);
  buffer_deinit(&batch->syncs);
  free(batch);
}

void wal_log_deinit(struct wal_log *log) {
  for (size_t i = 0; i < log->batches_count; i++)
    free_batch(log->batches[log->batches_first + i]);
  free(log->batches);
  free(log->slots);
  wal_log_init(log);
}

/* ---- the two queues: arrays whose front is given back when it is half of them ---- */

static size_t room_for_more(size_t first, size_t count, size_t capacity) {
  if (first + count < capacity) return capacity;
  return capacity == 0 ? SLACK_MIN : capacity * 2;
}

static void slots_push(struct wal_log *log, const struct wal_slot *slot) {
  size_t capacity = room_for_more(log->slots_first, log->slots_count, log->slots_capacity);
  if (capacity != log->slots_capacity) {
    log->slots = xrealloc(log->slots, capacity * sizeof log->slots[0]);
    log->slots_capacity = capacity;
  }
  log->slots[log->slots_first + log->slots_count++] = *slot;
}

static void slots_drop_front(struct wal_log *log, size_t count) {
  log->slots_first += count;
  log->slots_count -= count;
  if (log->slots_first < SLACK_MIN || log->slots_first < log->slots_count) return;
  memmove(log->slots, log->slots + log->slots_first, log->slots_count * sizeof log->slots[0]);
  log->slots_first = 0;
  size_t capacity = log->slots_count + SLACK_MIN;
  if (log->slots_capacity / 4 <= capacity) return;
  log->slots = xrealloc(log->slots, capacity * sizeof log->slots[0]);
  log->slots_capacity = capacity;
}

static void batches_push(struct wal_log *log, struct wal_batch *batch) {
  size_t capacity = room_for_more(log->batches_first, log->batches_count, log->batches_capacity);
  if (capacity != log->batches_capacity) {
    log->batches = xrealloc(log->batches, capacity * sizeof log->batches[0]);
    log->batches_capacity = capacity;
  }
  log->batches[log->batches_first + log->batches_count++] = batch;
}

static void batches_pop_front(struct wal_log *log) {
  log->batches_first++;
  log->batches_count--;
  log->first_number++;
  if (log->batches_first < SLACK_MIN || log->batches_first < log->batches_count) return;
  memmove(log->batches, log->batches + log->batches_first, log->batches_count * sizeof(log->batches[0]));
  log->batches_first = 0;
}

/* ---- entries ---- */

static struct wal_slot *slot_at(const struct wal_log *log, uint64_t index) {
  CHECK(index > log->base_index && index <= wal_log_last(log));
  return &log->slots[log->slots_first + (size_t)(index - log->base_index - 1)];
}

void wal_log_reset(struct wal_log *log, uint64_t index, uint64_t term) {
  slots_drop_front(log, log->slots_count);
  log->base_index = index;
  log->base_term = term;
  log->cached_from = index + 1;
}

static uint32_t check_of(struct bytes encoded) {
  return (uint32_t)hash64_of(encoded, 0);
}

void wal_log_append(struct wal_log *log, bool in_memory, uint32_t place, uint32_t offset, struct bytes encoded) {
  struct bytes rest = encoded;
  struct log_entry entry;
  CHECK(log_entry_next(&rest, &entry) && rest.len == 0);
  struct wal_slot slot = {entry.term, place, offset, (uint32_t)encoded.len, check_of(encoded)};
  slots_push(log, &slot);
  if (!in_memory) log->cached_from = wal_log_last(log) + 1;
}

void wal_log_cut(struct wal_log *log, uint64_t first, uint64_t term_before) {
  if (first <= log->base_index) {
    wal_log_reset(log, first - 1, term_before);
  } else if (first <= wal_log_last(log)) {
    log->slots_count = (size_t)(first - 1 - log->base_index);
    if (log->cached_from > first) log->cached_from = first;
  }
}

void wal_log_move(struct wal_log *log, uint32_t from, uint32_t offset, uint32_t to, int64_t shift) {
  for (size_t i = log->slots_count; i-- > 0;) {
    struct wal_slot *slot = &log->slots[log->slots_first + i];
    if (slot->place != from || slot->offset < offset) return;
    slot->place = to;
    slot->offset = (uint32_t)(slot->offset + shift);
  }
}

void wal_log_drop(struct wal_log *log, uint64_t index) {
  if (index <= log->base_index) return;
  log->base_term = slot_at(log, index)->term;
  slots_drop_front(log, (size_t)(index - log->base_index));
  log->base_index = index;
  if (log->cached_from <= index) log->cached_from = index + 1;
}

bool wal_log_term(const struct wal_log *log, uint64_t index, uint64_t *term) {
  if (index == 0 || index < log->base_index || index > wal_log_last(log)) return false;
  *term = index == log->base_index ? log->base_term : slot_at(log, index)->term;
  return true;
}

uint64_t wal_log_batch_end(const struct wal_log *log, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  uint64_t hi = lo;
  uint64_t bytes = slot_at(log, lo)->bytes;
  while (hi < last) {
    bytes += slot_at(log, hi + 1)->bytes;
    if (bytes > bytes_max) break;
    hi++;
  }
  return hi;
}

static struct wal_batch *batch_at(const struct wal_log *log, uint32_t number) {
  uint32_t at = number - log->first_number;
  CHECK(at < log->batches_count);
  return log->batches[log->batches_first + at];
}

static void visit_one(uint64_t index, struct bytes encoded, log_visit *visit, void *context) {
  struct log_entry entry = {.index = index};
  CHECK(log_entry_next(&encoded, &entry) && encoded.len == 0);
  visit(context, &entry);
}

static void visit_cached(const struct wal_log *log, uint64_t index, log_visit *visit, void *context) {
  const struct wal_slot *slot = slot_at(log, index);
  const struct buffer *bytes = &batch_at(log, slot->place)->bytes;
  CHECK(slot->offset + (uint64_t)slot->bytes <= bytes->len);
  visit_one(index, bytes_make(bytes->data + slot->offset, slot->bytes), visit, context);
}

/* The last of the entries lo .. hi that one read gets. */
static uint64_t run_end(const struct wal_log *log, uint64_t lo, uint64_t hi) {
  const struct wal_slot *first = slot_at(log, lo);
  uint64_t end = lo;
  while (end < hi) {
    const struct wal_slot *next = slot_at(log, end + 1);
    bool near = next->place == first->place && next->offset > first->offset &&
                (uint64_t)next->offset + next->bytes - first->offset <= READ_BYTES_MAX;
    if (!near) break;
    end++;
  }
  return end;
}

static enum status visit_run(const struct wal_log *log, uint64_t lo, uint64_t hi, const uint8_t *data, log_visit *visit,
                             void *context) {
  uint32_t start = slot_at(log, lo)->offset;
  for (uint64_t i = lo; i <= hi; i++) {
    const struct wal_slot *slot = slot_at(log, i);
    struct bytes encoded = bytes_make(data + (slot->offset - start), slot->bytes);
    if (check_of(encoded) != slot->check) return STATUS_CORRUPT;
    visit_one(i, encoded, visit, context);
  }
  return STATUS_OK;
}

static enum status visit_stored(const struct wal_log *log, uint64_t lo, uint64_t hi, wal_read *read, void *read_context,
                                log_visit *visit, void *context) {
  struct buffer data = {0};
  enum status status = STATUS_OK;
  while (lo <= hi && status == STATUS_OK) {
    uint64_t end = run_end(log, lo, hi);
    const struct wal_slot *first = slot_at(log, lo), *last = slot_at(log, end);
    size_t len = (size_t)(last->offset - first->offset) + last->bytes;
    buffer_clear(&data);
    status = read(read_context, first->place, first->offset, len, buffer_reserve(&data, len));
    if (status == STATUS_OK) status = visit_run(log, lo, end, data.data, visit, context);
    lo = end + 1;
  }
  buffer_deinit(&data);
  return status;
}

enum status wal_log_visit(const struct wal_log *log, uint64_t lo, uint64_t hi, wal_read *read, void *read_context,
                          log_visit *visit, void *context) {
  if (lo < log->cached_from) {
    uint64_t stored_hi = hi < log->cached_from ? hi : log->cached_from - 1;
    enum status status = visit_stored(log, lo, stored_hi, read, read_context, visit, context);
    if (status != STATUS_OK) return status;
    lo = stored_hi + 1;
  }
  for (; lo <= hi; lo++)
    visit_cached(log, lo, visit, context);
  return STATUS_OK;
}

/* ---- batches ---- */

struct wal_batch *wal_log_newest(const struct wal_log *log) {
  if (log->batches_count == log->durable_count) return NULL;
  return log->batches[log->batches_first + log->batches_count - 1];
}

struct wal_batch *wal_log_oldest(const struct wal_log *log) {
  if (log->batches_count == log->durable_count) return NULL;
  return log->batches[log->batches_first + log->durable_count];
}

struct wal_batch *wal_log_begin(struct wal_log *log) {
  struct wal_batch *batch = xcalloc(1, sizeof *batch);
  wal_batch_open(&batch->bytes);
  batches_push(log, batch);
  return batch;
}

uint32_t wal_log_newest_number(const struct wal_log *log) {
  CHECK(log->batches_count > 0);
  return log->first_number + (uint32_t)log->batches_count - 1;
}

uint64_t wal_log_waiting_bytes(const struct wal_log *log) {
  uint64_t bytes = 0;
  for (size_t i = log->durable_count; i < log->batches_count; i++)
    bytes += wal_align(log->batches[log->batches_first + i]->bytes.len);
  return bytes;
}

static uint64_t cost_of(const struct wal_batch *batch) {
  return sizeof *batch + batch->bytes.capacity + batch->syncs.capacity;
}

static void trim(struct buffer *bytes) {
  if (bytes->capacity / 4 <= bytes->len / 3) return;
  bytes->data = xrealloc(bytes->data, bytes->len);
  bytes->capacity = bytes->len;
}

void wal_log_durable(struct wal_log *log) {
  struct wal_batch *batch = wal_log_oldest(log);
  CHECK(batch != NULL);
  trim(&batch->bytes);
  buffer_deinit(&batch->syncs);
  log->durable_bytes += cost_of(batch);
  log->durable_count++;
}

/* Its entries are read from its segment from now on. */
static void forget_oldest(struct wal_log *log) {
  struct wal_batch *batch = log->batches[log->batches_first];
  for (; log->cached_from <= wal_log_last(log); log->cached_from++) {
    struct wal_slot *slot = slot_at(log, log->cached_from);
    if (slot->place != log->first_number) break;
    slot->place = (uint32_t)batch->sequence;
    slot->offset += (uint32_t)batch->offset;
  }
  log->durable_bytes -= cost_of(batch);
  log->durable_count--;
  batches_pop_front(log);
  free_batch(batch);
}

void wal_log_evict(struct wal_log *log, uint64_t bytes_max) {
  while (log->durable_count > 0 && log->durable_bytes > bytes_max)
    forget_oldest(log);
}
