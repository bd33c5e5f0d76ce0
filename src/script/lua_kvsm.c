/* The state machine in Lua:
 *
 *   local kvsm = require "kvserver.kvsm"
 *   local sm <close> = kvsm.new()                                   or kvsm.new{clients_max = 3}
 *   sm:apply(1, {op = "put", key = "k", value = "v"})               -> {ok = true}
 *   sm:apply_noop(2)
 *   sm:get("k") -> "v" | nil    sm:mget{"k", "x"} -> {k = "v"}      sm:last_seen("c1") -> seq | nil
 *   sm:scan{prefix = "a", after = "ab", limit = 10, bytes_max = n}  -> {{key =, value =}, ...}, more
 *   sm:stats() -> {last_applied =, keys =, clients =, bytes =, digest =}
 *   sm:snapshot() -> text       sm:restore(text [, piece_bytes]) -> true | nil, message
 *   sm:snapshot_view() -> view; view:index(), view:write() -> text, view:release()
 *   sm:reclaim(steps) -> more   sm:close()
 *   kvsm.map() -> see script/lua_kvmap.h */
#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "kvsm/kvsm.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "script/lua_kvmap.h"

#define MACHINE_TYPE "kvserver.kvsm"
#define VIEW_TYPE    "kvserver.kvsm.view"

/* A machine outlives its userdata as long as views of it do: the collector may finalize them in any order. */
struct shared_machine {
  struct kvsm *sm;
  size_t users; /* userdata that point here */
};

struct machine_handle {
  struct shared_machine *shared; /* NULL once closed */
};

struct view_handle {
  struct shared_machine *shared;
  struct kvsm_snapshot *snapshot; /* NULL once released */
};

static void drop_user(struct shared_machine *shared) {
  if (--shared->users > 0) return;
  kvsm_destroy(shared->sm);
  free(shared);
}

static struct kvsm *check_machine(lua_State *L) {
  struct machine_handle *handle = luaL_checkudata(L, 1, MACHINE_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the state machine is closed");
  return handle->shared->sm;
}

static struct bytes check_bytes(lua_State *L, int arg) {
  size_t len;
  const char *text = luaL_checklstring(L, arg, &len);
  return bytes_make(text, len);
}

static size_t check_size(lua_State *L, int arg) {
  lua_Integer size = luaL_checkinteger(L, arg);
  luaL_argcheck(L, size >= 0, arg, "negative");
  return (size_t)size;
}

/* ---- making ---- */

static lua_Integer opt_clients_max(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return DEDUPE_CLIENTS_MAX;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "clients_max");
  lua_Integer clients_max = luaL_optinteger(L, -1, DEDUPE_CLIENTS_MAX);
  luaL_argcheck(L, clients_max > 0, 1, "clients_max: expected a positive number");
  return clients_max;
}

static int machine_new(lua_State *L) {
  lua_Integer clients_max = opt_clients_max(L);
  struct machine_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
  handle->shared = NULL;
  luaL_setmetatable(L, MACHINE_TYPE);
  handle->shared = xcalloc(1, sizeof(*handle->shared));
  handle->shared->users = 1;
  handle->shared->sm = kvsm_create();
  kvsm_set_clients_max(handle->shared->sm, (uint64_t)clients_max);
  return 1;
}

static int machine_close(lua_State *L) {
  struct machine_handle *handle = luaL_checkudata(L, 1, MACHINE_TYPE);
  if (handle->shared != NULL) drop_user(handle->shared);
  handle->shared = NULL;
  return 0;
}

/* ---- apply ---- */

static const char *const replay_names[] = {[REPLAY_NONE] = NULL, [REPLAY_SAME] = "same", [REPLAY_OLDER] = "older"};

static int push_result(lua_State *L, const struct apply_result *result) {
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, result->ok);
  lua_setfield(L, -2, "ok");
  if (result->has_deleted) {
    lua_pushinteger(L, (lua_Integer)result->deleted);
    lua_setfield(L, -2, "deleted");
  }
  if (result->err_code != ERR_NONE) {
    lua_pushstring(L, err_code_name(result->err_code));
    lua_setfield(L, -2, "err_code");
    lua_pushstring(L, result->err_msg);
    lua_setfield(L, -2, "err_msg");
  }
  lua_pushstring(L, replay_names[result->replay]); /* nil when NULL */
  lua_setfield(L, -2, "replay");
  return 1;
}

static uint64_t check_next_index(lua_State *L, struct kvsm *sm) {
  lua_Integer index = luaL_checkinteger(L, 2);
  struct kvsm_stats stats;
  kvsm_stats(sm, &stats);
  luaL_argcheck(L, index > 0 && (uint64_t)index > stats.last_applied, 2, "not greater than the last applied index");
  return (uint64_t)index;
}

static int machine_apply(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  uint64_t index = check_next_index(L, sm);
  struct command command;
  lua_command_push(L, 3, &command);
  struct apply_result result = kvsm_apply(sm, index, &command);
  return push_result(L, &result);
}

static int machine_apply_noop(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  kvsm_apply_noop(sm, check_next_index(L, sm));
  return 0;
}

/* ---- reads: copied under the machine's lock, pushed without it ---- */

static int machine_get(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  struct bytes key = check_bytes(L, 2);
  struct buffer *value = lua_buffer_push(L);
  if (kvsm_get(sm, key, value)) {
    lua_buffer_push_string(L, value);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

static void copy_found(void *context, struct bytes key, struct bytes value) {
  command_append_item(context, OP_BATCH_PUT, key, value);
}

/* An array of views of the strings in the table at `arg`, which must stay as it is. */
static const struct bytes *push_keys(lua_State *L, int arg, size_t *count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *count = (size_t)luaL_len(L, arg);
  struct bytes *keys = lua_newuserdatauv(L, (*count + 1) * sizeof(*keys), 0);
  for (size_t i = 0; i < *count; i++) {
    if (lua_geti(L, arg, (lua_Integer)i + 1) != LUA_TSTRING) {
      luaL_error(L, "keys[%I]: expected a string, got %s", (LUAI_UACINT)i + 1, luaL_typename(L, -1));
    }
    keys[i].data = (const uint8_t *)lua_tolstring(L, -1, &keys[i].len);
    lua_pop(L, 1);
  }
  return keys;
}

static int machine_mget(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  size_t count;
  const struct bytes *keys = push_keys(L, 2, &count);
  struct buffer *copies = lua_buffer_push(L);
  kvsm_mget(sm, keys, count, copy_found, copies);
  struct bytes cursor = buffer_view(copies);
  struct bytes key, value;
  lua_newtable(L);
  while (command_next_item(OP_BATCH_PUT, &cursor, &key, &value)) {
    lua_pushlstring(L, (const char *)key.data, key.len);
    lua_pushlstring(L, (const char *)value.data, value.len);
    lua_rawset(L, -3);
  }
  return 1;
}

static struct bytes push_string_option(lua_State *L, int table, const char *field) {
  size_t len;
  lua_getfield(L, table, field);
  const char *text = luaL_optlstring(L, -1, "", &len);
  return bytes_make(text, len);
}

static size_t size_option(lua_State *L, int table, const char *field, lua_Integer otherwise) {
  lua_getfield(L, table, field);
  lua_Integer size = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  luaL_argcheck(L, size >= 0, table, "negative");
  return (size_t)size;
}

static void push_found_entries(lua_State *L, struct bytes copies) {
  struct bytes key, value;
  lua_newtable(L);
  for (lua_Integer at = 1; command_next_item(OP_BATCH_PUT, &copies, &key, &value); at++) {
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, (const char *)key.data, key.len);
    lua_setfield(L, -2, "key");
    lua_pushlstring(L, (const char *)value.data, value.len);
    lua_setfield(L, -2, "value");
    lua_seti(L, -2, at);
  }
}

static int machine_scan(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t limit = size_option(L, 2, "limit", SCAN_LIMIT_DEFAULT);
  size_t bytes_max = size_option(L, 2, "bytes_max", LUA_MAXINTEGER);
  struct bytes prefix = push_string_option(L, 2, "prefix");
  struct bytes after = push_string_option(L, 2, "after");
  struct buffer *copies = lua_buffer_push(L);
  bool more = kvsm_scan(sm, prefix, after, limit, bytes_max, copy_found, copies);
  push_found_entries(L, buffer_view(copies));
  lua_pushboolean(L, more);
  return 2;
}

static int machine_last_seen(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  uint64_t seq;
  if (kvsm_last_seen(sm, check_bytes(L, 2), &seq)) {
    lua_pushinteger(L, (lua_Integer)seq);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

static void set_number(lua_State *L, const char *field, uint64_t number) {
  lua_pushinteger(L, (lua_Integer)number);
  lua_setfield(L, -2, field);
}

static int machine_stats(lua_State *L) {
  struct kvsm_stats stats;
  char digest[HASH128_HEX_CHARS + 1];
  kvsm_stats(check_machine(L), &stats);
  hash128_hex(stats.digest, digest);
  lua_createtable(L, 0, 5);
  set_number(L, "last_applied", stats.last_applied);
  set_number(L, "keys", stats.keys);
  set_number(L, "clients", stats.clients);
  set_number(L, "bytes", stats.bytes);
  lua_pushstring(L, digest);
  lua_setfield(L, -2, "digest");
  return 1;
}

/* ---- snapshots ---- */

static enum status append_chunk(void *context, struct bytes chunk) {
  buffer_append_bytes(context, chunk);
  return STATUS_OK;
}

static int machine_snapshot(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  struct buffer *text = lua_buffer_push(L);
  struct kvsm_snapshot *snapshot = kvsm_snapshot_take(sm);
  CHECK(kvsm_snapshot_write(snapshot, append_chunk, text) == STATUS_OK);
  kvsm_snapshot_release(sm, snapshot);
  lua_buffer_push_string(L, text);
  return 1;
}

static int machine_snapshot_view(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  struct machine_handle *machine = lua_touserdata(L, 1);
  struct view_handle *view = lua_newuserdatauv(L, sizeof(*view), 0);
  view->snapshot = NULL;
  luaL_setmetatable(L, VIEW_TYPE);
  view->shared = machine->shared;
  view->shared->users++;
  view->snapshot = kvsm_snapshot_take(sm);
  return 1;
}

static const struct kvsm_snapshot *check_view(lua_State *L) {
  struct view_handle *view = luaL_checkudata(L, 1, VIEW_TYPE);
  if (view->snapshot == NULL) luaL_error(L, "the view is released");
  return view->snapshot;
}

static int view_index(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)kvsm_snapshot_index(check_view(L)));
  return 1;
}

static int view_write(lua_State *L) {
  const struct kvsm_snapshot *snapshot = check_view(L);
  struct buffer *text = lua_buffer_push(L);
  CHECK(kvsm_snapshot_write(snapshot, append_chunk, text) == STATUS_OK);
  lua_buffer_push_string(L, text);
  return 1;
}

static int view_release(lua_State *L) {
  struct view_handle *view = luaL_checkudata(L, 1, VIEW_TYPE);
  if (view->snapshot == NULL) return 0;
  kvsm_snapshot_release(view->shared->sm, view->snapshot);
  view->snapshot = NULL;
  drop_user(view->shared);
  return 0;
}

static enum status restore_text(struct kvsm *sm, struct bytes text, size_t piece_bytes, struct error *err) {
  struct kvsm_restore *restore = kvsm_restore_begin();
  while (text.len > 0) {
    struct bytes piece = bytes_make(text.data, text.len < piece_bytes ? text.len : piece_bytes);
    text = bytes_make(text.data + piece.len, text.len - piece.len);
    enum status status = kvsm_restore_feed(restore, piece, err);
    if (status == STATUS_OK) continue;
    kvsm_restore_abort(restore);
    return status;
  }
  return kvsm_restore_finish(restore, sm, err);
}

static int machine_restore(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  struct bytes text = check_bytes(L, 2);
  lua_Integer piece_bytes = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  luaL_argcheck(L, piece_bytes > 0, 3, "expected a positive number");
  struct error err;
  if (restore_text(sm, text, (size_t)piece_bytes, &err) != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  lua_pushboolean(L, true);
  return 1;
}

static int machine_reclaim(lua_State *L) {
  struct kvsm *sm = check_machine(L);
  lua_pushboolean(L, kvsm_reclaim(sm, check_size(L, 2)));
  return 1;
}

/* ---- the module ---- */

static const luaL_Reg machine_methods[] = {{"apply", machine_apply},
                                           {"apply_noop", machine_apply_noop},
                                           {"get", machine_get},
                                           {"mget", machine_mget},
                                           {"scan", machine_scan},
                                           {"last_seen", machine_last_seen},
                                           {"stats", machine_stats},
                                           {"snapshot", machine_snapshot},
                                           {"snapshot_view", machine_snapshot_view},
                                           {"restore", machine_restore},
                                           {"reclaim", machine_reclaim},
                                           {"close", machine_close},
                                           {"__gc", machine_close},
                                           {"__close", machine_close},
                                           {NULL, NULL}};

static const luaL_Reg view_methods[] = {{"index", view_index},  {"write", view_write},     {"release", view_release},
                                        {"__gc", view_release}, {"__close", view_release}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", machine_new}, {"map", lua_kvmap_new}, {NULL, NULL}};

static void register_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_kvsm(lua_State *L) {
  register_type(L, MACHINE_TYPE, machine_methods);
  register_type(L, VIEW_TYPE, view_methods);
  lua_kvmap_register(L);
  luaL_newlib(L, functions);
  return 1;
}
