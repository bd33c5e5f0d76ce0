/* For clang-tidy only, which reads it before each file: what Lua's headers do not say about these, namely that they
 * jump. */
#include <lauxlib.h>

int luaL_error(lua_State *L, const char *format, ...) __attribute__((analyzer_noreturn));
int luaL_argerror(lua_State *L, int arg, const char *message) __attribute__((analyzer_noreturn));
int luaL_typeerror(lua_State *L, int arg, const char *name) __attribute__((analyzer_noreturn));
int lua_error(lua_State *L) __attribute__((analyzer_noreturn));
