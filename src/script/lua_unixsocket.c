/* kvserver.unixsocket: sockets for the owner alone, and datagrams to those of others (io/unix_socket.h).
 *
 *   bind(path) -> fd, not listening yet, for a luv pipe's open; or nil and why not
 *   send(address, text) -> true when it was sent, as one datagram, to a path or an "@name"; or nil and why not */
#include <lauxlib.h>
#include <string.h>

#include "io/unix_socket.h"
#include "script/bindings.h"

static const char *check_path(lua_State *L, int index) {
  size_t len;
  const char *path = luaL_checklstring(L, index, &len);
  luaL_argcheck(L, len > 0 && strlen(path) == len, index, "expected a path");
  return path;
}

static int push_why(lua_State *L, const struct error *err) {
  luaL_pushfail(L);
  lua_pushstring(L, err->text);
  return 2;
}

static int bind_path(lua_State *L) {
  const char *path = check_path(L, 1);
  struct error err;
  int fd;
  if (io_unix_bind(path, &fd, &err) != STATUS_OK) return push_why(L, &err);
  lua_pushinteger(L, fd);
  return 1;
}

static int send_text(lua_State *L) {
  const char *address = check_path(L, 1);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  struct error err;
  if (io_unix_send(address, bytes_make(text, len), &err) != STATUS_OK) return push_why(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

int luaopen_kvserver_unixsocket(lua_State *L) {
  static const luaL_Reg functions[] = {{"bind", bind_path}, {"send", send_text}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
