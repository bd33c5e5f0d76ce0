/* Faults of the system's disk (server/fault_disk.h) as Lua values, for the bindings that have one: of a server, and of
 * a disk by itself. The loop's thread. */
#ifndef KV_SCRIPT_LUA_FAULT_DISK_H
#define KV_SCRIPT_LUA_FAULT_DISK_H

#include <lua.h>

#include "server/fault_disk.h"

/* Reads {full =, slow_ms =, fail_sync =, torn_next =} at `arg`; what is absent is off. Raises for unknown fields and
 * wrong values, in their name. */
struct fault_disk_state lua_fault_disk_check(lua_State *L, int arg);
/* Pushes a table with these fields, and lost, unsynced, refused_full, slow_syncs, failed_syncs. */
void lua_fault_disk_push(lua_State *L, struct fault_disk *disk);

/* For any table of faults: the name of the field whose key is below its value at the top of the stack, and the value;
 * they raise in the name of the field. */
const char *lua_fault_field(lua_State *L);
bool lua_fault_boolean(lua_State *L, const char *field);
uint32_t lua_fault_ms(lua_State *L, const char *field, uint32_t most);

#endif
