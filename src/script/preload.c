#include "script/preload.h"

#include "script/bindings.h"
#include "script/embedded.h"
#include "script/luv_bridge.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const luaL_Reg bindings[] = {{"kvserver.loop", luaopen_kvserver_loop},
                                    {"kvserver.log", luaopen_kvserver_log},
                                    {"kvserver.json", luaopen_kvserver_json},
                                    {"kvserver.types", luaopen_kvserver_types},
                                    {"kvserver.kvsm", luaopen_kvserver_kvsm},
                                    {"kvserver.http", luaopen_kvserver_http},
                                    {"kvserver.httpclient", luaopen_kvserver_httpclient},
                                    {"kvserver.server", luaopen_kvserver_server},
                                    {"kvserver.raft", luaopen_kvserver_raft},
                                    {"kvserver.wal", luaopen_kvserver_wal},
                                    {"kvserver.snapshots", luaopen_kvserver_snapshots},
                                    {"kvserver.sim", luaopen_kvserver_sim},
                                    {"kvserver.disk", luaopen_kvserver_disk},
                                    {"kvserver.raftrpc", luaopen_kvserver_raftrpc},
                                    {"kvserver.coroutine", luaopen_kvserver_coroutine},
                                    {"kvserver.execute", luaopen_kvserver_execute},
                                    {"kvserver.unixsocket", luaopen_kvserver_unixsocket},
                                    {"kvserver.editline", luaopen_kvserver_editline},
                                    {"luv", luv_bridge_open},
                                    {NULL, NULL}};

static const struct embedded_lua_module *find_module(const char *name) {
  for (const struct embedded_lua_module *module = embedded_lua_modules; module->name != NULL; module++) {
    if (strcmp(module->name, name) == 0) return module;
  }
  return NULL;
}

/* Pushes "<dir>/kvserver/cli.lua" for "kvserver.cli". */
static const char *push_path(lua_State *L, const char *dir, const char *name) {
  lua_pushfstring(L, "%s/%s.lua", dir, luaL_gsub(L, name, ".", "/"));
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* require's searcher: the name -> loader and file name. */
static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct embedded_lua_module *module = find_module(name);
  if (module == NULL) {
    lua_pushfstring(L, "no module '%s' inside the binary", name);
    return 1;
  }
  const char *override = getenv("KVSERVER_LUA");
  const char *path = push_path(L, override != NULL ? override : "lua", name);
  int status = LUA_ERRFILE;
  if (override != NULL) status = luaL_loadfile(L, path);
  if (status == LUA_ERRFILE) {
    const char *chunk_name = lua_pushfstring(L, "@%s", push_path(L, "lua", name));
    status = luaL_loadbufferx(L, module->source, module->bytes, chunk_name, "t");
  }
  if (status != LUA_OK) return luaL_error(L, "error loading module '%s':\n\t%s", name, lua_tostring(L, -1));
  lua_pushstring(L, path);
  return 2;
}

void preload_install(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  luaL_setfuncs(L, bindings, 0);
  lua_getfield(L, -2, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) { /* behind preload, before the file system */
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, search);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 3);
}
