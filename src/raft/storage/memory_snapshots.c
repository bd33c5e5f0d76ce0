/* One at most is kept; it is shared by the store and its readers, and goes with the last of them. */
#include "raft/storage/memory_snapshots.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

struct snapshot_reader { /* the snapshot itself */
  uint64_t holders;
  struct snapshot_mark mark;
  struct buffer data;
};

struct snapshot_writer {
  struct buffer data;
};

struct mem_snapshots {
  struct snapshot_store base; /* first */
  pthread_mutex_t mutex;
  struct snapshot_reader *newest; /* NULL: none */
};

static struct mem_snapshots *snapshots_of(struct snapshot_store *store) {
  return (struct mem_snapshots *)(void *)store;
}

static void lock(struct mem_snapshots *snapshots) {
  CHECK(pthread_mutex_lock(&snapshots->mutex) == 0);
}

static void unlock(struct mem_snapshots *snapshots) {
  CHECK(pthread_mutex_unlock(&snapshots->mutex) == 0);
}

static void let_go(struct snapshot_reader *snapshot) {
  if (snapshot == NULL || --snapshot->holders > 0) return;
  buffer_deinit(&snapshot->data);
  free(snapshot);
}

/* ---- writing ---- */

static enum status create(struct snapshot_store *store, struct snapshot_writer **out, struct error *err) {
  (void)store;
  (void)err;
  *out = xcalloc(1, sizeof **out);
  return STATUS_OK;
}

static enum status write(struct snapshot_store *store, struct snapshot_writer *writer, struct bytes chunk,
                         struct error *err) {
  (void)store;
  (void)err;
  buffer_append_bytes(&writer->data, chunk);
  return STATUS_OK;
}

static enum status check_mark(const struct snapshot_reader *newest, struct snapshot_mark mark, struct error *err) {
  if (mark.index == 0 || mark.term == 0)
    return error_set(err, STATUS_INVALID, "a snapshot covers an entry of an index and a term");
  bool contradicts = newest != NULL && newest->mark.index == mark.index && newest->mark.term != mark.term;
  return contradicts ? error_set(err, STATUS_INVALID, "there is a snapshot of the same index and another term")
                     : STATUS_OK;
}

/* An older one than what is there is not needed by anybody. */
static enum status publish(struct snapshot_store *store, struct snapshot_writer *writer, struct snapshot_mark mark,
                           struct error *err) {
  struct mem_snapshots *snapshots = snapshots_of(store);
  struct snapshot_reader *snapshot = xcalloc(1, sizeof *snapshot);
  *snapshot = (struct snapshot_reader){.holders = 1, .mark = mark, .data = writer->data};
  free(writer);
  lock(snapshots);
  struct snapshot_reader *goes = snapshot;
  enum status status = check_mark(snapshots->newest, mark, err);
  if (status == STATUS_OK && (snapshots->newest == NULL || mark.index >= snapshots->newest->mark.index)) {
    goes = snapshots->newest;
    snapshots->newest = snapshot;
  }
  let_go(goes);
  unlock(snapshots);
  return status;
}

static void discard(struct snapshot_store *store, struct snapshot_writer *writer) {
  (void)store;
  buffer_deinit(&writer->data);
  free(writer);
}

/* ---- reading ---- */

static enum status newest(struct snapshot_store *store, struct snapshot_mark *out, struct error *err) {
  struct mem_snapshots *snapshots = snapshots_of(store);
  lock(snapshots);
  bool found = snapshots->newest != NULL;
  if (found) *out = snapshots->newest->mark;
  unlock(snapshots);
  return found ? STATUS_OK : error_set(err, STATUS_NOT_FOUND, "there is no snapshot");
}

static enum status open(struct snapshot_store *store, struct snapshot_mark mark, struct snapshot_reader **out,
                        uint64_t *bytes, struct error *err) {
  struct mem_snapshots *snapshots = snapshots_of(store);
  lock(snapshots);
  struct snapshot_reader *snapshot = snapshots->newest;
  bool found = snapshot != NULL && snapshot->mark.index == mark.index && snapshot->mark.term == mark.term;
  if (found) {
    snapshot->holders++;
    *out = snapshot;
    *bytes = snapshot->data.len;
  }
  unlock(snapshots);
  return found ? STATUS_OK : error_set(err, STATUS_NOT_FOUND, "there is no such snapshot");
}

static enum status read(struct snapshot_store *store, struct snapshot_reader *reader, uint64_t offset, void *data,
                        size_t len, size_t *got, struct error *err) {
  (void)store;
  (void)err;
  uint64_t left = offset < reader->data.len ? reader->data.len - offset : 0;
  *got = left < len ? (size_t)left : len;
  if (*got > 0) memcpy(data, reader->data.data + offset, *got);
  return STATUS_OK;
}

static void close(struct snapshot_store *store, struct snapshot_reader *reader) {
  lock(snapshots_of(store));
  let_go(reader);
  unlock(snapshots_of(store));
}

/* There is only the newest. */
static enum status remove_before(struct snapshot_store *store, uint64_t index, struct error *err) {
  (void)store;
  (void)index;
  (void)err;
  return STATUS_OK;
}

static const struct snapshot_store_ops ops = {create, write, publish, discard, .abandon = discard,
                                              newest, open,  read,    close,   remove_before};

/* ---- life ---- */

struct mem_snapshots *mem_snapshots_create(void) {
  struct mem_snapshots *snapshots = xcalloc(1, sizeof *snapshots);
  snapshots->base.ops = &ops;
  CHECK(pthread_mutex_init(&snapshots->mutex, NULL) == 0);
  return snapshots;
}

void mem_snapshots_wipe(struct mem_snapshots *snapshots) {
  lock(snapshots);
  let_go(snapshots->newest);
  snapshots->newest = NULL;
  unlock(snapshots);
}

void mem_snapshots_destroy(struct mem_snapshots *snapshots) {
  mem_snapshots_wipe(snapshots);
  CHECK(pthread_mutex_destroy(&snapshots->mutex) == 0);
  free(snapshots);
}

struct snapshot_store *mem_snapshots_base(struct mem_snapshots *snapshots) {
  return &snapshots->base;
}
