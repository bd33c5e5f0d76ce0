#include "script/lua_node_config.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "raft/storage/wal.h"
#include "raft/storage/wal_format.h"

static const char *const keys[] = {"id",
                                   "listen",
                                   "peers",
                                   "data",
                                   "segment_bytes",
                                   "snapshot_threshold",
                                   "heartbeat_ms",
                                   "election_ms",
                                   "fixed_leader",
                                   "seed",
                                   "enable_faults",
                                   "read_policy",
                                   "write_mode",
                                   "async_result_ttl",
                                   "async_ops_max",
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

static bool boolean_field(lua_State *L, int table, const char *name) {
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    luaL_error(L, "%s: expected true or false, got %s", name, luaL_typename(L, -1));
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
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

/* ---- the cluster ---- */

enum { MINUTE_MS = 60000 };

/* A string at `index`, without NUL. */
static const char *peer_text(lua_State *L, int index) {
  size_t len;
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
  if (text == NULL || strlen(text) != len) luaL_error(L, "peers: expected a table of id = \"HOST:PORT\"");
  return text;
}

/* The key and value at the top of the stack. */
static void read_member(lua_State *L, struct config *config) {
  const char *id = peer_text(L, -2);
  const char *address = peer_text(L, -1);
  if (!id_legal(id)) luaL_error(L, "peers: expected ids of 1 to %d of a-z A-Z 0-9 . _ -", NODE_ID_BYTES_MAX);
  if (config->members_count == MEMBERS_MAX) luaL_error(L, "peers: expected at most %d", MEMBERS_MAX);
  struct config_member *member = &config->members[config->members_count++];
  snprintf(member->id, sizeof member->id, "%s", id);
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

/* Digits at *text, which is moved behind them; 0 when there are none, more than MINUTE_MS for a number that is. */
static uint32_t read_ms(const char **text) {
  uint32_t ms = 0;
  for (; **text >= '0' && **text <= '9'; (*text)++)
    if (ms <= MINUTE_MS) ms = ms * 10 + (uint32_t)(**text - '0');
  return ms;
}

static void read_timing(lua_State *L, int table, struct config *config) {
  config->heartbeat_ms = (uint32_t)number_field(L, table, "heartbeat_ms", 50, 1, MINUTE_MS);
  const char *range = string_field(L, table, "election_ms", "300-600");
  const char *rest = range;
  config->election_min_ms = read_ms(&rest);
  bool separated = *rest == '-';
  if (separated) rest++;
  config->election_max_ms = read_ms(&rest);
  if (!separated || *rest != '\0' || config->election_min_ms <= config->heartbeat_ms ||
      config->election_max_ms <= config->election_min_ms || config->election_max_ms > MINUTE_MS)
    luaL_error(L, "election_ms: expected MIN-MAX, above heartbeat_ms and up to %d, got \"%s\"", MINUTE_MS, range);
}

/* An own seed for each start: a seed that is given makes the choices of this node the same again. */
static uint64_t any_seed(void) {
  uint64_t seed;
  CHECK(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
  return seed & INT64_MAX;
}

static void read_cluster(lua_State *L, int table, struct config *config) {
  read_peers(L, table, config);
  read_timing(L, table, config);
  const char *leader = string_field(L, table, "fixed_leader", "");
  if (*leader != '\0' && !is_member(config, leader))
    luaL_error(L, "fixed_leader: expected one of the peers, got \"%s\"", leader);
  snprintf(config->fixed_leader, sizeof config->fixed_leader, "%s", leader);
  config->seed = number_field(L, table, "seed", any_seed(), 0, INT64_MAX);
}

/* ---- the disk ---- */

static void read_disk(lua_State *L, int table, struct config *config) {
  enum { SEGMENT_BYTES = 64 << 20, SNAPSHOT_THRESHOLD = 100000 };
  const char *data = string_field(L, table, "data", "");
  if (strlen(data) > DATA_PATH_BYTES_MAX) luaL_error(L, "data: expected at most %d bytes", DATA_PATH_BYTES_MAX);
  snprintf(config->data, sizeof config->data, "%s", data);
  config->segment_bytes =
      number_field(L, table, "segment_bytes", SEGMENT_BYTES, WAL_SEGMENT_BYTES_MIN, WAL_SEGMENT_BYTES_MAX);
  config->snapshot_threshold = number_field(L, table, "snapshot_threshold", SNAPSHOT_THRESHOLD, 0, INT64_MAX);
}

/* ---- what clients see ---- */

enum { DAY_SECONDS = 86400 };

static void read_policies(lua_State *L, int table, struct config *config) {
  const char *policy = string_field(L, table, "read_policy", "readindex");
  if (!read_policy_parse(bytes_of(policy), &config->read_policy))
    luaL_error(L, "read_policy: expected \"readindex\" or \"stale\", got \"%s\"", policy);
  const char *mode = string_field(L, table, "write_mode", "sync");
  if (!write_mode_parse(bytes_of(mode), &config->write_mode))
    luaL_error(L, "write_mode: expected \"sync\" or \"async\", got \"%s\"", mode);
  config->async_result_ttl_seconds = (uint32_t)number_field(L, table, "async_result_ttl", 60, 1, DAY_SECONDS);
  config->async_ops_max = (uint32_t)number_field(L, table, "async_ops_max", ASYNC_OPS_MAX, 1, ASYNC_OPS_MAX);
}

void lua_node_config_read(lua_State *L, int table, struct config *config) {
  enum { BODY_BYTES = 8 << 20, VALUE_BYTES = 1 << 20, HOUR_MS = 3600000, CONNECTIONS_CAP = 1000000 };
  check_keys(L, table);
  read_id(L, table, config);
  read_listen(L, table, config);
  read_cluster(L, table, config);
  read_disk(L, table, config);
  read_policies(L, table, config);
  config->enable_faults = boolean_field(L, table, "enable_faults");
  config->body_bytes_max = number_field(L, table, "max_body_bytes", BODY_BYTES, 1, BODY_BYTES_CAP);
  config->key_bytes_max = number_field(L, table, "max_key_bytes", 4096, 1, KEY_BYTES_CAP);
  config->value_bytes_max = number_field(L, table, "max_value_bytes", VALUE_BYTES, 1, VALUE_BYTES_CAP);
  config->connections_max = (uint32_t)number_field(L, table, "max_connections", 10000, 1, CONNECTIONS_CAP);
  config->request_timeout_ms = (uint32_t)number_field(L, table, "request_timeout_ms", 5000, 1, HOUR_MS);
  config->idle_timeout_ms = (uint32_t)number_field(L, table, "idle_timeout_ms", 60000, 1, HOUR_MS);
}
