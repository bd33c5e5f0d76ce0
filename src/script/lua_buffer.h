/* A byte buffer that survives longjmp: a userdata whose memory the collector frees, so that a binding may raise, or
 * call what raises, while it builds bytes. The loop's thread. */
#ifndef KV_SCRIPT_LUA_BUFFER_H
#define KV_SCRIPT_LUA_BUFFER_H

#include <lua.h>

#include "base/buffer.h"

/* Pushes a userdata that owns an empty buffer. Valid while it is on the stack or otherwise reachable. */
struct buffer *lua_buffer_push(lua_State *L);
/* Pushes the content as a string. */
void lua_buffer_push_string(lua_State *L, const struct buffer *buffer);

#endif
