--- Classic bugs of Raft implementations, as changes to this one: what `make mutants` plants, one at a time.
--
-- `row` is the row of the catalogue of known bugs that the mutant stands for, its letter the section (A votes, terms,
-- elections; B replication and commitment; C reads; D disk). `expect` names the detectors that may find it first
-- (detectors.lua). An edit is a file, a text that occurs in it exactly once, and what stands there instead.

local CORE <const> = "src/raft/core/"
local NODE <const> = "src/raft/"

return {
  -- ---- A. votes, terms, elections ----
  {
    name = "vote-not-stored", row = "A1", bug = "term and vote are separate records, and the vote's is lost",
    expect = { "votes" },
    edits = { { NODE .. "node_step.c",
      [[
  if (out->hard_state_changed)
    must_store(node, node->storage->stable->ops->save(node->storage->stable, &out->hard_state));
]], [[
  if (out->hard_state_changed) {
    struct raft_hard_state stored = {out->hard_state.term, RAFT_NODE_NONE, out->hard_state.proven};
    must_store(node, node->storage->stable->ops->save(node->storage->stable, &stored));
  }
]] } },
  },
  {
    name = "grant-before-durable", row = "A2", bug = "a vote is granted before it is on disk",
    expect = { "votes", "terms" },
    edits = { { CORE .. "election.c",
      "  reply->as.vote_reply.granted = granted;\n  reply->after_sync = raft_unsynced(raft, raft_everything(raft));",
      "  reply->as.vote_reply.granted = granted;" } },
  },
  {
    name = "request-before-durable", row = "A2", bug = "a candidate asks for votes before its own is on disk",
    expect = { "votes", "terms" },
    edits = { { CORE .. "election.c", "message->after_sync = pre ? 0 : raft_unsynced(raft, raft_everything(raft));",
      "message->after_sync = 0;" } },
  },
  {
    name = "store-error-ignored", row = "A3", bug = "a node goes on after its disk refused the term",
    expect = { "log end", "terms", "votes", "acknowledgement", "assertion" },
    edits = { { NODE .. "node_step.c",
      "  if (status != STATUS_OK) raftnode_fail(node);", "  (void)node;\n  (void)status;" } },
  },
  {
    name = "failed-sync-succeeds", row = "A4", bug = "a sync that failed is taken for done when it is tried again",
    expect = { "acknowledgement", "votes", "terms", "commitment" },
    edits = { { NODE .. "node.c",
      "  if (node->storage->ops->sync(node->storage, number) != STATUS_OK) raftnode_fail(node);",
      "  if (node->storage->ops->sync(node->storage, number) == STATUS_OK) return;\n"
        .. "  raftnode_synced(node, number, node->core.last_index, node->now_ms);" } },
  },
  {
    name = "first-node-is-nobody", row = "A5", bug = "a vote for the node with number 0 counts as no vote",
    expect = { "votes", "election safety" },
    edits = { { CORE .. "election.c",
      "  bool free_to_vote = state->voted_for == RAFT_NODE_NONE || state->voted_for == message->from;",
      "  bool free_to_vote = state->voted_for == RAFT_NODE_NONE || state->voted_for == 0 ||\n"
        .. "                      state->voted_for == message->from;" } },
  },
  {
    name = "vote-outlives-term", row = "A6", bug = "a later term does not free the vote",
    expect = { "liveness" },
    edits = { { CORE .. "election.c",
      "    raft_set_hard_state(raft, out, term, RAFT_NODE_NONE, raft->hard_state.proven);",
      "    raft_set_hard_state(raft, out, term, raft->hard_state.voted_for, raft->hard_state.proven);" } },
  },
  {
    name = "old-grant-counts", row = "A7", bug = "a vote of an older term that comes late is counted",
    expect = { "election safety", "completeness" },
    edits = {
      { CORE .. "raft.c", "    return message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre;",
        "    return message->type == RAFT_VOTE_REPLY;" },
      { CORE .. "election.c",
        "  if (raft->role != asking || reply->vote_term != asked_term || !reply->granted) return;",
        "  (void)asked_term;\n  if (raft->role != asking || !reply->granted) return;" },
    },
  },
  {
    name = "any-log-will-do", row = "A8", bug = "votes are given whatever the candidate's log is",
    expect = { "completeness" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n"
        .. "  return vote->last_index >= raft->last_index;",
      "  return vote->last_term <= RAFT_TERM_MAX || raft == NULL;" } },
  },
  {
    name = "longer-log-wins", row = "A8", bug = "candidates are compared by the length of their logs only",
    expect = { "completeness" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n", "" } },
  },
  {
    name = "compares-durable-log", row = "A8", bug = "a voter forgets entries whose acknowledgement waits for its disk",
    expect = { "completeness", "commitment" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n"
        .. "  return vote->last_index >= raft->last_index;",
      "  uint64_t term = raft_term_of(raft, raft->durable_index);\n"
        .. "  if (vote->last_term != term) return vote->last_term > term;\n"
        .. "  return vote->last_index >= raft->durable_index;" } },
  },
  {
    name = "half-is-a-quorum", row = "A9", bug = "half of an even cluster decides",
    expect = { "commitment", "election safety", "completeness", "stale read" },
    edits = { { CORE .. "raft.c",
      "  uint32_t quorum = raft_quorum(raft->config.nodes_count);\n"
        .. "  uint32_t minority = raft->config.nodes_count - quorum;",
      "  uint32_t quorum = (raft->config.nodes_count + 1) / 2u;\n"
        .. "  uint32_t minority = (raft->config.nodes_count - 1) / 2u;" } },
  },
  {
    name = "pre-candidates-refuse", row = "A12", bug = "nodes that ask for pre-votes give none",
    expect = { "liveness" },
    edits = { { CORE .. "election.c", "message->term > raft->hard_state.term && !raft_leader_is_alive(raft) &&",
      "message->term > raft->hard_state.term && raft->role == RAFT_FOLLOWER && !raft_leader_is_alive(raft) &&" } },
  },
  {
    name = "leader-counts-unsynced", row = "A13", bug = "a leader counts its own entries while they are still written",
    expect = { "commitment" },
    edits = { { CORE .. "leader.c", "decided_value(raft, raft->durable_index, false);",
      "decided_value(raft, raft->last_index, false);" } },
  },
  {
    name = "quorum-is-not-enough", row = "A14", bug = "exactly a quorum does not decide",
    expect = { "liveness" },
    edits = { { CORE .. "raft.c", "  return members_count >= quorum && (", "  return members_count > quorum && (" } },
  },
  {
    name = "no-pre-vote", row = "A15", bug = "a node that comes back unseats a healthy leader",
    expect = { "calm" },
    edits = {
      { CORE .. "election.c",
        "  if (raft->role != RAFT_PRE_CANDIDATE || raft->leader != RAFT_NODE_NONE) out->leader_changed = true;\n"
          .. "  raft->role = RAFT_PRE_CANDIDATE;",
        "  campaign(raft, out, false);\n  return;\n  raft->role = RAFT_PRE_CANDIDATE;" },
    },
  },
  {
    name = "pre-vote-beside-leader", row = "A15", bug = "pre-votes and votes are given although a leader is alive",
    expect = { "calm" },
    edits = { { CORE .. "election.c",
      "  if (raft->role == RAFT_LEADER) return true; /* it steps down by itself when its quorum is gone */\n",
      "  if (raft->config.nodes_count > 0) return false;\n" } },
  },

  -- ---- B. replication and commitment ----
  {
    name = "commits-old-term", row = "B16", bug = "an entry of an older term is committed by counting (figure 8)",
    expect = { "commitment" },
    edits = { { CORE .. "leader.c", "  if (index < raft->term_first_index) return;\n", "" } },
  },
  {
    name = "one-peer-counts-for-all", row = "B17", bug = "the match index of one peer counts for each",
    expect = { "commitment" },
    edits = { { CORE .. "leader.c", "rounds ? peer->acked_round : peer->match_index;",
      "rounds ? peer->acked_round : raft->peers[raft->config.self == 0].match_index;" } },
  },
  {
    name = "commit-beyond-verified", row = "B18", bug = "a follower commits what the message has not verified",
    expect = { "state machine safety" },
    edits = { { CORE .. "follower.c", "raft_advance_commit(raft, raft_min(append->commit_index, verified));",
      "raft_advance_commit(raft, raft_min(append->commit_index, raft->last_index));" } },
  },
  {
    name = "commit-goes-back", row = "B19", bug = "an older message takes the commit index back",
    expect = { "progress" },
    edits = { { CORE .. "raft.c", "  raft->commit_index = raft_max(raft->commit_index, index);",
      "  raft->commit_index = index;" } },
  },
  {
    name = "cuts-without-conflict", row = "B20", bug = "a late message cuts entries that came after it",
    expect = { "commitment", "completeness", "append-only", "assertion" },
    edits = { { CORE .. "follower.c",
      "    if (index > raft->last_index || raft_term_of(raft, index) != append->terms[present]) break;",
      "    if (index <= raft->last_index || index > raft->last_index) break;" } },
  },
  {
    name = "match-goes-back", row = "B21", bug = "a late acknowledgement takes the match index back",
    expect = { "progress" },
    edits = { { CORE .. "leader.c", "  peer->match_index = raft_max(peer->match_index, match_index);",
      "  peer->match_index = match_index;" } },
  },
  {
    name = "keeps-wrong-entries", row = "B22", bug = "the terms of entries that are there already are not compared",
    expect = { "log matching", "commitment" },
    edits = { { CORE .. "follower.c",
      "    if (index > raft->last_index || raft_term_of(raft, index) != append->terms[present]) break;",
      "    if (index > raft->last_index) break;" } },
  },
  {
    name = "no-consistency-check", row = "B22", bug = "the term before a message's entries is not compared",
    expect = { "log matching", "state machine safety", "commitment" },
    edits = { { CORE .. "follower.c",
      "  if (term == append->prev_term) return true;", "  if (term <= RAFT_TERM_MAX) return true;" } },
  },
  {
    name = "acks-before-durable", row = "B23", bug = "a follower acknowledges entries that are not on disk",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "    answer->match_index = verified;\n    reply->after_sync = raft_unsynced(raft, raft_everything(raft));",
      "    answer->match_index = verified;" } },
  },
  {
    name = "heartbeat-claims-unsynced", row = "B23",
    bug = "the answer to a heartbeat claims entries that are not on disk",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "    answer->match_index = raft_min(raft_max(verified, raft->commit_index), raft->durable_index);",
      "    answer->match_index = raft_max(verified, raft->commit_index);" } },
  },
  {
    name = "sync-of-cut-entries", row = "B24",
    bug = "a sync of entries that were cut since counts for those in their place",
    expect = { "acknowledgement", "commitment" },
    edits = { { CORE .. "raft.c",
      "      index = raft_min(index, raft->truncate_low - 1);", "      index = raft_max(index, 0);" } },
  },
  {
    name = "acks-over-a-gap", row = "B25", bug = "an empty log acknowledges entries that do not begin at 1",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c", "  if (!prev_matches(raft, append, answer)) return;\n",
      [[
  if (raft->last_index == 0 && append->prev_index > 0) {
    answer->success = true;
    answer->match_index = append->prev_index + append->entries_count;
    return;
  }
  if (!prev_matches(raft, append, answer)) return;
]] } },
  },
  {
    name = "new-leader-cuts-all", row = "B26", bug = "a follower of a new leader drops all that is not committed",
    expect = { "commitment", "completeness" },
    edits = {
      { CORE .. "follower.c", "static bool accept_leader(struct raft *raft,",
        "static void truncate_from(struct raft *raft, uint64_t index, struct raft_output *out);\n"
          .. "static bool accept_leader(struct raft *raft," },
      { CORE .. "follower.c",
        "  raft_become_follower(raft, out, message->term, message->from);\n  raft->leader_contact_ms",
        "  if (raft->leader != message->from && raft->last_index > raft->commit_index) {\n"
          .. "    truncate_from(raft, raft->commit_index + 1, out);\n  }\n"
          .. "  raft_become_follower(raft, out, message->term, message->from);\n  raft->leader_contact_ms" },
    },
  },
  {
    name = "old-ack-counts", row = "B27", bug = "an acknowledgement of an older term is counted",
    expect = { "commitment", "completeness", "liveness" },
    edits = { { CORE .. "raft.c", "    return message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre;",
      "    return message->type == RAFT_APPEND_REPLY ||\n"
        .. "           (message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre);" } },
  },
  {
    name = "transfer-never-ends", row = "B30", bug = "a hand-over that failed leaves proposals refused for ever",
    expect = { "liveness", "calm" },
    edits = { { CORE .. "leader.c",
      "  if (raft->transfer_to != RAFT_NODE_NONE && raft->now_ms >= raft->transfer_deadline_ms) {",
      "  if (raft->transfer_to != RAFT_NODE_NONE && raft->transfer_deadline_ms == 0) {" } },
  },
  {
    name = "inflight-not-reset", row = "B31", bug = "what was in flight to a lost link counts for ever",
    expect = { "liveness", "calm" },
    edits = { { CORE .. "leader.c", "  peer->inflight_count = 0;\n", "" } },
  },
  {
    name = "entry-changes-in-flight", row = "B33", bug = "the bytes of an entry change while it is sent",
    expect = { "log matching" },
    edits = { { NODE .. "node_step.c", "static void encode_visited(void *context, const struct log_entry *entry) {\n",
      "static void encode_visited(void *context, const struct log_entry *entry) {\n"
        .. "  if (entry->command.len > 250) ((uint8_t"
          .. " *)(uintptr_t)entry->command.data)[entry->command.len - 1] ^= 1;\n" } },
  },
  {
    name = "leader-never-steps-down", row = "C38", bug = "a leader that lost its quorum goes on leading",
    expect = { "liveness" },
    edits = { { CORE .. "leader.c",
      "  if (raft->config.fixed_leader == RAFT_NODE_NONE && !quorum_is_in_contact(raft)) {",
      "  if (raft->config.fixed_leader == raft->config.self && !quorum_is_in_contact(raft)) {" } },
  },

  -- ---- C. reads ----
  {
    name = "reads-before-noop", row = "C34", bug = "a new leader answers reads before its term has a committed entry",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c",
      "  if (raft->role != RAFT_LEADER || raft->commit_index < raft->term_first_index) return;\n  raft->round++;",
      "  if (raft->role != RAFT_LEADER) return;\n  raft->round++;" } },
  },
  {
    name = "round-used-twice", row = "C35", bug = "an acknowledgement of an earlier round confirms a later read",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "peer->acked_round = raft_max(peer->acked_round, reply->round);",
      "peer->acked_round = raft->round;" } },
  },
  {
    name = "reads-share-old-round", row = "C35", bug = "a read joins a round that left before it came",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "  raft->round++;\n  if (raft->config.nodes_count == 1)",
      "  if (raft->round == 0) raft->round++;\n  if (raft->config.nodes_count == 1)" } },
  },
  {
    name = "reads-unasked", row = "C36", bug = "a leader answers from memory without asking anybody",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "  uint64_t confirmed = node->core.confirmed_round;",
      "  uint64_t confirmed = node->core.round;" } },
  },
  {
    name = "lease-reads", row = "C37", bug = "reads trust a lease of an election timeout, whatever the clocks do",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "  if (raft->config.nodes_count == 1) raft->confirmed_round = raft->round;",
      "  if (quorum_is_in_contact(raft)) raft->confirmed_round = raft->round;" } },
  },
  {
    name = "reads-before-applied", row = "C40", bug = "reads are answered before their index is applied",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "    if (wait_of(link)->index > node->last_applied) continue;\n", "" } },
  },
  {
    name = "unconfirmed-forwarded-read", row = "C41",
    bug = "a deposed leader answers forwarded reads that nobody confirmed",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "    answer_remote(node, (struct remote_read *)(void *)reads->next, false);",
      "    answer_remote(node, (struct remote_read *)(void *)reads->next, true);" } },
  },
  {
    name = "answer-to-an-earlier-life", row = "C41",
    bug = "a forwarded read's answer to an earlier life of the asker is taken",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "reply->to_life != node->core.life || ", "" } },
  },
  {
    name = "reads-bypass-log", row = "C42", bug = "linearizable reads are answered from local memory",
    expect = { "stale read" },
    edits = { { "src/distributedkv/distributedkv.c",
      "  if (policy == READ_POLICY_STALE) return wait_for(request, request->min_index);",
      "  if (policy == READ_POLICY_STALE || dkv != NULL) return wait_for(request, request->min_index);" } },
  },

  -- ---- D. disk ----
  {
    name = "lost-log-votes", row = "D55", bug = "a node that lost its log counts like any other",
    expect = { "completeness", "commitment", "votes", "election safety" },
    edits = { { CORE .. "raft.c",
      "  return members_count >= quorum && (proven_count > minority || members_count > 2 * minority);",
      "  return members_count >= quorum && (proven_count + minority > 0);" } },
  },
}
