/* kvserver.server: a node in this process.
 *
 *   local server = require "kvserver.server"
 *   local node <close> = assert(server.start{id = "n1", listen = "127.0.0.1:0"})
 *   print(node:port())
 *   print(node:snapshot("state.snap"))  --> bytes, index
 *   node:stop(2000)
 *
 * The table takes the option names of the command line with _ for -, those in `server.keys`, `peers` as a table
 * {n1 = "HOST:PORT", ...}; what is missing takes its default. Other names, and strings and numbers of the wrong type or
 * range, raise an error that names the field. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "script/bindings.h"
#include "script/lua_node_config.h"
#include "script/pending.h"
#include "server/run.h"

static const char type_name[] = "kvserver.server";

struct lua_server {
  struct server *server;           /* NULL once closed */
  struct script_pending *stopping; /* whoever waits in stop, or NULL */
  bool stopped;
};

/* ---- the node ---- */

static struct lua_server *check_open(lua_State *L) {
  struct lua_server *self = luaL_checkudata(L, 1, type_name);
  luaL_argcheck(L, self->server != NULL, 1, "the server is closed");
  return self;
}

/* start(config [, node]) -> server, or nil and why the address cannot be bound. `node`: a light userdata, the
 * struct raft_node of a fake, which must outlive the server. The version is the upvalue. */
static int start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  lua_settop(L, 2);
  struct config config = {.id = ""};
  struct error err;
  lua_node_config_read(L, 1, &config);
  snprintf(config.version, sizeof config.version, "%s", lua_tostring(L, lua_upvalueindex(1)));
  struct lua_server *self = lua_newuserdatauv(L, sizeof *self, 0);
  *self = (struct lua_server){.server = NULL};
  luaL_setmetatable(L, type_name);
  if (server_start(script_loop(L), &config, lua_touserdata(L, 2), &self->server, &err) == STATUS_OK) return 1;
  luaL_pushfail(L);
  lua_pushstring(L, err.text);
  return 2;
}

static int get_port(lua_State *L) {
  lua_pushinteger(L, server_port(check_open(L)->server));
  return 1;
}

/* stats() -> {keys, clients, bytes, last_applied, digest}, all of one moment. */
static int get_stats(lua_State *L) {
  struct kvsm_stats stats;
  char digest[HASH128_HEX_CHARS + 1];
  kvsm_stats(server_kvsm(check_open(L)->server), &stats);
  hash128_hex(stats.digest, digest);
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, (lua_Integer)stats.keys);
  lua_setfield(L, -2, "keys");
  lua_pushinteger(L, (lua_Integer)stats.clients);
  lua_setfield(L, -2, "clients");
  lua_pushinteger(L, (lua_Integer)stats.bytes);
  lua_setfield(L, -2, "bytes");
  lua_pushinteger(L, (lua_Integer)stats.last_applied);
  lua_setfield(L, -2, "last_applied");
  lua_pushstring(L, digest);
  lua_setfield(L, -2, "digest");
  return 1;
}

/* status() -> {role, term, leader_id, commit_index, last_applied, not_ready}, of this moment; leader_id is "" when none
 * is known, not_ready nil when the node is fit for work. */
static int get_status(lua_State *L) {
  struct raft_status status;
  struct leader_hint hint;
  server_status(check_open(L)->server, &status, &hint);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, status.role);
  lua_setfield(L, -2, "role");
  lua_pushinteger(L, (lua_Integer)status.term);
  lua_setfield(L, -2, "term");
  lua_pushstring(L, hint.leader_id);
  lua_setfield(L, -2, "leader_id");
  lua_pushinteger(L, (lua_Integer)status.commit_index);
  lua_setfield(L, -2, "commit_index");
  lua_pushinteger(L, (lua_Integer)status.last_applied);
  lua_setfield(L, -2, "last_applied");
  lua_pushstring(L, status.not_ready);
  lua_setfield(L, -2, "not_ready");
  return 1;
}

static int push_true(lua_State *L, void *data) {
  (void)data;
  lua_pushboolean(L, true);
  return 1;
}

static void on_stopped(void *context) {
  struct lua_server *self = context;
  struct script_pending *stopping = self->stopping;
  self->stopping = NULL;
  self->stopped = true;
  script_pending_complete(stopping, push_true, NULL, NULL);
}

/* stop(grace_ms) -> true, when the last connection is gone; waits. The server is closed afterwards by close or the
 * collector. */
static int stop(lua_State *L) {
  struct lua_server *self = check_open(L);
  lua_Integer grace_ms = luaL_optinteger(L, 2, 2000);
  luaL_argcheck(L, grace_ms >= 0 && grace_ms <= UINT32_MAX, 2, "expected milliseconds");
  if (self->stopping != NULL) return luaL_error(L, "stop: somebody else stops the server already");
  if (self->stopped) return push_true(L, NULL);
  script_check_wait(L);
  struct script_pending *pending = script_pending_push(L);
  self->stopping = pending;
  server_stop(self->server, (uint32_t)grace_ms, on_stopped, self);
  return script_await(L, pending);
}

/* close(): an abrupt end; also __gc and __close. Any number of times. */
static int close(lua_State *L) {
  struct lua_server *self = luaL_checkudata(L, 1, type_name);
  struct server *server = self->server;
  self->server = NULL;
  if (server != NULL) server_destroy(server);
  return 0;
}

/* ---- snapshot and restore ---- */

struct job_result {
  enum status status;
  uint64_t bytes;
  uint64_t index;
  struct error why;
};

static int push_job_result(lua_State *L, void *data) {
  const struct job_result *result = data;
  if (result->status != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, result->why.text);
  } else {
    lua_pushinteger(L, (lua_Integer)result->bytes);
    lua_pushinteger(L, (lua_Integer)result->index);
  }
  return 2;
}

static void on_job_done(void *context, enum status status, uint64_t bytes, uint64_t index, const char *why) {
  struct job_result *result = xcalloc(1, sizeof *result);
  *result = (struct job_result){.status = status, .bytes = bytes, .index = index};
  error_set(&result->why, status, "%s", why);
  script_pending_complete(context, push_job_result, result, free);
}

static const char *why_not(enum status status) {
  return status == STATUS_INVALID ? "the state of this node is what its log says; it cannot be replaced"
                                  : "too many snapshots and restores at once";
}

typedef enum status start_job(struct server *server, const char *path, server_job_done *done, void *context);

/* Both wait, and return bytes and index, or nil and why. */
static int run_job(lua_State *L, start_job *job) {
  struct lua_server *self = check_open(L);
  const char *path = luaL_checkstring(L, 2);
  if (self->stopped || self->stopping != NULL) return luaL_error(L, "the server is stopping");
  script_check_wait(L);
  struct script_pending *pending = script_pending_push(L);
  enum status status = job(self->server, path, on_job_done, pending);
  if (status != STATUS_OK) on_job_done(pending, status, 0, 0, why_not(status));
  return script_await(L, pending);
}

static int snapshot(lua_State *L) {
  return run_job(L, server_snapshot);
}

static int restore(lua_State *L) {
  return run_job(L, server_restore);
}

static void make_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {{"port", get_port},     {"stop", stop},       {"close", close},
                                     {"snapshot", snapshot}, {"restore", restore}, {"stats", get_stats},
                                     {"status", get_status}, {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", close}, {"__close", close}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_server(lua_State *L) {
  make_metatable(L);
  lua_newtable(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "kvserver.version");
  lua_call(L, 1, 1);
  lua_pushcclosure(L, start, 1);
  lua_setfield(L, -2, "start");
  lua_node_config_push_keys(L);
  lua_setfield(L, -2, "keys");
  return 1;
}
