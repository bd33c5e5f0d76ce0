/* kvserver.httpclient: the HTTP client of src/io as blocking verbs.
 *
 *   local httpclient = require "kvserver.httpclient"
 *   local c <close> = httpclient.open { host = "127.0.0.1", port = 7000 }
 *   local response, err, text = c:request { method = "GET", target = "/healthz", timeout_ms = 1000 }
 *   local call = c:start { target = "/status" }   -- several in flight, answered in order
 *   local status = call:wait().status
 *   local socket <close> = httpclient.raw { port = 7000 }   -- bytes, see lua_rawsocket.c
 *
 * A response is {status =, headers = {lower-case name = value}, body =}. A failure is nil, one of "connect" (nothing
 * was sent), "closed" or "timeout" (the outcome is unknown), "overloaded" (too many in flight), and a text. */
#include "base/check.h"
#include "io/http_client.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_rawsocket.h"
#include "script/pending.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char *const client_type = "kvserver.httpclient.client";
static const char *const call_type = "kvserver.httpclient.call";

enum {
  REQUEST_TIMEOUT_MS = 5000,     /* default */
  RESPONSE_BODY_BYTES = 67108864 /* default of max_body */
};

/* How a request ended: a copy in one block, since the response is only lent. */
struct outcome {
  enum status status;
  int http_status;
  size_t headers_count;
  struct http_header *headers; /* in the block, names in lower case */
  struct bytes body;           /* in the block; unless STATUS_OK: the reason */
};

static struct bytes copy_into(uint8_t **free_space, struct bytes view) {
  uint8_t *copy = *free_space;
  if (view.len > 0) memcpy(copy, view.data, view.len);
  *free_space += view.len;
  return bytes_make(copy, view.len);
}

static struct outcome *outcome_create(size_t headers_count, size_t bytes) {
  size_t headers_bytes = headers_count * sizeof(struct http_header);
  struct outcome *outcome = xcalloc(1, sizeof *outcome + headers_bytes + bytes);
  outcome->headers = (struct http_header *)(outcome + 1);
  outcome->headers_count = headers_count;
  return outcome;
}

static uint8_t lower(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static struct outcome *outcome_of_response(const struct http_message *response) {
  size_t bytes = response->body.len;
  for (size_t i = 0; i < response->headers_count; i++) {
    bytes += response->headers[i].name.len + response->headers[i].value.len;
  }
  struct outcome *outcome = outcome_create(response->headers_count, bytes);
  uint8_t *free_space = (uint8_t *)(outcome->headers + outcome->headers_count);
  outcome->http_status = response->status;
  outcome->body = copy_into(&free_space, response->body);
  for (size_t i = 0; i < response->headers_count; i++) {
    uint8_t *name = free_space;
    outcome->headers[i].name = copy_into(&free_space, response->headers[i].name);
    for (; name < free_space; name++)
      *name = lower(*name);
    outcome->headers[i].value = copy_into(&free_space, response->headers[i].value);
  }
  return outcome;
}

static struct outcome *outcome_of_failure(enum status status, const char *why) {
  struct outcome *outcome = outcome_create(0, strlen(why));
  uint8_t *free_space = (uint8_t *)outcome->headers;
  outcome->status = status;
  outcome->body = copy_into(&free_space, bytes_of(why));
  return outcome;
}

static void push_bytes(lua_State *L, struct bytes view) {
  lua_pushlstring(L, (const char *)view.data, view.len);
}

/* Fields of one name are joined by ", " (RFC 9110 5.3). */
static void push_headers(lua_State *L, const struct outcome *outcome) {
  lua_createtable(L, 0, (int)outcome->headers_count);
  for (size_t i = 0; i < outcome->headers_count; i++) {
    push_bytes(L, outcome->headers[i].name);
    lua_pushvalue(L, -1);
    bool repeated = lua_rawget(L, -3) != LUA_TNIL;
    if (repeated)
      lua_pushliteral(L, ", ");
    else
      lua_pop(L, 1);
    push_bytes(L, outcome->headers[i].value);
    if (repeated) lua_concat(L, 3);
    lua_rawset(L, -3);
  }
}

static int push_outcome(lua_State *L, void *data) {
  const struct outcome *outcome = data;
  if (outcome->status != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, outcome->status == STATUS_IO ? "connect" : status_name(outcome->status));
    push_bytes(L, outcome->body);
    return 3;
  }
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, outcome->http_status);
  lua_setfield(L, -2, "status");
  push_headers(L, outcome);
  lua_setfield(L, -2, "headers");
  push_bytes(L, outcome->body);
  lua_setfield(L, -2, "body");
  return 1;
}

static void on_done(void *context, enum status status, const struct http_message *response, const char *why) {
  struct outcome *outcome = status == STATUS_OK ? outcome_of_response(response) : outcome_of_failure(status, why);
  script_pending_complete(context, push_outcome, outcome, free);
}

/* A userdata that owns the client. */
struct client {
  struct http_client *http; /* NULL after close */
};

static struct http_client *check_client(lua_State *L) {
  struct client *client = luaL_checkudata(L, 1, client_type);
  if (client->http == NULL) luaL_error(L, "the client is closed");
  return client->http;
}

/* The arguments of a request, all in strings that stay on the Lua stack. */
struct request {
  const char *method;
  struct bytes target;
  struct bytes extra;
  struct bytes body;
  uint64_t timeout_ms;
};

static struct bytes string_field(lua_State *L, const char *name, const char *otherwise) {
  if (lua_getfield(L, 2, name) == LUA_TNIL && otherwise != NULL) lua_pushstring(L, otherwise);
  struct bytes view;
  view.data = (const uint8_t *)lua_tolstring(L, -1, &view.len);
  if (view.data == NULL) luaL_error(L, "%s: expected a string", name);
  return view;
}

static void append_header_text(lua_State *L, struct buffer *lines, int index) {
  if (lua_type(L, index) != LUA_TSTRING && !lua_isinteger(L, index)) luaL_error(L, "headers: expected strings");
  lua_pushvalue(L, index); /* lua_tolstring may change it in place, and the key must stay for lua_next */
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  if (strcspn(text, "\r\n") != len) luaL_error(L, "headers: a name or value with CR, LF or NUL");
  buffer_append(lines, text, len);
  lua_pop(L, 1);
}

/* {name = value} as header lines. */
static struct bytes header_lines(lua_State *L) {
  if (lua_getfield(L, 2, "headers") == LUA_TNIL) return bytes_make(NULL, 0);
  if (!lua_istable(L, -1)) luaL_error(L, "headers: expected a table of name = value");
  int headers = lua_gettop(L);
  struct buffer *lines = lua_buffer_push(L);
  lua_pushnil(L);
  while (lua_next(L, headers) != 0) {
    int value = lua_gettop(L);
    append_header_text(L, lines, value - 1);
    buffer_append_text(lines, ": ");
    append_header_text(L, lines, value);
    buffer_append_text(lines, "\r\n");
    lua_pop(L, 1);
  }
  return buffer_view(lines);
}

static void read_request(lua_State *L, struct request *request) {
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 16, NULL);
  request->method = (const char *)string_field(L, "method", "GET").data;
  request->target = string_field(L, "target", NULL);
  request->body = string_field(L, "body", "");
  request->extra = header_lines(L);
  lua_getfield(L, 2, "timeout_ms");
  lua_Integer timeout_ms = luaL_optinteger(L, -1, REQUEST_TIMEOUT_MS);
  if (timeout_ms < 0) luaL_error(L, "timeout_ms: expected 0 or more");
  request->timeout_ms = (uint64_t)timeout_ms;
}

/* Sends the request at index 2 and leaves its pending operation at the top of the stack. */
static struct script_pending *send_request(lua_State *L) {
  struct http_client *http = check_client(L);
  struct request request;
  read_request(L, &request);
  struct script_pending *pending = script_pending_push(L);
  enum status status = http_client_send(http, request.method, request.target, request.extra, request.body,
                                        request.timeout_ms, on_done, pending);
  if (status != STATUS_OK) on_done(pending, status, NULL, "too many requests in flight");
  return pending;
}

/* request{...}: sends and waits. */
static int client_request(lua_State *L) {
  script_check_wait(L);
  struct script_pending *pending = send_request(L);
  return script_await(L, pending);
}

/* start{...}: sends; returns a call to wait for. */
static int client_start(lua_State *L) {
  struct script_pending *pending = send_request(L);
  struct script_pending **call = lua_newuserdatauv(L, sizeof *call, 2);
  *call = pending;
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 2); /* the client stays open as long as somebody may wait */
  luaL_setmetatable(L, call_type);
  return 1;
}

/* wait(): as request. Once per call. */
static int call_wait(lua_State *L) {
  struct script_pending **call = luaL_checkudata(L, 1, call_type);
  struct script_pending *pending = *call;
  if (pending == NULL) return luaL_error(L, "wait: this call was waited for already");
  *call = NULL;
  lua_getiuservalue(L, 1, 1);
  return script_await(L, pending);
}

static int client_close(lua_State *L) {
  struct client *client = luaL_checkudata(L, 1, client_type);
  if (client->http != NULL) http_client_destroy(client->http);
  client->http = NULL;
  return 0;
}

/* open{host=, port=, max_body=}: connects with the first request. */
static int httpclient_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "host");
  const char *host = luaL_optstring(L, -1, "127.0.0.1");
  luaL_argcheck(L, strlen(host) < 256, 1, "host: expected at most 255 bytes");
  lua_getfield(L, 1, "port");
  lua_Integer port = luaL_checkinteger(L, -1);
  luaL_argcheck(L, port > 0 && port <= UINT16_MAX, 1, "port: expected 1 to 65535");
  lua_getfield(L, 1, "max_body");
  lua_Integer max_body = luaL_optinteger(L, -1, RESPONSE_BODY_BYTES);
  luaL_argcheck(L, max_body >= 0, 1, "max_body: expected 0 or more");
  struct client *client = lua_newuserdatauv(L, sizeof *client, 0);
  client->http = NULL;
  luaL_setmetatable(L, client_type);
  client->http = http_client_create(script_loop(L), host, (uint16_t)port, (uint64_t)max_body);
  return 1;
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_httpclient(lua_State *L) {
  static const luaL_Reg client_methods[] = {{"request", client_request}, {"start", client_start},
                                            {"close", client_close},     {"__gc", client_close},
                                            {"__close", client_close},   {NULL, NULL}};
  static const luaL_Reg call_methods[] = {{"wait", call_wait}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", httpclient_open}, {"raw", script_rawsocket_open}, {NULL, NULL}};
  new_type(L, client_type, client_methods);
  new_type(L, call_type, call_methods);
  luaL_newlib(L, functions);
  return 1;
}
