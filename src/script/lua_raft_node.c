/* A whole Raft node in Lua: the real node over a memory storage and a state machine of its own; network, disk and time
 * are the script's.
 *
 *   local node <close> = raft.node{self = 1, nodes = 3, storage = | nil, now = 0, seed = 1, life = 1, heartbeat_ms =
 * 50, election_min_ms = 300, election_max_ms = 600, inflight_max = 8, message_bytes_max = 65536, fixed_leader = nil}
 * members are n1, n2, ... node:turn(now)   node:deadline()   node:set_now(now): the time of what comes before the next
 * turn node:receive(message [, token])    message.entries: encoded (raft.encode_entries); token: 1 .. 255, of a request
 *   node:sent() -> messages that left since the last call, an append's with entries and entries_count; an answer has
 * its token; {type = "nothing", token =} when there is nothing to answer node:synced() -> true when the oldest disk
 * work was there to be completed        node:peer_down(n) node:propose(command, deadline), node:read(deadline),
 * node:wait_applied(index, deadline) -> wait | nil, status node:outcome(wait) -> nil while it waits; status, index,
 * result | nil            node:cancel(wait) node:transfer(n) -> true | nil, status    node:status() -> {role =, ...,
 * core = {...}, leader_id =, leader_addr =} node:get(key) -> value | nil    node:applied() -> {{index =, term =}, ...}
 * since the last call node:failed()    node:close()
 *   snapshot_threshold = 0, snapshot_tail = 0, install_bytes = 65536; with a storage that holds a snapshot it starts
 * from that (raft_restart). node:work() -> true when the oldest work was there to be run; its end shows in the next
 * turn node:works() -> how many wait    node:create_snapshot() -> true | nil, status    node:counts() -> {taken =, ...}
 * node:installed() -> indices of the snapshots installed since the last call */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "raft/node.h"
#include "raft/restart.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "script/lua_raft.h"

#define NODE_TYPE "kvserver.raft.node"

enum { TOKENS = 256, FIRST_PORT = 7001 };

struct node_wait {
  struct raft_wait wait; /* first */
  bool waiting;
  enum status status;
  struct apply_result result;
  bool has_result;
};

struct sent_head {
  struct raft_message message;
  bool nothing; /* an answer without a message */
  size_t token; /* 0: none */
  size_t entries_bytes;
};

struct node_handle {
  struct raft_transport transport; /* first */
  struct raftnode *node;           /* NULL once closed */
  struct cluster cluster;
  struct kvsm *sm;
  struct lua_raft_storage *storage;
  struct buffer sent;      /* struct sent_head and entries, again and again */
  struct buffer applied;   /* struct log_entry without commands */
  struct buffer installed; /* uint64_t */
  struct buffer works;     /* struct raft_work *, oldest first */
  struct node_wait **waits;
  size_t waits_count;
  size_t waits_capacity;
  char tokens[TOKENS]; /* a token is an address in here */
  uint64_t now_ms;
};

static struct node_handle *check_node(lua_State *L) {
  struct node_handle *handle = luaL_checkudata(L, 1, NODE_TYPE);
  if (handle->node == NULL) luaL_error(L, "the node is closed");
  return handle;
}

static void submit_work(void *context, struct raft_work *work) {
  struct node_handle *handle = context;
  buffer_append(&handle->works, &work, sizeof work);
}

static uint8_t check_peer(lua_State *L, const struct node_handle *handle) {
  lua_Integer peer = luaL_checkinteger(L, 2);
  luaL_argcheck(L, peer >= 1 && peer <= handle->cluster.members_count, 2, "no such node");
  return (uint8_t)(peer - 1);
}

/* ---- the network's side ---- */

static void record(struct node_handle *handle, const struct raft_message *message, void *token, struct bytes entries) {
  struct sent_head head = {.nothing = message == NULL, .entries_bytes = entries.len};
  if (message != NULL) head.message = *message;
  if (token != NULL) head.token = (size_t)((char *)token - handle->tokens);
  buffer_append(&handle->sent, &head, sizeof head);
  buffer_append_bytes(&handle->sent, entries);
}

static void transport_send(struct raft_transport *transport, const struct raft_message *message, struct bytes entries) {
  record((struct node_handle *)(void *)transport, message, NULL, entries);
}

static void transport_reply(struct raft_transport *transport, void *token, const struct raft_message *message) {
  record((struct node_handle *)(void *)transport, message, token, bytes_make(NULL, 0));
}

static const struct raft_transport_ops transport_ops = {transport_send, transport_reply};

static void push_sent(lua_State *L, const struct sent_head *head, struct bytes entries) {
  if (head->nothing) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, "nothing");
    lua_setfield(L, -2, "type");
  } else {
    lua_raft_push_message(L, &head->message);
  }
  if (head->token != 0) lua_raft_set_integer(L, "token", head->token);
  if (head->nothing || (head->message.type != RAFT_APPEND && head->message.type != RAFT_INSTALL)) return;
  if (head->message.type == RAFT_APPEND)
    lua_raft_set_integer(L, "entries_count", head->message.as.append.entries_count);
  lua_pushlstring(L, (const char *)entries.data, entries.len);
  lua_setfield(L, -2, "entries");
}

static int node_sent(lua_State *L) {
  struct node_handle *handle = check_node(L);
  lua_newtable(L);
  size_t at = 0;
  for (lua_Integer i = 1; at < handle->sent.len; i++) {
    struct sent_head head;
    memcpy(&head, handle->sent.data + at, sizeof head);
    at += sizeof head;
    push_sent(L, &head, bytes_make(handle->sent.data + at, head.entries_bytes));
    at += head.entries_bytes;
    lua_rawseti(L, -2, i);
  }
  buffer_clear(&handle->sent);
  return 1;
}

static uint32_t count_entries(struct bytes encoded) {
  struct log_entry entry;
  uint32_t count = 0;
  while (log_entry_next(&encoded, &entry))
    count++;
  return count;
}

static int node_receive(lua_State *L) {
  struct node_handle *handle = check_node(L);
  struct raft_message message;
  lua_raft_check_message(L, 2, &message);
  bool stranger = message.from >= handle->cluster.members_count || message.from == handle->cluster.self;
  if (stranger) luaL_error(L, "from: expected another member");
  lua_Integer token = luaL_optinteger(L, 3, 0);
  luaL_argcheck(L, token >= 0 && token < TOKENS, 3, "expected a token from 1 to 255");
  size_t len = 0;
  lua_getfield(L, 2, "entries");
  const char *text = luaL_optlstring(L, -1, "", &len);
  struct bytes entries = bytes_make(text, len);
  if (message.type == RAFT_APPEND) {
    message.as.append.entries_count = (uint32_t)lua_raft_integer_or(L, 2, "entries_count", count_entries(entries));
  }
  raftnode_receive(handle->node, &message, entries, token == 0 ? NULL : &handle->tokens[token], handle->now_ms);
  return 0;
}

/* ---- entries ---- */

int lua_raft_encode_entries(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct buffer *encoded = lua_buffer_push(L);
  for (lua_Integer i = 1; i <= luaL_len(L, 1); i++) {
    lua_geti(L, 1, i);
    int table = lua_gettop(L);
    luaL_checktype(L, table, LUA_TTABLE);
    struct bytes bytes = bytes_make(NULL, 0);
    struct command command;
    if (lua_getfield(L, table, "command") != LUA_TNIL) bytes = lua_command_push(L, lua_gettop(L), &command);
    log_entry_encode(encoded, lua_raft_integer(L, table, "term"), bytes);
    lua_settop(L, table - 1);
  }
  lua_buffer_push_string(L, encoded);
  return 1;
}

int lua_raft_decode_entries(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct bytes encoded = bytes_make(text, len);
  struct log_entry entry;
  lua_newtable(L);
  for (lua_Integer i = 1; log_entry_next(&encoded, &entry); i++) {
    struct command command;
    lua_createtable(L, 0, 2);
    lua_raft_set_integer(L, "term", entry.term);
    if (entry.command.len > 0 && command_decode(entry.command, &command) == STATUS_OK) {
      lua_command_push_table(L, &command);
      lua_setfield(L, -2, "command");
    }
    lua_rawseti(L, -2, i);
  }
  return encoded.len == 0 ? 1 : 0;
}

/* ---- making one ---- */

static void on_applied(void *context, const struct log_entry *entry, const struct apply_result *result) {
  (void)result;
  struct node_handle *handle = context;
  buffer_append(&handle->applied, entry, sizeof *entry);
}

static void on_installed(void *context, struct snapshot_mark mark) {
  struct node_handle *handle = context;
  buffer_append(&handle->installed, &mark.index, sizeof mark.index);
}

static void make_cluster(lua_State *L, struct cluster *out) {
  uint64_t count = lua_raft_integer_or(L, 1, "nodes", 3);
  uint8_t self = lua_raft_node(L, 1, "self");
  if (count < 1 || count > RAFT_NODES_MAX || self >= count) luaL_error(L, "self: not a number from 1 to nodes");
  struct cluster_member *members = lua_newuserdatauv(L, RAFT_NODES_MAX * sizeof *members, 0);
  char self_id[16];
  snprintf(self_id, sizeof self_id, "n%x", (unsigned)self + 1); /* hexadecimal: sorts by number */
  for (unsigned i = 0; i < count; i++) {
    snprintf(members[i].id, sizeof members[i].id, "n%x", i + 1);
    snprintf(members[i].host, sizeof members[i].host, "127.0.0.1");
    members[i].port = (uint16_t)(FIRST_PORT + i);
  }
  CHECK(cluster_init(out, members, (size_t)count, self_id, NULL) == STATUS_OK);
  lua_pop(L, 1);
}

static struct raftnode_options check_options(lua_State *L, const struct cluster *cluster) {
  struct raftnode_options options = {
      .cluster = cluster,
      .fixed_leader = lua_raft_node(L, 1, "fixed_leader"),
      .heartbeat_ms = (uint32_t)lua_raft_integer_or(L, 1, "heartbeat_ms", 50),
      .election_min_ms = (uint32_t)lua_raft_integer_or(L, 1, "election_min_ms", 300),
      .election_max_ms = (uint32_t)lua_raft_integer_or(L, 1, "election_max_ms", 600),
      .inflight_max = (uint32_t)lua_raft_integer_or(L, 1, "inflight_max", 8),
      .message_bytes_max = lua_raft_integer_or(L, 1, "message_bytes_max", 65536),
      .seed = lua_raft_integer_or(L, 1, "seed", 1),
      .life = lua_raft_integer_or(L, 1, "life", 1),
      .snapshot_threshold = lua_raft_integer(L, 1, "snapshot_threshold"),
      .snapshot_tail = lua_raft_integer(L, 1, "snapshot_tail"),
      .install_bytes = (uint32_t)lua_raft_integer_or(L, 1, "install_bytes", 65536),
  };
  bool times = options.heartbeat_ms > 0 && options.election_min_ms > options.heartbeat_ms &&
               options.election_max_ms > options.election_min_ms;
  bool window = options.inflight_max >= 1 && options.inflight_max <= RAFT_INFLIGHT_MAX;
  if (!times || !window || options.life == 0 || options.install_bytes == 0)
    luaL_error(L, "no node can be made of these numbers");
  return options;
}

static struct lua_raft_storage *take_storage(lua_State *L) {
  lua_getfield(L, 1, "storage");
  struct lua_raft_storage *storage = lua_raft_test_storage(L, -1);
  if (storage == NULL && !lua_isnil(L, -1)) luaL_error(L, "storage: expected an open raft.storage");
  lua_pop(L, 1);
  if (storage == NULL) return lua_raft_storage_create();
  storage->users++;
  return storage;
}

int lua_raft_node_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct node_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  memset(handle, 0, sizeof *handle);
  luaL_setmetatable(L, NODE_TYPE);
  make_cluster(L, &handle->cluster);
  struct raftnode_options options = check_options(L, &handle->cluster);
  options.worker = (struct raft_worker){handle, submit_work};
  handle->transport.ops = &transport_ops;
  handle->now_ms = lua_raft_integer(L, 1, "now");
  handle->storage = take_storage(L);
  handle->sm = kvsm_create();
  struct raft_storage *base = mem_storage_base(handle->storage->memory);
  struct error err;
  if (raft_restart(base, handle->sm, &err) != STATUS_OK) return luaL_error(L, "%s", err.text);
  handle->node = raftnode_create(&options, base, &handle->transport, handle->sm, handle->now_ms);
  raftnode_on_applied(handle->node, on_applied, handle);
  raftnode_on_installed(handle->node, on_installed, handle);
  return 1;
}

static int node_close(lua_State *L) {
  struct node_handle *handle = luaL_checkudata(L, 1, NODE_TYPE);
  if (handle->node != NULL) raftnode_destroy(handle->node);
  if (handle->sm == NULL) return 0;
  handle->node = NULL;
  kvsm_destroy(handle->sm);
  handle->sm = NULL;
  lua_raft_storage_drop(handle->storage);
  buffer_deinit(&handle->sent);
  buffer_deinit(&handle->applied);
  buffer_deinit(&handle->installed);
  buffer_deinit(&handle->works);
  for (size_t i = 0; i < handle->waits_count; i++)
    free(handle->waits[i]);
  free(handle->waits);
  return 0;
}

/* ---- turns ---- */

static int node_set_now(lua_State *L) {
  struct node_handle *handle = check_node(L);
  lua_Integer now = luaL_checkinteger(L, 2);
  luaL_argcheck(L, now >= 0 && (uint64_t)now >= handle->now_ms, 2, "time does not go back");
  handle->now_ms = (uint64_t)now;
  return 0;
}

static int node_turn(lua_State *L) {
  struct node_handle *handle = check_node(L);
  node_set_now(L);
  raftnode_turn(handle->node, handle->now_ms);
  return 0;
}

static int node_deadline(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)raftnode_deadline_ms(check_node(L)->node));
  return 1;
}

static int node_synced(lua_State *L) {
  struct node_handle *handle = check_node(L);
  uint64_t number, last_index;
  bool completed = mem_storage_complete(handle->storage->memory, &number, &last_index);
  if (completed) raftnode_synced(handle->node, number, last_index, handle->now_ms);
  lua_pushboolean(L, completed);
  return 1;
}

static int node_peer_down(lua_State *L) {
  struct node_handle *handle = check_node(L);
  raftnode_peer_down(handle->node, check_peer(L, handle), handle->now_ms);
  return 0;
}

static int node_transfer(lua_State *L) {
  struct node_handle *handle = check_node(L);
  return lua_raft_push_status(L, raftnode_transfer(handle->node, check_peer(L, handle), handle->now_ms));
}

/* ---- waits ---- */

static void on_done(struct raft_wait *base, enum status status, const struct apply_result *result) {
  struct node_wait *wait = (struct node_wait *)(void *)base;
  CHECK(wait->waiting); /* exactly once */
  wait->waiting = false;
  wait->status = status;
  wait->has_result = result != NULL;
  if (result != NULL) wait->result = *result;
}

static uint64_t opt_deadline(lua_State *L, int arg) {
  return (uint64_t)luaL_optinteger(L, arg, LUA_MAXINTEGER);
}

static struct node_wait *new_wait(struct node_handle *handle, uint64_t deadline_ms) {
  struct node_wait *wait = xcalloc(1, sizeof *wait);
  wait->wait.deadline_ms = deadline_ms;
  wait->wait.done = on_done;
  wait->waiting = true;
  if (handle->waits_count == handle->waits_capacity) {
    handle->waits_capacity = 2 * handle->waits_capacity + 8;
    handle->waits = xrealloc(handle->waits, handle->waits_capacity * sizeof(handle->waits[0]));
  }
  handle->waits[handle->waits_count++] = wait;
  return wait;
}

static int push_wait(lua_State *L, struct node_handle *handle, enum status status) {
  if (status == STATUS_OK) {
    lua_pushinteger(L, (lua_Integer)handle->waits_count);
    return 1;
  }
  free(handle->waits[--handle->waits_count]);
  return lua_raft_push_status(L, status);
}

static int node_propose(lua_State *L) {
  struct node_handle *handle = check_node(L);
  uint64_t deadline_ms = opt_deadline(L, 3);
  struct command command;
  struct bytes encoded = lua_command_push(L, 2, &command);
  struct node_wait *wait = new_wait(handle, deadline_ms);
  struct raft_node *base = raftnode_base(handle->node);
  return push_wait(L, handle, base->ops->propose(base, encoded, &wait->wait));
}

static int node_read(lua_State *L) {
  struct node_handle *handle = check_node(L);
  struct node_wait *wait = new_wait(handle, opt_deadline(L, 2));
  struct raft_node *base = raftnode_base(handle->node);
  return push_wait(L, handle, base->ops->read_index(base, &wait->wait));
}

static int node_wait_applied(lua_State *L) {
  struct node_handle *handle = check_node(L);
  lua_Integer index = luaL_checkinteger(L, 2);
  struct node_wait *wait = new_wait(handle, opt_deadline(L, 3));
  wait->wait.index = (uint64_t)index;
  struct raft_node *base = raftnode_base(handle->node);
  return push_wait(L, handle, base->ops->wait_applied(base, &wait->wait));
}

static struct node_wait *check_wait(lua_State *L, const struct node_handle *handle) {
  lua_Integer number = luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 1 && (size_t)number <= handle->waits_count, 2, "no such wait");
  return handle->waits[number - 1];
}

static int node_cancel(lua_State *L) {
  struct node_handle *handle = check_node(L);
  struct node_wait *wait = check_wait(L, handle);
  luaL_argcheck(L, wait->waiting, 2, "it is done");
  struct raft_node *base = raftnode_base(handle->node);
  base->ops->cancel(base, &wait->wait);
  wait->waiting = false;
  wait->status = STATUS_CLOSED;
  return 0;
}

static int node_outcome(lua_State *L) {
  const struct node_wait *wait = check_wait(L, check_node(L));
  if (wait->waiting) return 0;
  lua_pushstring(L, status_name(wait->status));
  lua_pushinteger(L, (lua_Integer)wait->wait.index);
  if (!wait->has_result) return 2;
  lua_createtable(L, 0, 3);
  lua_raft_set_boolean(L, "ok", wait->result.ok);
  if (wait->result.has_deleted) lua_raft_set_integer(L, "deleted", wait->result.deleted);
  if (wait->result.err_code != ERR_NONE) {
    lua_pushstring(L, err_code_name(wait->result.err_code));
    lua_setfield(L, -2, "err_code");
  }
  return 3;
}

/* ---- what one may see ---- */

static void set_string(lua_State *L, const char *field, const char *text) {
  lua_pushstring(L, text); /* nil when NULL */
  lua_setfield(L, -2, field);
}

static void set_peers(lua_State *L, const struct raft_status *status) {
  lua_createtable(L, 0, (int)status->peers_count);
  for (uint32_t i = 0; i < status->peers_count; i++) {
    const struct raft_peer_status *peer = &status->peers[i];
    lua_createtable(L, 0, 4);
    lua_raft_set_integer(L, "match_index", peer->match_index);
    lua_raft_set_integer(L, "next_index", peer->next_index);
    lua_raft_set_integer(L, "inflight", peer->inflight);
    lua_raft_set_integer(L, "last_contact_ms", peer->last_contact_ms);
    lua_setfield(L, -2, peer->id);
  }
  lua_setfield(L, -2, "peers");
}

static int node_status(lua_State *L) {
  struct node_handle *handle = check_node(L);
  struct raft_node *base = raftnode_base(handle->node);
  struct raft_status status;
  struct leader_hint hint;
  base->ops->status(base, &status);
  base->ops->leader_hint(base, &hint);
  lua_createtable(L, 0, 16);
  set_string(L, "role", status.role);
  set_string(L, "voted_for", status.voted_for);
  set_string(L, "not_ready", status.unready != NULL ? status.unready->text : NULL);
  set_string(L, "leader_id", hint.leader_id);
  set_string(L, "leader_addr", hint.leader_addr);
  lua_raft_set_integer(L, "behind", status.behind);
  lua_raft_set_integer(L, "term", status.term);
  lua_raft_set_integer(L, "commit_index", status.commit_index);
  lua_raft_set_integer(L, "last_applied", status.last_applied);
  lua_raft_set_integer(L, "first_index", status.first_index);
  lua_raft_set_integer(L, "last_index", status.last_index);
  lua_raft_set_integer(L, "last_term", status.last_term);
  lua_raft_set_integer(L, "snapshot_index", status.snapshot_index);
  lua_raft_set_integer(L, "snapshot_term", status.snapshot_term);
  set_peers(L, &status);
  lua_raft_push_core(L, raftnode_core(handle->node));
  lua_setfield(L, -2, "core");
  return 1;
}

static int node_get(lua_State *L) {
  struct node_handle *handle = check_node(L);
  size_t len;
  const char *key = luaL_checklstring(L, 2, &len);
  struct buffer *value = lua_buffer_push(L);
  if (!kvsm_get(handle->sm, bytes_make(key, len), value)) return 0;
  lua_buffer_push_string(L, value);
  return 1;
}

static int node_applied(lua_State *L) {
  struct node_handle *handle = check_node(L);
  lua_newtable(L);
  for (size_t i = 0; i < handle->applied.len / sizeof(struct log_entry); i++) {
    struct log_entry entry;
    memcpy(&entry, handle->applied.data + i * sizeof entry, sizeof entry);
    lua_createtable(L, 0, 2);
    lua_raft_set_integer(L, "index", entry.index);
    lua_raft_set_integer(L, "term", entry.term);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  buffer_clear(&handle->applied);
  return 1;
}

static int node_failed(lua_State *L) {
  lua_pushboolean(L, raftnode_failed(check_node(L)->node));
  return 1;
}

/* ---- snapshots ---- */

static int node_works(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)(check_node(L)->works.len / sizeof(struct raft_work *)));
  return 1;
}

static int node_work(lua_State *L) {
  struct node_handle *handle = check_node(L);
  struct raft_work *work;
  lua_pushboolean(L, handle->works.len > 0);
  if (handle->works.len == 0) return 1;
  memcpy(&work, handle->works.data, sizeof work);
  buffer_consume(&handle->works, sizeof work);
  work->run(work);
  raftnode_work_done(handle->node, work);
  return 1;
}

static int node_create_snapshot(lua_State *L) {
  struct node_handle *handle = check_node(L);
  return lua_raft_push_status(L, raftnode_create_snapshot(handle->node, handle->now_ms));
}

static int node_counts(lua_State *L) {
  struct raftnode_snapshot_counts counts;
  raftnode_snapshot_counts(check_node(L)->node, &counts);
  lua_createtable(L, 0, 5);
  lua_raft_set_integer(L, "taken", counts.taken);
  lua_raft_set_integer(L, "installed", counts.installed);
  lua_raft_set_integer(L, "sent", counts.sent);
  lua_raft_set_integer(L, "resumed", counts.resumed);
  lua_raft_set_integer(L, "cut", counts.cut);
  return 1;
}

static int node_installed(lua_State *L) {
  struct node_handle *handle = check_node(L);
  lua_newtable(L);
  for (size_t i = 0; i < handle->installed.len / sizeof(uint64_t); i++) {
    uint64_t index;
    memcpy(&index, handle->installed.data + i * sizeof index, sizeof index);
    lua_pushinteger(L, (lua_Integer)index);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  buffer_clear(&handle->installed);
  return 1;
}

static const luaL_Reg node_methods[] = {{"works", node_works},
                                        {"work", node_work},
                                        {"create_snapshot", node_create_snapshot},
                                        {"counts", node_counts},
                                        {"installed", node_installed},
                                        {"turn", node_turn},
                                        {"deadline", node_deadline},
                                        {"set_now", node_set_now},
                                        {"receive", node_receive},
                                        {"sent", node_sent},
                                        {"synced", node_synced},
                                        {"peer_down", node_peer_down},
                                        {"transfer", node_transfer},
                                        {"propose", node_propose},
                                        {"read", node_read},
                                        {"wait_applied", node_wait_applied},
                                        {"cancel", node_cancel},
                                        {"outcome", node_outcome},
                                        {"status", node_status},
                                        {"get", node_get},
                                        {"applied", node_applied},
                                        {"failed", node_failed},
                                        {"close", node_close},
                                        {"__gc", node_close},
                                        {"__close", node_close},
                                        {NULL, NULL}};

void lua_raft_register_node(lua_State *L) {
  luaL_newmetatable(L, NODE_TYPE);
  luaL_setfuncs(L, node_methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
