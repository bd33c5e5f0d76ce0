/* kvserver.types: commands and their encoding, base64, UTF-8, digests, names and limits.
 *
 *   local types = require "kvserver.types"
 *   local bytes = types.encode_command{op = "put", client_id = "c1", seq = 1, key = "k", value = "v"}
 *   types.decode_command(bytes).value  --> "v"
 */
#include <lauxlib.h>
#include <lua.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "script/bindings.h"
#include "script/lua_buffer.h"
#include "script/lua_command.h"
#include "types/policy.h"

static struct bytes check_bytes(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  return bytes_make(text, len);
}

static int fail(lua_State *L, const char *message) {
  luaL_pushfail(L);
  lua_pushstring(L, message);
  return 2;
}

static int valid_or_fail(lua_State *L, const char *message) {
  if (message != NULL) return fail(L, message);
  lua_pushboolean(L, true);
  return 1;
}

/* encode_command(table) -> bytes, or nil and what command_validate says. */
static int encode_command(lua_State *L) {
  struct command command;
  struct bytes encoded = lua_command_push(L, 1, &command);
  const char *message = command_validate(&command);
  if (message != NULL) return fail(L, message);
  lua_pushlstring(L, (const char *)encoded.data, encoded.len);
  return 1;
}

/* decode_command(bytes) -> table, or nil and a message. */
static int decode_command(lua_State *L) {
  struct command command;
  if (command_decode(check_bytes(L, 1), &command) != STATUS_OK) return fail(L, "not an encoded command");
  lua_command_push_table(L, &command);
  return 1;
}

/* validate_command(table) -> true, or nil and what is wrong with it. */
static int validate_command(lua_State *L) {
  struct command command;
  lua_command_push(L, 1, &command);
  return valid_or_fail(L, command_validate(&command));
}

/* validate_key(key) -> true, or nil and what is wrong with it. */
static int validate_key(lua_State *L) {
  return valid_or_fail(L, key_validate(check_bytes(L, 1)));
}

static int encode_base64(lua_State *L) {
  struct bytes view = check_bytes(L, 1);
  struct buffer *out = lua_buffer_push(L);
  base64_encode(view, out);
  lua_buffer_push_string(L, out);
  return 1;
}

/* base64_decode(text) -> bytes, or nil and a message. */
static int decode_base64(lua_State *L) {
  struct bytes text = check_bytes(L, 1);
  struct buffer *out = lua_buffer_push(L);
  if (base64_decode(text, out) != STATUS_OK) return fail(L, "not canonical base64");
  lua_buffer_push_string(L, out);
  return 1;
}

static int is_utf8_valid(lua_State *L) {
  lua_pushboolean(L, utf8_valid(check_bytes(L, 1)));
  return 1;
}

static int push_hex(lua_State *L, struct hash128 hash) {
  char hex[HASH128_HEX_CHARS + 1];
  hash128_hex(hash, hex);
  lua_pushlstring(L, hex, HASH128_HEX_CHARS);
  return 1;
}

/* hash_hex(bytes [, seed]) -> 32 hex digits. */
static int hash_hex(lua_State *L) {
  struct bytes view = check_bytes(L, 1);
  return push_hex(L, hash128_of(view, (uint64_t)luaL_optinteger(L, 2, 0)));
}

/* Reads the 16 hex digits at `text`. */
static uint64_t check_half(lua_State *L, int index, const char *text) {
  uint64_t half = 0;
  for (int i = 0; i < HASH128_HEX_CHARS / 2; i++) {
    char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) luaL_argerror(L, index, "expected lower-case hex digits");
    half = half << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return half;
}

static struct hash128 check_hash(lua_State *L, int index) {
  struct bytes text = check_bytes(L, index);
  luaL_argcheck(L, text.len == HASH128_HEX_CHARS, index, "expected 32 hex digits");
  const char *digits = (const char *)text.data;
  return (struct hash128){.high = check_half(L, index, digits),
                          .low = check_half(L, index, digits + HASH128_HEX_CHARS / 2)};
}

/* hash_add(sum, part) and hash_sub(sum, part) -> the new sum, modulo 2^128; all as hex digits. */
static int hash_add(lua_State *L) {
  struct hash128 sum = check_hash(L, 1);
  hash128_add(&sum, check_hash(L, 2));
  return push_hex(L, sum);
}

static int hash_sub(lua_State *L) {
  struct hash128 sum = check_hash(L, 1);
  hash128_sub(&sum, check_hash(L, 2));
  return push_hex(L, sum);
}

/* ---- tables of names ---- */

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* limits: the constants of types/limits.h that commands and texts can meet. */
static void set_limits(lua_State *L) {
  lua_newtable(L);
  set_integer(L, "node_id_bytes_max", NODE_ID_BYTES_MAX);
  set_integer(L, "client_id_bytes_max", CLIENT_ID_BYTES_MAX);
  set_integer(L, "dedupe_clients_max", DEDUPE_CLIENTS_MAX);
  set_integer(L, "key_bytes_cap", KEY_BYTES_CAP);
  set_integer(L, "value_bytes_cap", VALUE_BYTES_CAP);
  set_integer(L, "body_bytes_cap", BODY_BYTES_CAP);
  set_integer(L, "batch_items_max", BATCH_ITEMS_MAX);
  set_integer(L, "scan_limit_max", SCAN_LIMIT_MAX);
  set_integer(L, "scan_limit_default", SCAN_LIMIT_DEFAULT);
  set_integer(L, "json_depth_max", JSON_DEPTH_MAX);
  set_integer(L, "json_fields_max", JSON_FIELDS_MAX);
  set_integer(L, "http_head_bytes_max", HTTP_HEAD_BYTES_MAX);
  set_integer(L, "http_headers_max", HTTP_HEADERS_MAX);
  set_integer(L, "http_pipeline_max", HTTP_PIPELINE_MAX);
  set_integer(L, "http_output_bytes_max", HTTP_OUTPUT_BYTES_MAX);
  lua_setfield(L, -2, "limits");
}

/* err_codes: name -> number. */
static void set_err_codes(lua_State *L) {
  lua_newtable(L);
  for (enum err_code code = ERR_BAD_REQUEST; code <= ERR_INTERNAL; code++)
    set_integer(L, err_code_name(code), code);
  lua_setfield(L, -2, "err_codes");
}

/* read_policies and write_modes: name -> number. */
static void set_policies(lua_State *L) {
  lua_newtable(L);
  for (enum read_policy policy = READ_POLICY_STALE; policy <= READ_POLICY_READINDEX; policy++)
    set_integer(L, read_policy_name(policy), policy);
  lua_setfield(L, -2, "read_policies");
  lua_newtable(L);
  for (enum write_mode mode = WRITE_MODE_SYNC; mode <= WRITE_MODE_ASYNC; mode++)
    set_integer(L, write_mode_name(mode), mode);
  lua_setfield(L, -2, "write_modes");
}

int luaopen_kvserver_types(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode_command", encode_command},
      {"decode_command", decode_command},
      {"validate_command", validate_command},
      {"validate_key", validate_key},
      {"base64_encode", encode_base64},
      {"base64_decode", decode_base64},
      {"utf8_valid", is_utf8_valid},
      {"hash_hex", hash_hex},
      {"hash_add", hash_add},
      {"hash_sub", hash_sub},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  set_limits(L);
  set_err_codes(L);
  set_policies(L);
  return 1;
}
