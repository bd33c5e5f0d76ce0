/* Raft's values as Lua tables, and back. A message is one flat table: type, from, to, term, life, and the fields of its
 * type as raft/core/message.h names them. */
#include <lauxlib.h>
#include <string.h>

#include "script/lua_raft.h"

/* ---- fields ---- */

void lua_raft_set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

void lua_raft_set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

void lua_raft_set_node(lua_State *L, const char *field, uint8_t node) {
  if (node == RAFT_NODE_NONE) return;
  lua_pushinteger(L, node + 1);
  lua_setfield(L, -2, field);
}

uint64_t lua_raft_integer_or(lua_State *L, int table, const char *field, uint64_t otherwise) {
  uint64_t value = otherwise;
  if (lua_getfield(L, table, field) != LUA_TNIL) {
    int is_integer;
    value = (uint64_t)lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) luaL_error(L, "%s: expected an integer, got %s", field, luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return value;
}

uint64_t lua_raft_integer(lua_State *L, int table, const char *field) {
  return lua_raft_integer_or(L, table, field, 0);
}

bool lua_raft_boolean(lua_State *L, int table, const char *field) {
  lua_getfield(L, table, field);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

uint8_t lua_raft_node(lua_State *L, int table, const char *field) {
  uint64_t number = lua_raft_integer(L, table, field);
  if (number == 0) return RAFT_NODE_NONE;
  if (number > RAFT_NODES_MAX) luaL_error(L, "%s: no such node", field);
  return (uint8_t)(number - 1);
}

/* ---- messages ---- */

static const char *const type_names[] = {[RAFT_APPEND] = "append",
                                         [RAFT_APPEND_REPLY] = "append_reply",
                                         [RAFT_VOTE] = "vote",
                                         [RAFT_VOTE_REPLY] = "vote_reply",
                                         [RAFT_TIMEOUT_NOW] = "timeout_now",
                                         [RAFT_READ] = "read",
                                         [RAFT_READ_REPLY] = "read_reply",
                                         [RAFT_INSTALL] = "install",
                                         [RAFT_INSTALL_REPLY] = "install_reply",
                                         NULL};

static void push_append(lua_State *L, const struct raft_append *append) {
  lua_raft_set_integer(L, "prev_index", append->prev_index);
  lua_raft_set_integer(L, "prev_term", append->prev_term);
  lua_raft_set_integer(L, "commit_index", append->commit_index);
  lua_raft_set_integer(L, "to_life", append->to_life);
  lua_raft_set_integer(L, "round", append->round);
}

static void push_append_reply(lua_State *L, const struct raft_append_reply *reply) {
  lua_raft_set_boolean(L, "success", reply->success);
  lua_raft_set_boolean(L, "proven", reply->proven);
  lua_raft_set_integer(L, "match_index", reply->match_index);
  lua_raft_set_integer(L, "prev_index", reply->prev_index);
  lua_raft_set_integer(L, "conflict_index", reply->conflict_index);
  lua_raft_set_integer(L, "conflict_term", reply->conflict_term);
  lua_raft_set_integer(L, "round", reply->round);
  lua_raft_set_boolean(L, "disk_full", reply->disk_full);
}

static void push_vote(lua_State *L, const struct raft_vote *vote) {
  lua_raft_set_boolean(L, "pre", vote->pre);
  lua_raft_set_boolean(L, "transfer", vote->transfer);
  lua_raft_set_integer(L, "last_index", vote->last_index);
  lua_raft_set_integer(L, "last_term", vote->last_term);
}

static void push_vote_reply(lua_State *L, const struct raft_vote_reply *reply) {
  lua_raft_set_boolean(L, "pre", reply->pre);
  lua_raft_set_boolean(L, "granted", reply->granted);
  lua_raft_set_boolean(L, "proven", reply->proven);
  lua_raft_set_integer(L, "vote_term", reply->vote_term);
}

static void push_install(lua_State *L, const struct raft_install *install) {
  lua_raft_set_integer(L, "index", install->index);
  lua_raft_set_integer(L, "snapshot_term", install->term);
  lua_raft_set_integer(L, "offset", install->offset);
  lua_raft_set_boolean(L, "done", install->done);
}

static void push_install_reply(lua_State *L, const struct raft_install_reply *reply) {
  lua_raft_set_integer(L, "index", reply->index);
  lua_raft_set_integer(L, "snapshot_term", reply->term);
  lua_raft_set_integer(L, "offset", reply->offset);
  lua_raft_set_boolean(L, "done", reply->done);
}

static void push_read_reply(lua_State *L, const struct raft_read_reply *reply) {
  lua_raft_set_integer(L, "id", reply->id);
  lua_raft_set_integer(L, "to_life", reply->to_life);
  lua_raft_set_boolean(L, "ok", reply->ok);
  lua_raft_set_integer(L, "index", reply->index);
}

void lua_raft_push_message(lua_State *L, const struct raft_message *message) {
  lua_createtable(L, 0, 12);
  lua_pushstring(L, type_names[message->type]);
  lua_setfield(L, -2, "type");
  lua_raft_set_node(L, "from", message->from);
  lua_raft_set_node(L, "to", message->to);
  lua_raft_set_integer(L, "term", message->term);
  lua_raft_set_integer(L, "life", message->life);
  lua_raft_set_integer(L, "after_sync", message->after_sync);
  switch (message->type) {
  case RAFT_APPEND:
    push_append(L, &message->as.append);
    break;
  case RAFT_APPEND_REPLY:
    push_append_reply(L, &message->as.append_reply);
    break;
  case RAFT_VOTE:
    push_vote(L, &message->as.vote);
    break;
  case RAFT_VOTE_REPLY:
    push_vote_reply(L, &message->as.vote_reply);
    break;
  case RAFT_READ:
    lua_raft_set_integer(L, "id", message->as.read.id);
    break;
  case RAFT_READ_REPLY:
    push_read_reply(L, &message->as.read_reply);
    break;
  case RAFT_INSTALL:
    push_install(L, &message->as.install);
    break;
  case RAFT_INSTALL_REPLY:
    push_install_reply(L, &message->as.install_reply);
    break;
  case RAFT_TIMEOUT_NOW:
    break;
  }
}

const char *lua_raft_type_name(enum raft_message_type type) {
  return type_names[type];
}

bool lua_raft_type_of(const char *name, enum raft_message_type *type) {
  for (int i = 0; type_names[i] != NULL; i++) {
    if (strcmp(name, type_names[i]) != 0) continue;
    *type = (enum raft_message_type)i;
    return true;
  }
  return false;
}

static enum raft_message_type check_type(lua_State *L, int table) {
  lua_getfield(L, table, "type");
  const char *name = lua_tostring(L, -1);
  enum raft_message_type type = RAFT_APPEND;
  if (name == NULL || !lua_raft_type_of(name, &type))
    luaL_error(L, "type: no message is called \"%s\"", name != NULL ? name : luaL_typename(L, -1));
  lua_pop(L, 1);
  return type;
}

static void check_append_reply(lua_State *L, int table, struct raft_append_reply *out) {
  *out = (struct raft_append_reply){.success = lua_raft_boolean(L, table, "success"),
                                    .proven = lua_raft_boolean(L, table, "proven"),
                                    .match_index = lua_raft_integer(L, table, "match_index"),
                                    .prev_index = lua_raft_integer(L, table, "prev_index"),
                                    .conflict_index = lua_raft_integer(L, table, "conflict_index"),
                                    .conflict_term = lua_raft_integer(L, table, "conflict_term"),
                                    .round = lua_raft_integer(L, table, "round"),
                                    .disk_full = lua_raft_boolean(L, table, "disk_full")};
}

static void check_body(lua_State *L, int table, struct raft_message *out) {
  switch (out->type) {
  case RAFT_APPEND:
    out->as.append = (struct raft_append){.prev_index = lua_raft_integer(L, table, "prev_index"),
                                          .prev_term = lua_raft_integer(L, table, "prev_term"),
                                          .commit_index = lua_raft_integer(L, table, "commit_index"),
                                          .to_life = lua_raft_integer(L, table, "to_life"),
                                          .round = lua_raft_integer(L, table, "round")};
    break;
  case RAFT_APPEND_REPLY:
    check_append_reply(L, table, &out->as.append_reply);
    break;
  case RAFT_VOTE:
    out->as.vote =
        (struct raft_vote){lua_raft_boolean(L, table, "pre"), lua_raft_boolean(L, table, "transfer"),
                           lua_raft_integer(L, table, "last_index"), lua_raft_integer(L, table, "last_term")};
    break;
  case RAFT_VOTE_REPLY:
    out->as.vote_reply = (struct raft_vote_reply){.pre = lua_raft_boolean(L, table, "pre"),
                                                  .granted = lua_raft_boolean(L, table, "granted"),
                                                  .proven = lua_raft_boolean(L, table, "proven"),
                                                  .vote_term = lua_raft_integer(L, table, "vote_term")};
    break;
  case RAFT_READ:
    out->as.read.id = lua_raft_integer(L, table, "id");
    break;
  case RAFT_READ_REPLY:
    out->as.read_reply =
        (struct raft_read_reply){lua_raft_integer(L, table, "id"), lua_raft_integer(L, table, "to_life"),
                                 lua_raft_boolean(L, table, "ok"), lua_raft_integer(L, table, "index")};
    break;
  case RAFT_INSTALL:
    out->as.install =
        (struct raft_install){lua_raft_integer(L, table, "index"), lua_raft_integer(L, table, "snapshot_term"),
                              lua_raft_integer(L, table, "offset"), lua_raft_boolean(L, table, "done")};
    break;
  case RAFT_INSTALL_REPLY:
    out->as.install_reply =
        (struct raft_install_reply){lua_raft_integer(L, table, "index"), lua_raft_integer(L, table, "snapshot_term"),
                                    lua_raft_integer(L, table, "offset"), lua_raft_boolean(L, table, "done")};
    break;
  case RAFT_TIMEOUT_NOW:
    break;
  }
}

void lua_raft_check_message(lua_State *L, int table, struct raft_message *out) {
  luaL_checktype(L, table, LUA_TTABLE);
  memset(out, 0, sizeof *out);
  out->type = check_type(L, table);
  out->from = lua_raft_node(L, table, "from");
  out->to = lua_raft_node(L, table, "to");
  out->term = lua_raft_integer(L, table, "term");
  out->life = lua_raft_integer(L, table, "life");
  check_body(L, table, out);
}

/* ---- hard state, status ---- */

void lua_raft_push_hard_state(lua_State *L, const struct raft_hard_state *state) {
  lua_createtable(L, 0, 3);
  lua_raft_set_integer(L, "term", state->term);
  lua_raft_set_node(L, "voted_for", state->voted_for);
  lua_raft_set_boolean(L, "proven", state->proven);
}

struct raft_hard_state lua_raft_check_hard_state(lua_State *L, int table) {
  return (struct raft_hard_state){lua_raft_integer(L, table, "term"), lua_raft_node(L, table, "voted_for"),
                                  lua_raft_boolean(L, table, "proven")};
}

int lua_raft_push_status(lua_State *L, enum status status) {
  if (status == STATUS_OK) {
    lua_pushboolean(L, true);
    return 1;
  }
  luaL_pushfail(L);
  lua_pushstring(L, status_name(status));
  return 2;
}

/* ---- a core's state ---- */

static void push_peer(lua_State *L, const struct raft_peer *peer) {
  lua_createtable(L, 0, 8);
  static const char *const states[] = {
      [RAFT_PEER_PROBE] = "probe", [RAFT_PEER_REPLICATE] = "replicate", [RAFT_PEER_SNAPSHOT] = "snapshot"};
  lua_pushstring(L, states[peer->state]);
  lua_setfield(L, -2, "state");
  lua_raft_set_integer(L, "match_index", peer->match_index);
  lua_raft_set_integer(L, "next_index", peer->next_index);
  lua_raft_set_integer(L, "acked_round", peer->acked_round);
  lua_raft_set_integer(L, "inflight", peer->inflight_count);
  lua_raft_set_integer(L, "life", peer->life);
  lua_raft_set_integer(L, "contact", peer->contact_ms);
  lua_raft_set_boolean(L, "disk_full", peer->disk_full);
}

static void push_peers(lua_State *L, const struct raft *raft) {
  lua_createtable(L, raft->config.nodes_count, 0);
  for (uint8_t i = 0; i < raft->config.nodes_count; i++) {
    push_peer(L, &raft->peers[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

void lua_raft_push_core(lua_State *L, const struct raft *raft) {
  bool pre = raft->role == RAFT_PRE_CANDIDATE;
  lua_raft_push_hard_state(L, &raft->hard_state);
  lua_pushstring(L, pre ? "pre-candidate" : raft_role_name(raft->role));
  lua_setfield(L, -2, "role");
  lua_raft_set_node(L, "leader", raft->leader);
  lua_raft_set_node(L, "transfer_to", raft->transfer_to);
  lua_raft_set_integer(L, "life", raft->life);
  lua_raft_set_integer(L, "last_index", raft->last_index);
  lua_raft_set_integer(L, "last_term", raft->last_term);
  lua_raft_set_integer(L, "commit_index", raft->commit_index);
  lua_raft_set_integer(L, "verified_index", raft->verified_index);
  lua_raft_set_integer(L, "synced", raft->synced);
  lua_raft_set_integer(L, "durable_index", raft->durable_index);
  lua_raft_set_integer(L, "term_first_index", raft->term_first_index);
  lua_raft_set_integer(L, "round", raft->round);
  lua_raft_set_integer(L, "confirmed_round", raft->confirmed_round);
  lua_raft_set_integer(L, "now", raft->now_ms);
  lua_raft_set_boolean(L, "disk_full", raft->disk_full);
  lua_raft_set_boolean(L, "has_room", raft_has_room(raft));
  push_peers(L, raft);
  lua_setfield(L, -2, "peers");
}
