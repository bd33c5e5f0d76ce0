/* The log is an array of encoded entries with index 0 as a dummy. Until a sync covers it, each change keeps what is
 * needed to undo it, in order: a crash undoes from the newest back to the last completed sync. */
#include "raft/storage/memory.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"

struct stored_entry {
  uint64_t term;
  uint32_t command_bytes;
  uint8_t command[];
};

enum change_kind { CHANGE_APPENDED, CHANGE_DELETED, CHANGE_SAVED, CHANGE_SYNC };

struct change {
  struct list link;
  enum change_kind kind;
  uint64_t index;                /* APPENDED: first; DELETED: the entry's; SYNC: last index then */
  uint64_t number;               /* SYNC */
  struct stored_entry *entry;    /* DELETED: owned */
  struct raft_hard_state before; /* SAVED */
};

struct mem_storage {
  struct raft_storage base; /* first */
  struct stable_store stable;
  struct log_store log;
  pthread_mutex_t mutex;
  void (*on_sync)(void *context, uint64_t number);
  void *on_sync_context;
  struct raft_hard_state hard_state;
  struct stored_entry **entries; /* [0] is NULL: "no entry" */
  uint64_t count;                /* last index */
  uint64_t capacity;
  struct list changes; /* oldest first */
  bool failed;
  bool fails_at_sync;
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

static void forget(struct change *change) {
  list_remove(&change->link);
  free(change->entry);
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
  (void)store;
  return 1;
}

static uint64_t log_last_index(struct log_store *store) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  uint64_t last = storage->count;
  unlock(storage);
  return last;
}

static enum status log_term_at(struct log_store *store, uint64_t index, uint64_t *term) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  bool found = index >= 1 && index <= storage->count;
  if (found) *term = storage->entries[index]->term;
  unlock(storage);
  return found ? STATUS_OK : STATUS_NOT_FOUND;
}

static void grow(struct mem_storage *storage, uint64_t count) {
  if (count < storage->capacity) return;
  while (storage->capacity <= count)
    storage->capacity = storage->capacity == 0 ? 64 : storage->capacity * 2;
  storage->entries = xrealloc(storage->entries, storage->capacity * sizeof(storage->entries[0]));
  storage->entries[0] = NULL;
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
    if (entries[i].index != storage->count + 1 + i) return STATUS_INVALID;
  }
  if (count == 0) return STATUS_OK;
  record(storage, CHANGE_APPENDED, storage->count + 1);
  grow(storage, storage->count + count);
  for (size_t i = 0; i < count; i++)
    storage->entries[++storage->count] = copy_of(&entries[i]);
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
  bool found = lo >= 1 && hi <= storage->count;
  for (uint64_t i = lo; found && i <= hi; i++) {
    const struct stored_entry *stored = storage->entries[i];
    struct log_entry entry = {i, stored->term, bytes_make(stored->command, stored->command_bytes)};
    visit(context, &entry);
  }
  unlock(storage);
  return found ? STATUS_OK : STATUS_NOT_FOUND;
}

static uint64_t log_batch_end(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  CHECK(lo >= 1 && last <= storage->count);
  uint64_t hi = lo;
  uint64_t bytes = LOG_ENTRY_HEAD_BYTES + (uint64_t)storage->entries[lo]->command_bytes;
  while (hi < last) {
    bytes += LOG_ENTRY_HEAD_BYTES + (uint64_t)storage->entries[hi + 1]->command_bytes;
    if (bytes > bytes_max) break;
    hi++;
  }
  unlock(storage);
  return hi;
}

static enum status log_delete_from(struct log_store *store, uint64_t index) {
  struct mem_storage *storage = of_log(store);
  lock(storage);
  bool failed = storage->failed;
  CHECK(index >= 1);
  while (!failed && storage->count >= index) {
    record(storage, CHANGE_DELETED, storage->count)->entry = storage->entries[storage->count];
    storage->count--;
  }
  unlock(storage);
  return failed ? STATUS_IO : STATUS_OK;
}

static const struct log_store_ops log_ops = {log_first_index, log_last_index, log_term_at,    log_append,
                                             log_read_range,  log_batch_end,  log_delete_from};

/* ---- durability ---- */

static enum status storage_sync(struct raft_storage *base, uint64_t number) {
  struct mem_storage *storage = (struct mem_storage *)(void *)base;
  lock(storage);
  bool failed = storage->failed = storage->failed || storage->fails_at_sync;
  if (!failed) record(storage, CHANGE_SYNC, storage->count)->number = number;
  unlock(storage);
  if (failed) return STATUS_IO;
  storage->on_sync(storage->on_sync_context, number);
  return STATUS_OK;
}

static const struct raft_storage_ops storage_ops = {storage_sync};

struct mem_storage *mem_storage_create(void (*on_sync)(void *context, uint64_t number), void *context) {
  struct mem_storage *storage = xcalloc(1, sizeof *storage);
  storage->stable.ops = &stable_ops;
  storage->log.ops = &log_ops;
  storage->base = (struct raft_storage){&storage_ops, &storage->stable, &storage->log};
  storage->on_sync = on_sync;
  storage->on_sync_context = context;
  storage->hard_state.voted_for = RAFT_NODE_NONE;
  list_init(&storage->changes);
  CHECK(pthread_mutex_init(&storage->mutex, NULL) == 0);
  return storage;
}

void mem_storage_destroy(struct mem_storage *storage) {
  mem_storage_wipe(storage);
  free(storage->entries);
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

static void undo(struct mem_storage *storage, struct change *change) {
  switch (change->kind) {
  case CHANGE_APPENDED:
    while (storage->count >= change->index)
      free(storage->entries[storage->count--]);
    break;
  case CHANGE_DELETED:
    storage->entries[++storage->count] = change->entry;
    change->entry = NULL;
    break;
  case CHANGE_SAVED:
    storage->hard_state = change->before;
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
  while (storage->count > 0)
    free(storage->entries[storage->count--]);
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
