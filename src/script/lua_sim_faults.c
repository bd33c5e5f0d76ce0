/* The faults of a simulated world in Lua. Those that a node may be in no state for return whether they happened.
 *
 *   world:crash(n [, last])  world:kill(n [, last])      with or without a power cut; what becomes of the disk's work
 *                                       under way: "not_begun" (unless told otherwise), "done" or "cut_short" at some
 *                                       call; after crash(n, "cut_short") the last write may be torn
 *   world:restart(n) -> true; false, "refused: ..." (its disk is full, fails or is damaged, or it is up)
 *   world:cut_start(n, calls)  world:wipe(n)  world:rot(n)
 *   world:pause(n)  world:resume(n)  world:transfer(n, to)
 *   world:slow_disk(n, ms)  world:leave_room(n [, bytes])  world:disk_calls(n) -> how many there were
 *   world:fail_disk(n [, {call = "write", after = 0, once = false, status = "io"}])     any call; kvserver.disk has the
 *                                                                                     names
 *   world:clock_rate(n, rate)  world:cut(from, to)  world:mend(from, to)  world:heal()  world:link_down(n, peer)
 *   world:net{delay_us =, jitter_us =, tail =, tail_us =, loss =, duplicate =, reorder =}        between all nodes
 *   world:net({...}, from, to)                                    what is absent is as in a world without faults
 *   world:drop_next(from, to [, type])  the next message is lost, once for each call
 *   world:hold(from, to [, type])       messages are kept on their way, until:
 *   world:release([from, to])           of one direction, or of all: they go on, in their order; heal() does so, too
 *                                       type: "append", "vote_reply", ..., as in a trace; any */
#include <lauxlib.h>
#include <string.h>

#include "script/lua_sim.h"
#include "sim/trace.h"

enum { US_PER_MS = 1000 };

static int push_happened(lua_State *L, bool happened) {
  lua_pushboolean(L, happened);
  return 1;
}

static int go_down(lua_State *L, bool power) {
  static const char *const names[] = {"not_begun", "done", "cut_short", NULL}; /* as enum sim_last_work */
  enum sim_last_work last = (enum sim_last_work)luaL_checkoption(L, 3, names[0], names);
  return push_happened(L, sim_world_crash(lua_sim_check(L), lua_sim_check_node(L, 2), last, power));
}

static int world_crash(lua_State *L) {
  return go_down(L, true);
}

static int world_kill(lua_State *L) {
  return go_down(L, false);
}

static int world_restart(lua_State *L) {
  struct error why = {.text = ""};
  if (sim_world_restart(lua_sim_check(L), lua_sim_check_node(L, 2), &why)) return push_happened(L, true);
  lua_pushboolean(L, false);
  lua_pushfstring(L, "refused: %s", why.text);
  return 2;
}

static int world_wipe(lua_State *L) {
  return push_happened(L, sim_world_wipe(lua_sim_check(L), lua_sim_check_node(L, 2)));
}

static int world_pause(lua_State *L) {
  return push_happened(L, sim_world_pause(lua_sim_check(L), lua_sim_check_node(L, 2)));
}

static int world_resume(lua_State *L) {
  return push_happened(L, sim_world_resume(lua_sim_check(L), lua_sim_check_node(L, 2)));
}

static int world_transfer(lua_State *L) {
  uint8_t node = lua_sim_check_node(L, 2);
  return push_happened(L, sim_world_transfer(lua_sim_check(L), node, lua_sim_check_node(L, 3)));
}

static int world_slow_disk(lua_State *L) {
  lua_Number ms = luaL_checknumber(L, 3);
  luaL_argcheck(L, ms >= 0 && ms <= 60000, 3, "out of range");
  sim_world_slow_disk(lua_sim_check(L), lua_sim_check_node(L, 2), (uint32_t)(ms * US_PER_MS));
  return 0;
}

static int world_leave_room(lua_State *L) {
  lua_Integer bytes = luaL_optinteger(L, 3, LUA_MAXINTEGER);
  luaL_argcheck(L, bytes >= 0, 3, "negative");
  sim_world_leave_room(lua_sim_check(L), lua_sim_check_node(L, 2),
                       bytes == LUA_MAXINTEGER ? SIMDISK_UNLIMITED : (uint64_t)bytes);
  return 0;
}

static int world_disk_calls(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sim_world_disk_calls(lua_sim_check(L), lua_sim_check_node(L, 2)));
  return 1;
}

static enum simdisk_call read_call(lua_State *L, int table) {
  lua_getfield(L, table, "call");
  const char *name = luaL_optstring(L, -1, NULL);
  for (int call = 0; name != NULL && call < SIMDISK_CALLS; call++) {
    if (strcmp(simdisk_call_name((enum simdisk_call)call), name) == 0) return (enum simdisk_call)call;
  }
  if (name != NULL) luaL_error(L, "call: no such one");
  return SIMDISK_CALLS;
}

static void read_fault(lua_State *L, int table, struct simdisk_fault *fault) {
  fault->call = read_call(L, table);
  fault->after = lua_sim_field_u32(L, table, "after", 0);
  lua_getfield(L, table, "once");
  fault->once = lua_toboolean(L, -1);
  lua_getfield(L, table, "status");
  const char *status = luaL_optstring(L, -1, "io");
  bool full = strcmp(status, "disk_full") == 0;
  if (!full && strcmp(status, "io") != 0) luaL_error(L, "status: expected io or disk_full");
  if (full) fault->status = STATUS_DISK_FULL;
}

static int world_fail_disk(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  struct simdisk_fault fault = {.call = SIMDISK_CALLS, .status = STATUS_IO};
  if (!lua_isnoneornil(L, 3)) {
    luaL_checktype(L, 3, LUA_TTABLE);
    read_fault(L, 3, &fault);
  }
  return push_happened(L, sim_world_fail_disk(world, node, &fault));
}

static int world_cut_start(lua_State *L) {
  lua_Integer calls = luaL_checkinteger(L, 3);
  luaL_argcheck(L, calls >= 0, 3, "negative");
  return push_happened(L, sim_world_cut_start(lua_sim_check(L), lua_sim_check_node(L, 2), (uint64_t)calls));
}

static int world_rot(lua_State *L) {
  return push_happened(L, sim_world_rot(lua_sim_check(L), lua_sim_check_node(L, 2)));
}

static int world_clock_rate(lua_State *L) {
  lua_Number rate = luaL_checknumber(L, 3);
  luaL_argcheck(L, rate >= 0.5 && rate <= 2, 3, "expected 0.5 to 2");
  sim_world_clock_rate(lua_sim_check(L), lua_sim_check_node(L, 2), (uint32_t)(rate * SIM_MILLION));
  return 0;
}

static int world_cut(lua_State *L) {
  uint8_t from = lua_sim_check_node(L, 2);
  sim_world_cut(lua_sim_check(L), from, lua_sim_check_node(L, 3));
  return 0;
}

static int world_mend(lua_State *L) {
  uint8_t from = lua_sim_check_node(L, 2);
  sim_world_mend(lua_sim_check(L), from, lua_sim_check_node(L, 3));
  return 0;
}

static int world_heal(lua_State *L) {
  sim_world_heal(lua_sim_check(L));
  return 0;
}

static int world_link_down(lua_State *L) {
  uint8_t node = lua_sim_check_node(L, 2);
  return push_happened(L, sim_world_link_down(lua_sim_check(L), node, lua_sim_check_node(L, 3)));
}

static void set_net_everywhere(struct sim_world *world, const struct sim_net *net) {
  uint8_t count = sim_world_nodes_count(world);
  for (uint8_t from = 0; from < count; from++) {
    for (uint8_t to = 0; to < count; to++)
      sim_world_net(world, from, to, net);
  }
}

static int world_net(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct sim_net net = sim_config_default().net;
  lua_sim_read_net(L, 2, &net);
  if (lua_isnoneornil(L, 3)) {
    set_net_everywhere(world, &net);
  } else {
    uint8_t from = lua_sim_check_node(L, 3);
    sim_world_net(world, from, lua_sim_check_node(L, 4), &net);
  }
  return 0;
}

/* ---- single messages ---- */

static uint32_t opt_message_type(lua_State *L, int arg) {
  const char *name = luaL_optstring(L, arg, NULL);
  if (name == NULL) return SIM_MESSAGE_TYPES;
  for (uint32_t type = 0; type < SIM_MESSAGE_TYPES; type++) {
    if (strcmp(sim_message_name(type), name) == 0) return type;
  }
  return (uint32_t)luaL_argerror(L, arg, "no such type of message");
}

static int world_drop_next(lua_State *L) {
  uint8_t from = lua_sim_check_node(L, 2), to = lua_sim_check_node(L, 3);
  sim_world_drop_next(lua_sim_check(L), from, to, opt_message_type(L, 4));
  return 0;
}

static int world_hold(lua_State *L) {
  uint8_t from = lua_sim_check_node(L, 2), to = lua_sim_check_node(L, 3);
  sim_world_hold(lua_sim_check(L), from, to, opt_message_type(L, 4));
  return 0;
}

static void release_everywhere(struct sim_world *world) {
  uint8_t count = sim_world_nodes_count(world);
  for (uint8_t from = 0; from < count; from++) {
    for (uint8_t to = 0; to < count; to++)
      sim_world_release(world, from, to);
  }
}

static int world_release(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  if (lua_isnoneornil(L, 2)) {
    release_everywhere(world);
  } else {
    uint8_t from = lua_sim_check_node(L, 2);
    sim_world_release(world, from, lua_sim_check_node(L, 3));
  }
  return 0;
}

void lua_sim_add_faults(lua_State *L) {
  static const luaL_Reg methods[] = {{"crash", world_crash},
                                     {"kill", world_kill},
                                     {"restart", world_restart},
                                     {"cut_start", world_cut_start},
                                     {"wipe", world_wipe},
                                     {"rot", world_rot},
                                     {"pause", world_pause},
                                     {"resume", world_resume},
                                     {"transfer", world_transfer},
                                     {"slow_disk", world_slow_disk},
                                     {"fail_disk", world_fail_disk},
                                     {"leave_room", world_leave_room},
                                     {"disk_calls", world_disk_calls},
                                     {"clock_rate", world_clock_rate},
                                     {"cut", world_cut},
                                     {"mend", world_mend},
                                     {"heal", world_heal},
                                     {"drop_next", world_drop_next},
                                     {"hold", world_hold},
                                     {"release", world_release},
                                     {"link_down", world_link_down},
                                     {"net", world_net},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
