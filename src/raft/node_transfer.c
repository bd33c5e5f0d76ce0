/* Sending a snapshot to members who lack more than the log has (thesis 5.1): the core says who they are.
 *
 * The happy path: a work reads a piece -> it leaves -> the answer says where to go on -> the next one, until the whole
 * is installed there; then the core goes on with the log. One piece at a time per member: so the log, heartbeats and
 * clients go on beside it, and memory is bounded by a piece.
 *
 * A piece without an answer is sent again; an answer that brings it no further, later. It is the snapshot that was the
 * newest one when the transfer began, although there may be newer ones meanwhile: the reader keeps it. */
#include "raft/node_state.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

enum transfer_state {
  TRANSFER_READING, /* with the work */
  TRANSFER_SENT,    /* the piece is under way, or is to be sent again */
  TRANSFER_WAITING  /* for resend_ms, then the piece is read */
};

struct outgoing {
  struct raft_work work; /* first */
  struct snapshot_store *store;
  struct snapshot_mark mark;
  struct snapshot_reader *reader; /* NULL: not open yet */
  uint64_t bytes;                 /* of the whole */
  uint64_t offset;                /* of the piece */
  uint8_t *piece;                 /* owned; piece_max bytes */
  size_t piece_bytes;
  size_t piece_max;
  enum status status;
  struct error err;
  enum transfer_state state;
  uint64_t resend_ms;
  uint8_t to;
};

/* ---- the work ---- */

static void run(struct raft_work *work) {
  struct outgoing *outgoing = (struct outgoing *)(void *)work;
  struct snapshot_store *store = outgoing->store;
  outgoing->status = STATUS_OK;
  if (outgoing->reader == NULL)
    outgoing->status = store->ops->open(store, outgoing->mark, &outgoing->reader, &outgoing->bytes, &outgoing->err);
  if (outgoing->status != STATUS_OK) return;
  outgoing->status = store->ops->read(store, outgoing->reader, outgoing->offset, outgoing->piece, outgoing->piece_max,
                                      &outgoing->piece_bytes, &outgoing->err);
}

/* ---- on the loop ---- */

static void end(struct raftnode *node, uint8_t to) {
  struct outgoing *outgoing = node->outgoing[to];
  if (outgoing == NULL) return;
  if (outgoing->reader != NULL) outgoing->store->ops->close(outgoing->store, outgoing->reader);
  free(outgoing->piece);
  free(outgoing);
  node->outgoing[to] = NULL;
}

void raftnode_end_outgoing(struct raftnode *node) {
  for (uint8_t to = 0; to < node->options.cluster->members_count; to++)
    end(node, to);
}

/* Its term must be durable before anybody hears of it. */
static bool is_wanted(const struct raftnode *node, uint8_t to) {
  const struct raft *core = &node->core;
  return !node->failed && core->role == RAFT_LEADER && core->peers[to].state == RAFT_PEER_SNAPSHOT &&
         core->term_sync <= core->synced && !atomic_load(&node->stop_work);
}

static void read_piece(struct raftnode *node, struct outgoing *outgoing, uint64_t offset) {
  outgoing->offset = offset;
  outgoing->state = TRANSFER_READING;
  raftnode_submit(node, &outgoing->work);
}

static void send_piece(struct raftnode *node, struct outgoing *outgoing) {
  struct raft_message message = {.type = RAFT_INSTALL,
                                 .from = node->options.cluster->self,
                                 .to = outgoing->to,
                                 .term = node->core.hard_state.term,
                                 .life = node->core.life};
  message.as.install = (struct raft_install){.index = outgoing->mark.index,
                                             .term = outgoing->mark.term,
                                             .offset = outgoing->offset,
                                             .done = outgoing->offset + outgoing->piece_bytes == outgoing->bytes};
  outgoing->state = TRANSFER_SENT;
  outgoing->resend_ms = node->now_ms + node->options.election_max_ms;
  node->figures.snapshot_sent_bytes += outgoing->piece_bytes;
  node->transport->ops->send(node->transport, &message, bytes_make(outgoing->piece, outgoing->piece_bytes));
}

/* A snapshot that went in the meantime has a successor. */
static void give_up(struct raftnode *node, struct outgoing *outgoing) {
  enum status status = outgoing->status;
  if (status != STATUS_NOT_FOUND) {
    LOG_ERROR("raft", "snapshot_unreadable", LOG_U64("index", outgoing->mark.index),
              LOG_STR("why", outgoing->err.text));
    raftnode_fail(node);
  }
  end(node, outgoing->to);
}

static void done(struct raftnode *node, struct raft_work *work) {
  struct outgoing *outgoing = (struct outgoing *)(void *)work;
  CHECK(node->outgoing[outgoing->to] == outgoing && outgoing->state == TRANSFER_READING);
  if (!is_wanted(node, outgoing->to)) {
    end(node, outgoing->to);
  } else if (outgoing->status != STATUS_OK) {
    give_up(node, outgoing);
  } else {
    send_piece(node, outgoing);
  }
}

static void begin(struct raftnode *node, uint8_t to) {
  struct outgoing *outgoing = xcalloc(1, sizeof *outgoing);
  outgoing->work = (struct raft_work){.run = run, .done = done};
  outgoing->store = node->storage->snapshots;
  outgoing->mark = node->snapshot;
  outgoing->to = to;
  outgoing->piece_max = node->options.install_bytes;
  outgoing->piece = xmalloc(outgoing->piece_max);
  node->outgoing[to] = outgoing;
  LOG_INFO("raft", "snapshot_sending", LOG_STR("to", node->options.cluster->members[to].id),
           LOG_U64("index", outgoing->mark.index));
  read_piece(node, outgoing, 0);
}

static void go_on(struct raftnode *node, struct outgoing *outgoing) {
  if (outgoing->state == TRANSFER_READING || node->now_ms < outgoing->resend_ms) return;
  if (outgoing->state == TRANSFER_SENT)
    send_piece(node, outgoing);
  else
    read_piece(node, outgoing, outgoing->offset);
}

void raftnode_send_snapshots(struct raftnode *node) {
  for (uint8_t to = 0; to < node->options.cluster->members_count; to++) {
    struct outgoing *outgoing = node->outgoing[to];
    if (is_wanted(node, to)) {
      if (outgoing == NULL)
        begin(node, to);
      else
        go_on(node, outgoing);
    } else if (outgoing != NULL && outgoing->state != TRANSFER_READING) {
      end(node, to);
    }
  }
}

/* After the core has seen it. A late answer says something true, too: where the member stood. */
void raftnode_receive_install_reply(struct raftnode *node, const struct raft_message *message) {
  const struct raft_install_reply *reply = &message->as.install_reply;
  struct outgoing *outgoing = node->outgoing[message->from];
  if (outgoing == NULL || outgoing->state != TRANSFER_SENT) return;
  if (reply->index != outgoing->mark.index || reply->term != outgoing->mark.term) return;
  if (reply->done) {
    node->counts.sent++;
    end(node, message->from);
    return;
  }
  if (reply->offset >= outgoing->bytes) return; /* not about this transfer, or nonsense */
  uint64_t behind = outgoing->offset + outgoing->piece_bytes;
  node->counts.resumed += reply->offset > behind;
  if (reply->offset >= behind) {
    read_piece(node, outgoing, reply->offset);
    return;
  }
  outgoing->offset = reply->offset;
  outgoing->state = TRANSFER_WAITING;
  outgoing->resend_ms = node->now_ms + node->options.heartbeat_ms;
}

void raftnode_transfer_link_down(struct raftnode *node, uint8_t peer) {
  struct outgoing *outgoing = node->outgoing[peer];
  if (outgoing == NULL || outgoing->state != TRANSFER_SENT) return;
  outgoing->resend_ms = node->now_ms + node->options.heartbeat_ms;
  bool outdated = outgoing->offset == 0 && outgoing->mark.index < node->snapshot.index;
  if (outdated) end(node, peer); /* it has not begun: the newer one will do */
}

uint64_t raftnode_transfers_deadline_ms(const struct raftnode *node) {
  uint64_t deadline_ms = UINT64_MAX;
  for (uint8_t to = 0; to < node->options.cluster->members_count; to++) {
    const struct outgoing *outgoing = node->outgoing[to];
    bool waits = outgoing != NULL && outgoing->state != TRANSFER_READING;
    if (waits && outgoing->resend_ms < deadline_ms) deadline_ms = outgoing->resend_ms;
  }
  return deadline_ms;
}
