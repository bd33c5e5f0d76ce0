/* Disks in Lua, for other bindings that need one. The loop's thread. */
#ifndef KV_SCRIPT_LUA_DISK_H
#define KV_SCRIPT_LUA_DISK_H

#include <lua.h>

#include "raft/storage/disk.h"
#include "server/fault_disk.h"
#include "sim/simdisk.h"

/* A disk and who uses it: its userdata, open files, and what other bindings made on top of it. The collector may
 * finalize these in any order; the last one closes the disk. */
struct lua_disk {
  struct disk *base;
  struct simdisk *simulated; /* NULL: the system's files */
  struct fault_disk *faulty; /* over `system`, or NULL */
  struct disk *system;       /* NULL: `base` itself */
  size_t users;
};

/* Borrowed: the open disk at `arg`; raises when it is none. */
struct lua_disk *lua_disk_check(lua_State *L, int arg);
void lua_disk_keep(struct lua_disk *disk);
void lua_disk_drop(struct lua_disk *disk);

/* ---- between lua_disk.c and lua_disk_faults.c ---- */

#define LUA_DISK_TYPE "kvserver.disk"

/* Pushes a disk with one user, its userdata; takes both. */
struct lua_disk *lua_disk_push(lua_State *L);
/* A relative name without "..", as the interface wants it. */
const char *lua_disk_check_name(lua_State *L, int arg);
uint64_t lua_disk_check_count(lua_State *L, int arg);
/* disk.simulate{...}. */
int lua_disk_simulate(lua_State *L);
/* Methods of simulated disks, for the metatable at the top of the stack. */
void lua_disk_add_faults(lua_State *L);

#endif
