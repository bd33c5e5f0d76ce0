/* The write-ahead log's inside, shared by raft/storage/wal*.c and nobody else. */
#ifndef KV_RAFT_STORAGE_WAL_STATE_H
#define KV_RAFT_STORAGE_WAL_STATE_H

#include "base/prng.h"
#include "raft/storage/wal.h"
#include "raft/storage/wal_files.h"
#include "raft/storage/wal_log.h"

/* One write and one fdatasync, in a fresh segment if need be. */
struct wal_job {
  struct disk *disk;
  bool starts_segment; /* `head` and `spare` say which */
  struct wal_head head;
  uint64_t spare;
  struct disk_file *file; /* where to write: the fresh segment, once it is started */
  uint64_t offset;
  struct bytes data; /* the batch, which nobody changes meanwhile */
  uint64_t (*clock_us)(void);
  uint64_t write_us; /* how long it took to write, without a clock 0, as the next one: */
  uint64_t sync_us;  /* to sync; all that starts a segment counts as writing */
  bool ran;
  enum status status;
  struct error err;
};

enum wal_spare_kind { WAL_SPARE_MAKE, WAL_SPARE_RECYCLE, WAL_SPARE_REMOVE };

struct wal_spare_job {
  struct disk *disk;
  enum wal_spare_kind kind;
  uint64_t spare;    /* MAKE, RECYCLE: its number */
  uint64_t bytes;    /* of it */
  uint64_t sequence; /* RECYCLE, REMOVE: of the old segment */
  enum status status;
  struct error err;
};

struct wal_segment {
  uint64_t sequence;
  uint64_t bytes;
  uint64_t start_last_index; /* where the log ended when it was started */
  struct disk_file *reader;  /* NULL: not open */
};

struct wal_spare {
  uint64_t number;
  uint64_t bytes;
};

struct wal {
  struct raft_storage base; /* first */
  struct stable_store stable;
  struct log_store log_store;
  struct disk *disk;
  struct wal_options options;
  struct wal_owner owner;
  struct prng prng;

  struct wal_state now; /* behind everything that was given */
  struct wal_log log;

  struct wal_state given; /* behind the last batch that became a job */
  struct wal_state durable;
  uint64_t check; /* of that batch: what the next one names */
  uint64_t life;  /* of the current segment, the last job's */
  uint64_t sequence;
  uint64_t offset;          /* where its next batch goes */
  uint64_t bytes;           /* its size */
  struct disk_file *writer; /* its; while a job starts a segment: the one before's */

  struct wal_segment *segments; /* owned, oldest first; the last one is the writer's */
  size_t segments_count;
  struct wal_spare spares[WAL_SPARES_MAX + 1]; /* ready ones; one more may be made for a large batch */
  size_t spares_count;
  uint64_t next_spare; /* number */

  struct wal_job job;
  struct wal_figures figures;
  struct wal_spare_job spare_job;
  bool job_busy;
  bool spare_job_busy;
  bool disk_full;
  bool failed;
  struct error failure;

  struct buffer completed; /* struct wal_sync, the first completed_given of them given out */
  size_t completed_given;
};

static inline struct wal *wal_of(struct raft_storage *base) {
  return (struct wal *)(void *)base;
}

/* ---- wal_store.c ---- */

void wal_store_init(struct wal *wal);

/* ---- wal_open.c ---- */

void wal_add_segment(struct wal *wal, uint64_t sequence, uint64_t bytes, uint64_t start_last_index);

/* ---- wal.c ---- */

/* The head of the next segment, which starts where the last job ends. */
struct wal_head wal_next_head(struct wal *wal);
void wal_fail(struct wal *wal, const struct error *err);
/* Makes a job of the oldest batch when it is due, none is under way and there is room for it. */
void wal_pump(struct wal *wal);
/* Makes a spare job, when none is under way and there is something to do. */
void wal_keep_spares(struct wal *wal);
/* The batch that takes the next record. */
struct buffer *wal_records(struct wal *wal);

#endif
