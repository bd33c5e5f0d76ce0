#include "script/lua_buffer.h"

#include <lauxlib.h>

static const char *const type_name = "kvserver.buffer";

static int collect(lua_State *L) {
  buffer_deinit(luaL_checkudata(L, 1, type_name));
  return 0;
}

struct buffer *lua_buffer_push(lua_State *L) {
  struct buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  buffer_init(buffer);
  if (luaL_newmetatable(L, type_name)) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return buffer;
}

void lua_buffer_push_string(lua_State *L, const struct buffer *buffer) {
  lua_pushlstring(L, (const char *)buffer->data, buffer->len);
}
