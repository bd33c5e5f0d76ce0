/* Reads a write-ahead log as wal_format.h says, changes nothing, and comes to a verdict. For recovery, for tools that
 * show a log, and for specs. Memory: the largest batch, and what the report says. Any thread, while nobody writes. */
#ifndef KV_RAFT_STORAGE_WAL_RECOVER_H
#define KV_RAFT_STORAGE_WAL_RECOVER_H

#include "raft/storage/disk.h"
#include "raft/storage/wal_files.h"

enum wal_verdict {
  WAL_EMPTY,  /* no segment at all */
  WAL_WHOLE,  /* ends with a valid batch, or without one */
  WAL_SEALED, /* and that is a seal */
  WAL_TORN,   /* behind it, there is a torn one, which counts for nothing */
  WAL_DAMAGED
};
const char *wal_verdict_name(enum wal_verdict verdict); /* "empty", ...; static */

struct wal_segment_found {
  uint64_t sequence;
  uint64_t bytes; /* of the file */
  uint64_t start_last_index;
};

struct wal_spare_found {
  uint64_t number;
  uint64_t bytes;
  uint64_t sequence; /* of its head: it was that segment, or was about to become it; 0: it has none */
};

struct wal_place {
  uint64_t check;         /* of the batch that ends here, or of the head */
  uint64_t offset;        /* behind it */
  struct wal_state state; /* behind it */
};

/* What was found; up to the damage, if there is some. */
struct wal_scan {
  enum wal_verdict verdict;
  struct wal_name file; /* TORN, DAMAGED: where */
  uint64_t offset;
  uint64_t cut_bytes;       /* TORN */
  const char *what;         /* DAMAGED: static text */
  struct wal_state start;   /* where the first segment starts */
  struct wal_place end;     /* of the log, in the last segment; its check is 0 when EMPTY */
  struct wal_place settled; /* before the last batch there, which may not have been synced; else the same as `end` */
  struct buffer tail;       /* payload of that batch, unless it is a seal; owned */
  struct wal_segment_found *segments; /* owned, rising */
  size_t segments_count;
  struct wal_spare_found *spares; /* owned */
  size_t spares_count;
  uint64_t *fillings; /* numbers, owned */
  size_t fillings_count;
};

/* Each may be NULL. What they get is borrowed until they return. Damage may show after they heard of what is before it.
 */
struct wal_visitor {
  void *context;
  void (*head)(void *context, const struct wal_name *file, uint64_t file_bytes, const struct wal_head *head);
  void (*batch)(void *context, uint64_t sequence, uint64_t offset, const struct wal_batch_head *batch);
  /* `offset` is that of the record's type; `state` includes the record. */
  void (*record)(void *context, uint64_t sequence, uint64_t offset, const struct wal_record *record,
                 const struct wal_state *state);
};

/* STATUS_OK; STATUS_CORRUPT when the verdict is DAMAGED: `err` names file, offset, reason and what to do; or what the
 * disk says. `scan` is filled in any case: deinit it. `visitor` may be NULL. */
enum status wal_scan_run(struct disk *disk, const struct wal_visitor *visitor, struct wal_scan *scan,
                         struct error *err);
void wal_scan_deinit(struct wal_scan *scan);

#endif
