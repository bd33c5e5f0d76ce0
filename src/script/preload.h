/* What `require` finds without the file system: the bindings, luv on the VM's own loop, and the Lua modules inside the
 * binary (KVSERVER_LUA=DIR reads those from DIR first). Debian's package.path and package.cpath stay as they are. */
#ifndef KV_SCRIPT_PRELOAD_H
#define KV_SCRIPT_PRELOAD_H

#include <lua.h>

/* Raises errors of memory only. */
void preload_install(lua_State *L);

#endif
