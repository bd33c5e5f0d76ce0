/* log_probe: the limit of the log's lines, with a clock of the spec's.
 *
 *   pass(level, module, event, now_ms) -> whether a line may be written
 *   take(now_ms) -> {module =, event =, level =, count =} of a window that is over; nil: there is none */
#include <lauxlib.h>
#include <lua.h>

#include "base/log_limit.h"

int luaopen_log_probe(lua_State *L);

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL}; /* as enum log_level */

static int pass(lua_State *L) {
  struct log_suppressed evicted;
  enum log_level level = (enum log_level)luaL_checkoption(L, 1, NULL, level_names);
  const char *module = luaL_checkstring(L, 2);
  const char *event = luaL_checkstring(L, 3);
  lua_pushboolean(L, log_limit_pass(level, module, event, (uint64_t)luaL_checkinteger(L, 4), &evicted));
  return 1;
}

static int take(lua_State *L) {
  struct log_suppressed what;
  if (!log_limit_take((uint64_t)luaL_checkinteger(L, 1), &what)) return 0;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, what.module);
  lua_setfield(L, -2, "module");
  lua_pushstring(L, what.event);
  lua_setfield(L, -2, "event");
  lua_pushstring(L, level_names[what.level]);
  lua_setfield(L, -2, "level");
  lua_pushinteger(L, (lua_Integer)what.count);
  lua_setfield(L, -2, "count");
  return 1;
}

int luaopen_log_probe(lua_State *L) {
  static const luaL_Reg functions[] = {{"pass", pass}, {"take", take}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
