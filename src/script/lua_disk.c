/* kvserver.disk: disks as the write-ahead log uses them, real and simulated (raft/storage/disk.h). A call that may fail
 * returns nil, the status' name and a message.
 *
 *   local disk = require "kvserver.disk"
 *   local d <close> = disk.open(directory [, "make"])       the system's files; "make": makes the directory
 *   local d <close> = disk.faulty(directory [, seed])       the same, with faults: d:set_faults{full =, slow_ms =,
 *                                       fail_sync =, torn_next =}  d:faults() -> {...}  d:lose() -> true
 *   local d <close> = disk.simulate{...}                    see script/lua_disk_faults.c, for its faults, too
 *   local file <close> = d:open(name, "read" | "write" | "create")
 *   file:read(offset, length) -> bytes    file:write(offset, bytes) -> true    file:sync() -> true
 *   file:size() -> bytes    file:truncate(size) -> true    file:close()
 *   d:rename(from, to)  d:remove(name)  d:make_directory(name)  d:sync_directory([name]) -> true
 *   d:list([name]) -> {name, ...} in byte order    d:free_bytes() -> bytes    d:lock() -> true    d:close() */
#include "script/lua_disk.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/disk.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_fault_disk.h"
#include "script/lua_result.h"

#define FILE_TYPE "kvserver.disk.file"

enum { READ_BYTES_MAX = 1 << 30 };

struct disk_handle {
  struct lua_disk *shared; /* NULL once closed */
};

struct file_handle {
  struct lua_disk *shared; /* NULL once closed */
  struct disk_file *file;
  bool writable;
};

/* ---- for all ---- */

void lua_disk_keep(struct lua_disk *disk) {
  disk->users++;
}

void lua_disk_drop(struct lua_disk *disk) {
  if (--disk->users > 0) return;
  if (disk->simulated != NULL) {
    simdisk_destroy(disk->simulated);
  } else if (disk->faulty != NULL) {
    fault_disk_close(disk->faulty);
    io_disk_close(disk->system);
  } else if (disk->base != NULL) {
    io_disk_close(disk->base);
  }
  free(disk);
}

struct lua_disk *lua_disk_push(lua_State *L) {
  struct disk_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->shared = NULL;
  luaL_setmetatable(L, LUA_DISK_TYPE);
  handle->shared = xcalloc(1, sizeof *handle->shared);
  handle->shared->users = 1;
  return handle->shared;
}

struct lua_disk *lua_disk_check(lua_State *L, int arg) {
  struct disk_handle *handle = luaL_checkudata(L, arg, LUA_DISK_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the disk is closed");
  return handle->shared;
}

/* No empty part, none that leads up. */
static bool name_is_relative(const char *name, size_t len) {
  if (len == 0 || name[0] == '/' || name[len - 1] == '/' || strstr(name, "//") != NULL) return false;
  for (const char *part = name; part != NULL; part = strchr(part, '/')) {
    part += part[0] == '/';
    size_t part_len = strcspn(part, "/");
    if (part_len == 2 && part[0] == '.' && part[1] == '.') return false;
  }
  return true;
}

const char *lua_disk_check_name(lua_State *L, int arg) {
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  luaL_argcheck(L, len == strlen(name) && len <= DISK_NAME_BYTES_MAX && name_is_relative(name, len), arg,
                "expected a relative name");
  return name;
}

uint64_t lua_disk_check_count(lua_State *L, int arg) {
  lua_Integer count = luaL_checkinteger(L, arg);
  luaL_argcheck(L, count >= 0, arg, "negative");
  return (uint64_t)count;
}

/* The number, or the failure. */
static int push_number(lua_State *L, enum status status, uint64_t number, const struct error *err) {
  if (status != STATUS_OK) return lua_push_failure(L, status, err);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

/* ---- disks ---- */

static int open_disk(lua_State *L) {
  static const char *const hows[] = {"existing", "make", NULL}; /* as enum io_disk_root */
  const char *root = luaL_checkstring(L, 1);
  enum io_disk_root how = (enum io_disk_root)luaL_checkoption(L, 2, "existing", hows);
  struct lua_disk *disk = lua_disk_push(L);
  struct error err;
  enum status status = io_disk_open(root, how, &disk->base, &err);
  return status == STATUS_OK ? 1 : lua_push_failure(L, status, &err);
}

static int open_faulty(lua_State *L) {
  const char *root = luaL_checkstring(L, 1);
  lua_Integer seed = luaL_optinteger(L, 2, 0);
  struct lua_disk *disk = lua_disk_push(L);
  struct error err;
  enum status status = io_disk_open(root, IO_DISK_EXISTING, &disk->system, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  status = fault_disk_open(disk->system, (uint64_t)seed, &disk->faulty, &err);
  if (status != STATUS_OK) {
    disk->base = disk->system; /* to be closed */
    return lua_push_failure(L, status, &err);
  }
  disk->base = fault_disk_base(disk->faulty);
  return 1;
}

static struct fault_disk *check_faulty(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  luaL_argcheck(L, disk->faulty != NULL, 1, "expected a disk with faults");
  return disk->faulty;
}

static int disk_set_faults(lua_State *L) {
  struct fault_disk *disk = check_faulty(L);
  struct fault_disk_state state = lua_fault_disk_check(L, 2);
  fault_disk_set(disk, &state);
  return 0;
}

static int disk_faults(lua_State *L) {
  lua_fault_disk_push(L, check_faulty(L));
  return 1;
}

static int disk_lose(lua_State *L) {
  struct error err;
  enum status status = fault_disk_lose(check_faulty(L), &err);
  return lua_push_result(L, status, &err);
}

static int disk_close(lua_State *L) {
  struct disk_handle *handle = luaL_checkudata(L, 1, LUA_DISK_TYPE);
  if (handle->shared != NULL) lua_disk_drop(handle->shared);
  handle->shared = NULL;
  return 0;
}

static int disk_lock(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  luaL_argcheck(L, disk->simulated == NULL && disk->faulty == NULL, 1, "only the system's disk itself has a lock");
  struct error err;
  enum status status = io_disk_lock(disk->base, &err);
  return lua_push_result(L, status, &err);
}

static int disk_open(lua_State *L) {
  static const char *const hows[] = {"read", "write", "create", NULL}; /* as enum disk_open */
  struct lua_disk *disk = lua_disk_check(L, 1);
  const char *name = lua_disk_check_name(L, 2);
  enum disk_open how = (enum disk_open)luaL_checkoption(L, 3, NULL, hows);
  struct file_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (struct file_handle){.writable = how != DISK_OPEN_READ};
  luaL_setmetatable(L, FILE_TYPE);
  struct error err;
  enum status status = disk->base->ops->open(disk->base, name, how, &handle->file, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  handle->shared = disk;
  lua_disk_keep(disk);
  return 1;
}

static size_t directory_len(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash == NULL ? 0 : (size_t)(slash - name);
}

static int disk_rename(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  const char *from = lua_disk_check_name(L, 2), *to = lua_disk_check_name(L, 3);
  size_t len = directory_len(from);
  luaL_argcheck(L, directory_len(to) == len && memcmp(from, to, len) == 0, 3, "expected the same directory");
  struct error err;
  enum status status = disk->ops->rename(disk, from, to, &err);
  return lua_push_result(L, status, &err);
}

static int disk_remove(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  struct error err;
  enum status status = disk->ops->remove(disk, lua_disk_check_name(L, 2), &err);
  return lua_push_result(L, status, &err);
}

static int disk_make_directory(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  struct error err;
  enum status status = disk->ops->make_directory(disk, lua_disk_check_name(L, 2), &err);
  return lua_push_result(L, status, &err);
}

static const char *directory_or_root(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? "." : lua_disk_check_name(L, arg);
}

static int disk_sync_directory(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  struct error err;
  enum status status = disk->ops->sync_directory(disk, directory_or_root(L, 2), &err);
  return lua_push_result(L, status, &err);
}

/* Collected first: making a table may raise, and must not within the visit. */
static void collect_name(void *context, const char *name) {
  buffer_append(context, name, strlen(name) + 1);
}

static int disk_list(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  const char *name = directory_or_root(L, 2);
  struct buffer *names = lua_buffer_push(L);
  struct error err;
  enum status status = disk->ops->list(disk, name, collect_name, names, &err);
  if (status != STATUS_OK) return lua_push_failure(L, status, &err);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t at = 0; at < names->len;) {
    const char *found = lua_pushstring(L, (const char *)names->data + at);
    at += strlen(found) + 1;
    lua_rawseti(L, -2, ++count);
  }
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_call(L, 1, 0);
  return 1;
}

static int disk_free_bytes(lua_State *L) {
  struct disk *disk = lua_disk_check(L, 1)->base;
  uint64_t bytes = 0;
  struct error err;
  enum status status = disk->ops->free_bytes(disk, &bytes, &err);
  return push_number(L, status, bytes < LUA_MAXINTEGER ? bytes : LUA_MAXINTEGER, &err);
}

/* ---- files ---- */

static struct file_handle *check_file(lua_State *L, struct disk **disk) {
  struct file_handle *handle = luaL_checkudata(L, 1, FILE_TYPE);
  if (handle->shared == NULL) luaL_error(L, "the file is closed");
  *disk = handle->shared->base;
  return handle;
}

static struct file_handle *check_writable(lua_State *L, struct disk **disk) {
  struct file_handle *handle = check_file(L, disk);
  luaL_argcheck(L, handle->writable, 1, "the file is open for reading only");
  return handle;
}

static int file_close(lua_State *L) {
  struct file_handle *handle = luaL_checkudata(L, 1, FILE_TYPE);
  if (handle->shared == NULL) return 0;
  handle->shared->base->ops->close(handle->shared->base, handle->file);
  lua_disk_drop(handle->shared);
  handle->shared = NULL;
  return 0;
}

static int file_read(lua_State *L) {
  struct disk *disk;
  struct file_handle *handle = check_file(L, &disk);
  uint64_t offset = lua_disk_check_count(L, 2), len = lua_disk_check_count(L, 3);
  luaL_argcheck(L, len <= READ_BYTES_MAX, 3, "too long");
  luaL_Buffer out;
  char *data = luaL_buffinitsize(L, &out, (size_t)len);
  size_t got = 0;
  struct error err;
  enum status status = disk->ops->read(disk, handle->file, offset, data, (size_t)len, &got, &err);
  luaL_pushresultsize(&out, got);
  return status == STATUS_OK ? 1 : lua_push_failure(L, status, &err);
}

static int file_write(lua_State *L) {
  struct disk *disk;
  struct file_handle *handle = check_writable(L, &disk);
  uint64_t offset = lua_disk_check_count(L, 2);
  size_t len;
  const char *data = luaL_checklstring(L, 3, &len);
  luaL_argcheck(L, offset <= LUA_MAXINTEGER - len, 2, "too far");
  struct error err;
  enum status status = disk->ops->write(disk, handle->file, offset, bytes_make(data, len), &err);
  return lua_push_result(L, status, &err);
}

static int file_sync(lua_State *L) {
  struct disk *disk;
  struct file_handle *handle = check_file(L, &disk);
  struct error err;
  enum status status = disk->ops->sync(disk, handle->file, &err);
  return lua_push_result(L, status, &err);
}

static int file_size(lua_State *L) {
  struct disk *disk;
  struct file_handle *handle = check_file(L, &disk);
  uint64_t bytes = 0;
  struct error err;
  enum status status = disk->ops->size(disk, handle->file, &bytes, &err);
  return push_number(L, status, bytes, &err);
}

static int file_truncate(lua_State *L) {
  struct disk *disk;
  struct file_handle *handle = check_writable(L, &disk);
  struct error err;
  enum status status = disk->ops->truncate(disk, handle->file, lua_disk_check_count(L, 2), &err);
  return lua_push_result(L, status, &err);
}

/* ---- the module ---- */

static const luaL_Reg disk_methods[] = {{"open", disk_open},
                                        {"rename", disk_rename},
                                        {"remove", disk_remove},
                                        {"make_directory", disk_make_directory},
                                        {"sync_directory", disk_sync_directory},
                                        {"list", disk_list},
                                        {"free_bytes", disk_free_bytes},
                                        {"lock", disk_lock},
                                        {"set_faults", disk_set_faults},
                                        {"faults", disk_faults},
                                        {"lose", disk_lose},
                                        {"close", disk_close},
                                        {"__gc", disk_close},
                                        {"__close", disk_close},
                                        {NULL, NULL}};

static const luaL_Reg file_methods[] = {{"read", file_read},  {"write", file_write},       {"sync", file_sync},
                                        {"size", file_size},  {"truncate", file_truncate}, {"close", file_close},
                                        {"__gc", file_close}, {"__close", file_close},     {NULL, NULL}};

static void finish_type(lua_State *L) {
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_disk(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", open_disk}, {"faulty", open_faulty}, {"simulate", lua_disk_simulate}, {NULL, NULL}};
  luaL_newmetatable(L, LUA_DISK_TYPE);
  luaL_setfuncs(L, disk_methods, 0);
  lua_disk_add_faults(L);
  finish_type(L);
  luaL_newmetatable(L, FILE_TYPE);
  luaL_setfuncs(L, file_methods, 0);
  finish_type(L);
  luaL_newlib(L, functions);
  return 1;
}
