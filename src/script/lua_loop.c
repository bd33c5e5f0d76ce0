/* kvserver.loop: what lua/kvserver/task.lua stands on.
 *
 *   spawn(f, ...) -> task handle (join, cancel, status)
 *   sleep(ms), yield(), now_ms()
 *   waker([timeout_ms]) -> userdata: wake(), await() -> true, or false when the time was over
 *   set_memory_max(bytes), memory_bytes()
 *   spawn_limited(memory_bytes_max, f, ...) -> task handle: for what a person types (struct script_limits in vm.h)
 *   limit_strings(functions)   the methods of strings while such a task runs: a table that no script gets to see */
#include "script/bindings.h"

#include "script/pending.h"
#include "script/scheduler.h"
#include "script/vm.h"

#include <lauxlib.h>

static const char *const waker_name = "kvserver.waker";

enum { TIMEOUT_MS_MAX = 1000000000 }; /* eleven days */

/* One wait that Lua ends, or time. */
struct waker {
  struct io_timer *timer;         /* NULL without a timeout, or once closed */
  struct script_pending *pending; /* while somebody waits */
  bool woken;
  bool timed_out;
};

static int push_woken(lua_State *L, void *data) {
  const struct waker *waker = data;
  lua_pushboolean(L, waker->woken);
  return 1;
}

/* The waiter's stack holds the waker (await's first argument), so it outlives push_woken. */
static void end_wait(struct waker *waker) {
  struct script_pending *pending = waker->pending;
  if (pending == NULL) return;
  waker->pending = NULL;
  script_pending_complete(pending, push_woken, waker, NULL);
}

static void on_timeout(void *context) {
  struct waker *waker = context;
  waker->timed_out = true;
  end_wait(waker);
}

static struct waker *check_waker(lua_State *L) {
  return luaL_checkudata(L, 1, waker_name);
}

static int waker_wake(lua_State *L) {
  struct waker *waker = check_waker(L);
  waker->woken = true;
  end_wait(waker);
  return 0;
}

static int waker_await(lua_State *L) {
  struct waker *waker = check_waker(L);
  lua_settop(L, 1);
  if (waker->pending != NULL) return luaL_error(L, "somebody waits for this waker already");
  if (waker->woken || waker->timed_out) return push_woken(L, waker);
  script_check_wait(L);
  struct script_pending *pending = script_pending_push(L);
  waker->pending = pending;
  return script_await(L, pending);
}

/* __gc and __close. */
static int waker_close(lua_State *L) {
  struct waker *waker = check_waker(L);
  struct io_timer *timer = waker->timer;
  waker->timer = NULL;
  if (timer != NULL) io_timer_destroy(timer);
  struct script_pending *pending = waker->pending;
  waker->pending = NULL;
  if (pending != NULL) script_pending_drop(pending);
  return 0;
}

static uint64_t check_ms(lua_State *L, int index) {
  lua_Number ms = luaL_checknumber(L, index);
  luaL_argcheck(L, ms >= 0 && ms <= TIMEOUT_MS_MAX, index, "expected milliseconds from 0 to 1e9");
  uint64_t whole = (uint64_t)ms;
  return (lua_Number)whole < ms ? whole + 1 : whole; /* never early */
}

static struct waker *push_waker(lua_State *L) {
  struct waker *waker = lua_newuserdatauv(L, sizeof *waker, 0);
  *waker = (struct waker){0};
  luaL_setmetatable(L, waker_name);
  return waker;
}

static void arm(lua_State *L, struct waker *waker, uint64_t timeout_ms) {
  waker->timer = io_timer_create(script_loop(L), on_timeout, waker);
  io_timer_arm(waker->timer, timeout_ms);
}

static int loop_waker(lua_State *L) {
  bool timed = !lua_isnoneornil(L, 1);
  uint64_t timeout_ms = timed ? check_ms(L, 1) : 0;
  struct waker *waker = push_waker(L);
  if (timed) arm(L, waker, timeout_ms);
  return 1;
}

static int after_sleep(lua_State *L, int status, lua_KContext context) {
  (void)L;
  (void)status;
  (void)context;
  return 0;
}

static int loop_sleep(lua_State *L) {
  uint64_t ms = check_ms(L, 1);
  lua_settop(L, 0);
  struct waker *waker = push_waker(L);
  lua_toclose(L, 1); /* however this ends, the timer goes at once */
  arm(L, waker, ms);
  lua_pushcfunction(L, waker_await);
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 0, 0, after_sleep);
  return after_sleep(L, LUA_OK, 0);
}

static int loop_yield(lua_State *L) {
  struct script_vm *vm = script_vm_of(L);
  if (io_loop_in_turn(vm->loop)) return luaL_error(L, "cannot yield inside a libuv callback");
  if (task_can_yield(vm, L)) {
    task_pass(vm);
    return lua_yield(L, 0);
  }
  scheduler_run_once(vm, L);
  return 0;
}

static int loop_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  task_spawn(L, lua_gettop(L) - 1);
  return 1;
}

static int loop_spawn_limited(lua_State *L) {
  lua_Integer bytes = luaL_checkinteger(L, 1);
  luaL_argcheck(L, bytes > 0, 1, "expected bytes");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  task_spawn_limited(L, &(struct script_limits){.memory_bytes_max = (size_t)bytes}, lua_gettop(L) - 2);
  return 1;
}

/* (string, name) -> method. Upvalues: the methods of strings as they were, and those under limits. */
static int string_method(lua_State *L) {
  bool limited = script_vm_of(L)->limits != NULL;
  lua_settop(L, 2);
  lua_gettable(L, lua_upvalueindex(limited ? 2 : 1));
  return 1;
}

static int loop_limit_strings(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushliteral(L, "");
  lua_getmetatable(L, 2);
  lua_getfield(L, 3, "__index");
  if (lua_iscfunction(L, 4)) return luaL_error(L, "the methods of strings are limited already");
  lua_insert(L, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, string_method, 2);
  lua_setfield(L, 4, "__index");
  return 0;
}

static int loop_now_ms(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)io_loop_now_ms(script_vm_of(L)->loop));
  return 1;
}

static int loop_set_memory_max(lua_State *L) {
  lua_Integer bytes = luaL_checkinteger(L, 1);
  luaL_argcheck(L, bytes >= 0, 1, "expected bytes, 0 for no limit");
  script_vm_of(L)->memory_bytes_max = (size_t)bytes;
  return 0;
}

static int loop_memory_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)script_vm_of(L)->memory_bytes);
  return 1;
}

static void create_waker_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {{"wake", waker_wake}, {"await", waker_await}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", waker_close}, {"__close", waker_close}, {NULL, NULL}};
  luaL_newmetatable(L, waker_name);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_kvserver_loop(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", loop_spawn},
                                       {"sleep", loop_sleep},
                                       {"yield", loop_yield},
                                       {"now_ms", loop_now_ms},
                                       {"waker", loop_waker},
                                       {"set_memory_max", loop_set_memory_max},
                                       {"memory_bytes", loop_memory_bytes},
                                       {"spawn_limited", loop_spawn_limited},
                                       {"limit_strings", loop_limit_strings},
                                       {NULL, NULL}};
  create_waker_metatable(L);
  luaL_newlib(L, functions);
  return 1;
}
