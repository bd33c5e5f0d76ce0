/* Simulated disks in Lua (sim/simdisk.h): methods of kvserver.disk's disks, for those made by simulate only.
 *
 *   disk.simulate{seed =, capacity = bytes | nil, torn = fraction of the surviving sectors}   all optional
 *   d:crash(seed)      what was synced is there, of the rest what the seed leaves; open files are dead
 *   d:clone() -> disk  the same files, durable
 *   d:fail{call = kind | nil (any), after = calls that succeed, status = "io" | "disk_full", once = boolean}  d:heal()
 *   d:failed() -> whether it has struck    d:set_capacity(bytes | nil)
 *   d:flip(name, offset, bit) -> boolean   d:cut(name, size) -> boolean
 *   d:calls([kind]) -> number    d:unsynced() -> number    d:used_bytes()    d:memory_bytes()
 *   d:trace_start()    d:trace() -> text
 * Kinds: open create read write sync size truncate rename remove make_directory sync_directory list free_bytes. */
#include <lauxlib.h>

#include "script/lua_disk.h"

enum { MILLION = 1000000 };

static struct simdisk *check_simulated(lua_State *L) {
  struct lua_disk *disk = lua_disk_check(L, 1);
  luaL_argcheck(L, disk->simulated != NULL, 1, "expected a simulated disk");
  return disk->simulated;
}

static uint64_t opt_capacity(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? SIMDISK_UNLIMITED : lua_disk_check_count(L, arg);
}

static void read_config(lua_State *L, struct simdisk_config *config) {
  if (lua_isnoneornil(L, 1)) return;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "seed");
  config->seed = (uint64_t)luaL_optinteger(L, -1, 0);
  lua_getfield(L, 1, "capacity");
  config->capacity_bytes = opt_capacity(L, -1);
  lua_getfield(L, 1, "torn");
  lua_Number torn = luaL_optnumber(L, -1, (lua_Number)SIMDISK_TORN_PPM / MILLION);
  luaL_argcheck(L, torn >= 0 && torn <= 1, 1, "torn: expected 0 to 1");
  config->torn_ppm = (uint32_t)(torn * MILLION + 0.5);
}

static void fill(struct lua_disk *disk, struct simdisk *simulated) {
  disk->simulated = simulated;
  disk->base = simdisk_base(simulated);
}

int lua_disk_simulate(lua_State *L) {
  struct simdisk_config config = {.capacity_bytes = SIMDISK_UNLIMITED, .torn_ppm = SIMDISK_TORN_PPM};
  read_config(L, &config);
  struct lua_disk *disk = lua_disk_push(L); /* may raise: first */
  fill(disk, simdisk_create(&config));
  return 1;
}

static int disk_clone(lua_State *L) {
  struct simdisk *from = check_simulated(L);
  struct lua_disk *disk = lua_disk_push(L); /* may raise: first */
  fill(disk, simdisk_clone(from));
  return 1;
}

static int disk_crash(lua_State *L) {
  struct simdisk *disk = check_simulated(L);
  simdisk_crash(disk, (uint64_t)luaL_checkinteger(L, 2));
  return 0;
}

/* ---- faults ---- */

/* nil: any. */
static enum simdisk_call opt_call(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return SIMDISK_CALLS;
  const char *name = luaL_checkstring(L, arg);
  for (enum simdisk_call call = 0; call < SIMDISK_CALLS; call++) {
    if (strcmp(simdisk_call_name(call), name) == 0) return call;
  }
  luaL_error(L, "no kind of call: %s", name);
  return SIMDISK_CALLS;
}

static int disk_fail(lua_State *L) {
  static const char *const statuses[] = {"io", "disk_full", NULL};
  struct simdisk *disk = check_simulated(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct simdisk_fault fault = {0};
  lua_getfield(L, 2, "call");
  fault.call = opt_call(L, -1);
  lua_getfield(L, 2, "after");
  fault.after = lua_isnil(L, -1) ? 0 : lua_disk_check_count(L, -1);
  lua_getfield(L, 2, "status");
  fault.status = luaL_checkoption(L, -1, "io", statuses) == 0 ? STATUS_IO : STATUS_DISK_FULL;
  lua_getfield(L, 2, "once");
  fault.once = lua_toboolean(L, -1);
  simdisk_fail(disk, &fault);
  return 0;
}

static int disk_heal(lua_State *L) {
  simdisk_heal(check_simulated(L));
  return 0;
}

static int disk_failed(lua_State *L) {
  lua_pushboolean(L, simdisk_failed(check_simulated(L)));
  return 1;
}

static int disk_set_capacity(lua_State *L) {
  struct simdisk *disk = check_simulated(L);
  simdisk_set_capacity(disk, opt_capacity(L, 2));
  return 0;
}

static int disk_flip(lua_State *L) {
  struct simdisk *disk = check_simulated(L);
  const char *name = lua_disk_check_name(L, 2);
  uint64_t offset = lua_disk_check_count(L, 3), bit = lua_disk_check_count(L, 4);
  luaL_argcheck(L, bit < 8, 4, "expected 0 to 7");
  lua_pushboolean(L, simdisk_flip(disk, name, offset, (uint8_t)bit));
  return 1;
}

static int disk_cut(lua_State *L) {
  struct simdisk *disk = check_simulated(L);
  const char *name = lua_disk_check_name(L, 2);
  lua_pushboolean(L, simdisk_cut(disk, name, lua_disk_check_count(L, 3)));
  return 1;
}

/* ---- what one may see ---- */

static int disk_calls(lua_State *L) {
  struct simdisk *disk = check_simulated(L);
  lua_pushinteger(L, (lua_Integer)simdisk_calls(disk, opt_call(L, 2)));
  return 1;
}

static int disk_unsynced(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)simdisk_unsynced(check_simulated(L)));
  return 1;
}

static int disk_used_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)simdisk_used_bytes(check_simulated(L)));
  return 1;
}

static int disk_memory_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)simdisk_memory_bytes(check_simulated(L)));
  return 1;
}

static int disk_trace_start(lua_State *L) {
  simdisk_trace_start(check_simulated(L));
  return 0;
}

static int disk_trace(lua_State *L) {
  struct bytes text = simdisk_trace(check_simulated(L));
  lua_pushlstring(L, (const char *)text.data, text.len);
  return 1;
}

void lua_disk_add_faults(lua_State *L) {
  static const luaL_Reg methods[] = {{"crash", disk_crash},
                                     {"clone", disk_clone},
                                     {"fail", disk_fail},
                                     {"heal", disk_heal},
                                     {"failed", disk_failed},
                                     {"set_capacity", disk_set_capacity},
                                     {"flip", disk_flip},
                                     {"cut", disk_cut},
                                     {"calls", disk_calls},
                                     {"unsynced", disk_unsynced},
                                     {"used_bytes", disk_used_bytes},
                                     {"memory_bytes", disk_memory_bytes},
                                     {"trace_start", disk_trace_start},
                                     {"trace", disk_trace},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
