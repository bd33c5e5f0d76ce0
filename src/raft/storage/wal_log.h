/* Where the log's entries are: an index of all of them in memory (24 bytes each), and the bytes of the newest ones. The
 * bytes are the batches themselves, as they went to the disk, oldest first: those not yet durable, and behind them as
 * many durable ones as fit a bound. What falls out of it is read back from the segments.
 *
 * Entries in memory are a suffix of the log, since a later entry stands in the same batch or a later one. One thread; a
 * job on another one may read the bytes of a batch that is under way, which nobody changes any more. */
#ifndef KV_RAFT_STORAGE_WAL_LOG_H
#define KV_RAFT_STORAGE_WAL_LOG_H

#include "raft/storage/storage.h"
#include "raft/storage/wal_format.h"

struct wal_sync {
  uint64_t number;
  uint64_t last_index; /* when it was asked for */
};

struct wal_batch {
  struct buffer bytes;    /* head, payload, padding */
  struct buffer syncs;    /* struct wal_sync: what its durability completes */
  struct wal_state after; /* where the stream stands behind it; set when it is closed */
  uint64_t sequence;      /* of its segment, once it is under way */
  uint64_t offset;        /* there */
  bool closed;            /* it takes no more records */
};

struct wal_slot {
  uint64_t term;
  uint32_t place;  /* in memory: its batch's number; else the low half of its segment's sequence */
  uint32_t offset; /* of the encoded entry, in the batch or in the segment */
  uint32_t bytes;  /* of the encoded entry */
  uint32_t check;  /* low half of its XXH3-64: rot in a read is noticed */
};

struct wal_log {
  uint64_t base_index;    /* entries up to here are gone */
  uint64_t base_term;     /* of that entry */
  struct wal_slot *slots; /* of base_index + 1 and on; owned; slots_first leading ones are unused */
  size_t slots_first;
  size_t slots_count;
  size_t slots_capacity;
  uint64_t cached_from; /* entries from here on are in memory */

  struct wal_batch **batches; /* owned, oldest first; batches_first leading ones are unused */
  size_t batches_first;
  size_t batches_count;
  size_t batches_capacity;
  uint32_t first_number;  /* of the oldest; wraps around */
  size_t durable_count;   /* that many leading ones are durable */
  uint64_t durable_bytes; /* what they take */
};

void wal_log_init(struct wal_log *log);
void wal_log_deinit(struct wal_log *log);

static inline uint64_t wal_log_last(const struct wal_log *log) {
  return log->base_index + log->slots_count;
}

/* ---- entries ---- */

/* Empty, and ends at index. */
void wal_log_reset(struct wal_log *log, uint64_t index, uint64_t term);
/* An entry behind the last, `encoded` as it stands at `offset` of a batch in memory (`place` its number) or of a
 * segment (of which all entries come before any in memory). */
void wal_log_append(struct wal_log *log, bool in_memory, uint32_t place, uint32_t offset, struct bytes encoded);
/* The log ends before `first`. When that is below the base, it moves there: `term_before` is the term then. */
void wal_log_cut(struct wal_log *log, uint64_t first, uint64_t term_before);
/* The newest entries, those in segment `from` at `offset` and on, now stand in segment `to`, `shift` bytes further. */
void wal_log_move(struct wal_log *log, uint32_t from, uint32_t offset, uint32_t to, int64_t shift);
/* Entries up to `index`, which exists, go. */
void wal_log_drop(struct wal_log *log, uint64_t index);
/* False when it is not known. The base's is. */
bool wal_log_term(const struct wal_log *log, uint64_t index, uint64_t *term);
uint64_t wal_log_batch_end(const struct wal_log *log, uint64_t lo, uint64_t last, uint64_t bytes_max);

/* Fills `out` with `len` bytes at `offset` of the segment with this low half. */
typedef enum status wal_read(void *context, uint32_t segment, uint64_t offset, size_t len, uint8_t *out);
/* Visits lo .. hi, which exist. STATUS_CORRUPT when what `read` gives is not what was written; or what it says. */
enum status wal_log_visit(const struct wal_log *log, uint64_t lo, uint64_t hi, wal_read *read, void *read_context,
                          log_visit *visit, void *context);

/* ---- batches ---- */

/* The newest batch; NULL when it is durable, or there is none. */
struct wal_batch *wal_log_newest(const struct wal_log *log);
/* The oldest that is not durable; NULL when all are. */
struct wal_batch *wal_log_oldest(const struct wal_log *log);
/* A new, empty one behind the newest. */
struct wal_batch *wal_log_begin(struct wal_log *log);
/* The number of the newest one. */
uint32_t wal_log_newest_number(const struct wal_log *log);
/* Bytes that are not durable, heads included. */
uint64_t wal_log_waiting_bytes(const struct wal_log *log);
/* The oldest that is not durable has become so. */
void wal_log_durable(struct wal_log *log);
/* Forgets the oldest durable batches until the rest takes at most `bytes_max`. */
void wal_log_evict(struct wal_log *log, uint64_t bytes_max);

#endif
