/* Servers as Lua values (kvserver.server), for specs that reach behind them. */
#ifndef KV_SCRIPT_LUA_SERVER_H
#define KV_SCRIPT_LUA_SERVER_H

#include <lua.h>

#include "kvsm/kvsm.h"

/* The state of the server at `index`; raises for anything else, and for one that is closed. */
struct kvsm *lua_server_check_state(lua_State *L, int index);

#endif
