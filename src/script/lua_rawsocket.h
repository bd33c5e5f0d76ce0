/* A TCP connection for specs that must send what no client sends: half a request, a reset in the middle. Part of
 * kvserver.httpclient. */
#ifndef KV_SCRIPT_LUA_RAWSOCKET_H
#define KV_SCRIPT_LUA_RAWSOCKET_H

#include <lua.h>

/* raw{host=, port=} -> socket: send, receive, shutdown, close, reset, unsent. */
int script_rawsocket_open(lua_State *L);

#endif
