/* kvserver.log: the log of the process (base/log.h), for policy that runs in Lua.
 *
 *   configure(level, format)                       "debug info warn error none"; "logfmt json"
 *   write(level, module, event, {key = value...})  values: strings, or integers from 0; at most FIELDS_MAX
 *   say(text)                                      words for people, as log_say
 *   recent([count [, pattern]]) -> {line, ...}     the newest `count` (all: about a thousand) of the lines in memory
 * that the Lua pattern matches, oldest first, without their newlines */
#include "script/bindings.h"

#include "base/log.h"
#include "script/lua_buffer.h"

#include <lauxlib.h>

enum { FIELDS_MAX = 8 };

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL}; /* as enum log_level */
static const char *const format_names[] = {"logfmt", "json", NULL};                /* as enum log_format */

static int configure(lua_State *L) {
  static const char *const names[] = {"debug", "info", "warn", "error", "none", NULL}; /* as enum log_level */
  enum log_level level = (enum log_level)luaL_checkoption(L, 1, NULL, names);
  enum log_format format = (enum log_format)luaL_checkoption(L, 2, NULL, format_names);
  log_configure(level, format);
  return 0;
}

/* The field at the top of the stack (key, value), which stays there. */
static struct log_field check_field(lua_State *L) {
  if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "log fields: keys must be strings");
  const char *key = lua_tostring(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) return LOG_STR(key, lua_tostring(L, -1));
  if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0) {
    luaL_error(L, "log field %s: expected a string or an integer from 0, got %s", key, luaL_tolstring(L, -1, NULL));
  }
  return LOG_U64(key, lua_tointeger(L, -1));
}

static int write_line(lua_State *L) {
  enum log_level level = (enum log_level)luaL_checkoption(L, 1, NULL, level_names);
  const char *module = luaL_checkstring(L, 2);
  const char *event = luaL_checkstring(L, 3);
  struct log_field fields[FIELDS_MAX];
  size_t count = 0;
  if (!lua_isnoneornil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 4) != 0) { /* the table keeps the strings alive */
      if (count == FIELDS_MAX) return luaL_error(L, "log fields: at most %d", FIELDS_MAX);
      fields[count++] = check_field(L);
      lua_pop(L, 1);
    }
  }
  log_write(level, module, event, fields, count);
  return 0;
}

static int say(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  log_say(bytes_make(text, len));
  return 0;
}

/* Whether the line at the top of the stack matches the pattern (nil: any line does) at `pattern`. */
static bool matches(lua_State *L, int pattern) {
  if (lua_isnil(L, pattern)) return true;
  lua_getfield(L, -1, "find");
  lua_pushvalue(L, -2);
  lua_pushvalue(L, pattern);
  lua_call(L, 2, 1);
  bool found = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return found;
}

/* Where the line begins that ends, with its newline, at `end`. */
static size_t line_start(struct bytes text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && text.data[start - 1] != '\n')
    start--;
  return start;
}

/* Turns the list at the top of the stack round. */
static void reverse(lua_State *L, lua_Integer count) {
  for (lua_Integer low = 1, high = count; low < high; low++, high--) {
    lua_rawgeti(L, -1, low);
    lua_rawgeti(L, -2, high);
    lua_rawseti(L, -3, low);
    lua_rawseti(L, -2, high);
  }
}

static int recent(lua_State *L) {
  lua_Integer count_max = luaL_optinteger(L, 1, LOG_RECENT_LINES_MAX);
  luaL_argcheck(L, count_max >= 0, 1, "negative");
  if (!lua_isnoneornil(L, 2)) luaL_checkstring(L, 2);
  lua_settop(L, 2);
  struct buffer *copy = lua_buffer_push(L); /* matching may raise: not under the log's lock */
  log_append_recent(copy);
  struct bytes text = buffer_view(copy);
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t end = text.len, start; end > 0 && count < count_max; end = start) {
    start = line_start(text, end);
    lua_pushlstring(L, (const char *)text.data + start, end - 1 - start);
    if (matches(L, 2))
      lua_rawseti(L, -2, ++count);
    else
      lua_pop(L, 1);
  }
  reverse(L, count);
  return 1;
}

int luaopen_kvserver_log(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"configure", configure}, {"write", write_line}, {"recent", recent}, {"say", say}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
