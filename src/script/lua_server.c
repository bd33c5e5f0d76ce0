/* kvserver.server: a node in this process.
 *
 *   local server = require "kvserver.server"
 *   local node <close> = assert(server.start{id = "n1", listen = "127.0.0.1:0", data = "/tmp/n1"})
 *   print(node:port())
 *   node:stop(2000)
 *
 * The table takes the option names of the command line with _ for -, those in `server.keys`, `peers` as a table
 * {n1 = "HOST:PORT", ...}; what is missing takes its default, but for `data`: without it, everything is in memory.
 * Other names, and strings and numbers of the wrong type or range, raise an error that names the field. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "io/thread.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "script/lua_node_config.h"
#include "script/lua_server.h"
#include "script/pending.h"
#include "server/run.h"

static const char type_name[] = "kvserver.server";
static const char opening_name[] = "kvserver.server.opening";

struct lua_server {
  struct server *server;           /* NULL once closed */
  struct script_pending *stopping; /* whoever waits in stop, or NULL */
  struct script_pending *failing;  /* whoever waits in wait_failed, or NULL */
  bool stopped;
};

static struct lua_server *check_open(lua_State *L) {
  struct lua_server *self = luaL_checkudata(L, 1, type_name);
  luaL_argcheck(L, self->server != NULL, 1, "the server is closed");
  return self;
}

struct server *lua_server_check(lua_State *L) {
  return check_open(L)->server;
}

struct kvsm *lua_server_check_state(lua_State *L, int index) {
  struct lua_server *self = luaL_checkudata(L, index, type_name);
  luaL_argcheck(L, self->server != NULL, index, "the server is closed");
  return server_kvsm(self->server);
}

static int push_failure(lua_State *L, const char *data, enum status status, const char *why) {
  bool refused = status == STATUS_INVALID || status == STATUS_CORRUPT;
  luaL_pushfail(L);
  if (data[0] != '\0')
    lua_pushfstring(L, "%s: %s", data, why);
  else
    lua_pushstring(L, why);
  lua_pushstring(L, refused ? "refused" : "failed");
  return 3;
}

/* Takes the server out of *server, which is open. */
static int push_serving(lua_State *L, struct server **server) {
  struct lua_server *self = lua_newuserdatauv(L, sizeof *self, 0);
  *self = (struct lua_server){.server = NULL};
  luaL_setmetatable(L, type_name);
  self->server = *server;
  *server = NULL;
  struct error err;
  enum status status = server_serve(self->server, &err);
  if (status == STATUS_OK) return 1;
  server_destroy(self->server);
  self->server = NULL;
  return push_failure(L, "", STATUS_IO, err.text);
}

/* ---- opening a data directory, on a thread of its own ---- */

/* It belongs to a userdata on the stack of whoever waits: when that goes, however it goes, it is over. Once it is open,
 * the pending operation has it. */
struct opening {
  struct io_job job; /* first */
  struct io_thread *thread;
  struct io_timer *timer;
  struct opening **guard; /* in the userdata */
  struct script_pending *pending;
  struct server *server; /* owned; NULL once it serves */
  uint64_t start_ns;
  enum status status;
  struct error err;
};

enum { TELL_OPENING_MS = 1000 }; /* how often the log tells that opening goes on */

static const char *data_of(const struct opening *opening) {
  return server_config(opening->server)->data;
}

static void opening_free(void *data) {
  struct opening *opening = data;
  if (opening->server != NULL) server_destroy(opening->server);
  free(opening);
}

static int push_opened(lua_State *L, void *data) {
  struct opening *opening = data;
  if (opening->status == STATUS_OK) return push_serving(L, &opening->server);
  return push_failure(L, data_of(opening), opening->status, opening->err.text);
}

static void work_open(struct io_job *job) {
  struct opening *opening = (struct opening *)(void *)job;
  opening->status = server_open(opening->server, &opening->err);
}

/* The thread is over, or about to be: waits for it. */
static void end_thread(struct opening *opening) {
  *opening->guard = NULL;
  io_timer_destroy(opening->timer);
  io_thread_destroy(opening->thread);
}

static void tell_opened(const struct opening *opening) {
  struct kvsm_stats stats;
  kvsm_stats(server_kvsm(opening->server), &stats);
  LOG_INFO("server", "opened", LOG_STR("data", data_of(opening)), LOG_U64("snapshot_index", stats.last_applied),
           LOG_U64("keys", stats.keys), LOG_U64("ms", (io_clock_ns() - opening->start_ns) / 1000000));
}

static void on_opened(struct io_job *job) {
  struct opening *opening = (struct opening *)(void *)job;
  end_thread(opening);
  if (opening->status == STATUS_OK) tell_opened(opening);
  script_pending_complete(opening->pending, push_opened, opening, opening_free);
}

static void on_tell(void *context) {
  struct opening *opening = context;
  LOG_INFO("server", "opening", LOG_STR("data", data_of(opening)),
           LOG_U64("read_bytes", server_opening_bytes(opening->server)),
           LOG_U64("ms", (io_clock_ns() - opening->start_ns) / 1000000));
  io_timer_arm(opening->timer, TELL_OPENING_MS);
}

/* __close and __gc of the guard: nobody waits any more. */
static int abandon(lua_State *L) {
  struct opening **guard = luaL_checkudata(L, 1, opening_name);
  struct opening *opening = *guard;
  if (opening == NULL) return 0;
  server_stop_opening(opening->server);
  end_thread(opening);
  script_pending_drop(opening->pending);
  opening_free(opening);
  return 0;
}

static void start_opening(struct io_loop *loop, const struct config *config, struct opening **guard,
                          struct script_pending *pending) {
  struct opening *opening = xcalloc(1, sizeof *opening);
  opening->job = (struct io_job){.work = work_open, .done = on_opened};
  opening->guard = guard;
  opening->pending = pending;
  opening->server = server_create(loop, config, NULL);
  opening->start_ns = io_clock_ns();
  opening->timer = io_timer_create(loop, on_tell, opening);
  io_timer_arm(opening->timer, TELL_OPENING_MS);
  opening->thread = io_thread_create(loop);
  *guard = opening;
  io_thread_run(opening->thread, &opening->job);
}

static int open_elsewhere(lua_State *L, const struct config *config) {
  script_check_wait(L);
  struct io_loop *loop = script_loop(L);
  struct opening **guard = lua_newuserdatauv(L, sizeof(struct opening *), 0);
  *guard = NULL;
  luaL_setmetatable(L, opening_name);
  lua_toclose(L, -1);
  struct script_pending *pending = script_pending_push(L);
  start_opening(loop, config, guard, pending);
  return script_await(L, pending);
}

static int open_here(lua_State *L, const struct config *config, struct raft_node *node) {
  struct server *server = server_create(script_loop(L), config, node);
  struct error err;
  CHECK(server_open(server, &err) == STATUS_OK); /* there is nothing to open */
  return push_serving(L, &server);
}

/* start(config [, node]) -> server; or nil, why not, and "refused" (the data directory is not for this node, or
 * damaged) or "failed". With a data directory it waits. `node`: a light userdata, the struct raft_node of a fake, which
 * must outlive the server. The version is the upvalue. */
static int start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  lua_settop(L, 2);
  struct config config = {.id = ""};
  lua_node_config_read(L, 1, &config);
  snprintf(config.version, sizeof config.version, "%s", lua_tostring(L, lua_upvalueindex(1)));
  struct raft_node *node = lua_touserdata(L, 2);
  if (node != NULL || config.data[0] == '\0') return open_here(L, &config, node);
  return open_elsewhere(L, &config);
}

/* ---- a node that serves ---- */

static int get_port(lua_State *L) {
  lua_pushinteger(L, server_port(check_open(L)->server));
  return 1;
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* stats() -> {keys, clients, bytes, last_applied, digest}, all of one moment. */
static int get_stats(lua_State *L) {
  struct kvsm_stats stats;
  char digest[HASH128_HEX_CHARS + 1];
  kvsm_stats(server_kvsm(check_open(L)->server), &stats);
  hash128_hex(stats.digest, digest);
  lua_createtable(L, 0, 5);
  set_integer(L, "keys", stats.keys);
  set_integer(L, "clients", stats.clients);
  set_integer(L, "bytes", stats.bytes);
  set_integer(L, "last_applied", stats.last_applied);
  lua_pushstring(L, digest);
  lua_setfield(L, -2, "digest");
  return 1;
}

/* status() -> {role, term, leader_id, commit_index, last_applied, first_index, last_index, snapshot_index,
 * snapshot_term, not_ready, behind, next_action}, of this moment; leader_id is "" when none is known. not_ready (why),
 * behind (how many entries it must apply first; 0: that is not why) and next_action are nil when the node is fit for
 * work. */
static int get_status(lua_State *L) {
  struct raft_status status;
  struct leader_hint hint;
  server_status(check_open(L)->server, &status, &hint);
  lua_createtable(L, 0, 10);
  lua_pushstring(L, status.role);
  lua_setfield(L, -2, "role");
  lua_pushstring(L, hint.leader_id);
  lua_setfield(L, -2, "leader_id");
  set_integer(L, "term", status.term);
  set_integer(L, "commit_index", status.commit_index);
  set_integer(L, "last_applied", status.last_applied);
  set_integer(L, "first_index", status.first_index);
  set_integer(L, "last_index", status.last_index);
  set_integer(L, "snapshot_index", status.snapshot_index);
  set_integer(L, "snapshot_term", status.snapshot_term);
  if (status.unready == NULL) return 1;
  lua_pushstring(L, status.unready->text);
  lua_setfield(L, -2, "not_ready");
  lua_pushstring(L, status.unready->action);
  lua_setfield(L, -2, "next_action");
  set_integer(L, "behind", status.behind);
  return 1;
}

static void set_durations(lua_State *L, const char *name, const struct histogram *durations) {
  lua_createtable(L, 0, 4);
  set_integer(L, "count", durations->count);
  set_integer(L, "p50_us", histogram_quantile_us(durations, 500));
  set_integer(L, "p99_us", histogram_quantile_us(durations, 990));
  set_integer(L, "max_us", durations->max_us);
  lua_setfield(L, -2, name);
}

/* durations() -> {fsync =, commit =, apply =, turn =}, each {count =, p50_us =, p99_us =, max_us =}, as of
 * server_durations (server/run.h). The quantiles are estimates: between the bounds of a bucket (metrics/histogram.h).
 */
static int get_durations(lua_State *L) {
  struct server_durations durations;
  server_durations(check_open(L)->server, &durations);
  lua_createtable(L, 0, 4);
  set_durations(L, "fsync", durations.fsync);
  set_durations(L, "commit", durations.commit);
  set_durations(L, "apply", durations.apply);
  set_durations(L, "turn", durations.turn);
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

/* snapshot() -> true when one of what is applied is being taken, status() shows when it is done; or nil and why not. */
static int snapshot(lua_State *L) {
  enum status status = server_create_snapshot(check_open(L)->server);
  if (status == STATUS_OK) return push_true(L, NULL);
  luaL_pushfail(L);
  lua_pushstring(L, status_name(status));
  return 2;
}

/* transfer(id) -> true when that member was asked to lead, status() shows what becomes of it; or nil and why not. */
static int transfer(lua_State *L) {
  struct lua_server *self = check_open(L);
  enum status status = server_transfer(self->server, luaL_checkstring(L, 2));
  if (status == STATUS_OK) return push_true(L, NULL);
  luaL_pushfail(L);
  lua_pushstring(L, status_name(status));
  return 2;
}

/* ---- its log ---- */

enum { LOG_ENTRIES_MAX = 1000, LOG_BYTES_MAX = 1 << 22 };

struct log_copy {
  struct buffer *encoded;
  uint64_t first; /* index; 0: none yet */
};

/* Entries are copied out first: making tables may raise, and must not while the store is locked. */
static void copy_entry(void *context, const struct log_entry *entry) {
  struct log_copy *copy = context;
  if (copy->first == 0) copy->first = entry->index;
  log_entry_encode(copy->encoded, entry->term, entry->command);
}

/* raft_log([from [, to]]) -> {{index =, term =, op =, ...}, ...} of what the log holds from `from` (default: its first)
 * up to `to` (default: its last): at most LOG_ENTRIES_MAX, and LOG_BYTES_MAX bytes, but one in any case; or nil and why
 * not. */
static int raft_log(lua_State *L) {
  struct lua_server *self = check_open(L);
  lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  luaL_argcheck(L, from >= 1, 2, "expected a number from 1");
  luaL_argcheck(L, to >= 0, 3, "negative");
  struct raft_status about;
  struct leader_hint hint;
  server_status(self->server, &about, &hint);
  if ((uint64_t)from < about.first_index) from = (lua_Integer)about.first_index;
  if (to - from >= LOG_ENTRIES_MAX) to = from + LOG_ENTRIES_MAX - 1;
  struct log_copy copy = {lua_buffer_push(L), 0};
  enum status status = server_read_log(self->server, (uint64_t)from, (uint64_t)to, LOG_BYTES_MAX, copy_entry, &copy);
  if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
    luaL_pushfail(L);
    lua_pushstring(L, status_name(status));
    return 2;
  }
  lua_command_push_entries(L, buffer_view(copy.encoded), copy.first);
  return 1;
}

static int push_why_failed(lua_State *L, void *data) {
  lua_pushstring(L, data);
  return 1;
}

static void on_failed(void *context) {
  struct lua_server *self = context;
  struct script_pending *failing = self->failing;
  self->failing = NULL;
  char *why = xmalloc(ERROR_TEXT_MAX);
  snprintf(why, ERROR_TEXT_MAX, "%s", server_failure(self->server));
  script_pending_complete(failing, push_why_failed, why, free);
}

/* wait_failed() -> why the node's storage failed, which is its end; waits until it does. */
static int wait_failed(lua_State *L) {
  struct lua_server *self = check_open(L);
  const char *why = server_failure(self->server);
  if (why != NULL) {
    lua_pushstring(L, why);
    return 1;
  }
  if (self->failing != NULL) return luaL_error(L, "wait_failed: somebody else waits already");
  script_check_wait(L);
  struct script_pending *pending = script_pending_push(L);
  self->failing = pending;
  server_on_failed(self->server, on_failed, self);
  return script_await(L, pending);
}

/* close(): an abrupt end, unless the server has stopped; also __gc and __close. Any number of times. */
static int close(lua_State *L) {
  struct lua_server *self = luaL_checkudata(L, 1, type_name);
  struct server *server = self->server;
  self->server = NULL;
  if (server == NULL) return 0;
  server_on_failed(server, NULL, NULL);
  if (self->failing != NULL) script_pending_drop(self->failing);
  self->failing = NULL;
  server_destroy(server);
  return 0;
}

static void make_metatables(lua_State *L) {
  static const luaL_Reg methods[] = {{"port", get_port},
                                     {"stop", stop},
                                     {"wait_failed", wait_failed},
                                     {"close", close},
                                     {"stats", get_stats},
                                     {"status", get_status},
                                     {"snapshot", snapshot},
                                     {"transfer", transfer},
                                     {"raft_log", raft_log},
                                     {"durations", get_durations},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", close}, {"__close", close}, {NULL, NULL}};
  static const luaL_Reg of_opening[] = {{"__gc", abandon}, {"__close", abandon}, {NULL, NULL}};
  luaL_newmetatable(L, opening_name);
  luaL_setfuncs(L, of_opening, 0);
  luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_server_add_faults(L);
  lua_server_add_looks(L);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}

int luaopen_kvserver_server(lua_State *L) {
  make_metatables(L);
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
