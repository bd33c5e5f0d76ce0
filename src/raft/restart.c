#include "raft/restart.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

enum { READ_BYTES = 1 << 20 };

static const char advice[] =
    "move the data directory away and let the node catch up from the others, or restore a copy";

static enum status read_whole(struct snapshot_store *store, struct snapshot_reader *reader,
                              struct kvsm_restore *restore, struct error *err) {
  uint8_t *piece = xmalloc(READ_BYTES);
  enum status status = STATUS_OK;
  size_t got = READ_BYTES;
  for (uint64_t offset = 0; status == STATUS_OK && got == READ_BYTES; offset += got) {
    status = store->ops->read(store, reader, offset, piece, READ_BYTES, &got, err);
    if (status == STATUS_OK) status = kvsm_restore_feed(restore, bytes_make(piece, got), err);
  }
  free(piece);
  return status;
}

static enum status refuse(struct snapshot_mark mark, const char *why, struct error *err) {
  return error_set(err, STATUS_CORRUPT, "the snapshot of index %" PRIu64 ", term %" PRIu64 ": %s; %s", mark.index,
                   mark.term, why, advice);
}

/* Takes `restore`. */
static enum status finish(struct kvsm_restore *restore, struct snapshot_mark mark, struct kvsm *sm, struct error *err) {
  bool fits = kvsm_restore_complete(restore) && kvsm_restore_index(restore) == mark.index;
  if (fits) return kvsm_restore_finish(restore, sm, err);
  bool complete = kvsm_restore_complete(restore);
  kvsm_restore_abort(restore);
  return refuse(mark, complete ? "its content is of another index" : "it ends too early", err);
}

static enum status restore_state(struct snapshot_store *store, struct snapshot_mark mark, struct kvsm *sm,
                                 struct error *err) {
  struct snapshot_reader *reader;
  uint64_t total;
  enum status status = store->ops->open(store, mark, &reader, &total, err);
  if (status != STATUS_OK) return status;
  struct kvsm_restore *restore = kvsm_restore_begin();
  struct error why = {""};
  status = read_whole(store, reader, restore, &why);
  store->ops->close(store, reader);
  if (status == STATUS_OK) return finish(restore, mark, sm, err);
  kvsm_restore_abort(restore);
  return status == STATUS_CORRUPT ? refuse(mark, why.text, err) : error_set(err, status, "%s", why.text);
}

/* Its entries are a committed prefix of every later leader's log: what the log holds beside them was never committed,
 * unless it holds the last of them as well. The term is at least that of the snapshot: whoever voted in that term, or a
 * later one, has this on its disk. */
static enum status record(struct raft_storage *storage, struct snapshot_mark mark) {
  struct log_store *log = storage->log;
  uint64_t term;
  bool holds = mark.index <= log->ops->last_index(log) && log->ops->term_at(log, mark.index, &term) == STATUS_OK &&
               term == mark.term;
  if (holds) return storage->ops->record_snapshot(storage, mark);
  struct raft_hard_state state;
  storage->stable->ops->load(storage->stable, &state);
  enum status status = STATUS_OK;
  if (state.term < mark.term) {
    state.term = mark.term;
    state.voted_for = RAFT_NODE_NONE;
    status = storage->stable->ops->save(storage->stable, &state);
  }
  return status == STATUS_OK ? log->ops->reset(log, mark.index, mark.term) : status;
}

static enum status check_relied_on(struct raft_storage *storage, struct snapshot_mark newest, struct error *err) {
  struct snapshot_mark relied_on = storage->ops->snapshot(storage);
  bool there = newest.index > relied_on.index || (newest.index == relied_on.index && newest.term == relied_on.term);
  return there ? STATUS_OK : refuse(relied_on, "the log relies on it, but it is not there", err);
}

enum status raft_restart(struct raft_storage *storage, struct kvsm *sm, struct error *err) {
  struct snapshot_store *store = storage->snapshots;
  struct snapshot_mark newest = {0};
  enum status status = store->ops->newest(store, &newest, err);
  if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
  status = check_relied_on(storage, newest, err);
  if (status != STATUS_OK || newest.index == 0) return status;
  status = restore_state(store, newest, sm, err);
  if (status != STATUS_OK) return status;
  bool known = storage->ops->snapshot(storage).index == newest.index;
  status = known ? STATUS_OK : record(storage, newest);
  return status == STATUS_OK ? status : error_set(err, status, "the log takes no record of the newest snapshot");
}
