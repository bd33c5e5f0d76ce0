/* The Lua modules that the build put into the binary (Makefile: lua_modules.S), ended by a row with a NULL name.
 * Read-only. */
#ifndef KV_SCRIPT_EMBEDDED_H
#define KV_SCRIPT_EMBEDDED_H

#include <stddef.h>

struct embedded_lua_module {
  const char *name; /* as in require: "kvserver.cli" */
  const char *source;
  size_t bytes;
};
extern const struct embedded_lua_module embedded_lua_modules[];

#endif
