/* The clients of a simulated world, and histories, in Lua; operations by hand: script/lua_sim_manual.c
 *
 *   world:load{clients =, nameless =, keys =, think_ms =, timeout_ms =, async =, value_bytes_max =, mix = {put =, ...}}
 *   world:stop_load()    world:history() -> {{client =, key =, kind =, outcome =, ...}, ...}
 *   world:check_history([steps]) -> "pass" | "fail" | "undecided", {op = place, states = {...}, steps = n}
 *
 * `async`: how many of the writes are asynchronous, 0 to 1.
 * In a history `kind` is get, put, cas or delete; `value`, `expected` and what a get `saw` are numbers, 0 is no value;
 * what a cas or delete saw is 1 or 0. */
#include <lauxlib.h>
#include <string.h>

#include "script/lua_buffer.h"
#include "script/lua_sim.h"

enum { US_PER_MS = 1000 };

static const char *const kind_names[] = {"get", "put", "cas", "delete", NULL}; /* as enum linear_kind */
static const char *const outcome_names[] = {"ok", "fail", "unknown", NULL};    /* as enum linear_outcome */
static const char *const verdict_names[] = {"pass", "fail", "undecided"};      /* as enum linear_verdict */

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

/* ---- the load ---- */

static void read_mix(lua_State *L, int table, struct sim_mix_weights *mix) {
  *mix = (struct sim_mix_weights){.put = lua_sim_field_u32(L, table, "put", 0),
                                  .get = lua_sim_field_u32(L, table, "get", 0),
                                  .cas = lua_sim_field_u32(L, table, "cas", 0),
                                  .del = lua_sim_field_u32(L, table, "delete", 0),
                                  .mget = lua_sim_field_u32(L, table, "mget", 0)};
  uint64_t sum = (uint64_t)mix->put + mix->get + mix->cas + mix->del + mix->mget;
  luaL_argcheck(L, sum > 0, 2, "mix: nothing to do");
}

static void check_load(lua_State *L, const struct sim_load_options *options) {
  luaL_argcheck(L, options->clients_count >= 1 && options->clients_count <= SIM_CLIENTS_MAX, 2,
                "clients: out of range");
  luaL_argcheck(L, options->nameless_count <= options->clients_count, 2, "nameless: more than clients");
  luaL_argcheck(L, options->keys_count >= 1 && options->keys_count <= SIM_KEYS_MAX, 2, "keys: out of range");
  luaL_argcheck(L, options->timeout_ms > 0, 2, "timeout_ms: out of range");
  luaL_argcheck(L, options->value_bytes_max >= 8 && options->value_bytes_max <= SIM_VALUE_BYTES_MAX, 2,
                "value_bytes_max: out of range");
}

static int world_load(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct sim_load_options options = sim_load_default();
  options.clients_count = lua_sim_field_u32(L, 2, "clients", options.clients_count);
  options.nameless_count = lua_sim_field_u32(L, 2, "nameless", options.nameless_count);
  options.keys_count = lua_sim_field_u32(L, 2, "keys", options.keys_count);
  options.think_us = lua_sim_field_u32(L, 2, "think_ms", options.think_us / US_PER_MS) * US_PER_MS;
  options.timeout_ms = lua_sim_field_u32(L, 2, "timeout_ms", options.timeout_ms);
  options.async_ppm = lua_sim_field_ppm(L, 2, "async", options.async_ppm);
  options.value_bytes_max = lua_sim_field_u32(L, 2, "value_bytes_max", options.value_bytes_max);
  if (lua_getfield(L, 2, "mix") != LUA_TNIL) read_mix(L, lua_gettop(L), &options.mix);
  check_load(L, &options);
  if (!sim_world_load(world, &options)) return luaL_error(L, "this world has its load already");
  return 0;
}

static int world_stop_load(lua_State *L) {
  if (!sim_world_stop_load(lua_sim_check(L))) return luaL_error(L, "this world has no load");
  return 0;
}

/* ---- histories ---- */

static void push_op(lua_State *L, const struct linear_op *op) {
  lua_createtable(L, 0, 9);
  set_integer(L, "client", op->client);
  set_integer(L, "key", op->key);
  set_string(L, "kind", kind_names[op->kind]);
  set_string(L, "outcome", outcome_names[op->outcome]);
  set_integer(L, "value", op->value);
  set_integer(L, "expected", op->expected);
  set_integer(L, "saw", op->saw);
  set_integer(L, "called", op->called);
  set_integer(L, "returned", op->returned);
}

static int world_history(lua_State *L) {
  size_t count;
  const struct linear_op *ops = sim_world_history(lua_sim_check(L), &count);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_op(L, &ops[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int push_verdict(lua_State *L, enum linear_verdict verdict, const struct linear_report *report) {
  lua_pushstring(L, verdict_names[verdict]);
  lua_createtable(L, 0, 3);
  set_integer(L, "steps", report->steps);
  if (verdict != LINEAR_VIOLATED) return 2;
  set_integer(L, "op", report->op + 1);
  lua_createtable(L, (int)report->states_count, 0);
  for (size_t i = 0; i < report->states_count; i++) {
    lua_pushinteger(L, (lua_Integer)report->states[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "states");
  return 2;
}

static uint64_t check_steps(lua_State *L, int arg) {
  lua_Integer steps = luaL_optinteger(L, arg, LINEAR_STEPS_DEFAULT);
  luaL_argcheck(L, steps > 0, arg, "expected a positive number");
  return (uint64_t)steps;
}

static int world_check_history(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint64_t steps = check_steps(L, 2);
  size_t count;
  const struct linear_op *ops = sim_world_history(world, &count);
  struct linear_report report;
  enum linear_verdict verdict = linear_check(ops, count, steps, &report);
  return push_verdict(L, verdict, &report);
}

/* The field of the table at the top. */
static uint64_t op_number(lua_State *L, const char *field) {
  lua_getfield(L, -1, field);
  lua_Integer value = luaL_optinteger(L, -1, 0);
  if (value < 0) luaL_error(L, "%s: negative", field);
  lua_pop(L, 1);
  return (uint64_t)value;
}

static int op_choice(lua_State *L, const char *field, const char *const names[]) {
  lua_getfield(L, -1, field);
  const char *name = lua_tostring(L, -1);
  for (int i = 0; name != NULL && names[i] != NULL; i++) {
    if (strcmp(names[i], name) != 0) continue;
    lua_pop(L, 1);
    return i;
  }
  return luaL_error(L, "%s: not one that a history knows", field);
}

static void read_op(lua_State *L, struct linear_op *op) {
  luaL_checktype(L, -1, LUA_TTABLE);
  *op = (struct linear_op){.client = (uint32_t)op_number(L, "client"),
                           .key = (uint32_t)op_number(L, "key"),
                           .kind = (enum linear_kind)op_choice(L, "kind", kind_names),
                           .outcome = (enum linear_outcome)op_choice(L, "outcome", outcome_names),
                           .value = op_number(L, "value"),
                           .expected = op_number(L, "expected"),
                           .saw = op_number(L, "saw"),
                           .called = op_number(L, "called"),
                           .returned = op_number(L, "returned")};
}

int lua_sim_linear(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  uint64_t steps = check_steps(L, 2);
  lua_Integer count = luaL_len(L, 1);
  struct buffer *memory = lua_buffer_push(L);
  struct linear_op op;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    read_op(L, &op);
    buffer_append(memory, &op, sizeof op);
    lua_pop(L, 1);
  }
  struct linear_report report;
  const struct linear_op *ops = (const struct linear_op *)(void *)memory->data;
  enum linear_verdict verdict = linear_check(ops, (size_t)count, steps, &report);
  return push_verdict(L, verdict, &report);
}

void lua_sim_add_clients(lua_State *L) {
  static const luaL_Reg methods[] = {{"load", world_load},
                                     {"stop_load", world_stop_load},
                                     {"history", world_history},
                                     {"check_history", world_check_history},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
