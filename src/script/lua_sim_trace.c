/* What happened in a simulated world, in Lua.
 *
 *   world:trace([records]) -> the newest ones (200), a line each, oldest first
 *   world:trace_after(number [, max]) -> {{number =, event =, at_us =, kind =, node =, peer =, text =}, ...}, lost
 *       the records behind that one (0: from the first on), at most so many; go on with the number of the last. `event`
 *       is the event that it belongs to, or came behind (world:stop_at); `kind` is "append", "turn", "crash", ...; node
 *       and peer are absent where there is none; `lost` is true when there were others in between that are gone.
 *   world:keep_trace(records)   so many are kept instead of 4096, which takes 56 bytes each once they are there; the
 *                               number never shrinks
 *   world:leaders() -> {{term =, node =, at_ms =}, ...}     who began to lead and when, the newest 1000, oldest first
 */
#include <lauxlib.h>

#include "script/lua_buffer.h"
#include "script/lua_sim.h"

enum { US_PER_MS = 1000, TRACE_DEFAULT = 200 };

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static int world_trace(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer records = luaL_optinteger(L, 2, TRACE_DEFAULT);
  luaL_argcheck(L, records >= 0, 2, "negative");
  struct buffer *text = lua_buffer_push(L);
  sim_world_trace(world, (size_t)records, text);
  lua_buffer_push_string(L, text);
  return 1;
}

static void set_node(lua_State *L, const char *field, uint8_t node) {
  if (node != RAFT_NODE_NONE) set_integer(L, field, node + 1u);
}

static void push_record(lua_State *L, uint64_t number, const struct sim_trace_record *record, struct buffer *text) {
  buffer_clear(text);
  sim_trace_record_text(record, text);
  lua_createtable(L, 0, 7);
  set_integer(L, "number", number);
  set_integer(L, "event", record->event);
  set_integer(L, "at_us", record->at_us);
  set_node(L, "node", record->node);
  set_node(L, "peer", record->peer);
  lua_pushstring(L, sim_trace_record_name(record));
  lua_setfield(L, -2, "kind");
  lua_buffer_push_string(L, text);
  lua_setfield(L, -2, "text");
}

/* The first record behind `number` that is kept, or one more than there are. */
static uint64_t first_after(const struct sim_world *world, uint64_t number) {
  uint64_t kept = sim_world_records_kept(world), count = sim_world_records(world);
  return number < count - kept ? count - kept + 1 : number + 1;
}

static int world_trace_after(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer after = luaL_checkinteger(L, 2), max = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  luaL_argcheck(L, after >= 0, 2, "negative");
  luaL_argcheck(L, max >= 0, 3, "negative");
  struct buffer *text = lua_buffer_push(L);
  uint64_t first = first_after(world, (uint64_t)after);
  lua_newtable(L);
  for (lua_Integer i = 0; i < max; i++) {
    const struct sim_trace_record *record = sim_world_record(world, first + (uint64_t)i);
    if (record == NULL) break;
    push_record(L, first + (uint64_t)i, record, text);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushboolean(L, first > (uint64_t)after + 1);
  return 2;
}

static int world_keep_trace(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer records = luaL_checkinteger(L, 2);
  luaL_argcheck(L, records >= 1 && records <= SIM_TRACE_RECORDS_MAX, 2, "out of range");
  sim_world_keep_records(world, (size_t)records);
  return 0;
}

static int world_leaders(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  struct sim_stats stats;
  sim_world_stats(world, &stats);
  uint64_t number = stats.elections > SIM_ELECTIONS_KEPT ? stats.elections - SIM_ELECTIONS_KEPT : 0;
  lua_newtable(L);
  for (lua_Integer i = 1; ++number <= stats.elections; i++) {
    const struct sim_election *election = sim_world_election(world, number);
    lua_createtable(L, 0, 3);
    set_integer(L, "term", election->term);
    set_node(L, "node", election->node);
    lua_pushnumber(L, (lua_Number)election->at_us / US_PER_MS);
    lua_setfield(L, -2, "at_ms");
    lua_rawseti(L, -2, i);
  }
  return 1;
}

void lua_sim_add_trace(lua_State *L) {
  static const luaL_Reg methods[] = {{"trace", world_trace},
                                     {"trace_after", world_trace_after},
                                     {"keep_trace", world_keep_trace},
                                     {"leaders", world_leaders},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
