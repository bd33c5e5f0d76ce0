/* What the files of the kvserver.http binding share. */
#ifndef KV_SCRIPT_LUA_HTTP_H
#define KV_SCRIPT_LUA_HTTP_H

#include <lua.h>

#include "http/message.h"

/* The string at `index`; raises when it is none. Valid while that value stays on the stack. */
struct bytes lua_http_check_bytes(lua_State *L, int index);
/* Pushes a message as a table: method, path and query, or status; headers as a list of {name, value}; body, keep_alive,
 * http_1_0. May raise; only borrows. */
void lua_http_push_message(lua_State *L, const struct http_message *message);

/* connection(options) -> a connection; see lua_http_connection.c. */
int lua_http_connection(lua_State *L);

#endif
