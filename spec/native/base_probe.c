/* base_probe: what src/base offers to C alone, for specs.
 *
 *   local probe = require "base_probe"
 *   local buffer = probe.buffer()       append(bytes) append_byte(n) append_decimal(n) append_format(text, n)
 * consume(n) clear() shrink(n) reserve(n); view() -> bytes; capacity() -> n local arena = probe.arena(bytes)
 * alloc(slot, n) resize(slot, n) free(slot); each slot is filled with its own bytes; intact() -> true while none of
 * them was touched by another probe.error_text(text)              what error_set makes of it probe.status_names() in
 * the order of enum status probe.check(condition)              CHECK */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/status.h"
#include "script/lua_buffer.h"

int luaopen_base_probe(lua_State *L);

static size_t check_size(lua_State *L, int index) {
  lua_Integer size = luaL_checkinteger(L, index);
  luaL_argcheck(L, size >= 0, index, "expected a size");
  return (size_t)size;
}

/* ---- buffer ---- */

static const char buffer_type[] = "base_probe.buffer";

static struct buffer *check_buffer(lua_State *L) {
  return luaL_checkudata(L, 1, buffer_type);
}

static int buffer_new(lua_State *L) {
  buffer_init(lua_newuserdatauv(L, sizeof(struct buffer), 0));
  luaL_setmetatable(L, buffer_type);
  return 1;
}

static int buffer_op_gc(lua_State *L) {
  buffer_deinit(check_buffer(L));
  return 0;
}

static int buffer_op_append(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  buffer_append(check_buffer(L), data, len);
  return 0;
}

static int buffer_op_append_byte(lua_State *L) {
  buffer_append_byte(check_buffer(L), (uint8_t)luaL_checkinteger(L, 2));
  return 0;
}

static int buffer_op_append_decimal(lua_State *L) {
  buffer_append_u64_decimal(check_buffer(L), (uint64_t)luaL_checkinteger(L, 2));
  return 0;
}

static int buffer_op_append_format(lua_State *L) {
  buffer_append_format(check_buffer(L), "%s=%lld", luaL_checkstring(L, 2), (long long)luaL_checkinteger(L, 3));
  return 0;
}

static int buffer_op_consume(lua_State *L) {
  buffer_consume(check_buffer(L), check_size(L, 2));
  return 0;
}

static int buffer_op_clear(lua_State *L) {
  buffer_clear(check_buffer(L));
  return 0;
}

static int buffer_op_shrink(lua_State *L) {
  buffer_shrink(check_buffer(L), check_size(L, 2));
  return 0;
}

/* Touches the last byte of the room, so that a sanitizer sees when it is not there. */
static int buffer_op_reserve(lua_State *L) {
  size_t extra = check_size(L, 2);
  uint8_t *room = buffer_reserve(check_buffer(L), extra);
  if (extra > 0) room[extra - 1] = 0xEE;
  return 0;
}

static int buffer_op_view(lua_State *L) {
  lua_buffer_push_string(L, check_buffer(L));
  return 1;
}

static int buffer_op_capacity(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_buffer(L)->capacity);
  return 1;
}

static const luaL_Reg buffer_methods[] = {
    {"append", buffer_op_append},
    {"append_byte", buffer_op_append_byte},
    {"append_decimal", buffer_op_append_decimal},
    {"append_format", buffer_op_append_format},
    {"consume", buffer_op_consume},
    {"clear", buffer_op_clear},
    {"shrink", buffer_op_shrink},
    {"reserve", buffer_op_reserve},
    {"view", buffer_op_view},
    {"capacity", buffer_op_capacity},
    {NULL, NULL},
};

/* ---- arena ---- */

static const char arena_type[] = "base_probe.arena";

enum { SLOTS = 32 };

struct slot {
  uint8_t *memory; /* NULL: free */
  size_t bytes;
};

struct probe_arena {
  struct arena arena;
  struct slot slots[SLOTS];
  void *block;
};

static struct probe_arena *check_arena(lua_State *L) {
  return luaL_checkudata(L, 1, arena_type);
}

static size_t check_slot(lua_State *L, int index) {
  size_t slot = check_size(L, index);
  luaL_argcheck(L, slot < SLOTS, index, "no such slot");
  return slot;
}

static int arena_new(lua_State *L) {
  size_t bytes = check_size(L, 1);
  struct probe_arena *probe = lua_newuserdatauv(L, sizeof *probe, 0);
  *probe = (struct probe_arena){.block = xmalloc(bytes)};
  arena_init(&probe->arena, probe->block, bytes);
  luaL_setmetatable(L, arena_type);
  return 1;
}

static int arena_op_gc(lua_State *L) {
  struct probe_arena *probe = check_arena(L);
  arena_deinit(&probe->arena);
  free(probe->block);
  return 0;
}

static uint8_t pattern(size_t slot, size_t at) {
  return (uint8_t)(slot * 37 + at * 11 + 1);
}

static void fill(struct probe_arena *probe, size_t slot, size_t from) {
  for (size_t at = from; at < probe->slots[slot].bytes; at++)
    probe->slots[slot].memory[at] = pattern(slot, at);
}

static int arena_op_alloc(lua_State *L) {
  struct probe_arena *probe = check_arena(L);
  size_t slot = check_slot(L, 2);
  size_t bytes = check_size(L, 3);
  probe->slots[slot] = (struct slot){arena_alloc(&probe->arena, bytes), bytes};
  fill(probe, slot, 0);
  return 0;
}

static int arena_op_resize(lua_State *L) {
  struct probe_arena *probe = check_arena(L);
  size_t slot = check_slot(L, 2);
  size_t bytes = check_size(L, 3);
  size_t before = probe->slots[slot].bytes;
  probe->slots[slot] = (struct slot){arena_realloc(&probe->arena, probe->slots[slot].memory, bytes), bytes};
  if (bytes > before) fill(probe, slot, before);
  return 0;
}

static int arena_op_free(lua_State *L) {
  struct probe_arena *probe = check_arena(L);
  size_t slot = check_slot(L, 2);
  arena_free(&probe->arena, probe->slots[slot].memory);
  probe->slots[slot] = (struct slot){NULL, 0};
  return 0;
}

static int arena_op_intact(lua_State *L) {
  struct probe_arena *probe = check_arena(L);
  bool intact = true;
  for (size_t slot = 0; slot < SLOTS; slot++) {
    for (size_t at = 0; at < probe->slots[slot].bytes; at++)
      intact = intact && probe->slots[slot].memory[at] == pattern(slot, at);
  }
  lua_pushboolean(L, intact);
  return 1;
}

static const luaL_Reg arena_methods[] = {
    {"alloc", arena_op_alloc},
    {"resize", arena_op_resize},
    {"free", arena_op_free},
    {"intact", arena_op_intact},
    {NULL, NULL},
};

/* ---- the rest ---- */

static int error_text(lua_State *L) {
  struct error err;
  error_set(&err, STATUS_INVALID, "%s", luaL_checkstring(L, 1));
  lua_pushstring(L, err.text);
  return 1;
}

static int status_names(lua_State *L) {
  lua_newtable(L);
  for (enum status status = STATUS_OK; status <= STATUS_CLOSED; status++) {
    lua_pushstring(L, status_name(status));
    lua_rawseti(L, -2, (lua_Integer)status + 1);
  }
  return 1;
}

static int check(lua_State *L) {
  CHECK(lua_toboolean(L, 1));
  return 0;
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction collect) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

int luaopen_base_probe(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"buffer", buffer_new},         {"arena", arena_new}, {"error_text", error_text},
      {"status_names", status_names}, {"check", check},     {NULL, NULL},
  };
  new_type(L, buffer_type, buffer_methods, buffer_op_gc);
  new_type(L, arena_type, arena_methods, arena_op_gc);
  luaL_newlib(L, functions);
  return 1;
}
