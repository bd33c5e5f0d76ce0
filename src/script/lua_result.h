/* How a function of C says in Lua that it did not work. */
#ifndef KV_SCRIPT_LUA_RESULT_H
#define KV_SCRIPT_LUA_RESULT_H

#include <lua.h>

#include "base/status.h"

/* Pushes nil, the status' name and the text. Returns how many that are. */
int lua_push_failure(lua_State *L, enum status status, const struct error *err);
/* Pushes true, or the failure. */
int lua_push_result(lua_State *L, enum status status, const struct error *err);

#endif
