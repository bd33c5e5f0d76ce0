/* raft.cluster({{id =, host =, port =}, ...}, self_id)
 *   -> {members = {{id =, address =}, ...} sorted, self = number, identity = 16 hex digits, quorum =} | nil, message */
#include <lauxlib.h>
#include <stdio.h>

#include "cluster/cluster.h"
#include "script/lua_raft.h"

static void check_text(lua_State *L, int table, const char *field, char *out, size_t out_bytes) {
  lua_getfield(L, table, field);
  int length = snprintf(out, out_bytes, "%s", luaL_optstring(L, -1, ""));
  if (length < 0 || (size_t)length >= out_bytes) luaL_error(L, "%s: too long", field);
  lua_pop(L, 1);
}

static void check_member(lua_State *L, struct cluster_member *out) {
  luaL_checktype(L, -1, LUA_TTABLE);
  int table = lua_gettop(L);
  check_text(L, table, "id", out->id, sizeof out->id);
  check_text(L, table, "host", out->host, sizeof out->host);
  out->port = (uint16_t)lua_raft_integer(L, table, "port");
}

static void set_members(lua_State *L, const struct cluster *cluster) {
  lua_createtable(L, cluster->members_count, 0);
  for (uint8_t i = 0; i < cluster->members_count; i++) {
    char address[264];
    cluster_address(cluster, i, address, sizeof address);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, cluster->members[i].id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, address);
    lua_setfield(L, -2, "address");
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "members");
}

int lua_raft_cluster(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *self_id = luaL_checkstring(L, 2);
  size_t count = (size_t)luaL_len(L, 1);
  struct cluster_member *members = lua_newuserdatauv(L, (count + 1) * sizeof *members, 0);
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, 1, (lua_Integer)i + 1);
    check_member(L, &members[i]);
    lua_pop(L, 1);
  }
  struct cluster *cluster = lua_newuserdatauv(L, sizeof *cluster, 0);
  struct error err;
  if (cluster_init(cluster, members, count, self_id, &err) != STATUS_OK) {
    luaL_pushfail(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  char identity[17];
  snprintf(identity, sizeof identity, "%016llx", (unsigned long long)cluster->identity);
  lua_createtable(L, 0, 4);
  set_members(L, cluster);
  lua_raft_set_node(L, "self", cluster->self);
  lua_pushstring(L, identity);
  lua_setfield(L, -2, "identity");
  lua_raft_set_integer(L, "quorum", cluster_quorum(cluster));
  return 1;
}
