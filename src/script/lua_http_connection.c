/* The server side of an HTTP connection (http/connection.h), driven by Lua: bytes and time go in by hand.
 *
 *   local connection = http.connection{
 *     handle = function(request, exchange) exchange:reply(200, "text/plain", "", "hello") end,
 *     request_timeout_ms = 5000,
 *   }
 *   connection:feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0)
 *   connection:output()  --> "HTTP/1.1 200 OK\r\n..."
 *
 * Options: handle(request, exchange); classify(request) -> "read" or "write" (default: GET and HEAD read);
 * error_body(status, text) -> string (default: the text); max_body, request_timeout_ms, idle_timeout_ms; member, a
 * table of these three for paths below /raft/, which other members of a cluster use; members_only = true.
 *
 * An error in one of these functions must not jump through the connection's C frames: it is caught, the exchange at
 * hand is answered 500, and the method that Lua called raises it when the connection has come to rest. An exchange that
 * Lua forgets is answered 500 when it is collected. */
#include <lauxlib.h>
#include <lua.h>

#include "http/connection.h"
#include "script/lua_http.h"
#include "types/limits.h"

static const char *const connection_type = "kvserver.http.connection";
static const char *const exchange_type = "kvserver.http.exchange";

enum { OPTIONS_SLOT = 1, ERROR_SLOT, SLOTS };                /* user values of a connection */
enum { REQUEST_TIMEOUT_MS = 5000, IDLE_TIMEOUT_MS = 60000 }; /* defaults */

struct lua_connection {
  struct http_connection *connection; /* NULL once closed */
  struct http_handler handler;
  struct http_limits limits;
  struct http_limits member_limits;
  lua_State *L;        /* of the method that is running; the connection is its first argument */
  uint64_t now_ms;     /* as last told */
  lua_Integer readies; /* calls of on_ready */
};

struct lua_exchange {
  struct http_exchange *exchange; /* NULL once answered */
  struct lua_connection *connection;
};

/* ---- exchanges ---- */

static void answer_500(struct lua_exchange *exchange) {
  if (exchange->exchange == NULL) return;
  http_exchange_reply(exchange->exchange, 500, "text/plain", (struct bytes){0}, bytes_of("no answer"));
  exchange->exchange = NULL;
}

/* exchange:reply(status, content_type, extra, body) */
static int reply(lua_State *L) {
  struct lua_exchange *exchange = luaL_checkudata(L, 1, exchange_type);
  int status = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, status >= 200 && status <= 599, 2, "not a final status");
  const char *content_type = luaL_optstring(L, 3, NULL);
  struct bytes extra = lua_isnoneornil(L, 4) ? (struct bytes){0} : lua_http_check_bytes(L, 4);
  struct bytes body = lua_isnoneornil(L, 5) ? (struct bytes){0} : lua_http_check_bytes(L, 5);
  if (exchange->exchange == NULL) return luaL_error(L, "this request was answered already");
  http_exchange_reply(exchange->exchange, status, content_type, extra, body);
  exchange->exchange = NULL;
  return 0;
}

/* exchange:alive() -> false when the client is gone, or the answer given */
static int exchange_alive(lua_State *L) {
  struct lua_exchange *exchange = luaL_checkudata(L, 1, exchange_type);
  lua_pushboolean(L, exchange->exchange != NULL && http_exchange_alive(exchange->exchange));
  return 1;
}

static int collect_exchange(lua_State *L) {
  answer_500(luaL_checkudata(L, 1, exchange_type));
  return 0;
}

/* ---- the handler, in Lua ---- */

/* One call into Lua: lent to a protected C function, which may raise at any point. */
struct call {
  struct lua_connection *connection;
  const struct http_message *request;
  struct http_exchange *exchange; /* NULL once Lua has it */
  struct lua_exchange *waiting;   /* there is room for its answer */
  enum http_effect effect;        /* out */
  int status;
  const char *text;
  struct buffer *out;
};

/* Pushes options[name] of the connection at index 1 of the method's frame; false (and nothing) when it is nil. */
static bool push_option(lua_State *L, int options, const char *name) {
  if (lua_getfield(L, options, name) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static int run_classify(lua_State *L) {
  static const char *const names[] = {"read", "write", NULL};
  static const enum http_effect effects[] = {HTTP_EFFECT_READ, HTTP_EFFECT_WRITE};
  struct call *call = lua_touserdata(L, 1);
  enum http_method method = call->request->method;
  call->effect = method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD ? HTTP_EFFECT_READ : HTTP_EFFECT_WRITE;
  if (!push_option(L, 2, "classify")) return 0;
  lua_http_push_message(L, call->request);
  lua_call(L, 1, 1);
  call->effect = effects[luaL_checkoption(L, -1, NULL, names)];
  return 0;
}

static int run_handle(lua_State *L) {
  struct call *call = lua_touserdata(L, 1);
  lua_getfield(L, 2, "handle");
  lua_http_push_message(L, call->request);
  struct lua_exchange *exchange = lua_newuserdatauv(L, sizeof *exchange, 0);
  *exchange = (struct lua_exchange){.exchange = NULL, .connection = call->connection};
  luaL_setmetatable(L, exchange_type);
  exchange->exchange = call->exchange;
  call->exchange = NULL;
  lua_pushvalue(L, -1);
  lua_insert(L, 3);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 0;
  answer_500(exchange);
  return lua_error(L);
}

static int run_error_body(lua_State *L) {
  struct call *call = lua_touserdata(L, 1);
  if (!push_option(L, 2, "error_body")) {
    buffer_append_text(call->out, call->text);
    return 0;
  }
  lua_pushinteger(L, call->status);
  lua_pushstring(L, call->text);
  lua_call(L, 2, 1);
  buffer_append_bytes(call->out, lua_http_check_bytes(L, -1));
  return 0;
}

/* The only entry into Lua. Keeps the first error for the end of the method; stack room was made by `begin`. */
static void call_lua(struct call *call, lua_CFunction function) {
  lua_State *L = call->connection->L;
  lua_pushcfunction(L, function);
  lua_pushlightuserdata(L, call);
  lua_getiuservalue(L, 1, OPTIONS_SLOT);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
  bool first = lua_getiuservalue(L, 1, ERROR_SLOT) == LUA_TNIL;
  lua_pop(L, 1);
  if (first) {
    lua_setiuservalue(L, 1, ERROR_SLOT);
  } else {
    lua_pop(L, 1);
  }
}

static enum http_effect classify(void *context, const struct http_message *request) {
  struct call call = {.connection = context, .request = request, .effect = HTTP_EFFECT_WRITE};
  call_lua(&call, run_classify);
  return call.effect;
}

static void handle(void *context, const struct http_message *request, struct http_exchange *exchange) {
  struct call call = {.connection = context, .request = request, .exchange = exchange};
  call_lua(&call, run_handle);
  if (call.exchange == NULL) return;
  struct lua_exchange unseen = {.exchange = call.exchange}; /* no memory to give it to Lua */
  answer_500(&unseen);
}

static void error_body(void *context, int status, const char *text, struct buffer *out) {
  struct call call = {.connection = context, .status = status, .text = text, .out = out};
  call_lua(&call, run_error_body);
}

/* The answer function of an exchange that waits is in the registry, under the address of the exchange. */
static int run_answer(lua_State *L) {
  struct call *call = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, call->waiting);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, call->waiting);
  lua_call(L, 0, 0);
  return 0;
}

static void on_room(void *context) {
  struct lua_exchange *exchange = context;
  struct call call = {.connection = exchange->connection, .waiting = exchange};
  call_lua(&call, run_answer);
}

/* exchange:wait_for_room(answer) -> false: reply now; true: answer() will be called, when there is room or the client
 * is gone, and replies. */
static int wait_for_room(lua_State *L) {
  struct lua_exchange *exchange = luaL_checkudata(L, 1, exchange_type);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (exchange->exchange == NULL) return luaL_error(L, "this request was answered already");
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, exchange);
  bool waits = http_exchange_wait_for_room(exchange->exchange, on_room, exchange);
  if (!waits) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, exchange);
  }
  lua_pushboolean(L, waits);
  return 1;
}

static void on_ready(void *context) {
  ((struct lua_connection *)context)->readies++;
}

/* ---- connections ---- */

static struct lua_connection *check_connection(lua_State *L) {
  struct lua_connection *connection = luaL_checkudata(L, 1, connection_type);
  luaL_argcheck(L, connection->connection != NULL, 1, "the connection is closed");
  return connection;
}

/* For the methods that may call the handler: notes time (the argument at `now_index`, if given) and caller. */
static struct lua_connection *begin(lua_State *L, int now_index) {
  struct lua_connection *connection = check_connection(L);
  luaL_argcheck(L, connection->L == NULL, 1, "called from inside its own handler");
  connection->now_ms = (uint64_t)luaL_optinteger(L, now_index, (lua_Integer)connection->now_ms);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  connection->L = L;
  return connection;
}

/* Raises what the handler raised. */
static int finish(lua_State *L, struct lua_connection *connection) {
  connection->L = NULL;
  if (lua_getiuservalue(L, 1, ERROR_SLOT) == LUA_TNIL) return 0;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, ERROR_SLOT);
  return lua_error(L);
}

/* connection:feed(bytes, now) */
static int feed(lua_State *L) {
  struct bytes in = lua_http_check_bytes(L, 2);
  struct lua_connection *connection = begin(L, 3);
  http_connection_feed(connection->connection, in, connection->now_ms);
  return finish(L, connection);
}

/* connection:finish(now): the client's FIN */
static int end_input(lua_State *L) {
  struct lua_connection *connection = begin(L, 2);
  http_connection_end(connection->connection, connection->now_ms);
  return finish(L, connection);
}

static int resume(lua_State *L) {
  struct lua_connection *connection = begin(L, 2);
  http_connection_resume(connection->connection, connection->now_ms);
  return finish(L, connection);
}

static int tick(lua_State *L) {
  struct lua_connection *connection = begin(L, 2);
  http_connection_tick(connection->connection, connection->now_ms);
  return finish(L, connection);
}

static int drain(lua_State *L) {
  http_connection_drain(check_connection(L)->connection);
  return 0;
}

/* connection:output(bytes_max) -> takes what is ready, all of it by default */
static int output(lua_State *L) {
  struct http_connection *connection = check_connection(L)->connection;
  struct bytes ready = http_connection_output(connection);
  lua_Integer wanted = luaL_optinteger(L, 2, (lua_Integer)ready.len);
  luaL_argcheck(L, wanted >= 0, 2, "negative");
  size_t len = (size_t)wanted < ready.len ? (size_t)wanted : ready.len;
  lua_pushlstring(L, (const char *)ready.data, len);
  http_connection_sent(connection, len);
  return 1;
}

static int wants_input(lua_State *L) {
  lua_pushboolean(L, http_connection_wants_input(check_connection(L)->connection));
  return 1;
}

static int wants_resume(lua_State *L) {
  lua_pushboolean(L, http_connection_wants_resume(check_connection(L)->connection));
  return 1;
}

static int is_finished(lua_State *L) {
  lua_pushboolean(L, http_connection_finished(check_connection(L)->connection));
  return 1;
}

/* connection:deadline() -> loop time, or nil */
static int deadline(lua_State *L) {
  uint64_t at_ms = http_connection_deadline_ms(check_connection(L)->connection);
  if (at_ms == UINT64_MAX) {
    lua_pushnil(L);
  } else {
    lua_pushinteger(L, (lua_Integer)at_ms);
  }
  return 1;
}

static int inflight(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)http_connection_inflight(check_connection(L)->connection));
  return 1;
}

/* connection:readies() -> how often an answer from outside made output where none was */
static int readies(lua_State *L) {
  lua_pushinteger(L, check_connection(L)->readies);
  return 1;
}

/* connection:close(): the client is gone */
static int close_connection(lua_State *L) {
  struct lua_connection *connection = luaL_checkudata(L, 1, connection_type);
  luaL_argcheck(L, connection->L == NULL, 1, "called from inside its own handler");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  connection->L = L;
  http_connection_destroy(connection->connection);
  connection->L = NULL;
  connection->connection = NULL;
  return 0;
}

static const luaL_Reg connection_methods[] = {{"feed", feed},
                                              {"finish", end_input},
                                              {"resume", resume},
                                              {"tick", tick},
                                              {"drain", drain},
                                              {"output", output},
                                              {"wants_input", wants_input},
                                              {"wants_resume", wants_resume},
                                              {"finished", is_finished},
                                              {"deadline", deadline},
                                              {"inflight", inflight},
                                              {"readies", readies},
                                              {"close", close_connection},
                                              {"__gc", close_connection},
                                              {"__close", close_connection},
                                              {NULL, NULL}};

static const luaL_Reg exchange_methods[] = {{"reply", reply},
                                            {"alive", exchange_alive},
                                            {"wait_for_room", wait_for_room},
                                            {"__gc", collect_exchange},
                                            {NULL, NULL}};

static lua_Integer opt_limit(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer max) {
  lua_getfield(L, -1, name);
  lua_Integer value = luaL_optinteger(L, -1, otherwise);
  if (value < 0 || value > max) luaL_error(L, "%s: expected 0 to %I", name, max);
  lua_pop(L, 1);
  return value;
}

static void register_type(lua_State *L, const char *type, const luaL_Reg *methods) {
  if (luaL_newmetatable(L, type)) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

/* Of the table at the top of the stack. */
static struct http_limits read_limits(lua_State *L) {
  return (struct http_limits){
      .body_bytes_max = (uint64_t)opt_limit(L, "max_body", BODY_BYTES_CAP, BODY_BYTES_CAP),
      .request_timeout_ms = (uint32_t)opt_limit(L, "request_timeout_ms", REQUEST_TIMEOUT_MS, UINT32_MAX),
      .idle_timeout_ms = (uint32_t)opt_limit(L, "idle_timeout_ms", IDLE_TIMEOUT_MS, UINT32_MAX)};
}

static struct http_limits read_member_limits(lua_State *L) {
  struct http_limits limits = {0};
  if (lua_getfield(L, 1, "member") == LUA_TTABLE) {
    limits = read_limits(L);
    limits.is_member = true;
  }
  lua_pop(L, 1);
  return limits;
}

static const struct http_limits *limits_of(void *context, struct bytes path) {
  const struct lua_connection *connection = context;
  bool is_member = path.len >= 6 && memcmp(path.data, "/raft/", 6) == 0;
  return is_member ? &connection->member_limits : NULL;
}

int lua_http_connection(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "handle") != LUA_TFUNCTION) return luaL_error(L, "handle: expected a function");
  lua_getfield(L, 1, "members_only");
  bool members_only = lua_toboolean(L, -1);
  lua_settop(L, 1);
  struct http_limits limits = read_limits(L);
  struct http_limits member_limits = read_member_limits(L);
  register_type(L, connection_type, connection_methods);
  register_type(L, exchange_type, exchange_methods);
  struct lua_connection *connection = lua_newuserdatauv(L, sizeof *connection, SLOTS - 1);
  *connection = (struct lua_connection){
      .handler = {connection, classify, handle, error_body, member_limits.is_member ? limits_of : NULL},
      .limits = limits,
      .member_limits = member_limits};
  luaL_setmetatable(L, connection_type);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, OPTIONS_SLOT);
  connection->connection = http_connection_create(&connection->handler, &connection->limits, members_only, 0);
  http_connection_on_ready(connection->connection, on_ready, connection);
  return 1;
}
