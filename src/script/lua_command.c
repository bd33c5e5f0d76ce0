#include "script/lua_command.h"

#include <lauxlib.h>

#include "base/check.h"
#include "script/lua_buffer.h"

/* ---- from a table ---- */

/* Where a value stands, for messages: field, or field[index]member. */
struct place {
  const char *field;
  lua_Integer index; /* 0: the field itself */
  const char *member;
};

/* The value in question is at the top of the stack. */
static void raise_type(lua_State *L, struct place place, const char *expected) {
  const char *got = lua_type(L, -1) == LUA_TNUMBER && !lua_isinteger(L, -1) ? "float" : luaL_typename(L, -1);
  const char *name = place.field;
  if (place.index > 0) name = lua_pushfstring(L, "%s[%I]%s", name, (LUAI_UACINT)place.index, place.member);
  luaL_error(L, "%s: expected %s, got %s", name, expected, got);
}

static struct bytes check_string(lua_State *L, struct place place) {
  if (lua_type(L, -1) != LUA_TSTRING) raise_type(L, place, "a string");
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  if (len > UINT32_MAX) luaL_error(L, "%s: longer than an encoded command can hold", place.field);
  return bytes_make(text, len);
}

/* Leaves the field's value on the stack: the view lives as long. */
static struct bytes push_string_field(lua_State *L, int table, const char *field) {
  lua_getfield(L, table, field);
  return check_string(L, (struct place){.field = field});
}

static enum op_type check_op(lua_State *L, int table) {
  struct bytes name = push_string_field(L, table, "op");
  for (enum op_type op = OP_PUT; op <= OP_BATCH_DELETE; op++) {
    if (bytes_equal(name, bytes_of(op_type_name(op)))) return op;
  }
  luaL_error(L, "op: expected put, delete, cas, mput or mdelete, got \"%s\"", lua_tostring(L, -1));
  return 0;
}

static struct bytes push_client_id(lua_State *L, int table) {
  if (lua_getfield(L, table, "client_id") == LUA_TNIL) return bytes_make(NULL, 0);
  struct bytes client_id = check_string(L, (struct place){.field = "client_id"});
  if (client_id.len > UINT16_MAX) luaL_error(L, "client_id: longer than %d bytes", UINT16_MAX);
  return client_id;
}

static uint64_t check_seq(lua_State *L, int table) {
  if (lua_getfield(L, table, "seq") == LUA_TNIL) return 0;
  if (!lua_isinteger(L, -1)) raise_type(L, (struct place){.field = "seq"}, "an integer");
  return (uint64_t)lua_tointeger(L, -1); /* a negative one becomes too large, which command_validate refuses */
}

/* Appends the entry at the top of the stack, and leaves the stack as it was. */
static void append_entry(lua_State *L, lua_Integer at, struct buffer *items) {
  int entry = lua_gettop(L);
  if (!lua_istable(L, entry)) raise_type(L, (struct place){"entries", at, ""}, "a table");
  lua_getfield(L, entry, "key");
  struct bytes key = check_string(L, (struct place){"entries", at, ".key"});
  lua_getfield(L, entry, "value");
  struct bytes value = check_string(L, (struct place){"entries", at, ".value"});
  command_append_item(items, OP_BATCH_PUT, key, value);
  lua_settop(L, entry);
}

static void append_key(lua_State *L, lua_Integer at, struct buffer *items) {
  struct bytes key = check_string(L, (struct place){"keys", at, ""});
  command_append_item(items, OP_BATCH_DELETE, key, bytes_make(NULL, 0));
}

/* Leaves the buffer that owns the items on the stack. */
static void push_items(lua_State *L, int table, struct command *command) {
  bool put = command->op == OP_BATCH_PUT;
  const char *field = put ? "entries" : "keys";
  struct buffer *items = lua_buffer_push(L);
  if (lua_getfield(L, table, field) != LUA_TTABLE) raise_type(L, (struct place){.field = field}, "a table");
  lua_Integer count = luaL_len(L, -1);
  if (count > UINT32_MAX) luaL_error(L, "%s: more than an encoded command can hold", field);
  for (lua_Integer at = 1; at <= count; at++) {
    lua_geti(L, -1, at);
    if (put) {
      append_entry(L, at, items);
    } else {
      append_key(L, at, items);
    }
    lua_pop(L, 1);
  }
  command->items = buffer_view(items);
  command->items_count = count > 0 ? (uint32_t)count : 0;
}

/* Leaves what the views point at on the stack. */
static void push_operands(lua_State *L, int table, struct command *command) {
  switch (command->op) {
  case OP_CAS:
    command->expected = push_string_field(L, table, "expected");
    command->value = push_string_field(L, table, "value");
    command->key = push_string_field(L, table, "key");
    return;
  case OP_PUT:
    command->value = push_string_field(L, table, "value");
    command->key = push_string_field(L, table, "key");
    return;
  case OP_DELETE:
    command->key = push_string_field(L, table, "key");
    return;
  case OP_BATCH_PUT:
  case OP_BATCH_DELETE:
    push_items(L, table, command);
    return;
  }
}

/* ---- to a table ---- */

static void set_bytes(lua_State *L, const char *field, struct bytes value) {
  lua_pushlstring(L, (const char *)value.data, value.len);
  lua_setfield(L, -2, field);
}

static void set_items(lua_State *L, const struct command *command) {
  struct bytes cursor = command->items;
  struct bytes key;
  struct bytes value;
  lua_newtable(L);
  for (lua_Integer at = 1; command_next_item(command->op, &cursor, &key, &value); at++) {
    if (command->op == OP_BATCH_PUT) {
      lua_createtable(L, 0, 2);
      set_bytes(L, "key", key);
      set_bytes(L, "value", value);
    } else {
      lua_pushlstring(L, (const char *)key.data, key.len);
    }
    lua_seti(L, -2, at);
  }
  lua_setfield(L, -2, command->op == OP_BATCH_PUT ? "entries" : "keys");
}

/* ---- public ---- */

struct bytes lua_command_push(lua_State *L, int index, struct command *out) {
  luaL_checktype(L, index, LUA_TTABLE);
  luaL_checkstack(L, 16, "a command");
  int table = lua_absindex(L, index);
  int result = lua_gettop(L) + 1;
  struct buffer *encoded = lua_buffer_push(L);
  struct command command = {.op = check_op(L, table), .seq = check_seq(L, table)};
  command.client_id = push_client_id(L, table);
  push_operands(L, table, &command);
  command_encode(&command, encoded);
  lua_settop(L, result);
  CHECK(command_decode(buffer_view(encoded), out) == STATUS_OK);
  return buffer_view(encoded);
}

void lua_command_push_table(lua_State *L, const struct command *command) {
  luaL_checkstack(L, 6, "a command");
  lua_createtable(L, 0, 6);
  lua_pushstring(L, op_type_name(command->op));
  lua_setfield(L, -2, "op");
  set_bytes(L, "client_id", command->client_id);
  lua_pushinteger(L, (lua_Integer)command->seq);
  lua_setfield(L, -2, "seq");
  bool batch = command->op == OP_BATCH_PUT || command->op == OP_BATCH_DELETE;
  if (batch) {
    set_items(L, command);
    return;
  }
  set_bytes(L, "key", command->key);
  if (command->op != OP_DELETE) set_bytes(L, "value", command->value);
  if (command->op == OP_CAS) set_bytes(L, "expected", command->expected);
}

static void set_number(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static void push_entry(lua_State *L, const struct log_entry *entry) {
  struct command command;
  if (entry->command.len > 0 && command_decode(entry->command, &command) == STATUS_OK) {
    lua_command_push_table(L, &command);
  } else {
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "noop");
    lua_setfield(L, -2, "op");
  }
  set_number(L, "index", entry->index);
  set_number(L, "term", entry->term);
}

void lua_command_push_entries(lua_State *L, struct bytes encoded, uint64_t index) {
  struct log_entry entry = {.index = index};
  lua_newtable(L);
  for (lua_Integer i = 1; log_entry_next(&encoded, &entry); i++, entry.index++) {
    push_entry(L, &entry);
    lua_rawseti(L, -2, i);
  }
}
