/* pty: programs on a terminal of their own.
 *
 *   spawn(argv, rows, columns) -> fd of the terminal's other side, pid
 *   resize(fd, rows, columns)
 *   settings(fd) -> a text that is the same when the terminal is set in the same way
 *   wait(pid) -> nil while it runs, else its exit code, or minus the signal that ended it */
#include <lauxlib.h>
#include <lua.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int luaopen_pty(lua_State *L);

enum { ARGUMENTS_MAX = 30, EXIT_NOT_STARTED = 127 };

static struct winsize check_size(lua_State *L, int index) {
  return (struct winsize){.ws_row = (unsigned short)luaL_checkinteger(L, index),
                          .ws_col = (unsigned short)luaL_checkinteger(L, index + 1)};
}

static int spawn(lua_State *L) {
  const char *arguments[ARGUMENTS_MAX + 1] = {NULL};
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count > 0 && count <= ARGUMENTS_MAX, 1, "expected a list of arguments");
  struct winsize size = check_size(L, 2);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    arguments[i - 1] = luaL_checkstring(L, -1); /* stays on the stack */
  }
  int fd;
  pid_t pid = forkpty(&fd, NULL, NULL, &size);
  if (pid < 0) return luaL_error(L, "no terminal");
  if (pid == 0) {
    execv(arguments[0], (char *const *)arguments);
    _exit(EXIT_NOT_STARTED);
  }
  lua_pushinteger(L, fd);
  lua_pushinteger(L, pid);
  return 2;
}

static int resize(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct winsize size = check_size(L, 2);
  lua_pushboolean(L, ioctl(fd, TIOCSWINSZ, &size) == 0);
  return 1;
}

static int settings(lua_State *L) {
  struct termios now;
  if (tcgetattr((int)luaL_checkinteger(L, 1), &now) != 0) return luaL_error(L, "not a terminal");
  lua_pushfstring(L, "%d %d %d %d", (int)now.c_iflag, (int)now.c_oflag, (int)now.c_cflag, (int)now.c_lflag);
  return 1;
}

static int wait_for(lua_State *L) {
  int status;
  pid_t ended = waitpid((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG);
  if (ended == 0) return 0;
  lua_pushinteger(L, ended < 0 ? EXIT_NOT_STARTED : WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
  return 1;
}

int luaopen_pty(lua_State *L) {
  const luaL_Reg functions[] = {
      {"spawn", spawn}, {"resize", resize}, {"settings", settings}, {"wait", wait_for}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
