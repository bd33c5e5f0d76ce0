/* opcache_probe: the cache of asynchronous writes with a clock of the spec's.
 *
 *   local cache = require "opcache_probe".open{ops = 10, bytes = 1 << 20, ttl_ms = 1000}
 *   cache:reserve(now_ms) -> number, or nil and the name of a status
 *   cache:release(number)
 *   cache:finish(number, now_ms [, index [, deleted]])        as a delete that gave `deleted` (0)
 *   cache:find(number, now_ms) -> "found", "expired" or "never"; then {ready =, index =, deleted =}
 *   cache:expire(now_ms, steps)
 *   cache:stats() -> {pending =, finished =, bytes =, taken =} */
#include <lauxlib.h>
#include <lua.h>

#include "opcache/opcache.h"

static const char type_name[] = "opcache_probe";

int luaopen_opcache_probe(lua_State *L);

static struct opcache *check(lua_State *L) {
  return *(struct opcache **)luaL_checkudata(L, 1, type_name);
}

static uint64_t check_number(lua_State *L, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number >= 0, index, "expected no negative number");
  return (uint64_t)number;
}

static uint64_t limit(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  uint64_t value = check_number(L, -1);
  lua_pop(L, 1);
  return value;
}

static int probe_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const struct opcache_limits limits = {limit(L, "ops"), limit(L, "bytes"), limit(L, "ttl_ms")};
  struct opcache **cache = lua_newuserdatauv(L, sizeof(struct opcache *), 0);
  *cache = opcache_create(&limits);
  luaL_setmetatable(L, type_name);
  return 1;
}

static int probe_close(lua_State *L) {
  opcache_destroy(check(L));
  return 0;
}

static int probe_reserve(lua_State *L) {
  uint64_t number;
  enum status status = opcache_reserve(check(L), check_number(L, 2), &number);
  if (status == STATUS_OK) {
    lua_pushinteger(L, (lua_Integer)number);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushstring(L, status_name(status));
  return 2;
}

static int probe_release(lua_State *L) {
  opcache_release(check(L), check_number(L, 2));
  return 0;
}

static int probe_finish(lua_State *L) {
  struct apply_result result = {
      .ok = true, .has_deleted = true, .deleted = (uint64_t)luaL_optinteger(L, 5, 0), .err_msg = ""};
  uint64_t index = (uint64_t)luaL_optinteger(L, 4, 0);
  opcache_finish(check(L), check_number(L, 2), &result, index, check_number(L, 3));
  return 0;
}

static void set_number(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static int probe_find(lua_State *L) {
  static const char *const names[] = {"found", "expired", "never"};
  struct op_result outcome;
  enum opcache_found found = opcache_find(check(L), check_number(L, 2), check_number(L, 3), &outcome);
  lua_pushstring(L, names[found]);
  if (found != OPCACHE_FOUND) return 1;
  lua_createtable(L, 0, 3);
  lua_pushboolean(L, outcome.ready);
  lua_setfield(L, -2, "ready");
  set_number(L, "index", outcome.index);
  set_number(L, "deleted", outcome.result.deleted);
  return 2;
}

static int probe_expire(lua_State *L) {
  opcache_expire(check(L), check_number(L, 2), check_number(L, 3));
  return 0;
}

static int probe_stats(lua_State *L) {
  struct opcache_stats stats;
  opcache_stats(check(L), &stats);
  lua_createtable(L, 0, 4);
  set_number(L, "pending", stats.pending);
  set_number(L, "finished", stats.finished);
  set_number(L, "bytes", stats.bytes);
  set_number(L, "taken", stats.taken);
  return 1;
}

int luaopen_opcache_probe(lua_State *L) {
  static const luaL_Reg methods[] = {{"reserve", probe_reserve},
                                     {"release", probe_release},
                                     {"finish", probe_finish},
                                     {"find", probe_find},
                                     {"expire", probe_expire},
                                     {"stats", probe_stats},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", probe_open}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  lua_pushcfunction(L, probe_close);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
