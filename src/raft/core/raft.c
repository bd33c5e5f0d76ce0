/* The core's frame: start, dispatch of events and messages, terms, durability numbers. */
#include "raft/core/internal.h"

#include <string.h>

#include "base/check.h"

uint32_t raft_quorum(uint32_t nodes_count) {
  return nodes_count / 2 + 1;
}

/* DESIGN.md, Unproven nodes. Any two decisions must have a member in common that remembers the first at the second. A
 * minority may have lost its state, and then it is unproven: so unproven members do not count beside a majority that
 * does, and without one everybody is needed.
 *
 * The price is paid when a cluster starts for the first time. Until its first leader has committed an entry and told a
 * majority so, a matter of two round trips, that leader alone is proven: when it goes away in between, the others wait
 * for it or for the last of them, although nobody has lost anything. It cannot be had cheaper by what a node remembers
 * of the first term it took part in: a request for a vote of that term, doubled and late, would lead a node that has
 * lost its state since to believe that it remembers all from there on. */
bool raft_can_decide(const struct raft *raft, uint32_t members_count, uint32_t proven_count) {
  uint32_t quorum = raft_quorum(raft->config.nodes_count);
  uint32_t minority = raft->config.nodes_count - quorum;
  return members_count >= quorum && (proven_count > minority || members_count > 2 * minority);
}

const char *raft_role_name(enum raft_role role) {
  switch (role) {
  case RAFT_LEADER:
    return "leader";
  case RAFT_FOLLOWER:
    return "follower";
  case RAFT_PRE_CANDIDATE:
  case RAFT_CANDIDATE:
    break;
  }
  return "candidate";
}

uint64_t raft_sync_number(struct raft *raft, struct raft_output *out) {
  if (out->sync == 0) out->sync = raft->sync_next++;
  return out->sync;
}

uint64_t raft_unsynced(const struct raft *raft, uint64_t sync) {
  return sync > raft->synced ? sync : 0;
}

uint64_t raft_everything(const struct raft *raft) {
  return raft->sync_next - 1;
}

struct raft_message *raft_send(struct raft *raft, struct raft_output *out, enum raft_message_type type, uint8_t to) {
  if (out->messages_count == RAFT_MESSAGES_MAX) return NULL;
  struct raft_message *message = &out->messages[out->messages_count++];
  memset(message, 0, sizeof *message);
  message->type = type;
  message->from = raft->config.self;
  message->to = to;
  message->term = raft->hard_state.term;
  message->life = raft->life;
  return message;
}

uint64_t raft_term_of(const struct raft *raft, uint64_t index) {
  CHECK(index <= raft->last_index);
  if (index == 0) return 0;
  if (index == raft->last_index) return raft->last_term;
  return raft->config.log.term_at(raft->config.log.context, index);
}

uint64_t raft_base_index(const struct raft *raft) {
  return raft->config.log.first_index(raft->config.log.context) - 1;
}

void raft_set_hard_state(struct raft *raft, struct raft_output *out, uint64_t term, uint8_t voted_for, bool proven) {
  struct raft_hard_state *state = &raft->hard_state;
  CHECK(term >= state->term);
  CHECK(term > state->term || state->voted_for == RAFT_NODE_NONE || voted_for == state->voted_for);
  bool vote_changed = term != state->term || voted_for != state->voted_for;
  *state = (struct raft_hard_state){term, voted_for, proven};
  out->hard_state_changed = true;
  uint64_t sync = raft_sync_number(raft, out);
  if (vote_changed) raft->term_sync = sync;
}

void raft_advance_commit(struct raft *raft, uint64_t index) {
  CHECK(index <= raft->last_index);
  raft->commit_index = raft_max(raft->commit_index, index);
}

void raft_init(struct raft *raft, const struct raft_config *config, const struct raft_start *start, uint64_t now_ms,
               uint64_t random) {
  CHECK(config->nodes_count >= 1 && config->nodes_count <= RAFT_NODES_MAX && config->self < config->nodes_count);
  CHECK(config->heartbeat_ms > 0 && config->election_min_ms > config->heartbeat_ms);
  CHECK(config->election_max_ms > config->election_min_ms);
  CHECK(config->inflight_max >= 1 && config->inflight_max <= RAFT_INFLIGHT_MAX);
  CHECK(start->life != 0);
  memset(raft, 0, sizeof *raft);
  raft->config = *config;
  raft->life = start->life;
  raft->role = RAFT_FOLLOWER;
  raft->leader = RAFT_NODE_NONE;
  raft->transfer_to = RAFT_NODE_NONE;
  raft->hard_state = start->hard_state;
  CHECK(start->snapshot_index <= start->last_index);
  raft->last_index = start->last_index;
  raft->last_term = start->last_term;
  raft->commit_index = start->snapshot_index;
  raft->verified_index = start->snapshot_index;
  raft->durable_index = start->last_index;
  raft->term_sync = start->unsynced ? 1 : 0;
  raft->sync_next = raft->term_sync + 1;
  raft->now_ms = now_ms;
  raft->random = random;
  raft_reset_election_timer(raft);
  bool alone = config->nodes_count == 1 || config->fixed_leader == config->self;
  if (alone) raft->election_deadline_ms = now_ms; /* there is no leader to hear of first */
}

static void timeout(struct raft *raft, struct raft_output *out) {
  if (raft->role == RAFT_LEADER) {
    raft_leader_timeout(raft, out);
  } else if (raft_may_campaign(raft) && raft->now_ms >= raft->election_deadline_ms) {
    raft_election_timeout(raft, out);
  }
}

/* What a message's term does to ours (thesis 3.3). True when the message is to be handled in the (maybe new) current
 * term. */
static bool adopt_term(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  uint64_t term = raft->hard_state.term;
  if (message->term < term) {
    if (message->type == RAFT_APPEND) raft_refuse_append(raft, message, out);
    if (message->type == RAFT_INSTALL) raft_refuse_install(raft, message, out);
    if (message->type == RAFT_VOTE) raft_handle_vote(raft, message, out);
    /* A voter that is behind in terms says yes to a pre-vote as well as any other. */
    return message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre;
  }
  if (message->term == term) return true;
  bool sticky = message->type == RAFT_VOTE && !message->as.vote.transfer && raft_leader_is_alive(raft);
  if (sticky) return false;
  bool leads = message->type == RAFT_APPEND || message->type == RAFT_INSTALL;
  raft_become_follower(raft, out, message->term, leads ? message->from : RAFT_NODE_NONE);
  return true;
}

/* With a fixed leader, entries and requests for votes come from that node only. */
static bool fixed_leader_allows(const struct raft *raft, const struct raft_message *message) {
  uint8_t fixed = raft->config.fixed_leader;
  if (fixed == RAFT_NODE_NONE || message->from == fixed) return true;
  return message->type == RAFT_APPEND_REPLY || message->type == RAFT_VOTE_REPLY || message->type == RAFT_INSTALL_REPLY;
}

static bool term_is_possible(const struct raft *raft, uint64_t term) {
  return term <= RAFT_TERM_MAX && (term <= raft->hard_state.term || term - raft->hard_state.term <= RAFT_TERM_JUMP_MAX);
}

static void handle_message(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  CHECK(message->from < raft->config.nodes_count && message->from != raft->config.self);
  if (!fixed_leader_allows(raft, message) || !term_is_possible(raft, message->term)) return;
  if (raft->role != RAFT_LEADER) raft->peers[message->from].early_life = message->life;
  if (message->type == RAFT_VOTE && message->as.vote.pre) {
    raft_handle_pre_vote(raft, message, out);
    return;
  }
  if (!adopt_term(raft, message, out)) return;
  switch (message->type) {
  case RAFT_APPEND:
    raft_handle_append(raft, message, out);
    break;
  case RAFT_APPEND_REPLY:
    raft_handle_append_reply(raft, message, out);
    break;
  case RAFT_VOTE:
    raft_handle_vote(raft, message, out);
    break;
  case RAFT_VOTE_REPLY:
    raft_handle_vote_reply(raft, message, out);
    break;
  case RAFT_TIMEOUT_NOW:
    raft_handle_timeout_now(raft, message, out);
    break;
  case RAFT_INSTALL:
    raft_handle_install(raft, message, out);
    break;
  case RAFT_INSTALL_REPLY:
    raft_handle_install_reply(raft, message);
    break;
  case RAFT_READ:
  case RAFT_READ_REPLY:
    CHECK(!"reads are the node's business");
  }
}

/* A completion that was under way when entries were cut says nothing of what has replaced them. */
static void synced(struct raft *raft, uint64_t sync, uint64_t index) {
  CHECK(sync < raft->sync_next);
  raft->synced = raft_max(raft->synced, sync);
  if (raft->truncate_low != 0) {
    if (sync >= raft->truncate_sync) {
      raft->truncate_low = 0;
    } else {
      index = raft_min(index, raft->truncate_low - 1);
    }
  }
  raft->durable_index = raft_max(raft->durable_index, raft_min(index, raft->last_index));
  if (raft->role == RAFT_LEADER) raft_leader_synced(raft);
}

/* The leader's answer to a read tells of its commit index at once, not only with the next heartbeat. */
static void learn(struct raft *raft, uint64_t term, uint64_t index) {
  if (raft->role != RAFT_FOLLOWER || term != raft->hard_state.term) return;
  raft_advance_commit(raft, raft_min(index, raft->verified_index));
}

static uint64_t deadline(const struct raft *raft) {
  if (raft->role == RAFT_LEADER) {
    if (raft->transfer_to == RAFT_NODE_NONE) return raft->heartbeat_deadline_ms;
    return raft_min(raft->heartbeat_deadline_ms, raft->transfer_deadline_ms);
  }
  return raft_may_campaign(raft) ? raft->election_deadline_ms : UINT64_MAX;
}

static void dispatch(struct raft *raft, const struct raft_event *event, struct raft_output *out) {
  switch (event->type) {
  case RAFT_EVENT_TIMEOUT:
    timeout(raft, out);
    break;
  case RAFT_EVENT_MESSAGE:
    handle_message(raft, event->message, out);
    break;
  case RAFT_EVENT_PROPOSE:
    raft_propose(raft, event->count, out);
    break;
  case RAFT_EVENT_READ:
    raft_read(raft, out);
    break;
  case RAFT_EVENT_FLUSH:
    raft_flush(raft, out);
    break;
  case RAFT_EVENT_SYNCED:
    synced(raft, event->sync, event->index);
    break;
  case RAFT_EVENT_PEER_DOWN:
    raft_peer_down(raft, event->peer);
    break;
  case RAFT_EVENT_TRANSFER:
    raft_transfer(raft, event->peer, out);
    break;
  case RAFT_EVENT_LEARN:
    learn(raft, event->term, event->index);
    break;
  case RAFT_EVENT_SNAPSHOT:
    raft_snapshot(raft, event->index, event->term, out);
    break;
  case RAFT_EVENT_DISK:
    raft->disk_full = event->disk_full;
    break;
  }
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_output *out) {
  CHECK(event->now_ms >= raft->now_ms);
  raft->now_ms = event->now_ms;
  raft->random = event->random;
  /* Not the messages: they are filled in one by one. */
  memset(out, 0, offsetof(struct raft_output, messages));
  memset((char *)out + offsetof(struct raft_output, commit_index), 0,
         sizeof *out - offsetof(struct raft_output, commit_index));
  dispatch(raft, event, out);
  out->hard_state = raft->hard_state;
  out->commit_index = raft->commit_index;
  out->confirmed_round = raft->confirmed_round;
  out->deadline_ms = deadline(raft);
}
