/* The stores of raft/storage/storage.h in Lua, and the memory ones. Calls that may fail return true, or nil and the
 * status' name. The write-ahead log (script/lua_wal.c) has the methods up to sync, too.
 *
 *   local storage <close> = raft.storage()
 *   storage:current_term()  storage:set_current_term(term)  storage:voted_for() -> node | nil  storage:vote(node)
 *   storage:load() -> {term =, voted_for =, proven =}       storage:save{...}
 *   storage:first_index()  storage:last_index()  storage:term_at(index) -> term | nil, status
 *   storage:append{{index =, term =, command = bytes}, ...}  storage:delete_from(index)
 *   storage:read(lo, hi) -> {{index =, term =, command = bytes}, ...} | nil, status
 *   storage:batch_end(lo, last, bytes_max)
 *   storage:truncate_prefix(index)  storage:reset(index, term)
 *   storage:record_snapshot(index, term)  storage:snapshot() -> index, term of the newest; 0, 0 without one
 *   storage:set_room(bytes, full, ahead = as much as may come): what it says of itself
 *   storage:newest_snapshot() -> index, term | nil: what is in its snapshot store
 *   storage:sync(number)  storage:complete() -> number, last index | nil   storage:crash()  :wipe()
 *   storage:fail()  storage:fail_sync(): from the next sync on */
#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "script/lua_buffer.h"
#include "script/lua_raft.h"
#include "script/lua_wal.h"

#define STORAGE_TYPE "kvserver.raft.storage"

struct storage_handle {
  struct lua_raft_storage *shared; /* NULL once closed */
};

static void ignore_sync(void *context, uint64_t number) {
  (void)context;
  (void)number; /* whoever wants the sync done asks for storage:complete() */
}

struct lua_raft_storage *lua_raft_storage_create(void) {
  struct lua_raft_storage *storage = xcalloc(1, sizeof *storage);
  storage->memory = mem_storage_create(ignore_sync, NULL);
  storage->users = 1;
  return storage;
}

void lua_raft_storage_drop(struct lua_raft_storage *storage) {
  if (--storage->users > 0) return;
  mem_storage_destroy(storage->memory);
  free(storage);
}

struct lua_raft_storage *lua_raft_test_storage(lua_State *L, int arg) {
  struct storage_handle *handle = luaL_testudata(L, arg, STORAGE_TYPE);
  return handle == NULL ? NULL : handle->shared;
}

static struct mem_storage *check_memory(lua_State *L) {
  struct storage_handle *handle = luaL_checkudata(L, 1, STORAGE_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the storage is closed");
  return handle->shared->memory;
}

static struct raft_storage *check_base(lua_State *L) {
  struct raft_storage *wal = lua_wal_test(L, 1);
  return wal != NULL ? wal : mem_storage_base(check_memory(L));
}

static struct stable_store *check_stable(lua_State *L) {
  return check_base(L)->stable;
}

static struct log_store *check_log(lua_State *L) {
  return check_base(L)->log;
}

static uint64_t check_positive(lua_State *L, int arg) {
  lua_Integer index = luaL_checkinteger(L, arg);
  luaL_argcheck(L, index >= 1, arg, "expected a number from 1");
  return (uint64_t)index;
}

int lua_raft_storage(lua_State *L) {
  struct storage_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->shared = NULL;
  luaL_setmetatable(L, STORAGE_TYPE);
  handle->shared = lua_raft_storage_create();
  return 1;
}

static int storage_close(lua_State *L) {
  struct storage_handle *handle = luaL_checkudata(L, 1, STORAGE_TYPE);
  if (handle->shared != NULL) lua_raft_storage_drop(handle->shared);
  handle->shared = NULL;
  return 0;
}

/* ---- stable store ---- */

static int storage_current_term(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)stable_get_current_term(check_stable(L)));
  return 1;
}

static int storage_set_current_term(lua_State *L) {
  struct stable_store *stable = check_stable(L);
  return lua_raft_push_status(L, stable_set_current_term(stable, (uint64_t)luaL_checkinteger(L, 2)));
}

static int storage_voted_for(lua_State *L) {
  uint8_t node;
  if (!stable_get_voted_for(check_stable(L), &node)) return 0;
  lua_pushinteger(L, node + 1);
  return 1;
}

static int storage_vote(lua_State *L) {
  struct stable_store *stable = check_stable(L);
  lua_Integer node = luaL_checkinteger(L, 2);
  luaL_argcheck(L, node >= 1 && node <= RAFT_NODES_MAX, 2, "no such node");
  return lua_raft_push_status(L, stable_set_voted_for(stable, (uint8_t)(node - 1)));
}

static int storage_load(lua_State *L) {
  struct stable_store *stable = check_stable(L);
  struct raft_hard_state state;
  stable->ops->load(stable, &state);
  lua_raft_push_hard_state(L, &state);
  return 1;
}

static int storage_save(lua_State *L) {
  struct stable_store *stable = check_stable(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct raft_hard_state state = lua_raft_check_hard_state(L, 2);
  return lua_raft_push_status(L, stable->ops->save(stable, &state));
}

/* ---- log store ---- */

static int storage_first_index(lua_State *L) {
  struct log_store *log = check_log(L);
  lua_pushinteger(L, (lua_Integer)log->ops->first_index(log));
  return 1;
}

static int storage_last_index(lua_State *L) {
  struct log_store *log = check_log(L);
  lua_pushinteger(L, (lua_Integer)log->ops->last_index(log));
  return 1;
}

static int storage_term_at(lua_State *L) {
  struct log_store *log = check_log(L);
  uint64_t term;
  enum status status = log->ops->term_at(log, (uint64_t)luaL_checkinteger(L, 2), &term);
  if (status != STATUS_OK) return lua_raft_push_status(L, status);
  lua_pushinteger(L, (lua_Integer)term);
  return 1;
}

/* The strings of the commands stay in the table at 2. */
static const struct log_entry *push_entries(lua_State *L, size_t *count) {
  luaL_checktype(L, 2, LUA_TTABLE);
  *count = (size_t)luaL_len(L, 2);
  struct log_entry *entries = lua_newuserdatauv(L, (*count + 1) * sizeof *entries, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_geti(L, 2, (lua_Integer)i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    int table = lua_gettop(L);
    size_t len = 0;
    lua_getfield(L, table, "command");
    const char *command = luaL_optlstring(L, -1, "", &len);
    entries[i] = (struct log_entry){.index = lua_raft_integer(L, table, "index"),
                                    .term = lua_raft_integer(L, table, "term"),
                                    .command = bytes_make(command, len)};
    lua_pop(L, 2);
  }
  return entries;
}

static int storage_append(lua_State *L) {
  struct log_store *log = check_log(L);
  size_t count;
  const struct log_entry *entries = push_entries(L, &count);
  return lua_raft_push_status(L, log->ops->append(log, entries, count));
}

/* Copied under the store's lock, pushed without it. */
static void copy_entry(void *context, const struct log_entry *entry) {
  log_entry_encode(context, entry->term, entry->command);
}

static int storage_read(lua_State *L) {
  struct log_store *log = check_log(L);
  uint64_t lo = (uint64_t)luaL_checkinteger(L, 2), hi = (uint64_t)luaL_checkinteger(L, 3);
  struct buffer *copies = lua_buffer_push(L);
  enum status status = log->ops->read_range(log, lo, hi, copy_entry, copies);
  if (status != STATUS_OK) return lua_raft_push_status(L, status);
  struct bytes encoded = buffer_view(copies);
  struct log_entry entry = {.index = lo};
  lua_newtable(L);
  for (lua_Integer at = 1; log_entry_next(&encoded, &entry); at++, entry.index++) {
    lua_createtable(L, 0, 3);
    lua_raft_set_integer(L, "index", entry.index);
    lua_raft_set_integer(L, "term", entry.term);
    lua_pushlstring(L, (const char *)entry.command.data, entry.command.len);
    lua_setfield(L, -2, "command");
    lua_rawseti(L, -2, at);
  }
  return 1;
}

static int storage_batch_end(lua_State *L) {
  struct log_store *log = check_log(L);
  uint64_t lo = check_positive(L, 2), last = check_positive(L, 3), bytes_max = (uint64_t)luaL_checkinteger(L, 4);
  luaL_argcheck(L, lo <= last && last <= log->ops->last_index(log), 3, "no such entry");
  lua_pushinteger(L, (lua_Integer)log->ops->batch_end(log, lo, last, bytes_max));
  return 1;
}

static int storage_delete_from(lua_State *L) {
  struct log_store *log = check_log(L);
  return lua_raft_push_status(L, log->ops->delete_from(log, check_positive(L, 2)));
}

static int storage_truncate_prefix(lua_State *L) {
  struct log_store *log = check_log(L);
  return lua_raft_push_status(L, log->ops->truncate_prefix(log, (uint64_t)luaL_checkinteger(L, 2)));
}

static int storage_reset(lua_State *L) {
  struct log_store *log = check_log(L);
  uint64_t index = check_positive(L, 2), term = (uint64_t)luaL_checkinteger(L, 3);
  return lua_raft_push_status(L, log->ops->reset(log, index, term));
}

/* ---- durability ---- */

static int storage_record_snapshot(lua_State *L) {
  struct raft_storage *storage = check_base(L);
  struct snapshot_mark mark = {check_positive(L, 2), (uint64_t)luaL_checkinteger(L, 3)};
  return lua_raft_push_status(L, storage->ops->record_snapshot(storage, mark));
}

static int storage_snapshot(lua_State *L) {
  struct raft_storage *storage = check_base(L);
  struct snapshot_mark mark = storage->ops->snapshot(storage);
  lua_pushinteger(L, (lua_Integer)mark.index);
  lua_pushinteger(L, (lua_Integer)mark.term);
  return 2;
}

static int storage_newest_snapshot(lua_State *L) {
  struct snapshot_store *store = check_base(L)->snapshots;
  struct snapshot_mark mark;
  if (store == NULL || store->ops->newest(store, &mark, NULL) != STATUS_OK) return 0;
  lua_pushinteger(L, (lua_Integer)mark.index);
  lua_pushinteger(L, (lua_Integer)mark.term);
  return 2;
}

static int storage_sync(lua_State *L) {
  struct raft_storage *storage = check_base(L);
  return lua_raft_push_status(L, storage->ops->sync(storage, check_positive(L, 2)));
}

static int storage_complete(lua_State *L) {
  uint64_t number, last_index;
  if (!mem_storage_complete(check_memory(L), &number, &last_index)) return 0;
  lua_pushinteger(L, (lua_Integer)number);
  lua_pushinteger(L, (lua_Integer)last_index);
  return 2;
}

static int storage_crash(lua_State *L) {
  mem_storage_crash(check_memory(L));
  return 0;
}

static int storage_wipe(lua_State *L) {
  mem_storage_wipe(check_memory(L));
  return 0;
}

static int storage_fail(lua_State *L) {
  mem_storage_fail(check_memory(L));
  return 0;
}

static int storage_fail_sync(lua_State *L) {
  mem_storage_fail_sync(check_memory(L));
  return 0;
}

static int storage_set_room(lua_State *L) {
  struct mem_storage *storage = check_memory(L);
  uint64_t ahead = (uint64_t)luaL_optinteger(L, 4, INT64_MAX);
  mem_storage_set_room(storage, (uint64_t)luaL_checkinteger(L, 2), ahead, lua_toboolean(L, 3));
  return 0;
}

static const luaL_Reg base_methods[] = {{"current_term", storage_current_term},
                                        {"set_current_term", storage_set_current_term},
                                        {"voted_for", storage_voted_for},
                                        {"vote", storage_vote},
                                        {"load", storage_load},
                                        {"save", storage_save},
                                        {"first_index", storage_first_index},
                                        {"last_index", storage_last_index},
                                        {"term_at", storage_term_at},
                                        {"append", storage_append},
                                        {"read", storage_read},
                                        {"batch_end", storage_batch_end},
                                        {"delete_from", storage_delete_from},
                                        {"truncate_prefix", storage_truncate_prefix},
                                        {"reset", storage_reset},
                                        {"record_snapshot", storage_record_snapshot},
                                        {"snapshot", storage_snapshot},
                                        {"newest_snapshot", storage_newest_snapshot},
                                        {"sync", storage_sync},
                                        {NULL, NULL}};

static const luaL_Reg memory_methods[] = {{"set_room", storage_set_room}, {"complete", storage_complete},
                                          {"crash", storage_crash},       {"wipe", storage_wipe},
                                          {"fail", storage_fail},         {"fail_sync", storage_fail_sync},
                                          {"close", storage_close},       {"__gc", storage_close},
                                          {"__close", storage_close},     {NULL, NULL}};

void lua_raft_add_storage_methods(lua_State *L) {
  luaL_setfuncs(L, base_methods, 0);
}

void lua_raft_register_storage(lua_State *L) {
  luaL_newmetatable(L, STORAGE_TYPE);
  lua_raft_add_storage_methods(L);
  luaL_setfuncs(L, memory_methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
