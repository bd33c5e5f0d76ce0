/* Elections (thesis 3.4, 3.6) with PreVote (9.6), stickiness to a live leader (4.2.3) and leadership transfer (3.10).
 *
 * Happy path: the election timer fires -> PRE_CANDIDATE asks who would vote -> a quorum would -> CANDIDATE: term + 1
 * and the own vote go to disk, the requests leave when they are there -> a quorum grants -> LEADER. Whatever goes wrong
 * ends at the election timer, which is drawn anew each time.
 *
 * With a fixed leader only that node campaigns, and it does so once: as long as it has state, its log holds whatever is
 * committed (leader.c), so it leads without asking. Without state it may be new, or have lost it; then an election like
 * any other tells, in which nobody whose log is not empty votes for it. */
#include "raft/core/internal.h"

#include "base/check.h"

bool raft_may_campaign(const struct raft *raft) {
  return raft->config.fixed_leader == RAFT_NODE_NONE || raft->config.fixed_leader == raft->config.self;
}

void raft_reset_election_timer(struct raft *raft) {
  uint64_t range = raft->config.election_max_ms - raft->config.election_min_ms;
  raft->election_deadline_ms = raft->now_ms + raft->config.election_min_ms + raft->random % range;
  /* Others, who can still write, go first. */
  if (raft->disk_full) raft->election_deadline_ms += raft->config.election_max_ms;
}

bool raft_leader_is_alive(const struct raft *raft) {
  if (raft->role == RAFT_LEADER) return true; /* it steps down by itself when its quorum is gone */
  return raft->role == RAFT_FOLLOWER && raft->leader != RAFT_NODE_NONE &&
         raft->now_ms - raft->leader_contact_ms < raft->config.election_min_ms;
}

/* A higher term alone does not put off the own election (thesis 3.4): who asks for votes that it cannot get would keep
 * others from asking. */
void raft_become_follower(struct raft *raft, struct raft_output *out, uint64_t term, uint8_t leader) {
  if (raft->role == RAFT_LEADER || leader != RAFT_NODE_NONE) raft_reset_election_timer(raft);
  if (term > raft->hard_state.term) {
    raft_set_hard_state(raft, out, term, RAFT_NODE_NONE, raft->hard_state.proven);
    raft->verified_index = raft->commit_index;
    out->leader_changed = true;
  }
  if (raft->role != RAFT_FOLLOWER || raft->leader != leader) out->leader_changed = true;
  if (raft->role == RAFT_LEADER) raft->verified_index = raft->commit_index;
  raft->role = RAFT_FOLLOWER;
  raft->leader = leader;
  raft->transfer_to = RAFT_NODE_NONE;
}

static uint32_t count_of(uint64_t set) {
  return (uint32_t)__builtin_popcountll(set);
}

/* In a cluster that never had a leader nobody has anything, candidate and voters alike: there is nothing to remember.
 */
static bool has_quorum_of_votes(const struct raft *raft) {
  uint32_t votes = count_of(raft->votes);
  return raft_can_decide(raft, votes, raft->last_index == 0 ? votes : count_of(raft->proven_votes));
}

static void vote_for_self(struct raft *raft) {
  raft->votes = UINT64_C(1) << raft->config.self;
  raft->proven_votes = raft->hard_state.proven ? raft->votes : 0;
}

static void ask_for_votes(struct raft *raft, struct raft_output *out, uint64_t term, bool pre, bool transfer) {
  for (uint8_t peer = 0; peer < raft->config.nodes_count; peer++) {
    if (peer == raft->config.self) continue;
    struct raft_message *message = raft_send(raft, out, RAFT_VOTE, peer);
    CHECK(message != NULL);
    message->term = term;
    message->after_sync = pre ? 0 : raft_unsynced(raft, raft_everything(raft));
    message->as.vote = (struct raft_vote){pre, transfer, raft->last_index, raft->last_term};
  }
}

static void campaign(struct raft *raft, struct raft_output *out, bool transfer) {
  raft_set_hard_state(raft, out, raft->hard_state.term + 1, raft->config.self, raft->hard_state.proven);
  raft->role = RAFT_CANDIDATE;
  raft->leader = RAFT_NODE_NONE;
  raft->verified_index = raft->commit_index;
  vote_for_self(raft);
  out->leader_changed = true;
  raft_reset_election_timer(raft);
  if (has_quorum_of_votes(raft)) {
    raft_become_leader(raft, out);
    return;
  }
  ask_for_votes(raft, out, raft->hard_state.term, false, transfer);
}

static void lead_unasked(struct raft *raft, struct raft_output *out) {
  raft_set_hard_state(raft, out, raft->hard_state.term + 1, raft->config.self, raft->hard_state.proven);
  raft_become_leader(raft, out);
}

void raft_election_timeout(struct raft *raft, struct raft_output *out) {
  if (raft->config.fixed_leader == raft->config.self && raft->hard_state.proven) {
    lead_unasked(raft, out);
    return;
  }
  raft_reset_election_timer(raft);
  if (raft->role != RAFT_PRE_CANDIDATE || raft->leader != RAFT_NODE_NONE) out->leader_changed = true;
  raft->role = RAFT_PRE_CANDIDATE;
  raft->leader = RAFT_NODE_NONE;
  vote_for_self(raft);
  if (has_quorum_of_votes(raft)) {
    campaign(raft, out, false);
    return;
  }
  ask_for_votes(raft, out, raft->hard_state.term + 1, true, false);
}

/* Thesis 3.6.1. The comparison is with everything appended here, durable or not: an entry that may still be
 * acknowledged counts. */
static bool log_is_acceptable(const struct raft *raft, const struct raft_vote *vote) {
  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;
  return vote->last_index >= raft->last_index;
}

static struct raft_message *vote_reply(struct raft *raft, const struct raft_message *request, struct raft_output *out) {
  struct raft_message *reply = raft_send(raft, out, RAFT_VOTE_REPLY, request->from);
  CHECK(reply != NULL);
  reply->as.vote_reply = (struct raft_vote_reply){
      .pre = request->as.vote.pre, .proven = raft->hard_state.proven, .vote_term = request->term};
  return reply;
}

void raft_handle_pre_vote(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  struct raft_message *reply = vote_reply(raft, message, out);
  reply->as.vote_reply.granted = message->term > raft->hard_state.term && !raft_leader_is_alive(raft) &&
                                 log_is_acceptable(raft, &message->as.vote);
}

/* Also called for a request of an older term, which is refused with ours. */
void raft_handle_vote(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  struct raft_hard_state *state = &raft->hard_state;
  bool free_to_vote = state->voted_for == RAFT_NODE_NONE || state->voted_for == message->from;
  bool granted = message->term == state->term && free_to_vote && raft->role != RAFT_LEADER &&
                 log_is_acceptable(raft, &message->as.vote);
  if (granted && state->voted_for == RAFT_NODE_NONE) {
    raft_set_hard_state(raft, out, state->term, message->from, state->proven);
  }
  if (granted) raft_reset_election_timer(raft);
  struct raft_message *reply = vote_reply(raft, message, out);
  reply->as.vote_reply.granted = granted;
  reply->after_sync = raft_unsynced(raft, raft_everything(raft));
}

void raft_handle_vote_reply(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  const struct raft_vote_reply *reply = &message->as.vote_reply;
  enum raft_role asking = reply->pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
  uint64_t asked_term = raft->hard_state.term + (reply->pre ? 1 : 0);
  if (raft->role != asking || reply->vote_term != asked_term || !reply->granted) return;
  raft->votes |= UINT64_C(1) << message->from;
  if (reply->proven) raft->proven_votes |= UINT64_C(1) << message->from;
  if (!has_quorum_of_votes(raft)) return;
  if (reply->pre) {
    campaign(raft, out, false);
  } else {
    raft_become_leader(raft, out);
  }
}

/* A word that was held up on its way comes when the leader has given the transfer up. What it sent since is behind that
 * word, so it was not heard of for as long. */
void raft_handle_timeout_now(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  if (raft->role != RAFT_FOLLOWER || message->from != raft->leader || !raft->hard_state.proven) return;
  if (!raft_leader_is_alive(raft)) return;
  campaign(raft, out, true);
}
