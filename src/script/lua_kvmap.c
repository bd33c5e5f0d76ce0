#include "script/lua_kvmap.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvmap.h"
#include "types/limits.h"

#define MAP_TYPE      "kvserver.kvmap"
#define SNAPSHOT_TYPE "kvserver.kvmap.snapshot"

/* A map outlives its userdata as long as snapshots of it do: the collector may finalize them in any order. */
struct shared_map {
  struct kvmap *map;
  size_t users; /* userdata that point here */
  size_t snapshots;
  bool dismantled;
};

struct map_handle {
  struct shared_map *shared; /* NULL once closed */
};

struct snapshot_handle {
  struct shared_map *shared;
  struct kvmap_snapshot *snapshot; /* NULL once released */
};

static void drop_user(struct shared_map *shared) {
  if (--shared->users > 0) return;
  kvmap_destroy(shared->map);
  free(shared);
}

static struct bytes check_bytes(lua_State *L, int arg, size_t len_max) {
  size_t len;
  const char *text = luaL_checklstring(L, arg, &len);
  luaL_argcheck(L, len <= len_max, arg, "too long");
  return bytes_make(text, len);
}

/* ---- maps ---- */

static struct shared_map *check_shared(lua_State *L) {
  struct map_handle *handle = luaL_checkudata(L, 1, MAP_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the map is closed");
  return handle->shared;
}

static struct kvmap *check_map(lua_State *L) {
  struct shared_map *shared = check_shared(L);
  if (shared->dismantled) luaL_error(L, "the map is being dismantled");
  return shared->map;
}

int lua_kvmap_new(lua_State *L) {
  struct map_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
  handle->shared = NULL;
  luaL_setmetatable(L, MAP_TYPE);
  handle->shared = xcalloc(1, sizeof(*handle->shared));
  handle->shared->users = 1;
  handle->shared->map = kvmap_create();
  return 1;
}

static int map_put(lua_State *L) {
  struct kvmap *map = check_map(L);
  struct bytes key = check_bytes(L, 2, KEY_BYTES_CAP);
  struct bytes value = check_bytes(L, 3, VALUE_BYTES_CAP);
  kvmap_put(map, key, value);
  return 0;
}

static int map_append(lua_State *L) {
  struct kvmap *map = check_map(L);
  struct bytes key = check_bytes(L, 2, KEY_BYTES_CAP);
  struct bytes value = check_bytes(L, 3, VALUE_BYTES_CAP);
  struct bytes last_key, last_value;
  bool greater = !kvmap_last(map, &last_key, &last_value) || bytes_compare(last_key, key) < 0;
  luaL_argcheck(L, greater, 2, "not greater than the last key");
  kvmap_append(map, key, value);
  return 0;
}

static int map_get(lua_State *L) {
  struct kvmap *map = check_map(L);
  struct bytes key = check_bytes(L, 2, SIZE_MAX);
  struct bytes value;
  if (!kvmap_get(map, key, &value)) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, (const char *)value.data, value.len);
  return 1;
}

static int map_delete(lua_State *L) {
  struct kvmap *map = check_map(L);
  lua_pushboolean(L, kvmap_delete(map, check_bytes(L, 2, SIZE_MAX)));
  return 1;
}

static int map_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)kvmap_count(check_map(L)));
  return 1;
}

static int map_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)kvmap_bytes(check_map(L)));
  return 1;
}

static int push_entries(lua_State *L, struct kvmap_cursor *cursor, lua_Integer limit) {
  struct bytes key, value;
  lua_newtable(L);
  lua_newtable(L);
  for (lua_Integer at = 1; at <= limit && kvmap_next(cursor, &key, &value); at++) {
    lua_pushlstring(L, (const char *)key.data, key.len);
    lua_seti(L, -3, at);
    lua_pushlstring(L, (const char *)value.data, value.len);
    lua_seti(L, -2, at);
  }
  return 2;
}

static struct bytes opt_from(lua_State *L) {
  size_t len;
  const char *from = luaL_optlstring(L, 2, "", &len);
  return bytes_make(from, len);
}

static int map_entries(lua_State *L) {
  struct kvmap *map = check_map(L);
  struct bytes from = opt_from(L);
  lua_Integer limit = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  struct kvmap_cursor cursor;
  kvmap_seek(map, from, &cursor);
  return push_entries(L, &cursor, limit);
}

static int map_reclaim(lua_State *L) {
  struct kvmap *map = check_map(L);
  lua_Integer steps = luaL_checkinteger(L, 2);
  luaL_argcheck(L, steps >= 0, 2, "negative");
  lua_pushboolean(L, kvmap_reclaim(map, (size_t)steps));
  return 1;
}

static int map_dismantle(lua_State *L) {
  struct shared_map *shared = check_shared(L);
  lua_Integer steps = luaL_checkinteger(L, 2);
  luaL_argcheck(L, steps >= 0, 2, "negative");
  if (shared->snapshots > 0) return luaL_error(L, "the map has live snapshots");
  shared->dismantled = true;
  lua_pushboolean(L, kvmap_dismantle(shared->map, (size_t)steps));
  return 1;
}

static int map_close(lua_State *L) {
  struct map_handle *handle = luaL_checkudata(L, 1, MAP_TYPE);
  if (handle->shared != NULL) drop_user(handle->shared);
  handle->shared = NULL;
  return 0;
}

/* ---- snapshots ---- */

static struct snapshot_handle *check_snapshot(lua_State *L) {
  struct snapshot_handle *handle = luaL_checkudata(L, 1, SNAPSHOT_TYPE);
  if (handle->snapshot == NULL) luaL_error(L, "the snapshot is released");
  return handle;
}

static int map_snapshot(lua_State *L) {
  struct kvmap *map = check_map(L);
  struct snapshot_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
  handle->snapshot = NULL;
  luaL_setmetatable(L, SNAPSHOT_TYPE);
  handle->shared = check_shared(L);
  handle->shared->users++;
  handle->shared->snapshots++;
  handle->snapshot = kvmap_snapshot_take(map);
  return 1;
}

static int snapshot_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)kvmap_snapshot_count(check_snapshot(L)->snapshot));
  return 1;
}

static int snapshot_entries(lua_State *L) {
  struct snapshot_handle *handle = check_snapshot(L);
  struct bytes from = opt_from(L);
  lua_Integer limit = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  struct kvmap_cursor cursor;
  kvmap_snapshot_seek(handle->snapshot, from, &cursor);
  return push_entries(L, &cursor, limit);
}

static int snapshot_release(lua_State *L) {
  struct snapshot_handle *handle = luaL_checkudata(L, 1, SNAPSHOT_TYPE);
  if (handle->snapshot == NULL) return 0;
  kvmap_snapshot_release(handle->shared->map, handle->snapshot);
  handle->snapshot = NULL;
  handle->shared->snapshots--;
  drop_user(handle->shared);
  return 0;
}

/* ---- types ---- */

static const luaL_Reg map_methods[] = {{"put", map_put},         {"append", map_append},
                                       {"get", map_get},         {"delete", map_delete},
                                       {"count", map_count},     {"bytes", map_bytes},
                                       {"entries", map_entries}, {"snapshot", map_snapshot},
                                       {"reclaim", map_reclaim}, {"dismantle", map_dismantle},
                                       {"close", map_close},     {"__gc", map_close},
                                       {"__close", map_close},   {NULL, NULL}};

static const luaL_Reg snapshot_methods[] = {{"count", snapshot_count},     {"entries", snapshot_entries},
                                            {"release", snapshot_release}, {"__gc", snapshot_release},
                                            {"__close", snapshot_release}, {NULL, NULL}};

static void register_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void lua_kvmap_register(lua_State *L) {
  register_type(L, MAP_TYPE, map_methods);
  register_type(L, SNAPSHOT_TYPE, snapshot_methods);
}
