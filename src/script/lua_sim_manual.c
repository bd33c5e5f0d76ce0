/* Operations by hand in a simulated world, in Lua: one request at one node, and what came of it.
 *
 *   world:submit(n, request [, deadline_ms]) -> number
 *       request: {op = "get", key =}  {op = "mget", keys = {...}}  {op = "scan", prefix =, after =, limit =}, each with
 *       policy = "readindex" | "stale" and min_index; or a command (script/lua_command.h), with mode = "sync" or
 *       "async"; or {op = "operation", op_id =}. It waits for its answer so long (5000), by virtual time and by the
 *       node's clock; an asynchronous write for its outcome.
 *   world:outcome(number [, forget]) -> nil while it is under way, and once it was forgotten; then a table:
 *       status       as the node has it ("ok", "not_leader", ...)
 *       failure      there was no answer: "connect" (the node was down: nothing was done), "closed" (it went down
 *                    meanwhile), "timeout" (no answer in time, as of a paused one; it may still come to it)
 *       else, as the HTTP API would answer:
 *       ok, err_code, err_msg (of a bad_request, and of what a command gave)
 *       leader_hint  {leader_id =, leader_addr =}, with not_leader and no_leader
 *       value        of a get                      values  of an mget, in the order of its keys, false for none
 *       entries      of a scan: {{key =, value =}, ...}, and next: what to give as `after` to go on, "" at the end
 *       deleted, replay ("same" or "older")        of a write
 *       op_id        of an asynchronous write
 *       ready, and once it is: result {ok =, ...}  of an operation; index and replay are those of its write
 *       index        of a write, or of what a read saw; 0: unknown
 *   world:answered() -> the numbers of those that ended since it was asked last, in the order of their ends
 *   world:forget(number)           it is neither kept nor told any more, whether it has ended or not; what is not
 *                                  forgotten is kept as long as the world */
#include <lauxlib.h>
#include <string.h>

#include "base/little_endian.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "script/lua_sim.h"
#include "types/policy.h"

enum { DEADLINE_MS = 5000, LENGTH_BYTES = 4 };

static void set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value); /* nil when NULL */
  lua_setfield(L, -2, field);
}

static void set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

/* ---- requests; what they view is kept by the table at 3 ---- */

/* The string at the top of the stack. */
static struct bytes pop_text(lua_State *L, const char *name) {
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s: expected a string, got %s", name, luaL_typename(L, -1));
  const char *text = lua_tolstring(L, -1, &len);
  lua_pop(L, 1);
  return bytes_make(text, len);
}

static struct bytes text_field(lua_State *L, const char *name, bool optional) {
  if (lua_getfield(L, 3, name) == LUA_TNIL && optional) {
    lua_pop(L, 1);
    return bytes_of("");
  }
  return pop_text(L, name);
}

static lua_Integer integer_field(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer min,
                                 lua_Integer max) {
  int type = lua_getfield(L, 3, name);
  int is_integer = 1;
  lua_Integer value = type == LUA_TNIL ? otherwise : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < min || value > max) {
    luaL_error(L, "%s: expected an integer from %I to %I", name, (LUAI_UACINT)min, (LUAI_UACINT)max);
  }
  lua_pop(L, 1);
  return value;
}

/* Pushes the memory of the keys. */
static struct bytes *push_keys(lua_State *L, struct sim_request *request, size_t count) {
  struct bytes *keys = lua_newuserdatauv(L, count * sizeof *keys, 0);
  request->keys = keys;
  request->keys_count = count;
  return keys;
}

static void read_get(lua_State *L, struct sim_request *request) {
  struct bytes *keys = push_keys(L, request, 1);
  keys[0] = text_field(L, "key", false);
}

static void read_mget(lua_State *L, struct sim_request *request) {
  if (lua_getfield(L, 3, "keys") != LUA_TTABLE) luaL_error(L, "keys: expected a table");
  int list = lua_gettop(L);
  lua_Integer count = luaL_len(L, list);
  if (count < 1 || count > BATCH_ITEMS_MAX) luaL_error(L, "keys: expected 1 to %d", BATCH_ITEMS_MAX);
  struct bytes *keys = push_keys(L, request, (size_t)count);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, list, i + 1);
    keys[i] = pop_text(L, "keys");
  }
}

static void read_scan(lua_State *L, struct sim_request *request) {
  struct bytes *keys = push_keys(L, request, 2);
  keys[0] = text_field(L, "prefix", true);
  keys[1] = text_field(L, "after", true);
  request->limit = (size_t)integer_field(L, "limit", SCAN_LIMIT_DEFAULT, 1, SCAN_LIMIT_MAX);
}

static void read_policy(lua_State *L, struct sim_request *request) {
  request->policy = READ_POLICY_READINDEX;
  request->min_index = (uint64_t)integer_field(L, "min_index", 0, 0, LUA_MAXINTEGER);
  if (lua_getfield(L, 3, "policy") != LUA_TNIL && !read_policy_parse(pop_text(L, "policy"), &request->policy)) {
    luaL_error(L, "policy: expected readindex or stale");
  }
}

static void read_operation(lua_State *L, struct sim_request *request) {
  request->kind = SIM_OPERATION;
  lua_getfield(L, 3, "op_id");
  if (!op_id_parse(pop_text(L, "op_id"), &request->op_id)) luaL_error(L, "op_id: expected one of a write");
}

static void read_write(lua_State *L, struct sim_request *request) {
  request->kind = SIM_WRITE;
  if (lua_getfield(L, 3, "mode") != LUA_TNIL && !write_mode_parse(pop_text(L, "mode"), &request->mode))
    luaL_error(L, "mode: expected sync or async");
  lua_command_push(L, 3, &request->command);
}

/* Leaves what the request views on the stack. */
static void read_request(lua_State *L, struct sim_request *request) {
  static const struct {
    const char *op;
    enum sim_request_kind kind;
    void (*read)(lua_State *L, struct sim_request *request);
  } reads[] = {{"get", SIM_GET, read_get}, {"mget", SIM_MGET, read_mget}, {"scan", SIM_SCAN, read_scan}};
  lua_getfield(L, 3, "op");
  const char *op = lua_tostring(L, -1);
  for (size_t i = 0; op != NULL && i < sizeof reads / sizeof reads[0]; i++) {
    if (strcmp(op, reads[i].op) != 0) continue;
    request->kind = reads[i].kind;
    read_policy(L, request);
    reads[i].read(L, request);
    return;
  }
  if (op != NULL && strcmp(op, "operation") == 0)
    read_operation(L, request);
  else
    read_write(L, request);
}

static int world_submit(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint8_t node = lua_sim_check_node(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer deadline_ms = luaL_optinteger(L, 4, DEADLINE_MS);
  luaL_argcheck(L, deadline_ms >= 0 && deadline_ms <= UINT32_MAX, 4, "out of range");
  struct sim_request request = {.deadline_ms = (uint64_t)deadline_ms};
  read_request(L, &request);
  lua_pushinteger(L, (lua_Integer)sim_world_submit(world, node, &request));
  return 1;
}

/* ---- outcomes ---- */

static struct bytes take(struct bytes *cursor, size_t len) {
  struct bytes view = bytes_make(cursor->data, len);
  *cursor = bytes_make(cursor->data + len, cursor->len - len);
  return view;
}

static void push_bytes(lua_State *L, struct bytes view) {
  lua_pushlstring(L, (const char *)view.data, view.len);
}

/* Pushes the next value of a get or mget; false when there is none. */
static bool push_value(lua_State *L, struct bytes *found) {
  size_t head = (size_t)le_load(take(found, LENGTH_BYTES).data, LENGTH_BYTES);
  if (head == 0) {
    lua_pushboolean(L, false);
  } else {
    push_bytes(L, take(found, head - 1));
  }
  return head > 0;
}

static void set_value(lua_State *L, struct bytes found) {
  bool exists = push_value(L, &found);
  if (exists) {
    lua_setfield(L, -2, "value");
  } else {
    lua_pop(L, 1);
    set_string(L, "err_code", err_code_name(ERR_NOT_FOUND));
  }
  set_boolean(L, "ok", exists);
}

static void set_values(lua_State *L, struct bytes found) {
  lua_newtable(L);
  for (lua_Integer i = 1; found.len > 0; i++) {
    push_value(L, &found);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "values");
}

static struct bytes take_sized(struct bytes *found) {
  return take(found, (size_t)le_load(take(found, LENGTH_BYTES).data, LENGTH_BYTES));
}

static void set_entries(lua_State *L, struct bytes found, bool more) {
  struct bytes key = bytes_make(NULL, 0);
  lua_newtable(L);
  for (lua_Integer i = 1; found.len > 0; i++) {
    lua_createtable(L, 0, 2);
    key = take_sized(&found);
    push_bytes(L, key);
    lua_setfield(L, -2, "key");
    push_bytes(L, take_sized(&found));
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "entries");
  push_bytes(L, more ? key : bytes_make("", 0));
  lua_setfield(L, -2, "next");
}

static void set_replay(lua_State *L, enum replay replay) {
  if (replay != REPLAY_NONE) set_string(L, "replay", replay == REPLAY_SAME ? "same" : "older");
}

static void set_result(lua_State *L, const struct apply_result *result) {
  set_boolean(L, "ok", result->ok);
  if (result->has_deleted) set_integer(L, "deleted", result->deleted);
  if (result->err_code == ERR_NONE) return;
  set_string(L, "err_code", err_code_name(result->err_code));
  set_string(L, "err_msg", result->err_msg);
}

/* Pushes the id as a string. */
static void push_op_id(lua_State *L, const struct op_id *id) {
  struct buffer *text = lua_buffer_push(L);
  op_id_write(id, text);
  push_bytes(L, buffer_view(text));
  lua_remove(L, -2);
}

static void set_operation(lua_State *L, const struct sim_outcome *outcome) {
  const struct op_result *operation = &outcome->operation;
  if (outcome->op_found != OP_FOUND) {
    set_boolean(L, "ok", false);
    set_string(L, "err_code", err_code_name(outcome->op_found == OP_OF_OTHER_NODE ? ERR_NOT_OWNER : ERR_NOT_FOUND));
    return;
  }
  push_op_id(L, &outcome->op_id);
  lua_setfield(L, -2, "op_id");
  set_boolean(L, "ready", operation->ready);
  if (!operation->ready) return;
  set_replay(L, operation->result.replay);
  lua_newtable(L);
  set_result(L, &operation->result);
  lua_setfield(L, -2, "result");
}

static void set_write(lua_State *L, const struct sim_outcome *outcome) {
  if (outcome->mode == WRITE_MODE_SYNC) {
    set_result(L, &outcome->result);
    set_replay(L, outcome->result.replay);
    return;
  }
  set_boolean(L, "ok", true);
  push_op_id(L, &outcome->op_id);
  lua_setfield(L, -2, "op_id");
}

static void set_answer(lua_State *L, const struct sim_outcome *outcome) {
  if (outcome->kind == SIM_MGET || outcome->kind == SIM_SCAN) set_boolean(L, "ok", true);
  switch (outcome->kind) {
  case SIM_WRITE:
    set_write(L, outcome);
    break;
  case SIM_OPERATION:
    set_operation(L, outcome);
    break;
  case SIM_GET:
    set_value(L, outcome->found);
    break;
  case SIM_MGET:
    set_values(L, outcome->found);
    break;
  case SIM_SCAN:
    set_entries(L, outcome->found, outcome->more);
    break;
  }
}

/* A write is sent to the leader when that is known; a read can be asked again anywhere. */
static enum err_code code_of(const struct sim_outcome *outcome) {
  switch (outcome->status) {
  case STATUS_NOT_LEADER:
    return outcome->kind == SIM_WRITE && outcome->hint.leader_addr[0] != '\0' ? ERR_NOT_LEADER : ERR_NO_LEADER;
  case STATUS_NO_LEADER:
    return ERR_NO_LEADER;
  case STATUS_TIMEOUT:
    return ERR_TIMEOUT;
  case STATUS_INVALID:
    return ERR_BAD_REQUEST;
  case STATUS_TOO_LARGE:
    return ERR_TOO_LARGE;
  case STATUS_OVERLOADED:
    return ERR_OVERLOADED;
  case STATUS_DISK_FULL:
    return ERR_DISK_FULL;
  case STATUS_OK:
  case STATUS_NOT_FOUND:
  case STATUS_CORRUPT:
  case STATUS_IO:
  case STATUS_CLOSED:
    break;
  }
  return ERR_INTERNAL;
}

static void set_refusal(lua_State *L, const struct sim_outcome *outcome) {
  enum err_code code = code_of(outcome);
  set_boolean(L, "ok", false);
  set_string(L, "err_code", err_code_name(code));
  set_string(L, "err_msg", outcome->why);
  if (code != ERR_NOT_LEADER && code != ERR_NO_LEADER) return;
  lua_createtable(L, 0, 2);
  set_string(L, "leader_id", code == ERR_NOT_LEADER ? outcome->hint.leader_id : "");
  set_string(L, "leader_addr", code == ERR_NOT_LEADER ? outcome->hint.leader_addr : "");
  lua_setfield(L, -2, "leader_hint");
}

static void push_outcome(lua_State *L, const struct sim_outcome *outcome) {
  static const char *const silences[] = {NULL, "connect", "closed", "timeout"}; /* as enum sim_silence */
  lua_createtable(L, 0, 6);
  set_string(L, "status", status_name(outcome->status));
  set_integer(L, "index", outcome->index);
  set_string(L, "failure", silences[outcome->silence]);
  if (outcome->silence != SIM_ANSWERED) return;
  if (outcome->status == STATUS_OK) {
    set_answer(L, outcome);
  } else {
    set_refusal(L, outcome);
  }
}

static uint64_t check_number(lua_State *L, int arg) {
  lua_Integer number = luaL_checkinteger(L, arg);
  luaL_argcheck(L, number >= 1 && (uint64_t)number <= sim_world_submitted(lua_sim_check(L)), arg, "no such operation");
  return (uint64_t)number;
}

static int world_outcome(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  uint64_t number = check_number(L, 2);
  bool forget = lua_toboolean(L, 3);
  struct sim_outcome outcome;
  if (!sim_world_outcome(world, number, &outcome)) return 0;
  push_outcome(L, &outcome);
  if (forget) sim_world_forget(world, number);
  return 1;
}

static int world_forget(lua_State *L) {
  struct sim_world *world = lua_sim_check(L);
  sim_world_forget(world, check_number(L, 2));
  return 0;
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

void lua_sim_add_manual(lua_State *L) {
  static const luaL_Reg methods[] = {{"submit", world_submit},
                                     {"outcome", world_outcome},
                                     {"forget", world_forget},
                                     {"answered", world_answered},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
