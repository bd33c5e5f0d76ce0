/* The log is an array of entries; [0] is a dummy for the one before the first, which is gone (index 0: never was).
 * Until a sync covers it, each change keeps what is needed to undo it, in order: a crash undoes from the newest back to
 * the last completed sync. */
#include "raft/storage/memory.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "raft/storage/memory_snapshots.h"

struct stored_entry {
  uint64_t term;
  uint32_t command_bytes;
  uint8_t command[];
};

enum change_kind { CHANGE_APPENDED, CHANGE_DELETED, CHANGE_REBASED, CHANGE_SAVED, CHANGE_SNAPSHOT, CHANGE_SYNC };

/* Entries base.index + 1 and on. */
struct entries {
  struct snapshot_mark base;  /* the last one that is gone */
  struct stored_entry **list; /* owned; [0] is unused */
  uint64_t count;
  uint64_t capacity;
};

struct change {
  struct list link;
  enum change_kind kind;
  uint64_t index;                       /* APPENDED: first; SYNC: last index then */
  uint64_t number;                      /* SYNC */
  struct stored_entry *entry;           /* DELETED: owned */
  struct entries removed;               /* REBASED: owned; with the base as it was */
  struct raft_hard_state before;        /* SAVED */
  struct snapshot_mark snapshot_before; /* SNAPSHOT */
};

struct mem_storage {
  struct raft_storage base; /* first */
  struct stable_store stable;
  struct log_store log;
  pthread_mutex_t mutex;
  void (*on_sync)(void *context, uint64_t number);
  void *on_sync_context;
  struct raft_hard_state hard_state;
  struct entries entries;
  struct snapshot_mark snapshot;
  struct mem_snapshots *snapshots; /* owned */
  struct list changes;             /* oldest first */
  bool failed;
  bool fails_at_sync;
  uint64_t room;
  uint64_t room_ahead;
  bool full;
};

static struct mem_storage *of_stable(struct stable_store *store) {
  return (struct mem_storage *)(void *)((char *)store - offsetof(struct mem_storage, stable));
}

static struct mem_storage *of_log(struct log_store *store) {
  return (struct mem_storage *)(void *)((char *)store - offsetof(struct mem_storage, log));
}

static void lock(struct mem_storage *storage) {
  CHECK(pthread_mutex_lock(&storage->mutex) == 0);
}

static void unlock(struct mem_storage *storage) {
  CHECK(pthread_mutex_unlock(&storage->mutex) == 0);
}

static struct change *record(struct mem_storage *storage, enum change_kind kind, uint64_t index) {
  struct change *change = xcalloc(1, sizeof *change);
  change->kind = kind;
  change->index = index;
  list_push_back(&storage->changes, &change->link);
  return change;
}

static uint64_t last_of(const struct mem_storage *storage) {
  return storage->entries.base.index + storage->entries.count;
}

static struct stored_entry **entry_at(const struct mem_storage *storage, uint64_t index) {
  CHECK(index > storage->entries.base.index && index <= last_of(storage));
  return &storage->entries.list[index - storage->entries.base.index];
}

static void free_entries(struct entries *entries) {
  while (entries->count > 0)
    free(entries->list[entries->count--]);
  free(entries->list);
  *entries = (struct entries){0};
}

static void forget(struct change *change) {
  list_remove(&change->link);
  free(change->entry);
  free_entries(&change->removed);
  free(change);
}

/* ---- stable store ---- */

static void stable_load(struct stable_store *store, struct raft_hard_state *out) {
  struct mem_storage *storage = of_stable(store);
  lock(storage);
  *out = storage->hard_state;
  unlock(storage);
}

static enum status stable_save(struct stable_store *store, const struct raft_hard_state *state) {
  struct mem_storage *storage = of_stable(store);
  lock(storage);
  bool failed = storage->failed;
  if (!failed) {
    record(storage, CHANGE_SAVED, 0)->before = storage->hard_state;
    storage->hard_state = *state;
  }
  unlock(storage);
  return failed ? STATUS_IO : STATUS_OK;
}

static const struct stable_store_ops stable_ops = {stable_load, stable_save};

/* ---- log store ---- */

static uint64_t log_first_index(struct log_store *store) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  uint64_t first = storage->entries.base.index + 1;
  unlock(storage);
  return first;
}

static uint64_t log_last_index(struct log_store *store) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  uint64_t last = last_of(storage);
  unlock(storage);
  return last;
}

static enum status log_term_at(struct log_store *store, uint64_t index, uint64_t *term) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  const struct snapshot_mark *base = &storage->entries.base;
  bool found = index >= 1 && index >= base->index && index <= last_of(storage);
  if (found) *term = index == base->index ? base->term : (*entry_at(storage, index))->term;
  unlock(storage);
  return found ? STATUS_OK : STATUS_NOT_FOUND;
}

static void grow(struct entries *entries, uint64_t count) {
  if (count < entries->capacity) return;
  while (entries->capacity <= count)
    entries->capacity = entries->capacity == 0 ? 64 : entries->capacity * 2;
  entries->list = xrealloc(entries->list, entries->capacity * sizeof(entries->list[0]));
  entries->list[0] = NULL;
}

static void push(struct entries *entries, struct stored_entry *entry) {
  grow(entries, entries->count + 1);
  entries->list[++entries->count] = entry;
}

static struct stored_entry *copy_of(const struct log_entry *entry) {
  CHECK(entry->command.len <= UINT32_MAX);
  struct stored_entry *stored = xmalloc(sizeof *stored + entry->command.len);
  stored->term = entry->term;
  stored->command_bytes = (uint32_t)entry->command.len;
  if (entry->command.len > 0) memcpy(stored->command, entry->command.data, entry->command.len);
  return stored;
}

static enum status append_locked(struct mem_storage *storage, const struct log_entry *entries, size_t count) {
  if (storage->failed) return STATUS_IO;
  for (size_t i = 0; i < count; i++) {
    if (entries[i].index != last_of(storage) + 1 + i) return STATUS_INVALID;
  }
  if (count == 0) return STATUS_OK;
  record(storage, CHANGE_APPENDED, last_of(storage) + 1);
  for (size_t i = 0; i < count; i++)
    push(&storage->entries, copy_of(&entries[i]));
  return STATUS_OK;
}

static enum status log_append(struct log_store *store, const struct log_entry *entries, size_t count) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  enum status status = append_locked(storage, entries, count);
  unlock(storage);
  return status;
}

static enum status log_read_range(struct log_store *store, uint64_t lo, uint64_t hi, log_visit *visit, void *context) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  bool found = lo > storage->entries.base.index && hi <= last_of(storage);
  for (uint64_t i = lo; found && i <= hi; i++) {
    const struct stored_entry *stored = *entry_at(storage, i);
    struct log_entry entry = {i, stored->term, bytes_make(stored->command, stored->command_bytes)};
    visit(context, &entry);
  }
  unlock(storage);
  return found ? STATUS_OK : STATUS_NOT_FOUND;
}

static uint64_t log_batch_end(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  uint64_t hi = lo;
  uint64_t bytes = LOG_ENTRY_HEAD_BYTES + (uint64_t)(*entry_at(storage, lo))->command_bytes;
  while (hi < last) {
    bytes += LOG_ENTRY_HEAD_BYTES + (uint64_t)(*entry_at(storage, hi + 1))->command_bytes;
    if (bytes > bytes_max) break;
    hi++;
  }
  unlock(storage);
  return hi;
}

static enum status delete_locked(struct mem_storage *storage, uint64_t index) {
  if (storage->failed) return STATUS_IO;
  if (index <= storage->entries.base.index) return STATUS_INVALID;
  while (last_of(storage) >= index) {
    struct entries *entries = &storage->entries;
    record(storage, CHANGE_DELETED, 0)->entry = entries->list[entries->count--];
  }
  return STATUS_OK;
}

static enum status log_delete_from(struct log_store *store, uint64_t index) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  enum status status = delete_locked(storage, index);
  unlock(storage);
  return status;
}

/* The log is empty and goes on behind `base`. Returns what it was, which a crash brings back. */
static struct entries *rebase(struct mem_storage *storage, struct snapshot_mark base) {
  struct entries *removed = &record(storage, CHANGE_REBASED, 0)->removed;
  *removed = storage->entries;
  storage->entries = (struct entries){.base = base};
  return removed;
}

static enum status truncate_locked(struct mem_storage *storage, uint64_t index) {
  if (storage->failed) return STATUS_IO;
  if (index > last_of(storage)) return STATUS_NOT_FOUND;
  if (index <= storage->entries.base.index) return STATUS_OK;
  uint64_t count = index - storage->entries.base.index;
  struct entries *removed = rebase(storage, (struct snapshot_mark){index, (*entry_at(storage, index))->term});
  for (uint64_t i = count + 1; i <= removed->count; i++)
    push(&storage->entries, removed->list[i]);
  removed->count = count;
  return STATUS_OK;
}

static enum status log_truncate_prefix(struct log_store *store, uint64_t index) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  enum status status = truncate_locked(storage, index);
  unlock(storage);
  return status;
}

static void set_snapshot(struct mem_storage *storage, struct snapshot_mark mark) {
  record(storage, CHANGE_SNAPSHOT, 0)->snapshot_before = storage->snapshot;
  storage->snapshot = mark;
}

static enum status reset_locked(struct mem_storage *storage, struct snapshot_mark mark) {
  if (storage->failed) return STATUS_IO;
  if (mark.index <= storage->snapshot.index) return STATUS_INVALID;
  (void)rebase(storage, mark);
  set_snapshot(storage, mark);
  return STATUS_OK;
}

static enum status log_reset(struct log_store *store, uint64_t index, uint64_t term) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  enum status status = reset_locked(storage, (struct snapshot_mark){index, term});
  unlock(storage);
  return status;
}

static const struct log_store_ops log_ops = {log_first_index, log_last_index,      log_term_at,
                                             log_append,      log_read_range,      log_batch_end,
                                             log_delete_from, log_truncate_prefix, log_reset};

/* ---- durability ---- */

static enum status storage_sync(struct raft_storage *base, uint64_t number) {
  struct mem_storage *storage = (struct mem_storage *)(void *)base;
  lock(storage);
  bool failed = storage->failed = storage->failed || storage->fails_at_sync;
  if (!failed) record(storage, CHANGE_SYNC, last_of(storage))->number = number;
  unlock(storage);
  if (failed) return STATUS_IO;
  storage->on_sync(storage->on_sync_context, number);
  return STATUS_OK;
}

static enum status record_locked(struct mem_storage *storage, struct snapshot_mark mark) {
  if (storage->failed) return STATUS_IO;
  if (mark.index <= storage->snapshot.index || mark.index > last_of(storage)) return STATUS_INVALID;
  if (mark.index > storage->entries.base.index && (*entry_at(storage, mark.index))->term != mark.term)
    return STATUS_INVALID;
  set_snapshot(storage, mark);
  return STATUS_OK;
}

static enum status storage_record_snapshot(struct raft_storage *base, struct snapshot_mark mark) {
  struct mem_storage *storage = (struct mem_storage *)(void *)base;
  lock(storage);
  enum status status = record_locked(storage, mark);
  unlock(storage);
  return status;
}

static struct snapshot_mark storage_snapshot(struct raft_storage *base) {
  struct mem_storage *storage = (struct mem_storage *)(void *)base;
  lock(storage);
  struct snapshot_mark mark = storage->snapshot;
  unlock(storage);
  return mark;
}

static uint64_t storage_room(struct raft_storage *base) {
  return ((struct mem_storage *)(void *)base)->room;
}

static uint64_t storage_room_ahead(struct raft_storage *base) {
  return ((struct mem_storage *)(void *)base)->room_ahead;
}

static bool storage_full(struct raft_storage *base) {
  return ((struct mem_storage *)(void *)base)->full;
}

void mem_storage_set_room(struct mem_storage *storage, uint64_t bytes, uint64_t ahead, bool full) {
  storage->room = bytes;
  storage->room_ahead = ahead;
  storage->full = full;
}

static bool storage_failed(struct raft_storage *base) {
  struct mem_storage *storage = (struct mem_storage *)(void *)base;
  lock(storage);
  bool failed = storage->failed;
  unlock(storage);
  return failed;
}

static const struct raft_storage_ops storage_ops = {storage_sync,  storage_record_snapshot, storage_snapshot,
                                                    storage_room,  storage_room_ahead,      storage_full,
                                                    storage_failed};

struct mem_storage *mem_storage_create(void (*on_sync)(void *context, uint64_t number), void *context) {
  struct mem_storage *storage = xcalloc(1, sizeof *storage);
  storage->stable.ops = &stable_ops;
  storage->log.ops = &log_ops;
  storage->snapshots = mem_snapshots_create();
  storage->base =
      (struct raft_storage){&storage_ops, &storage->stable, &storage->log, mem_snapshots_base(storage->snapshots)};
  storage->on_sync = on_sync;
  storage->on_sync_context = context;
  storage->hard_state.voted_for = RAFT_NODE_NONE;
  storage->room = UINT64_MAX;
  storage->room_ahead = UINT64_MAX;
  list_init(&storage->changes);
  CHECK(pthread_mutex_init(&storage->mutex, NULL) == 0);
  return storage;
}

void mem_storage_destroy(struct mem_storage *storage) {
  mem_storage_wipe(storage);
  mem_snapshots_destroy(storage->snapshots);
  pthread_mutex_destroy(&storage->mutex);
  free(storage);
}

struct raft_storage *mem_storage_base(struct mem_storage *storage) {
  return &storage->base;
}

static struct change *oldest(struct mem_storage *storage) {
  return list_empty(&storage->changes) ? NULL : (struct change *)storage->changes.next;
}

static bool has_sync(struct mem_storage *storage) {
  for (struct list *link = storage->changes.next; link != &storage->changes; link = link->next) {
    if (((struct change *)link)->kind == CHANGE_SYNC) return true;
  }
  return false;
}

static bool complete_locked(struct mem_storage *storage, uint64_t *number, uint64_t *last_index) {
  if (storage->failed || !has_sync(storage)) return false;
  struct change *change = oldest(storage);
  for (; change->kind != CHANGE_SYNC; change = oldest(storage))
    forget(change);
  *number = change->number;
  *last_index = change->index;
  forget(change);
  return true;
}

bool mem_storage_complete(struct mem_storage *storage, uint64_t *number, uint64_t *last_index) {
  lock(storage);
  bool completed = complete_locked(storage, number, last_index);
  unlock(storage);
  return completed;
}

/* What went, with what is behind it now. */
static void undo_rebase(struct mem_storage *storage, struct entries *removed) {
  struct entries kept = storage->entries;
  storage->entries = *removed;
  *removed = (struct entries){0};
  for (uint64_t i = 1; i <= kept.count; i++)
    push(&storage->entries, kept.list[i]);
  kept.count = 0;
  free_entries(&kept);
}

static void undo(struct mem_storage *storage, struct change *change) {
  switch (change->kind) {
  case CHANGE_APPENDED:
    while (last_of(storage) >= change->index)
      free(storage->entries.list[storage->entries.count--]);
    break;
  case CHANGE_DELETED:
    push(&storage->entries, change->entry);
    change->entry = NULL;
    break;
  case CHANGE_REBASED:
    undo_rebase(storage, &change->removed);
    break;
  case CHANGE_SAVED:
    storage->hard_state = change->before;
    break;
  case CHANGE_SNAPSHOT:
    storage->snapshot = change->snapshot_before;
    break;
  case CHANGE_SYNC:
    break;
  }
  forget(change);
}

void mem_storage_crash(struct mem_storage *storage) {
  lock(storage);
  while (!list_empty(&storage->changes))
    undo(storage, (struct change *)storage->changes.prev);
  storage->failed = false;
  storage->fails_at_sync = false;
  unlock(storage);
}

void mem_storage_wipe(struct mem_storage *storage) {
  lock(storage);
  while (!list_empty(&storage->changes))
    forget(oldest(storage));
  free_entries(&storage->entries);
  storage->snapshot = (struct snapshot_mark){0};
  mem_snapshots_wipe(storage->snapshots);
  storage->hard_state = (struct raft_hard_state){.voted_for = RAFT_NODE_NONE};
  unlock(storage);
}

void mem_storage_fail(struct mem_storage *storage) {
  lock(storage);
  storage->failed = true;
  unlock(storage);
}

void mem_storage_fail_sync(struct mem_storage *storage) {
  lock(storage);
  storage->fails_at_sync = true;
  unlock(storage);
}
