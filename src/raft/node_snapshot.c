/* Taking snapshots, and cutting the log behind them.
 *
 * The happy path: enough was applied since the last one -> the state machine gives an immutable view (O(1)) -> a work
 * writes and publishes it while the node goes on -> the storage records it, and only then the log's prefix goes, but
 * for a tail: a member that was away for a moment finds what it lacks in the log.
 *
 * A crash after publishing leaves a snapshot that the storage does not know: raft_restart (restart.h) finds it. No room
 * for it: it is given up, and tried again later. Any other failure of the disk is the node's end, as with the log. */
#include "raft/node_state.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

struct taking {
  struct raft_work work; /* first */
  struct snapshot_store *store;
  atomic_bool *stop;
  struct kvsm_snapshot *snapshot; /* given back on the loop */
  struct snapshot_mark mark;
  uint64_t start_us;
  uint64_t log_bytes; /* of the entries applied before it, since the one before */
  struct snapshot_writer *writer;
  uint64_t bytes;
  enum status status;
  struct error err;
};

void raftnode_submit(struct raftnode *node, struct raft_work *work) {
  node->options.worker.submit(node->options.worker.context, work);
}

/* ---- the work ---- */

static enum status write_chunk(void *context, struct bytes chunk) {
  struct taking *taking = context;
  if (atomic_load(taking->stop)) return error_set(&taking->err, STATUS_CLOSED, "the node stops");
  taking->bytes += chunk.len;
  return taking->store->ops->write(taking->store, taking->writer, chunk, &taking->err);
}

static enum status write_snapshot(struct taking *taking) {
  struct snapshot_store *store = taking->store;
  enum status status = store->ops->create(store, &taking->writer, &taking->err);
  if (status != STATUS_OK) return status;
  status = kvsm_snapshot_write(taking->snapshot, write_chunk, taking);
  if (status != STATUS_OK) {
    store->ops->discard(store, taking->writer);
    return status;
  }
  status = store->ops->publish(store, taking->writer, taking->mark, &taking->err);
  if (status == STATUS_OK) status = store->ops->remove_before(store, taking->mark.index, &taking->err);
  return status;
}

static void run(struct raft_work *work) {
  struct taking *taking = (struct taking *)(void *)work;
  taking->status = write_snapshot(taking);
}

/* ---- on the loop ---- */

static void end_taking(struct raftnode *node) {
  kvsm_snapshot_release(node->sm, node->taking->snapshot);
  free(node->taking);
  node->taking = NULL;
}

void raftnode_end_taking(struct raftnode *node) {
  if (node->taking != NULL) end_taking(node);
}

void raftnode_cut_prefix(struct raftnode *node) {
  struct log_store *log = node->storage->log;
  uint64_t tail = node->options.snapshot_tail;
  uint64_t index = node->snapshot.index > tail ? node->snapshot.index - tail : 0;
  if (node->failed || index < log->ops->first_index(log)) return;
  if (log->ops->truncate_prefix(log, index) != STATUS_OK) raftnode_fail(node);
  node->counts.cut++;
}

void raftnode_record_snapshot(struct raftnode *node, struct snapshot_mark mark, uint64_t bytes) {
  if (node->storage->ops->record_snapshot(node->storage, mark) != STATUS_OK) {
    raftnode_fail(node);
    return;
  }
  node->snapshot = mark;
  node->snapshot_bytes = bytes;
}

static void give_up(struct raftnode *node, const struct taking *taking) {
  if (taking->status == STATUS_CLOSED) return;
  LOG_WARN("raft", "snapshot_failed", LOG_U64("index", taking->mark.index), LOG_STR("why", taking->err.text));
  node->snapshot_retry_ms = node->now_ms + NODE_SNAPSHOT_RETRY_MS;
  if (taking->status != STATUS_DISK_FULL) raftnode_fail(node);
}

/* Meanwhile a newer one may have come from a leader. */
static void done(struct raftnode *node, struct raft_work *work) {
  struct taking *taking = (struct taking *)(void *)work;
  if (node->failed) {
    /* nothing is written any more */
  } else if (taking->status != STATUS_OK) {
    give_up(node, taking);
  } else if (taking->mark.index > node->snapshot.index) {
    LOG_INFO("raft", "snapshot_taken", LOG_U64("index", taking->mark.index), LOG_U64("bytes", taking->bytes));
    raftnode_add_duration(node, &node->figures.snapshot, taking->start_us);
    raftnode_record_snapshot(node, taking->mark, taking->bytes);
    node->applied_bytes -= taking->log_bytes;
    node->counts.taken++;
    raftnode_cut_prefix(node);
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT, .index = taking->mark.index, .term = taking->mark.term};
    if (!node->failed) raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  }
  end_taking(node);
}

enum status raftnode_create_snapshot(struct raftnode *node, uint64_t now_ms) {
  node->now_ms = now_ms;
  if (node->failed || atomic_load(&node->stop_work)) return STATUS_IO;
  if (node->taking != NULL) return STATUS_OVERLOADED;
  if (node->last_applied <= node->snapshot.index) return STATUS_INVALID;
  struct taking *taking = xcalloc(1, sizeof *taking);
  struct log_store *log = node->storage->log;
  taking->work = (struct raft_work){.run = run, .done = done};
  taking->store = node->storage->snapshots;
  taking->stop = &node->stop_work;
  taking->mark.index = node->last_applied;
  CHECK(log->ops->term_at(log, node->last_applied, &taking->mark.term) == STATUS_OK);
  taking->log_bytes = node->applied_bytes;
  taking->start_us = raftnode_clock_us(node);
  taking->snapshot = kvsm_snapshot_take(node->sm);
  CHECK(kvsm_snapshot_index(taking->snapshot) == taking->mark.index);
  node->taking = taking;
  raftnode_submit(node, &taking->work);
  return STATUS_OK;
}

/* The log may grow as large as the snapshot that it leads to: so the work of writing snapshots is at most that of
 * writing the log, however large the state is. */
void raftnode_take_snapshots(struct raftnode *node) {
  uint64_t threshold = node->options.snapshot_threshold;
  if (threshold == 0 || node->taking != NULL || node->now_ms < node->snapshot_retry_ms) return;
  if (node->last_applied - node->snapshot.index < threshold || node->applied_bytes < node->snapshot_bytes) return;
  (void)raftnode_create_snapshot(node, node->now_ms);
}

/* ---- the start ---- */

/* 0 when it cannot be told: then the next snapshot may come early. */
static uint64_t bytes_of_newest(struct raftnode *node) {
  struct snapshot_store *store = node->storage->snapshots;
  struct snapshot_reader *reader;
  uint64_t bytes;
  if (store->ops->open(store, node->snapshot, &reader, &bytes, NULL) != STATUS_OK) return 0;
  store->ops->close(store, reader);
  return bytes;
}

void raftnode_start_snapshots(struct raftnode *node) {
  struct kvsm_stats stats;
  kvsm_stats(node->sm, &stats);
  node->snapshot = node->storage->ops->snapshot(node->storage);
  CHECK(stats.last_applied == node->snapshot.index);
  node->last_applied = stats.last_applied;
  if (node->snapshot.index == 0) return;
  node->snapshot_bytes = bytes_of_newest(node);
  raftnode_cut_prefix(node);
}

/* ---- works ---- */

void raftnode_stop_work(struct raftnode *node) {
  atomic_store(&node->stop_work, true);
}

void raftnode_work_done(struct raftnode *node, struct raft_work *work) {
  list_push_back(&node->works_done, &work->link);
  node->touched = true;
}

void raftnode_finish_works(struct raftnode *node) {
  while (!list_empty(&node->works_done)) {
    struct raft_work *work = (struct raft_work *)(void *)list_pop_front(&node->works_done);
    work->done(node, work);
  }
}

void raftnode_on_installed(struct raftnode *node, raftnode_installed *installed, void *context) {
  node->installed = installed;
  node->installed_context = context;
}

void raftnode_snapshot_counts(const struct raftnode *node, struct raftnode_snapshot_counts *out) {
  *out = node->counts;
}

uint64_t raftnode_snapshot_bytes(const struct raftnode *node) {
  return node->snapshot_bytes;
}
