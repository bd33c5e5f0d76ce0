#include "script/lua_result.h"

#include <lauxlib.h>
#include <stdbool.h>

int lua_push_failure(lua_State *L, enum status status, const struct error *err) {
  luaL_pushfail(L);
  lua_pushstring(L, status_name(status));
  lua_pushstring(L, err->text);
  return 3;
}

int lua_push_result(lua_State *L, enum status status, const struct error *err) {
  if (status != STATUS_OK) return lua_push_failure(L, status, err);
  lua_pushboolean(L, true);
  return 1;
}
