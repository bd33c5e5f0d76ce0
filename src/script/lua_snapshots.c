/* kvserver.snapshots: the SnapshotStores of raft/storage/storage.h, in files on a disk of kvserver.disk and in memory.
 * A call that may fail returns nil, the status' name and a message.
 *
 *   local snapshots = require "kvserver.snapshots"
 *   local store <close> = snapshots.open(disk)       snapshot files (raft/storage/snapshot_files.h)
 *   local store <close> = snapshots.memory()
 *   store:save(index, term, bytes) -> true           store:load() -> index, term, bytes
 *   store:newest() -> index, term                    store:remove_before(index) -> true
 *   local writer <close> = store:create()
 *   writer:write(bytes) -> true   writer:publish(index, term) -> true   writer:discard()   writer:abandon()
 *   local reader <close>, size = store:open(index, term)    reader:read(offset, length) -> bytes    reader:close()
 *   store:close(): as a kill does
 *   snapshots.parse, snapshots.check: see script/lua_snapshot_check.c */
#include "script/lua_snapshots.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "raft/storage/memory_snapshots.h"
#include "raft/storage/snapshot_files.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_disk.h"
#include "script/lua_result.h"

#define STORE_TYPE  "kvserver.snapshots"
#define WRITER_TYPE "kvserver.snapshots.writer"
#define READER_TYPE "kvserver.snapshots.reader"

enum { READ_BYTES_MAX = 1 << 30 };

/* A store and who uses it: its userdata, writers, readers. The collector may finalize these in any order. */
struct shared {
  size_t users;
  struct snapshot_store *base; /* NULL: it was not opened */
  struct snapshot_files *files;
  struct lua_disk *disk;        /* of the files */
  struct mem_snapshots *memory; /* one of the two is NULL */
};

/* Each is NULL in its userdata once closed. */
struct store_handle {
  struct shared *shared;
};
struct writer_handle {
  struct shared *shared;
  struct snapshot_writer *writer;
};
struct reader_handle {
  struct shared *shared;
  struct snapshot_reader *reader;
};

static void drop(struct shared *shared) {
  if (--shared->users > 0) return;
  if (shared->memory != NULL) mem_snapshots_destroy(shared->memory);
  if (shared->files != NULL) snapshot_files_close(shared->files);
  if (shared->disk != NULL) lua_disk_drop(shared->disk);
  free(shared);
}

static uint64_t check_number(lua_State *L, int arg) {
  lua_Integer number = luaL_checkinteger(L, arg);
  luaL_argcheck(L, number >= 0, arg, "negative");
  return (uint64_t)number;
}

static struct snapshot_mark check_mark(lua_State *L) {
  return (struct snapshot_mark){check_number(L, 2), check_number(L, 3)};
}

static void push_mark(lua_State *L, struct snapshot_mark mark) {
  lua_pushinteger(L, (lua_Integer)mark.index);
  lua_pushinteger(L, (lua_Integer)mark.term);
}

/* ---- stores ---- */

static struct shared *check_store(lua_State *L) {
  struct store_handle *handle = luaL_checkudata(L, 1, STORE_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the store is closed");
  return handle->shared;
}

static struct shared *push_store(lua_State *L) {
  struct store_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->shared = NULL;
  luaL_setmetatable(L, STORE_TYPE);
  handle->shared = xcalloc(1, sizeof *handle->shared);
  handle->shared->users = 1;
  return handle->shared;
}

static int open_files(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  struct shared *shared = push_store(L);
  struct error err = {""};
  enum status status = snapshot_files_open(disk->base, &shared->files, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  shared->base = snapshot_files_base(shared->files);
  shared->disk = disk;
  lua_disk_keep(disk);
  return 1;
}

static int open_memory(lua_State *L) {
  struct shared *shared = push_store(L);
  shared->memory = mem_snapshots_create();
  shared->base = mem_snapshots_base(shared->memory);
  return 1;
}

static int store_close(lua_State *L) {
  struct store_handle *handle = luaL_checkudata(L, 1, STORE_TYPE);
  if (handle->shared != NULL) drop(handle->shared);
  handle->shared = NULL;
  return 0;
}

static int store_save(lua_State *L) {
  struct snapshot_store *store = check_store(L)->base;
  struct snapshot_mark mark = check_mark(L);
  size_t len;
  const char *data = luaL_checklstring(L, 4, &len);
  struct error err = {""};
  enum status status = snapshot_save(store, mark, bytes_make(data, len), &err);
  return lua_push_result(L, status, &err);
}

static int store_load(lua_State *L) {
  struct snapshot_store *store = check_store(L)->base;
  struct buffer *data = lua_buffer_push(L);
  struct snapshot_mark mark;
  struct error err = {""};
  enum status status = snapshot_load(store, &mark, data, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  push_mark(L, mark);
  lua_buffer_push_string(L, data);
  return 3;
}

static int store_newest(lua_State *L) {
  struct snapshot_store *store = check_store(L)->base;
  struct snapshot_mark mark;
  struct error err = {""};
  enum status status = store->ops->newest(store, &mark, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  push_mark(L, mark);
  return 2;
}

static int store_remove_before(lua_State *L) {
  struct snapshot_store *store = check_store(L)->base;
  struct error err = {""};
  enum status status = store->ops->remove_before(store, check_number(L, 2), &err);
  return lua_push_result(L, status, &err);
}

/* ---- writers ---- */

static struct writer_handle *check_writer(lua_State *L) {
  struct writer_handle *handle = luaL_checkudata(L, 1, WRITER_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the writer is gone");
  return handle;
}

static int store_create(lua_State *L) {
  struct shared *shared = check_store(L);
  struct writer_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (struct writer_handle){0};
  luaL_setmetatable(L, WRITER_TYPE);
  struct error err = {""};
  enum status status = shared->base->ops->create(shared->base, &handle->writer, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  handle->shared = shared;
  shared->users++;
  return 1;
}

/* The store has taken its writer. */
static void forget_writer(struct writer_handle *handle) {
  drop(handle->shared);
  *handle = (struct writer_handle){0};
}

static int writer_write(lua_State *L) {
  struct writer_handle *handle = check_writer(L);
  struct snapshot_store *store = handle->shared->base;
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  struct error err = {""};
  enum status status = store->ops->write(store, handle->writer, bytes_make(data, len), &err);
  return lua_push_result(L, status, &err);
}

static int writer_publish(lua_State *L) {
  struct writer_handle *handle = check_writer(L);
  struct snapshot_store *store = handle->shared->base;
  struct snapshot_mark mark = check_mark(L);
  struct error err = {""};
  enum status status = store->ops->publish(store, handle->writer, mark, &err);
  forget_writer(handle);
  return lua_push_result(L, status, &err);
}

static int writer_discard(lua_State *L) {
  struct writer_handle *handle = check_writer(L);
  struct snapshot_store *store = handle->shared->base;
  store->ops->discard(store, handle->writer);
  forget_writer(handle);
  return 0;
}

static int writer_abandon(lua_State *L) {
  struct writer_handle *handle = luaL_checkudata(L, 1, WRITER_TYPE);
  if (handle->shared == NULL) return 0;
  struct snapshot_store *store = handle->shared->base;
  store->ops->abandon(store, handle->writer);
  forget_writer(handle);
  return 0;
}

/* ---- readers ---- */

static int store_open(lua_State *L) {
  struct shared *shared = check_store(L);
  struct snapshot_mark mark = check_mark(L);
  struct reader_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (struct reader_handle){0};
  luaL_setmetatable(L, READER_TYPE);
  uint64_t bytes;
  struct error err = {""};
  enum status status = shared->base->ops->open(shared->base, mark, &handle->reader, &bytes, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  handle->shared = shared;
  shared->users++;
  lua_pushinteger(L, (lua_Integer)bytes);
  return 2;
}

static int reader_read(lua_State *L) {
  struct reader_handle *handle = luaL_checkudata(L, 1, READER_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the reader is closed");
  struct snapshot_store *store = handle->shared->base;
  uint64_t offset = check_number(L, 2), len = check_number(L, 3);
  luaL_argcheck(L, len <= READ_BYTES_MAX, 3, "too long");
  luaL_Buffer out;
  char *data = luaL_buffinitsize(L, &out, (size_t)len);
  size_t got = 0;
  struct error err = {""};
  enum status status = store->ops->read(store, handle->reader, offset, data, (size_t)len, &got, &err);
  luaL_pushresultsize(&out, got);
  return status == STATUS_OK ? 1 : lua_push_failure(L, status, &err);
}

static int reader_close(lua_State *L) {
  struct reader_handle *handle = luaL_checkudata(L, 1, READER_TYPE);
  if (handle->shared == NULL) return 0;
  struct snapshot_store *store = handle->shared->base;
  store->ops->close(store, handle->reader);
  drop(handle->shared);
  *handle = (struct reader_handle){0};
  return 0;
}

/* ---- the module ---- */

static const luaL_Reg store_methods[] = {
    {"save", store_save},     {"load", store_load}, {"newest", store_newest}, {"remove_before", store_remove_before},
    {"create", store_create}, {"open", store_open}, {"close", store_close},   {"__gc", store_close},
    {"__close", store_close}, {NULL, NULL}};

static const luaL_Reg writer_methods[] = {{"write", writer_write},
                                          {"publish", writer_publish},
                                          {"discard", writer_discard},
                                          {"abandon", writer_abandon},
                                          {"__gc", writer_abandon},
                                          {"__close", writer_abandon},
                                          {NULL, NULL}};

static const luaL_Reg reader_methods[] = {
    {"read", reader_read}, {"close", reader_close}, {"__gc", reader_close}, {"__close", reader_close}, {NULL, NULL}};

static void add_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_snapshots(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", open_files},
                                       {"memory", open_memory},
                                       {"parse", lua_snapshot_parse},
                                       {"check", lua_snapshot_check},
                                       {NULL, NULL}};
  add_type(L, STORE_TYPE, store_methods);
  add_type(L, WRITER_TYPE, writer_methods);
  add_type(L, READER_TYPE, reader_methods);
  luaL_newlib(L, functions);
  return 1;
}
