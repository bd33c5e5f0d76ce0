/* local_node_flood: the node of server/local_node.h alone, with more calls in one turn than a client can bring about.
 *
 *   local flood = require("local_node_flood").create()
 *   flood:propose(count, value_bytes)  --> how many were accepted, and the status of the first that was not
 *   flood:read(count)                  --> the same, of read_index
 *   flood:cancel(n)                    -- of the calls accepted, the n-th
 *   flood:cancel_all()                 -- the last one first
 *   flood:ended()                      --> {3, 1, ...}: the calls that ended, by their numbers, in the order of ending
 *   flood:index(n)                     --> the index that the n-th call ended with
 *
 * The calls end at the end of a turn, as the loop turns. The loop's thread. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/check.h"
#include "script/pending.h"
#include "server/local_node.h"

static const char type_name[] = "local_node_flood";

enum { CALLS_MAX = 100000 };

int luaopen_local_node_flood(lua_State *L);

struct flood;
struct flood_call {
  struct raft_wait wait; /* first */
  struct flood *flood;
};

struct flood {
  struct kvsm *sm;
  struct local_node *node;
  struct flood_call *calls; /* CALLS_MAX */
  size_t calls_count;
  size_t *ended; /* positions in `calls` */
  size_t ended_count;
};

static struct flood *check_flood(lua_State *L) {
  return luaL_checkudata(L, 1, type_name);
}

static int create(lua_State *L) {
  struct flood *flood = lua_newuserdatauv(L, sizeof *flood, 0);
  *flood = (struct flood){.sm = kvsm_create()};
  flood->node = local_node_create(script_loop(L), flood->sm, "n1");
  flood->calls = xcalloc(CALLS_MAX, sizeof *flood->calls);
  flood->ended = xcalloc(CALLS_MAX, sizeof *flood->ended);
  luaL_setmetatable(L, type_name);
  return 1;
}

static int destroy(lua_State *L) {
  struct flood *flood = check_flood(L);
  local_node_destroy(flood->node);
  kvsm_destroy(flood->sm);
  free(flood->calls);
  free(flood->ended);
  return 0;
}

static void on_done(struct raft_wait *wait, enum status status, const struct apply_result *result) {
  struct flood_call *call = (struct flood_call *)(void *)wait;
  struct flood *flood = call->flood;
  CHECK(status == STATUS_OK && (result == NULL || result->ok));
  flood->ended[flood->ended_count++] = (size_t)(call - flood->calls);
}

/* An empty command is a read_index. */
static int start_calls(lua_State *L, struct flood *flood, lua_Integer count, struct bytes command) {
  struct raft_node *node = local_node_base(flood->node);
  enum status status = STATUS_OK;
  lua_Integer accepted = 0;
  for (; accepted < count && flood->calls_count < CALLS_MAX; accepted++, flood->calls_count++) {
    struct flood_call *call = &flood->calls[flood->calls_count];
    call->flood = flood;
    call->wait.done = on_done;
    call->wait.deadline_ms = UINT64_MAX;
    status =
        command.len > 0 ? node->ops->propose(node, command, &call->wait) : node->ops->read_index(node, &call->wait);
    if (status != STATUS_OK) break;
  }
  lua_pushinteger(L, accepted);
  lua_pushstring(L, status_name(status));
  return 2;
}

static int propose(lua_State *L) {
  struct flood *flood = check_flood(L);
  lua_Integer count = luaL_checkinteger(L, 2);
  lua_Integer value_bytes = luaL_checkinteger(L, 3);
  luaL_argcheck(L, value_bytes >= 0 && value_bytes <= VALUE_BYTES_CAP, 3, "not a value's size");
  struct buffer encoded;
  uint8_t *value = xcalloc(1, (size_t)value_bytes + 1);
  struct command command = {.op = OP_PUT, .key = bytes_of("k"), .value = bytes_make(value, (size_t)value_bytes)};
  buffer_init(&encoded);
  command_encode(&command, &encoded);
  int results = start_calls(L, flood, count, buffer_view(&encoded));
  buffer_deinit(&encoded);
  free(value);
  return results;
}

static int read(lua_State *L) {
  struct flood *flood = check_flood(L);
  return start_calls(L, flood, luaL_checkinteger(L, 2), bytes_make(NULL, 0));
}

static struct flood_call *check_call(lua_State *L, struct flood *flood) {
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 1 && (size_t)n <= flood->calls_count, 2, "no such call");
  return &flood->calls[n - 1];
}

static int cancel(lua_State *L) {
  struct flood *flood = check_flood(L);
  struct raft_node *node = local_node_base(flood->node);
  node->ops->cancel(node, &check_call(L, flood)->wait);
  return 0;
}

static int cancel_all(lua_State *L) {
  struct flood *flood = check_flood(L);
  struct raft_node *node = local_node_base(flood->node);
  for (size_t i = flood->calls_count; i > 0; i--)
    node->ops->cancel(node, &flood->calls[i - 1].wait);
  return 0;
}

static int get_ended(lua_State *L) {
  const struct flood *flood = check_flood(L);
  lua_createtable(L, (int)flood->ended_count, 0);
  for (size_t i = 0; i < flood->ended_count; i++) {
    lua_pushinteger(L, (lua_Integer)flood->ended[i] + 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int get_index(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_call(L, check_flood(L))->wait.index);
  return 1;
}

int luaopen_local_node_flood(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"propose", propose}, {"read", read},       {"cancel", cancel}, {"cancel_all", cancel_all},
      {"ended", get_ended}, {"index", get_index}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"create", create}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  lua_pushcfunction(L, destroy);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
