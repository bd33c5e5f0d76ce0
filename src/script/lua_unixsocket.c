/* kvserver.unixsocket: sockets for the owner alone (io/unix_socket.h).
 *
 *   bind(path) -> fd, not listening yet, for a luv pipe's open; or nil and why not */
#include <lauxlib.h>
#include <string.h>

#include "io/unix_socket.h"
#include "script/bindings.h"

static int bind_path(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len > 0 && strlen(path) == len, 1, "expected a path");
  struct error err;
  int fd;
  if (io_unix_bind(path, &fd, &err) != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  lua_pushinteger(L, fd);
  return 1;
}

int luaopen_kvserver_unixsocket(lua_State *L) {
  static const luaL_Reg functions[] = {{"bind", bind_path}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
