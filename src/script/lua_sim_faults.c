/* The faults of a simulated world in Lua. Those that a node may be in no state for return whether they happened.
 *
 *   world:crash(n [, untold])  world:restart(n)  world:wipe(n)  world:pause(n)  world:resume(n)  world:transfer(n, to)
 *   world:slow_disk(n, ms)  world:fail_disk(n)  world:fail_sync(n)  world:clock_rate(n, rate)
 *   world:cut(from, to)  world:mend(from, to)  world:heal()  world:link_down(n, peer)
 *   world:net{delay_us =, jitter_us =, tail =, tail_us =, loss =, duplicate =, reorder =}        between all nodes
 *   world:net({...}, from, to)                                    what is absent is as in a world without faults */
#include <lauxlib.h>

#include "script/lua_sim.h"

enum { US_PER_MS = 1000 };

static int push_happened(lua_State *L, bool happened) {
  lua_pushboolean(L, happened);
  return 1;
}

static int world_crash(lua_State *L) {
  lua_Integer untold_max = luaL_optinteger(L, 3, 0);
  luaL_argcheck(L, untold_max >= 0 && untold_max <= UINT32_MAX, 3, "out of range");
  return push_happened(L, sim_world_crash(lua_sim_check(L), lua_sim_check_node(L, 2), (uint32_t)untold_max));
}

static int world_restart(lua_State *L) {
  return push_happened(L, sim_world_restart(lua_sim_check(L), lua_sim_check_node(L, 2)));
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

static int world_fail_disk(lua_State *L) {
  return push_happened(L, sim_world_fail_disk(lua_sim_check(L), lua_sim_check_node(L, 2), false));
}

static int world_fail_sync(lua_State *L) {
  return push_happened(L, sim_world_fail_disk(lua_sim_check(L), lua_sim_check_node(L, 2), true));
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

void lua_sim_add_faults(lua_State *L) {
  static const luaL_Reg methods[] = {{"crash", world_crash},
                                     {"restart", world_restart},
                                     {"wipe", world_wipe},
                                     {"pause", world_pause},
                                     {"resume", world_resume},
                                     {"transfer", world_transfer},
                                     {"slow_disk", world_slow_disk},
                                     {"fail_disk", world_fail_disk},
                                     {"fail_sync", world_fail_sync},
                                     {"clock_rate", world_clock_rate},
                                     {"cut", world_cut},
                                     {"mend", world_mend},
                                     {"heal", world_heal},
                                     {"link_down", world_link_down},
                                     {"net", world_net},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
