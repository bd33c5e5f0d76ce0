/* The clients of a simulated world, and histories, in Lua.
 *
 *   world:load{clients =, nameless =, keys =, think_ms =, timeout_ms =, value_bytes_max =, mix = {put =, get =, ...}}
 *   world:stop_load()    world:history() -> {{client =, key =, kind =, outcome =, ...}, ...}
 *   world:check_history([steps]) -> "pass" | "fail" | "undecided", {op = place, states = {...}, steps = n}
 *   world:submit(n, {op = "get", key = "k"} | {op = "mget", keys = {"k", ...}} | a command [, deadline_ms]) -> number
 *       reads take policy = "readindex" | "stale", and min_index
 *   world:outcome(number [, forget]) -> nil while it is under way, then what the HTTP answer would say: {ok =, err_code
 * =, value =, values = {a list, false for none}, deleted =, replay =, index =, leader_hint = {leader_id =}}, and status
 * = as the node has it. failure = "connect" (the node is down), "closed" (it went down), "timeout" (it did not answer):
 * there was no answer. With `forget` it is not kept. world:answered() -> the numbers of those that ended since it was
 * asked last
 *
 * In a history `kind` is get, put, cas or delete; `value`, `expected` and what a get `saw` are numbers, 0 is no value;
 * what a cas or delete saw is 1 or 0. */
#include <lauxlib.h>
#include <string.h>

#include "base/little_endian.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "script/lua_sim.h"
#include "types/policy.h"

enum { US_PER_MS = 1000, SUBMIT_DEADLINE_MS = 5000, SUBMIT_KEYS_MAX = 10000, VALUE_HEAD_BYTES = 4 };

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

/* ---- operations by hand ---- */

/* The keys as views of the strings in the table, which keeps them; the array is in a value that is pushed. */
static void read_keys(lua_State *L, struct sim_request *request) {
  bool many = request->is_mget;
  lua_getfield(L, 3, "keys");
  if (many) luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer count = many ? luaL_len(L, -1) : 1;
  luaL_argcheck(L, count >= 1 && count <= SUBMIT_KEYS_MAX, 3, "keys: too many, or none");
  struct bytes *keys = lua_newuserdatauv(L, (size_t)count * sizeof *keys, 0);
  for (lua_Integer i = 0; i < count; i++) {
    size_t len;
    if (many)
      lua_rawgeti(L, -2, i + 1);
    else
      lua_getfield(L, 3, "key");
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, many ? "keys: expected strings" : "key: expected a string");
    const char *key = lua_tolstring(L, -1, &len);
    keys[i] = bytes_make(key, len);
    lua_pop(L, 1);
  }
  request->keys = keys;
  request->keys_count = (size_t)count;
}

static void read_read(lua_State *L, struct sim_request *request) {
  request->is_read = true;
  request->policy = READ_POLICY_READINDEX;
  lua_getfield(L, 3, "min_index");
  request->min_index = (uint64_t)luaL_optinteger(L, -1, 0);
  if (lua_getfield(L, 3, "policy") != LUA_TNIL &&
      !read_policy_parse(bytes_of(luaL_checkstring(L, -1)), &request->policy))
    luaL_error(L, "policy: expected readindex or stale");
  read_keys(L, request);
}

static int world_submit(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer deadline_ms = luaL_optinteger(L, 4, SUBMIT_DEADLINE_MS);
  luaL_argcheck(L, deadline_ms >= 0, 4, "negative");
  struct sim_request request = {.deadline_ms = (uint64_t)deadline_ms};
  lua_getfield(L, 3, "op");
  const char *op = lua_tostring(L, -1);
  if (op != NULL && (strcmp(op, "get") == 0 || strcmp(op, "mget") == 0)) {
    request.is_mget = op[0] == 'm';
    read_read(L, &request);
  } else {
    lua_command_push(L, 3, &request.command);
  }
  lua_pushinteger(L, (lua_Integer)sim_world_submit(world, node, &request));
  return 1;
}

static void set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static void set_result(lua_State *L, const struct apply_result *result) {
  set_boolean(L, "ok", result->ok);
  if (result->has_deleted) set_integer(L, "deleted", result->deleted);
  if (result->err_code != ERR_NONE) set_string(L, "err_code", err_code_name(result->err_code));
  if (result->replay != REPLAY_NONE) set_string(L, "replay", result->replay == REPLAY_SAME ? "same" : "older");
}

/* Pushes the next value of a read, or nil. */
static void push_value(lua_State *L, struct bytes *values) {
  uint64_t len = le_load(values->data, VALUE_HEAD_BYTES);
  if (len == 0)
    lua_pushnil(L);
  else
    lua_pushlstring(L, (const char *)values->data + VALUE_HEAD_BYTES, (size_t)len - 1);
  size_t taken = VALUE_HEAD_BYTES + (len == 0 ? 0 : (size_t)len - 1);
  *values = bytes_make(values->data + taken, values->len - taken);
}

/* One value for a get; for an mget a list in the order of its keys, with false for what is missing. */
static void set_values(lua_State *L, struct bytes values, bool many) {
  if (!many) {
    push_value(L, &values);
    bool found = !lua_isnil(L, -1);
    lua_setfield(L, -2, "value");
    set_boolean(L, "ok", found);
    if (!found) set_string(L, "err_code", err_code_name(ERR_NOT_FOUND));
    return;
  }
  set_boolean(L, "ok", true);
  lua_newtable(L);
  for (lua_Integer i = 1; values.len > 0; i++) {
    push_value(L, &values);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushboolean(L, false);
    }
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "values");
}

/* The API has the same names for what a node may say here, but for one. */
static void set_refusal(lua_State *L, const struct sim_outcome *outcome) {
  bool invalid = outcome->status == STATUS_INVALID;
  set_boolean(L, "ok", false);
  set_string(L, "err_code", invalid ? err_code_name(ERR_BAD_REQUEST) : status_name(outcome->status));
  if (outcome->status != STATUS_NOT_LEADER) return;
  lua_createtable(L, 0, 1);
  set_string(L, "leader_id", outcome->hint.leader_id);
  lua_setfield(L, -2, "leader_hint");
}

static void push_outcome(lua_State *L, const struct sim_outcome *outcome) {
  static const char *const silences[] = {NULL, "connect", "closed", "timeout"}; /* as enum sim_silence */
  lua_createtable(L, 0, 6);
  set_string(L, "status", status_name(outcome->status));
  set_integer(L, "index", outcome->index);
  set_string(L, "failure", silences[outcome->silence]); /* nil when NULL */
  if (outcome->silence != SIM_ANSWERED) return;
  if (outcome->status != STATUS_OK)
    set_refusal(L, outcome);
  else if (outcome->is_read)
    set_values(L, outcome->values, outcome->is_mget);
  else
    set_result(L, &outcome->result);
}

static int world_outcome(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 1 && (uint64_t)number <= sim_world_submitted(world), 2, "no such operation");
  struct sim_outcome outcome;
  if (!sim_world_outcome(world, (uint64_t)number, &outcome)) return 0;
  bool forget = lua_toboolean(L, 3);
  push_outcome(L, &outcome);
  if (forget) sim_world_forget(world, (uint64_t)number);
  return 1;
}

static int world_answered(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_newtable(L);
  uint64_t number;
  for (lua_Integer i = 1; (number = sim_world_answered(world)) != 0; i++) {
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

void lua_sim_add_clients(lua_State *L) {
  static const luaL_Reg methods[] = {{"load", world_load},         {"stop_load", world_stop_load},
                                     {"history", world_history},   {"check_history", world_check_history},
                                     {"submit", world_submit},     {"outcome", world_outcome},
                                     {"answered", world_answered}, {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
