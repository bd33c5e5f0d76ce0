/* Servers as Lua values (kvserver.server), for specs that reach behind them, and the files of the binding. */
#ifndef KV_SCRIPT_LUA_SERVER_H
#define KV_SCRIPT_LUA_SERVER_H

#include <lua.h>

#include "kvsm/kvsm.h"
#include "server/run.h"

/* The state of the server at `index`; raises for anything else, and for one that is closed. */
struct kvsm *lua_server_check_state(lua_State *L, int index);
/* The server that is the first argument; raises as above. */
struct server *lua_server_check(lua_State *L);
/* Methods that make a server fail (lua_server_faults.c), for the table at the top of the stack. */
void lua_server_add_faults(lua_State *L);

/* Methods that look inside it (lua_server_look.c), for the same table. */
void lua_server_add_looks(lua_State *L);

#endif
