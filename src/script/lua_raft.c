/* kvserver.raft: the parts of Raft, one by one, for specs and tools. Nodes are numbers from 1; times are milliseconds.
 *
 *   local raft = require "kvserver.raft"
 *   raft.core{...}      the pure core over a log of terms: script/lua_raft_core.c
 *   raft.storage()      the memory stores: script/lua_raft_storage.c
 *   raft.node{...}      a whole node with its state machine, its network by hand: script/lua_raft_node.c
 *   raft.cluster(members, self)  the static membership: script/lua_raft_cluster.c
 *   raft.encode_entries{{term =, command = {op = ...} | nil}, ...} -> bytes      no command: a no-op
 *   raft.decode_entries(bytes) -> the same, or nil when the bytes are cut short
 *   raft.quorum(n) */
#include "script/lua_raft.h"

#include <lauxlib.h>

#include "script/bindings.h"

static int quorum(lua_State *L) {
  lua_Integer nodes = luaL_checkinteger(L, 1);
  luaL_argcheck(L, nodes >= 1 && nodes <= UINT32_MAX, 1, "expected a number of nodes");
  lua_pushinteger(L, raft_quorum((uint32_t)nodes));
  return 1;
}

static const luaL_Reg functions[] = {{"core", lua_raft_core},
                                     {"storage", lua_raft_storage},
                                     {"node", lua_raft_node_create},
                                     {"cluster", lua_raft_cluster},
                                     {"encode_entries", lua_raft_encode_entries},
                                     {"decode_entries", lua_raft_decode_entries},
                                     {"quorum", quorum},
                                     {NULL, NULL}};

int luaopen_kvserver_raft(lua_State *L) {
  lua_raft_register_core(L);
  lua_raft_register_storage(L);
  lua_raft_register_node(L);
  luaL_newlib(L, functions);
  return 1;
}
