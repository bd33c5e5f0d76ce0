/* The files of a simulated world's nodes in Lua.
 *
 *   world:files(n) -> {["wal/..."] = bytes, ...}     up or down
 *   world:flip(n [, pattern]) -> name, offset        a bit flips in a file of a node that is down, in one whose name
 *                                                    matches the Lua pattern; it does not start. nil: there is none.
 *                                                    File, byte and bit are drawn. Where that matters, restart refuses
 *                                                    the disk until it is wiped; where nothing was written it does not
 */
#include <lauxlib.h>

#include "script/lua_sim.h"

/* Into the table at the top. */
static void set_file(void *context, const char *name, uint64_t bytes) {
  lua_State *L = context;
  lua_pushinteger(L, (lua_Integer)bytes);
  lua_setfield(L, -2, name);
}

static int world_files(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  lua_newtable(L);
  sim_world_files(world, node, set_file, L);
  return 1;
}

enum { PATTERN = 3, FIND, NAMES }; /* where they are on the stack of flip */

/* An empty file has no bits. */
static void add_name(void *context, const char *name, uint64_t bytes) {
  lua_State *L = context;
  if (bytes == 0) return;
  lua_pushvalue(L, FIND);
  lua_pushstring(L, name);
  lua_pushvalue(L, PATTERN);
  lua_call(L, 2, 1);
  bool matches = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (!matches) return;
  lua_pushstring(L, name);
  lua_rawseti(L, NAMES, (lua_Integer)lua_rawlen(L, NAMES) + 1);
}

static void push_find(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "string");
  lua_getfield(L, -1, "find");
  lua_replace(L, FIND);
  lua_settop(L, FIND);
}

static int world_flip(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  luaL_optstring(L, PATTERN, "");
  struct sim_node_view view;
  sim_world_node(world, node, &view);
  if (view.up) return 0;
  lua_settop(L, FIND);
  if (lua_isnil(L, PATTERN)) {
    lua_pushliteral(L, "");
    lua_replace(L, PATTERN);
  }
  push_find(L);
  lua_newtable(L);
  sim_world_files(world, node, add_name, L);
  lua_Unsigned count = lua_rawlen(L, NAMES);
  if (count == 0) return 0;
  lua_rawgeti(L, NAMES, 1 + (lua_Integer)sim_world_random(world, count));
  uint64_t offset;
  if (!sim_world_flip(world, node, lua_tostring(L, -1), &offset)) return 0;
  lua_pushinteger(L, (lua_Integer)offset);
  return 2;
}

void lua_sim_add_disks(lua_State *L) {
  static const luaL_Reg methods[] = {{"files", world_files}, {"flip", world_flip}, {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
