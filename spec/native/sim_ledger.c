/* sim_ledger: what the simulator's ledger says of what a start found.
 *
 *   local cases = require "sim_ledger"
 *   cases["what was durable"]() -> whether it could be so, whether it is more than what was durable
 *
 * In each case entries 1 and 2, in term 1, are durable; 3 and 4 were written together, in term 2, and 5 behind them. */
#include <lauxlib.h>
#include <lua.h>

#include "sim/ledger.h"

enum { ENTRIES = 5, DURABLE = 2, TERM_2_FROM = 3 };

int luaopen_sim_ledger(lua_State *L);

struct stage {
  struct sim_ledger ledger;
  struct sim_link links[ENTRIES];
  struct sim_found found; /* what was durable, until the case changes it */
};

static void save(struct stage *stage, uint64_t term) {
  const struct raft_hard_state state = {.term = term, .voted_for = 1};
  sim_ledger_save(&stage->ledger, &state);
}

static void append(struct stage *stage, uint64_t index) {
  const struct log_entry entry = {index, index < TERM_2_FROM ? 1 : 2, bytes_of("abcde" + index - 1)};
  sim_ledger_append(&stage->ledger, &entry);
  stage->links[index - 1] = sim_link_make(0, entry.term, entry.command);
}

static void open_stage(struct stage *stage) {
  sim_ledger_init(&stage->ledger);
  save(stage, 1);
  append(stage, 1);
  append(stage, 2);
  sim_ledger_sync(&stage->ledger, 1);
  sim_ledger_synced(&stage->ledger, 1);
  save(stage, 2);
  append(stage, 3);
  append(stage, 4);
  sim_ledger_sync(&stage->ledger, 2);
  append(stage, 5);
  stage->found = (struct sim_found){
      .hard_state = {.term = 1, .voted_for = 1}, .first_index = 1, .last_index = DURABLE, .links = stage->links};
}

static void as_it_was(struct stage *stage) {
  (void)stage;
}

static void whole_batch(struct stage *stage) {
  stage->found.hard_state.term = 2;
  stage->found.last_index = 4;
}

static void half_a_batch(struct stage *stage) {
  stage->found.hard_state.term = 2;
  stage->found.last_index = 3;
}

static void unasked_for(struct stage *stage) {
  stage->found.hard_state.term = 2;
  stage->found.last_index = 5;
}

static void later_without_earlier(struct stage *stage) {
  stage->found.last_index = 4;
}

static void less(struct stage *stage) {
  stage->found.last_index = 1;
}

static void another_entry(struct stage *stage) {
  stage->links[0] = sim_link_make(0, 1, bytes_of("x"));
}

static void another_vote(struct stage *stage) {
  stage->found.hard_state.voted_for = 2;
}

static void a_gap(struct stage *stage) {
  stage->found.first_index = 2;
  stage->found.base_term = 1;
  stage->found.links = stage->links + 1;
}

static const struct {
  const char *name;
  void (*change)(struct stage *stage);
} cases[] = {
    {"what was durable", as_it_was},
    {"a whole batch more", whole_batch},
    {"half a batch more", half_a_batch},
    {"what no job can have written yet", unasked_for},
    {"later changes without earlier ones", later_without_earlier},
    {"less than what was durable", less},
    {"another entry", another_entry},
    {"another vote", another_vote},
    {"a log whose front is gone, without a snapshot", a_gap},
};

static int play(lua_State *L) {
  lua_Integer number = lua_tointeger(L, lua_upvalueindex(1));
  struct stage stage;
  bool more;
  open_stage(&stage);
  cases[number].change(&stage);
  lua_pushboolean(L, sim_ledger_found(&stage.ledger, &stage.found, &more));
  lua_pushboolean(L, more);
  sim_ledger_deinit(&stage.ledger);
  return 2;
}

int luaopen_sim_ledger(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushcclosure(L, play, 1);
    lua_setfield(L, -2, cases[i].name);
  }
  return 1;
}
