#include "script/lua_fault_disk.h"

#include <lauxlib.h>
#include <string.h>

#include "script/lua_raft.h"

const char *lua_fault_field(lua_State *L) {
  if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "expected a table of named fields, got a %s", luaL_typename(L, -2));
  return lua_tostring(L, -2);
}

bool lua_fault_boolean(lua_State *L, const char *field) {
  if (!lua_isboolean(L, -1)) luaL_error(L, "%s: expected true or false, got %s", field, luaL_typename(L, -1));
  return lua_toboolean(L, -1);
}

uint32_t lua_fault_ms(lua_State *L, const char *field, uint32_t most) {
  int is_integer;
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < 0 || value > most)
    luaL_error(L, "%s: expected an integer from 0 to %I", field, (LUAI_UACINT)most);
  return (uint32_t)value;
}

static void read_field(lua_State *L, const char *field, struct fault_disk_state *state) {
  if (strcmp(field, "full") == 0)
    state->full = lua_fault_boolean(L, field);
  else if (strcmp(field, "slow_ms") == 0)
    state->slow_ms = lua_fault_ms(L, field, FAULT_SLOW_MS_MAX);
  else if (strcmp(field, "fail_sync") == 0)
    state->fail_sync = lua_fault_boolean(L, field);
  else if (strcmp(field, "torn_next") == 0)
    state->torn_next = lua_fault_boolean(L, field);
  else
    luaL_error(L, "%s: expected full, slow_ms, fail_sync or torn_next", field);
}

struct fault_disk_state lua_fault_disk_check(lua_State *L, int arg) {
  struct fault_disk_state state = {.full = false};
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg) != 0; lua_pop(L, 1))
    read_field(L, lua_fault_field(L), &state);
  return state;
}

void lua_fault_disk_push(lua_State *L, struct fault_disk *disk) {
  struct fault_disk_view view;
  fault_disk_view(disk, &view);
  lua_createtable(L, 0, 9);
  lua_raft_set_boolean(L, "full", view.state.full);
  lua_raft_set_integer(L, "slow_ms", view.state.slow_ms);
  lua_raft_set_boolean(L, "fail_sync", view.state.fail_sync);
  lua_raft_set_boolean(L, "torn_next", view.state.torn_next);
  lua_raft_set_boolean(L, "lost", view.lost);
  lua_raft_set_integer(L, "unsynced", view.unsynced);
  lua_raft_set_integer(L, "refused_full", view.refused_full);
  lua_raft_set_integer(L, "slow_syncs", view.slow_syncs);
  lua_raft_set_integer(L, "failed_syncs", view.failed_syncs);
}
