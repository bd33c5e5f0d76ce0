#include "sim/disk.h"

#include "base/check.h"

static struct sim_disk *of_stable(struct stable_store *store) {
  return (struct sim_disk *)(void *)((char *)store - offsetof(struct sim_disk, stable));
}

static struct sim_disk *of_log(struct log_store *store) {
  return (struct sim_disk *)(void *)((char *)store - offsetof(struct sim_disk, log));
}

static struct log_store *inner_log(struct log_store *store) {
  return of_log(store)->inner->log;
}

/* ---- stable store ---- */

static void stable_load(struct stable_store *store, struct raft_hard_state *out) {
  struct stable_store *inner = of_stable(store)->inner->stable;
  inner->ops->load(inner, out);
}

static enum status stable_save(struct stable_store *store, const struct raft_hard_state *state) {
  struct sim_disk *disk = of_stable(store);
  struct stable_store *inner = disk->inner->stable;
  enum status status = inner->ops->save(inner, state);
  if (status == STATUS_OK) sim_ledger_save(&disk->ledger, state);
  return status;
}

static const struct stable_store_ops stable_ops = {stable_load, stable_save};

/* ---- log store ---- */

static uint64_t log_first_index(struct log_store *store) {
  struct log_store *inner = inner_log(store);
  return inner->ops->first_index(inner);
}

static uint64_t log_last_index(struct log_store *store) {
  struct log_store *inner = inner_log(store);
  return inner->ops->last_index(inner);
}

static enum status log_term_at(struct log_store *store, uint64_t index, uint64_t *term) {
  struct log_store *inner = inner_log(store);
  return inner->ops->term_at(inner, index, term);
}

static enum status log_append(struct log_store *store, const struct log_entry *entries, size_t count) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  enum status status = inner->ops->append(inner, entries, count);
  if (status != STATUS_OK) return status;
  for (size_t i = 0; i < count; i++) {
    sim_ledger_append(&disk->ledger, &entries[i]);
    disk->listener.appended(disk->listener.context, entries[i].index);
  }
  return STATUS_OK;
}

static enum status log_read_range(struct log_store *store, uint64_t lo, uint64_t hi, log_visit *visit, void *context) {
  struct log_store *inner = inner_log(store);
  return inner->ops->read_range(inner, lo, hi, visit, context);
}

static uint64_t log_batch_end(struct log_store *store, uint64_t lo, uint64_t last, uint64_t bytes_max) {
  struct log_store *inner = inner_log(store);
  return inner->ops->batch_end(inner, lo, last, bytes_max);
}

static enum status log_delete_from(struct log_store *store, uint64_t index) {
  struct sim_disk *disk = of_log(store);
  struct log_store *inner = disk->inner->log;
  disk->listener.cutting(disk->listener.context, index);
  enum status status = inner->ops->delete_from(inner, index);
  if (status == STATUS_OK) sim_ledger_cut(&disk->ledger, index);
  return status;
}

static enum status log_truncate_prefix(struct log_store *store, uint64_t index) {
  struct log_store *inner = inner_log(store);
  return inner->ops->truncate_prefix(inner, index);
}

static enum status log_reset(struct log_store *store, uint64_t index, uint64_t term) {
  struct log_store *inner = inner_log(store);
  return inner->ops->reset(inner, index, term);
}

static const struct log_store_ops log_ops = {log_first_index, log_last_index,      log_term_at,
                                             log_append,      log_read_range,      log_batch_end,
                                             log_delete_from, log_truncate_prefix, log_reset};

/* ---- durability ---- */

static enum status disk_sync(struct raft_storage *base, uint64_t number) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->sync(disk->inner, number);
}

static enum status disk_record_snapshot(struct raft_storage *base, struct snapshot_mark mark) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->record_snapshot(disk->inner, mark);
}

static struct snapshot_mark disk_snapshot(struct raft_storage *base) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->snapshot(disk->inner);
}

static uint64_t disk_room(struct raft_storage *base) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->room(disk->inner);
}

static bool disk_full(struct raft_storage *base) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->full(disk->inner);
}

static bool disk_failed(struct raft_storage *base) {
  struct sim_disk *disk = (struct sim_disk *)(void *)base;
  return disk->inner->ops->failed(disk->inner);
}

static const struct raft_storage_ops storage_ops = {disk_sync, disk_record_snapshot, disk_snapshot, disk_room,
                                                    disk_full, disk_failed};

static void on_sync(void *context, uint64_t number) {
  struct sim_disk *disk = context;
  sim_ledger_sync(&disk->ledger, number);
  disk->listener.sync_asked(disk->listener.context);
}

void sim_disk_init(struct sim_disk *disk, const struct sim_disk_listener *listener) {
  disk->stable.ops = &stable_ops;
  disk->log.ops = &log_ops;
  disk->memory = mem_storage_create(on_sync, disk);
  disk->inner = mem_storage_base(disk->memory);
  disk->base = (struct raft_storage){&storage_ops, &disk->stable, &disk->log, disk->inner->snapshots};
  disk->listener = *listener;
  sim_ledger_init(&disk->ledger);
}

void sim_disk_deinit(struct sim_disk *disk) {
  mem_storage_destroy(disk->memory);
  sim_ledger_deinit(&disk->ledger);
}

bool sim_disk_complete(struct sim_disk *disk, uint64_t *number, uint64_t *last_index) {
  if (!mem_storage_complete(disk->memory, number, last_index)) return false;
  CHECK(sim_ledger_synced(&disk->ledger, *number));
  return true;
}

void sim_disk_crash(struct sim_disk *disk) {
  mem_storage_crash(disk->memory);
  disk->failed = false;
  sim_ledger_crash(&disk->ledger);
}

void sim_disk_wipe(struct sim_disk *disk) {
  mem_storage_wipe(disk->memory);
  sim_ledger_wipe(&disk->ledger);
}

void sim_disk_fail(struct sim_disk *disk, bool at_sync) {
  if (at_sync) {
    mem_storage_fail_sync(disk->memory);
  } else {
    mem_storage_fail(disk->memory);
  }
  disk->failed = true;
}

struct comparison {
  const struct sim_chain *durable;
  uint64_t chain;
  bool equal;
};

static void compare_entry(void *context, const struct log_entry *entry) {
  struct comparison *comparison = context;
  struct sim_link link = sim_link_make(comparison->chain, entry->term, entry->command);
  comparison->chain = link.chain;
  if (!sim_chain_holds(comparison->durable, entry->index, link.chain)) comparison->equal = false;
}

bool sim_disk_agrees(struct sim_disk *disk) {
  struct raft_hard_state stored;
  const struct raft_hard_state *durable = &disk->ledger.hard_state;
  stable_load(&disk->stable, &stored);
  if (stored.term != durable->term || stored.voted_for != durable->voted_for || stored.proven != durable->proven) {
    return false;
  }
  struct comparison comparison = {.durable = &disk->ledger.durable, .equal = true};
  uint64_t last = log_last_index(&disk->log);
  if (last != disk->ledger.durable.last) return false;
  if (last == 0) return true;
  CHECK(log_read_range(&disk->log, 1, last, compare_entry, &comparison) == STATUS_OK);
  return comparison.equal;
}
