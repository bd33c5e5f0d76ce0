/* The configuration of a node in this process (types/config.h) from a Lua table whose keys are the options of the
 * command line, with _ for -. What the command line made was checked there already; a script's own table only here. */
#ifndef KV_SCRIPT_LUA_NODE_CONFIG_H
#define KV_SCRIPT_LUA_NODE_CONFIG_H

#include <lua.h>

#include "types/config.h"

/* Pushes the list of all keys. */
void lua_node_config_push_keys(lua_State *L);
/* Fills in what the table at `table` says, and defaults, but for the version. Raises an error that names the key;
 * leaves values on the stack. */
void lua_node_config_read(lua_State *L, int table, struct config *config);

#endif
