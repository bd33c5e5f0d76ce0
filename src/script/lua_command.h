/* Commands as Lua tables, and back:
 *
 *   {op = "put", client_id = "c1", seq = 7, key = "k", value = "v"}
 *   {op = "delete", key = "k"}                       client_id and seq may be absent: no dedupe
 *   {op = "cas", key = "k", expected = "", value = "v"}
 *   {op = "mput", entries = {{key = "a", value = "1"}, ...}}
 *   {op = "mdelete", keys = {"a", "b"}}
 *
 * Strings are bytes. Wrong or missing types raise an error that names the field ("entries[2].key: expected a string,
 * got nil"); whether the command makes sense is command_validate's business. The loop's thread. */
#ifndef KV_SCRIPT_LUA_COMMAND_H
#define KV_SCRIPT_LUA_COMMAND_H

#include <lua.h>

#include "raft/storage/entry.h"
#include "types/command.h"

/* Reads the table at `index`. Pushes one value, which owns the encoded command; `out` and the result are views of that
 * encoding, valid while the pushed value is on the stack. */
struct bytes lua_command_push(lua_State *L, int index, struct command *out);

/* Pushes a table that describes `command`. */
void lua_command_push_table(lua_State *L, const struct command *command);
/* Pushes a list of the entries that `encoded` (raft/storage/entry.h) holds, the first of which is at `index`: each a
 * table as above, with index and term; without a command, {op = "noop"}. */
void lua_command_push_entries(lua_State *L, struct bytes encoded, uint64_t index);

#endif
