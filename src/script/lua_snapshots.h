/* What the files of the kvserver.snapshots binding share. The loop's thread. */
#ifndef KV_SCRIPT_LUA_SNAPSHOTS_H
#define KV_SCRIPT_LUA_SNAPSHOTS_H

#include <lua.h>

/* snapshots.parse and snapshots.check, see script/lua_snapshot_check.c. */
int lua_snapshot_parse(lua_State *L);
int lua_snapshot_check(lua_State *L);

#endif
