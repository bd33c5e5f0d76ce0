/* sim.walk(t): an iterator over the fields of a table in the order of their keys, numbers and then strings by their
 * bytes; true when `next` goes in that order anyway; nil when there are keys of other kinds, or too many behind 1 .. n.
 * For kvserver.sim.sandbox, whose walks are many, and nearly all of tables like these. Metamethods do not count. */
#include <lauxlib.h>
#include <string.h>

#include "base/bytes.h"
#include "script/lua_sim.h"

enum { REST_MAX = 32 };

struct key {
  bool is_number;
  lua_Integer number;
  struct bytes string; /* the table keeps it */
};

struct keys {
  lua_Integer count; /* of those from 1 on */
  struct key rest[REST_MAX];
  int rest_count;
  bool moved; /* `next` has shown them in another order */
};

static bool is_before(const struct key *a, const struct key *b) {
  if (a->is_number || b->is_number) return a->is_number && (!b->is_number || a->number < b->number);
  size_t a_len = a->string.len, b_len = b->string.len;
  int order = memcmp(a->string.data, b->string.data, a_len < b_len ? a_len : b_len);
  return order != 0 ? order < 0 : a_len < b_len;
}

static bool insert(struct keys *keys, const struct key *key) {
  if (keys->rest_count == REST_MAX) return false;
  int place = keys->rest_count++;
  for (; place > 0 && is_before(key, &keys->rest[place - 1]); place--) {
    keys->rest[place] = keys->rest[place - 1];
    keys->moved = true;
  }
  keys->rest[place] = *key;
  return true;
}

/* Takes the key at `index`; false when it is of another kind, or one too many. A number that is not the next one is
 * behind all that will be. */
static bool take(lua_State *L, int index, struct keys *keys) {
  struct key key = {.is_number = lua_isinteger(L, index)};
  if (lua_type(L, index) == LUA_TSTRING) {
    size_t len;
    const char *string = lua_tolstring(L, index, &len);
    key.string = bytes_make(string, len);
    return insert(keys, &key);
  }
  if (!key.is_number) return false;
  key.number = lua_tointeger(L, index);
  if (key.number != keys->count + 1) return key.number >= 1 && insert(keys, &key);
  keys->count++;
  if (keys->rest_count > 0) keys->moved = true;
  return true;
}

static void push_rest(lua_State *L, const struct keys *keys) {
  lua_createtable(L, keys->rest_count, 0);
  for (int i = 0; i < keys->rest_count; i++) {
    const struct key *key = &keys->rest[i];
    if (key->is_number) {
      lua_pushinteger(L, key->number);
    } else {
      lua_pushlstring(L, (const char *)key->string.data, key->string.len);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

enum { WALKED = 1, REST, COUNT, PLACE, UPVALUES = PLACE };

/* Fields that were cleared meanwhile are left out. */
static int go_on(lua_State *L) {
  lua_Integer count = lua_tointeger(L, lua_upvalueindex(COUNT)), place = lua_tointeger(L, lua_upvalueindex(PLACE));
  for (;;) {
    lua_settop(L, 0);
    if (++place <= count) {
      lua_pushinteger(L, place);
    } else if (lua_rawgeti(L, lua_upvalueindex(REST), place - count) == LUA_TNIL) {
      return 1;
    }
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(WALKED)) != LUA_TNIL) break;
  }
  lua_pushinteger(L, place);
  lua_replace(L, lua_upvalueindex(PLACE));
  return 2;
}

int lua_sim_walk(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct keys keys;
  keys.count = 0;
  keys.rest_count = 0;
  keys.moved = false;
  lua_settop(L, 1);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    if (!take(L, 2, &keys)) return 0;
  }
  if (!keys.moved) {
    lua_pushboolean(L, true);
    return 1;
  }
  push_rest(L, &keys);
  lua_pushinteger(L, keys.count);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, go_on, UPVALUES);
  return 1;
}
