/* The leader: replication with a bounded pipeline per peer, commitment, read rounds, CheckQuorum, transfer.
 *
 * A peer starts in PROBE: one message at a time until the logs are known to agree; then REPLICATE: up to inflight_max
 * messages with entries under way. A refusal, or a broken link, leads back to PROBE. When what it needs has been cut
 * from the log, it is in SNAPSHOT, and hears heartbeats only, until it holds what a snapshot covers. A lost message
 * shows as a refusal of what follows it, at the latest the next heartbeat; a lost acknowledgement is made up for by the
 * next one. */
#include "raft/core/internal.h"

#include <string.h>

#include "base/check.h"

/* A leader that was elected with an empty log founds the cluster, and nobody is proven yet. It counts the lives that it
 * heard of before it took office. What an earlier life of that peer may have decided, with others, lies before the
 * election, and whoever elected this leader had nothing then: the peer and they are a majority without memory, which is
 * beyond what any rule can make up for. What comes later that life remembers: it would not answer a leader of an older
 * term. A life that is heard of only now, be it by a vote that was asked for before, may follow one that has decided
 * something in the meantime, in a later term. */
static bool counts_as_proven(const struct raft *raft, uint8_t node) {
  const struct raft_peer *peer = &raft->peers[node];
  bool founding = raft->term_first_index == 1;
  bool early = peer->life != 0 && peer->life == peer->early_life;
  return node == raft->config.self || peer->proven || (founding && early);
}

/* Node numbers by falling value: the newest round answered, or the match index. */
static void sort_by_value(const struct raft *raft, uint64_t own, bool rounds, uint8_t *nodes, uint64_t *values) {
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    const struct raft_peer *peer = &raft->peers[i];
    uint64_t value = i == raft->config.self ? own : rounds ? peer->acked_round : peer->match_index;
    uint32_t place = i;
    for (; place > 0 && values[place - 1] < value; place--) {
      values[place] = values[place - 1];
      nodes[place] = nodes[place - 1];
    }
    values[place] = value;
    nodes[place] = i;
  }
}

/* The largest value that enough members have reached. */
static uint64_t decided_value(const struct raft *raft, uint64_t own, bool rounds) {
  uint8_t nodes[RAFT_NODES_MAX];
  uint64_t values[RAFT_NODES_MAX];
  sort_by_value(raft, own, rounds, nodes, values);
  uint32_t proven_count = 0;
  for (uint32_t i = 0; i < raft->config.nodes_count; i++) {
    proven_count += counts_as_proven(raft, nodes[i]);
    if (raft_can_decide(raft, i + 1, proven_count)) return values[i];
  }
  return 0;
}

static void heartbeat_now(struct raft *raft) {
  for (uint8_t i = 0; i < raft->config.nodes_count; i++)
    raft->peers[i].heartbeat_due = true;
}

/* Only an entry of the own term is committed by counting; it takes the ones before it along (thesis 3.6.2, figure 3.7).
 * A fixed leader leads whatever its log is, so nothing is committed that its disk could still lose. */
static void try_commit(struct raft *raft) {
  uint64_t index = decided_value(raft, raft->durable_index, false);
  if (raft->config.fixed_leader != RAFT_NODE_NONE) index = raft_min(index, raft->durable_index);
  if (index < raft->term_first_index) return;
  bool first = raft->commit_index < raft->term_first_index;
  raft_advance_commit(raft, index);
  if (first) heartbeat_now(raft); /* with this word unproven followers become full members */
}

void raft_leader_synced(struct raft *raft) {
  try_commit(raft);
}

bool raft_has_room(const struct raft *raft) {
  uint32_t roomy = 0;
  for (uint8_t i = 0; i < raft->config.nodes_count; i++)
    roomy += i == raft->config.self ? !raft->disk_full : !raft->peers[i].disk_full;
  return !raft->disk_full && roomy >= raft_quorum(raft->config.nodes_count);
}

static void probe(struct raft_peer *peer, uint64_t next_index) {
  peer->state = RAFT_PEER_PROBE;
  peer->next_index = next_index;
  peer->probe_sent = false;
  peer->inflight_count = 0;
  peer->inflight_first = 0;
}

void raft_become_leader(struct raft *raft, struct raft_output *out) {
  raft->role = RAFT_LEADER;
  raft->leader = raft->config.self;
  raft->round = 0;
  raft->confirmed_round = 0;
  raft->transfer_to = RAFT_NODE_NONE;
  raft->heartbeat_deadline_ms = raft->now_ms + raft->config.heartbeat_ms;
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    struct raft_peer *peer = &raft->peers[i];
    uint64_t early_life = peer->early_life;
    memset(peer, 0, sizeof *peer);
    peer->early_life = early_life;
    peer->contact_ms = raft->now_ms;
    probe(peer, raft->last_index + 1);
  }
  if (!raft->hard_state.proven) { /* those who elected it know of no commitment that it does not hold */
    raft_set_hard_state(raft, out, raft->hard_state.term, raft->hard_state.voted_for, true);
  }
  out->leader_changed = true;
  out->append = RAFT_APPEND_NOOP;
  out->append_index = raft->last_index + 1;
  out->append_count = 1;
  out->append_term = raft->hard_state.term;
  raft_sync_number(raft, out);
  raft->term_first_index = ++raft->last_index;
  raft->last_term = raft->hard_state.term;
}

static bool quorum_is_in_contact(const struct raft *raft) {
  uint32_t alive = 1;
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    if (i == raft->config.self) continue;
    if (raft->now_ms - raft->peers[i].contact_ms < raft->config.election_min_ms) alive++;
  }
  return alive >= raft_quorum(raft->config.nodes_count);
}

/* A leader without room makes way for a member that has some, when a majority has. */
static void make_way(struct raft *raft, struct raft_output *out) {
  if (!raft->disk_full) return;
  uint32_t roomy = 0;
  uint8_t best = RAFT_NODE_NONE;
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    const struct raft_peer *peer = &raft->peers[i];
    if (i == raft->config.self || peer->disk_full || !peer->proven) continue;
    if (raft->now_ms - peer->contact_ms >= raft->config.election_min_ms) continue;
    roomy++;
    if (best == RAFT_NODE_NONE || peer->match_index > raft->peers[best].match_index) best = i;
  }
  if (roomy >= raft_quorum(raft->config.nodes_count)) raft_transfer(raft, best, out);
}

/* With a fixed leader there is nobody to step down for. */
void raft_leader_timeout(struct raft *raft, struct raft_output *out) {
  if (raft->transfer_to != RAFT_NODE_NONE && raft->now_ms >= raft->transfer_deadline_ms) {
    raft->transfer_to = RAFT_NODE_NONE;
  }
  if (raft->now_ms < raft->heartbeat_deadline_ms) return;
  if (raft->config.fixed_leader == RAFT_NODE_NONE && !quorum_is_in_contact(raft)) {
    raft_become_follower(raft, out, raft->hard_state.term, RAFT_NODE_NONE);
    return;
  }
  raft->heartbeat_deadline_ms = raft->now_ms + raft->config.heartbeat_ms;
  heartbeat_now(raft);
  make_way(raft, out);
}

void raft_propose(struct raft *raft, uint32_t count, struct raft_output *out) {
  if (raft->role != RAFT_LEADER || raft->transfer_to != RAFT_NODE_NONE || count == 0) return;
  out->accepted = true;
  out->append = RAFT_APPEND_PROPOSED;
  out->append_index = raft->last_index + 1;
  out->append_count = count;
  out->append_term = raft->hard_state.term;
  raft_sync_number(raft, out);
  raft->last_index += count;
  raft->last_term = raft->hard_state.term;
}

/* Thesis 6.4: an index is safe to read once an entry of the own term is committed and a quorum has answered a round
 * that left after the read arrived. */
void raft_read(struct raft *raft, struct raft_output *out) {
  if (raft->role != RAFT_LEADER || raft->commit_index < raft->term_first_index) return;
  raft->round++;
  if (raft->config.nodes_count == 1) raft->confirmed_round = raft->round;
  out->accepted = true;
  out->read_round = raft->round;
  out->read_index = raft->commit_index;
}

static void try_timeout_now(struct raft *raft, struct raft_output *out) {
  uint8_t to = raft->transfer_to;
  if (to == RAFT_NODE_NONE || raft->transfer_sent || raft->peers[to].match_index < raft->last_index) return;
  if (raft_send(raft, out, RAFT_TIMEOUT_NOW, to) != NULL) raft->transfer_sent = true;
}

void raft_transfer(struct raft *raft, uint8_t peer, struct raft_output *out) {
  CHECK(peer < raft->config.nodes_count);
  if (raft->role != RAFT_LEADER || peer == raft->config.self || raft->transfer_to != RAFT_NODE_NONE) return;
  if (raft->config.fixed_leader != RAFT_NODE_NONE) return;
  raft->transfer_to = peer;
  raft->transfer_sent = false;
  raft->transfer_deadline_ms = raft->now_ms + raft->config.election_min_ms;
  out->accepted = true;
  try_timeout_now(raft, out);
}

void raft_peer_down(struct raft *raft, uint8_t peer) {
  CHECK(peer < raft->config.nodes_count);
  if (raft->role == RAFT_LEADER) probe(&raft->peers[peer], raft->peers[peer].match_index + 1);
}

/* ---- sending ---- */

/* The peer's life, once a round that was begun in it is confirmed: then this leader knows of all that an earlier life
 * of the peer had a part in. It is what proves the peer. */
static uint64_t known_life(const struct raft *raft, const struct raft_peer *peer) {
  return raft->confirmed_round >= peer->life_round ? peer->life : 0;
}

static bool send_append(struct raft *raft, uint8_t to, uint64_t last, struct raft_output *out) {
  struct raft_peer *peer = &raft->peers[to];
  struct raft_message *message = raft_send(raft, out, RAFT_APPEND, to);
  if (message == NULL) return false;
  uint64_t prev = peer->next_index - 1;
  message->after_sync = raft_unsynced(raft, raft->term_sync);
  message->as.append = (struct raft_append){.prev_index = prev,
                                            .prev_term = raft_term_of(raft, prev),
                                            .commit_index = raft->commit_index,
                                            .to_life = known_life(raft, peer),
                                            .round = raft->round,
                                            .entries_count = (uint32_t)(last - prev)};
  peer->sent_round = raft->round;
  peer->heartbeat_due = false;
  return true;
}

static uint64_t batch_end(const struct raft *raft, uint64_t first) {
  const struct raft_log_view *log = &raft->config.log;
  uint64_t last = log->batch_end(log->context, first, raft->last_index, raft->config.message_bytes_max);
  CHECK(last >= first && last <= raft->last_index);
  return last;
}

static void flush_probe(struct raft *raft, uint8_t to, struct raft_output *out) {
  struct raft_peer *peer = &raft->peers[to];
  bool round_due = raft->round > peer->sent_round;
  if (peer->probe_sent && !peer->heartbeat_due && !round_due) return;
  bool again = peer->probe_sent && !peer->heartbeat_due; /* only the round is new: the entries are under way */
  uint64_t last = peer->next_index - 1;
  if (!again && peer->next_index <= raft->last_index) last = batch_end(raft, peer->next_index);
  if (send_append(raft, to, last, out)) peer->probe_sent = true;
}

static void flush_replicate(struct raft *raft, uint8_t to, uint32_t messages_max, struct raft_output *out) {
  struct raft_peer *peer = &raft->peers[to];
  uint32_t sent = 0;
  while (peer->next_index <= raft->last_index && peer->inflight_count < raft->config.inflight_max &&
         sent < messages_max) {
    uint64_t last = batch_end(raft, peer->next_index);
    if (!send_append(raft, to, last, out)) return;
    uint32_t slot = (peer->inflight_first + peer->inflight_count++) % RAFT_INFLIGHT_MAX;
    peer->inflight[slot] = last;
    peer->next_index = last + 1;
    sent++;
  }
  if (sent == 0 && (peer->heartbeat_due || raft->round > peer->sent_round)) {
    send_append(raft, to, peer->next_index - 1, out);
  }
}

/* A message names the entry before what it carries: what is further back than that is a snapshot's. */
static void check_reach(const struct raft *raft, struct raft_peer *peer) {
  uint64_t base = raft_base_index(raft);
  if (peer->next_index > base) return;
  probe(peer, base + 1);
  peer->state = RAFT_PEER_SNAPSHOT;
}

/* A peer without room answers entries as it does a heartbeat: so it gets some with each heartbeat, to see whether it
 * has room again, and no answer of it brings on the next ones. */
static void flush_full(struct raft *raft, uint8_t to, struct raft_output *out) {
  struct raft_peer *peer = &raft->peers[to];
  uint64_t last = peer->next_index - 1;
  if (!peer->heartbeat_due && raft->round <= peer->sent_round) return;
  if (peer->heartbeat_due && peer->next_index <= raft->last_index) last = batch_end(raft, peer->next_index);
  send_append(raft, to, last, out);
}

static void flush_peer(struct raft *raft, uint8_t to, uint32_t messages_max, struct raft_output *out) {
  struct raft_peer *peer = &raft->peers[to];
  check_reach(raft, peer);
  if (peer->disk_full && peer->state != RAFT_PEER_SNAPSHOT) {
    flush_full(raft, to, out);
    return;
  }
  switch (peer->state) {
  case RAFT_PEER_PROBE:
    flush_probe(raft, to, out);
    return;
  case RAFT_PEER_REPLICATE:
    flush_replicate(raft, to, messages_max, out);
    return;
  case RAFT_PEER_SNAPSHOT:
    if (peer->heartbeat_due || raft->round > peer->sent_round) send_append(raft, to, peer->next_index - 1, out);
    return;
  }
}

void raft_flush(struct raft *raft, struct raft_output *out) {
  if (raft->role != RAFT_LEADER) return;
  uint32_t messages_max =
      RAFT_MESSAGES_MAX / RAFT_NODES_MAX; /* a fair share, so that no peer's backlog starves another's heartbeat */
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    if (i != raft->config.self) flush_peer(raft, i, messages_max, out);
  }
}

/* ---- replies ---- */

static void handle_success(struct raft *raft, struct raft_peer *peer, uint64_t match_index) {
  if (match_index > raft->last_index) return; /* no follower of this term can hold what this leader does not */
  peer->match_index = raft_max(peer->match_index, match_index);
  peer->next_index = raft_max(peer->next_index, peer->match_index + 1);
  while (peer->inflight_count > 0 && peer->inflight[peer->inflight_first] <= peer->match_index) {
    peer->inflight_first = (peer->inflight_first + 1) % RAFT_INFLIGHT_MAX;
    peer->inflight_count--;
  }
  peer->state = RAFT_PEER_REPLICATE;
}

/* The last index up to `high` whose term is at most `term`; terms never fall along a log. */
static uint64_t last_with_term_at_most(const struct raft *raft, uint64_t term, uint64_t low, uint64_t high) {
  while (low < high) {
    uint64_t middle = low + (high - low + 1) / 2;
    if (raft_term_of(raft, middle) <= term) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/* Where the logs may still agree (thesis 3.5, the optimisation by terms): one round trip per term in conflict. */
static uint64_t agreed_at_most(const struct raft *raft, const struct raft_peer *peer,
                               const struct raft_append_reply *reply) {
  uint64_t agreed = reply->conflict_index > 0 ? reply->conflict_index - 1 : 0;
  if (reply->conflict_term != 0) {
    uint64_t high = raft_min(reply->prev_index - 1, raft->last_index);
    uint64_t low = raft_max(peer->match_index, raft_base_index(raft));
    uint64_t index = last_with_term_at_most(raft, reply->conflict_term, low, high);
    if (raft_term_of(raft, index) == reply->conflict_term) agreed = index;
  }
  return raft_max(peer->match_index, raft_min(agreed, reply->prev_index - 1));
}

static void handle_refusal(struct raft *raft, struct raft_peer *peer, const struct raft_append_reply *reply) {
  bool late = reply->prev_index <= peer->match_index || reply->prev_index > raft->last_index;
  if (peer->state == RAFT_PEER_PROBE && reply->prev_index != peer->next_index - 1) late = true;
  if (late || peer->state == RAFT_PEER_SNAPSHOT) return;
  probe(peer, agreed_at_most(raft, peer, reply) + 1);
}

/* Which life of a peer this leader believes in. A peer that started anew may have lost what it acknowledged before, so
 * a word of another life replaces what is known; but words come late, doubled and in any order, and lives are numbers
 * without an order. The echoed round gives them one: from `life_round` on, rounds were begun after a word of the known
 * life had come. Who answers such a round was alive after that life had begun, and a node lives one life at a time: so
 * the answer is of that life or of a later one, and is followed. An answer to an earlier round may be of a life that is
 * over, also one that this leader has never heard of; it is dropped, and a round is begun that whoever lives now can
 * answer, so that a later life is followed with its next answer.
 *
 * Rounds are counted from 0 in each term; an answer of this term echoes a round of this term, since there is one leader
 * per term and raft_refuse_append echoes none. Only an unproven life needs its round at once: known_life. */
static bool follow_life(struct raft *raft, struct raft_peer *peer, uint64_t life,
                        const struct raft_append_reply *reply) {
  if (life == peer->life) return true;
  bool known = peer->life != 0;
  if (known && reply->round < peer->life_round) {
    raft->round = raft_max(raft->round, peer->life_round);
    return false;
  }
  if (known) {
    peer->match_index = 0;
    peer->acked_round = 0;
    probe(peer, peer->next_index);
  }
  peer->life = life;
  peer->life_round = raft->round + 1;
  if (!reply->proven) raft->round++;
  peer->proven = reply->proven;
  return true;
}

/* An unproven peer hears at once that its life is known. */
static void confirm_rounds(struct raft *raft) {
  uint64_t before = raft->confirmed_round;
  raft->confirmed_round = raft_max(before, decided_value(raft, raft->round, true));
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    struct raft_peer *peer = &raft->peers[i];
    bool now_known = peer->life_round > before && peer->life_round <= raft->confirmed_round;
    if (now_known && !peer->proven) peer->heartbeat_due = true;
  }
}

void raft_handle_append_reply(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  if (raft->role != RAFT_LEADER) return;
  struct raft_peer *peer = &raft->peers[message->from];
  const struct raft_append_reply *reply = &message->as.append_reply;
  if (!follow_life(raft, peer, message->life, reply)) return;
  if (reply->proven) peer->proven = true;
  peer->disk_full = reply->disk_full;
  peer->contact_ms = raft->now_ms;
  if (reply->round <= raft->round) peer->acked_round = raft_max(peer->acked_round, reply->round);
  confirm_rounds(raft);
  if (!reply->success) {
    handle_refusal(raft, peer, reply);
    return;
  }
  handle_success(raft, peer, reply->match_index);
  try_commit(raft);
  try_timeout_now(raft, out);
}

/* Of a life that is not the known one, heartbeats tell first. What the peer holds now it may hold only of what the
 * snapshot covers, which is committed. */
void raft_handle_install_reply(struct raft *raft, const struct raft_message *message) {
  if (raft->role != RAFT_LEADER) return;
  struct raft_peer *peer = &raft->peers[message->from];
  const struct raft_install_reply *reply = &message->as.install_reply;
  if (message->life != peer->life) return;
  peer->contact_ms = raft->now_ms;
  if (!reply->done || reply->index > raft->commit_index || reply->index <= peer->match_index) return;
  if (peer->state != RAFT_PEER_SNAPSHOT) {
    handle_success(raft, peer, reply->index);
    return;
  }
  peer->match_index = reply->index;
  probe(peer, peer->match_index + 1);
}
