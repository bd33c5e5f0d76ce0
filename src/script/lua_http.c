/* kvserver.http: the HTTP parser, the server side of a connection (lua_http_connection.c), encoding and URL coding.
 *
 *   local http = require "kvserver.http"
 *   local parser = http.parser{kind = "request", max_body = 1024}
 *   local events = parser:feed("GET /kv/a%2Fb?read=stale HTTP/1.1\r\nHost: h\r\n\r\n")
 *   events[1].type, events[1].path  --> "message", "/kv/a%2Fb"
 *
 * An event is a table whose `type` is "message" (with the fields of lua_http_push_message), "continue" (the client
 * waits for a 100 Continue) or "failure" (with `status` and `text`; the last event ever). */
#include "script/lua_http.h"

#include <lauxlib.h>

#include "http/parser.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "types/limits.h"

static const char *const parser_type = "kvserver.http.parser";

struct bytes lua_http_check_bytes(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  return bytes_make(text, len);
}

static struct bytes opt_bytes(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? (struct bytes){0} : lua_http_check_bytes(L, index);
}

static void set_bytes(lua_State *L, const char *field, struct bytes view) {
  lua_pushlstring(L, (const char *)view.data, view.len);
  lua_setfield(L, -2, field);
}

static void set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

void lua_http_push_message(lua_State *L, const struct http_message *message) {
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, 0, 8);
  if (message->status == 0) {
    set_bytes(L, "method", message->method_name);
    set_bytes(L, "path", message->path);
    set_bytes(L, "query", message->query);
  } else {
    set_integer(L, "status", message->status);
  }
  lua_createtable(L, (int)message->headers_count, 0);
  for (size_t i = 0; i < message->headers_count; i++) {
    lua_createtable(L, 0, 2);
    set_bytes(L, "name", message->headers[i].name);
    set_bytes(L, "value", message->headers[i].value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "headers");
  set_bytes(L, "body", message->body);
  set_boolean(L, "keep_alive", message->keep_alive);
  set_boolean(L, "http_1_0", message->http_1_0);
}

/* ---- parser ---- */

static struct http_parser *check_parser(lua_State *L) {
  return *(struct http_parser **)luaL_checkudata(L, 1, parser_type);
}

/* parser{kind = "request" or "response", max_body = bytes} */
static int new_parser(lua_State *L) {
  static const char *const kinds[] = {"request", "response", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "kind");
  int kind = luaL_checkoption(L, -1, "request", kinds);
  lua_getfield(L, 1, "max_body");
  lua_Integer max_body = luaL_optinteger(L, -1, BODY_BYTES_CAP);
  luaL_argcheck(L, max_body >= 0, 1, "max_body: must not be negative");
  struct http_parser **parser = lua_newuserdatauv(L, sizeof(struct http_parser *), 0);
  *parser = NULL;
  luaL_setmetatable(L, parser_type);
  *parser = http_parser_create(kind == 0 ? HTTP_REQUESTS : HTTP_RESPONSES, (uint64_t)max_body);
  return 1;
}

static int collect_parser(lua_State *L) {
  struct http_parser **parser = luaL_checkudata(L, 1, parser_type);
  http_parser_destroy(*parser);
  *parser = NULL;
  return 0;
}

/* Pushes the event that `progress` is; false (and nothing) when it is none. */
static bool push_event(lua_State *L, const struct http_parser *parser, enum http_progress progress) {
  if (progress == HTTP_NEED_MORE) return false;
  if (progress == HTTP_MESSAGE) {
    lua_http_push_message(L, http_parser_message(parser));
    lua_pushliteral(L, "message");
  } else if (progress == HTTP_FAILED) {
    lua_createtable(L, 0, 3);
    set_integer(L, "status", http_parser_fail_status(parser));
    lua_pushstring(L, http_parser_fail_text(parser));
    lua_setfield(L, -2, "text");
    lua_pushliteral(L, "failure");
  } else {
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "continue");
  }
  lua_setfield(L, -2, "type");
  return true;
}

/* parser:feed(bytes) -> list of events, and how many bytes were used */
static int feed_parser(lua_State *L) {
  struct http_parser *parser = check_parser(L);
  struct bytes in = lua_http_check_bytes(L, 2);
  size_t at = 0;
  enum http_progress progress;
  lua_newtable(L);
  do {
    size_t used;
    progress = http_parser_feed(parser, bytes_make(in.data + at, in.len - at), &used);
    at += used;
    if (push_event(L, parser, progress)) lua_rawseti(L, 3, (lua_Integer)lua_rawlen(L, 3) + 1);
  } while (at < in.len && progress != HTTP_FAILED);
  lua_pushinteger(L, (lua_Integer)at);
  return 2;
}

/* parser:finish() -> an event, or nil: the stream ended */
static int finish_parser(lua_State *L) {
  struct http_parser *parser = check_parser(L);
  if (!push_event(L, parser, http_parser_finish(parser))) lua_pushnil(L);
  return 1;
}

static int parser_in_message(lua_State *L) {
  lua_pushboolean(L, http_parser_in_message(check_parser(L)));
  return 1;
}

static int parser_expect_head(lua_State *L) {
  http_parser_expect_head(check_parser(L));
  return 0;
}

static int trim_parser(lua_State *L) {
  http_parser_trim(check_parser(L));
  return 0;
}

static const luaL_Reg parser_methods[] = {{"feed", feed_parser},
                                          {"finish", finish_parser},
                                          {"in_message", parser_in_message},
                                          {"expect_head", parser_expect_head},
                                          {"trim", trim_parser},
                                          {"__gc", collect_parser},
                                          {NULL, NULL}};

/* ---- coding ---- */

static int percent_encode(lua_State *L) {
  struct bytes text = lua_http_check_bytes(L, 1);
  struct buffer *out = lua_buffer_push(L);
  http_percent_encode(text, out);
  lua_buffer_push_string(L, out);
  return 1;
}

/* percent_decode(text) -> bytes, or nil and a message */
static int percent_decode(lua_State *L) {
  struct bytes raw = lua_http_check_bytes(L, 1);
  struct buffer *out = lua_buffer_push(L);
  if (http_percent_decode(raw, out)) {
    lua_buffer_push_string(L, out);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushliteral(L, "percent_decode: not two hexadecimal digits behind a %");
  return 2;
}

/* query_find(query, name) -> the raw value, or nil */
static int query_find(lua_State *L) {
  struct bytes query = lua_http_check_bytes(L, 1);
  const char *name = luaL_checkstring(L, 2);
  struct bytes raw;
  if (http_query_find(query, name, &raw)) {
    lua_pushlstring(L, (const char *)raw.data, raw.len);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

/* encode_request(method, target, host, extra, body) -> bytes */
static int encode_request(lua_State *L) {
  const char *method = luaL_checkstring(L, 1);
  struct bytes target = lua_http_check_bytes(L, 2);
  struct bytes host = lua_http_check_bytes(L, 3);
  struct bytes extra = opt_bytes(L, 4);
  struct bytes body = opt_bytes(L, 5);
  struct buffer *out = lua_buffer_push(L);
  http_encode_request(out, method, target, host, extra, body);
  lua_buffer_push_string(L, out);
  return 1;
}

/* encode_response(status, content_type or nil, extra, body, head_only, close) -> bytes */
static int encode_response(lua_State *L) {
  int status = (int)luaL_checkinteger(L, 1);
  luaL_argcheck(L, status >= 100 && status <= 599, 1, "not a status");
  const char *content_type = luaL_optstring(L, 2, NULL);
  struct bytes extra = opt_bytes(L, 3);
  struct bytes body = opt_bytes(L, 4);
  bool head_only = lua_toboolean(L, 5);
  bool close = lua_toboolean(L, 6);
  struct buffer *out = lua_buffer_push(L);
  http_encode_response(out, status, content_type, extra, body, head_only, close);
  lua_buffer_push_string(L, out);
  return 1;
}

static int reason(lua_State *L) {
  lua_pushstring(L, http_reason((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {{"parser", new_parser},
                                     {"connection", lua_http_connection},
                                     {"percent_encode", percent_encode},
                                     {"percent_decode", percent_decode},
                                     {"query_find", query_find},
                                     {"encode_request", encode_request},
                                     {"encode_response", encode_response},
                                     {"reason", reason},
                                     {NULL, NULL}};

int luaopen_kvserver_http(lua_State *L) {
  luaL_newmetatable(L, parser_type);
  luaL_setfuncs(L, parser_methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
