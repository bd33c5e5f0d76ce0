/* kvserver.json: JSON in Lua without loss.
 *
 *   local json = require "kvserver.json"
 *   local value, message = json.decode('{"seq":9007199254740993,"keys":[],"none":null}')
 *   json.encode(value)  --> the same text, fields in byte order
 *
 * Objects become tables, arrays tables with the metatable json.array_mt (so that an empty one stays an array), null
 * json.null. Integers that fit 64 bits become integers, other numbers floats.
 *
 * Decoding has two steps, since building Lua values may raise (out of memory), which must not jump over json_read: it
 * writes a tape, which the collector owns, and the values are built from that. */
#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "types/json.h"
#include "types/limits.h"

static const char *const array_type = "kvserver.json.array";

static void push_null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}

static bool is_null(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == NULL;
}

/* ---- decoding, first step: the tape ----
 *
 * A tag per event; numbers, strings and fields are followed by a size_t and that many bytes, and a NUL. */

enum tape_tag {
  TAPE_NULL = 'n',
  TAPE_FALSE = 'f',
  TAPE_TRUE = 't',
  TAPE_NUMBER = '0',
  TAPE_STRING = 's',
  TAPE_FIELD = ':',
  TAPE_OBJECT = '{',
  TAPE_ARRAY = '[',
  TAPE_END = '.',
};

static const char *write_tag(void *tape, enum tape_tag tag) {
  buffer_append_byte(tape, (uint8_t)tag);
  return NULL;
}

static const char *write_text(void *tape, enum tape_tag tag, struct bytes text) {
  write_tag(tape, tag);
  buffer_append(tape, &text.len, sizeof text.len);
  buffer_append_bytes(tape, text);
  buffer_append_byte(tape, 0);
  return NULL;
}

static const char *on_null(void *tape) {
  return write_tag(tape, TAPE_NULL);
}

static const char *on_boolean(void *tape, bool value) {
  return write_tag(tape, value ? TAPE_TRUE : TAPE_FALSE);
}

static const char *on_number(void *tape, struct bytes text) {
  return write_text(tape, TAPE_NUMBER, text);
}

static const char *on_string(void *tape, struct bytes value) {
  return write_text(tape, TAPE_STRING, value);
}

static const char *on_object_begin(void *tape) {
  return write_tag(tape, TAPE_OBJECT);
}

static const char *on_field(void *tape, struct bytes name) {
  return write_text(tape, TAPE_FIELD, name);
}

static const char *on_array_begin(void *tape) {
  return write_tag(tape, TAPE_ARRAY);
}

static const char *on_end(void *tape) {
  return write_tag(tape, TAPE_END);
}

static const struct json_events tape_events = {
    .null = on_null,
    .boolean = on_boolean,
    .number = on_number,
    .string = on_string,
    .object_begin = on_object_begin,
    .field = on_field,
    .object_end = on_end,
    .array_begin = on_array_begin,
    .array_end = on_end,
};

/* ---- decoding, second step: values ---- */

/* Where the tape is read. */
struct tape {
  const uint8_t *at;
};

static struct bytes read_text(struct tape *tape) {
  size_t len;
  memcpy(&len, tape->at, sizeof len);
  struct bytes text = bytes_make(tape->at + sizeof len, len);
  tape->at += sizeof len + len + 1;
  return text;
}

/* Lua reads decimal numerals as we want it: an integer that fits is one, any other numeral is a float. False, and
 * nothing pushed, when it is beyond floats. */
static bool push_number(lua_State *L, struct bytes text) {
  if (bytes_equal(text, bytes_of("-0"))) {
    lua_pushnumber(L, -0.0);
    return true;
  }
  lua_stringtonumber(L, (const char *)text.data);
  if (lua_isinteger(L, -1) || isfinite(lua_tonumber(L, -1))) return true;
  lua_pop(L, 1);
  return false;
}

static bool push_value(lua_State *L, struct tape *tape);

static bool push_object(lua_State *L, struct tape *tape) {
  lua_newtable(L);
  while (*tape->at++ == TAPE_FIELD) {
    struct bytes name = read_text(tape);
    lua_pushlstring(L, (const char *)name.data, name.len);
    if (!push_value(L, tape)) return false;
    lua_rawset(L, -3);
  }
  return true;
}

static bool push_array(lua_State *L, struct tape *tape) {
  lua_newtable(L);
  luaL_setmetatable(L, array_type);
  for (lua_Integer i = 1; *tape->at != TAPE_END; i++) {
    if (!push_value(L, tape)) return false;
    lua_rawseti(L, -2, i);
  }
  tape->at++;
  return true;
}

static bool push_string(lua_State *L, struct tape *tape) {
  struct bytes text = read_text(tape);
  lua_pushlstring(L, (const char *)text.data, text.len);
  return true;
}

/* Pushes the next value of the tape; false, and anything on the stack, for a number that is out of range. Recursion is
 * bounded by JSON_DEPTH_MAX. */
static bool push_value(lua_State *L, struct tape *tape) {
  luaL_checkstack(L, 4, "nested JSON");
  enum tape_tag tag = *tape->at++;
  switch (tag) {
  case TAPE_NULL:
    push_null(L);
    return true;
  case TAPE_FALSE:
  case TAPE_TRUE:
    lua_pushboolean(L, tag == TAPE_TRUE);
    return true;
  case TAPE_NUMBER:
    return push_number(L, read_text(tape));
  case TAPE_STRING:
    return push_string(L, tape);
  case TAPE_OBJECT:
    return push_object(L, tape);
  case TAPE_ARRAY:
    return push_array(L, tape);
  case TAPE_FIELD:
  case TAPE_END:
    break;
  }
  return false;
}

static int fail(lua_State *L, const char *message) {
  luaL_pushfail(L);
  lua_pushstring(L, message);
  return 2;
}

/* decode(text) -> value, or nil and a message. */
static int decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct buffer *buffer = lua_buffer_push(L);
  struct error err;
  if (json_read(bytes_make(text, len), &tape_events, buffer, &err) != STATUS_OK) return fail(L, err.text);
  struct tape tape = {.at = buffer->data};
  return push_value(L, &tape) ? 1 : fail(L, "a number is out of range");
}

/* ---- encoding ---- */

/* Valid while the string is on the stack or in a table; must not be asked of a number, which it would convert. */
static struct bytes string_view(lua_State *L, int index) {
  size_t len;
  const char *text = lua_tolstring(L, index, &len);
  return bytes_make(text, len);
}

/* The way from the outermost value to the one being encoded, for messages. */
struct path {
  const struct path *outer; /* NULL: this is the outermost value */
  struct bytes field;       /* of an object, or */
  lua_Integer index;        /* of an array when it is not 0 */
  size_t depth;
};

static void append_path(struct buffer *text, const struct path *path) {
  if (path->outer == NULL) return;
  append_path(text, path->outer);
  if (path->index != 0) {
    buffer_append_format(text, "[%lld]", (long long)path->index);
  } else {
    buffer_append_byte(text, '.');
    buffer_append_bytes(text, path->field);
  }
}

static _Noreturn void raise(lua_State *L, const struct path *path, const char *what) {
  struct buffer *text = lua_buffer_push(L);
  luaL_where(L, 1);
  buffer_append_text(text, lua_tostring(L, -1));
  buffer_append_text(text, "json: ");
  size_t before = text->len;
  append_path(text, path);
  if (text->len > before) buffer_append_text(text, ": ");
  buffer_append_text(text, what);
  lua_buffer_push_string(L, text);
  lua_error(L);
  abort(); /* lua_error does not return, but its prototype does not say so */
}

static void encode_string(lua_State *L, struct bytes value, const struct path *path, struct buffer *out) {
  if (!utf8_valid(value)) raise(L, path, "a string that is not UTF-8");
  json_write_string(out, value);
}

/* The fewest digits that read back as the same float, with a point whatever the locale says. Up to 15 digits survive
 * the way through a normal float, and trailing zeros are not printed: so nothing shorter is missed by trying 15 first.
 */
static void encode_float(lua_State *L, double value, const struct path *path, struct buffer *out) {
  enum { DIGITS_SAFE = 15, DIGITS_MAX = 17 };
  char text[40];
  if (!isfinite(value)) raise(L, path, "a number that is not finite");
  for (int digits = fpclassify(value) == FP_SUBNORMAL ? 1 : DIGITS_SAFE; digits <= DIGITS_MAX; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  char *point = strchr(text, localeconv()->decimal_point[0]);
  if (point != NULL) *point = '.';
  buffer_append_text(out, text);
}

static void encode_number(lua_State *L, const struct path *path, struct buffer *out) {
  if (lua_isinteger(L, -1)) {
    buffer_append_format(out, "%lld", (long long)lua_tointeger(L, -1));
  } else {
    encode_float(L, lua_tonumber(L, -1), path, out);
  }
}

static bool is_array_marked(lua_State *L) {
  if (!lua_getmetatable(L, -1)) return false;
  luaL_getmetatable(L, array_type);
  bool marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

/* What the keys of the table at the top of the stack make it. */
struct shape {
  size_t strings_count;
  size_t integers_count;
  lua_Integer integer_max;
};

static struct shape shape_of(lua_State *L, const struct path *path) {
  struct shape shape = {0};
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      shape.strings_count++;
    } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
      shape.integers_count++;
      if (lua_tointeger(L, -1) > shape.integer_max) shape.integer_max = lua_tointeger(L, -1);
    } else {
      raise(L, path, "a key that is neither a string nor an index");
    }
  }
  return shape;
}

static void encode_value(lua_State *L, const struct path *path, struct buffer *out);

static void encode_array(lua_State *L, lua_Integer count, const struct path *path, struct buffer *out) {
  buffer_append_byte(out, '[');
  for (lua_Integer i = 1; i <= count; i++) {
    if (i > 1) buffer_append_byte(out, ',');
    lua_rawgeti(L, -1, i);
    encode_value(L, &(struct path){.outer = path, .index = i, .depth = path->depth + 1}, out);
    lua_pop(L, 1);
  }
  buffer_append_byte(out, ']');
}

static int compare_fields(const void *left, const void *right) {
  return bytes_compare(*(const struct bytes *)left, *(const struct bytes *)right);
}

/* Pushes a userdata with the names of the table at the top of the stack, in byte order. They stay where they are as
 * long as the table is not changed. */
static const struct bytes *push_fields(lua_State *L, size_t count) {
  struct bytes *fields = lua_newuserdatauv(L, count * sizeof *fields, 0);
  size_t at = 0;
  lua_pushnil(L);
  while (lua_next(L, -3) != 0) {
    lua_pop(L, 1);
    fields[at++] = string_view(L, -1);
  }
  qsort(fields, count, sizeof *fields, compare_fields);
  return fields;
}

static void encode_object(lua_State *L, size_t count, const struct path *path, struct buffer *out) {
  const struct bytes *fields = push_fields(L, count);
  buffer_append_byte(out, '{');
  for (size_t i = 0; i < count; i++) {
    struct path inner = {.outer = path, .field = fields[i], .depth = path->depth + 1};
    if (i > 0) buffer_append_byte(out, ',');
    encode_string(L, fields[i], &inner, out);
    buffer_append_byte(out, ':');
    lua_pushlstring(L, (const char *)fields[i].data, fields[i].len);
    lua_rawget(L, -3);
    encode_value(L, &inner, out);
    lua_pop(L, 1);
  }
  buffer_append_byte(out, '}');
  lua_pop(L, 1);
}

/* Access is raw: no user code runs while a table is read. */
static void encode_table(lua_State *L, const struct path *path, struct buffer *out) {
  if (path->depth == JSON_DEPTH_MAX) raise(L, path, "nested too deeply (a cycle?)");
  luaL_checkstack(L, 8, "a nested table");
  struct shape shape = shape_of(L, path);
  bool marked = is_array_marked(L);
  if (shape.integers_count == 0 && !marked) {
    encode_object(L, shape.strings_count, path, out);
    return;
  }
  if (shape.strings_count > 0) raise(L, path, "an array with fields");
  if ((lua_Unsigned)shape.integer_max != shape.integers_count) raise(L, path, "an array with holes");
  encode_array(L, shape.integer_max, path, out);
}

/* Encodes the value at the top of the stack and leaves it there. */
static void encode_value(lua_State *L, const struct path *path, struct buffer *out) {
  switch (lua_type(L, -1)) {
  case LUA_TBOOLEAN:
    buffer_append_text(out, lua_toboolean(L, -1) ? "true" : "false");
    return;
  case LUA_TNUMBER:
    encode_number(L, path, out);
    return;
  case LUA_TSTRING:
    encode_string(L, string_view(L, -1), path, out);
    return;
  case LUA_TTABLE:
    encode_table(L, path, out);
    return;
  default:
    break;
  }
  if (!is_null(L, -1)) raise(L, path, lua_pushfstring(L, "a %s has no JSON form", luaL_typename(L, -1)));
  buffer_append_text(out, "null");
}

/* encode(value) -> text. Raises when the value has no exact JSON form. */
static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  struct buffer *out = lua_buffer_push(L);
  lua_pushvalue(L, 1);
  encode_value(L, &(struct path){0}, out);
  lua_buffer_push_string(L, out);
  return 1;
}

/* array(t) -> t, marked as an array even when it is empty. */
static int array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (is_array_marked(L)) return 1;
  luaL_argcheck(L, !lua_getmetatable(L, 1), 1, "has another metatable");
  luaL_setmetatable(L, array_type);
  return 1;
}

int luaopen_kvserver_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", decode}, {"encode", encode}, {"array", array}, {NULL, NULL}};
  luaL_newlib(L, functions);
  push_null(L);
  lua_setfield(L, -2, "null");
  luaL_newmetatable(L, array_type);
  lua_setfield(L, -2, "array_mt");
  return 1;
}
