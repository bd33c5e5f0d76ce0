/* What the files of the kvserver.sim binding share. The loop's thread. */
#ifndef KV_SCRIPT_LUA_SIM_H
#define KV_SCRIPT_LUA_SIM_H

#include <lua.h>

#include "sim/world.h"

#define LUA_SIM_WORLD_TYPE "kvserver.sim.world"

/* The world at argument 1. */
struct sim_world *lua_sim_check(lua_State *L);
/* A node's number, from 0. */
uint8_t lua_sim_check_node(lua_State *L, int arg);
uint32_t lua_sim_field_u32(lua_State *L, int table, const char *field, uint32_t otherwise);
/* A fraction from 0 to 1, as parts of a million. */
uint32_t lua_sim_field_ppm(lua_State *L, int table, const char *field, uint32_t otherwise);
/* Fields that are absent stay as they are. */
void lua_sim_read_net(lua_State *L, int table, struct sim_net *net);

/* Methods for the metatable at the top of the stack. */
void lua_sim_add_faults(lua_State *L);
void lua_sim_add_clients(lua_State *L);
void lua_sim_add_manual(lua_State *L);
void lua_sim_add_disks(lua_State *L);
void lua_sim_add_trace(lua_State *L);
int lua_sim_linear(lua_State *L);
int lua_sim_walk(lua_State *L);

#endif
