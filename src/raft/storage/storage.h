/* What the Raft node needs of storage (seed: StableStore, LogStore, SnapshotStore). It belongs to the node;
 * implementations: memory (memory.h) and, with durability, the WAL (wal.h) and snapshot files (snapshot_files.h).
 *
 * Writes change what reads see at once; they are durable once a sync that was asked for after them has completed. Syncs
 * complete in order (FIFO), never inside the call that asked. A store that failed says STATUS_IO to everything from
 * then on. Thread-safe: a mutex guards the memory stores; the node's calls come from its loop. */
#ifndef KV_RAFT_STORAGE_STORAGE_H
#define KV_RAFT_STORAGE_STORAGE_H

#include "base/buffer.h"
#include "base/status.h"
#include "raft/core/raft.h"
#include "raft/storage/entry.h"

/* ---- StableStore: term and vote (and the proven mark) are one record ---- */

struct stable_store;
struct stable_store_ops {
  void (*load)(struct stable_store *store, struct raft_hard_state *out);
  enum status (*save)(struct stable_store *store, const struct raft_hard_state *state);
};
struct stable_store {
  const struct stable_store_ops *ops;
};

/* The seed's four calls, on top of the one record. */
uint64_t stable_get_current_term(struct stable_store *store);
/* A higher term clears the vote in the same record; a lower one is STATUS_INVALID. */
enum status stable_set_current_term(struct stable_store *store, uint64_t term);
/* False when nobody has the vote of the current term. */
bool stable_get_voted_for(struct stable_store *store, uint8_t *node);
/* A second, different vote in one term is STATUS_INVALID. */
enum status stable_set_voted_for(struct stable_store *store, uint8_t node);

/* ---- LogStore: entries first_index .. last_index ---- */

typedef void log_visit(void *context, const struct log_entry *entry); /* borrowed until it returns */

struct log_store;
struct log_store_ops {
  uint64_t (*first_index)(struct log_store *store); /* 1 until a prefix was truncated */
  uint64_t (*last_index)(struct log_store *store);  /* first_index - 1 when empty */
  /* STATUS_NOT_FOUND when there is no such entry; but of a truncated prefix, the last one's term is still known. */
  enum status (*term_at)(struct log_store *store, uint64_t index, uint64_t *term);
  /* Entries with consecutive indices from last_index + 1 (else STATUS_INVALID). Copies. */
  enum status (*append)(struct log_store *store, const struct log_entry *entries, size_t count);
  /* Visits lo .. hi in order, under the store's lock: internal memory is never handed out. STATUS_NOT_FOUND (and no
   * visit) when not all exist. */
  enum status (*read_range)(struct log_store *store, uint64_t lo, uint64_t hi, log_visit *visit, void *context);
  /* The largest index up to `last` such that lo .. it encode to at most bytes_max; at least lo. */
  uint64_t (*batch_end)(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max);
  /* Removes the suffix from `index` on; beyond the end: nothing. STATUS_INVALID at or below a truncated prefix. */
  enum status (*delete_from)(struct log_store *store, uint64_t index);
  /* Removes the entries up to `index`: a durable snapshot covers them (seed: TruncatePrefix). Those that are gone
   * already: nothing. STATUS_NOT_FOUND beyond the end. A restart may find them again. */
  enum status (*truncate_prefix)(struct log_store *store, uint64_t index);
  /* The log is empty and ends at (index, term), which a durable snapshot from elsewhere covers: as record_snapshot with
   * it, too. */
  enum status (*reset)(struct log_store *store, uint64_t index, uint64_t term);
};
struct log_store {
  const struct log_store_ops *ops;
};

/* ---- SnapshotStore: whole snapshots, opaque bytes ---- */

/* Of the last entry that a snapshot covers (seed: SnapshotMeta); index 0: no snapshot. */
struct snapshot_mark {
  uint64_t index;
  uint64_t term;
};

struct snapshot_store;
struct snapshot_writer; /* one that is being written */
struct snapshot_reader; /* one that is open; it stays readable when the store removes it */

/* Calls block, and come from any thread, one at a time per writer and per reader. Errors as in raft/storage/disk.h;
 * `err` may be NULL. */
struct snapshot_store_ops {
  /* Starts one, which nobody sees before publish. */
  enum status (*create)(struct snapshot_store *store, struct snapshot_writer **out, struct error *err);
  enum status (*write)(struct snapshot_store *store, struct snapshot_writer *writer, struct bytes chunk,
                       struct error *err);
  /* Makes it durable, as a whole, under its mark; one of the same mark is replaced. Takes the writer in every case: on
   * an error there is nothing, or, after a power cut, perhaps the whole. STATUS_INVALID for index or term 0, and when
   * there is one of the same index and another term. */
  enum status (*publish)(struct snapshot_store *store, struct snapshot_writer *writer, struct snapshot_mark mark,
                         struct error *err);
  void (*discard)(struct snapshot_store *store, struct snapshot_writer *writer); /* takes; nothing is left */
  /* Takes, without a word to the disk: what is left is removed when the store is opened the next time. */
  void (*abandon)(struct snapshot_store *store, struct snapshot_writer *writer);
  /* The one of the highest index; STATUS_NOT_FOUND when there is none. */
  enum status (*newest)(struct snapshot_store *store, struct snapshot_mark *out, struct error *err);
  /* Returns owned in *out: close it. STATUS_NOT_FOUND. */
  enum status (*open)(struct snapshot_store *store, struct snapshot_mark mark, struct snapshot_reader **out,
                      uint64_t *bytes, struct error *err);
  /* Short only at the end: *got < len. */
  enum status (*read)(struct snapshot_store *store, struct snapshot_reader *reader, uint64_t offset, void *data,
                      size_t len, size_t *got, struct error *err);
  void (*close)(struct snapshot_store *store, struct snapshot_reader *reader);
  /* Removes those with an index below, but never the newest. */
  enum status (*remove_before)(struct snapshot_store *store, uint64_t index, struct error *err);
};
struct snapshot_store {
  const struct snapshot_store_ops *ops;
};

/* The seed's two calls. */
enum status snapshot_save(struct snapshot_store *store, struct snapshot_mark mark, struct bytes data,
                          struct error *err);
/* The newest one; appends to `data`. STATUS_NOT_FOUND when there is none. */
enum status snapshot_load(struct snapshot_store *store, struct snapshot_mark *mark, struct buffer *data,
                          struct error *err);

/* ---- all, over one ordered stream ---- */

struct raft_storage;
struct raft_storage_ops {
  /* Makes everything written so far durable; completes with raftnode_synced(number, last index at this call), in order.
   * `number` grows from call to call. */
  enum status (*sync)(struct raft_storage *storage, uint64_t number);
  /* A durable snapshot covers the entries up to mark.index, which are in the log. STATUS_INVALID when they are not, or
   * the mark is not newer than the one before. */
  enum status (*record_snapshot)(struct raft_storage *storage, struct snapshot_mark mark);
  struct snapshot_mark (*snapshot)(struct raft_storage *storage); /* the newest one recorded */
  /* Bytes of encoded entries (raft/storage/entry.h) that can be appended until the next sync and find room for certain;
   * what is behind that waits until there is room, and nothing is lost. UINT64_MAX: no limit. */
  uint64_t (*room)(struct raft_storage *storage);
  /* How large that gets, with nothing waiting, by what is made ahead of time: who needs no more will see `room` or
   * `full`; who needs more must append, for the room that this needs to be made. UINT64_MAX: no limit. */
  uint64_t (*room_ahead)(struct raft_storage *storage);
  /* There is no more room to be had than that, until somebody frees some. */
  bool (*full)(struct raft_storage *storage);
  /* It failed, perhaps while nobody asked for anything: no sync completes any more. */
  bool (*failed)(struct raft_storage *storage);
};
struct raft_storage {
  const struct raft_storage_ops *ops;
  struct stable_store *stable;
  struct log_store *log;
  struct snapshot_store *snapshots;
};

#endif
