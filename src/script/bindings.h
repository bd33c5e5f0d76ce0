/* The modules of C that Lua can require: "kvserver.<name>", each in src/script/lua_<name>.c. */
#ifndef KV_SCRIPT_BINDINGS_H
#define KV_SCRIPT_BINDINGS_H

#include <lua.h>

int luaopen_kvserver_loop(lua_State *L);       /* turns, timers, pending operations: what task.lua stands on */
int luaopen_kvserver_log(lua_State *L);        /* the process log */
int luaopen_kvserver_json(lua_State *L);       /* exact JSON: decode, encode */
int luaopen_kvserver_types(lua_State *L);      /* commands and their encoding, base64, UTF-8, digests, limits */
int luaopen_kvserver_kvsm(lua_State *L);       /* the state machine and its ordered map */
int luaopen_kvserver_http(lua_State *L);       /* the parser, the server side of a connection, percent coding */
int luaopen_kvserver_httpclient(lua_State *L); /* blocking HTTP client on the loop */
int luaopen_kvserver_server(lua_State *L);     /* a node in this process */
int luaopen_kvserver_raft(lua_State *L);       /* the Raft core, memory stores and node, one by one */
int luaopen_kvserver_wal(lua_State *L);        /* the write-ahead log, its jobs by hand */
int luaopen_kvserver_snapshots(lua_State *L);  /* stores of snapshots, in files and in memory */
int luaopen_kvserver_sim(lua_State *L);        /* simulated worlds, linearizability */
int luaopen_kvserver_disk(lua_State *L);       /* disks, real and simulated, as the storage uses them */
int luaopen_kvserver_raftrpc(lua_State *L);    /* Raft over HTTP: encodings, a transport */
int luaopen_kvserver_coroutine(lua_State *L);  /* coroutines through which a task is preempted, and waits */
int luaopen_kvserver_execute(lua_State *L);    /* becoming another program, for a restart */
int luaopen_kvserver_unixsocket(lua_State *L); /* Unix sockets to listen on, for the owner alone; datagrams */
int luaopen_kvserver_editline(lua_State *L);   /* lines edited at the terminal, widths of texts */

#endif
