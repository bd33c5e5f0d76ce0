/* luv (libuv for Lua) on the VM's loop. What would turn, stop, close or walk the core's loop is withheld, and so are
 * threads, whose VMs would know no limits; an error in a callback ends the script with exit 1. */
#ifndef KV_SCRIPT_LUV_BRIDGE_H
#define KV_SCRIPT_LUV_BRIDGE_H

#include "script/vm.h"

/* require "luv". */
int luv_bridge_open(lua_State *L);
/* Kills children that still run, closes luv's handles and waits for its requests. False when some did not end in time:
 * then the main state must not be closed. */
bool luv_bridge_close(struct script_vm *vm);

#endif
