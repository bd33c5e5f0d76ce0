--- Classic bugs of Raft implementations, as changes to this one: what `make mutants` plants, one at a time.
--
-- `seen` says where the bug, or one like it, was: a project with the commit that mended it, or the number of its issue.
-- `expect` names the detectors that may find it first (detectors.lua). What no campaign can see, since nothing goes
-- wrong but time is lost, or since it does not run that way, has a spec of its own: then `spec` is its file, and
-- `expect` is what must fail there. An edit is a file, a text that occurs in it exactly once, and what stands there
-- instead.

local CORE <const> = "src/raft/core/"
local NODE <const> = "src/raft/"
local STORE <const> = "src/raft/storage/"

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
    edits = {
      { NODE .. "node_step.c", "  if (status != STATUS_OK) raftnode_fail(node);", "  (void)node;\n  (void)status;" },
      { NODE .. "node.c", "  if (node->storage->ops->failed(node->storage)) raftnode_fail(node);\n", "" },
      { NODE .. "node.c",
        "  if (node->storage->ops->sync(node->storage, number) != STATUS_OK) raftnode_fail(node);",
        "  (void)node->storage->ops->sync(node->storage, number);" },
    },
  },
  {
    name = "failed-sync-succeeds", seen = "rostam#94",
    bug = "a sync that failed is taken for done when it is tried again",
    expect = { "disk", "acknowledgement", "votes", "terms", "commitment" },
    edits = { { STORE .. "wal.c", "  if (wal->job.status != STATUS_OK) {",
      "  if (wal->job.status != STATUS_OK && wal->job.starts_segment) {" } },
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
    bug = "a crash of the stores in memory leaves a term and vote, but not the entries that were written before them",
    spec = "spec/raft/storage/memory_spec.lua", expect = { "is back at the last sync that was completed" },
    edits = { { STORE .. "memory.c", "    storage->hard_state = change->before;\n", "" } },
  },
  {
    name = "acks-failed-sync", seen = "cockroach#37102",
    bug = "a sync of the log that failed counts as done",
    expect = { "disk", "acknowledgement" },
    edits = { { STORE .. "wal_job.c",
      "  status = job->disk->ops->sync(job->disk, job->file, &job->err);",
      "  (void)job->disk->ops->sync(job->disk, job->file, &job->err);" } },
  },
  {
    name = "job-without-sync", seen = "etcd#14370",
    bug = "a batch counts as durable once it is written",
    expect = { "disk" },
    edits = { { STORE .. "wal_job.c",
      "  status = job->disk->ops->sync(job->disk, job->file, &job->err);\n", "" } },
  },
  {
    name = "segment-without-sync", seen = "etcd#14370",
    bug = "a new segment is used without a sync of its head and first batch",
    expect = { "disk" },
    edits = { { STORE .. "wal_files.c", "  return status == STATUS_OK ? disk->ops->sync(disk, file, err) : status;",
      "  return status;" } },
  },
  {
    name = "segment-name-not-durable", seen = "etcd#6368",
    bug = "the directory is not synced when a segment gets its name",
    expect = { "disk" },
    edits = { { STORE .. "wal_files.c",
      "  if (status == STATUS_OK) status = disk->ops->sync_directory(disk, WAL_DIRECTORY, err);\n", "" } },
  },
  {
    name = "head-without-hard-state", seen = "braft@04092b2",
    bug = "segments do not carry the hard state, so it goes with the segment that has it",
    expect = { "disk" },
    edits = {
      { STORE .. "wal.c", "                           .start = wal->given};",
        "                           .start = wal->given};\n}\n\n"
          .. "static struct wal_head head_without_state(struct wal *wal) {\n"
          .. "  struct wal_head head = wal_next_head(wal);\n"
          .. "  head.start.hard_state = (struct raft_hard_state){.voted_for = RAFT_NODE_NONE};\n  return head;" },
      { STORE .. "wal.c", "  job->head = wal_next_head(wal);", "  job->head = head_without_state(wal);" },
      { STORE .. "wal_recover.c", " || !wal_state_equal(&head->start, &scan->end.state)", "" },
      { STORE .. "wal_recover.c", "  found->start_last_index = head->start.last_index;",
        "  if (at > 0) reader->head.start.hard_state = scan->end.state.hard_state;\n"
          .. "  found->start_last_index = head->start.last_index;" },
    },
  },
  {
    name = "life-used-twice", seen = "the log's format",
    bug = "a segment's life is not fresh, so its file's earlier batches look like its own",
    expect = { "disk" },
    edits = { { STORE .. "wal_format.c",
      "uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check) {",
      "uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check) {\n"
        .. "  if (sequence > 0) return 1;" } },
  },
  {
    name = "stale-batches-replayed", seen = "the log's format",
    bug = "nothing tells the batches of a file's earlier life from its own",
    expect = { "disk" },
    edits = {
      { STORE .. "wal_format.c", "uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check) {",
        "uint64_t wal_life(uint64_t random, uint64_t sequence, uint64_t previous_check) {\n"
          .. "  if (sequence > 0) return 1;" },
      { STORE .. "wal_recover.c",
        "    if (!wal_batch_decode(bytes, reader->head.life, &batch) || batch.previous != scan->end.check)",
        "    if (!wal_batch_decode(bytes, reader->head.life, &batch))" },
    },
  },
  {
    name = "chain-not-followed", seen = "braft@10cd9e3",
    bug = "a batch need not follow the one before it",
    spec = "spec/raft/storage/wal_damage_spec.lua", expect = { "is damage, however valid it is by itself" },
    edits = { { STORE .. "wal_recover.c",
      "    if (!wal_batch_decode(bytes, reader->head.life, &batch) || batch.previous != scan->end.check)",
      "    if (!wal_batch_decode(bytes, reader->head.life, &batch))" } },
  },
  {
    name = "torn-batch-replayed", seen = "etcd#11488",
    bug = "what is there of a torn batch is replayed",
    expect = { "disk" },
    edits = { { STORE .. "wal_format.c",
      "  if (check != hash64_of(bytes_make(at.data + CHECKED_AT, checked), life)) return false;\n",
      "  (void)checked;\n" } },
  },
  {
    name = "torn-tail-is-damage", seen = "etcd#3065",
    bug = "a log that ends with a torn batch is refused",
    expect = { "disk" },
    edits = { { STORE .. "wal_recover.c", "  scan->verdict = scan->cut_bytes > 0 ? WAL_TORN",
      "  if (scan->cut_bytes > 0) return damaged(reader, sequence, scan->offset, \"it is torn\");\n"
        .. "  scan->verdict = scan->cut_bytes > 0 ? WAL_TORN" } },
  },
  {
    name = "last-batch-believed", seen = "turso#3077",
    bug = "recovery builds on a batch that only the system's memory may hold, after a sync that failed",
    expect = { "disk" },
    edits = {
      { STORE .. "wal_recover.c",
        "  if (reader->sealed || scan->settled.offset == scan->end.offset) return STATUS_OK;",
        "  scan->settled = scan->end;\n  if (reader->file != NULL) return STATUS_OK;" },
    },
  },
  {
    name = "failed-spare-used", seen = "cockroach#37102",
    bug = "a spare whose sync failed when it was to become a segment is used for the next one",
    expect = { "disk" },
    edits = { { STORE .. "wal_open.c", " || scan->spares[i].sequence > wal->sequence", "" } },
  },
  {
    name = "cut-lost-on-replay", seen = "etcd#22442",
    bug = "replay ignores that entries were overwritten",
    expect = { "assertion", "disk" },
    edits = { { STORE .. "wal_open.c", "  wal_log_cut(&wal->log, record->index, record->term);\n", "" } },
  },
  {
    name = "cut-not-written", seen = "etcd#22442",
    bug = "a cut leaves no record, so what was cut comes back",
    spec = "spec/raft/storage/wal_crash_spec.lua", expect = { "holds after any crash what was synced" },
    edits = { { STORE .. "wal_store.c", "  wal_put_entries_head(wal_records(wal), index, term, 0);\n", "" } },
  },
  {
    name = "reset-not-written", seen = "redisraft#43",
    bug = "a log that gave way to a snapshot leaves no record of that",
    expect = { "disk" },
    edits = { { STORE .. "wal_store.c", "  wal_put_mark(wal_records(wal), WAL_RESET, index, term);\n", "" } },
  },
  {
    name = "segment-dropped-early", seen = "redisraft#43",
    bug = "a segment goes before it is durable that a snapshot covers it",
    expect = { "disk" },
    edits = { { STORE .. "wal.c", "  return end <= wal->log.base_index && end <= wal->durable.snapshot_index;",
      "  return end <= wal->log.base_index;" } },
  },
  {
    name = "needed-segment-recycled", seen = "braft@10cd9e3",
    bug = "a segment becomes a spare although entries of the log are in it",
    expect = { "disk", "assertion", "storage failed" },
    edits = { { STORE .. "wal.c", "  return end <= wal->log.base_index && end <= wal->durable.snapshot_index;",
      "  return end <= wal->durable.snapshot_index;" } },
  },
  {
    name = "old-name-not-gone", seen = "braft@10cd9e3",
    bug = "an old segment's file is written to while its old name may come back",
    spec = "spec/raft/storage/wal_crash_spec.lua",
    expect = { "writes into an old segment only when its old name is gone for good" },
    edits = { { STORE .. "wal_job.c",
      "  if (job->status == STATUS_OK) job->status = job->disk->ops->sync_directory("
        .. "job->disk, WAL_DIRECTORY, &job->err);\n",
      "" } },
  },
  {
    name = "full-disk-is-success", seen = "canonical/raft@250df1a",
    bug = "a spare for which there was no room counts as made",
    expect = { "storage failed" },
    edits = { { STORE .. "wal.c",
      "  wal->disk_full = job->kind == WAL_SPARE_MAKE && job->status == STATUS_DISK_FULL;",
      "  if (job->status == STATUS_DISK_FULL) job->status = STATUS_OK;\n  wal->disk_full = false;" } },
  },
  {
    name = "full-disk-fails-node", seen = "etcd#2819",
    bug = "a full disk ends a node that could wait for room",
    expect = { "storage failed" },
    edits = { { STORE .. "wal.c",
      "  wal->disk_full = job->kind == WAL_SPARE_MAKE && job->status == STATUS_DISK_FULL;",
      "  wal->disk_full = false;" } },
  },
  {
    name = "full-node-acknowledges", seen = "canonical/raft@250df1a",
    bug = "a sync for which there is no room counts as done",
    expect = { "disk", "acknowledgement", "assertion" },
    edits = { { STORE .. "wal_store.c",
      "  buffer_append(newest != NULL ? &newest->syncs : &wal->completed, &sync, sizeof sync);",
      "  bool waits = newest != NULL && !wal->disk_full;\n"
        .. "  buffer_append(waits ? &newest->syncs : &wal->completed, &sync, sizeof sync);" } },
  },
  {
    name = "room-never-looked-for", seen = "etcd#2819",
    bug = "a disk that was full once stays full for the node",
    expect = { "liveness", "agreement" },
    edits = { { STORE .. "wal.c", "  want_spare(wal, true);", "  want_spare(wal, false);" } },
  },
  {
    name = "full-leader-takes-writes", seen = "canonical/raft@250df1a",
    bug = "a leader takes writes for which neither it nor a majority has room",
    spec = "spec/raft/node/disk_full_spec.lua", expect = { "refuses writes when a majority is full" },
    edits = { { NODE .. "node_write.c", "  if (!raft_has_room(&node->core)) return STATUS_DISK_FULL;\n", "" } },
  },

  -- ---- snapshots ----
  {
    name = "snapshot-recorded-early", seen = "redisraft#43",
    bug = "a snapshot is recorded while it is still written",
    expect = { "disk" },
    edits = {
      { NODE .. "node_snapshot.c", "  node->taking = taking;\n",
        "  node->taking = taking;\n  raftnode_record_snapshot(node, taking->mark, node->snapshot_bytes);\n" },
      { NODE .. "node_snapshot.c", "  } else if (taking->mark.index > node->snapshot.index) {",
        "  } else if (taking->mark.index >= node->snapshot.index) {" },
      { NODE .. "node_snapshot.c", "    raftnode_record_snapshot(node, taking->mark, taking->bytes);",
        "    node->snapshot_bytes = taking->bytes;" },
    },
  },
  {
    name = "snapshot-without-sync", seen = "canonical/raft@74592fe",
    bug = "a snapshot gets its name before its bytes are durable",
    expect = { "disk" },
    edits = { { STORE .. "snapshot_files.c",
      "  if (status == STATUS_OK) status = sync_writer(files->disk, writer, err);\n", "" } },
  },
  {
    name = "snapshot-name-not-durable", seen = "etcd#6368",
    bug = "the directory is not synced when a snapshot gets its name",
    expect = { "disk" },
    edits = { { STORE .. "snapshot_files.c", "  status = disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err);\n",
      "" } },
  },
  {
    name = "prefix-cut-early", seen = "redisraft#43",
    bug = "the log's prefix goes before a snapshot covers it",
    expect = { "snapshots" },
    edits = { { NODE .. "node_snapshot.c",
      "  uint64_t index = node->snapshot.index > tail ? node->snapshot.index - tail : 0;",
      "  uint64_t index = node->last_applied > tail ? node->last_applied - tail : 0;" } },
  },
  {
    name = "durable-beyond-snapshot", seen = "canonical/raft@2a38d3d",
    bug = "what a log held on disk behind a snapshot that it gave way to still counts as durable",
    expect = { "acknowledgement" },
    edits = { { CORE .. "follower.c",
      "  raft->durable_index = index; ", "" } },
  },
  {
    name = "older-snapshot-installed", seen = "hashicorp/raft#395",
    bug = "a snapshot that is older than what is committed replaces the state",
    expect = { "applied", "storage failed" },
    edits = { { NODE .. "node_install.c",
      "  bool own = mark.index <= node->last_applied && mark.index > node->snapshot.index;",
      "  if (mark.index < node->last_applied) {\n"
        .. "    (void)kvsm_restore_finish(incoming->restore, node->sm, NULL);\n"
        .. "    incoming->restore = NULL;\n    node->last_applied = mark.index;\n  }\n"
        .. "  bool own = mark.index <= node->last_applied && mark.index > node->snapshot.index;" } },
  },
  {
    name = "matching-suffix-dropped", seen = "etcd-io/raft@80615be",
    bug = "a snapshot throws away entries behind it that match",
    expect = { "snapshots" },
    edits = { { CORE .. "follower.c", "  if (index <= raft->last_index && raft_term_of(raft, index) == term) {",
      "  if (index == raft->last_index && raft_term_of(raft, index) == term) {" } },
  },
  {
    name = "sessions-not-restored", seen = "redisraft#568",
    bug = "the table of clients' last replies is lost with a restart from a snapshot",
    expect = { "exactly once", "state machine safety" },
    edits = { { "src/kvsm/kvsm_restore.c", "    kvsm_replace_state(sm, restore->state);",
      "    kvmap_destroy(restore->state->clients);\n    restore->state->clients = kvmap_create();\n"
        .. "    kvmap_destroy(restore->state->by_index);\n    restore->state->by_index = kvmap_create();\n"
        .. "    kvsm_replace_state(sm, restore->state);" } },
  },
  {
    name = "install-forgets-applied", seen = "etcd PR 13933",
    bug = "after a snapshot is installed, entries are applied from where the old state was",
    expect = { "assertion", "state machine safety", "storage failed", "applied", "snapshots" },
    edits = { { NODE .. "node_install.c", "  node->last_applied = mark.index;\n", "" } },
  },
  {
    name = "pieces-taken-anywhere", seen = "logcabin#174",
    bug = "a piece of a snapshot is taken wherever it belongs",
    spec = "spec/raft/node/snapshot_spec.lua",
    expect = { "goes on with another leader's pieces of the same snapshot" },
    edits = { { NODE .. "node_install.c",
      "  if (install->offset == incoming->offset && node->now_ms >= incoming->retry_ms)",
      "  if (node->now_ms >= incoming->retry_ms)" } },
  },
  {
    name = "transfer-goes-on-wrongly", seen = "logcabin#174",
    bug = "a transfer to a member that started anew goes on in the middle",
    expect = { "liveness", "calm" },
    edits = { { NODE .. "node_transfer.c", "  outgoing->offset = reply->offset;\n", "" } },
  },
  {
    name = "restart-ignores-newer-snapshot", seen = "etcd PR 11888",
    bug = "a snapshot that the log does not know of yet is not recorded at a start",
    expect = { "disk", "assertion", "snapshots" },
    edits = { { NODE .. "restart.c", "  bool known = storage->ops->snapshot(storage).index == newest.index;",
      "  bool known = storage->ops->snapshot(storage).index <= newest.index;" } },
  },
  {
    name = "found-name-not-durable", seen = "etcd#6368",
    bug = "a start builds on a snapshot's name that only the system's memory may hold",
    spec = "spec/raft/storage/snapshot_files_spec.lua", expect = { "are there for good once a start has found them" },
    edits = { { STORE .. "snapshot_files.c",
      "  return status == STATUS_OK ? disk->ops->sync_directory(disk, SNAPSHOT_DIRECTORY, err) : status;",
      "  return status;" } },
  },

  -- ---- memory ----
  {
    name = "lost-log-votes", seen = "NuRaft#185",
    bug = "a node that lost its log counts like any other",
    expect = { "completeness", "commitment", "votes", "election safety", "log matching" },
    edits = { { CORE .. "raft.c",
      "  return members_count >= quorum && (proven_count > minority || members_count > 2 * minority);",
      "  return members_count >= quorum && (proven_count + minority > 0);" } },
  },
}
