#include "script/luv_bridge.h"

#include "script/hook.h"

#include <lauxlib.h>
#include <luv/luv.h>
#include <signal.h>
#include <string.h>

enum { CLOSE_TIMEOUT_MS = 2000 }; /* a file operation may hang in a worker; the program ends all the same */

static const char close_function_key; /* registry key of uv.close */
static const char module_key;         /* registry key of the table uv */

/* luv's way into Lua: see luv_CFpcall. */
static int on_callback(lua_State *L, int args_count, int results_count, int flags) {
  (void)flags;
  struct script_vm *vm = script_vm_of(L);
  if (vm->closing || vm->exiting) {
    lua_pop(L, args_count + 1);
    return 0;
  }
  uv_stop(io_loop_uv(vm->loop)); /* the turn must not wait after this: a task may be ready now */
  int base = lua_gettop(L) - args_count - 1;
  int status = script_enter(vm, L, args_count, results_count);
  if (hook_end_kill(vm)) {
    lua_remove(L, -2);
  } else if (status == LUA_OK) {
    return lua_gettop(L) - base;
  }
  if (!vm->exiting) script_report(vm); /* else it is how os.exit left the callback */
  lua_settop(L, base);
  script_request_exit(vm, 1);
  return -LUA_ERRRUN;
}

static int refuse(lua_State *L) {
  return luaL_error(L, "uv.%s is not available here: %s", lua_tostring(L, lua_upvalueindex(1)),
                    lua_tostring(L, lua_upvalueindex(2)));
}

static const struct {
  const char *name;
  const char *instead;
} withheld[] = {
    {"run", "the loop is already running; wait with task.sleep, handle:join or event:wait (kvserver.task)"},
    {"stop", "the node lives on this loop; return from the main script or call os.exit"},
    {"loop_close", "the loop belongs to the process and is closed at its end"},
    {"walk", "the loop has handles of the node on it; keep the handles you opened"},
    {"new_thread", "a thread would have a VM without the limits of this one; start a task (kvserver.task)"},
    {"new_work", "a thread would have a VM without the limits of this one; start a task (kvserver.task)"},
    {"queue_work", "a thread would have a VM without the limits of this one; start a task (kvserver.task)"},
};

int luv_bridge_open(lua_State *L) {
  struct script_vm *vm = script_vm_of(L);
  if (vm->finalizing) return luaL_error(L, "uv is not available any more: the program is ending");
  luv_set_loop(vm->L, io_loop_uv(vm->loop));
  luv_set_callback(vm->L, on_callback);
  luaopen_luv(L);
  for (size_t i = 0; i < sizeof withheld / sizeof withheld[0]; i++) {
    lua_pushstring(L, withheld[i].name);
    lua_pushstring(L, withheld[i].instead);
    lua_pushcclosure(L, refuse, 2);
    lua_setfield(L, -2, withheld[i].name);
  }
  lua_getfield(L, -1, "close");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &close_function_key);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  return 1;
}

enum luv_kind { LUV_NEITHER, LUV_HANDLE, LUV_REQUEST };

/* luv keeps every open handle and every request in flight in the registry, by number. The kind of the value at -1. */
static enum luv_kind kind_of(lua_State *L) {
  enum luv_kind kind = LUV_NEITHER;
  if (lua_type(L, -1) != LUA_TUSERDATA || !lua_getmetatable(L, -1)) return kind;
  luaL_getmetatable(L, "uv_req");
  if (lua_rawequal(L, -1, -2)) kind = LUV_REQUEST;
  lua_pop(L, 1);
  if (lua_getfield(L, LUA_REGISTRYINDEX, "uv_handle") == LUA_TTABLE) {
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    if (lua_toboolean(L, -1)) kind = LUV_HANDLE;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return kind;
}

static void close_handle(lua_State *L, uv_handle_t *handle) {
  if (uv_is_closing(handle)) return;
  if (handle->type == UV_PROCESS && uv_is_active(handle)) uv_process_kill((uv_process_t *)handle, SIGKILL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &close_function_key);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
}

/* Closes what is open; returns how many handles and requests there still are. */
static int close_all(lua_State *L) {
  lua_Integer open_count = 0;
  lua_pushnil(L);
  while (lua_next(L, LUA_REGISTRYINDEX) != 0) {
    enum luv_kind kind = kind_of(L);
    if (kind != LUV_NEITHER) open_count++;
    if (kind == LUV_HANDLE) close_handle(L, *(uv_handle_t **)lua_touserdata(L, -1));
    if (kind == LUV_REQUEST) uv_cancel(*(uv_req_t **)lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  lua_pushinteger(L, open_count);
  return 1;
}

static bool all_closed(struct script_vm *vm) {
  lua_pushcfunction(vm->L, close_all);
  bool closed = lua_pcall(vm->L, 0, 1, 0) == LUA_OK && lua_tointeger(vm->L, -1) == 0;
  lua_pop(vm->L, 1);
  return closed;
}

static bool makes_handles(const char *name) {
  return strncmp(name, "new_", 4) == 0 || strcmp(name, "spawn") == 0 || strcmp(name, "getaddrinfo") == 0 ||
         strcmp(name, "getnameinfo") == 0;
}

/* For the finalizers still to come, whose handles nobody would close, and whose callbacks would find no VM. */
static int withhold_handles(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) != LUA_TTABLE) return 0;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || !makes_handles(lua_tostring(L, -1))) continue;
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -1);
    lua_pushliteral(L, "the program is ending");
    lua_pushcclosure(L, refuse, 2);
    lua_rawset(L, -4);
  }
  return 0;
}

static void set_true(void *context) {
  *(bool *)context = true;
}

bool luv_bridge_close(struct script_vm *vm) {
  lua_pushcfunction(vm->L, withhold_handles);
  script_call(vm, 0);
  bool closed = all_closed(vm);
  if (closed) return true;
  bool late = false;
  struct io_timer *timer = io_timer_create(vm->loop, set_true, &late);
  io_timer_arm(timer, CLOSE_TIMEOUT_MS);
  while (!closed && !late) {
    script_turn(vm, IO_TURN_BLOCK);
    closed = all_closed(vm);
  }
  io_timer_destroy(timer);
  return closed;
}
