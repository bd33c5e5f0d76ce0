/* kvserver.wal: the write-ahead log (raft/storage/wal.h) over a disk of kvserver.disk. Its jobs run when told to, so a
 * spec decides what happens between their steps.
 *
 *   local wal = require "kvserver.wal"
 *   local w <close> = wal.open(disk [, {segment_bytes =, cache_bytes =, seed =}])     or nil, status, message
 *   the methods of any storage: script/lua_raft_storage.c
 *   w:step() -> whether there was a job: runs it, and says that it is done
 *   w:job() -> whether there is one  w:run_job()  w:job_done()
 *   w:step_spare()  w:spare_job()  w:run_spare_job()  w:spare_job_done()      the same for spare jobs
 *   w:complete() -> number, last index | nil
 *   w:make_room()  w:disk_full() -> boolean  w:room() -> bytes  w:room_ahead() -> bytes
 *   w:failure() -> why | nil    w:seal() -> true | nil, status, message: a clean stop    w:close(): ends as a kill does
 *   wal.scan(disk) -> report, see script/lua_wal_scan.c */
#include "script/lua_wal.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/check.h"
#include "script/bindings.h"
#include "script/lua_disk.h"
#include "script/lua_raft.h"

#define WAL_TYPE "kvserver.wal"

enum { SEGMENT_BYTES_DEFAULT = 65536, CACHE_BYTES_DEFAULT = 65536 };

enum job_phase { JOB_NONE, JOB_SUBMITTED, JOB_RAN };

struct wal_handle {
  struct lua_disk *disk; /* NULL once closed, and then `wal`, too */
  struct wal *wal;
  struct wal_job *job;
  enum job_phase job_phase;
  struct wal_spare_job *spare_job;
  enum job_phase spare_job_phase;
};

static struct wal_handle *check_handle(lua_State *L) {
  struct wal_handle *handle = luaL_checkudata(L, 1, WAL_TYPE);
  if (handle->wal == NULL) luaL_error(L, "the log is closed");
  return handle;
}

struct raft_storage *lua_wal_test(lua_State *L, int arg) {
  struct wal_handle *handle = luaL_testudata(L, arg, WAL_TYPE);
  if (handle == NULL) return NULL;
  if (handle->wal == NULL) luaL_error(L, "the log is closed");
  return wal_base(handle->wal);
}

static int push_error(lua_State *L, enum status status, const struct error *err) {
  lua_raft_push_status(L, status);
  lua_pushstring(L, err->text);
  return 3;
}

/* ---- life ---- */

static void on_submit(void *context, struct wal_job *job) {
  struct wal_handle *handle = context;
  CHECK(handle->job_phase == JOB_NONE);
  handle->job = job;
  handle->job_phase = JOB_SUBMITTED;
}

static void on_submit_spare(void *context, struct wal_spare_job *job) {
  struct wal_handle *handle = context;
  CHECK(handle->spare_job_phase == JOB_NONE);
  handle->spare_job = job;
  handle->spare_job_phase = JOB_SUBMITTED;
}

static uint64_t option(lua_State *L, const char *field, uint64_t otherwise) {
  if (lua_isnoneornil(L, 2)) return otherwise;
  luaL_checktype(L, 2, LUA_TTABLE);
  return lua_raft_integer_or(L, 2, field, otherwise);
}

static int open_wal(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  struct wal_options options = {.segment_bytes = option(L, "segment_bytes", SEGMENT_BYTES_DEFAULT),
                                .cache_bytes_max = option(L, "cache_bytes", CACHE_BYTES_DEFAULT),
                                .seed = option(L, "seed", 0)};
  struct wal_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (struct wal_handle){0};
  luaL_setmetatable(L, WAL_TYPE);
  struct wal_owner owner = {handle, on_submit, on_submit_spare};
  struct error err = {""};
  enum status status = wal_open(disk->base, &options, &owner, &handle->wal, &err);
  if (status != STATUS_OK) return push_error(L, status, &err);
  handle->disk = disk;
  lua_disk_keep(disk);
  return 1;
}

static void forget(struct wal_handle *handle) {
  struct lua_disk *disk = handle->disk;
  *handle = (struct wal_handle){0};
  lua_disk_drop(disk);
}

static int close_wal(lua_State *L) {
  struct wal_handle *handle = luaL_checkudata(L, 1, WAL_TYPE);
  if (handle->wal == NULL) return 0;
  wal_destroy(handle->wal);
  forget(handle);
  return 0;
}

static int seal_wal(lua_State *L) {
  struct wal_handle *handle = check_handle(L);
  bool busy = handle->job_phase != JOB_NONE || handle->spare_job_phase != JOB_NONE;
  if (busy) luaL_error(L, "a job is under way");
  struct error err = {""};
  enum status status = wal_close(handle->wal, &err);
  forget(handle);
  return status == STATUS_OK ? lua_raft_push_status(L, status) : push_error(L, status, &err);
}

/* ---- jobs ---- */

static int job(lua_State *L) {
  lua_pushboolean(L, check_handle(L)->job_phase != JOB_NONE);
  return 1;
}

static int run_job(lua_State *L) {
  struct wal_handle *handle = check_handle(L);
  if (handle->job_phase != JOB_SUBMITTED) luaL_error(L, "no job waits to be run");
  wal_job_run(handle->job);
  handle->job_phase = JOB_RAN;
  return 0;
}

static int job_done(lua_State *L) {
  struct wal_handle *handle = check_handle(L);
  if (handle->job_phase != JOB_RAN) luaL_error(L, "no job has run");
  handle->job_phase = JOB_NONE;
  wal_job_done(handle->wal, handle->job);
  return 0;
}

static int step(lua_State *L) {
  bool any = check_handle(L)->job_phase == JOB_SUBMITTED;
  if (any) {
    run_job(L);
    job_done(L);
  }
  lua_pushboolean(L, any);
  return 1;
}

static int spare_job(lua_State *L) {
  lua_pushboolean(L, check_handle(L)->spare_job_phase != JOB_NONE);
  return 1;
}

static int run_spare_job(lua_State *L) {
  struct wal_handle *handle = check_handle(L);
  if (handle->spare_job_phase != JOB_SUBMITTED) luaL_error(L, "no spare job waits to be run");
  wal_spare_job_run(handle->spare_job);
  handle->spare_job_phase = JOB_RAN;
  return 0;
}

static int spare_job_done(lua_State *L) {
  struct wal_handle *handle = check_handle(L);
  if (handle->spare_job_phase != JOB_RAN) luaL_error(L, "no spare job has run");
  handle->spare_job_phase = JOB_NONE;
  wal_spare_job_done(handle->wal, handle->spare_job);
  return 0;
}

static int step_spare(lua_State *L) {
  bool any = check_handle(L)->spare_job_phase == JOB_SUBMITTED;
  if (any) {
    run_spare_job(L);
    spare_job_done(L);
  }
  lua_pushboolean(L, any);
  return 1;
}

static int complete(lua_State *L) {
  uint64_t number, last_index;
  if (!wal_complete(check_handle(L)->wal, &number, &last_index)) return 0;
  lua_pushinteger(L, (lua_Integer)number);
  lua_pushinteger(L, (lua_Integer)last_index);
  return 2;
}

/* ---- room ---- */

static int make_room(lua_State *L) {
  wal_make_room(check_handle(L)->wal);
  return 0;
}

static int disk_full(lua_State *L) {
  lua_pushboolean(L, wal_disk_full(check_handle(L)->wal));
  return 1;
}

static int room(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)wal_room(check_handle(L)->wal));
  return 1;
}

static int room_ahead(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)wal_room_ahead(check_handle(L)->wal));
  return 1;
}

static int failure(lua_State *L) {
  lua_pushstring(L, wal_failure(check_handle(L)->wal));
  return 1;
}

static const luaL_Reg methods[] = {{"step", step},
                                   {"job", job},
                                   {"run_job", run_job},
                                   {"job_done", job_done},
                                   {"step_spare", step_spare},
                                   {"spare_job", spare_job},
                                   {"run_spare_job", run_spare_job},
                                   {"spare_job_done", spare_job_done},
                                   {"complete", complete},
                                   {"make_room", make_room},
                                   {"disk_full", disk_full},
                                   {"room", room},
                                   {"room_ahead", room_ahead},
                                   {"failure", failure},
                                   {"seal", seal_wal},
                                   {"close", close_wal},
                                   {"__gc", close_wal},
                                   {"__close", close_wal},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"open", open_wal}, {"scan", lua_wal_scan}, {NULL, NULL}};

int luaopen_kvserver_wal(lua_State *L) {
  luaL_newmetatable(L, WAL_TYPE);
  lua_raft_add_storage_methods(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
