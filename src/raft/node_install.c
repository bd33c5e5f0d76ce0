/* Receiving a snapshot from a leader (thesis 5.1).
 *
 * The happy path: the core says to take a piece -> a work writes it and feeds it to a state machine under construction
 * -> the leader hears where to go on. With the last piece the work checks the whole, and publishes it -> the core says
 * what becomes of the log -> the state is replaced as a whole, the storage records it, the leader hears that it is done
 * once that is durable.
 *
 * One piece at a time; what comes meanwhile is not answered, and the leader sends it again. Pieces are numbered by
 * their offset, so a doubled, late or early one changes nothing: the answer says where to go on. Another snapshot (a
 * newer one, or of another leader that has none of this index) takes the place of a half received one with
 * whatever piece comes; one of the same index and term goes on, whoever sends it. After a restart it begins anew. A
 * snapshot that contradicts itself, or finds no room, is dropped, and begins anew after a while.
 *
 * A crash after publishing and before the storage's record leaves what raft_restart completes. */
#include "raft/node_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

struct incoming {
  struct raft_work work; /* first */
  struct snapshot_store *store;
  struct snapshot_mark mark;
  uint64_t offset;                /* so many bytes were taken */
  struct snapshot_writer *writer; /* NULL: nothing yet, or published */
  struct kvsm_restore *restore;   /* NULL: nothing yet */
  bool stale;                     /* what was taken is of another snapshot: the work begins anew */
  bool useless;                   /* the work only drops what was taken */
  struct buffer piece;
  bool last;
  bool busy;         /* with the work */
  uint64_t retry_ms; /* after one that failed: nothing is taken before */
  enum status status;
  struct error err;
  struct raft_message answer; /* to the piece at hand */
  bool owed;                  /* it is not answered yet */
  void *token;                /* of it */
};

/* ---- the work ---- */

static void drop(struct incoming *incoming) {
  if (incoming->writer != NULL) incoming->store->ops->discard(incoming->store, incoming->writer);
  if (incoming->restore != NULL) kvsm_restore_abort(incoming->restore);
  incoming->writer = NULL;
  incoming->restore = NULL;
  incoming->stale = false;
}

static enum status begin(struct incoming *incoming) {
  incoming->restore = kvsm_restore_begin();
  return incoming->store->ops->create(incoming->store, &incoming->writer, &incoming->err);
}

static enum status check_whole(struct incoming *incoming) {
  if (!kvsm_restore_complete(incoming->restore))
    return error_set(&incoming->err, STATUS_CORRUPT, "it ends before the trailer is complete");
  if (kvsm_restore_index(incoming->restore) != incoming->mark.index)
    return error_set(&incoming->err, STATUS_CORRUPT, "it is one of index %" PRIu64,
                     kvsm_restore_index(incoming->restore));
  return STATUS_OK;
}

static enum status publish(struct incoming *incoming) {
  struct snapshot_store *store = incoming->store;
  struct snapshot_writer *writer = incoming->writer;
  enum status status = check_whole(incoming);
  if (status != STATUS_OK) return status;
  incoming->writer = NULL; /* taken in every case */
  status = store->ops->publish(store, writer, incoming->mark, &incoming->err);
  if (status == STATUS_OK) status = store->ops->remove_before(store, incoming->mark.index, &incoming->err);
  return status;
}

static enum status take(struct incoming *incoming) {
  struct bytes piece = buffer_view(&incoming->piece);
  enum status status = incoming->restore == NULL ? begin(incoming) : STATUS_OK;
  if (status == STATUS_OK)
    status = incoming->store->ops->write(incoming->store, incoming->writer, piece, &incoming->err);
  if (status == STATUS_OK) status = kvsm_restore_feed(incoming->restore, piece, &incoming->err);
  if (status == STATUS_OK && incoming->last) status = publish(incoming);
  return status;
}

static void run(struct raft_work *work) {
  struct incoming *incoming = (struct incoming *)(void *)work;
  if (incoming->stale) drop(incoming);
  if (incoming->useless) return;
  incoming->status = take(incoming);
  if (incoming->status != STATUS_OK) drop(incoming);
}

/* ---- on the loop ---- */

static void answer(struct raftnode *node, bool whole) {
  struct incoming *incoming = node->incoming;
  struct raft_message *message = &incoming->answer;
  message->term = node->core.hard_state.term;
  message->after_sync = node->core.sync_next - 1;
  message->as.install_reply = (struct raft_install_reply){
      .index = incoming->mark.index, .term = incoming->mark.term, .offset = incoming->offset, .done = whole};
  raftnode_reply(node, message, incoming->token);
  incoming->owed = false;
}

static void failed(struct raftnode *node) {
  struct incoming *incoming = node->incoming;
  LOG_WARN("raft", "snapshot_refused", LOG_U64("index", incoming->mark.index), LOG_STR("why", incoming->err.text));
  incoming->offset = 0;
  incoming->retry_ms = node->now_ms + NODE_SNAPSHOT_RETRY_MS;
  if (incoming->status == STATUS_IO) raftnode_fail(node);
}

/* Whoever committed more in the meantime has no use for what the core would do with it: then it is a snapshot like an
 * own one, if the state machine has come so far; else its state saves the way there. In any case the node knows of it
 * from here on, for the one before is no more. */
static void whole(struct raftnode *node) {
  struct incoming *incoming = node->incoming;
  struct snapshot_mark mark = incoming->mark;
  bool own = mark.index <= node->last_applied && mark.index > node->snapshot.index;
  if (own) raftnode_record_snapshot(node, mark, incoming->offset);
  if (own) raftnode_cut_prefix(node);
  struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT, .index = mark.index, .term = mark.term};
  if (!node->failed) raftnode_step(node, &event, bytes_make(NULL, 0), NULL);
  bool ahead = mark.index > node->last_applied && node->core.commit_index >= mark.index;
  if (ahead && !node->failed) raftnode_install(node, RAFT_INSTALL_KEEP);
  incoming->stale = true; /* what is left of it goes with the next work */
  if (!node->failed) answer(node, node->core.commit_index >= mark.index);
  incoming->offset = 0;
  incoming->mark = (struct snapshot_mark){0};
}

static void done(struct raftnode *node, struct raft_work *work) {
  struct incoming *incoming = (struct incoming *)(void *)work;
  CHECK(incoming == node->incoming && incoming->busy);
  incoming->busy = false;
  if (incoming->useless) {
    incoming->useless = false;
    return;
  }
  bool ok = incoming->status == STATUS_OK;
  if (ok) incoming->offset += incoming->piece.len;
  if (ok) node->figures.snapshot_received_bytes += incoming->piece.len;
  if (!ok && !node->failed) failed(node);
  buffer_clear(&incoming->piece);
  if (ok && incoming->last && !node->failed) whole(node);
  if (incoming->owed) answer(node, false);
}

/* The log follows the core; the state comes at once, whole. */
void raftnode_install(struct raftnode *node, enum raft_install_action action) {
  struct incoming *incoming = node->incoming;
  struct snapshot_mark mark = incoming->mark;
  struct log_store *log = node->storage->log;
  if (action == RAFT_INSTALL_RESET) {
    if (log->ops->reset(log, mark.index, mark.term) != STATUS_OK) raftnode_fail(node);
    raftnode_orphan_from(node, mark.index + 1);
    node->snapshot = mark;
    node->snapshot_bytes = incoming->offset;
  } else {
    raftnode_record_snapshot(node, mark, incoming->offset);
  }
  if (node->failed) return;
  CHECK(kvsm_restore_finish(incoming->restore, node->sm, NULL) == STATUS_OK); /* checked by the work */
  incoming->restore = NULL;
  node->last_applied = mark.index;
  node->applied_bytes = 0;
  node->counts.installed++;
  LOG_INFO("raft", "snapshot_installed", LOG_U64("index", mark.index), LOG_U64("bytes", node->snapshot_bytes));
  raftnode_cut_prefix(node);
  raftnode_skip_writes(node, mark.index);
  if (node->installed != NULL) node->installed(node->installed_context, mark);
}

static void submit(struct raftnode *node, const struct raft_message *message, struct bytes piece) {
  struct incoming *incoming = node->incoming;
  buffer_append_bytes(&incoming->piece, piece);
  incoming->last = message->as.install.done;
  incoming->busy = true;
  raftnode_submit(node, &incoming->work);
}

static struct incoming *incoming_of(struct raftnode *node) {
  if (node->incoming != NULL) return node->incoming;
  struct incoming *incoming = xcalloc(1, sizeof *incoming);
  incoming->work = (struct raft_work){.run = run, .done = done};
  incoming->store = node->storage->snapshots;
  node->incoming = incoming;
  return incoming;
}

void raftnode_take_piece(struct raftnode *node, const struct raft_message *message, struct bytes piece, void *token) {
  const struct raft_install *install = &message->as.install;
  struct incoming *incoming = incoming_of(node);
  if (incoming->busy || atomic_load(&node->stop_work)) {
    if (token != NULL) node->transport->ops->reply(node->transport, token, NULL);
    return;
  }
  bool known = incoming->mark.index == install->index && incoming->mark.term == install->term;
  if (!known) {
    incoming->stale = incoming->restore != NULL || incoming->stale;
    incoming->mark = (struct snapshot_mark){install->index, install->term};
    incoming->offset = 0;
  }
  incoming->answer = (struct raft_message){
      .type = RAFT_INSTALL_REPLY, .from = node->options.cluster->self, .to = message->from, .life = node->core.life};
  incoming->token = token;
  incoming->owed = true;
  if (install->offset == incoming->offset && node->now_ms >= incoming->retry_ms)
    submit(node, message, piece);
  else
    answer(node, false);
}

/* The log has come as far by itself, perhaps for good: state and file of a half received snapshot must not stay. */
void raftnode_drop_incoming(struct raftnode *node) {
  struct incoming *incoming = node->incoming;
  if (incoming == NULL || incoming->busy || atomic_load(&node->stop_work)) return;
  bool holds = incoming->restore != NULL || incoming->writer != NULL;
  if (!holds || incoming->mark.index > node->core.commit_index) return;
  incoming->mark = (struct snapshot_mark){0};
  incoming->offset = 0;
  incoming->stale = true;
  incoming->useless = true;
  incoming->busy = true;
  raftnode_submit(node, &incoming->work);
}

void raftnode_end_incoming(struct raftnode *node) {
  struct incoming *incoming = node->incoming;
  if (incoming == NULL) return;
  if (incoming->owed && incoming->token != NULL) node->transport->ops->reply(node->transport, incoming->token, NULL);
  if (incoming->writer != NULL) incoming->store->ops->abandon(incoming->store, incoming->writer);
  if (incoming->restore != NULL) kvsm_restore_abort(incoming->restore);
  buffer_deinit(&incoming->piece);
  free(incoming);
  node->incoming = NULL;
}
