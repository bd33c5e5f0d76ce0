/* The faults of a server (kvserver.server) whose options say enable_faults = true; of any other, each raises.
 *
 *   node:fault_link(peer [, {cut =, delay_ms =, jitter_ms =, drop =, dup =, reorder =}])    what it sends to that peer:
 *                                       the whole state of the direction, what is absent is off; without a table, all
 *                                       is undone, what is held and what is to be dropped next included
 *   node:fault_drop_next(peer [, type [, count]])        "append", "vote_reply", ... or "any"; default 1; 0: none
 *   node:fault_hold(peer)  node:fault_release(peer)      keeps messages; lets them go, in order
 *   node:fault_disk{full =, slow_ms =, fail_sync =, torn_next =}         the whole state of its disk; {} undoes it
 *   node:fault_lose() -> true           the power of its disk goes: what is not synced is undone; close the node next
 *                        nil, status, why    not all of it could be undone
 *   node:faults() -> {links = {n2 = {cut =, ..., held =, waiting =, owed =, drop_next = {append = 1}}, ...},
 *                     counts = {dropped =, delayed =, duplicated =, overtaking =, held =},
 *                     disk = {full =, ..., lost =, unsynced =, refused_full =, slow_syncs =, failed_syncs =}}
 *                                       a node in memory has no disk
 *
 * Chances are numbers from 0 to 1, times milliseconds up to 60000. What they mean exactly: server/fault_transport.h and
 * server/fault_disk.h. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "script/lua_fault_disk.h"
#include "script/lua_raft.h"
#include "script/lua_result.h"
#include "script/lua_server.h"
#include "server/run.h"

static const char any_type[] = "any";

/* ---- arguments ---- */

static struct fault_transport *check_transport(lua_State *L) {
  struct fault_transport *faults = server_fault_transport(lua_server_check(L));
  if (faults == NULL) luaL_error(L, "faults are not enabled: the node was started without enable_faults");
  return faults;
}

static struct fault_disk *check_disk(lua_State *L) {
  (void)check_transport(L);
  struct fault_disk *disk = server_fault_disk(lua_server_check(L));
  if (disk == NULL) luaL_error(L, "the node is in memory: it has no disk that could fail");
  return disk;
}

static uint8_t check_peer(lua_State *L, const struct fault_transport *faults) {
  const struct cluster *cluster = fault_transport_cluster(faults);
  const char *id = luaL_checkstring(L, 2);
  uint8_t peer = cluster_find(cluster, id);
  if (peer == RAFT_NODE_NONE || peer == cluster->self)
    luaL_argerror(L, 2, lua_pushfstring(L, "expected another member of the cluster, got \"%s\"", id));
  return peer;
}

/* ---- the fields of a table: every one that is there must be known ---- */

static uint32_t read_chance(lua_State *L, const char *name) {
  int is_number;
  lua_Number value = lua_tonumberx(L, -1, &is_number);
  if (!is_number || !(value >= 0 && value <= 1)) luaL_error(L, "%s: expected a number from 0 to 1", name);
  return (uint32_t)(value * FAULT_MILLION + 0.5);
}

static void read_link_field(lua_State *L, const char *name, struct fault_link *link) {
  if (strcmp(name, "cut") == 0)
    link->cut = lua_fault_boolean(L, name);
  else if (strcmp(name, "delay_ms") == 0)
    link->delay_ms = lua_fault_ms(L, name, FAULT_DELAY_MS_MAX);
  else if (strcmp(name, "jitter_ms") == 0)
    link->jitter_ms = lua_fault_ms(L, name, FAULT_DELAY_MS_MAX);
  else if (strcmp(name, "drop") == 0)
    link->drop_ppm = read_chance(L, name);
  else if (strcmp(name, "dup") == 0)
    link->dup_ppm = read_chance(L, name);
  else if (strcmp(name, "reorder") == 0)
    link->reorder_ppm = read_chance(L, name);
  else
    luaL_error(L, "%s: expected cut, delay_ms, jitter_ms, drop, dup or reorder", name);
}

static struct fault_link check_link(lua_State *L, int table) {
  struct fault_link link = {.cut = false};
  luaL_checktype(L, table, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
    read_link_field(L, lua_fault_field(L), &link);
  return link;
}

/* ---- the network ---- */

static int fault_link(lua_State *L) {
  struct fault_transport *faults = check_transport(L);
  uint8_t peer = check_peer(L, faults);
  if (lua_isnoneornil(L, 3)) {
    fault_transport_link(faults, peer, NULL);
  } else {
    struct fault_link link = check_link(L, 3);
    fault_transport_link(faults, peer, &link);
  }
  return 0;
}

static unsigned check_kind(lua_State *L, int arg) {
  const char *name = luaL_optstring(L, arg, any_type);
  enum raft_message_type type = RAFT_APPEND;
  if (strcmp(name, any_type) == 0) return FAULT_TYPES;
  if (!lua_raft_type_of(name, &type)) luaL_argerror(L, arg, lua_pushfstring(L, "no message is called \"%s\"", name));
  return type;
}

static int fault_drop_next(lua_State *L) {
  struct fault_transport *faults = check_transport(L);
  uint8_t peer = check_peer(L, faults);
  unsigned kind = check_kind(L, 3);
  lua_Integer count = luaL_optinteger(L, 4, 1);
  luaL_argcheck(L, count >= 0 && count <= UINT32_MAX, 4, "out of range");
  fault_transport_drop_next(faults, peer, kind, (uint32_t)count);
  return 0;
}

static int fault_hold(lua_State *L) {
  struct fault_transport *faults = check_transport(L);
  fault_transport_hold(faults, check_peer(L, faults));
  return 0;
}

static int fault_release(lua_State *L) {
  struct fault_transport *faults = check_transport(L);
  fault_transport_release(faults, check_peer(L, faults));
  return 0;
}

/* ---- the disk ---- */

static int fault_disk(lua_State *L) {
  struct fault_disk *disk = check_disk(L);
  struct fault_disk_state state = lua_fault_disk_check(L, 2);
  fault_disk_set(disk, &state);
  return 0;
}

static int fault_lose(lua_State *L) {
  struct error err;
  enum status status = fault_disk_lose(check_disk(L), &err);
  return lua_push_result(L, status, &err);
}

/* ---- what can be seen ---- */

static void set_chance(lua_State *L, const char *field, uint32_t ppm) {
  lua_pushnumber(L, (lua_Number)ppm / FAULT_MILLION);
  lua_setfield(L, -2, field);
}

static void push_drop_next(lua_State *L, const struct fault_link_view *view) {
  lua_newtable(L);
  for (unsigned kind = 0; kind <= FAULT_TYPES; kind++) {
    const char *name = kind == FAULT_TYPES ? any_type : lua_raft_type_name((enum raft_message_type)kind);
    if (view->drop_next[kind] > 0) lua_raft_set_integer(L, name, view->drop_next[kind]);
  }
}

static void push_link(lua_State *L, const struct fault_link_view *view) {
  lua_createtable(L, 0, 10);
  lua_raft_set_boolean(L, "cut", view->link.cut);
  lua_raft_set_integer(L, "delay_ms", view->link.delay_ms);
  lua_raft_set_integer(L, "jitter_ms", view->link.jitter_ms);
  set_chance(L, "drop", view->link.drop_ppm);
  set_chance(L, "dup", view->link.dup_ppm);
  set_chance(L, "reorder", view->link.reorder_ppm);
  lua_raft_set_boolean(L, "held", view->held);
  lua_raft_set_integer(L, "waiting", view->waiting);
  lua_raft_set_integer(L, "owed", view->owed);
  push_drop_next(L, view);
  lua_setfield(L, -2, "drop_next");
}

static void push_links(lua_State *L, const struct fault_transport *faults) {
  const struct cluster *cluster = fault_transport_cluster(faults);
  lua_createtable(L, 0, cluster->members_count);
  for (uint8_t peer = 0; peer < cluster->members_count; peer++) {
    if (peer == cluster->self) continue;
    struct fault_link_view view;
    fault_transport_view(faults, peer, &view);
    push_link(L, &view);
    lua_setfield(L, -2, cluster->members[peer].id);
  }
}

static void push_counts(lua_State *L, struct fault_counts counts) {
  lua_createtable(L, 0, 5);
  lua_raft_set_integer(L, "dropped", counts.dropped);
  lua_raft_set_integer(L, "delayed", counts.delayed);
  lua_raft_set_integer(L, "duplicated", counts.duplicated);
  lua_raft_set_integer(L, "overtaking", counts.overtaking);
  lua_raft_set_integer(L, "held", counts.held);
}

static int faults_view(lua_State *L) {
  const struct fault_transport *faults = check_transport(L);
  struct fault_disk *disk = server_fault_disk(lua_server_check(L));
  lua_createtable(L, 0, 3);
  push_links(L, faults);
  lua_setfield(L, -2, "links");
  push_counts(L, fault_transport_counts(faults));
  lua_setfield(L, -2, "counts");
  if (disk == NULL) return 1;
  lua_fault_disk_push(L, disk);
  lua_setfield(L, -2, "disk");
  return 1;
}

void lua_server_add_faults(lua_State *L) {
  static const luaL_Reg methods[] = {{"fault_link", fault_link}, {"fault_drop_next", fault_drop_next},
                                     {"fault_hold", fault_hold}, {"fault_release", fault_release},
                                     {"fault_disk", fault_disk}, {"fault_lose", fault_lose},
                                     {"faults", faults_view},    {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
