#include "script/lua_node_config.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"id",
                                   "listen",
                                   "read_policy",
                                   "write_mode",
                                   "max_body_bytes",
                                   "max_key_bytes",
                                   "max_value_bytes",
                                   "max_connections",
                                   "request_timeout_ms",
                                   "idle_timeout_ms"};
enum { KEYS_COUNT = sizeof keys / sizeof keys[0] };

void lua_node_config_push_keys(lua_State *L) {
  lua_createtable(L, KEYS_COUNT, 0);
  for (int i = 0; i < KEYS_COUNT; i++) {
    lua_pushstring(L, keys[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* The value at the top of the stack. */
static bool is_key(lua_State *L) {
  if (lua_type(L, -1) != LUA_TSTRING) return false;
  for (int i = 0; i < KEYS_COUNT; i++) {
    lua_pushstring(L, keys[i]);
    bool equal = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (equal) return true;
  }
  return false;
}

/* The key is at the top of the stack. */
static void refuse_key(lua_State *L) {
  int key = lua_gettop(L);
  const char *name = luaL_tolstring(L, key, NULL);
  if (lua_type(L, key) == LUA_TSTRING) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "kvserver.config");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "nearest");
    lua_pushvalue(L, key);
    lua_node_config_push_keys(L);
    lua_call(L, 2, 1);
    if (lua_isstring(L, -1)) luaL_error(L, "%s: unknown option (did you mean %s?)", name, lua_tostring(L, -1));
  }
  luaL_error(L, "%s: unknown option", name);
}

static void check_keys(lua_State *L, int table) {
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    lua_pop(L, 1);
    if (!is_key(L)) refuse_key(L);
  }
}

static const char *string_field(lua_State *L, int table, const char *name, const char *otherwise) {
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_error(L, "%s: expected a string, got %s", name, luaL_typename(L, -1));
  if (type == LUA_TNIL) return otherwise;
  size_t len;
  const char *text = lua_tolstring(L, -1, &len); /* stays on the stack, which keeps it alive */
  if (strlen(text) != len) luaL_error(L, "%s: expected a string without NUL", name);
  return text;
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

static void read_id(lua_State *L, int table, struct config *config) {
  static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  const char *id = string_field(L, table, "id", "n1");
  size_t len = strlen(id);
  if (len < 1 || len > NODE_ID_BYTES_MAX || strspn(id, legal) != len)
    luaL_error(L, "id: expected 1 to %d of a-z A-Z 0-9 . _ -, got \"%s\"", NODE_ID_BYTES_MAX, id);
  snprintf(config->id, sizeof config->id, "%s", id);
}

/* HOST:PORT, where an IPv6 HOST stands in brackets. */
static void read_listen(lua_State *L, int table, struct config *config) {
  const char *listen = string_field(L, table, "listen", "127.0.0.1:7000");
  const char *colon = strrchr(listen, ':');
  const char *host = listen;
  size_t host_len = colon == NULL ? 0 : (size_t)(colon - listen);
  char *end = NULL;
  unsigned long port =
      colon == NULL || colon[1] < '0' || colon[1] > '9' ? UINT16_MAX + 1ul : strtoul(colon + 1, &end, 10);
  if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
    host++;
    host_len -= 2;
  }
  if (host_len < 1 || host_len > ADDRESS_BYTES_MAX || port > UINT16_MAX || *end != '\0')
    luaL_error(L, "listen: expected HOST:PORT, got \"%s\"", listen);
  memcpy(config->listen_host, host, host_len);
  config->listen_host[host_len] = '\0';
  config->listen_port = (uint16_t)port;
}

static void read_policies(lua_State *L, int table, struct config *config) {
  const char *policy = string_field(L, table, "read_policy", "readindex");
  if (!read_policy_parse(bytes_of(policy), &config->read_policy))
    luaL_error(L, "read_policy: expected \"readindex\" or \"stale\", got \"%s\"", policy);
  const char *mode = string_field(L, table, "write_mode", "sync");
  if (!write_mode_parse(bytes_of(mode), &config->write_mode) || config->write_mode != WRITE_MODE_SYNC)
    luaL_error(L, "write_mode: expected \"sync\", got \"%s\"", mode);
}

void lua_node_config_read(lua_State *L, int table, struct config *config) {
  enum { BODY_BYTES = 8 << 20, VALUE_BYTES = 1 << 20, HOUR_MS = 3600000, CONNECTIONS_CAP = 1000000 };
  check_keys(L, table);
  read_id(L, table, config);
  read_listen(L, table, config);
  read_policies(L, table, config);
  config->body_bytes_max = number_field(L, table, "max_body_bytes", BODY_BYTES, 1, BODY_BYTES_CAP);
  config->key_bytes_max = number_field(L, table, "max_key_bytes", 4096, 1, KEY_BYTES_CAP);
  config->value_bytes_max = number_field(L, table, "max_value_bytes", VALUE_BYTES, 1, VALUE_BYTES_CAP);
  config->connections_max = (uint32_t)number_field(L, table, "max_connections", 10000, 1, CONNECTIONS_CAP);
  config->request_timeout_ms = (uint32_t)number_field(L, table, "request_timeout_ms", 5000, 1, HOUR_MS);
  config->idle_timeout_ms = (uint32_t)number_field(L, table, "idle_timeout_ms", 60000, 1, HOUR_MS);
}
