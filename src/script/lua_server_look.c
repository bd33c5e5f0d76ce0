/* A look inside a server (kvserver.server), for those who run it.
 *
 *   node:raft() -> {voted_for =, last_term =, leader_silent_ms =, campaign_in_ms =, granted = {id, ...},
 *                   peers = {{id =, match_index =, next_index =, inflight =, last_contact_ms =}, ...}}
 *                                       of this moment; what it all means: struct raft_status in
 *                                       distributedkv/raft_node.h. Only a leader knows peers, only who campaigned knows
 *                                       who granted
 *   node:clients([prefix [, limit]]) -> {{client_id =, last_seq =, last_index =, reply =, deleted =}, ...}, more
 *                                       of the dedupe table, in the order of their ids' bytes, at most CLIENTS_MAX;
 *                                       `reply` is "ok" or an error's code; more: whether there are */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "script/lua_buffer.h"
#include "script/lua_server.h"

enum { CLIENTS_MAX = 1000 };

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void push_peers(lua_State *L, const struct raft_status *status) {
  lua_createtable(L, (int)status->peers_count, 0);
  for (uint32_t i = 0; i < status->peers_count; i++) {
    const struct raft_peer_status *peer = &status->peers[i];
    lua_createtable(L, 0, 5);
    set_string(L, "id", peer->id);
    set_integer(L, "match_index", peer->match_index);
    set_integer(L, "next_index", peer->next_index);
    set_integer(L, "inflight", peer->inflight);
    set_integer(L, "last_contact_ms", peer->last_contact_ms);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_granted(lua_State *L, const struct raft_status *status) {
  lua_createtable(L, (int)status->granted_count, 0);
  for (uint32_t i = 0; i < status->granted_count; i++) {
    lua_pushstring(L, status->granted[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int look_at_raft(lua_State *L) {
  struct raft_status status;
  struct leader_hint hint;
  server_status(lua_server_check(L), &status, &hint);
  lua_createtable(L, 0, 6);
  set_string(L, "voted_for", status.voted_for);
  set_integer(L, "last_term", status.last_term);
  set_integer(L, "leader_silent_ms", status.leader_silent_ms);
  set_integer(L, "campaign_in_ms", status.campaign_in_ms);
  push_granted(L, &status);
  lua_setfield(L, -2, "granted");
  push_peers(L, &status);
  lua_setfield(L, -2, "peers");
  return 1;
}

/* ---- clients: copied under the machine's lock, pushed without it ---- */

static void copy_client(void *context, const struct kvsm_client *client) {
  buffer_append(context, client, sizeof *client);
  buffer_append_bytes(context, client->client_id);
}

/* The client at the beginning of what is left of the copies, which it takes off. */
static struct kvsm_client take_client(struct bytes *copies) {
  struct kvsm_client client;
  memcpy(&client, copies->data, sizeof client);
  client.client_id.data = copies->data + sizeof client;
  size_t bytes = sizeof client + client.client_id.len;
  *copies = bytes_make(copies->data + bytes, copies->len - bytes);
  return client;
}

static void push_client(lua_State *L, const struct kvsm_client *client) {
  lua_createtable(L, 0, 5);
  lua_pushlstring(L, (const char *)client->client_id.data, client->client_id.len);
  lua_setfield(L, -2, "client_id");
  set_integer(L, "last_seq", client->last_seq);
  set_integer(L, "last_index", client->last_index);
  set_string(L, "reply", client->reply.ok ? "ok" : err_code_name(client->reply.err_code));
  if (client->reply.has_deleted) set_integer(L, "deleted", client->reply.deleted);
}

static int look_at_clients(lua_State *L) {
  struct server *server = lua_server_check(L);
  size_t len;
  const char *prefix = luaL_optlstring(L, 2, "", &len);
  lua_Integer limit = luaL_optinteger(L, 3, CLIENTS_MAX);
  luaL_argcheck(L, limit >= 1 && limit <= CLIENTS_MAX, 3, "expected a number from 1 to 1000");
  struct buffer *copies = lua_buffer_push(L);
  bool more = kvsm_clients(server_kvsm(server), bytes_make(prefix, len), (size_t)limit, copy_client, copies);
  struct bytes left = buffer_view(copies);
  lua_newtable(L);
  for (lua_Integer i = 1; left.len > 0; i++) {
    struct kvsm_client client = take_client(&left);
    push_client(L, &client);
    lua_rawseti(L, -2, i);
  }
  lua_pushboolean(L, more);
  return 2;
}

void lua_server_add_looks(lua_State *L) {
  static const luaL_Reg methods[] = {{"raft", look_at_raft}, {"clients", look_at_clients}, {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
