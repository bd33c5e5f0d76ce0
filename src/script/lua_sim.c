/* kvserver.sim: simulated worlds (sim/world.h) in Lua. Nodes are numbers from 1, times milliseconds of virtual time,
 * probabilities numbers from 0 to 1.
 *
 *   local sim = require "kvserver.sim"
 *   local world <close> = sim.world{nodes = 3, seed = 7}            see read_config for the other fields
 *   world:run(ms [, condition])    goes on for so long, or until condition() holds, which is asked every millisecond
 *                                  -> true; false when the condition did not come true; nil and the violation
 *   world:run(ms, "answer")        goes on for so long, or until an operation that was submitted ends; not at all when
 *                                  one did since the last run and world:answered() has not told -> true when one did;
 *                                  else as above
 *   world:stop_at(event | nil)     runs stop in front of the event with this number, of those that stats().events
 *                                  counts: they return false, "stopped"
 *   world:step([n])                n events happen (1), stop_at or not -> how many did; nil and the violation
 *   world:now()  world:random(n)  world:violation()  world:digest()  world:close()
 *   faults and their undoing: script/lua_sim_faults.c; files: script/lua_sim_disks.c;
 *   a load: script/lua_sim_clients.c; operations by hand: script/lua_sim_manual.c;
 *   what happened: script/lua_sim_trace.c
 *   world:leader() -> number | nil    world:state(n) -> "up", "down", "paused" or "failed"
 *   world:status(n) -> {up =, role =, ...}    world:stats() -> {events =, ...}
 *   world:raft_log(n [, from [, to]]) -> {{index =, term =, op =, ...}, ...}
 *   sim.prng(seed) -> random; random(n) -> 1 .. n; random(a, b) -> a .. b; random() -> 0 <= x < 1
 *   sim.walk(t): script/lua_sim_walk.c
 *   sim.linear(operations [, steps]) -> verdict, report; use kvserver.linear */
#include "script/lua_sim.h"

#include <lauxlib.h>
#include <string.h>

#include "base/prng.h"
#include "raft/storage/wal.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"

#define PRNG_TYPE "kvserver.sim.prng"

enum { US_PER_MS = 1000, SEGMENT_BYTES_MAX = 1 << 24 };

struct sim_world *lua_sim_check(lua_State *L) {
  struct sim_world **handle = luaL_checkudata(L, 1, LUA_SIM_WORLD_TYPE);
  if (*handle == NULL) luaL_error(L, "the world is closed");
  return *handle;
}

uint8_t lua_sim_check_node(lua_State *L, int arg) {
  lua_Integer number = luaL_checkinteger(L, arg);
  struct sim_world *world = lua_sim_check(L);
  luaL_argcheck(L, number >= 1 && number <= sim_world_nodes_count(world), arg, "no such node");
  return (uint8_t)(number - 1);
}

uint32_t lua_sim_field_u32(lua_State *L, int table, const char *field, uint32_t otherwise) {
  lua_getfield(L, table, field);
  lua_Integer value = luaL_optinteger(L, -1, otherwise);
  if (value < 0 || value > UINT32_MAX) luaL_error(L, "%s: out of range", field);
  lua_pop(L, 1);
  return (uint32_t)value;
}

uint32_t lua_sim_field_ppm(lua_State *L, int table, const char *field, uint32_t otherwise) {
  lua_getfield(L, table, field);
  lua_Number value = luaL_optnumber(L, -1, (lua_Number)otherwise / SIM_MILLION);
  if (!(value >= 0 && value <= 1)) luaL_error(L, "%s: expected 0 to 1", field);
  lua_pop(L, 1);
  return (uint32_t)(value * SIM_MILLION + 0.5);
}

void lua_sim_read_net(lua_State *L, int table, struct sim_net *net) {
  *net = (struct sim_net){.delay_us = lua_sim_field_u32(L, table, "delay_us", net->delay_us),
                          .jitter_us = lua_sim_field_u32(L, table, "jitter_us", net->jitter_us),
                          .tail_us = lua_sim_field_u32(L, table, "tail_us", net->tail_us),
                          .tail_ppm = lua_sim_field_ppm(L, table, "tail", net->tail_ppm),
                          .loss_ppm = lua_sim_field_ppm(L, table, "loss", net->loss_ppm),
                          .duplicate_ppm = lua_sim_field_ppm(L, table, "duplicate", net->duplicate_ppm),
                          .reorder_ppm = lua_sim_field_ppm(L, table, "reorder", net->reorder_ppm)};
}

/* ---- making ---- */

static void read_timing(lua_State *L, struct sim_config *config) {
  config->heartbeat_ms = lua_sim_field_u32(L, 1, "heartbeat_ms", config->heartbeat_ms);
  config->election_min_ms = lua_sim_field_u32(L, 1, "election_min_ms", config->election_min_ms);
  config->election_max_ms = lua_sim_field_u32(L, 1, "election_max_ms", config->election_max_ms);
  bool rising = config->heartbeat_ms > 0 && config->heartbeat_ms < config->election_min_ms &&
                config->election_min_ms < config->election_max_ms;
  luaL_argcheck(L, rising, 1, "expected 0 < heartbeat_ms < election_min_ms < election_max_ms");
}

static void read_storage(lua_State *L, struct sim_config *config) {
  config->sync_us = lua_sim_field_u32(L, 1, "sync_us", config->sync_us);
  config->segment_bytes = lua_sim_field_u32(L, 1, "segment_bytes", config->segment_bytes);
  luaL_argcheck(L, config->segment_bytes >= WAL_SEGMENT_BYTES_MIN && config->segment_bytes <= SEGMENT_BYTES_MAX, 1,
                "segment_bytes: out of range");
  config->cache_bytes = lua_sim_field_u32(L, 1, "cache_bytes", config->cache_bytes);
  config->snapshot_threshold = lua_sim_field_u32(L, 1, "snapshot_threshold", (uint32_t)config->snapshot_threshold);
  config->snapshot_tail = lua_sim_field_u32(L, 1, "snapshot_tail", (uint32_t)config->snapshot_tail);
  config->install_bytes = lua_sim_field_u32(L, 1, "install_bytes", config->install_bytes);
  config->async_result_ttl_seconds = lua_sim_field_u32(L, 1, "async_result_ttl", config->async_result_ttl_seconds);
  luaL_argcheck(L, config->async_result_ttl_seconds > 0, 1, "async_result_ttl: out of range");
  luaL_argcheck(L, config->install_bytes > 0, 1, "install_bytes: out of range");
}

static void read_config(lua_State *L, struct sim_config *config) {
  luaL_checktype(L, 1, LUA_TTABLE);
  uint32_t nodes = lua_sim_field_u32(L, 1, "nodes", config->nodes_count);
  luaL_argcheck(L, nodes >= 1 && nodes <= SIM_NODES_MAX, 1, "nodes: out of range");
  config->nodes_count = (uint8_t)nodes;
  lua_getfield(L, 1, "seed");
  config->seed = (uint64_t)luaL_optinteger(L, -1, (lua_Integer)config->seed);
  uint32_t fixed = lua_sim_field_u32(L, 1, "fixed_leader", 0);
  luaL_argcheck(L, fixed <= nodes, 1, "fixed_leader: no such node");
  if (fixed > 0) config->fixed_leader = (uint8_t)(fixed - 1);
  read_timing(L, config);
  config->inflight_max = lua_sim_field_u32(L, 1, "inflight_max", config->inflight_max);
  luaL_argcheck(L, config->inflight_max >= 1 && config->inflight_max <= RAFT_INFLIGHT_MAX, 1,
                "inflight_max: out of range");
  config->message_bytes_max = lua_sim_field_u32(L, 1, "message_bytes_max", (uint32_t)config->message_bytes_max);
  config->defer_ppm = lua_sim_field_ppm(L, 1, "defer", config->defer_ppm);
  read_storage(L, config);
  if (lua_getfield(L, 1, "net") != LUA_TNIL) lua_sim_read_net(L, lua_gettop(L), &config->net);
}

static int make_world(lua_State *L) {
  struct sim_config config = sim_config_default();
  read_config(L, &config);
  struct sim_world **handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = NULL;
  luaL_setmetatable(L, LUA_SIM_WORLD_TYPE);
  *handle = sim_world_create(&config);
  return 1;
}

static int world_close(lua_State *L) {
  struct sim_world **handle = luaL_checkudata(L, 1, LUA_SIM_WORLD_TYPE);
  if (*handle != NULL) sim_world_destroy(*handle);
  *handle = NULL;
  return 0;
}

/* ---- the run ---- */

static int push_violation(lua_State *L, struct sim_world *world) {
  luaL_pushfail(L);
  lua_pushstring(L, sim_world_violation(world));
  return 2;
}

static bool condition_holds(lua_State *L) {
  lua_pushvalue(L, 3);
  lua_call(L, 0, 1);
  bool holds = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return holds;
}

static int push_stopped(lua_State *L) {
  lua_pushboolean(L, false);
  lua_pushliteral(L, "stopped");
  return 2;
}

static int run_to_answer(lua_State *L, struct sim_world *world, uint64_t us) {
  luaL_argcheck(L, strcmp(lua_tostring(L, 3), "answer") == 0, 3, "expected a function or \"answer\"");
  bool answered;
  if (!sim_world_run_to_answer(world, us, &answered)) return push_violation(L, world);
  if (!answered && sim_world_stopped(world)) return push_stopped(L);
  lua_pushboolean(L, answered);
  return 1;
}

static int run_until_it_holds(lua_State *L, struct sim_world *world, uint64_t left_us) {
  bool holds = condition_holds(L);
  while (!holds && left_us > 0) {
    uint64_t step_us = left_us < US_PER_MS ? left_us : US_PER_MS;
    left_us -= step_us;
    if (!sim_world_run(world, step_us)) return push_violation(L, world);
    holds = condition_holds(L);
    if (!holds && sim_world_stopped(world)) return push_stopped(L);
  }
  lua_pushboolean(L, holds);
  return 1;
}

static int world_run(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Number ms = luaL_checknumber(L, 2);
  luaL_argcheck(L, ms >= 0 && ms < 1e12, 2, "out of range");
  uint64_t us = (uint64_t)(ms * US_PER_MS);
  if (lua_type(L, 3) == LUA_TSTRING) return run_to_answer(L, world, us);
  if (!lua_isnoneornil(L, 3)) {
    luaL_checktype(L, 3, LUA_TFUNCTION);
    return run_until_it_holds(L, world, us);
  }
  if (!sim_world_run(world, us)) return push_violation(L, world);
  if (sim_world_stopped(world)) return push_stopped(L);
  lua_pushboolean(L, true);
  return 1;
}

static int world_stop_at(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer event = 0;
  if (!lua_isnoneornil(L, 2)) {
    event = luaL_checkinteger(L, 2);
    luaL_argcheck(L, event >= 1, 2, "expected a number from 1");
  }
  sim_world_stop_at(world, (uint64_t)event);
  return 0;
}

static int world_step(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer events = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, events >= 0, 2, "negative");
  uint64_t happened = sim_world_step(world, (uint64_t)events);
  if (sim_world_violation(world) != NULL) return push_violation(L, world);
  lua_pushinteger(L, (lua_Integer)happened);
  return 1;
}

static int world_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)sim_world_now_us(lua_sim_check(L)) / US_PER_MS);
  return 1;
}

static int world_random(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  lua_Integer bound = luaL_checkinteger(L, 2);
  luaL_argcheck(L, bound > 0, 2, "expected a positive number");
  lua_pushinteger(L, 1 + (lua_Integer)sim_world_random(world, (uint64_t)bound));
  return 1;
}

static int world_violation(lua_State *L) {
  lua_pushstring(L, sim_world_violation(lua_sim_check(L))); /* nil when NULL */
  return 1;
}

static int world_digest(lua_State *L) {
  char hex[HASH128_HEX_CHARS + 1];
  hash128_hex(sim_world_digest(lua_sim_check(L)), hex);
  lua_pushstring(L, hex);
  return 1;
}

/* ---- what one may see ---- */

static int world_leader(lua_State *L) {
  uint8_t leader = sim_world_leader(lua_sim_check(L));
  if (leader == RAFT_NODE_NONE) return 0;
  lua_pushinteger(L, leader + 1);
  return 1;
}

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static void set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

static void set_hint(lua_State *L, const struct leader_hint *hint) {
  lua_createtable(L, 0, 2);
  set_string(L, "leader_id", hint->leader_id);
  set_string(L, "leader_addr", hint->leader_addr);
  lua_setfield(L, -2, "leader_hint");
}

/* Of a leader; of others it is empty. */
static void set_peers(lua_State *L, const struct raft_status *status) {
  lua_createtable(L, 0, (int)status->peers_count);
  for (uint32_t i = 0; i < status->peers_count; i++) {
    const struct raft_peer_status *peer = &status->peers[i];
    lua_createtable(L, 0, 4);
    set_integer(L, "match_index", peer->match_index);
    set_integer(L, "next_index", peer->next_index);
    set_integer(L, "inflight", peer->inflight);
    set_integer(L, "last_contact_ms", peer->last_contact_ms);
    lua_setfield(L, -2, peer->id);
  }
  lua_setfield(L, -2, "peers");
}

static void set_raft_status(lua_State *L, const struct raft_status *status) {
  set_string(L, "role", status->role);
  set_integer(L, "term", status->term);
  set_string(L, "voted_for", status->voted_for);
  set_integer(L, "commit_index", status->commit_index);
  set_integer(L, "last_applied", status->last_applied);
  set_integer(L, "first_index", status->first_index);
  set_integer(L, "last_index", status->last_index);
  set_integer(L, "last_term", status->last_term);
  set_integer(L, "snapshot_index", status->snapshot_index);
  set_integer(L, "snapshot_term", status->snapshot_term);
  set_string(L, "not_ready", status->unready != NULL ? status->unready->text : NULL); /* nil when NULL */
}

static int world_status(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  struct sim_node_view view;
  sim_world_node(world, lua_sim_check_node(L, 2), &view);
  lua_createtable(L, 0, 24);
  set_boolean(L, "up", view.up);
  set_boolean(L, "paused", view.paused);
  set_boolean(L, "faulty", view.faulty);
  set_boolean(L, "failed", view.failed);
  set_boolean(L, "disk_full", view.disk_full);
  set_integer(L, "disk_bytes", view.disk_bytes);
  set_boolean(L, "proven", view.proven);
  if (!view.up) return 1;
  set_raft_status(L, &view.status);
  set_hint(L, &view.hint);
  set_peers(L, &view.status);
  set_integer(L, "keys", view.keys);
  set_integer(L, "clients", view.clients);
  char hex[HASH128_HEX_CHARS + 1];
  hash128_hex(view.state, hex);
  set_string(L, "state_digest", hex);
  return 1;
}

/* The same, in a word. */
static int world_state(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  enum sim_state state = sim_world_state(world, lua_sim_check_node(L, 2));
  static const char *const names[] = {"down", "up", "paused", "failed"}; /* as enum sim_state */
  lua_pushstring(L, names[state]);
  return 1;
}

/* Entries are copied out first: making tables may raise, and must not while the store is locked. */
static void copy_entry(void *context, const struct log_entry *entry) {
  log_entry_encode(context, entry->term, entry->command);
}

static int world_raft_log(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, LUA_MAXINTEGER);
  luaL_argcheck(L, from >= 1, 3, "expected a number from 1");
  luaL_argcheck(L, to >= 0, 4, "negative");
  struct buffer *copy = lua_buffer_push(L);
  sim_world_log(world, node, (uint64_t)from, (uint64_t)to, copy_entry, copy);
  lua_command_push_entries(L, buffer_view(copy), (uint64_t)from);
  return 1;
}

static void push_snapshots(lua_State *L, const struct raftnode_snapshot_counts *counts) {
  lua_createtable(L, 0, 5);
  set_integer(L, "taken", counts->taken);
  set_integer(L, "installed", counts->installed);
  set_integer(L, "sent", counts->sent);
  set_integer(L, "resumed", counts->resumed);
  set_integer(L, "cut", counts->cut);
}

static int world_stats(lua_State *L) {
  struct sim_stats stats;
  sim_world_stats(lua_sim_check(L), &stats);
  lua_createtable(L, 0, 12);
  set_integer(L, "nodes", sim_world_nodes_count(lua_sim_check(L)));
  set_integer(L, "events", stats.events);
  set_integer(L, "messages", stats.messages);
  set_integer(L, "commits", stats.commits);
  set_integer(L, "elections", stats.elections);
  set_integer(L, "leader_changes", stats.leader_changes);
  set_integer(L, "acked_writes", stats.acked_writes);
  set_integer(L, "async_writes", stats.async_writes);
  set_integer(L, "answered_reads", stats.answered_reads);
  set_integer(L, "operations", stats.operations);
  set_integer(L, "unanswered", stats.unanswered);
  push_snapshots(L, &stats.snapshots);
  lua_setfield(L, -2, "snapshots");
  lua_createtable(L, 0, SIM_FAULTS);
  for (int fault = 0; fault < SIM_FAULTS; fault++)
    set_integer(L, sim_fault_name((enum sim_fault)fault), stats.faults[fault]);
  lua_setfield(L, -2, "faults");
  return 1;
}

/* ---- random numbers for policies ---- */

static int make_prng(lua_State *L) {
  lua_Integer seed = luaL_checkinteger(L, 1);
  struct prng *prng = lua_newuserdatauv(L, sizeof *prng, 0);
  prng_init(prng, (uint64_t)seed);
  luaL_setmetatable(L, PRNG_TYPE);
  return 1;
}

static int prng_call(lua_State *L) {
  struct prng *prng = luaL_checkudata(L, 1, PRNG_TYPE);
  if (lua_isnoneornil(L, 2)) {
    lua_pushnumber(L, (lua_Number)(prng_next(prng) >> 11) / (lua_Number)(UINT64_C(1) << 53));
    return 1;
  }
  lua_Integer low = 1, high = luaL_checkinteger(L, 2);
  if (!lua_isnoneornil(L, 3)) {
    low = high;
    high = luaL_checkinteger(L, 3);
  }
  luaL_argcheck(L, low <= high && high - low < LUA_MAXINTEGER / 2, 2, "empty or too wide a range");
  lua_pushinteger(L, low + (lua_Integer)prng_below(prng, (uint64_t)(high - low) + 1));
  return 1;
}

/* ---- the module ---- */

static const luaL_Reg world_methods[] = {{"run", world_run},           {"now", world_now},
                                         {"stop_at", world_stop_at},   {"step", world_step},
                                         {"random", world_random},     {"violation", world_violation},
                                         {"digest", world_digest},     {"leader", world_leader},
                                         {"state", world_state},       {"status", world_status},
                                         {"raft_log", world_raft_log}, {"stats", world_stats},
                                         {"close", world_close},       {"__gc", world_close},
                                         {"__close", world_close},     {NULL, NULL}};

int luaopen_kvserver_sim(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"world", make_world}, {"prng", make_prng}, {"linear", lua_sim_linear}, {"walk", lua_sim_walk}, {NULL, NULL}};
  luaL_newmetatable(L, PRNG_TYPE);
  lua_pushcfunction(L, prng_call);
  lua_setfield(L, -2, "__call");
  luaL_newmetatable(L, LUA_SIM_WORLD_TYPE);
  luaL_setfuncs(L, world_methods, 0);
  lua_sim_add_faults(L);
  lua_sim_add_clients(L);
  lua_sim_add_manual(L);
  lua_sim_add_disks(L);
  lua_sim_add_trace(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
