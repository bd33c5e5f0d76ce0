/* kvserver.raftrpc: Raft over HTTP without a node: the two encodings, and a transport whose node is Lua.
 *
 *   local raftrpc = require "kvserver.raftrpc"
 *   local cluster = raftrpc.cluster({{id = "n1", port = 7001}, {id = "n2", port = 7002}}, "n1")
 *   local body = raftrpc.encode("json", cluster, message [, entries])      or "binary"
 *   local message, entries = raftrpc.decode("json", cluster, "append", body)   nil and a text when malformed
 *
 *   local transport <close> = raftrpc.transport(cluster, {json = false, timeout_ms = 1000, port = 0, seed = 1})
 *   transport:port()
 *   transport:send(message [, entries])         message.to: a member's number
 *   transport:take()                            what came, oldest first, or nil: {message =, entries =, token =} with
 *                                               a token when it is a request, or {down = number}
 *   transport:reply(token [, message])          exactly once per token
 *
 * Messages are the tables of kvserver.raft, entries its encode_entries. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/http_server.h"
#include "raft/storage/entry.h"
#include "raft/transporthttp/dto_binary.h"
#include "raft/transporthttp/dto_json.h"
#include "raft/transporthttp/routes.h"
#include "raft/transporthttp/transporthttp.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_raft.h"
#include "script/pending.h"
#include "types/limits.h"

static const char *const cluster_type = "kvserver.raftrpc.cluster";
static const char *const transport_type = "kvserver.raftrpc.transport";
static const char *const scratch_type = "kvserver.raftrpc.scratch";

enum { TOKENS_MAX = 256, CONNECTIONS_MAX = 64, TIMEOUT_MS = 1000, REQUEST_TIMEOUT_MS = 5000, IDLE_TIMEOUT_MS = 60000 };

static lua_Integer option(lua_State *L, int table, const char *name, lua_Integer otherwise) {
  lua_getfield(L, table, name);
  lua_Integer value = luaL_optinteger(L, -1, otherwise);
  luaL_argcheck(L, value >= 0, table, name);
  lua_pop(L, 1);
  return value;
}

static struct bytes opt_bytes(lua_State *L, int arg) {
  size_t len;
  const char *text = luaL_optlstring(L, arg, "", &len);
  return bytes_make(text, len);
}

/* ---- clusters ---- */

static void check_member(lua_State *L, int table, struct cluster_member *out) {
  luaL_checktype(L, table, LUA_TTABLE);
  lua_getfield(L, table, "id");
  snprintf(out->id, sizeof out->id, "%s", luaL_checkstring(L, -1));
  lua_getfield(L, table, "host");
  snprintf(out->host, sizeof out->host, "%s", luaL_optstring(L, -1, "127.0.0.1"));
  lua_pop(L, 2);
  out->port = (uint16_t)option(L, table, "port", 1);
}

static int new_cluster(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *self = luaL_checkstring(L, 2);
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count >= 1 && count <= RAFT_NODES_MAX, 1, "expected 1 to 16 members");
  struct cluster_member members[RAFT_NODES_MAX] = {0};
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, 1, i + 1);
    check_member(L, lua_gettop(L), &members[i]);
    lua_pop(L, 1);
  }
  struct cluster *cluster = lua_newuserdatauv(L, sizeof *cluster, 0);
  luaL_setmetatable(L, cluster_type);
  struct error err;
  if (cluster_init(cluster, members, (size_t)count, self, &err) != STATUS_OK) return luaL_error(L, "%s", err.text);
  return 1;
}

/* ---- the encodings ---- */

static bool check_json(lua_State *L, int arg) {
  static const char *const formats[] = {"binary", "json", NULL};
  return luaL_checkoption(L, arg, NULL, formats) == 1;
}

static uint32_t count_entries(struct bytes entries) {
  struct log_entry entry;
  uint32_t count = 0;
  while (log_entry_next(&entries, &entry))
    count++;
  return count;
}

static void check_message(lua_State *L, int table, struct bytes entries, struct raft_message *out) {
  lua_raft_check_message(L, table, out);
  if (out->type == RAFT_APPEND) out->as.append.entries_count = count_entries(entries);
}

static int encode(lua_State *L) {
  bool json = check_json(L, 1);
  const struct cluster *cluster = luaL_checkudata(L, 2, cluster_type);
  struct bytes entries = opt_bytes(L, 4);
  struct raft_message message;
  check_message(L, 3, entries, &message);
  luaL_argcheck(L, message.from < cluster->members_count && message.to < cluster->members_count, 3,
                "from and to: expected members");
  struct dto dto;
  dto_fill(&dto, cluster, &message, entries);
  struct buffer *out = lua_buffer_push(L);
  if (!json) {
    dto_binary_encode(&dto, out);
  } else if (dto_json_encode(&dto, out) != STATUS_OK) {
    return luaL_error(L, "entries: not commands");
  }
  lua_buffer_push_string(L, out);
  return 1;
}

static int collect_scratch(lua_State *L) {
  dto_json_scratch_deinit(luaL_checkudata(L, 1, scratch_type));
  return 0;
}

static struct dto_json_scratch *push_scratch(lua_State *L) {
  struct dto_json_scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
  dto_json_scratch_init(scratch);
  luaL_setmetatable(L, scratch_type);
  return scratch;
}

/* A table with nothing but its type names the type. */
static enum raft_message_type check_type(lua_State *L, int arg) {
  struct raft_message message;
  luaL_checkstring(L, arg);
  lua_newtable(L);
  lua_pushvalue(L, arg);
  lua_setfield(L, -2, "type");
  lua_raft_check_message(L, lua_gettop(L), &message);
  lua_pop(L, 1);
  return message.type;
}

static int decode(lua_State *L) {
  bool json = check_json(L, 1);
  const struct cluster *cluster = luaL_checkudata(L, 2, cluster_type);
  enum raft_message_type type = check_type(L, 3);
  size_t len;
  const char *text = luaL_checklstring(L, 4, &len);
  struct dto_json_scratch *scratch = push_scratch(L);
  struct bytes body = bytes_make(text, len);
  struct dto dto;
  struct error err;
  enum status status =
      json ? dto_json_decode(body, type, scratch, &dto, &err) : dto_binary_decode(body, type, &dto, &err);
  if (status != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  dto.message.from = cluster_find(cluster, dto.from);
  dto.message.to = cluster_find(cluster, dto.to);
  lua_raft_push_message(L, &dto.message);
  lua_pushlstring(L, (const char *)dto.entries.data, dto.entries.len);
  return 2;
}

/* ---- a transport: its node is a queue that Lua takes from ---- */

struct event {
  struct list link; /* first member */
  bool down;
  uint8_t peer; /* down */
  struct raft_message message;
  size_t token; /* place in tokens, from 1; 0: none */
  size_t entries_len;
  uint8_t entries[];
};

struct lua_transport {
  struct cluster cluster;
  struct transporthttp *http; /* NULL once closed */
  struct http_server *server;
  struct http_handler handler;
  struct http_limits limits;
  struct list events;
  void *tokens[TOKENS_MAX]; /* NULL: free */
};

static size_t keep_token(struct lua_transport *transport, void *token) {
  for (size_t i = 0; token != NULL && i < TOKENS_MAX; i++) {
    if (transport->tokens[i] != NULL) continue;
    transport->tokens[i] = token;
    return i + 1;
  }
  return 0;
}

static void answer(struct lua_transport *transport, void *token, const struct raft_message *message) {
  struct raft_transport *base = transporthttp_base(transport->http);
  base->ops->reply(base, token, message);
}

static void on_receive(void *context, const struct raft_message *message, struct bytes entries, void *token,
                       uint64_t now_ms) {
  struct lua_transport *transport = context;
  (void)now_ms;
  struct event *event = xcalloc(1, sizeof *event + entries.len);
  event->message = *message;
  event->entries_len = entries.len;
  if (entries.len > 0) memcpy(event->entries, entries.data, entries.len);
  event->token = keep_token(transport, token);
  if (token != NULL && event->token == 0) answer(transport, token, NULL);
  list_push_back(&transport->events, &event->link);
}

static void on_peer_down(void *context, uint8_t peer, uint64_t now_ms) {
  struct lua_transport *transport = context;
  (void)now_ms;
  struct event *event = xcalloc(1, sizeof *event);
  event->down = true;
  event->peer = peer;
  list_push_back(&transport->events, &event->link);
}

static enum http_effect classify(void *context, const struct http_message *request) {
  (void)context;
  (void)request;
  return HTTP_EFFECT_WRITE;
}

static void handle(void *context, const struct http_message *request, struct http_exchange *exchange) {
  struct lua_transport *transport = context;
  if (raft_routes_match(request->path)) {
    transporthttp_handle(transport->http, request, exchange);
  } else {
    http_exchange_reply(exchange, 404, "text/plain", bytes_make(NULL, 0), bytes_of("not a path of Raft"));
  }
}

static void error_body(void *context, int status, const char *text, struct buffer *out) {
  (void)context;
  (void)status;
  buffer_append_text(out, text);
}

static struct lua_transport *check_transport(lua_State *L) {
  struct lua_transport *transport = luaL_checkudata(L, 1, transport_type);
  luaL_argcheck(L, transport->http != NULL, 1, "the transport is closed");
  return transport;
}

static int transport_port(lua_State *L) {
  lua_pushinteger(L, http_server_port(check_transport(L)->server));
  return 1;
}

static int transport_send(lua_State *L) {
  struct lua_transport *transport = check_transport(L);
  struct bytes entries = opt_bytes(L, 3);
  struct raft_message message;
  check_message(L, 2, entries, &message);
  message.from = transport->cluster.self;
  luaL_argcheck(L, message.to < transport->cluster.members_count && message.to != message.from, 2,
                "to: expected another member");
  struct raft_transport *base = transporthttp_base(transport->http);
  base->ops->send(base, &message, entries);
  return 0;
}

static int transport_take(lua_State *L) {
  struct lua_transport *transport = check_transport(L);
  if (list_empty(&transport->events)) return 0;
  struct event *event = (struct event *)transport->events.next;
  lua_createtable(L, 0, 3);
  if (event->down) {
    lua_raft_set_node(L, "down", event->peer);
  } else {
    lua_raft_push_message(L, &event->message);
    lua_setfield(L, -2, "message");
    lua_pushlstring(L, (const char *)event->entries, event->entries_len);
    lua_setfield(L, -2, "entries");
    if (event->token > 0) lua_raft_set_integer(L, "token", event->token);
  }
  list_remove(&event->link);
  free(event);
  return 1;
}

static int transport_reply(lua_State *L) {
  struct lua_transport *transport = check_transport(L);
  lua_Integer token = luaL_checkinteger(L, 2);
  luaL_argcheck(L, token >= 1 && token <= TOKENS_MAX && transport->tokens[token - 1] != NULL, 2, "no such token");
  struct raft_message message;
  bool silent = lua_isnoneornil(L, 3);
  if (!silent) check_message(L, 3, bytes_make(NULL, 0), &message);
  message.from = transport->cluster.self;
  void *pointer = transport->tokens[token - 1];
  transport->tokens[token - 1] = NULL;
  answer(transport, pointer, silent ? NULL : &message);
  return 0;
}

static int transport_close(lua_State *L) {
  struct lua_transport *transport = luaL_checkudata(L, 1, transport_type);
  if (transport->http == NULL) return 0;
  if (transport->server != NULL) http_server_close(transport->server);
  for (size_t i = 0; i < TOKENS_MAX; i++) {
    if (transport->tokens[i] != NULL) answer(transport, transport->tokens[i], NULL);
  }
  transporthttp_destroy(transport->http);
  transport->http = NULL;
  for (struct list *link = list_pop_front(&transport->events); link != NULL; link = list_pop_front(&transport->events))
    free(link);
  return 0;
}

static int new_transport(lua_State *L) {
  const struct cluster *cluster = luaL_checkudata(L, 1, cluster_type);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct transporthttp_options options = {.loop = script_loop(L),
                                          .timeout_ms = (uint32_t)option(L, 2, "timeout_ms", TIMEOUT_MS),
                                          .seed = (uint64_t)option(L, 2, "seed", 1)};
  uint16_t port = (uint16_t)option(L, 2, "port", 0);
  options.json = lua_raft_boolean(L, 2, "json");
  struct lua_transport *transport = lua_newuserdatauv(L, sizeof *transport, 0);
  memset(transport, 0, sizeof *transport);
  luaL_setmetatable(L, transport_type);
  transport->cluster = *cluster;
  transport->handler =
      (struct http_handler){.context = transport, .classify = classify, .handle = handle, .error_body = error_body};
  transport->limits = (struct http_limits){
      .body_bytes_max = BODY_BYTES_CAP, .request_timeout_ms = REQUEST_TIMEOUT_MS, .idle_timeout_ms = IDLE_TIMEOUT_MS};
  list_init(&transport->events);
  options.cluster = &transport->cluster;
  transport->http = transporthttp_create(&options);
  struct transporthttp_events events = {transport, on_receive, on_peer_down};
  transporthttp_start(transport->http, &events);
  struct error err;
  enum status status = http_server_open(options.loop, "127.0.0.1", port, CONNECTIONS_MAX, &transport->handler,
                                        &transport->limits, &transport->server, &err);
  return status == STATUS_OK ? 1 : luaL_error(L, "%s", err.text);
}

static void register_types(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"port", transport_port},   {"send", transport_send},  {"take", transport_take},     {"reply", transport_reply},
      {"close", transport_close}, {"__gc", transport_close}, {"__close", transport_close}, {NULL, NULL}};
  luaL_newmetatable(L, cluster_type);
  luaL_newmetatable(L, scratch_type);
  lua_pushcfunction(L, collect_scratch);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, transport_type);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 3);
}

int luaopen_kvserver_raftrpc(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"cluster", new_cluster}, {"encode", encode}, {"decode", decode}, {"transport", new_transport}, {NULL, NULL}};
  register_types(L);
  luaL_newlib(L, functions);
  return 1;
}
