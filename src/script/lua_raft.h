/* What the files of the kvserver.raft binding share. Nodes are numbers from 1 in Lua, nil for none. The loop's thread.
 */
#ifndef KV_SCRIPT_LUA_RAFT_H
#define KV_SCRIPT_LUA_RAFT_H

#include <lua.h>

#include "base/buffer.h"
#include "base/status.h"
#include "raft/core/raft.h"
#include "raft/storage/memory.h"

/* ---- lua_raft_message.c: values as tables and back ---- */

/* Fields of the table at the top of the stack. */
void lua_raft_set_integer(lua_State *L, const char *field, uint64_t value);
void lua_raft_set_boolean(lua_State *L, const char *field, bool value);
void lua_raft_set_node(lua_State *L, const char *field, uint8_t node);
/* Fields of the table at `table`; absent ones are 0, false, RAFT_NODE_NONE. */
uint64_t lua_raft_integer(lua_State *L, int table, const char *field);
uint64_t lua_raft_integer_or(lua_State *L, int table, const char *field, uint64_t otherwise);
bool lua_raft_boolean(lua_State *L, int table, const char *field);
uint8_t lua_raft_node(lua_State *L, int table, const char *field);

/* A table with every field of the message, but the entries (or their terms) of an append. */
void lua_raft_push_message(lua_State *L, const struct raft_message *message);
/* The inverse; raises for an unknown type. as.append.terms stays NULL, entries_count 0. */
void lua_raft_check_message(lua_State *L, int table, struct raft_message *out);

/* "append", "append_reply", ... Static. */
const char *lua_raft_type_name(enum raft_message_type type);
/* False when none has this name. */
bool lua_raft_type_of(const char *name, enum raft_message_type *type);

void lua_raft_push_hard_state(lua_State *L, const struct raft_hard_state *state);
struct raft_hard_state lua_raft_check_hard_state(lua_State *L, int table);
/* A table that shows the whole state of a core. */
void lua_raft_push_core(lua_State *L, const struct raft *raft);

/* true; or nil and the status' name. Returns the number of values. */
int lua_raft_push_status(lua_State *L, enum status status);

/* ---- lua_raft_storage.c ---- */

/* A memory storage and who uses it: its userdata and nodes, which the collector may finalize in any order. */
struct lua_raft_storage {
  struct mem_storage *memory;
  size_t users;
};

/* The storage at `arg`; NULL when it is none. */
struct lua_raft_storage *lua_raft_test_storage(lua_State *L, int arg);
struct lua_raft_storage *lua_raft_storage_create(void); /* returns owned: drop it */
void lua_raft_storage_drop(struct lua_raft_storage *storage);
/* Methods of any storage (raft/storage/storage.h), for the metatable at the top of the stack. */
void lua_raft_add_storage_methods(lua_State *L);

/* ---- functions of the module, each a constructor of its type or a plain function ---- */

int lua_raft_core(lua_State *L);
int lua_raft_storage(lua_State *L);
int lua_raft_node_create(lua_State *L);
int lua_raft_encode_entries(lua_State *L);
int lua_raft_decode_entries(lua_State *L);
int lua_raft_cluster(lua_State *L);
void lua_raft_register_core(lua_State *L);
void lua_raft_register_storage(lua_State *L);
void lua_raft_register_node(lua_State *L);

#endif
