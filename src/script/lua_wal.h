/* Write-ahead logs in Lua, for the binding of storages. The loop's thread. */
#ifndef KV_SCRIPT_LUA_WAL_H
#define KV_SCRIPT_LUA_WAL_H

#include <lua.h>

#include "raft/storage/wal.h"

/* The storage of the write-ahead log at `arg`; NULL when it is none; raises when it is closed. */
struct raft_storage *lua_wal_test(lua_State *L, int arg);
/* wal.scan(disk). */
int lua_wal_scan(lua_State *L);

#endif
