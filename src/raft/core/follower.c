/* The follower's side of replication (thesis 3.5): consistency check, truncation on a real conflict only,
 * acknowledgement of what is durable. And of snapshots (thesis 5.1). */
#include "raft/core/internal.h"

#include "base/check.h"

static struct raft_message *append_reply(struct raft *raft, const struct raft_message *request,
                                         struct raft_output *out) {
  struct raft_message *reply = raft_send(raft, out, RAFT_APPEND_REPLY, request->from);
  CHECK(reply != NULL);
  reply->after_sync = raft_unsynced(raft, raft->term_sync);
  reply->as.append_reply = (struct raft_append_reply){.proven = raft->hard_state.proven,
                                                      .prev_index = request->as.append.prev_index,
                                                      .round = request->as.append.round,
                                                      .disk_full = raft->disk_full};
  return reply;
}

/* The sender may lead again, in our term, when this arrives: then the round would be taken for one of that term, which
 * we have not heard of. */
void raft_refuse_append(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  append_reply(raft, message, out)->as.append_reply.round = 0;
}

/* Terms of a leader's entries never fall and never exceed its own; anything else is not from a leader. */
static bool terms_are_sane(const struct raft_message *message) {
  const struct raft_append *append = &message->as.append;
  uint64_t term = append->prev_term;
  if (append->prev_index > UINT64_MAX - append->entries_count) return false;
  for (uint32_t i = 0; i < append->entries_count; i++) {
    if (append->terms[i] < term) return false;
    term = append->terms[i];
  }
  return term <= message->term;
}

/* Listens to the sender as the leader of this term; false when the term has another. */
static bool accept_leader(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  if (raft->role == RAFT_LEADER) return false;
  if (raft->role == RAFT_FOLLOWER && raft->leader != RAFT_NODE_NONE && raft->leader != message->from) return false;
  raft_become_follower(raft, out, message->term, message->from);
  raft->leader_contact_ms = raft->now_ms;
  return true;
}

/* First index of the run of equal terms that ends at `index`, above the commit index: the leader skips the whole run in
 * one round trip. */
static uint64_t first_of_term(const struct raft *raft, uint64_t index) {
  uint64_t term = raft_term_of(raft, index);
  uint64_t low = raft->commit_index + 1;
  uint64_t high = index;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (raft_term_of(raft, middle) < term) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool prev_matches(struct raft *raft, const struct raft_append *append, struct raft_append_reply *reply) {
  if (append->prev_index <= raft->commit_index) return true; /* committed: equal in every leader's log */
  if (append->prev_index > raft->last_index) {
    reply->conflict_index = raft->last_index + 1;
    return false;
  }
  uint64_t term = raft_term_of(raft, append->prev_index);
  if (term == append->prev_term) return true;
  reply->conflict_term = term;
  reply->conflict_index = first_of_term(raft, append->prev_index);
  return false;
}

/* How many of the message's entries are here already. Those up to the commit index are, whatever the message says of
 * them. */
static uint32_t entries_present(const struct raft *raft, const struct raft_append *append) {
  uint64_t committed = raft->commit_index > append->prev_index ? raft->commit_index - append->prev_index : 0;
  uint32_t present = (uint32_t)raft_min(committed, append->entries_count);
  while (present < append->entries_count) {
    uint64_t index = append->prev_index + 1 + present;
    if (index > raft->last_index || raft_term_of(raft, index) != append->terms[present]) break;
    present++;
  }
  return present;
}

static void truncate_from(struct raft *raft, uint64_t index, struct raft_output *out) {
  CHECK(index > raft->commit_index);
  uint64_t term = raft_term_of(raft, index - 1); /* while last_index still covers it */
  raft->truncate_sync = raft_sync_number(raft, out);
  raft->truncate_low = raft->truncate_low == 0 ? index : raft_min(raft->truncate_low, index);
  raft->durable_index = raft_min(raft->durable_index, index - 1);
  raft->last_index = index - 1;
  raft->last_term = term;
  out->truncate_from = index;
}

static void append_rest(struct raft *raft, const struct raft_append *append, uint32_t present,
                        struct raft_output *out) {
  uint64_t index = append->prev_index + 1 + present;
  if (index <= raft->last_index) truncate_from(raft, index, out);
  CHECK(index == raft->last_index + 1);
  out->append = RAFT_APPEND_RECEIVED;
  out->append_index = index;
  out->append_skip = present;
  out->append_count = append->entries_count - present;
  raft_sync_number(raft, out);
  raft->last_index = append->prev_index + append->entries_count;
  raft->last_term = append->terms[append->entries_count - 1];
}

/* The term of the entry at the leader's commit index, which the message has just verified. */
static uint64_t commit_term(const struct raft *raft, const struct raft_append *append) {
  if (append->commit_index > append->prev_index) return append->terms[append->commit_index - append->prev_index - 1];
  return raft_term_of(raft, append->commit_index);
}

/* The leader has committed an entry of its own term, so it knows of every commitment there ever was; and it speaks to
 * this life, so no acknowledgement of an earlier one will count from here on. */
static void prove(struct raft *raft, const struct raft_message *message, uint64_t verified, struct raft_output *out) {
  const struct raft_append *append = &message->as.append;
  if (raft->hard_state.proven || append->to_life != raft->life || append->commit_index > verified) return;
  if (append->commit_index < raft_base_index(raft)) return; /* late: a newer one will say so */
  if (commit_term(raft, append) != message->term) return;
  raft_set_hard_state(raft, out, raft->hard_state.term, raft->hard_state.voted_for, true);
}

void raft_handle_append(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  const struct raft_append *append = &message->as.append;
  if (!terms_are_sane(message) || !accept_leader(raft, message, out)) return;
  struct raft_message *reply = append_reply(raft, message, out);
  struct raft_append_reply *answer = &reply->as.append_reply;
  if (!prev_matches(raft, append, answer)) return;

  uint64_t verified = append->prev_index + append->entries_count;
  uint32_t present = entries_present(raft, append);
  bool appended = present < append->entries_count;
  if (appended) append_rest(raft, append, present, out);
  raft->verified_index = raft_max(raft->verified_index, raft_max(verified, raft->commit_index));
  raft_advance_commit(raft, raft_min(append->commit_index, verified));
  prove(raft, message, verified, out);

  answer->success = true;
  answer->proven = raft->hard_state.proven; /* of this life: the next one's mark is what is durable by then */
  if (appended) {
    answer->match_index = verified;
    reply->after_sync = raft_unsynced(raft, raft_everything(raft));
  } else {
    answer->match_index = raft_min(raft_max(verified, raft->commit_index), raft->durable_index);
  }
}

/* ---- snapshots ---- */

static struct raft_message *install_reply(struct raft *raft, const struct raft_message *request,
                                          struct raft_output *out) {
  struct raft_message *reply = raft_send(raft, out, RAFT_INSTALL_REPLY, request->from);
  CHECK(reply != NULL);
  reply->after_sync = raft_unsynced(raft, raft_everything(raft));
  reply->as.install_reply =
      (struct raft_install_reply){.index = request->as.install.index, .term = request->as.install.term};
  return reply;
}

void raft_refuse_install(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  install_reply(raft, message, out);
}

/* What is committed here, the snapshot does not tell anything new of. But that counts as done only when it is on the
 * disk. */
void raft_handle_install(struct raft *raft, const struct raft_message *message, struct raft_output *out) {
  const struct raft_install *install = &message->as.install;
  bool sane = install->index > 0 && install->term > 0 && install->term <= message->term;
  if (!sane || !accept_leader(raft, message, out)) return;
  if (install->index <= raft_min(raft->commit_index, raft->durable_index)) {
    install_reply(raft, message, out)->as.install_reply.done = true;
  } else if (install->index > raft->commit_index) {
    out->install = RAFT_INSTALL_TAKE;
  }
}

/* The log ends where the snapshot does: what was in it is not what was committed, or does not reach that far. */
static void reset_log(struct raft *raft, uint64_t index, uint64_t term, struct raft_output *out) {
  raft->truncate_sync = raft_sync_number(raft, out);
  raft->truncate_low = index + 1; /* until then, what a completion says of entries behind it is not of the new ones */
  raft->durable_index = index;    /* in the snapshot; what the disk held behind it is gone */
  raft->last_index = index;
  raft->last_term = term;
  out->install = RAFT_INSTALL_RESET;
}

/* What the owner remembers of it is disk work in any case. A leader holds whatever is committed, in its log. */
void raft_snapshot(struct raft *raft, uint64_t index, uint64_t term, struct raft_output *out) {
  raft_sync_number(raft, out);
  if (index <= raft->commit_index) return;
  if (index <= raft->last_index && raft_term_of(raft, index) == term) {
    out->install = RAFT_INSTALL_KEEP;
  } else if (raft->role != RAFT_LEADER) {
    reset_log(raft, index, term, out);
  } else {
    return;
  }
  raft->durable_index = raft_max(raft->durable_index, index);
  raft->verified_index = raft_max(raft->verified_index, index);
  raft_advance_commit(raft, index);
}
