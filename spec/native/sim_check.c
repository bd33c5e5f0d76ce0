/* sim_check: plants what must never happen in front of the simulator's checks.
 *
 *   local cases = require "sim_check"
 *   cases["two leaders in one term"]()   -> the violation's text, or nil
 *   cases["nothing wrong"]()             -> nil
 *
 * Each case plays three nodes by hand: entries appear in their ledgers, cores say what the case wants them to. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/check.h"
#include "types/command.h"

enum { NODES = 3 };

int luaopen_sim_check(lua_State *L);

struct stage {
  struct sim_check check;
  struct sim_ledger ledgers[NODES];
  struct raft cores[NODES];
  uint64_t syncs;
};

static void open_stage(struct stage *stage) {
  memset(stage, 0, sizeof *stage);
  sim_check_init(&stage->check, NODES);
  for (uint8_t i = 0; i < NODES; i++) {
    sim_ledger_init(&stage->ledgers[i]);
    sim_check_started(&stage->check, i, &stage->ledgers[i]);
  }
}

static void close_stage(struct stage *stage) {
  for (int i = 0; i < NODES; i++)
    sim_ledger_deinit(&stage->ledgers[i]);
  sim_check_deinit(&stage->check);
}

/* ---- what nodes do ---- */

static void append_command(struct stage *stage, uint8_t node, uint64_t term, struct bytes command) {
  struct sim_ledger *ledger = &stage->ledgers[node];
  struct log_entry entry = {ledger->log.last + 1, term, command};
  sim_ledger_append(ledger, &entry);
  sim_check_appended(&stage->check, node, entry.index);
  stage->cores[node].last_index = entry.index;
}

static void append(struct stage *stage, uint8_t node, uint64_t term, const char *command) {
  append_command(stage, node, term, bytes_of(command));
}

static void sync(struct stage *stage, uint8_t node) {
  sim_ledger_sync(&stage->ledgers[node], ++stage->syncs);
  sim_ledger_synced(&stage->ledgers[node], stage->syncs);
}

static void save(struct stage *stage, uint8_t node, uint64_t term, uint8_t voted_for) {
  struct raft_hard_state state = {term, voted_for, true};
  stage->cores[node].hard_state = state;
  sim_ledger_save(&stage->ledgers[node], &state);
}

static void step(struct stage *stage, uint8_t node) {
  sim_check_stepped(&stage->check, node, &stage->cores[node]);
}

static void lead(struct stage *stage, uint8_t node, uint64_t term) {
  stage->cores[node].hard_state.term = term;
  stage->cores[node].role = RAFT_LEADER;
  step(stage, node);
}

static void commit(struct stage *stage, uint8_t node, uint64_t index) {
  stage->cores[node].commit_index = index;
  step(stage, node);
}

static void apply(struct stage *stage, uint8_t node, struct bytes command, struct apply_result result, uint64_t state) {
  uint64_t index = stage->check.nodes[node].applied + 1;
  struct log_entry entry = {index, 1, command};
  sim_check_applied(&stage->check, node, &entry, &result, (struct hash128){state, 0});
}

static void vote(struct stage *stage, uint8_t node, uint64_t term, uint8_t candidate) {
  struct raft_message reply = {.type = RAFT_VOTE_REPLY, .from = node, .to = candidate, .term = term};
  reply.as.vote_reply = (struct raft_vote_reply){.granted = true, .vote_term = term};
  sim_check_sent(&stage->check, &reply);
}

/* Nodes 1 and 2 have `count` entries of term 1 on disk, and node 1 has committed them. */
static void commit_entries(struct stage *stage, int count) {
  for (uint8_t node = 0; node < 2; node++) {
    for (int i = 0; i < count; i++)
      append(stage, node, 1, "entry");
    sync(stage, node);
  }
  lead(stage, 0, 1);
  commit(stage, 0, (uint64_t)count);
}

static struct bytes put_of(struct buffer *memory, const char *client, uint64_t seq) {
  struct command command = {.op = OP_PUT, .client_id = bytes_of(client), .seq = seq, .key = bytes_of("k")};
  command_encode(&command, memory);
  return buffer_view(memory);
}

/* Both nodes have the put of (c, 1) `count` times, and node 1 has committed it. */
static void commit_puts(struct stage *stage, struct buffer *memory, int count) {
  struct bytes command = put_of(memory, "c", 1);
  for (uint8_t node = 0; node < 2; node++) {
    for (int i = 0; i < count; i++)
      append_command(stage, node, 1, command);
    sync(stage, node);
  }
  lead(stage, 0, 1);
  commit(stage, 0, (uint64_t)count);
  commit(stage, 1, (uint64_t)count);
}

static const struct apply_result done = {.ok = true, .err_msg = ""};

/* ---- the cases ---- */

static void nothing_wrong(struct stage *stage) {
  struct buffer memory = {0};
  commit_puts(stage, &memory, 2);
  struct apply_result replayed = {.ok = true, .err_msg = "", .replay = REPLAY_SAME};
  for (uint8_t node = 0; node < 2; node++) {
    apply(stage, node, buffer_view(&memory), done, 1);
    apply(stage, node, buffer_view(&memory), replayed, 1);
  }
  sim_check_acked(&stage->check, 0, 1, 1, stage->check.committed[1].link.command);
  sim_check_read(&stage->check, 1, 1, 1);
  save(stage, 2, 2, 1);
  sync(stage, 2);
  vote(stage, 2, 2, 1);
  lead(stage, 1, 2);
  buffer_deinit(&memory);
}

static void two_leaders(struct stage *stage) {
  lead(stage, 0, 3);
  lead(stage, 1, 3);
}

static void leads_twice(struct stage *stage) {
  lead(stage, 0, 3);
  sim_check_started(&stage->check, 0, &stage->ledgers[0]);
  lead(stage, 0, 3);
}

static void votes_twice(struct stage *stage) {
  save(stage, 2, 4, 0);
  sync(stage, 2);
  vote(stage, 2, 4, 0);
  sim_check_started(&stage->check, 2, &stage->ledgers[2]);
  save(stage, 2, 4, 1);
  sync(stage, 2);
  vote(stage, 2, 4, 1);
}

static void votes_early(struct stage *stage) {
  save(stage, 2, 4, RAFT_NODE_NONE);
  sync(stage, 2);
  save(stage, 2, 4, 0);
  vote(stage, 2, 4, 0);
}

static void speaks_early(struct stage *stage) {
  save(stage, 0, 5, 0);
  sim_check_sent(&stage->check, &(struct raft_message){.type = RAFT_APPEND, .from = 0, .to = 1, .term = 5});
}

static void term_said_goes_back(struct stage *stage) {
  save(stage, 0, 5, 0);
  sync(stage, 0);
  sim_check_sent(&stage->check, &(struct raft_message){.type = RAFT_APPEND, .from = 0, .to = 1, .term = 5});
  sim_check_sent(&stage->check, &(struct raft_message){.type = RAFT_APPEND, .from = 0, .to = 1, .term = 4});
}

static void term_goes_back(struct stage *stage) {
  stage->cores[0].hard_state.term = 5;
  step(stage, 0);
  stage->cores[0].hard_state.term = 4;
  step(stage, 0);
}

static void acknowledges_early(struct stage *stage) {
  save(stage, 1, 1, 0);
  sync(stage, 1);
  append(stage, 1, 1, "entry");
  struct raft_message reply = {.type = RAFT_APPEND_REPLY, .from = 1, .to = 0, .term = 1};
  reply.as.append_reply = (struct raft_append_reply){.success = true, .match_index = 1};
  sim_check_sent(&stage->check, &reply);
}

static void leader_cuts(struct stage *stage) {
  append(stage, 0, 1, "entry");
  lead(stage, 0, 1);
  sim_check_cutting(&stage->check, 0, &stage->cores[0], 1);
}

static void cuts_committed(struct stage *stage) {
  commit_entries(stage, 2);
  commit(stage, 1, 2);
  sim_check_cutting(&stage->check, 1, &stage->cores[1], 2);
}

static void logs_do_not_match(struct stage *stage) {
  append(stage, 0, 1, "one");
  append(stage, 1, 1, "other");
}

static void logs_differ_before(struct stage *stage) {
  append(stage, 0, 1, "one");
  append(stage, 1, 2, "one");
  append(stage, 0, 3, "same");
  append(stage, 1, 3, "same");
}

static void term_falls_in_log(struct stage *stage) {
  append(stage, 0, 2, "one");
  append(stage, 0, 1, "two");
}

static void commits_on_a_minority(struct stage *stage) {
  append(stage, 0, 1, "entry");
  append(stage, 1, 1, "entry");
  sync(stage, 0);
  lead(stage, 0, 1);
  commit(stage, 0, 1);
}

static void commits_an_old_term(struct stage *stage) {
  append(stage, 0, 1, "entry");
  append(stage, 1, 1, "entry");
  sync(stage, 0);
  sync(stage, 1);
  lead(stage, 0, 2);
  commit(stage, 0, 1);
}

static void commits_another_entry(struct stage *stage) {
  commit_entries(stage, 1);
  append(stage, 2, 2, "another");
  commit(stage, 2, 1);
}

static void commit_goes_back(struct stage *stage) {
  commit_entries(stage, 2);
  commit(stage, 0, 1);
}

static void commits_more_than_it_has(struct stage *stage) {
  commit_entries(stage, 2);
  commit(stage, 0, 3);
}

static void match_goes_back(struct stage *stage) {
  stage->cores[0].peers[1] = (struct raft_peer){.life = 7, .match_index = 5};
  lead(stage, 0, 1);
  stage->cores[0].peers[1] = (struct raft_peer){.life = 8, .match_index = 3}; /* another life: legal */
  step(stage, 0);
  stage->cores[0].peers[1].match_index = 2;
  step(stage, 0);
}

static void incomplete_leader(struct stage *stage) {
  commit_entries(stage, 1);
  lead(stage, 2, 2);
}

static void applies_uncommitted(struct stage *stage) {
  append(stage, 0, 1, "");
  apply(stage, 0, bytes_of(""), done, 1);
}

static void applies_with_a_gap(struct stage *stage) {
  commit_entries(stage, 2);
  struct log_entry entry = {2, 1, bytes_of("entry")};
  sim_check_applied(&stage->check, 0, &entry, &done, (struct hash128){1, 0});
}

static void applies_another_entry(struct stage *stage) {
  commit_entries(stage, 1);
  apply(stage, 0, bytes_of(""), done, 1);
}

static void results_differ(struct stage *stage) {
  struct buffer memory = {0};
  commit_puts(stage, &memory, 1);
  apply(stage, 0, buffer_view(&memory), done, 1);
  apply(stage, 1, buffer_view(&memory), (struct apply_result){.err_code = ERR_CAS_FAILED, .err_msg = ""}, 1);
  buffer_deinit(&memory);
}

static void states_differ(struct stage *stage) {
  struct buffer memory = {0};
  commit_puts(stage, &memory, 1);
  apply(stage, 0, buffer_view(&memory), done, 1);
  apply(stage, 1, buffer_view(&memory), done, 2);
  buffer_deinit(&memory);
}

static void applies_twice(struct stage *stage) {
  struct buffer memory = {0};
  commit_puts(stage, &memory, 2);
  apply(stage, 0, buffer_view(&memory), done, 1);
  apply(stage, 0, buffer_view(&memory), done, 2);
  buffer_deinit(&memory);
}

static void never_applied(struct stage *stage) {
  struct buffer memory = {0};
  commit_puts(stage, &memory, 1);
  struct apply_result replayed = {.ok = true, .err_msg = "", .replay = REPLAY_OLDER};
  apply(stage, 0, buffer_view(&memory), replayed, 1);
  buffer_deinit(&memory);
}

static void acked_write_is_lost(struct stage *stage) {
  commit_entries(stage, 1);
  sim_check_acked(&stage->check, 0, 2, 1, 0);
}

static void acked_in_another_term(struct stage *stage) {
  commit_entries(stage, 1);
  sim_check_acked(&stage->check, 0, 1, 2, stage->check.committed[1].link.command);
}

static void stale_read(struct stage *stage) {
  sim_check_read(&stage->check, 1, 6, 7);
}

/* ---- snapshots ---- */

static void apply_all(struct stage *stage, uint8_t node, uint64_t state) {
  while (stage->check.nodes[node].applied < stage->check.committed_last)
    apply(stage, node, bytes_make(NULL, 0), done, state);
}

static void commit_noops(struct stage *stage, int count) {
  for (uint8_t node = 0; node < 2; node++) {
    for (int i = 0; i < count; i++)
      append_command(stage, node, 1, bytes_make(NULL, 0));
    sync(stage, node);
  }
  lead(stage, 0, 1);
  commit(stage, 0, (uint64_t)count);
  apply_all(stage, 0, 9);
}

static void reset(struct stage *stage, uint8_t node, uint64_t index, uint64_t term) {
  struct snapshot_mark mark = {index, term};
  struct sim_link *links = sim_check_resetting(&stage->check, node, mark);
  if (links != NULL) sim_ledger_reset(&stage->ledgers[node], mark, links);
  free(links);
}

static void install_reply(struct stage *stage, uint8_t node, uint64_t index) {
  struct raft_message reply = {.type = RAFT_INSTALL_REPLY, .from = node, .to = 0};
  reply.as.install_reply = (struct raft_install_reply){.index = index, .term = 1, .done = true};
  sim_check_sent(&stage->check, &reply);
}

static void nothing_wrong_with_snapshot(struct stage *stage) {
  commit_noops(stage, 3);
  sim_check_recording(&stage->check, 0, (struct snapshot_mark){3, 1});
  sim_ledger_snapshot(&stage->ledgers[0], (struct snapshot_mark){3, 1});
  sim_check_truncating(&stage->check, 0, 3);
  reset(stage, 2, 3, 1);
  sim_check_installed(&stage->check, 2, 3, (struct hash128){9, 0});
  sim_ledger_publish(&stage->ledgers[2], (struct snapshot_mark){3, 1});
  install_reply(stage, 2, 3);
  commit(stage, 2, 3);
}

static void records_uncommitted(struct stage *stage) {
  commit_noops(stage, 3);
  sim_check_recording(&stage->check, 0, (struct snapshot_mark){4, 1});
}

static void truncates_uncovered(struct stage *stage) {
  commit_noops(stage, 3);
  sim_ledger_snapshot(&stage->ledgers[0], (struct snapshot_mark){2, 1});
  sim_check_truncating(&stage->check, 0, 3);
}

static void resets_matching(struct stage *stage) {
  commit_noops(stage, 3);
  reset(stage, 1, 3, 1);
}

static void resets_leader(struct stage *stage) {
  commit_noops(stage, 3);
  reset(stage, 0, 3, 1);
}

static void installs_unknown(struct stage *stage) {
  commit_noops(stage, 3);
  sim_check_installed(&stage->check, 2, 4, (struct hash128){9, 0});
}

static void installs_older(struct stage *stage) {
  commit_noops(stage, 3);
  sim_check_installed(&stage->check, 0, 2, (struct hash128){9, 0});
}

static void installs_another(struct stage *stage) {
  commit_noops(stage, 3);
  sim_check_installed(&stage->check, 2, 3, (struct hash128){8, 0});
}

static void acknowledges_snapshot_early(struct stage *stage) {
  commit_noops(stage, 3);
  reset(stage, 2, 3, 1);
  install_reply(stage, 2, 3);
}

static void shows_unwritten(struct stage *stage) {
  commit_noops(stage, 3);
  struct sim_link links[] = {stage->ledgers[0].log.links[1], sim_link_make(0, 1, bytes_of("made up"))};
  const struct sim_found found = {.first_index = 1, .last_index = 2, .links = links};
  sim_check_found(&stage->check, 2, &found);
}

static const struct {
  const char *name;
  void (*play)(struct stage *stage);
} cases[] = {
    {"nothing wrong", nothing_wrong},
    {"two leaders in one term", two_leaders},
    {"a leader leads again in its term after a restart", leads_twice},
    {"two votes in one term, a restart between them", votes_twice},
    {"a vote leaves before it is on disk", votes_early},
    {"a term is spoken of before it is on disk", speaks_early},
    {"a term that was spoken of goes back", term_said_goes_back},
    {"a term goes back", term_goes_back},
    {"entries are acknowledged before they are on disk", acknowledges_early},
    {"a leader cuts its log", leader_cuts},
    {"a committed entry is cut", cuts_committed},
    {"equal index and term, another command", logs_do_not_match},
    {"equal index and term, another log before it", logs_differ_before},
    {"terms fall along a log", term_falls_in_log},
    {"a minority commits", commits_on_a_minority},
    {"an entry of an old term is committed by counting", commits_an_old_term},
    {"another entry is committed at an index", commits_another_entry},
    {"a commit index goes back", commit_goes_back},
    {"a commit index is beyond the log", commits_more_than_it_has},
    {"a leader's match index goes back", match_goes_back},
    {"a new leader lacks a committed entry", incomplete_leader},
    {"an entry is applied that is not committed", applies_uncommitted},
    {"an entry is applied before the one in front of it", applies_with_a_gap},
    {"another entry is applied than was committed", applies_another_entry},
    {"an entry gives two results", results_differ},
    {"an entry gives two states", states_differ},
    {"a request is applied twice", applies_twice},
    {"a new request is taken for a duplicate", never_applied},
    {"an acknowledged write is not committed", acked_write_is_lost},
    {"an acknowledged write has another term", acked_in_another_term},
    {"a read is older than an acknowledged write", stale_read},
    {"nothing wrong with a snapshot", nothing_wrong_with_snapshot},
    {"a snapshot is recorded of what is not committed", records_uncommitted},
    {"entries go that no snapshot covers", truncates_uncovered},
    {"a log gives way to a snapshot that it matches", resets_matching},
    {"the log of a leader gives way", resets_leader},
    {"a state is installed that nobody has", installs_unknown},
    {"a state is installed that is older than the own", installs_older},
    {"a state is installed that is another one", installs_another},
    {"a snapshot is acknowledged before it is durable", acknowledges_snapshot_early},
    {"a damaged log shows what nobody wrote", shows_unwritten},
};

static int play(lua_State *L) {
  lua_Integer number = lua_tointeger(L, lua_upvalueindex(1));
  static struct stage stage; /* a raft core is large */
  open_stage(&stage);
  cases[number].play(&stage);
  lua_pushstring(L, sim_check_failed(&stage.check) ? stage.check.violation : NULL);
  close_stage(&stage);
  return 1;
}

int luaopen_sim_check(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushcclosure(L, play, 1);
    lua_setfield(L, -2, cases[i].name);
  }
  return 1;
}
