--- Classic bugs of Raft implementations, as changes to this one: what `make mutants` plants, one at a time.
--
-- `seen` says where the bug, or one like it, was: a project with the commit that mended it, or the number of its issue.
-- `expect` names the detectors that may find it first (detectors.lua). What no campaign can see, since nothing goes
-- wrong but time is lost, or since it does not run that way, has a spec of its own: then `spec` is its file, and
-- `expect` is what must fail there. An edit is a file, a text that occurs in it exactly once, and what stands there
-- instead.

local CORE <const> = "src/raft/core/"
local NODE <const> = "src/raft/"

return {
  -- ---- votes, terms, elections ----
  {
    name = "vote-not-stored", seen = "willemt/raft@854a06d",
    bug = "term and vote are separate records, and the vote's is lost",
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
    name = "grant-before-durable", seen = "tarantool#8497",
    bug = "a vote is granted before it is on disk",
    expect = { "votes", "terms" },
    edits = { { CORE .. "election.c",
      "  reply->as.vote_reply.granted = granted;\n  reply->after_sync = raft_unsynced(raft, raft_everything(raft));",
      "  reply->as.vote_reply.granted = granted;" } },
  },
  {
    name = "request-before-durable", seen = "tarantool#8497",
    bug = "a candidate asks for votes before its own is on disk",
    expect = { "votes", "terms" },
    edits = { { CORE .. "election.c", "message->after_sync = pre ? 0 : raft_unsynced(raft, raft_everything(raft));",
      "message->after_sync = 0;" } },
  },
  {
    name = "store-error-ignored", seen = "hashicorp/raft@acdb4f6",
    bug = "a node goes on after its disk refused the term",
    expect = { "log end", "terms", "votes", "acknowledgement", "assertion", "progress" },
    edits = { { NODE .. "node_step.c",
      "  if (status != STATUS_OK) raftnode_fail(node);", "  (void)node;\n  (void)status;" } },
  },
  {
    name = "failed-sync-succeeds", seen = "rostam#94",
    bug = "a sync that failed is taken for done when it is tried again",
    expect = { "acknowledgement", "votes", "terms", "commitment" },
    edits = { { NODE .. "node.c",
      "  if (node->storage->ops->sync(node->storage, number) != STATUS_OK) raftnode_fail(node);",
      "  if (node->storage->ops->sync(node->storage, number) == STATUS_OK) return;\n"
        .. "  raftnode_synced(node, number, node->core.last_index, node->now_ms);" } },
  },
  {
    name = "first-node-is-nobody", seen = "willemt/raft@fe60545",
    bug = "a vote for the node with number 0 counts as no vote",
    expect = { "votes", "election safety" },
    edits = { { CORE .. "election.c",
      "  bool free_to_vote = state->voted_for == RAFT_NODE_NONE || state->voted_for == message->from;",
      "  bool free_to_vote = state->voted_for == RAFT_NODE_NONE || state->voted_for == 0 ||\n"
        .. "                      state->voted_for == message->from;" } },
  },
  {
    name = "vote-outlives-term", seen = "willemt/raft@bdabd1d",
    bug = "a later term does not free the vote",
    expect = { "liveness" },
    edits = { { CORE .. "election.c",
      "    raft_set_hard_state(raft, out, term, RAFT_NODE_NONE, raft->hard_state.proven);",
      "    raft_set_hard_state(raft, out, term, raft->hard_state.voted_for, raft->hard_state.proven);" } },
  },
  {
    name = "old-grant-counts", seen = "willemt/raft@b754309",
    bug = "a vote of an older term that comes late is counted",
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
    name = "any-log-will-do", seen = "canonical/raft#386",
    bug = "votes are given whatever the candidate's log is",
    expect = { "completeness" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n"
        .. "  return vote->last_index >= raft->last_index;",
      "  return vote->last_term <= RAFT_TERM_MAX || raft == NULL;" } },
  },
  {
    name = "longer-log-wins", seen = "canonical/raft#386",
    bug = "candidates are compared by the length of their logs only",
    expect = { "completeness" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n", "" } },
  },
  {
    name = "compares-durable-log", seen = "canonical/raft#386",
    bug = "a voter forgets entries whose acknowledgement waits for its disk",
    expect = { "completeness", "commitment", "state machine safety" },
    edits = { { CORE .. "election.c",
      "  if (vote->last_term != raft->last_term) return vote->last_term > raft->last_term;\n"
        .. "  return vote->last_index >= raft->last_index;",
      "  uint64_t term = raft_term_of(raft, raft->durable_index);\n"
        .. "  if (vote->last_term != term) return vote->last_term > term;\n"
        .. "  return vote->last_index >= raft->durable_index;" } },
  },
  {
    name = "half-is-a-quorum", seen = "hashicorp/raft@163a55f",
    bug = "half of an even cluster decides",
    expect = { "commitment", "election safety", "completeness", "stale read" },
    edits = { { CORE .. "raft.c",
      "  uint32_t quorum = raft_quorum(raft->config.nodes_count);\n"
        .. "  uint32_t minority = raft->config.nodes_count - quorum;",
      "  uint32_t quorum = (raft->config.nodes_count + 1) / 2u;\n"
        .. "  uint32_t minority = (raft->config.nodes_count - 1) / 2u;" } },
  },
  {
    name = "pre-candidates-refuse", seen = "canonical/raft@867cbf6",
    bug = "nodes that ask for pre-votes give none",
    expect = { "liveness" },
    edits = { { CORE .. "election.c", "message->term > raft->hard_state.term && !raft_leader_is_alive(raft) &&",
      "message->term > raft->hard_state.term && raft->role == RAFT_FOLLOWER && !raft_leader_is_alive(raft) &&" } },
  },
  {
    name = "leader-counts-unsynced", seen = "canonical/raft@3494fb4",
    bug = "a leader counts its own entries while they are still written",
    expect = { "commitment" },
    edits = { { CORE .. "leader.c", "decided_value(raft, raft->durable_index, false);",
      "decided_value(raft, raft->last_index, false);" } },
  },
  {
    name = "quorum-is-not-enough", seen = "tarantool#8698",
    bug = "exactly a quorum does not decide",
    expect = { "liveness" },
    edits = { { CORE .. "raft.c", "  return members_count >= quorum && (", "  return members_count > quorum && (" } },
  },
  {
    name = "no-pre-vote", seen = "willemt/raft@ab96a76",
    bug = "a node that comes back unseats a healthy leader",
    expect = { "calm", "liveness" },
    edits = {
      { CORE .. "election.c",
        "  if (raft->role != RAFT_PRE_CANDIDATE || raft->leader != RAFT_NODE_NONE) out->leader_changed = true;\n"
          .. "  raft->role = RAFT_PRE_CANDIDATE;",
        "  campaign(raft, out, false);\n  return;\n  raft->role = RAFT_PRE_CANDIDATE;" },
    },
  },
  {
    name = "pre-vote-beside-leader", seen = "willemt/raft@ab96a76",
    bug = "pre-votes and votes are given although a leader is alive",
    expect = { "calm" },
    edits = { { CORE .. "election.c",
      "  if (raft->role == RAFT_LEADER) return true; /* it steps down by itself when its quorum is gone */\n",
      "  if (raft->config.nodes_count > 0) return false;\n" } },
  },
  {
    name = "same-timeout-everywhere", seen = "hashicorp/raft@cda1ee8",
    bug = "every node waits equally long, so votes are split for ever",
    expect = { "liveness" },
    edits = { { CORE .. "election.c", "raft->config.election_min_ms + raft->random % range;",
      "raft->config.election_min_ms + 0 * raft->random * range;" } },
  },
  {
    name = "refused-vote-puts-off", seen = "the thesis, 3.4",
    bug = "whoever asks for a vote in a new term puts off the voter's own election, even when it is refused",
    spec = "spec/raft/core/election_spec.lua", expect = { "that is refused does not put it off" },
    edits = { { CORE .. "election.c",
      "  if (raft->role == RAFT_LEADER || leader != RAFT_NODE_NONE) raft_reset_election_timer(raft);",
      "  raft_reset_election_timer(raft);" } },
  },
  {
    name = "late-word-to-campaign", seen = "the thesis, 3.10",
    bug = "the word to campaign unseats a leader that has given the transfer up",
    spec = "spec/raft/core/transfer_spec.lua", expect = { "which does nothing when it comes late" },
    edits = { { CORE .. "election.c", "  if (!raft_leader_is_alive(raft)) return;\n", "" } },
  },
  {
    name = "fixed-leader-never-asks", seen = "NuRaft#185",
    bug = "a fixed leader that lost its log leads all the same",
    spec = "spec/raft/core/fixed_leader_spec.lua", expect = { "a restart with nothing leads nobody who has something" },
    edits = { { CORE .. "election.c",
      "  if (raft->config.fixed_leader == raft->config.self && raft->hard_state.proven) {",
      "  if (raft->config.fixed_leader == raft->config.self) {" } },
  },

  -- ---- replication and commitment ----
  {
    name = "commits-old-term", seen = "logcabin#44",
    bug = "an entry of an older term is committed by counting (figure 8)",
    expect = { "commitment" },
    edits = { { CORE .. "leader.c", "  if (index < raft->term_first_index) return;\n", "" } },
  },
  {
    name = "one-peer-counts-for-all", seen = "willemt/raft@05608a3",
    bug = "the match index of one peer counts for each",
    expect = { "commitment", "liveness" },
    edits = { { CORE .. "leader.c", "rounds ? peer->acked_round : peer->match_index;",
      "rounds ? peer->acked_round : raft->peers[raft->config.self == 0].match_index;" } },
  },
  {
    name = "commit-beyond-verified", seen = "etcd-io/raft@76f1249",
    bug = "a follower commits what the message has not verified",
    expect = { "state machine safety" },
    edits = { { CORE .. "follower.c", "raft_advance_commit(raft, raft_min(append->commit_index, verified));",
      "raft_advance_commit(raft, raft_min(append->commit_index, raft->last_index));" } },
  },
  {
    name = "commit-goes-back", seen = "etcd-io/raft@8ecce32",
    bug = "an older message takes the commit index back",
    expect = { "progress" },
    edits = { { CORE .. "raft.c", "  raft->commit_index = raft_max(raft->commit_index, index);",
      "  raft->commit_index = index;" } },
  },
  {
    name = "cuts-without-conflict", seen = "willemt/raft@396f7b7",
    bug = "a late message cuts entries that came after it",
    expect = { "commitment", "completeness", "append-only", "assertion", "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "    if (index > raft->last_index || raft_term_of(raft, index) != append->terms[present]) break;",
      "    if (index <= raft->last_index || index > raft->last_index) break;" } },
  },
  {
    name = "match-goes-back", seen = "willemt/raft@f8236e0",
    bug = "a late acknowledgement takes the match index back",
    expect = { "progress" },
    edits = { { CORE .. "leader.c", "  peer->match_index = raft_max(peer->match_index, match_index);",
      "  peer->match_index = match_index;" } },
  },
  {
    name = "keeps-wrong-entries", seen = "willemt/raft@3fc7f32",
    bug = "the terms of entries that are there already are not compared",
    expect = { "log matching", "commitment", "state machine safety" },
    edits = { { CORE .. "follower.c",
      "    if (index > raft->last_index || raft_term_of(raft, index) != append->terms[present]) break;",
      "    if (index > raft->last_index) break;" } },
  },
  {
    name = "no-consistency-check", seen = "willemt/raft@3fc7f32",
    bug = "the term before a message's entries is not compared",
    expect = { "log matching", "state machine safety", "commitment" },
    edits = { { CORE .. "follower.c",
      "  if (term == append->prev_term) return true;", "  if (term <= RAFT_TERM_MAX) return true;" } },
  },
  {
    name = "acks-before-durable", seen = "canonical/raft@857e17e",
    bug = "a follower acknowledges entries that are not on disk",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "    answer->match_index = verified;\n    reply->after_sync = raft_unsynced(raft, raft_everything(raft));",
      "    answer->match_index = verified;" } },
  },
  {
    name = "heartbeat-claims-unsynced", seen = "canonical/raft@857e17e",
    bug = "the answer to a heartbeat claims entries that are not on disk",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "    answer->match_index = raft_min(raft_max(verified, raft->commit_index), raft->durable_index);",
      "    answer->match_index = raft_max(verified, raft->commit_index);" } },
  },
  {
    name = "sync-of-cut-entries", seen = "cockroach#63302",
    bug = "a sync of entries that were cut since counts for those in their place",
    expect = { "acknowledgement", "commitment" },
    edits = { { CORE .. "raft.c",
      "      index = raft_min(index, raft->truncate_low - 1);", "      index = raft_max(index, 0);" } },
  },
  {
    name = "acks-over-a-gap", seen = "oxia#1239",
    bug = "an empty log acknowledges entries that do not begin at 1",
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
    name = "new-leader-cuts-all", seen = "CCF#5674",
    bug = "a follower of a new leader drops all that is not committed",
    expect = { "commitment", "completeness", "assertion" },
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
    name = "old-ack-counts", seen = "tarantool#7253",
    bug = "an acknowledgement of an older term is counted",
    expect = { "commitment", "completeness", "liveness" },
    edits = { { CORE .. "raft.c", "    return message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre;",
      "    return message->type == RAFT_APPEND_REPLY ||\n"
        .. "           (message->type == RAFT_VOTE_REPLY && message->as.vote_reply.pre);" } },
  },
  {
    name = "transfer-never-ends", seen = "etcd-io/raft@a370b6f",
    bug = "a hand-over that failed leaves proposals refused for ever",
    expect = { "liveness", "calm" },
    edits = { { CORE .. "leader.c",
      "  if (raft->transfer_to != RAFT_NODE_NONE && raft->now_ms >= raft->transfer_deadline_ms) {",
      "  if (raft->transfer_to != RAFT_NODE_NONE && raft->transfer_deadline_ms == 0) {" } },
  },
  {
    name = "inflight-not-reset", seen = "etcd-io/raft@e419ba5",
    bug = "what was in flight to a lost link counts for ever",
    expect = { "liveness", "calm" },
    edits = { { CORE .. "leader.c", "  peer->inflight_count = 0;\n", "" } },
  },
  {
    name = "entry-changes-in-flight", seen = "redisraft@baa72db",
    bug = "the bytes of an entry change while it is sent",
    expect = { "log matching" },
    edits = { { NODE .. "node_step.c", "static void encode_visited(void *context, const struct log_entry *entry) {\n",
      "static void encode_visited(void *context, const struct log_entry *entry) {\n"
        .. "  if (entry->command.len > 250) ((uint8_t"
          .. " *)(uintptr_t)entry->command.data)[entry->command.len - 1] ^= 1;\n" } },
  },
  {
    name = "leader-never-steps-down", seen = "sofa-jraft#34",
    bug = "a leader that lost its quorum goes on leading",
    expect = { "liveness" },
    edits = { { CORE .. "leader.c",
      "  if (raft->config.fixed_leader == RAFT_NODE_NONE && !quorum_is_in_contact(raft)) {",
      "  if (raft->config.fixed_leader == raft->config.self && !quorum_is_in_contact(raft)) {" } },
  },
  {
    name = "indices-wrap-around", seen = "etcd-io/raft@8746360b",
    bug = "the end of a message's entries wraps around",
    spec = "spec/raft/core/follower_spec.lua", expect = { "indices that wrap around" },
    edits = { { CORE .. "follower.c",
      "  if (append->prev_index > UINT64_MAX - append->entries_count) return false;\n", "" } },
  },
  {
    name = "fixed-leader-commits-unsynced", seen = "etcd#14370",
    bug = "a fixed leader commits what its disk may lose, and restarts without it",
    spec = "spec/raft/core/fixed_leader_spec.lua", expect = { "nothing is committed that its own disk could lose" },
    edits = { { CORE .. "leader.c",
      "  if (raft->config.fixed_leader != RAFT_NODE_NONE) index = raft_min(index, raft->durable_index);\n", "" } },
  },

  -- ---- reads ----
  {
    name = "reads-before-noop", seen = "etcd-io/raft@f9382a4",
    bug = "a new leader answers reads before its term has a committed entry",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c",
      "  if (raft->role != RAFT_LEADER || raft->commit_index < raft->term_first_index) return;\n  raft->round++;",
      "  if (raft->role != RAFT_LEADER) return;\n  raft->round++;" } },
  },
  {
    name = "round-used-twice", seen = "etcd#20418",
    bug = "an acknowledgement of an earlier round confirms a later read",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "peer->acked_round = raft_max(peer->acked_round, reply->round);",
      "peer->acked_round = raft->round;" } },
  },
  {
    name = "reads-share-old-round", seen = "etcd#20418",
    bug = "a read joins a round that left before it came",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "  raft->round++;\n  if (raft->config.nodes_count == 1)",
      "  if (raft->round == 0) raft->round++;\n  if (raft->config.nodes_count == 1)" } },
  },
  {
    name = "reads-unasked", seen = "redisraft#19",
    bug = "a leader answers from memory without asking anybody",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "  uint64_t confirmed = node->core.confirmed_round;",
      "  uint64_t confirmed = node->core.round;" } },
  },
  {
    name = "lease-reads", seen = "consul",
    bug = "reads trust a lease of an election timeout, whatever the clocks do",
    expect = { "stale read" },
    edits = { { CORE .. "leader.c", "  if (raft->config.nodes_count == 1) raft->confirmed_round = raft->round;",
      "  if (quorum_is_in_contact(raft)) raft->confirmed_round = raft->round;" } },
  },
  {
    name = "reads-before-applied", seen = "etcd#3879",
    bug = "reads are answered before their index is applied",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "    if (wait_of(link)->index > node->last_applied) continue;\n", "" } },
  },
  {
    name = "unconfirmed-forwarded-read", seen = "etcd-io/raft@06b9fc9",
    bug = "a deposed leader answers forwarded reads that nobody confirmed",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "    answer_remote(node, (struct remote_read *)(void *)reads->next, false);",
      "    answer_remote(node, (struct remote_read *)(void *)reads->next, true);" } },
  },
  {
    name = "answer-to-an-earlier-life", seen = "etcd-io/raft@06b9fc9",
    bug = "a forwarded read's answer to an earlier life of the asker is taken",
    expect = { "stale read" },
    edits = { { NODE .. "node_read.c", "reply->to_life != node->core.life || ", "" } },
  },
  {
    name = "refusal-echoes-round", seen = "the thesis, 6.4",
    bug = "a refusal across terms echoes the round of another term, which confirms reads of this one",
    spec = "spec/raft/core/lives_spec.lua",
    expect = { "does not take the round of an earlier term of its own for one of this term" },
    edits = { { CORE .. "follower.c", "append_reply(raft, message, out)->as.append_reply.round = 0;",
      "append_reply(raft, message, out);" } },
  },
  {
    name = "late-word-is-a-new-life", seen = "NuRaft#185",
    bug = "the late word of a life that is over, and that the leader never heard of, is taken for a newer one",
    spec = "spec/raft/core/lives_spec.lua", expect = { "commits nothing" },
    edits = { { CORE .. "leader.c",
      "if (known && reply->round < peer->life_round) {", "if (known && raft == NULL) {" } },
  },
  {
    name = "founder-counts-any-life", seen = "NuRaft#185",
    bug = "a first leader counts a peer that has lost its memory since",
    spec = "spec/raft/core/unproven_spec.lua", expect = { "does not count a voter that has started anew since" },
    edits = { { CORE .. "raft.c",
      "if (raft->role != RAFT_LEADER) raft->peers[message->from].early_life = message->life;",
      "raft->peers[message->from].early_life = message->life;" } },
  },
  {
    name = "reads-bypass-log", seen = "dqlite#258",
    bug = "linearizable reads are answered from local memory",
    expect = { "stale read" },
    edits = { { "src/distributedkv/distributedkv.c",
      "  if (policy == READ_POLICY_STALE) return wait_for(request, request->min_index);",
      "  if (policy == READ_POLICY_STALE || dkv != NULL) return wait_for(request, request->min_index);" } },
  },

  -- ---- disk ----
  {
    name = "disk-keeps-later-write", seen = "etcd#6378",
    bug = "a crash leaves a term and vote, but not the entries that were written before them",
    expect = { "disk" },
    edits = { { NODE .. "storage/memory.c", "    storage->hard_state = change->before;\n", "" } },
  },
  {
    name = "lost-log-votes", seen = "NuRaft#185",
    bug = "a node that lost its log counts like any other",
    expect = { "completeness", "commitment", "votes", "election safety", "log matching" },
    edits = { { CORE .. "raft.c",
      "  return members_count >= quorum && (proven_count > minority || members_count > 2 * minority);",
      "  return members_count >= quorum && (proven_count + minority > 0);" } },
  },
}
