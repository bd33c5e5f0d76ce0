/* kvserver.server: a node in this process.
 *
 *   local server = require "kvserver.server"
 *   local node <close> = assert(server.start{id = "n1", listen = "127.0.0.1:0"})
 *   print(node:port())
 *   print(node:snapshot("state.snap"))  --> bytes, index
 *   node:stop(2000)
 *
 * The table takes the option names of the command line with _ for -, `peers` as a table {n1 = "HOST:PORT", ...}; what
 * is missing takes its default. Strings and numbers of the wrong type or range raise an error that names the field. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "script/bindings.h"
#include "script/pending.h"
#include "server/run.h"

static const char type_name[] = "kvserver.server";

struct lua_server {
  struct server *server;           /* NULL once closed */
  struct script_pending *stopping; /* whoever waits in stop, or NULL */
  bool stopped;
};

/* ---- the configuration ---- */

static const char *string_field(lua_State *L, int table, const char *name, const char *otherwise) {
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_error(L, "%s: expected a string, got %s", name, luaL_typename(L, -1));
  return type == LUA_TNIL ? otherwise : lua_tostring(L, -1); /* stays on the stack, which keeps it alive */
}

static uint64_t number_field(lua_State *L, int table, const char *name, uint64_t otherwise, uint64_t min,
                             uint64_t max) {
  int is_integer = 1;
  lua_Integer value = (lua_Integer)otherwise;
  if (lua_getfield(L, table, name) != LUA_TNIL) {
    is_integer = 0;
    if (lua_type(L, -1) == LUA_TNUMBER) value = lua_tointegerx(L, -1, &is_integer);
  }
  if (!is_integer) luaL_error(L, "%s: expected an integer, got %s", name, luaL_tolstring(L, -1, NULL));
  if (value < 0 || (uint64_t)value < min || (uint64_t)value > max)
    luaL_error(L, "%s: expected %I to %I, got %I", name, (LUAI_UACINT)min, (LUAI_UACINT)max, (LUAI_UACINT)value);
  lua_pop(L, 1);
  return (uint64_t)value;
}

static bool id_legal(const char *id) {
  static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t len = strlen(id);
  return len >= 1 && len <= NODE_ID_BYTES_MAX && strspn(id, legal) == len;
}

static void read_id(lua_State *L, int table, struct config *config) {
  const char *id = string_field(L, table, "id", "n1");
  if (!id_legal(id)) luaL_error(L, "id: expected 1 to %d of a-z A-Z 0-9 . _ -, got \"%s\"", NODE_ID_BYTES_MAX, id);
  snprintf(config->id, sizeof config->id, "%s", id);
}

/* HOST:PORT, where an IPv6 HOST stands in brackets; raises for anything else, in the name of `field`. */
static void read_address(lua_State *L, const char *field, const char *text, char host[ADDRESS_BYTES_MAX + 1],
                         uint16_t *port) {
  const char *colon = strrchr(text, ':');
  const char *name = text;
  size_t name_len = colon == NULL ? 0 : (size_t)(colon - text);
  char *end = NULL;
  unsigned long number =
      colon == NULL || colon[1] < '0' || colon[1] > '9' ? UINT16_MAX + 1ul : strtoul(colon + 1, &end, 10);
  if (name_len >= 2 && name[0] == '[' && name[name_len - 1] == ']') {
    name++;
    name_len -= 2;
  }
  if (name_len < 1 || name_len > ADDRESS_BYTES_MAX || number > UINT16_MAX || *end != '\0')
    luaL_error(L, "%s: expected HOST:PORT, got \"%s\"", field, text);
  memcpy(host, name, name_len);
  host[name_len] = '\0';
  *port = (uint16_t)number;
}

static void read_listen(lua_State *L, int table, struct config *config) {
  const char *listen = string_field(L, table, "listen", "127.0.0.1:7000");
  read_address(L, "listen", listen, config->listen_host, &config->listen_port);
}

/* The key and value at the top of the stack. */
static void read_member(lua_State *L, struct config *config) {
  if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "peers: expected a table of id = \"HOST:PORT\"");
  const char *id = lua_tostring(L, -2);
  if (!id_legal(id)) luaL_error(L, "peers: expected ids of 1 to %d of a-z A-Z 0-9 . _ -", NODE_ID_BYTES_MAX);
  if (config->members_count == MEMBERS_MAX) luaL_error(L, "peers: expected at most %d", MEMBERS_MAX);
  struct config_member *member = &config->members[config->members_count++];
  snprintf(member->id, sizeof member->id, "%s", id);
  const char *address = lua_tostring(L, -1);
  read_address(L, lua_pushfstring(L, "peers.%s", id), address, member->host, &member->port);
  lua_pop(L, 1);
}

/* After id and listen: without peers the node is alone. */
static void read_peers(lua_State *L, int table, struct config *config) {
  int type = lua_getfield(L, table, "peers");
  if (type == LUA_TNIL) {
    struct config_member *self = &config->members[0];
    config->members_count = 1;
    memcpy(self->id, config->id, sizeof self->id);
    memcpy(self->host, config->listen_host, sizeof self->host);
    self->port = config->listen_port;
  } else {
    if (type != LUA_TTABLE) luaL_error(L, "peers: expected a table, got %s", luaL_typename(L, -1));
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
      read_member(L, config);
  }
  lua_pop(L, 1);
}

static bool is_member(const struct config *config, const char *id) {
  for (uint8_t i = 0; i < config->members_count; i++)
    if (strcmp(config->members[i].id, id) == 0) return true;
  return false;
}

static void read_timing(lua_State *L, int table, struct config *config) {
  enum { MINUTE_MS = 60000 };
  config->heartbeat_ms = (uint32_t)number_field(L, table, "heartbeat_ms", 50, 1, MINUTE_MS);
  const char *range = string_field(L, table, "election_ms", "300-600");
  unsigned min;
  unsigned max;
  char rest;
  if (sscanf(range, "%6u-%6u%c", &min, &max, &rest) != 2 || min <= config->heartbeat_ms || max <= min ||
      max > MINUTE_MS)
    luaL_error(L, "election_ms: expected MIN-MAX, above heartbeat_ms and up to %d, got \"%s\"", MINUTE_MS, range);
  config->election_min_ms = min;
  config->election_max_ms = max;
}

/* An own seed for each start: a seed that is given makes the choices of this node the same again. */
static uint64_t any_seed(void) {
  uint64_t seed;
  CHECK(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
  return seed;
}

static void read_cluster(lua_State *L, int table, struct config *config) {
  read_peers(L, table, config);
  read_timing(L, table, config);
  const char *leader = string_field(L, table, "fixed_leader", "");
  if (*leader != '\0' && !is_member(config, leader))
    luaL_error(L, "fixed_leader: expected one of the peers, got \"%s\"", leader);
  snprintf(config->fixed_leader, sizeof config->fixed_leader, "%s", leader);
  config->seed = number_field(L, table, "seed", any_seed() & INT64_MAX, 0, INT64_MAX);
}

static void read_policies(lua_State *L, int table, struct config *config) {
  const char *policy = string_field(L, table, "read_policy", "readindex");
  if (!read_policy_parse(bytes_of(policy), &config->read_policy))
    luaL_error(L, "read_policy: expected \"readindex\" or \"stale\", got \"%s\"", policy);
  const char *mode = string_field(L, table, "write_mode", "sync");
  if (!write_mode_parse(bytes_of(mode), &config->write_mode) || config->write_mode != WRITE_MODE_SYNC)
    luaL_error(L, "write_mode: expected \"sync\", got \"%s\"", mode);
}

static void read_config(lua_State *L, int table, struct config *config) {
  enum { BODY_BYTES = 8 << 20, VALUE_BYTES = 1 << 20, HOUR_MS = 3600000, CONNECTIONS_CAP = 1000000 };
  read_id(L, table, config);
  read_listen(L, table, config);
  read_cluster(L, table, config);
  read_policies(L, table, config);
  config->body_bytes_max = number_field(L, table, "max_body_bytes", BODY_BYTES, 1, BODY_BYTES_CAP);
  config->key_bytes_max = number_field(L, table, "max_key_bytes", 4096, 1, KEY_BYTES_CAP);
  config->value_bytes_max = number_field(L, table, "max_value_bytes", VALUE_BYTES, 1, VALUE_BYTES_CAP);
  config->connections_max = (uint32_t)number_field(L, table, "max_connections", 10000, 1, CONNECTIONS_CAP);
  config->request_timeout_ms = (uint32_t)number_field(L, table, "request_timeout_ms", 5000, 1, HOUR_MS);
  config->idle_timeout_ms = (uint32_t)number_field(L, table, "idle_timeout_ms", 60000, 1, HOUR_MS);
}

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
  read_config(L, 1, &config);
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
  return 1;
}
