/* datagram_probe: the receiving end of a Unix datagram socket, as a manager of services has one, for specs.
 *
 *   local probe = require "datagram_probe"
 *   local socket <close> = probe.bind(address)   an absolute path, or "@" and a name
 *   socket:receive()                             -> the next datagram; nil when there is none yet */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int luaopen_datagram_probe(lua_State *L);

enum { DATAGRAM_BYTES_MAX = 4096 };
static const char type_name[] = "datagram_probe.socket";

static int raise(lua_State *L, const char *what) {
  return luaL_error(L, "%s: %s", what, strerror(errno));
}

static int bind_address(lua_State *L) {
  size_t len;
  const char *address = luaL_checklstring(L, 1, &len);
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  luaL_argcheck(L, len > 0 && len < sizeof at.sun_path, 1, "expected an address");
  memcpy(at.sun_path, address, len);
  if (address[0] == '@') at.sun_path[0] = '\0';
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, type_name);
  *fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd < 0) return raise(L, address);
  socklen_t at_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  if (bind(*fd, (const struct sockaddr *)&at, at_bytes) != 0) return raise(L, address);
  return 1;
}

static int receive(lua_State *L) {
  const int *fd = luaL_checkudata(L, 1, type_name);
  char text[DATAGRAM_BYTES_MAX];
  ssize_t len = recv(*fd, text, sizeof text, 0);
  if (len >= 0)
    lua_pushlstring(L, text, (size_t)len);
  else if (errno == EAGAIN)
    lua_pushnil(L);
  else
    return raise(L, "receive");
  return 1;
}

static int close_socket(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, type_name);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

int luaopen_datagram_probe(lua_State *L) {
  static const luaL_Reg methods[] = {{"receive", receive}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", close_socket}, {"__close", close_socket}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"bind", bind_address}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
