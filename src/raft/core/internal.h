/* What the files of the core share; nobody else includes it. */
#ifndef KV_RAFT_CORE_INTERNAL_H
#define KV_RAFT_CORE_INTERNAL_H

#include "raft/core/raft.h"

/* ---- raft.c ---- */

/* The number of this step's disk work, drawn when first needed. */
uint64_t raft_sync_number(struct raft *raft, struct raft_output *out);
/* `sync` when it is not durable yet, else 0: for raft_message.after_sync. */
uint64_t raft_unsynced(const struct raft *raft, uint64_t sync);
/* The number that covers everything handed out so far. */
uint64_t raft_everything(const struct raft *raft);
/* A message to fill in, or NULL when the output is full. */
struct raft_message *raft_send(struct raft *raft, struct raft_output *out, enum raft_message_type type, uint8_t to);
/* Of an entry that is in the log, or stands just before it. */
uint64_t raft_term_of(const struct raft *raft, uint64_t index);
/* The entry before the log's first: a snapshot covers everything up to there; 0: the log is whole. */
uint64_t raft_base_index(const struct raft *raft);
void raft_set_hard_state(struct raft *raft, struct raft_output *out, uint64_t term, uint8_t voted_for, bool proven);
void raft_advance_commit(struct raft *raft, uint64_t index);
/* Whether so many members, `proven_count` of them proven, are enough to elect, to commit, to confirm a round. */
bool raft_can_decide(const struct raft *raft, uint32_t members_count, uint32_t proven_count);
static inline uint64_t raft_min(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}
static inline uint64_t raft_max(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* ---- election.c ---- */

void raft_become_follower(struct raft *raft, struct raft_output *out, uint64_t term, uint8_t leader);
void raft_reset_election_timer(struct raft *raft);
void raft_election_timeout(struct raft *raft, struct raft_output *out);
/* With a fixed leader, only that node may. */
bool raft_may_campaign(const struct raft *raft);
/* True while a leader is known to be alive: then votes are refused (thesis 4.2.3, 9.6). */
bool raft_leader_is_alive(const struct raft *raft);
void raft_handle_pre_vote(struct raft *raft, const struct raft_message *message, struct raft_output *out);
void raft_handle_vote(struct raft *raft, const struct raft_message *message, struct raft_output *out);
void raft_handle_vote_reply(struct raft *raft, const struct raft_message *message, struct raft_output *out);
void raft_handle_timeout_now(struct raft *raft, const struct raft_message *message, struct raft_output *out);

/* ---- follower.c ---- */

void raft_handle_append(struct raft *raft, const struct raft_message *message, struct raft_output *out);
/* Answers a leader of an older term, so that it steps down. */
void raft_refuse_append(struct raft *raft, const struct raft_message *message, struct raft_output *out);

void raft_handle_install(struct raft *raft, const struct raft_message *message, struct raft_output *out);
void raft_refuse_install(struct raft *raft, const struct raft_message *message, struct raft_output *out);
/* A snapshot up to (index, term) is durable. */
void raft_snapshot(struct raft *raft, uint64_t index, uint64_t term, struct raft_output *out);

/* ---- leader.c ---- */

void raft_become_leader(struct raft *raft, struct raft_output *out);
void raft_leader_timeout(struct raft *raft, struct raft_output *out);
void raft_leader_synced(struct raft *raft);
void raft_propose(struct raft *raft, uint32_t count, struct raft_output *out);
void raft_read(struct raft *raft, struct raft_output *out);
void raft_flush(struct raft *raft, struct raft_output *out);
void raft_handle_append_reply(struct raft *raft, const struct raft_message *message, struct raft_output *out);
void raft_handle_install_reply(struct raft *raft, const struct raft_message *message);
void raft_peer_down(struct raft *raft, uint8_t peer);
void raft_transfer(struct raft *raft, uint8_t peer, struct raft_output *out);

#endif
