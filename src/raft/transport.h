/* What the Raft node needs of the network. It belongs to the node; implementations: transporthttp (links and routes)
 * and the simulated network.
 *
 * Messages may be lost, late, doubled or reordered: the node copes. The other way, the transport calls raftnode_receive
 * and raftnode_peer_down (raft/node.h). The loop's thread. */
#ifndef KV_RAFT_TRANSPORT_H
#define KV_RAFT_TRANSPORT_H

#include "base/bytes.h"
#include "raft/core/message.h"

struct raft_transport;
struct raft_transport_ops {
  /* A request (RAFT_APPEND, RAFT_VOTE, RAFT_TIMEOUT_NOW, RAFT_READ, RAFT_INSTALL) to message->to. `entries`: of
   * RAFT_APPEND, message->as.append.entries_count of them, each as raft/storage/entry.h says; of RAFT_INSTALL, the
   * bytes of the snapshot at as.install.offset, at most RAFT_PIECE_BYTES_MAX (types/limits.h) and none only with the
   * last. Borrowed until the call returns. Never blocks; may drop. */
  void (*send)(struct raft_transport *transport, const struct raft_message *message, struct bytes entries);
  /* The answer to the request that came in with `token`; each token is answered exactly once. NULL: there is nothing to
   * say. */
  void (*reply)(struct raft_transport *transport, void *token, const struct raft_message *message);
};

struct raft_transport {
  const struct raft_transport_ops *ops;
};

#endif
