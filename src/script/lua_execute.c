/* kvserver.execute: this process becomes another program.
 *
 *   replace(path, {name, argument...})   does not return when it works; else nil and why not
 *
 * The process keeps its id, its environment, its folder, and standard input, output and error; every other descriptor
 * is closed. Nothing of this program is cleaned up: who calls it has closed what must be closed in order. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/bindings.h"

enum { CLOSE_ON_EXEC = 1 << 2 }; /* CLOSE_RANGE_CLOEXEC of linux/close_range.h, which older systems do not have */

/* Ours are opened so; what a library opened may not be. A kernel that does not know this call leaves it at that. */
static void close_others_on_exec(void) {
  syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, CLOSE_ON_EXEC);
}

static char **push_arguments(lua_State *L, int table) {
  lua_Integer count = luaL_len(L, table);
  luaL_argcheck(L, count >= 1, table, "expected the program's name and its arguments");
  char **arguments = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *arguments, 0);
  luaL_checkstack(L, (int)count, "too many arguments");
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, table, i + 1); /* stays on the stack, and so valid */
    arguments[i] = (char *)luaL_checkstring(L, -1);
  }
  arguments[count] = NULL;
  return arguments;
}

static int replace(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  char **arguments = push_arguments(L, 2);
  close_others_on_exec();
  execv(path, arguments);
  luaL_pushfail(L);
  lua_pushfstring(L, "%s: %s", path, strerror(errno));
  return 2;
}

int luaopen_kvserver_execute(lua_State *L) {
  static const luaL_Reg functions[] = {{"replace", replace}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
