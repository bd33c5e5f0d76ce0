/* The ordered map of the state machine as a Lua value, for specs that hold it against a model. */
#ifndef KV_SCRIPT_LUA_KVMAP_H
#define KV_SCRIPT_LUA_KVMAP_H

#include <lua.h>

/* kvsm.map() -> map, empty.
 *
 *   map:put(key, value)  map:append(key, value)  map:get(key) -> value | nil  map:delete(key) -> boolean
 *   map:count()  map:bytes()  map:entries([from [, limit]]) -> keys, values   in byte order, from the first key >= from
 *   map:reclaim(steps) -> more  map:dismantle(steps) -> more (then only close is legal)  map:close()
 *   map:snapshot() -> snapshot
 *   snapshot:count()  snapshot:entries([from [, limit]]) -> keys, values  snapshot:release() */
int lua_kvmap_new(lua_State *L);

/* Makes the types known; once per VM, before lua_kvmap_new. */
void lua_kvmap_register(lua_State *L);

#endif
