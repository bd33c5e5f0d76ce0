/* fake_node: a RaftNode that a spec plays.
 *
 *   local fake = require("fake_node").create()
 *   local node = server.start({listen = "127.0.0.1:0"}, fake:pointer())   -- close it before the fake
 *   fake:set_hint("n2", "127.0.0.1:7002")
 *   fake:refuse("not_leader")                     -- what propose answers from now on; fake:refuse() accepts again
 *   fake:refuse_reads("no_leader")                -- the same for read_index and wait_applied
 *   ... a client sends a PUT ...
 *   fake:held()                                   -- {{op = "put", key = ..., value = ..., deadline_ms = ...}, ...}
 *   fake:complete(1, "ok", {index = 7, ok = true})
 *   fake:complete(1, "timeout")
 *   fake:apply(node, 7, {op = "put", key = "k", value = "v"})   -- to the state of the node's
 *
 * Proposals are held, in their order, until `complete` ends one (1 is the oldest). Reads end with STATUS_OK at the end
 * of their turn, or are held too after fake:hold_reads(true) and ended by `complete_read`. A cancelled wait disappears
 * and is counted. All on the loop's thread. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/check.h"
#include "distributedkv/raft_node.h"
#include "io/loop.h"
#include "script/lua_command.h"
#include "script/lua_server.h"
#include "script/pending.h"

static const char type_name[] = "fake_node";

int luaopen_fake_node(lua_State *L);

struct held {
  struct list link;
  struct raft_wait *wait;
  const char *kind; /* "propose", "read_index", "wait_applied" */
  struct buffer command;
};

struct fake {
  struct raft_node base; /* first */
  struct io_loop *loop;
  struct io_hook hook;
  struct list writes; /* struct held */
  struct list reads;  /* struct held */
  enum status admission;
  enum status reads_admission;
  bool hold_reads;
  lua_Integer cancelled;
  struct leader_hint hint;
  struct raft_status status;
  char role[32];
  char not_ready[128];
  struct raft_unready unready;
};

static const enum status statuses[] = {STATUS_OK,        STATUS_INVALID,    STATUS_TOO_LARGE, STATUS_NOT_LEADER,
                                       STATUS_NO_LEADER, STATUS_OVERLOADED, STATUS_TIMEOUT,   STATUS_DISK_FULL,
                                       STATUS_IO,        STATUS_CLOSED};

static enum status check_status(lua_State *L, int index) {
  const char *name = luaL_optstring(L, index, "ok");
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
    if (strcmp(status_name(statuses[i]), name) == 0) return statuses[i];
  return (enum status)luaL_argerror(L, index, "expected the name of a status");
}

/* ---- the node ---- */

static struct fake *fake_of(struct raft_node *node) {
  return (struct fake *)(void *)node;
}

static void hold(struct list *list, struct raft_wait *wait, const char *kind, struct bytes command) {
  struct held *held = xcalloc(1, sizeof *held);
  held->wait = wait;
  held->kind = kind;
  buffer_init(&held->command);
  buffer_append_bytes(&held->command, command);
  list_push_back(list, &held->link);
}

static void held_free(struct held *held) {
  list_remove(&held->link);
  buffer_deinit(&held->command);
  free(held);
}

static enum status fake_propose(struct raft_node *node, struct bytes command, struct raft_wait *wait) {
  struct fake *fake = fake_of(node);
  if (fake->admission == STATUS_OK) hold(&fake->writes, wait, "propose", command);
  return fake->admission;
}

static enum status take_read(struct fake *fake, struct raft_wait *wait, const char *kind) {
  if (fake->reads_admission == STATUS_OK) hold(&fake->reads, wait, kind, bytes_make(NULL, 0));
  return fake->reads_admission;
}

static enum status fake_read_index(struct raft_node *node, struct raft_wait *wait) {
  return take_read(fake_of(node), wait, "read_index");
}

static enum status fake_wait_applied(struct raft_node *node, struct raft_wait *wait) {
  return take_read(fake_of(node), wait, "wait_applied");
}

static bool forget(struct list *list, const struct raft_wait *wait) {
  for (struct list *link = list->next; link != list; link = link->next) {
    struct held *held = (struct held *)(void *)link;
    if (held->wait != wait) continue;
    held_free(held);
    return true;
  }
  return false;
}

static void fake_cancel(struct raft_node *node, struct raft_wait *wait) {
  struct fake *fake = fake_of(node);
  if (forget(&fake->writes, wait) || forget(&fake->reads, wait)) fake->cancelled++;
}

static bool fake_is_leader(struct raft_node *node) {
  return strcmp(fake_of(node)->role, "leader") == 0;
}

static void fake_leader_hint(struct raft_node *node, struct leader_hint *out) {
  *out = fake_of(node)->hint;
}

static void fake_status(struct raft_node *node, struct raft_status *out) {
  const struct fake *fake = fake_of(node);
  *out = fake->status;
  out->role = fake->role;
  out->unready = fake->not_ready[0] == '\0' ? NULL : &fake->unready;
}

static const struct raft_node_ops fake_ops = {.propose = fake_propose,
                                              .read_index = fake_read_index,
                                              .wait_applied = fake_wait_applied,
                                              .cancel = fake_cancel,
                                              .is_leader = fake_is_leader,
                                              .leader_hint = fake_leader_hint,
                                              .status = fake_status};

static void end_read(struct held *held, enum status status) {
  struct raft_wait *wait = held->wait;
  held_free(held);
  wait->done(wait, status, NULL);
}

static void on_turn_end(struct io_hook *hook) {
  struct fake *fake = (struct fake *)(void *)((char *)hook - offsetof(struct fake, hook));
  while (!fake->hold_reads && !list_empty(&fake->reads))
    end_read((struct held *)(void *)fake->reads.next, STATUS_OK);
}

/* ---- Lua ---- */

static struct fake *check_fake(lua_State *L) {
  return luaL_checkudata(L, 1, type_name);
}

static int create(lua_State *L) {
  struct fake *fake = lua_newuserdatauv(L, sizeof *fake, 0);
  memset(fake, 0, sizeof *fake);
  fake->base.ops = &fake_ops;
  fake->loop = script_loop(L);
  list_init(&fake->writes);
  list_init(&fake->reads);
  memcpy(fake->role, "leader", sizeof "leader");
  fake->hook.run = on_turn_end;
  io_hook_add(fake->loop, &fake->hook);
  luaL_setmetatable(L, type_name);
  return 1;
}

static int destroy(lua_State *L) {
  struct fake *fake = check_fake(L);
  while (!list_empty(&fake->writes))
    held_free((struct held *)(void *)fake->writes.next);
  while (!list_empty(&fake->reads))
    held_free((struct held *)(void *)fake->reads.next);
  io_hook_remove(&fake->hook);
  return 0;
}

static int pointer(lua_State *L) {
  lua_pushlightuserdata(L, check_fake(L));
  return 1;
}

static int refuse(lua_State *L) {
  check_fake(L)->admission = check_status(L, 2);
  return 0;
}

static int refuse_reads(lua_State *L) {
  check_fake(L)->reads_admission = check_status(L, 2);
  return 0;
}

static int hold_reads(lua_State *L) {
  check_fake(L)->hold_reads = lua_toboolean(L, 2);
  return 0;
}

static void copy_text(lua_State *L, int index, char *out, size_t out_bytes) {
  size_t len;
  const char *text = luaL_optlstring(L, index, "", &len);
  luaL_argcheck(L, len < out_bytes, index, "too long");
  memcpy(out, text, len + 1);
}

/* set_hint(leader_id, leader_addr): without arguments no leader is known. */
static int set_hint(lua_State *L) {
  struct fake *fake = check_fake(L);
  copy_text(L, 2, fake->hint.leader_id, sizeof fake->hint.leader_id);
  copy_text(L, 3, fake->hint.leader_addr, sizeof fake->hint.leader_addr);
  return 0;
}

/* set_role(role, term) */
static int set_role(lua_State *L) {
  struct fake *fake = check_fake(L);
  copy_text(L, 2, fake->role, sizeof fake->role);
  fake->status.term = (uint64_t)luaL_optinteger(L, 3, 0);
  return 0;
}

/* set_last_index(index): the end of its log, as its status has it. */
static int set_last_index(lua_State *L) {
  check_fake(L)->status.last_index = (uint64_t)luaL_checkinteger(L, 2);
  return 0;
}

/* set_not_ready(text [, behind]): without an argument it is ready. */
static int set_not_ready(lua_State *L) {
  struct fake *fake = check_fake(L);
  copy_text(L, 2, fake->not_ready, sizeof fake->not_ready);
  fake->unready = (struct raft_unready){"of_the_spec", fake->not_ready, "wait"};
  fake->status.behind = (uint64_t)luaL_optinteger(L, 3, 0);
  return 0;
}

/* add_peer(id, match_index, next_index, inflight, last_contact_ms) */
static int add_peer(lua_State *L) {
  struct fake *fake = check_fake(L);
  luaL_argcheck(L, fake->status.peers_count < RAFT_PEERS_MAX, 2, "too many peers");
  struct raft_peer_status *peer = &fake->status.peers[fake->status.peers_count];
  copy_text(L, 2, peer->id, sizeof peer->id);
  peer->match_index = (uint64_t)luaL_checkinteger(L, 3);
  peer->next_index = (uint64_t)luaL_checkinteger(L, 4);
  peer->inflight = (uint64_t)luaL_checkinteger(L, 5);
  peer->last_contact_ms = (uint64_t)luaL_checkinteger(L, 6);
  fake->status.peers_count++;
  return 0;
}

static void push_held(lua_State *L, const struct held *held) {
  struct command command;
  if (held->command.len > 0) {
    CHECK(command_decode(buffer_view(&held->command), &command) == STATUS_OK);
    lua_command_push_table(L, &command);
  } else {
    lua_newtable(L);
  }
  lua_pushstring(L, held->kind);
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, (lua_Integer)held->wait->index);
  lua_setfield(L, -2, "index");
  lua_pushinteger(L, (lua_Integer)held->wait->deadline_ms);
  lua_setfield(L, -2, "deadline_ms");
}

static int push_list(lua_State *L, const struct list *list) {
  lua_Integer i = 0;
  lua_newtable(L);
  for (const struct list *link = list->next; link != list; link = link->next) {
    push_held(L, (const struct held *)(const void *)link);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

static int get_held(lua_State *L) {
  return push_list(L, &check_fake(L)->writes);
}

static int get_held_reads(lua_State *L) {
  return push_list(L, &check_fake(L)->reads);
}

static int get_cancelled(lua_State *L) {
  lua_pushinteger(L, check_fake(L)->cancelled);
  return 1;
}

static int get_now_ms(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)io_loop_now_ms(check_fake(L)->loop));
  return 1;
}

static struct held *check_nth(lua_State *L, int index, const struct list *list) {
  lua_Integer n = luaL_checkinteger(L, index);
  struct list *link = list->next;
  for (; link != list && n > 1; n--)
    link = link->next;
  luaL_argcheck(L, link != list && n == 1, index, "no such wait is held");
  return (struct held *)(void *)link;
}

static lua_Integer integer_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  lua_Integer value = luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

/* Messages are static strings in this program: the few that specs need. */
static const char *check_message(lua_State *L, int table) {
  static const char *const messages[] = {"", "expected another value", "made up by a spec"};
  lua_getfield(L, table, "err_msg");
  const char *text = luaL_optstring(L, -1, "");
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
    if (strcmp(messages[i], text) == 0) return messages[i];
  luaL_error(L, "err_msg: not one that fake_node.c knows");
  return NULL;
}

static struct apply_result check_result(lua_State *L, int table) {
  struct apply_result result = {.err_msg = check_message(L, table)};
  lua_getfield(L, table, "ok");
  result.ok = lua_toboolean(L, -1);
  lua_getfield(L, table, "deleted");
  result.has_deleted = !lua_isnil(L, -1);
  result.deleted = (uint64_t)luaL_optinteger(L, -1, 0);
  lua_getfield(L, table, "err_code");
  if (!err_code_parse(luaL_optstring(L, -1, ""), &result.err_code) && !result.ok) luaL_error(L, "err_code: unknown");
  lua_pop(L, 3);
  result.replay = (enum replay)integer_field(L, table, "replay");
  return result;
}

/* complete(n, status [, {index, ok, deleted, err_code, err_msg, replay}]): ends the n-th held proposal; the table
 * comes with "ok". */
static int complete(lua_State *L) {
  struct fake *fake = check_fake(L);
  struct held *held = check_nth(L, 2, &fake->writes);
  enum status status = check_status(L, 3);
  struct apply_result result = {.err_msg = ""};
  struct raft_wait *wait = held->wait;
  if (status == STATUS_OK) {
    luaL_checktype(L, 4, LUA_TTABLE);
    result = check_result(L, 4);
    wait->index = (uint64_t)integer_field(L, 4, "index");
  }
  held_free(held);
  wait->done(wait, status, status == STATUS_OK ? &result : NULL);
  io_loop_wake(fake->loop);
  return 0;
}

/* complete_read(n, status [, index]) */
static int complete_read(lua_State *L) {
  struct fake *fake = check_fake(L);
  struct held *held = check_nth(L, 2, &fake->reads);
  enum status status = check_status(L, 3);
  held->wait->index = (uint64_t)luaL_optinteger(L, 4, (lua_Integer)held->wait->index);
  end_read(held, status);
  io_loop_wake(fake->loop);
  return 0;
}

/* apply(server, index, command) */
static int apply(lua_State *L) {
  struct kvsm *sm = lua_server_check_state(L, 2);
  uint64_t index = (uint64_t)luaL_checkinteger(L, 3);
  struct command command;
  lua_command_push(L, 4, &command);
  kvsm_apply(sm, index, &command);
  return 0;
}

int luaopen_fake_node(lua_State *L) {
  static const luaL_Reg methods[] = {{"pointer", pointer},
                                     {"refuse", refuse},
                                     {"refuse_reads", refuse_reads},
                                     {"hold_reads", hold_reads},
                                     {"set_hint", set_hint},
                                     {"set_role", set_role},
                                     {"set_last_index", set_last_index},
                                     {"set_not_ready", set_not_ready},
                                     {"add_peer", add_peer},
                                     {"held", get_held},
                                     {"held_reads", get_held_reads},
                                     {"cancelled", get_cancelled},
                                     {"now_ms", get_now_ms},
                                     {"complete", complete},
                                     {"complete_read", complete_read},
                                     {"apply", apply},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"create", create}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  lua_pushcfunction(L, destroy);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
